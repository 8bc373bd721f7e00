"""Numbers, indexes and meters: who has which, and the next free one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from attrs import Factory, define, evolve

from dpb_slicer.circuits import Circuit, End, Slice
from dpb_slicer.errors import Refused
from dpb_slicer.pipeline import MAX_NUMBER, Place, Seat


class HasPlace(Protocol):
    """A slice with its place."""

    @property
    def place(self) -> Place:
        """Its numbers on the switch."""


@define
class Pool:
    """Whole numbers from 1 to `limit`, each held once. The one free the longest is not told apart from others."""

    limit: int
    refusal: str
    _held: set[int] = Factory(set)
    _next: int = 1

    def __len__(self) -> int:
        return len(self._held)

    def take(self) -> int:
        """Hold a free number, or raise `Refused`."""
        if len(self._held) >= self.limit:
            raise Refused(self.refusal)
        while self._next in self._held:
            self._next = self._next % self.limit + 1
        taken = self._next
        self._held.add(taken)
        self._next = taken % self.limit + 1
        return taken

    def claim(self, numbers: Iterable[int]) -> None:
        """Hold these, which a switch reports."""
        self._held.update(numbers)

    def give(self, numbers: Iterable[int]) -> None:
        """Let these go."""
        self._held.difference_update(numbers)

    def hold_only(self, numbers: Iterable[int]) -> None:
        """Hold these, as far as they are of this pool, and no others."""
        self._held = {number for number in numbers if 1 <= number <= self.limit}


@define
class Seating:
    """The numbers of slices and meters of one switch."""

    numbers: Pool
    meters: Pool

    @classmethod
    def of(cls, max_meters: int) -> Seating:
        """For a switch with this many meters."""
        return cls(
            Pool(MAX_NUMBER, "no slice number is free"),
            Pool(max_meters, f"OFPET_METER_MOD_FAILED OFPMMFC_OUT_OF_METERS: all {max_meters} meters are in use"),
        )

    def seat(self, slice_: Slice, before: Place | None) -> Place:
        """Give *slice_* a place; circuits that it had *before* keep their seats.

        Raises `Refused`, and then holds nothing new.
        """
        taken_meters: list[int] = []
        number = before.number if before else self.numbers.take()
        kept = dict(before.seats) if before else {}
        used = {seat.index for seat in kept.values()}
        free = iter(index for index in range(1, 2048) if index not in used)
        seats: dict[Circuit, Seat] = {}
        try:
            for end in slice_.ends:
                seat = kept.get(end.circuit)
                if seat is None:
                    seat = self._new_seat(free)
                seats[end.circuit] = self._metered(seat, end, taken_meters)
        except Refused:
            self.meters.give(taken_meters)
            if before is None:
                self.numbers.give([number])
            raise
        return Place(number, seats)

    @staticmethod
    def _new_seat(free: Iterable[int]) -> Seat:
        for index in free:
            return Seat(index)
        raise Refused("no index for another circuit of this slice is free")

    def _metered(self, seat: Seat, end: End, taken: list[int]) -> Seat:
        def meter(had: int | None, rate: int | None) -> int | None:
            if not rate or not self.meters.limit:
                return None  # no limit, or nothing passes, or a switch without meters
            if had is None:
                had = self.meters.take()
                taken.append(had)
            return had

        return evolve(seat, ingress=meter(seat.ingress, end.ingress), egress=meter(seat.egress, end.egress))

    def claim(self, place: Place) -> None:
        """Hold what a switch reports as held."""
        self.numbers.claim([place.number])
        self.meters.claim(meters_of(place.seats))

    def hold_only(self, places: Sequence[Place], numbers: Iterable[int], meters: Iterable[int]) -> None:
        """Hold what these places, numbers and meters take, and nothing else."""
        self.numbers.hold_only({place.number for place in places}.union(numbers))
        self.meters.hold_only(set(meters).union(*(meters_of(place.seats) for place in places)))

    def give_back_new(self, before: HasPlace | None, after: HasPlace | None) -> None:
        """Let go what *after* would have held and *before* did not."""
        self.give_back(after.place if after else None, before.place if before else None)

    def give_back(self, before: Place | None, after: Place | None) -> None:
        """Let go what *before* held and *after* does not."""
        if before is None:
            return
        left = meters_of(before.seats) - (meters_of(after.seats) if after else set())
        self.meters.give(left)
        if after is None or after.number != before.number:
            self.numbers.give([before.number])


def meters_of(seats: Mapping[Circuit, Seat]) -> set[int]:
    """The meters of some seats."""
    return {meter for seat in seats.values() for meter in (seat.ingress, seat.egress) if meter is not None}
