"""`dpb serve` as a whole, on SQLite and on PostgreSQL: first steps, restarts, refusals, the end."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dpb_store.testing import postgres_urls

from dpb_framework.cli import main

from .crash.rest import PATIENCE, Plain, Rest
from .crash.serving import Serving, until

__all__ = ["postgres_urls"]

CONFIG = """
[store]
url = "{store}"
[[nbi]]
kind = "rest"
port = 0
[[network]]
name = "lon"
kind = "switch"
[[network]]
name = "par"
kind = "switch"
[[network]]
name = "wan"
kind = "aggregator"
inferiors = ["lon", "par"]
"""

TOPOLOGY = """
[[network]]
name = "wan"
terminal = [
    { name = "london", maps = "lon:access" },
    { name = "paris", maps = "par:access" },
    { name = "narrow", maps = "par:narrow", labels = [[10, 20]] },
]
[[network.trunk]]
name = "channel"
start = "lon:to-par"
end = "par:to-lon"
upstream = 1000
delay = 4.5
labels = [{ start = 1, count = 300 }]
[[network]]
name = "lon"
terminal = [{ name = "access", interface = "1" }, { name = "to-par", interface = "3" }]
[[network]]
name = "par"
terminal = [
    { name = "access", interface = "1" },
    { name = "narrow", interface = "2" },
    { name = "to-lon", interface = "3" },
]
"""


A, B = ("london", 1, 10, 10), ("paris", 1, 10, 10)
"""Two ends: terminal, label, ingress, egress."""


class Lives:
    """A store and the brokers that have it, one after the other."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder, self.store = folder, store
        self.config = folder / "dpb.toml"
        self.config.write_text(CONFIG.format(store=store))
        (folder / "topology.toml").write_text(TOPOLOGY)
        self._brokers: list[Serving] = []
        self.broker = self.begin()

    def begin(self) -> Serving:
        self.broker = Serving(self.folder, self.config, len(self._brokers)).go()
        self._brokers.append(self.broker)
        self.url = self.broker.ready()
        return self.broker

    def dpb(self, *args: str | int | Path) -> Result:
        return CliRunner(env={"DPB_URL": self.url, "DPB_NETWORK": "wan"}).invoke(main, [str(arg) for arg in args])

    def ok(self, *args: str | int | Path) -> str:
        result = self.dpb(*args)
        assert result.exit_code == 0, result.output + self.broker.said
        return result.stdout

    def close(self) -> None:
        for broker in self._brokers:
            broker.kill()


@pytest.fixture(params=["sqlite", "postgresql"])
def lives(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lives]:
    url = "sqlite:///dpb.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres_urls")()
    lives = Lives(tmp_path, url)
    try:
        yield lives
    finally:
        lives.close()


@pytest.fixture
def rest(lives: Lives) -> Iterator[Rest]:
    assert lives.ok("apply", lives.folder / "topology.toml").endswith("added\n")
    rest = Rest(lives.url)
    yield rest
    rest.close()


def ends(*flows: tuple[str, int | None, float, float]) -> list[Plain]:
    return [{"terminal": t, "label": label, "ingress": i, "egress": e} for t, label, i, e in flows]


# -- first steps --------------------------------------------------------------------------------


def test_a_first_service_by_hand_on_both_interfaces_survives_restarts(lives: Lives, rest: Rest) -> None:
    asked = {"handle": "first", "activate": True, "segment": ends(("london", 100, 250, 250), ("paris", None, 250, 250))}
    made = rest.ok("POST", "services", asked)
    assert rest.wait(made["id"], ["ACTIVE"], PATIENCE) == "ACTIVE"
    shown = rest.ok("GET", f"services/{made['id']}")
    assert shown["segment"][1]["label"] is not None  # the broker has chosen one
    assert rest.ok("GET", "/network/wan/services") == {"service-ids": [1]}

    assert rest.ok("POST", "/network/wan/create-service") == {"service-id": 2}
    plain = [
        {"terminal-name": "london", "label": "320", "ingress-bw": 10.0, "egress-bw": 0},
        {"terminal-name": "paris", "label": 320, "ingress-bw": 0, "egress-bw": 10.0},
    ]
    assert rest.ok("PUT", "/network/wan/service/2/define", {"segment": plain}) == {}
    assert rest.ok("POST", "/network/wan/service/2/activate") == {}
    wait = {"acceptable": ["ACTIVE", "FAILED"], "timeout-millis": 30_000}
    assert rest.ok("POST", "/network/wan/service/2/await-status", wait) == {"status": "ACTIVE"}
    assert rest.ok("POST", "/network/wan/create-service") == {"service-id": 3}
    assert rest.ok("POST", "/network/wan/service/3/release") == {}
    assert rest.wait(3, ["RELEASED"], PATIENCE) == "RELEASED"
    services, trunk = rest.ok("GET", "services"), rest.ok("GET", "trunks/channel")
    rest.close()

    for end in (Serving.terminate, Serving.kill):
        end(lives.broker)
        lives.begin()
        again = Rest(lives.url)
        assert again.wait(1, ["ACTIVE"], PATIENCE) == again.wait(2, ["ACTIVE"], PATIENCE) == "ACTIVE"
        assert again.ok("GET", "services") == services
        assert again.ok("GET", "trunks/channel") == trunk
        assert again.ok("GET", "/network/wan/service/3/await-status?acceptable=ACTIVE") == {"status": "RELEASED"}
        assert (
            again.ok("POST", "services", {**asked, "activate": False})["id"] == 1
        )  # the same handle, the same service
        again.close()
    again = Rest(lives.url)
    assert again.ok("POST", "/network/wan/create-service") == {"service-id": 4}
    for id_ in (1, 2, 4):
        assert again.ok("DELETE", f"services/{id_}")["desired"] == "RELEASED"
        assert again.wait(id_, ["RELEASED"], PATIENCE) == "RELEASED"
    left = again.ok("GET", "trunks/channel")
    assert (left["upstream-left"], left["downstream-left"], left["labels-left"]) == (1000, 1000, 300)
    again.close()


def test_apply_is_idempotent_and_connect_makes_a_service(lives: Lives, rest: Rest) -> None:
    assert lives.ok("apply", lives.folder / "topology.toml") == "nothing to do\n"
    shown = lives.ok("service", "connect", "london:100", "paris", "--mbps", 50, "--handle", "cdn")
    assert "status   ACTIVE" in shown
    assert rest.ok("GET", "services/1")["handle"] == "cdn"
    assert lives.ok("apply", lives.folder / "topology.toml") == "nothing to do\n"
    lives.ok("service", "release", 1)
    assert rest.ok("GET", "services") == {"services": []}


# -- two brokers, and the end -------------------------------------------------------------------


def test_a_second_broker_on_the_same_store_refuses_in_one_line(lives: Lives) -> None:
    command = [sys.executable, "-m", "dpb_framework.cli", "serve", str(lives.config)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=lives.folder)
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert line.startswith("dpb: ")
    assert "store" in line
    rest = Rest(lives.url)
    assert rest.ok("GET", "/api/v1/health")["status"] == "ok"
    rest.close()


def test_sigterm_ends_it_with_streams_and_waiters_open(lives: Lives, rest: Rest) -> None:
    rest.ok("POST", "services", {"activate": True, "segment": ends(A, B)})
    assert rest.wait(1, ["ACTIVE"], PATIENCE) == "ACTIVE"
    waiters = [http.client.HTTPConnection(rest.host, rest.port, timeout=PATIENCE) for _ in range(3)]
    for waiter in waiters:
        waiter.request("GET", "/api/v1/networks/wan/services/1/await?status=FAILED&timeout-millis=3000000")
    with socket.create_connection((rest.host, rest.port), PATIENCE) as stream:
        stream.sendall(b"GET /api/v1/networks/wan/events?after=0 HTTP/1.1\r\nHost: x\r\n\r\n")
        heard = b""
        while b"event: " not in heard:
            heard += stream.recv(65536)
        until(lambda: _heard(rest.port) >= 5, "the waiters do not come through")
        assert lives.broker.terminate() == 0
        while chunk := stream.recv(65536):
            heard += chunk
    for waiter in waiters:
        assert waiter.getresponse().status == 503
        waiter.close()
    assert "Traceback" not in lives.broker.said


def _heard(port: int) -> int:
    """How many connections to *port* of 127.0.0.1 its process has accepted, and read all of that was sent there."""
    fields = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    mine = [line for line in fields if line[1] == f"0100007F:{port:04X}" and line[3] == "01"]
    return sum(line[4].endswith(":00000000") and line[9] != "0" for line in mine)


# -- refusals -----------------------------------------------------------------------------------

FIELDS = {"terminal": "terminal-name", "ingress": "ingress-bw", "egress": "egress-bw", "label": "label"}


def _with(**changes: Any) -> list[Plain]:
    """Two good ends, the second changed; what is changed to ... is missing."""
    first, second = ends(A, B)
    changed = {**second, **changes}
    return [first, {name: value for name, value in changed.items() if value is not ...}]


REFUSED: list[tuple[str, Any, int, str]] = [
    ("unknown terminal", _with(terminal="rome"), 422, "segment[1].terminal"),
    ("a terminal that is a number", _with(terminal=7), 422, "segment[1].terminal"),
    ("no terminal", _with(terminal=...), 422, "segment[1].terminal"),
    ("no rate", _with(ingress=...), 422, "segment[1].ingress"),
    ("a superfluous field", _with(colour="red"), 422, "segment[1].colour"),
    ("a rate that is text", _with(egress="10"), 422, "segment[1].egress"),
    ("a rate that is true", _with(egress=True), 422, "segment[1].egress"),
    ("a negative rate", _with(ingress=-1), 422, "segment[1].ingress"),
    ("a huge rate", _with(ingress=1e300), 422, "segment[1].ingress"),
    ("a rate below 1 kbit/s", _with(egress=0.0005), 422, "segment[1].egress"),
    ("a fraction of 1 kbit/s", _with(egress=1.0005), 422, "segment[1].egress"),
    ("no traffic either way", _with(ingress=0, egress=0), 422, "segment[1]"),
    ("a label that is negative", _with(label=-1), 422, "segment[1].label"),
    ("a label of more than 24 bits", _with(label=2**24), 422, "segment[1].label"),
    ("a fractional label", _with(label=1.5), 422, "segment[1].label"),
    ("one circuit", ends(A), 422, "segment"),
    ("no circuits", [], 422, "segment"),
    ("the same circuit twice", ends(A, B, A), 422, "segment[2]"),
    ("no array", {}, 422, "segment"),
    ("an end that is no object", [*ends(A), 7], 422, "segment[1]"),
]


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lives]:
    """One broker for all requests that must change nothing."""
    lives = Lives(tmp_path_factory.mktemp("steady"), "sqlite:///dpb.sqlite")
    try:
        lives.ok("apply", lives.folder / "topology.toml")
        yield lives
    finally:
        lives.close()


@pytest.fixture
def calm(steady: Lives) -> Iterator[Rest]:
    rest = Rest(steady.url)
    yield rest
    for service in rest.ok("GET", "services")["services"]:
        rest.ok("DELETE", f"services/{service['id']}")
        assert rest.wait(service["id"], ["RELEASED"], PATIENCE) == "RELEASED"
    rest.close()


def test_each_refusal_has_its_status_and_names_the_field(calm: Rest) -> None:
    rest = calm
    id_ = rest.ok("POST", "/network/wan/create-service")["service-id"]
    before = rest.ok("GET", "trunks")
    for what, segment, status, field in REFUSED:
        refused, problem = rest.call("POST", f"services/{id_}/define", {"segment": segment})
        assert (refused, problem["status"]) == (status, status), f"{what}: {problem}"
        assert problem["field"].startswith(field), f"{what}: {problem}"
        assert problem["detail"], what

        old = segment
        if isinstance(segment, list):
            old = [{FIELDS.get(k, k): v for k, v in e.items()} if isinstance(e, dict) else e for e in segment]
        refused, problem = rest.call("PUT", f"/network/wan/service/{id_}/define", {"segment": old})
        place, dot, name = field.rpartition(".")
        theirs = f"{place}{dot}{FIELDS.get(name, name)}"
        assert refused == status, f"{what}: {problem}"
        assert problem["field"].startswith(theirs), f"{what}: {problem}"
    shown = rest.ok("GET", f"services/{id_}")
    assert (shown["status"], shown["segment"]) == ("DORMANT", None)
    assert rest.ok("GET", "trunks") == before


def test_requests_that_are_none_are_refused_with_a_problem(steady: Lives, calm: Rest) -> None:
    rest = calm
    id_ = rest.ok("POST", "/network/wan/create-service")["service-id"]
    good = json.dumps({"segment": ends(A, B)}).encode()
    define = f"/api/v1/networks/wan/services/{id_}/define"
    cases: list[tuple[str, str, bytes | None, int, str | None]] = [
        ("GET", "/network/nowhere/services", None, 404, None),
        ("POST", "/network/nowhere/create-service", None, 404, None),
        ("GET", "/api/v1/networks/nowhere", None, 404, None),
        ("PUT", "/network/wan/service/99/define", good, 404, None),
        ("GET", "/api/v1/networks/wan/services/99", None, 404, None),
        ("GET", "/api/v1/networks/wan/services/x", None, 404, None),
        ("GET", "/api/v1/networks/wan/terminals/rome", None, 404, None),
        ("GET", "/api/v1/networks/wan/trunks/rome", None, 404, None),
        ("POST", define, b'{"segment": [', 400, None),
        ("POST", define, b"\xff\xfe", 400, None),
        ("POST", define, None, 400, None),
        ("POST", define, good.replace(b"10", b"NaN"), 422, "segment[0].ingress"),
        ("POST", define, b"{}", 422, "segment"),
        ("POST", define, b'{"segment": [], "x": 1}', 422, "x"),
        ("POST", define, b"7", 422, "body"),
        ("POST", define, b'{"segment": "' + b"x" * 2_000_000 + b'"}', 413, None),
        ("POST", f"/network/wan/service/{id_}/await-status", b'{"acceptable": ["HAPPY"]}', 422, "acceptable[0]"),
    ]
    for method, path, body, status, field in cases:
        # A body that is too large may end the connection: what is refused first is told all the same.
        other = Rest(steady.url)
        answered, text, headers = other.send(method, path, body)
        other.close()
        shown = f"{method} {path} {(body or b'')[:50]!r}: {answered} {text[:300]!r}"
        assert answered == status, shown
        assert headers["content-type"] == "application/problem+json", shown
        problem = json.loads(text)
        assert (problem["status"], problem.get("field")) == (status, field), shown
    for method, path in (("DELETE", "/network/wan/services"), ("PUT", define), ("GET", "/network/wan/create-service")):
        answered, text, headers = rest.send(method, path)
        assert (answered, json.loads(text)["status"]) == (405, 405)
        assert headers["allow"]
    assert rest.ok("GET", f"services/{id_}")["status"] == "DORMANT"


def test_what_others_have_is_refused_and_by_whom_is_told(calm: Rest) -> None:
    rest = calm
    id_ = rest.ok("POST", "services", {"segment": ends(A, B)})["id"]
    status, problem = rest.call("POST", "services", {"segment": ends(("paris", 7, 1, 1), ("london", 1, 1, 1))})
    assert (status, problem["field"]) == (409, "segment[1].label")
    assert f"service {id_}" in problem["detail"]

    status, problem = rest.call("POST", "services", {"segment": ends(("london", 5, 1, 1), ("narrow", 21, 1, 1))})
    assert (status, problem["field"]) == (422, "segment[1].label"), problem

    # The same definition again is no second one; another is.
    assert rest.ok("POST", f"services/{id_}/define", {"segment": ends(A, B)})["id"] == id_
    status, problem = rest.call("POST", f"services/{id_}/define", {"segment": ends(A, ("paris", 2, 10, 10))})
    assert (status, problem["code"]) == (409, "service-logic")
    assert rest.ok("GET", f"services/{id_}")["segment"] == ends(A, B)
    assert len(rest.ok("GET", "services")["services"]) == 1


def test_what_no_tree_can_carry_one_way_is_refused_at_once_and_changes_nothing(lives: Lives, rest: Rest) -> None:
    held = rest.ok(
        "POST", "services", {"activate": True, "segment": ends(("london", 1, 600, 600), ("paris", 1, 600, 600))}
    )
    assert rest.wait(held["id"], ["ACTIVE"], PATIENCE) == "ACTIVE"
    before, services = rest.ok("GET", "trunks"), rest.ok("GET", "services")
    asked = ends(("london", 2, 10, 600), ("paris", 2, 600, 10))
    status, problem = rest.call("POST", "services", {"segment": asked})
    assert (status, problem["code"]) == (409, "no-capacity")
    assert rest.ok("GET", "services") == services

    id_ = rest.ok("POST", "/network/wan/create-service")["service-id"]
    status, problem = rest.call("POST", f"services/{id_}/define", {"segment": asked})
    assert (status, problem["code"]) == (409, "no-capacity")
    shown = rest.ok("GET", f"services/{id_}")
    assert (shown["status"], shown["segment"], shown["error"]["code"]) == ("DORMANT", None, "no-capacity")
    assert rest.ok("GET", "trunks") == before

    # What is left each way is there all the same.
    assert rest.ok("POST", f"services/{id_}/define", {"segment": ends(("london", 2, 10, 400), ("paris", 2, 400, 10))})
    (trunk,) = rest.ok("GET", "trunks")["trunks"]
    assert (trunk["upstream-left"], trunk["downstream-left"]) == (390, 0)
