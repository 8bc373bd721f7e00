"""How much each caller has open at once of what lasts, so that no one takes all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from dpb_nbi.problems import Problem


class Shares:
    """What callers have open of one kind, `most` each (None: as many as they like). Belongs to the event loop.

    A caller counts by its name, or by that and whatever else it has a share of each.
    """

    def __init__(self, what: str, most: int | None = None) -> None:
        self._what = what
        self._most = most
        self._open: Counter[Hashable] = Counter()

    def take(self, caller: Hashable) -> None:
        """Count one more of *caller*. `Problem` 429 when that would be too many."""
        if self._most is not None and self._open[caller] >= self._most:
            raise Problem(429, "too-many", f"you have {self._most} {self._what} open; close some first")
        self._open[caller] += 1

    def give_back(self, caller: Hashable) -> None:
        """Count one less."""
        self._open[caller] -= 1
        if not self._open[caller]:
            del self._open[caller]

    @contextmanager
    def one(self, caller: Hashable) -> Iterator[None]:
        """Count one as long as it lasts."""
        self.take(caller)
        try:
            yield
        finally:
            self.give_back(caller)
