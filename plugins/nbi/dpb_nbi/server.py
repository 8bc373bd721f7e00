"""`RestNbi`: the application, served by uvicorn in a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from typing import Final

import uvicorn

from dpb_framework.errors import ConfigInvalid
from dpb_nbi import limits, listening
from dpb_nbi.app import Application, create_app
from dpb_nbi.entrance import Entrance
from dpb_nbi.guests import Guests
from dpb_nbi.problems import Problem
from dpb_nbi.protocol import Protocol, refusal
from dpb_nbi.rooms import Room
from dpb_nbi.serving import Footing, ListeningNbi
from dpb_nbi.tls import Renewal, context

_log = logging.getLogger("dpb_nbi")

GRACE: Final = 4
"""Seconds that answers under way get when the server stops."""
_JOIN: Final = 7.0
_FULL: Final = Problem(503, "busy", "there are too many connections; try again in a moment")


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

    Nor does it look every tenth of a second whether it should end, or accept more connections than there is room for.
    """

    def __init__(self, config: uvicorn.Config, app: Application, renewal: Renewal | None) -> None:
        super().__init__(config)
        self._room = Room(limits.CONNECTIONS)
        self._guests = Guests(self._room)
        self._entrances: list[Entrance] = []
        self._app = app
        self._ready = threading.Event()
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._url = ""
        self._renewal = renewal
        self._known: list[str] = []

    def go(self, on: Footing, url: str) -> None:
        """Answer at *url*, in a thread of its own. `ConfigInvalid`."""
        self._url, self._known = url, on.access.rest
        self._thread = threading.Thread(target=self._answer, args=(on.listener,), name="dpb-rest", daemon=True)
        self._thread.start()
        self._ready.wait()
        if not self.started:
            raise ConfigInvalid("host", "the server did not start; the log tells why")
        self._known.append(url)

    def _answer(self, listener: socket.socket) -> None:
        try:
            with self._room:
                asyncio.run(self.serve(sockets=[listener]))
        except Exception:  # noqa: BLE001  # a thread's last word: it must be heard, and start must not wait for ever
            _log.exception("the REST server ended unexpectedly")
        finally:
            listener.close()
            self._ready.set()

    def stop(self) -> None:
        """End it. Streams and waiting calls end at once, other answers get a few seconds."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._ending.set)
        if self._thread is not None:
            self._thread.join(_JOIN)
            if self._thread.is_alive():
                _log.error("the REST server did not end within %g s", _JOIN)
        if self._url in self._known:
            self._known.remove(self._url)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = loop = asyncio.get_running_loop()

        def make(found: socket.socket, address: str) -> Protocol:
            return Protocol(
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
                guests=self._guests,
                sock=found,
                address=address,
                _loop=loop,
            )

        self._entrances = [
            Entrance(listener, self._guests, make, refusal(_FULL), self.config.ssl) for listener in sockets or ()
        ]
        for entrance in self._entrances:
            entrance.open()
        self.started = True
        self._ready.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # what uvicorn does once a second
            if self._renewal is not None:
                self._renewal.look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.stop()
        for entrance in self._entrances:
            await entrance.close()
        loop = asyncio.get_running_loop()
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


class RestNbi(ListeningNbi[Renewal | None]):
    """REST: the interface of the first broker and `/api/v1`, on one port.

    `host` is an address or a name of this machine, `port` 0 to 65535; 0 takes a free one, which `address` tells.
    `access`: who asks must be a user with a role. It is needed on all addresses but loopback, where not `insecure` says
    that anybody may do anything. `certificate` and `key` (files, PEM) make it HTTPS; with `client_ca` a client's
    certificate is a credential, too. `audit` is the file for a line about every change.
    """

    via = "rest"

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
        super().__init__(host, port, access=access, insecure=insecure, audit=audit)
        if key and not certificate:
            raise ConfigInvalid("certificate", "a key needs its certificate")
        if client_ca and not (certificate and access):
            raise ConfigInvalid("client-ca", "certificates of clients need certificate, key and access = true")
        self._files = (certificate, key, client_ca)
        if certificate:  # `serve --check` builds and does not start
            context(*self._files)

    def prepare(self) -> Renewal | None:
        """Read certificate and keys."""
        return Renewal(*self._files) if self._files[0] else None

    def tell(self, on: Footing, prepared: Renewal | None) -> None:
        """Warn, also where credentials can be read on the way."""
        super().tell(on, prepared)
        if self.controlled and prepared is None and not listening.is_loopback(on.host):
            _log.warning("REST at %s: credentials travel in the clear; set certificate and key", on.host)

    def written(self, place: str, prepared: Renewal | None) -> str:
        """Return the URL."""
        return f"{'https' if prepared else 'http'}://{place}"

    def serve(self, on: Footing, prepared: Renewal | None) -> _Server:
        """Begin to answer."""
        names = listening.names(self._place[0]) if listening.is_loopback(on.host) else None
        app = create_app(on.broker, on.access, on.audit, controlled=self.controlled, names=names)
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
            timeout_keep_alive=limits.IDLE_SECONDS,
            backlog=listening.BACKLOG,
        )
        config.tls = None if prepared is None else prepared.context
        server = _Server(config, app, prepared)
        server.go(on, self.written(listening.place(on.host, on.port), prepared))
        return server
