"""`RestNbi`: the application, served by uvicorn in a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from typing import Any, Final

import uvicorn

from dpb_framework.contracts import BrokerApi, Nbi
from dpb_framework.errors import ConfigInvalid
from dpb_nbi import limits, listening
from dpb_nbi.access import Access, Audit
from dpb_nbi.app import Application, create_app
from dpb_nbi.protocol import Protocol
from dpb_nbi.tls import context

_log = logging.getLogger("dpb_nbi")

GRACE: Final = 4
"""Seconds that answers under way get when the server stops."""
_JOIN: Final = 7.0


class _Config(uvicorn.Config):
    """uvicorn's, but that logging is left as the broker has configured it, and TLS is ours."""

    tls: ssl.SSLContext | None = None

    def load(self) -> None:
        """Load, with our TLS."""
        super().load()
        self.ssl = self.tls

    def configure_logging(self) -> None:
        return


class _Server(uvicorn.Server):
    """uvicorn's, but that it tells when it answers, ends what is open in the application, and leaves no socket.

    Nor does it wait a minute for a handshake, or look every tenth of a second whether it should end.
    """

    def __init__(self, config: uvicorn.Config, app: Application, ready: threading.Event) -> None:
        super().__init__(config)
        self._app = app
        self._ready = ready
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """Make it end; from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._ending.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            kind: Any = self.config.http_protocol_class
            made: asyncio.Protocol = kind(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=loop
            )
            return made

        patience = limits.HANDSHAKE_SECONDS if self.config.ssl else None
        self.servers = [
            await loop.create_server(
                protocol, sock=listener, ssl=self.config.ssl, backlog=listening.BACKLOG, ssl_handshake_timeout=patience
            )
            for listener in sockets or ()
        ]
        self.started = True
        self._ready.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # what uvicorn does once a second
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.stop()
        # Of a connection that is just coming to be when its server closes, asyncio (3.11) loses the socket: nobody is
        # let in any more, and what has come gets the turns that it needs.
        loop = asyncio.get_running_loop()
        for listener in sockets or ():
            loop.remove_reader(listener.fileno())
        for _ in range(3):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        open_, tasks = self.server_state.connections, self.server_state.tasks
        for connection in list(open_):
            connection.shutdown()
        until = loop.time() + GRACE
        while (open_ or tasks) and loop.time() < until:
            await asyncio.sleep(0.002)
        if tasks:
            _log.error("%d answers were under way for more than %g s, and are broken off", len(tasks), GRACE)
        for task in list(tasks):
            task.cancel()
        for connection in list(open_):
            connection.transport.abort()
        await asyncio.sleep(0)


class RestNbi(Nbi):
    """REST: the interface of the first broker and `/api/v1`, on one port.

    `host` is an address or a name of this machine, `port` 0 to 65535; 0 takes a free one, which `address` tells.
    `access`: who asks must be a user with a role. It is needed on all addresses but loopback, where not `insecure` says
    that anybody may do anything. `certificate` and `key` (files, PEM) make it HTTPS; with `client_ca` a client's
    certificate is a credential, too. `audit` is the file for a line about every change.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 4753,
        access: bool = False,
        insecure: bool = False,
        certificate: str = "",
        key: str = "",
        client_ca: str = "",
        audit: str = "",
    ) -> None:
        listening.check_place(host, port)
        if access and insecure:
            raise ConfigInvalid("insecure", "access is controlled already; leave one of the two out")
        if key and not certificate:
            raise ConfigInvalid("certificate", "a key needs its certificate")
        if client_ca and not (certificate and access):
            raise ConfigInvalid("client-ca", "certificates of clients need certificate, key and access = true")
        self._host = host
        self._port = port
        self._controlled = access
        self._insecure = insecure
        self._files = (certificate, key, client_ca)
        self._audit_path = audit
        with contextlib.suppress(ValueError):  # a name: what it stands for is seen when it is bound
            self._check_exposure(host)
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._access: Access | None = None
        self._audit: Audit | None = None
        self._address = ""

    def _check_exposure(self, address: str) -> None:
        listening.check_exposure(address, controlled=self._controlled, insecure=self._insecure)

    @property
    def address(self) -> str:
        """The URL; empty while it is not started."""
        return self._address

    def start(self, broker: BrokerApi) -> None:
        """Bind and answer. `ConfigInvalid` names the setting when the address cannot be had."""
        with self._lock:
            if self._thread is not None:
                return
            certificate, key, client_ca = self._files
            tls = context(certificate, key, client_ca) if certificate else None
            listener = listening.bind(self._host, self._port)
            try:
                self._check_exposure(listener.getsockname()[0])
                self._audit = self._start_audit()
                self._access = Access.enter(broker)
                self._run(broker, listener, tls)
            except BaseException:
                listener.close()
                self._leave()
                raise

    def _start_audit(self) -> Audit | None:
        if not (self._audit_path or self._controlled or self._insecure):
            return None
        audit = Audit(self._audit_path)
        audit.start()
        return audit

    def _run(self, broker: BrokerApi, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        assert self._access is not None
        app = create_app(broker, self._access, self._audit, controlled=self._controlled)
        host, port = listener.getsockname()[:2]
        self._tell(host, tls)
        ready = threading.Event()
        config = _Config(
            app,
            http=type("Protocol", (Protocol,), {"limit": limits.connections()}),
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.IDLE_SECONDS,
            backlog=listening.BACKLOG,
        )
        config.tls = tls
        server = _Server(config, app, ready)
        thread = threading.Thread(target=_serve, args=(server, listener, ready), name="dpb-rest", daemon=True)
        thread.start()
        ready.wait()
        if not server.started:
            raise ConfigInvalid("host", "the server did not start; the log tells why")
        self._server, self._thread = server, thread
        self._address = f"{'https' if tls else 'http'}://{listening.place(host, port)}"
        self._access.rest.append(self._address)

    def _tell(self, host: str, tls: ssl.SSLContext | None) -> None:
        """Say what an operator should know who may not have meant it."""
        assert self._access is not None
        if self._insecure and not listening.is_loopback(host):
            _log.warning("REST at %s: anybody who reaches it may do anything (insecure = true)", host)
        if self._controlled and not self._access.registry.users:
            _log.warning("REST at %s: there are no users yet; stop the broker and make one by dpb admin-token", host)
        if self._controlled and tls is None and not listening.is_loopback(host):
            _log.warning("REST at %s: credentials travel in the clear; set certificate and key", host)

    def _leave(self) -> None:
        access, audit = self._access, self._audit
        self._access = self._audit = None
        if access is not None and self._address in access.rest:
            access.rest.remove(self._address)
        self._address = ""
        if audit is not None:
            audit.close()
        if access is not None:
            access.leave()

    def stop(self) -> None:
        """End. Streams and waiting calls end at once, other answers get a few seconds."""
        with self._lock:
            server, thread = self._server, self._thread
            self._server = self._thread = None
            if server is None or thread is None:
                return
            server.end()
            thread.join(_JOIN)
            if thread.is_alive():
                _log.error("the REST server did not end within %g s", _JOIN)
            self._leave()


def _serve(server: _Server, listener: socket.socket, ready: threading.Event) -> None:
    try:
        asyncio.run(server.serve(sockets=[listener]))
    except Exception:  # noqa: BLE001  # a thread's last word: it must be heard, and start must not wait for ever
        _log.exception("the REST server ended unexpectedly")
    finally:
        listener.close()
        ready.set()
