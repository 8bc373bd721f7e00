"""Reads that have a time-out together: for adaptors, whose devices may let an answer trickle in without end.

A socket's own time-out is for one read: who sends a byte now and then would hold its caller for ever.
"""

from __future__ import annotations

import io
import socket
import time
from typing import Any


class TimedReads(io.RawIOBase):
    """Reads from a line by *raw*, with the line's time-out (seconds) for all reads together. `TimeoutError`."""

    def __init__(self, raw: io.RawIOBase, line: socket.socket) -> None:
        self._raw, self._line = raw, line
        self._most = line.gettimeout() or 0.0
        self._deadline = time.monotonic() + self._most

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there, as long as there is time."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._line.settimeout(left)
        try:
            return self._raw.readinto(buffer)
        finally:
            self._line.settimeout(self._most)  # the next call begins with it

    def close(self) -> None:
        """Close what it reads by, too."""
        self._raw.close()
        super().close()
