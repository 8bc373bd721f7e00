"""Server-sent events, as far as brokers use them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attrs import frozen

from dpb_remote.cutting import Cutter

MOST: Final = 64 * 1024 * 1024
"""Bytes that one event may have: enough for the whole of a network with 150 000 services of two ends."""


@frozen
class Said:
    """One event: its name, its number (0: none), its data as bytes."""

    event: str
    number: int
    data: bytes


class Parser:
    """Cuts what arrives into events; comment lines are swallowed."""

    def __init__(self) -> None:
        self._cutter = Cutter("an event", b"\n\n", MOST)

    def feed(self, piece: bytes) -> Iterator[Said]:
        """Take what arrived and yield the events that it completes. `TooLong`."""
        for block in self._cutter.feed(piece):
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
