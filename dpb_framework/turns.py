"""Turns: what a thread does for the kernel at a stretch, and what it leaves to the end of that.

A turn begins with the tasks that wait on a strand and ends when they are done, with all that they bring about on other
strands. Much that happens in it comes in dozens (a service goes through dozens of networks), and is cheaper done once
for all: looking at a service whose inferiors have answered, sending what is for one broker. Such a call is left to the
end of the turn, by `at_last`; what comes one by one and is best taken together is brought to it by `together`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
Call = Callable[[], object]

DEEP = 4
"""Calls that were left to the end may bring about turns in which others would be made: not deeper than so."""

_logger = logging.getLogger("dpb.runtime")


class _Thread(threading.local):
    """What is known of the running thread."""

    forbidden = False
    """Whether it does the kernel's work now, and must not block on a reply."""
    last: dict[Callable[..., object], list[Any] | None] | None = None
    """What it calls at the end of its turn, and what with (None: nothing); None outside of one."""
    depth = 0
    """In how many such calls it is, one within the other."""


THREAD = _Thread()


def at_last(call: Call) -> None:
    """Make *call* at the end of this thread's turn, once if the same call is left to it again; outside of one, now."""
    last = THREAD.last
    if last is None:
        call()
    else:
        last[call] = None


def together(call: Callable[[list[T]], object], item: T) -> None:
    """Make *call* at the end of this thread's turn, with all items that were brought to it; outside of one, now."""
    last = THREAD.last
    if last is None:
        call([item])
    elif (items := last.get(call)) is not None:
        items.append(item)
    else:
        last[call] = [item]


def do_last() -> None:
    """Make the calls that were left to the end now: to be called before what takes long."""
    thread = THREAD
    last = thread.last
    if not last or thread.depth >= DEEP:  # who is further out goes on with them
        return
    thread.depth += 1
    try:
        while last:
            call = next(iter(last))
            items = last.pop(call)
            try:
                if items is None:
                    call()
                else:
                    call(items)
            except Exception:  # what else was left must not be forgotten for it
                _logger.exception("a call at the end of a turn failed")
    finally:
        thread.depth -= 1


def begin_turn() -> bool:
    """Begin a turn, and tell so; False where this is part of one. Whoever has begun it must call `end_turn`."""
    if THREAD.last is not None:
        return False
    THREAD.last = {}
    return True


def end_turn() -> None:
    """Make the calls that were left to the end, and end the turn."""
    if THREAD.last:
        do_last()
    THREAD.last = None


@contextmanager
def turn() -> Iterator[None]:
    """Do several things in one turn."""
    begun = begin_turn()
    try:
        yield
    finally:
        if begun:
            end_turn()
