"""The bodies of answers, of which no more is read than a broker sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from dpb_remote.cutting import Cutter, TooLong

PIECE: Final = 64 * 1024
"""Bytes that are read at a time, so that whatever else the loop has to do comes in between."""
ERROR: Final = 64 * 1024
"""Bytes that are read of the body of an error: more can be no problem that is told."""
LINE: Final = 4 * 1024 * 1024
"""Bytes that one service may have in an answer: four times what a broker reads to make one."""
ANSWER: Final = 64 * 1024 * 1024
"""Bytes that an answer may have."""


def check(answer: aiohttp.ClientResponse) -> None:
    """Refuse what is compressed, which was not asked for: a little of it may be very much."""
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise ValueError("it answers what is compressed, which no broker does; is something between?")


async def error(answer: aiohttp.ClientResponse) -> bytes:
    """The body of an error, as much of it as matters."""
    found = bytearray()
    while len(found) <= ERROR and (piece := await answer.content.read(PIECE)):
        found += piece
    return bytes(found)


async def whole(answer: aiohttp.ClientResponse) -> bytes:
    """The body of an answer. `TooLong`, `ValueError`."""
    check(answer)
    found = bytearray()
    async for piece in _pieces(answer):
        found += piece
    return bytes(found)


async def lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The lines of an answer, as they come. `TooLong`, `ValueError`."""
    check(answer)
    cutter = Cutter("a line", b"\n", LINE)
    async for piece in _pieces(answer):
        for line in cutter.feed(piece):
            yield line


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    size = 0
    while piece := await answer.content.read(PIECE):
        size += len(piece)
        if size > ANSWER:
            raise TooLong("it sends an answer without an end, which no broker does; is the URL right?")
        yield piece
