"""Labels of a trunk: which are there, which are taken, which is the next free one."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

from dpb_framework.errors import BadArgument
from dpb_framework.model import LabelRange


class LabelPool:
    """The labels of one trunk, known by the label at its start.

    Never spells its ranges out (they may hold 16 million labels): a cursor walks them once, labels that come
    back go to a heap.
    """

    def __init__(self, ranges: Iterable[LabelRange] = ()) -> None:
        self._ranges: list[LabelRange] = []
        self._taken: set[int] = set()
        self._back: list[int] = []
        self._waiting: set[int] = set()
        """What is in `_back`: a label is there once, however often it comes back."""
        self._at = (0, 0)
        self.redefine(tuple(ranges))

    def copy(self) -> LabelPool:
        """Return a pool with the same labels taken, and the same ones next."""
        other = LabelPool(self._ranges)
        other._taken, other._waiting = self._taken.copy(), self._waiting.copy()
        other._back, other._at = self._back.copy(), self._at
        return other

    @property
    def free(self) -> int:
        """How many are free."""
        return self._size - len(self._taken)

    @property
    def taken(self) -> Collection[int]:
        """Those that are taken."""
        return self._taken

    def redefine(self, ranges: Sequence[LabelRange]) -> None:
        """Use other ranges. Those that are taken must be kept by the caller's check (`missing`)."""
        self._ranges = sorted(ranges, key=lambda r: r.start)
        self._starts = [r.start for r in self._ranges]
        self._size = sum(r.count for r in self._ranges)
        self._back = []
        self._waiting = set()
        self._at = (0, 0)

    def missing(self, ranges: Sequence[LabelRange]) -> list[int]:
        """The taken labels that *ranges* do not have, or have with another end label."""
        other = LabelPool(ranges)
        return sorted(label for label in self._taken if other.end_label(label) != self.end_label(label))

    def end_label(self, label: int) -> int | None:
        """What *label* is called at the trunk's end; None if the trunk does not have it."""
        at = bisect_right(self._starts, label) - 1
        if at < 0:
            return None
        found = self._ranges[at]
        offset = label - found.start
        return found.end + offset if offset < found.count else None

    def peek(self, avoid: Collection[int] = ()) -> int | None:
        """The free label that `take` would be given, leaving out those in *avoid*; None if there is none."""
        while self._back and (self._back[0] in self._taken or self.end_label(self._back[0]) is None):
            self._waiting.discard(heapq.heappop(self._back))
        if self._back and (not avoid or self._back[0] not in avoid):
            return self._back[0]
        if avoid:
            for label in sorted(self._waiting):
                if label not in avoid and label not in self._taken and self.end_label(label) is not None:
                    return label
        index, offset = self._at
        moved = False
        while index < len(self._ranges):
            ranged = self._ranges[index]
            while offset < ranged.count:
                label = ranged.start + offset
                if label not in self._taken:
                    if label not in avoid:
                        if not moved:
                            self._at = (index, offset)
                        return label
                    if not moved:  # the cursor stays at the first free label, though it is to be avoided now
                        self._at = (index, offset)
                        moved = True
                offset += 1
            index, offset = index + 1, 0
        if not moved:
            self._at = (index, 0)
        return None

    def take(self, label: int) -> None:
        """Mark *label* as taken."""
        self._taken.add(label)
        if self._back and self._back[0] == label:
            self._waiting.discard(heapq.heappop(self._back))

    def give_back(self, label: int) -> None:
        """Mark *label* as free again."""
        if label in self._taken:
            self._taken.discard(label)
            if label not in self._waiting:
                self._waiting.add(label)
                heapq.heappush(self._back, label)


def check_ranges(ranges: Sequence[LabelRange], path: str = "labels") -> None:
    """Raise `BadArgument` unless the ranges are sound and overlap neither at the start nor at the end."""
    for i, ranged in enumerate(ranges):
        ranged.check(f"{path}[{i}]")
    for side in ("start", "end"):
        spans = sorted((getattr(r, side), getattr(r, side) + r.count, i) for i, r in enumerate(ranges))
        for (_, last, one), (first, _, other) in pairwise(spans):
            if first < last:
                raise BadArgument(f"{path}[{other}].{side}", f"overlaps {path}[{one}] at the {side}")
