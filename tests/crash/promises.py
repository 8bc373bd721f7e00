"""What a client knows of a service from the answers that it got, and nothing else."""

from __future__ import annotations

from typing import NamedTuple

from attrs import define, field

from .rest import Plain, Unexpected
from .world import alike


class State(NamedTuple):
    """Where a service may be: what is desired, which of its segments it has, whether an activate is remembered."""

    desired: str
    segment: int | None = None
    remembered: bool = False


NEW = State("DORMANT")
GONE = State("RELEASED")


@define(eq=False)
class Promise:
    """A service that was asked for. After an answer one state is possible, after a lost one several."""

    handle: str | None
    label: int
    id: int | None = None
    segments: list[list[Plain]] = field(factory=list)
    possible: set[State] = field(factory=lambda: {GONE})
    following: int | None = None
    """Which of the segments a change prepares."""

    @property
    def state(self) -> State:
        """A state that is possible."""
        return min(self.possible, key=str)

    def add(self, segment: list[Plain]) -> int:
        """Keep a segment and return its number."""
        self.segments.append(segment)
        return len(self.segments) - 1

    def observe(self, seen: Plain | None) -> None:
        """Keep of the possible states those that fit what the broker tells; `Unexpected` when none does."""
        fitting = {state for state in self.possible if self._fits(state, seen)}
        if not fitting:
            raise Unexpected(f"{self} is now {seen}")
        self.possible = fitting

    def _fits(self, state: State, seen: Plain | None) -> bool:
        if seen is None or seen["desired"] == "RELEASED":
            return state.desired == "RELEASED"
        if state.desired != seen["desired"]:
            return False
        # What is being reset has a segment until all of it has been given back.
        return state.segment is None or alike(self.segments[state.segment], seen["segment"])
