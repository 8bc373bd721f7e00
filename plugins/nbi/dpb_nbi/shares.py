"""How much each caller has open at once of what lasts, so that no one takes all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from dpb_nbi.problems import Problem


class Shares:
    """What callers have open of one kind, `most` each (None: as many as they like). Belongs to the event loop."""

    def __init__(self, what: str, most: int | None = None) -> None:
        self._what = what
        self._most = most
        self._open: Counter[str] = Counter()

    def take(self, name: str) -> None:
        """Count one more of caller *name*. `Problem` 429 when that would be too many."""
        if self._most is not None and self._open[name] >= self._most:
            raise Problem(429, "too-many", f"you have {self._most} {self._what} open; close some first")
        self._open[name] += 1

    def give_back(self, name: str) -> None:
        """Count one less."""
        self._open[name] -= 1
        if not self._open[name]:
            del self._open[name]

    @contextmanager
    def one(self, name: str) -> Iterator[None]:
        """Count one as long as it lasts."""
        self.take(name)
        try:
            yield
        finally:
            self.give_back(name)
