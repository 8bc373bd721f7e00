"""A broker made of dictionaries, behind the REST of docs/rest.md as far as the command line needs it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


class Problem(Exception):
    def __init__(self, status: int, code: str, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail, **facts}


class FakeBroker:
    """Networks `lon`, `par` (switches), `wan` (their aggregator); services are done as soon as they are asked for.

    `refuse` maps (method, last part of the path) to a problem that is answered instead; `requests` are those that came.
    """

    def __init__(self) -> None:
        self.networks: dict[str, dict[str, Any]] = {}
        for name, kind, inferiors in (
            ("lon", "switch", []),
            ("par", "switch", []),
            ("wan", "aggregator", ["lon", "par"]),
        ):
            self.add_network(name, kind, inferiors)
        self.refuse: dict[tuple[str, str], Problem] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.streams: list[list[bytes]] = []
        self.resumed: list[str | None] = []
        self.stream_statuses: list[int] = []
        """Other statuses than 200 with which the next streams are refused."""
        self.stuck = False
        self.foreign: int | None = None
        """A status: answer as some other web server does."""

    def add_network(self, name: str, kind: str, inferiors: list[str]) -> None:
        self.networks[name] = {
            "kind": kind,
            "inferiors": inferiors,
            "terminals": {},
            "trunks": {},
            "services": {},
            "last": 0,
        }

    def answer(self, method: str, path: list[str], query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        self.requests.append((method, "/".join(path), body))
        if problem := self.refuse.get((method, path[-1])):
            raise problem
        if path == ["networks"]:
            return 200, {"networks": [self.describe(name) for name in self.networks]}
        if path[0] == "users":
            return 200, {"name": path[1], **body}
        if path[0] != "networks" or path[1] not in self.networks:
            raise Problem(404, "no-network", f"there is no network {path[-1]!r}")
        name, rest = path[1], path[2:]
        if not rest:
            return 200, self.describe(name)
        if rest == ["model"]:
            return 200, self.model(name)
        if rest[0] in ("terminals", "trunks"):
            return self.things(name, rest, method, body)
        return self.services(name, rest[1:], method, query, body)

    def describe(self, name: str) -> dict[str, Any]:
        network = self.networks[name]
        return {
            "name": name,
            "kind": network["kind"],
            "terminals": sorted(network["terminals"]),
            "inferiors": network["inferiors"],
            "services": len(network["services"]),
            "last-event": network["last"],
        }

    def model(self, name: str) -> dict[str, Any]:
        terminals = sorted(self.networks[name]["terminals"])
        if self.networks[name]["kind"] == "switch":
            return {"fragments": [{"terminals": terminals, "chords": None}]}
        chord = {"a": "london", "b": "paris", "upstream": 10, "downstream": 20, "delay": 4.5}
        return {"fragments": [{"terminals": terminals, "chords": [chord]}]}

    def things(self, network: str, rest: list[str], method: str, body: Any) -> tuple[int, Any]:
        plural = rest[0]
        things = self.networks[network][plural]
        if len(rest) == 1:
            if method == "GET":
                return 200, {plural: list(things.values())}
            name = body.get("name") or "{start}-{end}".format(**body).replace(":", ".")
            if name in things:
                raise Problem(409, "exists", f"there is already a {plural[:-1]} {name!r}")
            things[name] = self.complete(network, plural, {"name": name, **body})
            return 201, things[name]
        name = rest[1]
        if name not in things and method != "PUT":
            raise Problem(404, "unknown", f"there is no {plural[:-1]} {name!r}")
        if method == "DELETE":
            del things[name]
            return 204, None
        if method == "PUT":
            things[name] = self.complete(network, plural, {"name": name, **body})
        if method == "PATCH":
            things[name] = self.complete(network, plural, {**things[name], **body})
        return 200, things[name]

    def complete(self, network: str, plural: str, body: dict[str, Any]) -> dict[str, Any]:
        if plural == "terminals":
            if self.networks[network]["kind"] == "switch":
                body["place"] = body["place"].lower()  # the canonical form of this fabric's interfaces
            else:
                self.mapped(body["place"])
            return {"ingress-quota": None, "egress-quota": None, "labels": [[1, 4094]], **body}
        self.mapped(body["start"])
        self.mapped(body["end"])
        full = {
            "downstream": body["upstream"],
            "delay": 0,
            "labels": [{"start": 1, "count": 4094, "end": 1}],
            "commissioned": True,
            **body,
        }
        left = {"upstream-left": full["upstream"], "downstream-left": full["downstream"], "labels-left": 4094}
        return {**full, **left, "services": []}

    def mapped(self, place: str) -> None:
        inferior, _, terminal = place.partition(":")
        if terminal not in self.networks[inferior]["terminals"]:
            raise Problem(409, "terminal-unknown", f"network {inferior!r} has no terminal {terminal!r}")

    def services(
        self, network: str, rest: list[str], method: str, query: dict[str, list[str]], body: Any
    ) -> tuple[int, Any]:
        services = self.networks[network]["services"]
        if not rest:
            if method == "GET":
                prefix = query.get("handle-prefix", [""])[0]
                wanted = query.get("status", [None])[0]
                found = [s for s in services.values() if (s["handle"] or "").startswith(prefix)]
                return 200, {"services": [s for s in found if wanted in (None, s["status"])]}
            handle = body.get("handle")
            for service in services.values():
                if handle is not None and service["handle"] == handle:
                    return 200, service
            service = {
                "id": len(services) + 1,
                "network": network,
                "handle": handle,
                "owner": "anonymous",
                "status": "DORMANT",
                "desired": "DORMANT",
                "change": "none",
                "segment": None,
                "error": None,
                "conditions": [],
            }
            services[service["id"]] = service
            return 201, service
        if int(rest[0]) not in services:
            raise Problem(404, "service-unknown", f"network {network!r} has no service {rest[0]}")
        service = services[int(rest[0])]
        if len(rest) == 1:
            tree = [{"trunk": "lon-par", "label": 7, "upstream": 10, "downstream": 10}] if service["segment"] else []
            return 200, {**service, "tree": tree}
        if rest[1] != "await":
            self.command(service, rest[1], body)
        return 200, service

    def command(self, service: dict[str, Any], verb: str, body: Any) -> None:
        if verb in ("define", "prepare"):
            segment = [{**end, "label": end["label"] or 99} for end in body["segment"]]
            if verb == "prepare":
                service |= {"change": "prepared", "next": segment}
            else:
                service |= {"segment": segment, "status": "INACTIVE", "desired": "INACTIVE"}
        elif verb == "commit":
            service |= {"segment": service.pop("next"), "change": "none"}
        elif verb == "abort":
            service |= {"change": "none"}
        elif verb == "activate" and self.stuck:
            service |= {
                "status": "FAILED",
                "desired": "ACTIVE",
                "error": {"code": "port-down", "text": "port 3 is down"},
            }
        else:
            reached = {"activate": "ACTIVE", "deactivate": "INACTIVE", "reset": "DORMANT", "release": "RELEASED"}[verb]
            service |= {"status": reached, "desired": reached}

    def status(self, network: str, service: int) -> str:
        return str(self.networks[network]["services"][service]["status"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    broker: FakeBroker

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        path = [unquote(part) for part in parts.path.split("/")[3:]]
        if path[-1] == "events":
            self.stream()
            return
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        try:
            status, data = self.broker.answer(self.command, path, parse_qs(parts.query), body)
            kind = "application/json"
        except Problem as problem:
            status, data, kind = problem.status, problem.body, "application/problem+json"
        self.answer_with(status, data, kind)

    def answer_with(self, status: int, data: Any, kind: str) -> None:
        text = b"" if data is None else json.dumps(data).encode()
        if self.broker.foreign is not None:
            status, kind, text = self.broker.foreign, "text/html", b"<h1>It works!</h1>"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815  # http.server's names

    def stream(self) -> None:
        self.broker.resumed.append(self.headers.get("Last-Event-ID"))
        if self.broker.stream_statuses and (status := self.broker.stream_statuses.pop(0)) != 200:
            self.answer_with(
                status, Problem(status, "stopped", "the broker is stopping").body, "application/problem+json"
            )
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in self.broker.streams.pop(0) if self.broker.streams else []:
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # http.server's name
        """Say nothing."""


def serve(broker: FakeBroker) -> tuple[str, Callable[[], None]]:
    """Serve *broker*; return its URL and what ends it."""
    handler = type("BrokerHandler", (Handler,), {"broker": broker})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return f"http://127.0.0.1:{server.server_port}", stop
