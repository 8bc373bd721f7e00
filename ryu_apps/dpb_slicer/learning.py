"""Which address was seen at which circuit: learned from copies that the switch sends of frames from unknown senders."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from attrs import Factory, define, frozen

from dpb_slicer import pipeline
from dpb_slicer.difference import Change, Step
from dpb_slicer.pipeline import Place


@frozen
class Limits:
    """How much is learned: addresses of a slice, new ones of a circuit in a second, seconds of silence until forgotten.

    `quiet` is for how many seconds a circuit with more new senders than that is left alone.
    """

    addresses: int = 1024
    per_second: int = 64
    age: int = 300
    quiet: int = 2
    resend: float = 0.5


@define
class _Learner:
    """What one slice has learned: index and time of last telling by address; and which indexes it has."""

    indexes: frozenset[int]
    addresses: dict[str, tuple[int, float]] = Factory(dict)


@define
class Learning:
    """All that was learned on one switch. Thread-safe; `send` gets steps in the order in which they were decided."""

    limits: Limits
    send: Callable[[Iterable[Step]], None]
    now: Callable[[], float] = time.monotonic
    _slices: dict[int, _Learner] = Factory(dict)
    _rates: dict[tuple[int, int], tuple[float, int]] = Factory(dict)
    _lock: threading.Lock = Factory(threading.Lock)

    def teach(self, number: int, place: Place | None) -> None:
        """Learn for this slice from now on, at its circuits only; None: no longer."""
        with self._lock:
            if place is None:
                self._slices.pop(number, None)
                return
            indexes = frozenset(seat.index for seat in place.seats.values())
            learner = self._slices.setdefault(number, _Learner(indexes))
            learner.indexes = indexes
            for address in [address for address, (index, _) in learner.addresses.items() if index not in indexes]:
                del learner.addresses[address]

    def recall(self, known: Mapping[int, Mapping[str, int]], since: float) -> None:
        """Believe what a switch reports as learned where slices learn, but for what was seen *since* it was asked.

        Else a station that moves while the switch is read is believed at its old place: its flow at the new one would
        stay when it moves on, and nobody would hear of its return.
        """
        with self._lock:
            for number, learner in self._slices.items():
                told = known.get(number, {})
                seen = {address: (index, at) for address, (index, at) in learner.addresses.items() if at >= since}
                believed = {address: (index, 0.0) for address, index in told.items() if index in learner.indexes}
                learner.addresses = believed | seen

    def seen(self, number: int, index: int, address: str, idle: int | None = None) -> None:
        """A frame of a sender that the switch does not know came in by this circuit."""
        with self._lock:
            learner = self._slices.get(number)
            if learner is None or index not in learner.indexes or int(address[:2], 16) & 1:
                return
            now = self.now()
            had = learner.addresses.get(address)
            if had is not None and had[0] == index and now - had[1] < self.limits.resend:
                return
            if not self._within_rate(number, index, now) or (
                had is None and len(learner.addresses) >= self.limits.addresses
            ):
                self.send([Change("add", pipeline.quiet(number, index, self.limits.quiet))])
                return
            learner.addresses[address] = index, now
            steps = [
                Change("add", pipeline.known_target(number, index, address)),
                Change("add", pipeline.known_source(number, index, address, idle or self.limits.age)),
            ]
            if had is not None and had[0] != index:
                steps.append(Change("delete", pipeline.known_source(number, had[0], address, 0)))
            self.send(steps)

    def _within_rate(self, number: int, index: int, now: float) -> bool:
        began, count = self._rates.get((number, index), (now, 0))
        if now - began >= 1:
            began, count = now, 0
        self._rates[number, index] = began, count + 1
        if len(self._rates) > 10_000:
            self._rates.clear()
        return count < self.limits.per_second

    def silent(self, number: int, index: int, address: str) -> None:
        """The switch has forgotten a sender that was silent for long: nothing is sent to its place any longer."""
        with self._lock:
            learner = self._slices.get(number)
            if learner is None or learner.addresses.get(address, (None, 0))[0] != index:
                return
            del learner.addresses[address]
            self.send([Change("delete", pipeline.known_target(number, index, address))])

    def known(self, number: int) -> dict[str, int]:
        """The index of each address of a slice."""
        with self._lock:
            learner = self._slices.get(number)
            return {address: index for address, (index, _) in learner.addresses.items()} if learner else {}
