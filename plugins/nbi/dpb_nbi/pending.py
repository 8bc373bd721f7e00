"""What is given to those who keep a copy of a network: what waits for each, and what may wait a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from dpb_nbi.events import MAX_PENDING, QUIET

LINGER: Final = 0.005
"""Seconds for which changes wait that a superior knows from the answer to its order: what is news is in a hurry."""
_COMMENT: Final = b":\n\n"


class Copy:
    """What waits for one reader, within a bound; a comment line where nothing came for *quiet* seconds.

    It ends when its credential is not *alive* any more. Belongs to the event loop.
    """

    def __init__(self, quiet: float, alive: Callable[[], bool]) -> None:
        self._quiet = quiet
        self._alive = alive
        self._loop = asyncio.get_running_loop()
        self._pending: list[bytes] = []
        self._size = 0
        self._most = float("inf")  # until the whole is made: a slow reader has no part in that
        self._wake: asyncio.Future[None] | None = None
        self._fed = self._loop.time()
        # It looks when it must, not at each text: those may be many.
        self._timer = self._loop.call_later(min(quiet, QUIET), self._tick)
        self.closed = False

    def feed(self, text: bytes) -> None:
        """Take *text*; a reader that is too slow is sent away, and gets everything anew when it comes back."""
        if self.closed:  # else whoever is fed without a pause would never end
            return
        self._fed = self._loop.time()
        self._pending.append(text)
        self._size += len(text)
        if self._size > self._most:
            self._pending.clear()
            self.close()
        self._rouse()

    def bound(self, whole: int) -> None:
        """Bound what may wait: anew its reader would get the *whole*, so many bytes, and be no nearer."""
        self._most = MAX_PENDING + whole

    def close(self) -> None:
        """End; what waits is still sent."""
        self.closed = True
        self._timer.cancel()
        self._rouse()

    def _tick(self) -> None:
        if not self._alive():
            self.close()
            return
        now = self._loop.time()
        if now - self._fed >= self._quiet:
            self.feed(_COMMENT)
        if not self.closed:
            self._timer = self._loop.call_at(min(self._fed + self._quiet, now + QUIET), self._tick)

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def take(self) -> bytes:
        """Return all that waits, once something does; nothing once it is closed."""
        while not self._pending and not self.closed:
            self._wake = self._loop.create_future()
            await self._wake
        taken = b"".join(self._pending)
        self._pending.clear()
        self._size = 0
        return taken


class Linger:
    """Calls that wait for `LINGER` seconds, all of them for the same moment. Belongs to the event loop."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], None]] = []

    def put(self, call: Callable[[], None]) -> None:
        """Make *call* in a while."""
        if not self._calls:
            asyncio.get_running_loop().call_later(LINGER, self._over)
        self._calls.append(call)

    def _over(self) -> None:
        calls, self._calls = self._calls, []
        loop = asyncio.get_running_loop()
        for call in calls:  # each in its own turn: what goes wrong is that one's matter
            loop.call_soon(call)
