"""What a client has sent and nobody has read yet.

asyncio's reader will not do: a channel of asyncssh that goes on delivers what has come meanwhile within the very call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

AHEAD: Final = 1 << 17
"""How many bytes are taken before they are asked for; then the client has to wait."""


def _nothing() -> None:
    return


class Inlet:
    """Bytes in order, with back-pressure by *pause* and *resume*. One reads at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ended = False
        self._paused = False
        self._news = asyncio.Event()
        self.pause: Callable[[], None] = _nothing
        self.resume: Callable[[], None] = _nothing

    def feed(self, data: bytes) -> None:
        """More came; after the end nothing counts."""
        if self._ended:
            return
        self._buffer += data
        self._news.set()
        if len(self._buffer) > AHEAD and not self._paused:
            self._paused = True
            self.pause()

    def end(self) -> None:
        """No more will come."""
        self._ended = True
        self._news.set()

    async def _more(self) -> None:
        """Wait until more is there, or the end."""
        self._news.clear()
        if self._paused:
            self._paused = False
            self.resume()  # which may feed
        await self._news.wait()

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def exactly(self, count: int) -> bytes:
        """Return *count* bytes, fewer at the end."""
        while len(self._buffer) < count and not self._ended:
            await self._more()
        return self._take(count)

    async def some(self, most: int) -> bytes:
        """Return what there is, at least a byte and at most *most*; none at the end."""
        while not self._buffer and not self._ended:
            await self._more()
        return self._take(most)

    async def line(self, most: int) -> bytes | None:
        """Return a line with its end, at the end of all what is left; None when it is longer than *most*."""
        start = 0
        while (at := self._buffer.find(b"\n", start)) < 0 and not self._ended and len(self._buffer) <= most:
            start = len(self._buffer)
            await self._more()
        if (len(self._buffer) if at < 0 else at) > most:
            return None
        return self._take(len(self._buffer) if at < 0 else at + 1)
