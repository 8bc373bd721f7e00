"""The protocol of one connection: uvicorn's, with what it lacks."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dpb_nbi.problems import CONTENT_TYPE, Problem

_MAX_HEAD: Final = 65_536
"""The longest head of a request, in bytes."""


class JoiningTransport:
    """A transport that sends at once, in one call of the system, what is written in one turn of the loop.

    uvicorn writes the head and the body of an answer one after the other, and the call costs more than all else.
    """

    __slots__ = ("_loop", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send *data*, before the loop does anything else, or with what follows."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts.append(data)

    def flush(self) -> None:
        """Send what was written."""
        if self._parts:
            parts, self._parts = self._parts, []
            self._transport.write(b"".join(parts))

    def close(self) -> None:
        """Send what was written, and close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """uvicorn's, but that it sends an answer in one piece, writes no access log, answers garbage with a problem, and

    bounds the head of a request.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False
        self._head = 0

    def connection_made(self, transport: Any) -> None:
        """Begin, with a transport that joins writes."""
        super().connection_made(JoiningTransport(transport, self.loop))  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        """Send the answer."""
        self.transport.flush()  # type: ignore[attr-defined]
        super().on_response_complete()

    def on_message_begin(self) -> None:
        """Begin to count the head."""
        super().on_message_begin()
        self._head = 0

    def on_url(self, url: bytes) -> None:
        """Count."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > _MAX_HEAD:
            raise ValueError("the head of the request is too long")

    def send_400_response(self, msg: str) -> None:
        """Answer with a problem, and close."""
        body = Problem(400, "bad-request", "this is no request of HTTP/1.1, or its head is too long").body()
        head = (
            f"HTTP/1.1 400 Bad Request\r\ncontent-type: {CONTENT_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()
