"""Accepts connections: counted before their handshake, at a pace, and without a line in the log for each that fails.

What asyncio accepts by itself it tells of only after the handshake, and it takes on all that come at once.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from dpb_nbi import limits
from dpb_nbi.guests import Guests

if TYPE_CHECKING:
    from dpb_nbi.protocol import Protocol

_log = logging.getLogger("dpb_nbi")

_AT_ONCE: Final = 64
"""How many are accepted before those who are in get their turn."""
_PAUSE: Final = 1.0
"""Seconds until it is tried again when none can be accepted."""
_SILENCE: Final = 60.0
"""Seconds between two lines in the log about that."""


class Entrance:
    """A listening socket, and those who are coming in by it. Belongs to an event loop.

    *make* makes the protocol of a socket and its client's address. Who finds no room gets *refusal*, and with *tls*
    nothing: a handshake for it would need the room that is not there.
    """

    def __init__(
        self,
        listener: socket.socket,
        guests: Guests,
        make: Callable[[socket.socket, str], Protocol],
        refusal: bytes,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._guests = guests
        self._make = make
        self._refusal = refusal
        self._tls = tls
        self._coming: dict[asyncio.Task[object], Protocol] = {}
        self._again: asyncio.TimerHandle | None = None
        self._told = float("-inf")
        listener.setblocking(False)

    def open(self) -> None:
        """Begin to accept."""
        self._again = None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    async def close(self) -> None:
        """Accept no more, and end those whose handshake is under way. The socket stays open."""
        self._loop.remove_reader(self._listener.fileno())
        if self._again is not None:
            self._again.cancel()
        for _ in range(3):  # the turns that those need who are just coming to be
            await asyncio.sleep(0)
        coming = dict(self._coming)
        for guest in coming.values():
            guest.give_way()
        if coming:
            await asyncio.wait(coming, timeout=_PAUSE)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                found, where = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._wait(error)
                return
            found.setblocking(False)
            self._let_in(found, str(where[0]))

    def _wait(self, error: OSError) -> None:
        self._loop.remove_reader(self._listener.fileno())
        self._again = self._loop.call_later(_PAUSE, self.open)
        now = time.monotonic()
        if now >= self._told + _SILENCE:
            self._told = now
            _log.error("no connection can be accepted for the moment: %s", error.strerror)

    def _let_in(self, found: socket.socket, address: str) -> None:
        guest = self._make(found, address)
        if not self._guests.enter(guest):
            if self._tls is None:
                _say(found, self._refusal)
            found.close()
            return
        patience = limits.HANDSHAKE_SECONDS if self._tls is not None else None
        task: asyncio.Task[object] = self._loop.create_task(
            self._loop.connect_accepted_socket(lambda: guest, found, ssl=self._tls, ssl_handshake_timeout=patience)
        )
        self._coming[task] = guest
        task.add_done_callback(partial(self._came, found))

    def _came(self, found: socket.socket, task: asyncio.Task[object]) -> None:
        guest = self._coming.pop(task)
        failed = task.cancelled() or task.exception() is not None
        if failed:
            found.close()
        if guest.transport is None:
            self._guests.leave(guest)


def _say(found: socket.socket, text: bytes) -> None:
    try:
        found.send(text)
    except OSError:
        return
