"""How many connections each interface of the process may have: they share the files that it may open."""

from __future__ import annotations

import contextlib
import resource
import threading
from types import TracebackType
from typing import Final

BESIDE: Final = 256
"""Files that the rest of the process needs."""
LEAST: Final = 16

_lock = threading.Lock()
_taken: list[Room] = []


class Room:
    """As many connections as an interface wants, or its part of what there is; a context, while it is open."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.most = wanted
        """How many there may be now."""

    def __enter__(self) -> Room:
        with _lock:
            _taken.append(self)
            _share()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with _lock:
            _taken.remove(self)
            _share()


def _share() -> None:
    wanted = sum(room.wanted for room in _taken)
    files = wanted and _files(wanted + BESIDE) - BESIDE
    for room in _taken:
        room.most = room.wanted if wanted <= files else max(LEAST, room.wanted * files // wanted)


def _files(needed: int) -> int:
    """Return how many files the process may open.

    The soft limit is raised as far as it goes and is needed: many systems begin with 1024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return needed if soft == resource.RLIM_INFINITY else soft
