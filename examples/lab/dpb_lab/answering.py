"""An HTTP server in the test's own process, for programs that are only played: each call is answered as it is told."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import frozen

HTML = b"<html><body>It works!</body></html>"
"""What is answered by some other program."""


@frozen
class Call:
    """A call that is to be answered; *path* with its query."""

    method: str
    path: str
    headers: Mapping[str, str]
    data: bytes

    @property
    def body(self) -> Any:
        """What is sent, from JSON; None for nothing."""
        return json.loads(self.data) if self.data else None


@frozen
class Answer:
    """An answer. A *broken* one breaks off in its middle, and the connection ends."""

    status: int
    data: bytes = b""
    kind: str = "application/json"
    broken: bool = False

    @classmethod
    def of(cls, status: int, plain: Any, *, broken: bool = False) -> Answer:
        """An answer in JSON; None for nothing."""
        return cls(status, b"" if plain is None else json.dumps(plain).encode(), broken=broken)

    @classmethod
    def html(cls) -> Answer:
        """The answer of some other program."""
        return cls(200, HTML, "text/html; charset=utf-8")


class Answering:
    """A server on loopback, always at the same port. It is started and stopped as often as wanted.

    *answer* is called in the connection's own thread, and may wait there: until `ended`, of which it is told by
    *ending*. Where it gives None there is no answer, and the connection ends.
    """

    def __init__(
        self,
        answer: Callable[[Call], Answer | None],
        *,
        tls: ssl.SSLContext | None = None,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        self.answer, self.tls = answer, tls
        self._ending = ending
        self.port = 0
        self.ended = False
        self._server: _Server | None = None
        self._thread = threading.Thread()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self.ended = False
        self._server = server = _Server(self)
        self.port = server.server_address[1]
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> bool:
        """End all connections, with calls that are not answered yet; whether it was started. Repeatable."""
        server, self._server = self._server, None
        if server is None:
            return False
        self.ended = True
        server.shutdown()
        server.break_off()
        self._ending()
        server.server_close()
        self._thread.join()
        return True


@contextlib.contextmanager
def trickling(begun: bytes) -> Iterator[str]:
    """A server on loopback that begins its answers thus and goes on an octet at a time, for some seconds; its URL."""
    ended = threading.Event()

    class Trickle(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.recv(1 << 16)
                self.request.sendall(begun)
                for _ in range(500):
                    if ended.wait(0.01):
                        break
                    self.request.sendall(b" ")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Trickle) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            ended.set()
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", answering.port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.answering.tls is not None:
            # The handshake is for the connection's thread: here a silent client would stop all others.
            connection = self.answering.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are what is tested."""

    def break_off(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def _serve(self) -> None:
        answering = self.server.answering
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = Call(self.command, self.path, dict(self.headers.items()), data)
        answer = None if answering.ended else answering.answer(call)
        if answer is None or answering.ended:
            self.close_connection = True
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.data)))
        self.end_headers()
        self.wfile.write(answer.data[: len(answer.data) // 2] if answer.broken else answer.data)
        if answer.broken:
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815
