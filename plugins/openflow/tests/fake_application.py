"""A controller application for tests: its REST interface (v2) on loopback, with switches that exist in memory only."""

from __future__ import annotations

import itertools
import ssl
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qs, unquote, urlsplit

from dpb_lab.answering import Answer, Answering, Call

BASE = "/slicer/api/v2"
KEPT_EVENTS = 100

Plain = dict[str, Any]


class Problem(Exception):
    def __init__(self, status: int, code: str, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.plain = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail, **facts}


class Fault(NamedTuple):
    """What goes wrong with the next calls of *method* whose path contains *part*.

    refuse, not-connected, timed-out (after doing it), hang (without doing it), html, middle (the answer breaks off),
    lost (done, and no answer), reset (not done, no answer).
    """

    kind: str
    method: str = ""
    part: str = ""


def overlap(one: list[int], other: list[int]) -> bool:
    return all(a == b for a, b in zip(one, other, strict=False))


class FakeSwitch:
    def __init__(self, dpid: str, *, ports: int = 16, meters: bool = True, connected: bool = True) -> None:
        self.dpid = dpid
        self.meters = meters
        self.connected = connected
        self.reason: str | None = None
        self.ports = dict.fromkeys(map(str, range(1, ports + 1)), True)
        self.slices: dict[str, Plain] = {}
        self.unnamed: set[str] = set()
        self.changes = 0

    def plain(self) -> Plain:
        used = sum((c.get("ingress") is not None) + (c.get("egress") is not None)
                   for s in self.slices.values() for c in s["circuits"])  # fmt: skip
        return {
            "dpid": self.dpid, "connected": self.connected, "reason": self.reason, "meters": self.meters,
            "max-meters": 1000 if self.meters else 0, "meters-used": used, "max-groups": None,
            "groups-used": len(self.slices), "flows": 10 * len(self.slices),
            "ports": {number: {"name": f"p{number}", "up": up} for number, up in self.ports.items()},
        }  # fmt: skip

    def check(self, key: str, plain: Plain) -> None:
        circuits = [entry["circuit"] for entry in plain["circuits"]]
        if len(circuits) < 2 or any(overlap(a, b) for a, b in itertools.combinations(circuits, 2)):
            raise Problem(422, "bad-argument", "at least two circuits, none twice", field="circuits")
        for circuit in circuits:
            if str(circuit[0]) not in self.ports:
                raise Problem(422, "refused", f"the switch has no port {circuit[0]}", error="OFPBAC_BAD_OUT_PORT")
        if not self.meters and any(e.get("ingress") is not None for e in plain["circuits"]):
            raise Problem(422, "refused", "the switch has no meters", error="OFPMMFC_OUT_OF_METERS")
        for other, held in self.slices.items():
            for entry in held["circuits"] if other != key else ():
                for circuit in circuits:
                    if overlap(circuit, entry["circuit"]):
                        name = None if other in self.unnamed else other
                        raise Problem(409, "overlap", f"{circuit} overlaps {entry['circuit']} of {name}",
                                      key=name, circuit=circuit, taken=entry["circuit"])  # fmt: skip

    def put(self, key: str, plain: Plain) -> None:
        self.check(key, plain)
        self.unnamed.discard(key)
        if self.slices.get(key) != plain:
            self.slices[key] = plain
            self.changes += 1

    def retain(self, prefix: str, keys: list[str]) -> int:
        self.unnamed -= set(keys)
        gone = [k for k in self.slices if k not in self.unnamed and k.startswith(prefix) and k not in keys]
        # What is unnamed belongs to nobody once the wanted set is known.
        for key in {*gone, *(k for k in self.unnamed if k.startswith(prefix))}:
            del self.slices[key]
            self.unnamed.discard(key)
        return len(gone)

    def carries(self, circuit: list[int]) -> list[list[int]]:
        """Where a frame for everybody comes out that comes in at *circuit*."""
        for plain in list(self.slices.values()):
            ends = [entry["circuit"] for entry in plain["circuits"]]
            if circuit in ends and self.ports[str(circuit[0])]:
                return [end for end in ends if end != circuit and self.ports[str(end[0])]]
        return []


class FakeApplication:
    """The application: started, killed and started again at the same port, told to fail. A context manager."""

    def __init__(self, *switches: FakeSwitch, tls: ssl.SSLContext | None = None, token: str = "") -> None:
        self.switches = {switch.dpid: switch for switch in switches}
        self.token = token
        self.calls: list[str] = []
        self.concurrent = self.most_concurrent = 0
        self.instance = ""
        self.changed = threading.Condition()
        self._instances = itertools.count(1)
        self._faults: list[list[Any]] = []
        self._events: list[Plain] = []
        self._last = 0
        self._server = Answering(self._answer, tls=tls, ending=self._tell)

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def url(self) -> str:
        return self._server.url

    def __enter__(self) -> FakeApplication:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    # -- what tests do ------------------------------------------------------------------------------

    def start(self) -> None:
        self.instance = f"instance-{next(self._instances)}"
        self._events, self._last = [], 0
        self._server.start()

    def kill(self) -> None:
        """End it at once; what is on the switches stays, and is unnamed when it comes back."""
        if self._server.stop():
            for switch in self.switches.values():
                switch.unnamed = set(switch.slices)

    def _tell(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def restart(self) -> None:
        self.kill()
        self.start()

    def contact(self, dpid: str, *, up: bool, reason: str | None = None) -> None:
        """Let a switch come or go."""
        with self.changed:
            self.switches[dpid].connected, self.switches[dpid].reason = up, reason
            self._event(dpid, "up" if up else "down")

    def set_port(self, dpid: str, port: str, up: bool, *, told: bool = True) -> None:
        with self.changed:
            self.switches[dpid].ports[port] = up
            if told:
                self._event(dpid, "port-up" if up else "port-down", ofport=int(port))

    def gap(self) -> None:
        """Forget all events: who asks for those after an older one is told that some are missing."""
        with self.changed:
            self._last += KEPT_EVENTS
            self._events.clear()
            self.changed.notify_all()

    def fault(self, kind: str, method: str = "", part: str = "", count: int | None = 1) -> None:
        with self.changed:
            self._faults.append([Fault(kind, method, part), count])

    def clear_faults(self) -> None:
        with self.changed:
            self._faults.clear()
            self.changed.notify_all()

    def wait(self, condition: Callable[[], bool], patience: float = 20.0) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, patience), "the condition did not come to hold"

    # -- what it does -------------------------------------------------------------------------------

    def _event(self, dpid: str, event: str, **facts: Any) -> None:
        self._last += 1
        self._events.append({"number": self._last, "dpid": dpid, "event": event, **facts})
        self.changed.notify_all()

    def strike(self, method: str, path: str) -> str:
        with self.changed:
            self.calls.append(f"{method} {path}")
            self.changed.notify_all()
            for entry in self._faults:
                fault, count = entry
                if fault.method in ("", method) and fault.part in path:
                    if count is not None:
                        entry[1] = count - 1
                        if not entry[1]:
                            self._faults.remove(entry)
                    return cast(str, fault.kind)
        return ""

    def _hang(self) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self._server.ended or not self._faults, 60)

    def _answer(self, call: Call) -> Answer | None:
        with self.changed:
            self.concurrent += 1
            self.most_concurrent = max(self.most_concurrent, self.concurrent)
        try:
            return self._answer_one(call)
        finally:
            with self.changed:
                self.concurrent -= 1

    def _answer_one(self, call: Call) -> Answer | None:
        if self.token and call.headers.get("Authorization") != f"Bearer {self.token}":
            return Answer(401, b"who are you?", "text/plain")
        kind = self.strike(call.method, call.path)
        if kind in ("hang", "reset"):
            if kind == "hang":
                self._hang()
            return None
        if kind == "html":
            return Answer.html()
        try:
            if kind == "refuse":
                raise Problem(422, "refused", "the meter table is full", error="OFPMMFC_OUT_OF_METERS")
            if kind == "not-connected":
                raise Problem(503, "not-connected", "the switch is not connected")
            status, plain = self.answer(call.method, call.path, call.body)
            if kind == "timed-out":
                raise Problem(504, "timed-out", "no barrier reply within 5 s")
        except Problem as problem:
            status, plain = problem.plain["status"], problem.plain
        return None if kind == "lost" else Answer.of(status, plain, broken=kind == "middle")

    def answer(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        parts = urlsplit(target)
        if not parts.path.startswith(BASE):
            raise Problem(404, "not-found", f"there is no {parts.path}")
        segments = [unquote(segment) for segment in parts.path[len(BASE) :].split("/")[1:]]
        if not segments:
            with self.changed:
                switches = {dpid: switch.plain() for dpid, switch in self.switches.items()}
                return 200, {"application": "tuple-slicer", "version": "0", "instance": self.instance,
                             "switches": switches, "last-event": self._last}  # fmt: skip
        if segments == ["events"]:
            query = parse_qs(parts.query)
            return 200, self._wait_events(int(query["after"][0]), float(query["wait"][0]))
        with self.changed:
            return self._of_switch(method, segments, body)

    def _wait_events(self, after: int, wait: float) -> Plain:
        with self.changed:
            self.changed.wait_for(lambda: self._server.ended or self._last != after, wait)
            resync = {"resync": True} if after > self._last or after < self._last - len(self._events) else {}
            events = [] if resync else [event for event in self._events if event["number"] > after]
            return {"instance": self.instance, "events": events, "last-event": self._last, **resync}

    def _of_switch(self, method: str, segments: list[str], body: Any) -> tuple[int, Any]:
        switch = self.switches.get(segments[0])
        if switch is None:
            raise Problem(404, "switch-unknown", f"switch {segments[0]} was never seen")
        rest = segments[1:]
        if not rest:
            return 200, switch.plain()
        if not switch.connected:
            raise Problem(503, "not-connected", switch.reason or f"switch {switch.dpid} is not connected")
        if rest == ["slices"] and method == "GET":
            named = {key: plain for key, plain in switch.slices.items() if key not in switch.unnamed}
            return 200, {"slices": named, "unnamed": [{"cookie": "0x1", **switch.slices[k]} for k in switch.unnamed]}
        if rest == ["slices"] and method == "POST":
            outcome: dict[str, Plain | None] = {}
            for key, plain in body["slices"].items():
                outcome[key] = None
                try:
                    switch.put(key, plain)
                except Problem as problem:
                    outcome[key] = problem.plain
            return 200, {"slices": outcome}
        if rest == ["retain"] and method == "POST":
            return 200, {"removed": switch.retain(body["prefix"], body["keys"])}
        if len(rest) == 2 and rest[0] == "slices" and method == "PUT":
            switch.put(rest[1], body)
            return 200, body
        if len(rest) == 2 and rest[0] == "slices" and method == "DELETE":
            if switch.slices.pop(rest[1], None) is not None:
                switch.changes += 1
            switch.unnamed.discard(rest[1])
            return 204, None
        raise Problem(404, "not-found", "there is no such thing")


def eventually(condition: Callable[[], object], patience: float = 20.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come to hold"
        time.sleep(0.005)
