"""Cuts what arrives at what ends each part of it, and bounds the parts. Pure."""

from __future__ import annotations


class TooLong(ValueError):
    """What is sent has no end where any that a broker sends has one."""


class Cutter:
    """Cuts at *end*; *what* has at most so many bytes. What is not whole yet is not looked at twice."""

    def __init__(self, what: str, end: bytes, most: int) -> None:
        self._what = what
        self._end = end
        self._most = most
        self._rest = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """Take what arrived and return what it completes. `TooLong`."""
        rest, end = self._rest, self._end
        begin = max(0, len(rest) - len(end) + 1)  # the end may lie across two pieces
        rest += piece
        if rest.find(end, begin) >= 0:
            *whole, last = bytes(rest).split(end)
            self._rest = rest = bytearray(last)
        else:
            whole = []
        if len(rest) >= self._most + len(end) or max(map(len, whole), default=0) > self._most:
            raise TooLong(f"it sends {self._what} without an end, which no broker does; is the URL right?")
        return whole
