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

SHORT = 0.005
"""Seconds after which a step is no short one any more: a slow disk, a search that does not give way, or one that was
never told to have ended, since what it waited for was dropped."""


class _Mine(threading.local):
    """What is known of the running thread."""

    counted = False
    """Whether what it runs is counted as a step."""
    until = 0.0
    """The end of its slice, by the monotonic clock."""
    pauses = 0


_mine = _Mine()
_steps: deque[float] = deque()
"""When each open step began; appends, pops and looks at an end need no lock.

Whatever ends takes the last one away: what never ends stays below, and grows old.
"""
_aside: deque[None] = deque()
"""One entry for each search that stands aside."""
_quiet = threading.Event()


def _any_short(now: float) -> bool:
    try:
        return _steps[-1] > now - SHORT
    except IndexError:
        return False


def expect_step() -> None:
    """Count a step from now on, before a thread was found for it; `step_over` or `end_step` ends it."""
    _steps.append(time.monotonic())


def step_over() -> None:
    """Count one step no more."""
    _steps.pop()
    if _aside and not _any_short(time.monotonic()):
        _quiet.set()


def expect_in_loop() -> None:
    """Count what the running event loop does next, until it comes to what is queued in it now."""
    expect_step()
    asyncio.get_running_loop().call_soon(step_over)


def begin_step() -> None:
    """Tell that this thread runs a step that was expected; `end_step` ends it."""
    _mine.counted = True


def end_step() -> None:
    """Tell that what this thread runs is no step, or none any more; nothing where it was none."""
    mine = _mine
    if mine.counted:
        mine.counted = False
        step_over()


def begin_search() -> bool:
    """Give this thread a slice; return what `end_search` wants to have."""
    mine = _mine
    mine.until = time.monotonic() + SLICE
    return mine.counted


def end_search(counted: bool) -> None:
    """Tell that what this thread does now is short again, if it was before."""
    mine = _mine
    if counted and not mine.counted:
        expect_step()
        mine.counted = True


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
    if _any_short(now):
        mine.pauses += 1
        _aside.append(None)
        try:
            _quiet.clear()
            # Two searches may take each other's signal away: then one of them waits to the end of its pause.
            if _any_short(now):
                _quiet.wait(PAUSE)
        finally:
            _aside.pop()
        now = time.monotonic()
    mine.until = now + SLICE


def pauses() -> int:
    """Return how often this thread has stood aside."""
    return _mine.pauses
