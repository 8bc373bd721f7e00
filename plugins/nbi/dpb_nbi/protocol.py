"""The protocol of one connection: uvicorn's, with what it lacks."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from dpb_nbi import limits
from dpb_nbi.guests import Guests, near
from dpb_nbi.problems import CONTENT_TYPE, Problem
from dpb_nbi.tls import subject
from dpb_nbi.wire import ACQUAINTED, CERTIFICATE, too_long

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

_log = logging.getLogger("dpb_nbi.http")
_log.setLevel(logging.ERROR)  # a line about each bit of garbage would let strangers fill the disk


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
    """uvicorn's, but that it sends an answer in one piece, writes no access log and answers garbage with a problem.

    It tells the application whom a client's certificate names, and bounds what a client may send and how long that may
    take.
    """

    def __init__(self, *args: Any, guests: Guests, sock: socket.socket, address: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.near = near(address)
        self._guests = guests
        self._socket = sock
        self._known = False
        self.access_log = False
        self.logger = _log
        self._head = 0
        self._fault: Problem | None = None
        self._subject: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._reading = False
        """Whether a request has begun and is not there to its end."""
        self._in_body = False
        self._answered: RequestResponseCycle | None = None
        """The request that is answered; `cycle` is the last that came, which may still wait for its turn."""
        self._ahead = 0
        """Bytes that came while a request waited for its turn."""

    def connection_made(self, transport: Any) -> None:
        """Begin, with a transport that joins writes."""
        # A transport by what it can do.
        super().connection_made(JoiningTransport(transport, self.loop))  # type: ignore[arg-type]
        self._subject = subject(transport)
        self._timer = self.loop.call_later(limits.HEAD_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and tell every request of it: uvicorn tells the last that came only."""
        self._guests.leave(self)
        self._disarm()
        self.resume_writing()
        for cycle in (self._answered, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    @property
    def idle(self) -> bool:
        """Whether nothing is answered; a request that is not there to its end is not yet."""
        cycle = self._answered
        return cycle is None or cycle.response_complete or cycle.more_body

    def give_way(self) -> None:
        """End at once, also in a handshake."""
        if self.transport is not None:
            self.transport.abort()
        else:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _acquainted(self) -> None:
        self._known = True
        self._guests.know(self)

    def data_received(self, data: bytes) -> None:
        """Take what came. What is still to come of a request must come in time."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.pipeline:
            self._wait_for_turn(len(data))
        if self._reading and self._timer is None:
            patience = limits.BODY_SECONDS if self._in_body else limits.HEAD_SECONDS
            self._timer = self.loop.call_later(patience, self._too_slow)

    def _wait_for_turn(self, size: int) -> None:
        """Read on while requests wait, which uvicorn does not: that a client has gone is seen only by reading.

        Who sends too much ahead of the answers is read no further, and that not for ever.
        """
        self._ahead += size
        if self._ahead <= limits.MAX_AHEAD:
            self.flow.resume_reading()
            return
        self.flow.pause_reading()
        if self._timer is None:
            self._timer = self.loop.call_later(limits.STALLED_SECONDS, self._too_slow)

    def on_response_complete(self) -> None:
        """Send the answer."""
        self.transport.flush()  # type: ignore[attr-defined]  # the one that connection_made put there
        if not self._reading:
            self._disarm()
        super().on_response_complete()
        if not self.pipeline:
            self._ahead = 0
            self._guests.answered(self)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_begin(self) -> None:
        """Begin to count the head."""
        super().on_message_begin()
        self._head = 0
        self._reading, self._in_body = True, False
        # A scope may have keys of the server's own.
        if self._subject is not None:
            self.scope[CERTIFICATE] = self._subject  # type: ignore[typeddict-unknown-key]
        if not self._known:
            self.scope[ACQUAINTED] = self._acquainted  # type: ignore[typeddict-unknown-key]

    def on_url(self, url: bytes) -> None:
        """Count."""
        self._count(len(url))
        super().on_url(url)
        if len(self.url) > limits.MAX_URL:
            self._fault = Problem(414, "url-too-long", f"the URL is longer than {limits.MAX_URL} bytes")
            raise ValueError(self._fault.detail)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count. What follows a body in chunks looks like headers, and is none: it comes when they were judged."""
        self._count(len(name) + len(value))
        if self._in_body:
            return
        if len(self.headers) >= limits.MAX_HEADERS:
            self._fault = Problem(431, "head-too-large", f"there are more than {limits.MAX_HEADERS} headers")
            raise ValueError(self._fault.detail)
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > limits.MAX_HEAD:
            self._fault = Problem(431, "head-too-large", f"the head is longer than {limits.MAX_HEAD} bytes")
            raise ValueError(self._fault.detail)

    def on_headers_complete(self) -> None:
        """Give the body its time. A request without a version is HTTP/0.9, which has no place for an answer of ours."""
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            raise ValueError("no version of HTTP that is spoken here")
        super().on_headers_complete()
        self._in_body = True
        if self._timer is not None:
            self._disarm()
            self._timer = self.loop.call_later(limits.BODY_SECONDS, self._too_slow)

    def on_message_complete(self) -> None:
        """The request is there."""
        self._reading = False
        self._disarm()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read: not for ever."""
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(limits.STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().resume_writing()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        cycle = self.cycle
        # While a head is read, the cycle is still the last request's.
        free = cycle is None or (not cycle.response_started if self._in_body else cycle.response_complete)
        if self._reading and free and not self.pipeline:
            self._refuse(Problem(408, "too-slow", "the request did not come in time"))
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer with a problem, and close."""
        fault = self._fault
        if fault is None and "Content-Length overflow" in str(sys.exc_info()[1]):  # what the parser cannot count
            fault = too_long()
        self._refuse(fault or Problem(400, "bad-request", "this is no request of HTTP/1.1"))

    def _refuse(self, problem: Problem) -> None:
        self._disarm()
        self.transport.write(refusal(problem))
        self.transport.close()


def refusal(problem: Problem) -> bytes:
    """Return the whole answer, after which the connection is closed."""
    body = problem.body()
    head = (
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}\r\ncontent-type: {CONTENT_TYPE}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
