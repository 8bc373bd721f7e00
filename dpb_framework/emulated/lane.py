"""One connection to a device process, used by one thread at a time."""

from __future__ import annotations

import socket
import time
from typing import Any

from dpb_framework.emulated.protocol import MAX_LINE, Address, decode, encode
from dpb_framework.errors import BadArgument


class Garbled(OSError):
    """Whatever answers there does not speak the protocol."""


class Lane:
    """A connection; *deadline* is always a value of `time.monotonic`, missing it is `TimeoutError`."""

    def __init__(self, address: Address, name: str, deadline: float) -> None:
        self.name = name
        self._socket = address.connect(_left(deadline))
        self._unread = bytearray()
        self._number = 0

    def ask(self, message: dict[str, Any], deadline: float) -> dict[str, Any]:
        """Send *message* and return its answer. `OSError` when contact ends, `Garbled` when the answer is none."""
        self._number += 1
        self.send({"id": self._number, "lane": self.name, **message}, deadline)
        while True:
            answer = self.read(deadline)
            if answer.get("id") == self._number:
                return answer
            if "event" not in answer:
                raise Garbled(f"unexpected answer: {str(answer)[:100]}")

    def send(self, message: dict[str, Any], deadline: float) -> None:
        """Send *message*."""
        self._socket.settimeout(_left(deadline))
        self._socket.sendall(encode(message))

    def read(self, deadline: float) -> dict[str, Any]:
        """Return the next message; what came of it so far is kept when the deadline is missed."""
        searched = 0
        while (end := self._unread.find(b"\n", searched)) < 0:
            searched = len(self._unread)
            if searched > MAX_LINE:
                raise Garbled("an answer without end")
            self._socket.settimeout(_left(deadline))
            received = self._socket.recv(1 << 16)
            if not received:
                raise ConnectionResetError("the device ended the connection")
            self._unread += received
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        try:
            return decode(line)
        except BadArgument as error:
            raise Garbled(str(error)) from None

    def interrupt(self) -> None:
        """End it from another thread: whoever reads gets an `OSError`."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # Already at its end, which is what is wanted.
            return

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
