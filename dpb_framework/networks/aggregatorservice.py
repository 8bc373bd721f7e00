"""A service of an aggregator: its driver brings the parts of its attempts where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, evolve

from dpb_framework.contracts import AttemptRecord, Key, Record, Role, Service, ServiceRecord, Subservice
from dpb_framework.errors import DpbError, InferiorFailed, NoCapacity, Remembered, TimedOut
from dpb_framework.model import (
    Caller,
    Change,
    Circuit,
    Condition,
    Desired,
    End,
    Fault,
    Segment,
    Status,
    Step,
    Tunnel,
)
from dpb_framework.networks.admission import Exclusions, Plan
from dpb_framework.networks.crankback import CONTACT, as_told, learn
from dpb_framework.networks.driver import DrivenService, Undo
from dpb_framework.networks.part import Part
from dpb_framework.reply import Reply

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


class AggregatorService(DrivenService["Aggregator"]):
    """A service of an aggregator."""

    def __init__(self, network: Aggregator, id: int, handle: str | None, owner: str) -> None:
        super().__init__(network, id, handle, owner)
        self._attempts: dict[int, Attempt] = {}
        self._last_attempt = 0
        self._out = Exclusions()
        self._replans = 0
        self._told: Fault | None = None
        self._lingering: list[Segment] = []
        self._switched = False
        """Whether all inferiors have what a change decided, so that what it leaves behind may go."""
        self._left_behind = 0
        """The number of the attempt that it leaves behind; those with greater ones were left behind by it, too."""
        self._paused = False
        self._finishing = False
        self._advancing = False
        self._again = False
        self._poked = False
        self._preparing: list[Reply[None]] = []

    # -- what is told and held

    def tunnels(self) -> tuple[Tunnel, ...]:
        """The tunnels of the current attempt, by trunk."""
        current = self._attempt(Role.CURRENT)
        return () if current is None else tuple(sorted(current.tunnels, key=lambda t: t.trunk))

    def handles(self) -> set[str]:
        """The handles of all parts of all attempts."""
        return {part.record.handle for attempt in self._attempts.values() for part in attempt.parts}

    def _held(self) -> list[Segment]:
        return [*super()._held(), *self._lingering]

    def _attempt(self, role: Role) -> Attempt | None:
        for attempt in self._attempts.values():
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

    def resume(self) -> None:
        """Go on after a restart."""
        # Each attempt is stored with an event, so numbers above the last event's were never a handle's.
        self._last_attempt = max(self._last_attempt, self.network.last_event)
        if self._status is Status.ESTABLISHING or self._change is Change.PREPARING:
            self._watch_the_clock()
        if self._change is Change.PREPARING and self._attempt(Role.NEXT) is None:
            self._change = Change.NONE
        self._left_behind = max((a.number for a in self._attempts.values() if a.role is Role.RETIRED), default=0)
        super().resume()

    # -- admission

    def _admit(self, segment: Segment, caller: Caller) -> list[Record]:
        network = self.network
        self._out, self._replans, self._told = Exclusions(), 0, None
        chosen = network.book.resolve(self._id, segment)
        network.ask_segment(self, chosen, caller)
        attempt = self._new_attempt(network.planning().plan(chosen, self._out), Role.CURRENT)
        self._asked, self._chosen, self._error = segment, chosen, None
        self.rehold()
        self._desired = Desired.ACTIVE if self._remembered else Desired.INACTIVE
        self._remembered = False
        self._status = Status.ESTABLISHING
        self._watch_the_clock()
        return [self.record(), self._segment_record(), self._record_of(attempt), self._event()]

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
        lingering = self._lingering

        def undo_all() -> None:
            for number in list(self._attempts):
                if number not in saved:
                    self._credit(number)
                else:
                    self._attempts[number].role, self._attempts[number].parts = saved[number]
                    for part in self._attempts[number].parts:
                        part.take_back()
            self._lingering = lingering
            undo()

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

    # -- the clock

    def _watch_the_clock(self) -> None:
        self.network.deadlines.begin(self._id, partial(self._is_overdue, max(self._attempts, default=0)))

    def _stop_the_clock(self) -> None:
        self.network.deadlines.end(self._id)

    def _is_overdue(self, number: int) -> None:
        if self._committing or self._paused:
            self._watch_the_clock()
            return
        if self._status is Status.ESTABLISHING and self._attempt(Role.CURRENT) is None:
            waited = TimedOut(f"network {self.network.name!r}", self.network.inferior_timeout)
            self._give_up(self._told or Fault.of(waited), [], self._snapshot())
            return
        attempt = self._attempts.get(number)
        if attempt is None:
            return
        late = [
            p
            for p in attempt.parts
            if not (p.prepared if p.touched and self._change is Change.PREPARING else p.established)
        ]
        if not late:
            return
        where = f"inferior network {late[0].inferior.name!r}"
        fault = late[0].lost or Fault.of(TimedOut(where, self.network.inferior_timeout))
        fault = evolve(fault, code="unreachable")
        if attempt.role is Role.CURRENT and self._status is Status.ESTABLISHING:
            self._crank_back(late[0], fault)
        elif attempt.role is Role.NEXT and self._change is Change.PREPARING:
            self._give_up_change(fault)

    # -- the driver

    def poke(self) -> None:
        """Advance soon: once for all answers that are waiting to be taken up already."""
        if not self._poked:
            self._poked = True
            self.network.strand.post(self._advance_poked)

    def poked(self, _: Service) -> None:
        """An inferior's service has changed, told in whatever thread."""
        self.poke()

    def _advance_poked(self) -> None:
        self._poked = False
        self.advance()

    def advance(self) -> None:
        """Bring all parts where they are wanted, and tell what has been reached."""
        if self._advancing:  # a reply that was there at once comes back within the question
            self._again = True
            return
        self._advancing = True
        try:
            self._again = True
            while self._again:
                self._again = False
                self._advance()
        finally:
            self._advancing = False

    def _advance(self) -> None:
        if self._committing or self._finishing or self._paused or self._status is Status.RELEASED:
            return
        self._advance_removals()
        if self._committing or self._finishing:
            return
        if self._desired in (Desired.DORMANT, Desired.RELEASED):
            self._tell_conditions()  # those of the parts that are wanted no more end
            return
        current = self._attempt(Role.CURRENT)
        if current is None:
            if self._status is Status.ESTABLISHING and not self._attempts:
                self._plan_anew()
            return
        if self._status is Status.ESTABLISHING:
            self._advance_establishing(current)
        else:
            self._advance_change()
            if not self._committing:
                self._advance_current(current)
        self._tell_conditions()

    def _advance_removals(self) -> None:
        if self._change is Change.COMMITTING and not self._switched:
            return  # what the old segment used is given back when all inferiors have the new one
        if self._lingering and not any(a.role is Role.RETIRED for a in self._attempts.values()):
            self._lingering = []  # no inferior has these circuits any more
            self.rehold()
        retired = [a for a in self._attempts.values() if a.role is Role.RETIRED and not a.dropping]
        done = []
        for attempt in retired:
            gone = True
            for part in attempt.parts:
                part.remove()
                gone = gone and part.gone
            if gone:
                done.append(attempt)
        leaving = self._desired in (Desired.DORMANT, Desired.RELEASED)
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
        before, self._status = self._status, Status.RELEASED if releasing else Status.DORMANT
        network, event = self.network, self._event()
        if releasing:
            network.commit([event], [(ServiceRecord, (network.name, self._id))], partial(self._finished, True))
        else:
            keys: Drops = [(AttemptRecord, (network.name, self._id, number)) for number in self._attempts]
            puts: list[Record] = [self.record(), event]
            network.commit(puts, [*keys, self._segment_key()], partial(self._finished, False))
        self._status = before

    def _finished(self, releasing: bool, error: BaseException | None) -> None:
        self._finishing = False
        if error is not None:
            self._pause()
            return
        for number in list(self._attempts):
            self._credit(number)
        self._asked = self._chosen = None
        self._lingering = []
        self.rehold()
        self._conditions = ()
        if releasing:
            self._status = Status.RELEASED
            self.network.forget(self)
        elif self._desired is Desired.DORMANT:  # a release may have come in between
            self._status = Status.DORMANT
        self._changed()
        self.advance()

    def _pause(self) -> None:
        """The store failed: leave everything as it is for a while."""
        self._paused = True
        network = self.network

        def go_on() -> None:
            self._paused = False
            self.advance()

        network.runtime.later(STORE_RETRY, lambda: network.strand.post(go_on))

    def _kept(self, reply: Reply[None] | None, undo: Undo, error: BaseException | None) -> None:
        """A new command is a new reason to try at once; a decision of our own that failed waits."""
        if error is not None and reply is None:
            self._pause()
        elif reply is not None:
            for attempt in self._attempts.values():
                for part in attempt.parts:
                    part.at_once()
        super()._kept(reply, undo, error)

    def _advance_establishing(self, current: Attempt) -> None:
        blocked = self._blocked()
        established = True
        for part in current.parts:
            if part.established:
                continue
            if part.inferior.name not in blocked:
                part.bring(active=False)
            if part.refused is not None:
                self._crank_back(part, part.refused)
                return
            if part.lost is not None and not self._needs(part):
                self._crank_back(part, evolve(part.lost, code="unreachable"))
                return
            established = established and part.established
        if established:
            self._stop_the_clock()
            self._out = Exclusions()
            self._note(Step.ESTABLISHED)
            if self._desired is Desired.ACTIVE:
                self._note(Step.ACTIVATE)
            self._again = True

    def _blocked(self) -> set[str]:
        """Inferiors that still have a part of an earlier attempt: the same circuits cannot be asked for yet."""
        if len(self._attempts) == 1:
            return set()
        retired = (a for a in self._attempts.values() if a.role is Role.RETIRED)
        return {part.inferior.name for attempt in retired for part in attempt.parts if not part.gone}

    def _needs(self, part: Part) -> bool:
        """Whether an end of the service lies in the part's inferior, so that no plan can do without it."""
        terminals = self.network.book.terminals
        chosen = self._chosen
        return chosen is not None and any(
            terminals[end.circuit.terminal].subterminal[0] == part.inferior.name for end in chosen.ends
        )

    def _crank_back(self, part: Part, fault: Fault) -> None:
        """An inferior refused: plan again without what did not work, or give up."""
        network = self.network
        self._replans += 1
        ends = self._places(self._chosen)
        open_ends = {Circuit(c.terminal, None) for c in (e.circuit for e in self._asked_ends()) if c.label is None}
        told = as_told(part, fault, network.name, ends)
        attempt = self._attempt(Role.CURRENT)
        if attempt is None:
            return
        hopeful = self._replans <= network.replans and learn(
            self._out, part, fault, network, attempt.tunnels, ends, open_ends, self._needs(part)
        )
        undo = self._snapshot()
        attempt.role = Role.RETIRED
        retired = self._record_of(attempt)
        if hopeful:
            again = self._plan_again()
            if again is not None:
                self._keep([retired, *again, self._event()], (), None, undo)
                return
            if fault.code not in CONTACT and attempt.tunnels:
                # What this attempt still holds may be just what the next one needs: see when it is given back.
                self._told = told
                self._watch_the_clock()
                self._keep([retired, self._event()], (), None, undo)
                return
        self._give_up(told, [retired], undo)

    def _plan_again(self) -> list[Record] | None:
        """Take what another plan for the same request needs and return what to store; None if there is no plan."""
        network = self.network
        if self._asked is None:
            return None
        try:
            chosen = network.book.resolve(self._id, self._asked, avoid=self._out.circuits)
            plan = network.planning().plan(chosen, self._out)
        except DpbError:
            return None  # what the inferior said tells more than that there is no other way
        again = self._new_attempt(plan, Role.CURRENT)
        if chosen != self._chosen:
            self._linger(self._chosen)
        self._chosen = chosen
        self.rehold()
        self._watch_the_clock()
        return [self._record_of(again), self._segment_record()]

    def _plan_anew(self) -> None:
        """All earlier attempts are gone, with what they held: the last chance of a define."""
        undo = self._snapshot()
        again = self._plan_again()
        if again is not None:
            self._keep([*again, self._event()], (), None, undo)
        else:
            fault = self._told or Fault.of(NoCapacity(self.network.name, "no other way is left"))
            self._give_up(fault, [], undo)

    def _give_up(self, fault: Fault, puts: Sequence[Record], undo: Undo) -> None:
        """No way is left: DORMANT, with the reason."""
        self._stop_the_clock()
        self._status, self._desired, self._error = Status.DORMANT, Desired.DORMANT, fault
        self._remembered = False
        self._linger(self._chosen)
        self._asked = self._chosen = None
        self._keep([self.record(), *puts, self._event()], [self._segment_key()], None, undo)

    def _places(self, segment: Segment | None) -> dict[Circuit, End]:
        """The ends of a segment by `inferior:terminal` and label."""
        terminals = self.network.book.terminals
        ends = () if segment is None else segment.ends
        return {Circuit(terminals[e.circuit.terminal].place, e.circuit.label): e for e in ends}

    def _asked_ends(self) -> tuple[Any, ...]:
        return () if self._asked is None else self._asked.ends

    def _advance_current(self, current: Attempt) -> None:
        """Keep the parts as they should be, and tell when all are, or when one has failed."""
        active = self._desired is Desired.ACTIVE
        commits = self._change is Change.COMMITTING
        aborts = self._change in (Change.NONE, Change.ABORTING)
        wanted = Status.ACTIVE if active else Status.INACTIVE
        there, failed = True, None
        blocked = self._blocked() if commits is False else set()
        for part in current.parts:
            if part.inferior.name not in blocked or part.service is not None:
                part.bring(active=active, commits=commits, aborts=aborts)
            if not part.is_at(wanted):
                there = False
                failed = failed or self._failure(part)
        if failed is not None:
            if self._status is not Status.FAILED or self._error != failed:
                self._note(Step.FAIL, failed)
        elif there:
            if active and self._status in (Status.ACTIVATING, Status.FAILED):
                self._note(Step.ACTIVATED)
            elif not active and self._status in (Status.DEACTIVATING, Status.FAILED):
                self._note(Step.DEACTIVATED)
        if self._change in (Change.COMMITTING, Change.ABORTING):
            self._advance_switch(current, there or failed is not None)

    def _advance_switch(self, current: Attempt, settled: bool) -> None:
        """A decided change is over when all inferiors have it, and have given back what it leaves behind."""
        commits = self._change is Change.COMMITTING
        if not self._switched:
            if commits:
                self._switched = settled and all(part.changed for part in current.parts)
            else:
                self._switched = all(p.service is not None and p.service.change is Change.NONE for p in current.parts)
            self._again = self._again or self._switched
            return
        # Attempts that were given up long before, and wait for an inferior that is away, do not count.
        retired = [a.number for a in self._attempts.values() if a.role is Role.RETIRED]
        if not any(self._left_behind <= n for n in retired):
            self._change_over()

    def _failure(self, part: Part) -> Fault | None:
        """Why a part is not where it is wanted, if it will not get there by itself."""
        name = part.inferior.name
        if part.refused is not None:
            fault: Fault | None = part.refused
            part.retry_refused()
        elif part.is_at(Status.FAILED) and part.service is not None:
            fault = part.service.error
        else:
            return None
        text = fault.text if fault is not None else "it failed"
        return Fault(InferiorFailed.code, str(InferiorFailed(name, text)), {"subnetwork": name, "reason": text})

    def _tell_conditions(self) -> None:
        conditions: list[Condition] = []
        for attempt in self._attempts.values():
            if attempt.role is Role.RETIRED:
                continue
            for part in attempt.parts:
                unasked = part.service is None and part.touched and attempt.role is Role.CURRENT
                if part.lost is not None or (unasked and self._status is Status.ACTIVE):
                    text = part.lost.text if part.lost is not None else "not asked yet"
                    conditions.append(Condition("unconfirmed", part.inferior.name, text))
                if part.service is not None and part.service.conditions:
                    conditions += [
                        evolve(c, where=c.where if c.where == part.inferior.name else f"{part.inferior.name}/{c.where}")
                        for c in part.service.conditions
                    ]
        if conditions or self._conditions:
            self._set_conditions(conditions)

    # -- change without interruption

    def _admit_change(self, segment: Segment, caller: Caller, reply: Reply[None]) -> None:
        network = self.network
        current = self._attempt(Role.CURRENT)
        if current is None:
            raise self._logic("change", "it is not established")
        chosen = network.book.resolve(self._id, segment)
        network.ask_segment(self, chosen, caller)
        keep = {tunnel.trunk: tunnel.label for tunnel in current.tunnels}
        plan = network.planning().plan(chosen, Exclusions(), self._id, keep)
        undo = self._snapshot()
        attempt = self._new_attempt(plan, Role.NEXT, _shared(plan, current))
        self._next_asked, self._next_chosen, self._change = segment, chosen, Change.PREPARING
        self.rehold()
        self._preparing.append(reply)
        self._watch_the_clock()

        def withdrawn() -> None:
            undo()
            self._fail_preparing(None)

        puts: list[Record] = [self.record(), self._segment_record(Role.NEXT), self._record_of(attempt), self._event()]
        kept: Reply[None] = Reply()
        kept.then(partial(_pass_error, reply))
        self._keep(puts, (), kept, withdrawn)

    def _once_prepared(self, reply: Reply[None]) -> None:
        if self._change is Change.PREPARED:
            reply.resolve(None)
        else:
            self._preparing.append(reply)

    def _fail_preparing(self, error: DpbError | None) -> None:
        waiting, self._preparing = self._preparing, []
        if error is not None:
            for reply in waiting:
                reply.fail(error)

    def _advance_change(self) -> None:
        if self._change is not Change.PREPARING:
            return
        current, ahead = self._attempt(Role.CURRENT), self._attempt(Role.NEXT)
        if current is None or ahead is None:
            return
        old = {part.record.handle: part for part in current.parts}
        ready = True
        blocked = self._blocked()
        for part in ahead.parts:
            shared = old.get(part.record.handle)
            if shared is not None:
                part.prepare()
                ready = ready and part.prepared
            else:
                if part.inferior.name not in blocked:
                    part.bring(active=False)
                ready = ready and part.established
            if part.refused is not None:
                ends = self._places(self._next_chosen)
                self._give_up_change(as_told(part, part.refused, self.network.name, ends))
                return
        if ready:
            self._stop_the_clock()
            undo = self._snapshot()
            self._change = Change.PREPARED
            kept: Reply[None] = Reply()
            kept.then(self._tell_prepared)
            self._keep([self.record(), self._event()], (), kept, undo)

    def _tell_prepared(self, kept: Reply[None]) -> None:
        if kept.error is not None:
            self._pause()
            return
        waiting, self._preparing = self._preparing, []
        for reply in waiting:
            reply.resolve(None)

    def _give_up_change(self, fault: Fault) -> None:

        waiting, self._preparing = self._preparing, []
        undo = self._snapshot()
        self._error = fault
        done: Reply[None] = Reply()
        error = Remembered(fault.code, fault.text, dict(fault.facts))
        for reply in waiting:
            done.then(partial(_refuse, reply, error))
        self._back_out(done, undo)

    def _withdraw(self, reply: Reply[None]) -> None:
        self._fail_preparing(self._logic("change", "it was aborted meanwhile"))
        self._back_out(reply, self._snapshot())

    def _back_out(self, reply: Reply[None], undo: Undo) -> None:
        current, ahead = self._attempt(Role.CURRENT), self._attempt(Role.NEXT)
        self._change, self._switched = Change.ABORTING, False
        puts: list[Record] = []
        if ahead is not None and current is not None:
            ahead.role = Role.RETIRED
            self._left_behind = ahead.number
            ahead.parts = _without_shared(ahead.parts, current.parts)
            puts.append(self._record_of(ahead))
        self._linger(self._next_chosen)
        self._next_asked = self._next_chosen = None
        self._stop_the_clock()
        self._keep([self.record(), self._event(), *puts], [self._segment_key(Role.NEXT)], reply, undo)

    def _decide(self, reply: Reply[None]) -> None:
        undo = self._snapshot()
        current, ahead = self._attempt(Role.CURRENT), self._attempt(Role.NEXT)
        if current is None or ahead is None:
            raise self._logic("commit", "nothing is prepared")
        self._change = Change.COMMITTING
        self._linger(self._chosen)
        self._asked, self._chosen = self._next_asked, self._next_chosen
        self._next_asked = self._next_chosen = None
        self._succeeded()
        ahead.role, current.role = Role.CURRENT, Role.RETIRED
        self._switched, self._left_behind = False, current.number
        current.parts = _without_shared(current.parts, ahead.parts)
        puts: list[Record] = [self.record(), self._segment_record(), self._event()]
        puts += [self._record_of(ahead), self._record_of(current)]
        self._keep(puts, [self._segment_key(Role.NEXT)], reply, undo)

    def _change_over(self) -> None:
        self._change = Change.NONE
        self.network.commit([self.record(), self._event()])
        self._changed()
        self._again = True


def _pass_error(reply: Reply[None], settled: Reply[None]) -> None:
    if settled.error is not None:
        reply.fail(settled.error)


def _refuse(reply: Reply[None], error: DpbError, _: Reply[None]) -> None:
    reply.fail(error)


def _shared(plan: Plan, current: Attempt) -> dict[int, Part]:
    """For each part of a plan the current attempt's part whose service it goes on with: the one most like it."""
    free = list(current.parts)
    result: dict[int, Part] = {}
    for index, planned in enumerate(plan.parts):
        circuits = {end.circuit for end in planned.segment.ends}
        alike = [p for p in free if p.inferior.name == planned.inferior]
        if alike:
            best = max(alike, key=lambda p: len(circuits & {end.circuit for end in p.record.segment.ends}))
            result[index] = best
            free.remove(best)
    return result


def _without_shared(parts: list[Part], others: list[Part]) -> list[Part]:
    kept = {part.record.handle for part in others}
    for part in parts:
        if part.record.handle in kept:
            part.let_go()
    return [part for part in parts if part.record.handle not in kept]
