"""What a stream's reader has handed over and nobody has taken up yet: while that is much, the reader waits."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

MOST: Final = 256 * 1024
"""Bytes that may wait to be taken up; one text may be longer, and is then the only one."""


class Backlog:
    """Between a reader in the running loop and one who takes up what it gives, one after the other, in any threads.

    The connection's own buffers fill while the reader waits: so the other side does, too.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._given = 0
        self._taken = 0
        self._awaited = False
        self._room = asyncio.Event()

    @property
    def full(self) -> bool:
        """Whether its reader should wait."""
        return self._given - self._taken > MOST

    def give(self, size: int) -> None:
        """So many bytes are handed over. In the loop."""
        self._given += size

    def take(self, size: int) -> None:
        """So many are taken up."""
        self._taken += size
        if self._awaited:
            with suppress(RuntimeError):  # the loop has ended, and its reader with it
                self._loop.call_soon_threadsafe(self._room.set)

    async def room(self) -> None:
        """Wait until it is full no more."""
        self._awaited = True  # before it is looked: what is taken from now on is told
        try:
            while self.full:
                await self._room.wait()
                self._room.clear()
        finally:
            self._awaited = False
