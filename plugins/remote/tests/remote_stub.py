"""Something that answers as it is told, where a remote network expects another broker."""

from __future__ import annotations

import json
import ssl
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dpb_framework.model import Segment

from .remote_worlds import PATIENCE

Send = Callable[[bytes], None]

AB = Segment.of(("a", 1, 10, 10), ("b", 1, 10, 10))
WHOLE = {
    "network": "s1",
    "store": "there",
    "instance": "one",
    "moment": 1,
    "quiet-millis": 1000,
    "last-event": 0,
    "last-service": 0,
    "terminals": ["a", "b"],
    "model": {"fragments": [{"terminals": ["a", "b"], "chords": None}]},
    "beneath": [],
    "services": [],
}
HERE = {
    "id": 7,
    "network": "s1",
    "handle": "h",
    "owner": "",
    "status": "DORMANT",
    "desired": "DORMANT",
    "change": "none",
    "segment": None,
    "constraints": None,
    "error": None,
    "conditions": [],
    "moment": 1,
}
"""A service that is there."""


class Refusal(Exception):
    """Raised by `Stub.orders`: the request is refused as a whole, with this status and body."""


def problem(status: int, code: str, detail: str = "no") -> tuple[int, bytes]:
    """An error's status and body."""
    return status, json.dumps({"type": "about:blank", "status": status, "code": code, "detail": detail}).encode()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of what goes wrong here; how connections end is the tests' matter."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Stub:
    """Answers as it is told, and keeps the heads of what it was asked.

    `orders` gets the orders of each request, and what sends a piece of the answer; without it `answer` is given.
    """

    def __init__(self) -> None:
        self.stream: tuple[int, bytes] = (200, b"event: whole\ndata: " + json.dumps(WHOLE).encode() + b"\n\n")
        self.answer: tuple[int, bytes] = (200, b"{}")
        self.orders: Callable[[list[dict[str, Any]], Send], None] | None = None
        self.heads: list[dict[str, str]] = []
        self.headers: dict[str, str] = {}
        """What is told of every answer, beside or in place of the usual."""
        self.over = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                stub.heads.append({k.lower(): v for k, v in self.headers.items()})
                is_stream = "/mirror" in self.path
                status, body = stub.stream if is_stream else stub.answer
                self.send_response(status)
                good = is_stream and status == 200
                kind = "text/event-stream" if good else "application/problem+json"
                length = {} if good else {"Content-Length": str(len(body))}
                for name, value in {"Content-Type": kind, **length, **stub.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()
                if good:
                    self.close_connection = True
                    stub.over.wait(PATIENCE)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if stub.orders is None:
                    self.do_GET()
                    return
                stub.heads.append({k.lower(): v for k, v in self.headers.items()})
                begun = False

                def send(piece: bytes) -> None:
                    nonlocal begun
                    if not begun:
                        begun = True
                        self.send_response(200)
                        self.send_header("Content-Type", "application/x-ndjson")
                        self.send_header("Transfer-Encoding", "chunked")
                        self.end_headers()
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    self.wfile.flush()

                try:
                    stub.orders(json.loads(body)["orders"], send)
                    send(b"")
                except Refusal as refusal:
                    status, text = refusal.args
                    self.send_response(status)
                    self.send_header("Content-Type", "application/problem+json")
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        # The handshake is left to the thread of each connection, so that one which fails is that one's matter.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = self.url.replace("http:", "https:")

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
