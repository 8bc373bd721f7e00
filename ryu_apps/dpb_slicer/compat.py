"""The one module that knows which library runs: os-ken 4.2 with native threads, or Ryu 4.34 on eventlet.

Both have the same API for what is used here. Their traps are handled here: a disconnect that os-ken's native hub never
notices, threads that keep the process alive, a listener that takes a port of its own choice, silent peers.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from attrs import frozen

log = logging.getLogger(__name__)

try:
    LIBRARY = importlib.import_module("os_ken").__name__
except ImportError:
    LIBRARY = "ryu"
GREEN = LIBRARY == "ryu"
"""Whether threads are eventlet's: everything is patched before anything else is imported."""

_SOCKET = "dpb.socket"
ECHO_SECONDS = 1.0
UNANSWERED_ECHOES = 2
PROTOCOLS = [1, 2, 3, 4]
"""Spoken for long enough to learn who is there; only OpenFlow 1.3 (4) is accepted."""


def patch() -> None:
    """Make threads and sockets green where the library needs it; to be called before other imports."""
    if GREEN:
        import eventlet
        import eventlet.wsgi

        eventlet.monkey_patch()
        if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
            eventlet.wsgi.ALREADY_HANDLED = object()


def _module(name: str) -> Any:
    return importlib.import_module(f"{LIBRARY}.{name}")


@frozen
class Tls:
    """Files: the application's certificate and key, and the authorities that switches' certificates are checked by."""

    certificate: str
    key: str
    authorities: str | None = None


@frozen
class Handlers:
    """Who is told what, each in the thread of the switch's own connection.

    `up` and `down` get the datapath; `message` gets the name of a message's class and the message; `refused` the
    address of a peer that is not served and why.
    """

    up: Callable[[Any], None]
    down: Callable[[Any], None]
    message: Callable[[str, Any], None]
    refused: Callable[[tuple[str, int], str], None]


_MESSAGES = (
    "BarrierReply",
    "ErrorMsg",
    "PacketIn",
    "FlowRemoved",
    "PortStatus",
    "FlowStatsReply",
    "AggregateStatsReply",
    "GroupDescStatsReply",
    "GroupFeaturesStatsReply",
    "MeterConfigStatsReply",
    "MeterFeaturesStatsReply",
)


class Listener:
    """Accepts switches. Threads that it starts never keep the process alive."""

    def __init__(self, address: tuple[str, int], handlers: Handlers, tls: Tls | None = None) -> None:
        _module("base.app_manager")  # first: the library's modules import each other in a circle
        controller = _module("controller.controller")  # before the configuration: it registers the options
        hub = _module("lib.hub")
        configuration = _module("cfg").CONF
        configuration(args=[], project="dpb-slicer", default_config_files=[])
        configuration.set_override("maximum_unreplied_echo_requests", UNANSWERED_ECHOES)
        configuration.set_override("echo_request_interval", ECHO_SECONDS)
        _module("ofproto.ofproto_protocol").set_app_supported_versions(PROTOCOLS)
        _register(_handshake(handlers), handlers)
        datapath_class = _datapath_class(controller.Datapath, handlers)

        def serve(socket: Any, peer: Any) -> None:
            with contextlib.closing(datapath_class(socket, peer)) as datapath:
                datapath.serve()

        self._server = hub.StreamServer(address, serve, **_tls_arguments(tls))
        self.port: int = self._server.server.getsockname()[1]

    def start(self) -> None:
        """Begin to accept."""
        threading.Thread(target=self._server.serve_forever, name="switches", daemon=True).start()


def _tls_arguments(tls: Tls | None) -> dict[str, Any]:
    if tls is None:
        return {}
    arguments: dict[str, Any] = {"keyfile": tls.key, "certfile": tls.certificate}
    if tls.authorities:
        arguments |= {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": tls.authorities}
    if not GREEN:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        arguments["ssl_ctx"] = context
    return arguments


def _handshake(handlers: Handlers) -> Any:
    """The library's own handshake, without the listener that it would start on a port of its own choice."""
    ofp_handler, app_manager = _module("controller.ofp_handler"), _module("base.app_manager")

    # A class of whichever library is there.
    class Handshake(ofp_handler.OFPHandler):  # type: ignore[misc, name-defined]
        def start(self) -> None:
            pass

        def _hello_failed(self, datapath: Any, error_desc: str) -> None:
            handlers.refused(datapath.address, error_desc)
            error = datapath.ofproto_parser.OFPErrorMsg(
                datapath,
                type_=datapath.ofproto.OFPET_HELLO_FAILED,
                code=datapath.ofproto.OFPHFC_INCOMPATIBLE,
                data=error_desc.encode(),
            )
            datapath.send_msg(error, close_socket=True)

    app_manager.SERVICE_BRICKS.pop("ofp_event", None)
    handshake = Handshake()
    app_manager.register_app(handshake)
    return handshake


def _register(handshake: Any, handlers: Handlers) -> None:
    """Have every message handled in the connection's own thread: in one queue, a switch would hold up others."""
    events, dispatchers = _module("controller.ofp_event"), _module("controller.handler")

    def told(name: str) -> None:
        event = getattr(events, f"EventOFP{name}")

        def handle(ev: Any) -> None:
            try:
                handlers.message(name, ev.msg)
            except Exception:
                log.exception("a %s could not be handled", name)

        states = [dispatchers.MAIN_DISPATCHER]
        if name == "ErrorMsg":
            states += [dispatchers.CONFIG_DISPATCHER]
        handshake.register_handler(event, dispatchers.set_ev_handler(event, states)(handle))

    for name in _MESSAGES:
        told(name)


def _datapath_class(base: Any, handlers: Handlers) -> Any:
    dispatchers = _module("controller.handler")

    class Datapath(base):  # type: ignore[misc]  # a class of whichever library is there
        """A connection whose end is noticed at once, and ends its sending, too."""

        was_up = False
        was_down = False

        def set_state(self, state: str) -> None:
            super().set_state(state)
            if state == dispatchers.MAIN_DISPATCHER and not self.was_up:
                self.was_up = True
                handlers.up(self)
            if state == dispatchers.DEAD_DISPATCHER and self.was_up and not self.was_down:
                self.was_down = True
                handlers.down(self)

        def _recv_loop(self) -> None:
            try:
                super()._recv_loop()
            except Exception as fault:  # noqa: BLE001  (whatever the parser raises on what it cannot read)
                log.warning("switch at %s sent what cannot be read: %s", self.address, fault)
            finally:
                self.set_state(dispatchers.DEAD_DISPATCHER)
                with contextlib.suppress(Exception):
                    self.send(b"", close_socket=True)

        def abandon(self) -> None:
            """End the connection now."""
            with contextlib.suppress(OSError):
                self.socket.shutdown(2)

        def close(self) -> None:
            super().close()
            self.abandon()

    return Datapath


def error_name(message: Any) -> str:
    """The type and code of an error message by name."""
    proto = message.datapath.ofproto
    if message.type == proto.OFPET_EXPERIMENTER:
        return f"OFPET_EXPERIMENTER {message.experimenter:#x} {message.exp_type}"
    kind = next((n for n in dir(proto) if n.startswith("OFPET_") and getattr(proto, n) == message.type), None)
    prefix = _CODES.get(kind or "")
    code = next(
        (n for n in dir(proto) if prefix and n.startswith(prefix) and getattr(proto, n) == message.code),
        str(message.code),
    )
    return f"{kind or message.type} {code}"


_CODES = {
    "OFPET_HELLO_FAILED": "OFPHFC_",
    "OFPET_BAD_REQUEST": "OFPBRC_",
    "OFPET_BAD_ACTION": "OFPBAC_",
    "OFPET_BAD_INSTRUCTION": "OFPBIC_",
    "OFPET_BAD_MATCH": "OFPBMC_",
    "OFPET_FLOW_MOD_FAILED": "OFPFMFC_",
    "OFPET_GROUP_MOD_FAILED": "OFPGMFC_",
    "OFPET_PORT_MOD_FAILED": "OFPPMFC_",
    "OFPET_TABLE_MOD_FAILED": "OFPTMFC_",
    "OFPET_METER_MOD_FAILED": "OFPMMFC_",
}


def serve_wsgi(address: tuple[str, int], application: Any, threads: int = 256) -> tuple[int, Callable[[], None]]:
    """Serve *application* in threads of its own, one for each caller that waits; returns the port and what stops it."""
    if GREEN:
        import eventlet
        import eventlet.wsgi

        listening = eventlet.listen(address)
        server = threading.Thread(
            target=eventlet.wsgi.server,
            args=(listening, application),
            kwargs={"log": logging.getLogger("rest"), "log_output": False, "max_size": 512},
            daemon=True,
        )
        server.start()
        return listening.getsockname()[1], listening.close
    from cheroot.wsgi import Gateway_10, Server

    base: Any = Gateway_10

    class Gateway(base):  # type: ignore[misc]  # a class of whichever library is there
        def get_environ(self) -> dict[str, Any]:
            return {**super().get_environ(), _SOCKET: self.req.conn.socket}

    plain: Any = Server

    class Rest(plain):  # type: ignore[misc]  # a class of whichever library is there
        @classmethod
        def prepare_socket(cls, *words: Any, **named: Any) -> Any:
            # A port once given by the system can be asked for by its number after a restart.
            made = super().prepare_socket(*words, **named)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            return made

    rest = Rest(
        address,
        application,
        numthreads=threads,
        server_name="dpb-slicer",
        shutdown_timeout=1,
        request_queue_size=512,
        timeout=120,
    )
    rest.nodelay = True
    rest.gateway = Gateway
    rest.prepare()
    threading.Thread(target=rest.serve, name="rest", daemon=True).start()
    return rest.socket.getsockname()[1], rest.stop


def caller_waits(environ: dict[str, Any]) -> bool:
    """Whether whoever sent a request has not closed the connection yet."""
    peer = environ.get(_SOCKET) or getattr(environ.get("wsgi.input"), "get_socket", lambda: None)()
    if peer is None:
        return True
    try:
        readable = select.select([peer], [], [], 0)[0]
        return not readable or bool(peer.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def sleep(seconds: float) -> None:
    """Sleep, and let others work."""
    _module("lib.hub").sleep(seconds)


def end(stop: Callable[[], None], patience: float = 1.0) -> None:
    """Stop the REST server; requests that are not done by then are cut off."""
    stopping = threading.Thread(target=stop, daemon=True)
    stopping.start()
    stopping.join(patience)
