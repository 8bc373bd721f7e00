"""Who goes first where all threads share one interpreter: what takes little before what takes long.

A define takes a millisecond or two, in many short steps from thread to thread; a search for a tree may take a hundred
at a stretch. Beside such a search each step would have to wrest the interpreter from it, at 0.1 to 0.5 ms a time. So
steps are counted while they wait or run, and a search that calls `give_way` stands aside while there are any. It never
does so for more than `PAUSE` in a row, and then computes for `SLICE`: whatever comes, it has its share.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque

SLICE = 0.0002
"""Seconds for which a search computes before it looks whether to stand aside."""

PAUSE = 0.0006
"""Seconds for which it stands aside in a row at the most."""


class _Mine(threading.local):
    """What is known of the running thread."""

    steps: Steps | None = None
    """Where what it runs is counted as a step."""
    until = 0.0
    """The end of its slice, by the monotonic clock."""
    pauses = 0


_mine = _Mine()
_lock = threading.Lock()
_places: tuple[deque[None], ...] = ()
_aside: deque[None] = deque()
"""One entry for each search that stands aside."""
_quiet = threading.Event()


class Steps:
    """The steps of one place that wait or run. Its methods may be called in any thread."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        global _places
        self._open: deque[None] = deque()  # its appends, pops and length need no lock
        with _lock:
            _places = (*_places, self._open)

    def close(self) -> None:
        """Count for nobody any more: for a place that ends with steps open which nobody will take."""
        global _places
        with _lock:
            _places = tuple(place for place in _places if place is not self._open)

    def expect(self) -> None:
        """Count a step from now on, before a thread was found for it."""
        self._open.append(None)

    def over(self) -> None:
        """Count it no more."""
        self._open.pop()
        if _aside and not any(_places):
            _quiet.set()

    def begin(self) -> None:
        """Tell that this thread runs a step that was expected; `end_step` ends it."""
        _mine.steps = self

    def expect_in_loop(self) -> None:
        """Count what the running event loop does next, until it comes to what is queued in it now."""
        self._open.append(None)
        asyncio.get_running_loop().call_soon(self.over)


STEPS = Steps()
"""Those of whoever sees to it that each one ends."""


def end_step() -> None:
    """Tell that this thread has ended its step."""
    mine = _mine
    steps, mine.steps = mine.steps, None
    if steps is not None:
        steps.over()


def begin_search() -> Steps | None:
    """Give this thread a slice; return what `end_search` wants to have."""
    mine = _mine
    mine.until = time.monotonic() + SLICE
    return mine.steps


def end_search(steps: Steps | None) -> None:
    """Tell that what this thread does now is short again."""
    mine = _mine
    if steps is not None and mine.steps is None:
        steps.expect()
        mine.steps = steps


def give_way() -> None:
    """Stand aside for a moment if shorter work waits: to be called in the loops of whatever computes for long.

    Call it as often as is convenient, best every 0.1 ms; most calls only look at the clock. Answers must not depend on
    it, and no lock may be held that others want.
    """
    mine = _mine
    now = time.monotonic()
    if now < mine.until:
        return
    end_step()  # what comes here is no short step any more, and others shall not stand aside for it
    if any(_places):
        mine.pauses += 1
        _aside.append(None)
        _quiet.clear()
        if any(_places):  # else the last step has ended before it was seen that somebody waits for that
            _quiet.wait(PAUSE)
        _aside.pop()
        now = time.monotonic()
    mine.until = now + SLICE


def pauses() -> int:
    """Return how often this thread has stood aside."""
    return _mine.pauses
