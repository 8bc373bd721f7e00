"""The attempts of an aggregator's service: what each holds, and how it is given back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from attrs import define, evolve

from dpb_framework.contracts import AttemptRecord, Key, Record, Role, Service, ServiceRecord, Subservice
from dpb_framework.errors import ConfigInvalid, DpbError
from dpb_framework.model import (
    LEAVING,
    Change,
    Circuit,
    Desired,
    Segment,
    Status,
    Tunnel,
)
from dpb_framework.networks.admission import Plan
from dpb_framework.networks.driver import DrivenService, Undo
from dpb_framework.networks.part import Part

if TYPE_CHECKING:
    from dpb_framework.networks.aggregator import Aggregator

STORE_RETRY = 1.0
"""Seconds before a change that the store could not keep is tried again."""

Drops = list[tuple[type[Record], Key]]


@define(slots=True, eq=False)
class Attempt:
    """One try to realise a segment, with its parts as they are now."""

    number: int
    role: Role
    tunnels: tuple[Tunnel, ...]
    parts: list[Part]
    dropping: bool = False


class AttemptingService(DrivenService["Aggregator"]):
    """A service that is realised by attempts; what an attempt holds returns when all inferiors have confirmed."""

    def __init__(self, network: Aggregator, id: int, handle: str | None, owner: str) -> None:
        super().__init__(network, id, handle, owner)
        self._attempts: dict[int, Attempt] = {}
        self._last_attempt = 0
        self._lingering: list[Segment] = []
        self._switched = False
        """Whether all inferiors have what a change decided, so that what it leaves behind may go."""
        self._left_behind = 0
        """The number of the attempt that it leaves behind; those with greater ones were left behind by it, too."""
        self._paused = False

    # -- what is told and held

    def tunnels(self) -> tuple[Tunnel, ...]:
        """The tunnels of the current attempt, by trunk."""
        current = self._attempt(Role.CURRENT)
        return () if current is None else tuple(sorted(current.tunnels, key=lambda t: t.trunk))

    def attempts(self) -> list[Attempt]:
        """All that it has, by number."""
        return [attempt for _, attempt in sorted(self._attempts.items())]

    def handles(self) -> set[tuple[str, str]]:
        """All parts of all attempts, as inferior network and handle."""
        attempts = self._attempts.copy().values()
        return {(part.inferior.name, part.record.handle) for attempt in attempts for part in attempt.parts}

    def _held(self) -> list[Segment]:
        return [*super()._held(), *self._lingering]

    def _attempt(self, role: Role) -> Attempt | None:
        for attempt in self._attempts.copy().values():
            if attempt.role is role:
                return attempt
        return None

    def _record_of(self, attempt: Attempt) -> AttemptRecord:
        parts = [part.record for part in attempt.parts]
        return AttemptRecord(self.network.name, self._id, attempt.number, attempt.role, attempt.tunnels, parts)

    def restore_attempt(self, stored: AttemptRecord, places: Mapping[tuple[str, str], str]) -> None:
        """Take up an attempt; what its inferiors have of it is not known until they were asked.

        *places* tells which of our terminals an inferior's terminal is: what a retired attempt has there is not free.
        """
        network = self.network
        for part in stored.parts:
            if part.inferior not in network.inferiors():
                raise ConfigInvalid(
                    f"{network.workshop.path}.inferiors",
                    f"service {self._id} of network {network.name!r} uses {part.inferior!r}, which is not there any"
                    f" more; put it back, and release or change its services before it is taken out",
                )
        parts = [Part(self, network.inferior(p.inferior), p, touched=True) for p in stored.parts]
        self._attempts[stored.number] = Attempt(stored.number, stored.role, stored.tunnels, parts)
        self._last_attempt = max(self._last_attempt, stored.number)
        network.trunkbook.take(self._id, stored.number, stored.tunnels)
        if stored.role is Role.RETIRED:
            ends = [
                evolve(end, circuit=Circuit(places[part.inferior, end.circuit.terminal], end.circuit.label))
                for part in stored.parts
                for end in part.segment.ends
                if (part.inferior, end.circuit.terminal) in places
            ]
            self._linger(Segment(ends) if ends else None)

    def _new_attempt(self, plan: Plan, role: Role, shared: dict[int, Part] | None = None) -> Attempt:
        """Take what a plan needs; parts in *shared* (by index) go on with the service of an earlier attempt's part."""
        network = self.network
        self._last_attempt += 1
        number = self._last_attempt
        parts = []
        for index, planned in enumerate(plan.parts):
            kept = shared.get(index) if shared else None
            handle = f"{network.prefix}{self._id}/{number}/{index}" if kept is None else kept.record.handle
            record = Subservice(index, planned.inferior, handle, planned.segment)
            parts.append(
                Part(self, network.inferior(planned.inferior), record, planned.chords, touched=kept is not None)
            )
        attempt = Attempt(number, role, plan.tunnels, parts)
        self._attempts[number] = attempt
        network.trunkbook.take(self._id, number, plan.tunnels)
        network.touched()
        return attempt

    def _drop_admission(self) -> None:
        for number in list(self._attempts):
            self._credit(number)
        self._asked = self._chosen = None
        self.rehold()

    def _credit(self, number: int) -> None:
        attempt = self._attempts.pop(number)
        self.network.trunkbook.credit(self._id, number, attempt.tunnels)
        self.network.touched()

    def _snapshot(self) -> Undo:
        undo = super()._snapshot()
        saved = {number: (attempt.role, attempt.parts) for number, attempt in self._attempts.items()}
        lingering, last = self._lingering, self._last_attempt

        def undo_all() -> None:
            for number in list(self._attempts):
                if number not in saved:
                    self._credit(number)
                else:
                    self._attempts[number].role, self._attempts[number].parts = saved[number]
                    for part in self._attempts[number].parts:
                        part.take_back()
            self._lingering, self._last_attempt = lingering, last
            undo()
            if self._status is Status.ESTABLISHING or self._change is Change.PREPARING:
                self._watch_the_clock()

        return undo_all

    def _retire(self) -> tuple[list[Record], Drops]:
        self._stop_the_clock()
        puts: list[Record] = []
        for attempt in self._attempts.values():
            if attempt.role is not Role.RETIRED:
                attempt.role = Role.RETIRED
                puts.append(self._record_of(attempt))
        drops: Drops = []
        if self._next_asked is not None:
            drops.append(self._segment_key(Role.NEXT))
            self._linger(self._next_chosen)
            self._next_asked = self._next_chosen = None
        self._fail_preparing(self._logic("change", "it was reset or released meanwhile"))
        return puts, drops

    def _linger(self, segment: Segment | None) -> None:
        if segment is not None:
            self._lingering = [*self._lingering, segment]

    # -- giving back

    def _advance_removals(self) -> None:
        if self._change is Change.COMMITTING and not self._switched:
            return  # what the old segment used is given back when all inferiors have the new one
        retired = [a for a in self._attempts.values() if a.role is Role.RETIRED]
        if not retired:
            if self._lingering:
                self._lingering = []  # no inferior has these circuits any more
                self.rehold()
            if self._desired not in LEAVING:
                return
        done = []
        for attempt in retired:
            if attempt.dropping:
                continue
            gone = True
            for part in attempt.parts:
                part.remove()
                gone = gone and part.gone
            if gone:
                done.append(attempt)
        leaving = self._desired in LEAVING
        if leaving and self._status is not Status.DORMANT and len(done) == len(self._attempts):
            self._finish()
        elif done:
            for attempt in done:
                attempt.dropping = True
            keys: Drops = [(AttemptRecord, (self.network.name, self._id, a.number)) for a in done]
            self.network.commit((), keys, partial(self._dropped, done))

    def _dropped(self, done: Sequence[Attempt], error: BaseException | None) -> None:
        for attempt in done:
            attempt.dropping = False
            if error is None and attempt.number in self._attempts:
                self._credit(attempt.number)
        if error is not None:
            self._pause()
            return
        self.advance()

    def _finish(self) -> None:
        """Every inferior has given everything back: forget the segment, or the service; credit after the commit."""
        self._finishing = True
        releasing = self._desired is Desired.RELEASED
        network, event = self.network, self._event(Status.RELEASED if releasing else Status.DORMANT)
        if releasing:
            network.commit([event], [(ServiceRecord, (network.name, self._id))], partial(self._finished, True))
        else:
            keys: Drops = [(AttemptRecord, (network.name, self._id, number)) for number in self._attempts]
            puts: list[Record] = [self.record(Status.DORMANT), event]
            network.commit(puts, [*keys, self._segment_key()], partial(self._finished, False))

    def _finished(self, releasing: bool, error: BaseException | None) -> None:
        self._finishing = False
        if error is not None:
            self._pause()
            self._perform_waiting()
            return
        for number in list(self._attempts):
            self._credit(number)
        self._lingering = []
        self._end(releasing)

    def at_once(self, inferior: str) -> None:
        """Ask *inferior* again at once for whatever it did not answer."""
        waiting = [
            part
            for attempt in self._attempts.values()
            for part in attempt.parts
            if part.inferior.name == inferior and part.lost is not None
        ]
        for part in waiting:
            part.at_once()
        if waiting:
            self.poke()

    def _pause(self) -> None:
        """The store failed: leave everything as it is for a while."""
        self._paused = True
        network = self.network

        def go_on() -> None:
            self._paused = False
            self.advance()

        network.runtime.later(STORE_RETRY, lambda: network.strand.post(go_on))

    def _blocked(self) -> set[str]:
        """Inferiors that still have a part of an earlier attempt: the same circuits cannot be asked for yet."""
        if len(self._attempts) == 1:
            return set()
        retired = (a for a in self._attempts.values() if a.role is Role.RETIRED)
        return {part.inferior.name for attempt in retired for part in attempt.parts if not part.gone}

    # -- what is done elsewhere

    @abstractmethod
    def poke(self) -> None:
        """Advance soon: an inferior answered."""

    @abstractmethod
    def poked(self, service: Service) -> None:
        """Advance soon: an inferior's service has changed, told in whatever thread."""

    @abstractmethod
    def _watch_the_clock(self) -> None:
        """From now on the inferiors have their time to answer."""

    @abstractmethod
    def _stop_the_clock(self) -> None:
        """The inferiors have answered, or need not any more."""

    @abstractmethod
    def _plan_anew(self) -> None:
        """All earlier attempts are gone, with what they held: plan the define again."""

    @abstractmethod
    def _fail_preparing(self, error: DpbError | None) -> None:
        """Tell whoever waits for a change to be prepared that it will not be."""
