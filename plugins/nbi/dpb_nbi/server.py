"""`RestNbi`: the application, served by uvicorn in a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from typing import Final

import uvicorn

from dpb_framework.contracts import BrokerApi, Nbi
from dpb_framework.errors import ConfigInvalid
from dpb_nbi.app import Application, create_app
from dpb_nbi.protocol import Protocol

_log = logging.getLogger("dpb_nbi")

GRACE: Final = 4
"""Seconds that answers under way get when the server stops."""
_JOIN: Final = 9.0
_KEEP_ALIVE: Final = 75
_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class _Config(uvicorn.Config):
    """uvicorn's, but that logging is left as the broker has configured it."""

    def configure_logging(self) -> None:
        return


class _Server(uvicorn.Server):
    """uvicorn's, but that it tells when it answers, ends what is open in the application, and leaves no socket."""

    def __init__(self, config: uvicorn.Config, app: Application, ready: threading.Event) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.stop()
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


class RestNbi(Nbi):
    """REST: the interface of the first broker and `/api/v1`, on one port.

    `host` is an address or a name of this machine, `port` 0 to 65535; 0 takes a free one, which `address` tells.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 4753) -> None:
        if not isinstance(host, str) or not host or "/" in host:
            raise ConfigInvalid("host", f"expected an address such as 127.0.0.1, got {host!r}"[:200])
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
            raise ConfigInvalid("port", f"expected a port from 0 to 65535, got {port!r}"[:200])
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._address = ""

    @property
    def address(self) -> str:
        """The URL; empty while it is not started."""
        return self._address

    def start(self, broker: BrokerApi) -> None:
        """Bind and answer. `ConfigInvalid` names the setting when the address cannot be had."""
        with self._lock:
            if self._thread is not None:
                return
            listener = self._bind()
            app = create_app(broker)
            ready = threading.Event()
            config = _Config(
                app,
                http=Protocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=GRACE,
                backlog=2048,
            )
            server = _Server(config, app, ready)
            thread = threading.Thread(target=_serve, args=(server, listener, ready), name="dpb-rest", daemon=True)
            thread.start()
            ready.wait()
            if not server.started:
                listener.close()
                raise ConfigInvalid("host", "the server did not start; the log tells why")
            host, port = listener.getsockname()[:2]
            self._server, self._thread = server, thread
            self._address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def _bind(self) -> socket.socket:
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except OSError as error:
            raise ConfigInvalid("host", f"{self._host} is no address of this machine: {error.strerror}") from error
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(2048)
        except OSError as error:
            listener.close()
            setting = "host" if error.errno in _NOT_HERE else "port"
            raise ConfigInvalid(
                setting,
                f"cannot listen at {self._host}:{self._port}: {error.strerror}; choose another, or stop who has it",
            ) from error
        return listener

    def stop(self) -> None:
        """End. Streams and waiting calls end at once, other answers get a few seconds."""
        with self._lock:
            server, thread = self._server, self._thread
            self._server = self._thread = None
            self._address = ""
            if server is None or thread is None:
                return
            server.should_exit = True
            thread.join(_JOIN)
            if thread.is_alive():
                _log.error("the REST server did not end within %g s", _JOIN)


def _serve(server: _Server, listener: socket.socket, ready: threading.Event) -> None:
    try:
        asyncio.run(server.serve(sockets=[listener]))
    except Exception:  # noqa: BLE001  # a thread's last word: it must be heard, and start must not wait for ever
        _log.exception("the REST server ended unexpectedly")
    finally:
        listener.close()
        ready.set()
