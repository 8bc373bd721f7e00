"""The way back: what creates may have left behind is released in the background.

A request that nobody answered may still wait, in a socket or a proxy, and take effect after all: that nothing is
found says nothing about later. So its handle is looked for again and again, for as long as such a request may live.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

CLEANING = 600.0
"""For how many seconds a handle is looked for."""

PAUSES = (0.2, 10.0)
"""The shortest and the longest pause between two looks, in seconds."""


class _Wanted(NamedTuple):
    """Since when a handle is looked for, until when, and whether one look that finds nothing left is enough."""

    since: float
    until: float
    once: bool


class Cleaner:
    """Releases handles: one thread for all of them, which ends when there is none left.

    *release* gets them all, as they share a question to the broker, and returns those of which nothing is left now.
    """

    def __init__(self, release: Callable[[frozenset[str]], frozenset[str]], logger: logging.Logger) -> None:
        self._release = release
        self._logger = logger
        self._changed = threading.Condition()
        self._wanted: dict[str, _Wanted] = {}
        self._running = False

    def add(self, handle: str, *, once: bool) -> None:
        """Release what has *handle*: until nothing is left if *once* is enough, else whenever it appears."""
        now = time.monotonic()
        with self._changed:
            self._wanted[handle] = _Wanted(now, now + CLEANING, once)
            self._changed.notify()
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="osm-cleaner", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._wanted:
                    self._running = False
                    return
                handles = frozenset(self._wanted)
            try:
                clean = self._release(handles)
            except Exception:
                self._logger.exception("what creates left behind could not be looked for")
                clean = frozenset()
            now = time.monotonic()
            with self._changed:
                for handle in handles:
                    self._judge(handle, handle in clean, now)
                if self._wanted:
                    youngest = max(wanted.since for wanted in self._wanted.values())
                    # Late requests come soon or hardly at all: the longer ago, the rarer the looks.
                    self._changed.wait(min(max((now - youngest) / 4, PAUSES[0]), PAUSES[1]))

    def _judge(self, handle: str, clean: bool, now: float) -> None:
        wanted = self._wanted[handle]
        if clean and (wanted.once or now > wanted.until):
            del self._wanted[handle]
        elif now > wanted.until:
            del self._wanted[handle]
            self._logger.error("%s may be left: `dpb service list` shows it", handle)
