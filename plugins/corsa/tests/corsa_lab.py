"""An emulated Corsa switch and a controller application in this process, told to fail at any of their calls."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dpb_corsa.fabric import CorsaFabric
from dpb_corsa.names import Circuit
from dpb_corsa.tags import Tag
from dpb_corsa_emulator import certificate
from dpb_corsa_emulator.device import Device
from dpb_corsa_emulator.rest import create_app
from dpb_corsa_emulator.rivals import rival
from dpb_corsa_emulator.server import cut, serve
from dpb_corsa_emulator.tokens import Tokens
from dpb_corsa_emulator.values import Limits, Refused, State
from dpb_lab.answering import HTML, Answer, Answering, Call

BASE = "/slicer/api/v2"
PREFIX = "dpb:london:"
OURS = (f"{PREFIX}partial", f"{PREFIX}complete")

SWITCH_FAULTS = {
    "refused": "400, and nothing was done",
    "conflict": "409, and nothing was done",
    "failed": "500, and nothing was done",
    "failed-late": "500, and it was done",
    "reset": "no answer, and nothing was done",
    "lost": "no answer, and it was done",
    "expired": "401",
    "html": "200 with HTML",
    "slow": "the right answer, but late (an answer that comes too late is as one that is lost)",
    "race": "another client is faster: what is to be made is there already, what is to be deleted is gone",
    "rebooted": "the switch restarts with its configuration, and does not answer",
    "restarted": "the switch restarts without its configuration, and does not answer",
}
APPLICATION_FAULTS = {
    "refused": "422, and nothing was done",
    "not-connected": "503, and nothing was done",
    "timed-out": "504, and it was done",
    "reset": "no answer, and nothing was done",
    "lost": "no answer, and it was done",
    "html": "200 with HTML",
}


SLOW = 0.1
"""By how many seconds a slow answer is late."""


class Faults:
    """The calls since the last `arm`, and what goes wrong with which of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kind = ""
        self._at: int | None = None
        self._match: Callable[[str], bool] = lambda _: True
        self.calls: list[str] = []
        self.struck = False

    def arm(self, kind: str = "", at: int | None = None, only: str = "") -> None:
        """Let call number *at* (all, if None) of those that contain the words *only* fail, counted from here."""
        with self._lock:
            self._kind, self._at, self._match = kind, at, lambda call: all(word in call for word in only.split())
            self.calls = []
            self.struck = False

    def strike(self, call: str) -> str:
        with self._lock:
            if not self._match(call):
                return ""
            number = len(self.calls)
            self.calls.append(call)
            # A token that has expired stays so.
            if self._at is not None and number != self._at and not (self._kind == "expired" and number > self._at):
                return ""
            self.struck = True
            return self._kind


class EmulatedSwitch:
    """The emulator in this process; always at the same port."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.certificate, self._key = folder / "certificate.pem", folder / "key.pem"
        certificate.make(self.certificate, self._key, ["some.other.name"])
        self.token = folder / "token"
        self.tokens = Tokens(self.token)
        self.device = Device(limits or Limits(), folder / "state.json")
        self._app = create_app(self.device, self.tokens)
        self.faults = Faults()
        self.port = 0
        self.down: set[str] = set()
        self._stop: Callable[[], None] | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def state(self) -> State:
        return self.device.state

    def start(self) -> None:
        self.port, self._stop = serve(("127.0.0.1", self.port), self._struck, self.certificate, self._key)

    def stop(self) -> None:
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def _struck(self, environ: dict[str, Any], start_response: Any) -> Any:
        app = self._app
        call = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        kind = self.faults.strike(call)
        if kind in ("failed-late", "lost"):
            list(app(environ, lambda *_: None))
        if kind == "race":
            self._race(environ)
            return app(environ, start_response)
        if kind == "slow":
            time.sleep(SLOW)
            return app(environ, start_response)
        if kind in ("rebooted", "restarted"):
            self.device.restart(keep=kind == "rebooted")
        if kind in ("reset", "lost", "rebooted", "restarted"):
            cut(environ)
            start_response("500 Cut", [("Content-Length", "0")])
            return []
        statuses = {"refused": "400 No", "conflict": "409 Taken", "failed": "500 No", "failed-late": "500 No",
                    "expired": "401 Who", "html": "200 OK"}  # fmt: skip
        if kind:
            data = HTML if kind == "html" else json.dumps({"message": f"told to be {kind}"}).encode()
            content = "text/html; charset=utf-8" if kind == "html" else "application/json"
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response(statuses[kind], [("Content-Type", content), ("Content-Length", str(len(data)))])
            return [data]
        if not (self.down and call.startswith("GET") and call.endswith("/tunnels")):
            return app(environ, start_response)
        told: list[Any] = []
        plain = json.loads(b"".join(app(environ, lambda *words: told.append(words))))
        for entry in plain.get("list", ()):
            if entry["port"] in self.down:
                entry["oper-state"] = "down"
        data = json.dumps(plain).encode()
        start_response(told[0][0], [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
        return [data]

    def _race(self, environ: dict[str, Any]) -> None:
        data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(data)
        path = environ["PATH_INFO"].removeprefix("/api/v1/")
        with contextlib.suppress(Refused):  # where there is nothing to be faster in
            body = json.loads(data) if data else None
            self.device.change(rival(environ["REQUEST_METHOD"], path, body, self.device.limits))

    # -- what is there ------------------------------------------------------------------------------

    def call(self, step: Callable[[State], State]) -> None:
        """Change the switch behind everybody's back."""
        self.device.change(step)

    def of_ours(self) -> dict[str, list[int]]:
        """VFCs with a description of ours, with the OpenFlow ports of their tunnels."""
        return {name: sorted(b.tunnels) for name, b in self.state.bridges.items() if b.descr in OURS}

    def strange(self) -> dict[str, Any]:
        """All others."""
        return {name: b for name, b in self.state.bridges.items() if b.descr not in OURS}

    def tagged(self) -> list[tuple[str, int]]:
        """All tunnels that carry a description of ours."""
        return [(name, n) for name, b in self.state.bridges.items() for n, t in b.tunnels.items() if Tag.read(t.descr)]

    def find(self, circuit: Circuit) -> tuple[str, int] | None:
        """The datapath id and OpenFlow port where a circuit is attached."""
        for bridge in self.state.bridges.values():
            for ofport, tunnel in bridge.tunnels.items():
                tags = tuple(tag for tag in (tunnel.vlan, tunnel.inner) if tag is not None)
                if (tunnel.port, tags) == (circuit.port, circuit.tags):
                    return bridge.dpid, ofport
        return None


class FakeApplication:
    """The controller application: it has each VFC that is told to be controlled."""

    def __init__(self, switch: EmulatedSwitch) -> None:
        self.switch = switch
        self.faults = Faults()
        self.slices: dict[str, dict[str, Any]] = {}
        self.unnamed: set[tuple[str, str]] = set()
        self.bare = False
        """Whether it is the port slicer; else the tuple slicer."""
        self.away: set[str] = set()
        """Datapath ids that are not connected, whatever the switch says."""
        self.lock = threading.Lock()
        self._instances = itertools.count(1)
        self.instance = ""
        self._server = Answering(self._answer)

    @property
    def url(self) -> str:
        return self._server.url

    def start(self) -> None:
        self.instance = f"run-{next(self._instances)}"
        self._server.start()

    def stop(self) -> None:
        """End it; what is on the VFCs stays, and is unnamed when it comes back."""
        if not self._server.stop():
            return
        connected = self.connected()
        self.slices = {dpid: held for dpid, held in self.slices.items() if dpid in connected}
        self.unnamed = {(dpid, key) for dpid, held in self.slices.items() for key in held}

    def connected(self) -> set[str]:
        return {b.dpid for b in self.switch.state.bridges.values() if b.controllers} - self.away

    def joined(self, dpid: str, ofport: int) -> set[int]:
        """Where a frame comes out that comes in at an OpenFlow port."""
        with self.lock:
            for held in self.slices.get(dpid, {}).values():
                ofports = self._ofports(held)
                if ofport in ofports:
                    return ofports - {ofport}
        return set()

    def _ofports(self, plain: Any) -> set[int]:
        return set(plain["ports"]) if self.bare else {entry["circuit"][0] for entry in plain["circuits"]}

    def _answer(self, call: Call) -> Answer | None:
        kind = self.faults.strike(f"{call.method} {call.path}")
        if kind == "reset":
            return None
        if kind == "html":
            return Answer.html()
        if kind == "refused":
            status, plain = _problem(422, "refused", "told to refuse")
        elif kind == "no-port":
            status, plain = _problem(422, "refused", "port 1 is not there")
            plain["error"] = "OFPET_BAD_ACTION OFPBAC_BAD_OUT_PORT"
        elif kind == "not-connected":
            status, plain = _problem(503, "not-connected", "told to be without it")
        else:
            status, plain = self.answer(call.method, call.path, call.body)
        if kind == "timed-out":
            status, plain = _problem(504, "timed-out", "told to be late")
        return None if kind == "lost" else Answer.of(status, plain)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        segments = [unquote(segment) for segment in path.removeprefix(BASE).split("/")[1:]]
        with self.lock:
            connected = self.connected()
            if not segments:
                switches = {dpid: {"connected": dpid in connected} for dpid in {*connected, *self.slices}}
                name = "port-slicer" if self.bare else "tuple-slicer"
                return 200, {"application": name, "instance": self.instance, "switches": switches}
            dpid = segments[0]
            if dpid not in connected:
                return _problem(404, "switch-unknown", f"switch {dpid} was never seen")
            return self._of_switch(method, dpid, segments[1:], body)

    def _of_switch(self, method: str, dpid: str, rest: list[str], body: Any) -> tuple[int, Any]:
        held = self.slices.setdefault(dpid, {})
        unnamed = {key for key in held if (dpid, key) in self.unnamed}
        if (method, rest) == ("GET", ["slices"]):
            named = {key: plain for key, plain in held.items() if key not in unnamed}
            return 200, {"slices": named, "unnamed": [{"cookie": "0x1", **held[key]} for key in unnamed]}
        if (method, rest) == ("POST", ["retain"]):
            prefix, keys = body["prefix"], body["keys"]
            self.unnamed -= {(dpid, key) for key in keys}
            for key in [key for key in held if key.startswith(prefix) and key not in keys]:
                del held[key]
            return 200, {"removed": 0}
        key = rest[1]
        if method == "DELETE":
            held.pop(key, None)
            return 204, None
        if ("ports" in body) is not self.bare:
            return _problem(422, "bad-argument", "ports are for the port slicer, circuits for the other")
        ofports = self._ofports(body)
        if len(ofports) < 2:
            return _problem(422, "bad-argument", "at least two circuits")
        for other, plain in held.items():
            if (other != key or key in unnamed) and ofports & self._ofports(plain):
                return _problem(409, "overlap", f"overlaps {other}")
        held[key] = body
        return 200, body


def _problem(status: int, code: str, detail: str) -> tuple[int, Any]:
    return status, {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail}


class Lab:
    """A switch and its application, running, and the settings of a fabric over them."""

    def __init__(self, folder: Path, limits: Limits | None = None) -> None:
        self.switch = EmulatedSwitch(folder, limits)
        self.application = FakeApplication(self.switch)

    def start(self) -> None:
        self.switch.start()
        self.application.start()

    def stop(self) -> None:
        self.switch.stop()
        self.application.stop()

    def settings(self, **others: Any) -> dict[str, Any]:
        return {
            "url": self.switch.url, "certificate": str(self.switch.certificate), "token_file": str(self.switch.token),
            "application": self.application.url, "controller": "127.0.0.1:6653", "prefix": PREFIX, "poll": 0.05,
            **others,
        }  # fmt: skip

    def frames(self, circuit: Circuit) -> set[Circuit]:
        """Where a frame comes out that comes in at a circuit."""
        place = self.switch.find(circuit)
        if place is None:
            return set()
        dpid, ofport = place
        out = self.application.joined(dpid, ofport)
        (bridge,) = [b for b in self.switch.state.bridges.values() if b.dpid == dpid] or [None]
        if bridge is None:
            return set()
        held = {n: bridge.tunnels[n] for n in out if n in bridge.tunnels}
        return {Circuit(t.port, tuple(tag for tag in (t.vlan, t.inner) if tag is not None)) for t in held.values()}


def looked(fabric: CorsaFabric) -> None:
    """Wait until a fabric that was started has found its switch."""
    eventually(lambda: fabric._contact.watchers.up)


def eventually(condition: Callable[[], object], patience: float = 30.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        time.sleep(0.005)


def all_of(*parts: Collection[Any]) -> Iterator[Any]:
    """Every combination."""
    return itertools.product(*parts)
