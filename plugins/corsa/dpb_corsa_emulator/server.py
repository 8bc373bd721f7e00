"""HTTPS: cheroot with the switch's own certificate."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cheroot.errors import FatalSSLAlert
from cheroot.makefile import MakeFile
from cheroot.ssl import Adapter
from cheroot.wsgi import Gateway_10, Server

log = logging.getLogger(__name__)

PEER = "dpb.peer"
"""In the WSGI environment: the connection's socket."""

MAX_BODY = 64_000_000
"""Above this a connection is broken off; the application refuses sooner, and in order."""

_adapter: Any = Adapter
_gateway: Any = Gateway_10
_server: Any = Server


class Connection(ssl.SSLSocket):
    """A connection of TLS that closes itself, where its client has gone before it was made and when it is forgotten."""

    def getpeername(self) -> Any:
        """Whose it is. The standard library asks while it makes one, and leaves what it could not make open."""
        try:
            return super().getpeername()
        except OSError as gone:
            self.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, str(gone)) from None

    def __del__(self) -> None:
        self.close()  # cheroot forgets some of those that break off


class Tls(_adapter):  # type: ignore[misc]  # cheroot has no types
    """Shakes hands in the connection's own thread: cheroot's adapter does it where it accepts, one after the other."""

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(str(certificate), str(key))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(certificate, key)
        self.context.sslsocket_class = Connection
        self._made: weakref.WeakSet[ssl.SSLSocket] = weakref.WeakSet()

    def bind(self, sock: Any) -> Any:
        """The listening socket stays as it is."""
        return sock

    def wrap(self, sock: Any) -> tuple[Any, dict[str, str]]:
        """Make a connection one of TLS."""
        try:
            made = self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError as gone:
            sock.close()
            raise FatalSSLAlert(str(gone)) from None
        self._made.add(made)
        return made, self.get_environ()

    def end(self) -> None:
        """Close the connections that cheroot has forgotten: those whose answer ended while the server did."""
        for sock in list(self._made):
            sock.close()

    def get_environ(self) -> dict[str, str]:
        """What WSGI is told."""
        return {"wsgi.url_scheme": "https", "HTTPS": "on"}

    def makefile(self, sock: Any, mode: str = "r", bufsize: int = -1) -> Any:
        """A file over the socket."""
        return MakeFile(sock, mode, bufsize)


class Gateway(_gateway):  # type: ignore[misc]  # cheroot has no types
    """Tells the application its peer, so that a fault can cut the connection."""

    def get_environ(self) -> dict[str, Any]:
        """The WSGI environment."""
        return {**super().get_environ(), PEER: self.req.conn.socket}


class Https(_server):  # type: ignore[misc]  # cheroot has no types
    """The server: its port can be bound again at once, and its faults go to the log."""

    @classmethod
    def prepare_socket(cls, *words: Any, **named: Any) -> Any:
        """The listening socket."""
        made = super().prepare_socket(*words, **named)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return made

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """What clients do to connections is of interest only when debugging."""
        log.debug("%s", msg)


def serve(address: tuple[str, int], application: Any, certificate: Path, key: Path) -> tuple[int, Callable[[], None]]:
    """Serve *application* in threads of its own; returns the port and what stops it."""
    https = Https(
        address,
        application,
        numthreads=32,
        server_name="dpb-corsa-emulator",
        shutdown_timeout=1,
        request_queue_size=128,
        timeout=30,
    )
    https.nodelay = True
    https.gateway = Gateway
    tls = https.ssl_adapter = Tls(certificate, key)
    https.max_request_body_size = MAX_BODY
    https.prepare()
    threading.Thread(target=https.serve, name="https", daemon=True).start()

    def stop() -> None:
        # Its loop looks every half second whether it shall end; a listener that ends wakes it.
        https.socket.shutdown(socket.SHUT_RDWR)
        https.stop()
        tls.end()

    return https.socket.getsockname()[1], stop


def cut(environ: dict[str, Any]) -> None:
    """End the connection now, without an answer."""
    peer: socket.socket = environ[PEER]
    try:
        socket.socket.shutdown(peer, socket.SHUT_RDWR)
    except OSError as fault:
        log.debug("the client was faster: %s", fault)
