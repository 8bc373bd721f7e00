"""Which of several requests that make one service at the same time is told that it is new: the first one only."""

from __future__ import annotations

import threading
from collections.abc import Hashable

from attrs import Factory, define


@define
class _Line:
    askers: int = 0
    told: set[int] = Factory(set)


class Firsts:
    """What those are told who are under way, by what they ask for; nothing is kept of others. For any thread.

    Whoever looks before another has made the service is under way when that one is told.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[Hashable, _Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def begin(self, wanted: Hashable) -> None:
        """Be under way; before it is looked whether it is there."""
        with self._lock:
            self._lines.setdefault(wanted, _Line()).askers += 1

    def end(self, wanted: Hashable, made: int | None) -> bool:
        """Be under way no more; whether *made*, the id of what was not there before, is told for the first time."""
        with self._lock:
            line = self._lines[wanted]
            line.askers -= 1
            if not line.askers:
                del self._lines[wanted]
            first = made is not None and made not in line.told
            if made is not None:
                line.told.add(made)
            return first
