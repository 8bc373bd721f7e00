"""Server-sent events, as far as brokers use them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import frozen

MOST: Final = 256 * 1024 * 1024
"""Bytes that one event may have: more is no broker."""


@frozen
class Said:
    """One event: its name, its number (0: none), its data as bytes."""

    event: str
    number: int
    data: bytes


class TooLong(Exception):
    """An event has no end."""


class Parser:
    """Cuts what arrives into events; comment lines are swallowed."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[Said]:
        """Take what arrived and yield the events that it completes. `TooLong`."""
        if self._pieces:
            # The blank line may lie across two pieces: only then is what came before of interest.
            last = self._pieces[-1]
            if b"\n\n" not in last[-1:] + piece:
                self._pieces.append(piece)
                self._size += len(piece)
                if self._size > MOST:
                    raise TooLong
                return
            piece = b"".join([*self._pieces, piece])
            self._pieces, self._size = [], 0
        *blocks, rest = piece.split(b"\n\n")
        if rest:
            self._pieces, self._size = [rest], len(rest)
        for block in blocks:
            if (said := _event(block)) is not None:
                yield said


def _event(block: bytes) -> Said | None:
    event, number, data = "message", 0, []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            event = value.decode("utf-8", "replace")
        elif name == b"data":
            data.append(value)
        elif name == b"id" and value.isdigit():
            number = int(value)
    return Said(event, number, b"\n".join(data)) if data else None
