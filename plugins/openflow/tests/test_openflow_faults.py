"""What the fabric makes of an application that refuses, hangs, talks nonsense, or dies in the middle."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dpb_lab.answering import trickling
from dpb_openflow import OpenFlowFabric, answers
from dpb_openflow.address import BASE, Address
from dpb_openflow.client import Client
from dpb_openflow.hub import Hub

from dpb_framework.contracts import Bridge, Capability, Channel, FabricEvent
from dpb_framework.errors import ConfigInvalid, DpbError, FabricRefused, Unreachable
from dpb_framework.model import TrafficFlow

from .fake_application import FakeApplication, FakeSwitch, eventually

DPID = "00000000000000a1"
FLOW = TrafficFlow(1_000, 2_000)
PREFIX = "0b9c/s1/"


def bridge(number: int, *ends: tuple[str, int]) -> Bridge:
    chosen = ends or (("1", number), ("2", number))
    return Bridge(f"{PREFIX}{number}", {Channel(*end): FLOW for end in chosen})


@pytest.fixture
def switch() -> FakeSwitch:
    return FakeSwitch(DPID)


@pytest.fixture
def application(switch: FakeSwitch) -> Iterator[FakeApplication]:
    with FakeApplication(switch) as application:
        yield application


@pytest.fixture
def fabric(application: FakeApplication) -> Iterator[OpenFlowFabric]:
    fabric = OpenFlowFabric(url=application.url, dpid=DPID)
    fabric.start()
    yield fabric
    fabric.stop()


def one_line(error: DpbError, *words: str) -> None:
    text = str(error)
    assert "\n" not in text
    for word in words:
        assert word in text, text


# -- which error it is ------------------------------------------------------------------------------


def test_the_switchs_own_words_come_through(application: FakeApplication, fabric: OpenFlowFabric) -> None:
    application.fault("refuse", "PUT")
    with pytest.raises(FabricRefused, match="meter table is full") as caught:
        fabric.ensure(bridge(1))
    one_line(caught.value, DPID, application.url)
    with pytest.raises(FabricRefused, match="no port 99"):
        fabric.ensure(bridge(1, ("99", 1), ("2", 1)))
    assert fabric.bridges() == []


def test_an_overlap_is_refused_and_tells_with_what(fabric: OpenFlowFabric) -> None:
    fabric.ensure(bridge(1))
    with pytest.raises(FabricRefused, match=rf"overlaps .* {PREFIX}1"):
        fabric.ensure(bridge(2, ("phys", 1), ("3", 1)))
    assert fabric.bridges() == [bridge(1)]


def test_labels_that_are_none_never_reach_the_application(application: FakeApplication, fabric: OpenFlowFabric) -> None:
    before = len([call for call in application.calls if call.startswith("PUT")])
    with pytest.raises(FabricRefused, match="inner tag 0"):
        fabric.ensure(bridge(1, ("1x2", 8192), ("2", 1)))
    assert len([call for call in application.calls if call.startswith("PUT")]) == before


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("not-connected", "not connected"),
        ("timed-out", "no barrier reply"),
        ("html", "is no tuple slicer"),
    ],
)
def test_an_unknown_outcome_is_unreachable(
    application: FakeApplication, fabric: OpenFlowFabric, kind: str, words: str
) -> None:
    application.fault(kind, "PUT")
    with pytest.raises(Unreachable, match=words) as caught:
        fabric.ensure(bridge(1))
    one_line(caught.value, DPID, application.url)
    fabric.ensure(bridge(1))
    assert fabric.bridges() == [bridge(1)]


@pytest.mark.parametrize("kind", ["reset", "lost", "middle"])
def test_what_broke_off_is_sent_once_more(
    application: FakeApplication, fabric: OpenFlowFabric, switch: FakeSwitch, kind: str
) -> None:
    application.fault(kind, "PUT")
    fabric.ensure(bridge(1))
    application.fault(kind, "DELETE")
    if kind != "middle":  # there is nothing in the middle of an empty answer
        fabric.remove(f"{PREFIX}1")
        assert switch.slices == {}
    application.clear_faults()
    application.fault(kind, "PUT", count=2)
    with pytest.raises(Unreachable):
        fabric.ensure(bridge(2))
    assert [call.split()[0] for call in application.calls].count("PUT") == 4


def test_an_application_that_hangs(application: FakeApplication) -> None:
    hasty = OpenFlowFabric(url=application.url, dpid=DPID, timeout=0.3)
    hasty.start()
    try:
        application.fault("hang", "PUT", count=None)
        with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
            hasty.ensure(bridge(1))
        assert [call.split()[0] for call in application.calls].count("PUT") == 1
        hasty.retain([], PREFIX)
        application.clear_faults()
        hasty.ensure(bridge(1))
    finally:
        application.clear_faults()
        hasty.stop()


def test_stop_ends_a_call_that_waits(application: FakeApplication, fabric: OpenFlowFabric) -> None:
    application.fault("hang", "PUT", count=None)
    errors: list[DpbError] = []

    def work() -> None:
        try:
            fabric.ensure(bridge(1))
        except DpbError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    application.wait(lambda: any(call.startswith("PUT") for call in application.calls))
    fabric.stop()
    thread.join(5)
    application.clear_faults()
    assert [type(error) for error in errors] == [Unreachable]


def test_nobody_there(fabric: OpenFlowFabric, application: FakeApplication) -> None:
    application.kill()
    with pytest.raises(Unreachable, match="refused") as caught:
        fabric.ensure(bridge(1))
    one_line(caught.value, DPID, application.url)


def test_a_port_that_takes_connections_and_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fabric = OpenFlowFabric(url=f"http://127.0.0.1:{silent.getsockname()[1]}", dpid=DPID, timeout=0.2)
        fabric.start()
        try:
            with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
                fabric.bridges()
        finally:
            fabric.stop()


@pytest.mark.parametrize(
    ("begun", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", r"no whole answer within 0\.1 s"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n", r"no whole answer within 0\.1 s"),
        (b"HTTP/1.1 200 OK\r\nX-Long:", r"no answer within 0\.1 s"),
    ],
    ids=["body", "chunk", "header"],
)
def test_an_answer_that_trickles_in_is_not_waited_for(begun: bytes, words: str) -> None:
    with trickling(begun) as url:
        client = Client(Address(url), 0.1, "the application")
        with pytest.raises(Unreachable, match=words):
            client.call("GET", "", again=False)
        client.end()


def test_an_answer_that_is_too_large_is_not_taken(
    application: FakeApplication, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(Address(application.url), 5, "the application")
    size = len(json.dumps(application.answer("GET", BASE, None)[1]))
    monkeypatch.setattr(answers, "LARGEST", size)
    assert client.call("GET", "")["last-event"] == 0
    monkeypatch.setattr(answers, "LARGEST", size - 1)
    with pytest.raises(Unreachable, match=f"its answer has more than {size - 1} octets"):
        client.call("GET", "")
    client.end()


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"slices": 7},
        {"slices": {"k": 7}},
        {"slices": {"k": {"circuits": [{"circuit": [0]}]}}},
        {"slices": {"k": {"circuits": [{"circuit": [1, 2], "ingress": "much"}]}}},
    ],
    ids=str,
)
def test_an_answer_that_is_json_and_nonsense(
    monkeypatch: pytest.MonkeyPatch, application: FakeApplication, fabric: OpenFlowFabric, plain: Any
) -> None:
    real = application.answer
    monkeypatch.setattr(
        application,
        "answer",
        lambda method, path, body: (200, plain) if "slices" in path else real(method, path, body),
    )
    with pytest.raises(Unreachable, match="no tuple slicer") as caught:
        fabric.bridges()
    one_line(caught.value)


def test_a_command_before_start_or_after_stop(application: FakeApplication) -> None:
    fabric = OpenFlowFabric(url=application.url, dpid=DPID)
    with pytest.raises(Unreachable, match="not started"):
        fabric.bridges()
    fabric.start()
    fabric.stop()
    with pytest.raises(Unreachable):
        fabric.bridges()


# -- keys, DHCP, meters -----------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a/b/1", "ä €/%2F/..", "?x=1#y", "a//b", "..", "."])
def test_keys_are_whatever_they_are(fabric: OpenFlowFabric, switch: FakeSwitch, key: str) -> None:
    given = Bridge(f"n/{key}", bridge(1).channels)
    fabric.ensure(given)
    assert set(switch.slices) == {f"n/{key}"}
    fabric.remove(f"n/{key}")
    assert switch.slices == {}


def test_a_slice_that_treats_dhcp_otherwise_has_to_be_made_anew(
    application: FakeApplication, fabric: OpenFlowFabric, switch: FakeSwitch
) -> None:
    fabric.ensure(bridge(1))
    other = OpenFlowFabric(url=application.url, dpid="0xA1", dhcp=False)
    other.start()
    try:
        assert other.bridges() == []
        other.ensure(bridge(1))
        assert other.bridges() == [bridge(1)]
        assert fabric.bridges() == []
        assert switch.slices[f"{PREFIX}1"]["dhcp"] is False
    finally:
        other.stop()


def test_capabilities_and_capacity_follow_the_switch(caplog: pytest.LogCaptureFixture) -> None:
    with FakeApplication(FakeSwitch(DPID, meters=False), FakeSwitch("00000000000000a2")) as application:
        bare = OpenFlowFabric(url=application.url, dpid=DPID)
        rich = OpenFlowFabric(url=application.url, dpid="a2")
        caplog.set_level("INFO")
        for fabric in (bare, rich):
            fabric.start()
        try:
            eventually(lambda: len(bare.capabilities) == 3)
            assert bare.capabilities == {Capability.DOUBLE_TAGS, Capability.IN_PLACE, Capability.EVENTS}
            assert rich.capabilities == OpenFlowFabric.capabilities == frozenset(Capability)
            assert "has no meters: no rate is enforced" in caplog.text
            bare.ensure(bridge(1))
            rich.ensure(bridge(1))
            assert bare.capacity() == {"ports": 16, "flows": 10}
            assert rich.capacity() == {"ports": 16, "flows": 10, "meters-left": 996}
        finally:
            bare.stop()
            rich.stop()


# -- events -----------------------------------------------------------------------------------------


class Told(list[tuple[FabricEvent, str]]):
    """What a listener was told."""

    def __call__(self, event: FabricEvent, port: str) -> None:
        self.append((event, port))


UP, DOWN = (FabricEvent.UP, ""), (FabricEvent.DOWN, "")


def test_a_restarted_application_learns_the_keys(
    application: FakeApplication, fabric: OpenFlowFabric, switch: FakeSwitch
) -> None:
    told = Told()
    fabric.watch(told)
    eventually(lambda: told == [UP])
    for number in (1, 2, 3):
        fabric.ensure(bridge(number))
    changes = switch.changes
    application.restart()
    eventually(lambda: told.count(UP) == 2)
    assert fabric.bridges() == []
    fabric.retain([f"{PREFIX}1", f"{PREFIX}2"], PREFIX)
    assert fabric.bridges() == [bridge(1), bridge(2)]
    assert switch.changes == changes
    with pytest.raises(FabricRefused):
        fabric.ensure(bridge(9, ("1", 1), ("9", 9)))


def test_after_a_gap_everything_is_told_again(application: FakeApplication, fabric: OpenFlowFabric) -> None:
    told = Told()
    fabric.watch(told)
    eventually(lambda: told == [UP])
    application.set_port(DPID, "3", False)
    eventually(lambda: len(told) == 2)
    application.set_port(DPID, "3", True, told=False)
    application.set_port(DPID, "7", False, told=False)
    application.gap()
    eventually(lambda: len(told) == 4)
    assert told == [UP, (FabricEvent.PORT_DOWN, "3"), UP, (FabricEvent.PORT_DOWN, "7")]


def test_a_switch_that_comes_and_goes(application: FakeApplication, fabric: OpenFlowFabric) -> None:
    told = Told()
    fabric.watch(told)
    eventually(lambda: told == [UP])
    application.contact(DPID, up=False, reason="it speaks OpenFlow 1.0 only")
    eventually(lambda: told[-1] == DOWN)
    for command in (lambda: fabric.ensure(bridge(1)), fabric.bridges, fabric.capacity):
        with pytest.raises(Unreachable, match=r"OpenFlow 1\.0 only"):
            command()
    application.set_port(DPID, "3", False)
    application.contact(DPID, up=True)
    eventually(lambda: len(told) == 4)
    assert told == [UP, DOWN, UP, (FabricEvent.PORT_DOWN, "3")]


def test_a_switch_that_comes_after_the_fabric(application: FakeApplication, fabric: OpenFlowFabric) -> None:
    late = OpenFlowFabric(url=application.url, dpid="a2")
    late.start()
    try:
        told = Told()
        late.watch(told)
        with pytest.raises(Unreachable, match="never seen"):
            late.bridges()
        application.switches["00000000000000a2"] = FakeSwitch("00000000000000a2")
        application.contact("00000000000000a2", up=True)
        eventually(lambda: told == [UP])
    finally:
        late.stop()


def test_an_application_that_comes_after_the_fabric(application: FakeApplication) -> None:
    application.kill()
    fabric = OpenFlowFabric(url=application.url, dpid=DPID)
    fabric.start()
    try:
        told = Told()
        fabric.watch(told)
        application.start()
        eventually(lambda: told == [UP])
        # Whoever asks now is told of the port, and meets the fault the next time.
        application.wait(lambda: "/events" in application.calls[-1])
        application.fault("html", "GET", "events")
        application.set_port(DPID, "3", True)
        eventually(lambda: told == [UP, (FabricEvent.PORT_UP, "3"), DOWN, UP])
    finally:
        fabric.stop()


def test_contact_is_lost_and_regained_whatever_goes_wrong(
    application: FakeApplication,
    fabric: OpenFlowFabric,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told()
    fabric.watch(told)
    eventually(lambda: told == [UP])

    def tell(*_: object) -> None:
        monkeypatch.undo()
        raise ArithmeticError("nobody foresaw this")

    monkeypatch.setattr(Hub, "_tell", tell)
    application.set_port(DPID, "3", True)
    eventually(lambda: told == [UP, DOWN, UP])
    assert "ArithmeticError: nobody foresaw this" in caplog.text


def test_one_thread_follows_an_application_for_all_its_switches() -> None:
    switches = [FakeSwitch(f"{number:016x}") for number in range(1, 21)]
    with FakeApplication(*switches) as application:

        def followers() -> list[str]:
            return [t.name for t in threading.enumerate() if t.name == f"events of {application.url}"]

        fabrics = [OpenFlowFabric(url=application.url + "/", dpid=switch.dpid) for switch in switches]
        told = [Told() for _ in fabrics]
        try:
            for fabric, listener in zip(fabrics, told, strict=True):
                fabric.start()
                fabric.watch(listener)
            eventually(lambda: all(UP in listener for listener in told))
            assert followers() == [f"events of {application.url}"]
            application.set_port(switches[7].dpid, "3", False)
            eventually(lambda: told[7][-1] == (FabricEvent.PORT_DOWN, "3"))
            assert all(len(listener) == 1 for listener in told if listener is not told[7])
            for fabric in fabrics[:-1]:
                fabric.stop()
            assert len(followers()) == 1
        finally:
            for fabric in fabrics:
                fabric.stop()
        assert followers() == []


def test_connections_are_kept(application: FakeApplication, fabric: OpenFlowFabric) -> None:
    told = Told()
    fabric.watch(told)
    eventually(lambda: told == [UP])
    ports = set()
    real = application.answer

    def answer(method: str, path: str, body: Any) -> Any:
        if method == "PUT":  # what is told of events has a connection of its own
            ports.add(threading.get_ident())  # a thread of the fake's serves one connection
        return real(method, path, body)

    application.answer = answer  # type: ignore[method-assign]
    for number in range(1, 20):
        fabric.ensure(bridge(number))
    assert len(ports) == 1


# -- settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"url": ""}, "url"),
        ({"url": "127.0.0.1:8080"}, "url"),
        ({"url": "ftp://127.0.0.1"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://h:99999"}, "url"),
        ({"url": "http://user:secret@h"}, "url"),
        ({"url": "http://h?x=1"}, "url"),
        ({"dpid": ""}, "dpid"),
        ({"dpid": "0"}, "dpid"),
        ({"dpid": "g"}, "dpid"),
        ({"dpid": "1" * 17}, "dpid"),
        ({"dpid": 7}, "dpid"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"dhcp": "no"}, "dhcp"),
        ({"ca": "/x.pem"}, "ca"),
        ({"url": "https://h", "ca": "/nowhere/x.pem"}, "ca"),
        ({"token": "a b"}, "token"),
    ],
)
def test_bad_settings(settings: dict[str, Any], path: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        OpenFlowFabric(**{"url": "http://127.0.0.1:1", "dpid": "1", **settings})
    assert caught.value.path == path
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("dpid", ["a1", "0xA1", "00:00:00:00:00:00:00:a1", " 00000000000000a1 "])
def test_forms_of_a_dpid(application: FakeApplication, dpid: str) -> None:
    fabric = OpenFlowFabric(url=f"{application.url}/slicer/api/v2/", dpid=dpid)
    fabric.start()
    assert fabric.bridges() == []
    fabric.stop()


def test_a_token_is_sent() -> None:
    with FakeApplication(FakeSwitch(DPID), token="s3cret") as application:
        for token, fine in (("s3cret\n", True), ("other", False)):
            fabric = OpenFlowFabric(url=application.url, dpid=DPID, token=token)
            fabric.start()
            try:
                if fine:
                    fabric.ensure(bridge(1))
                else:
                    with pytest.raises(Unreachable, match=r"let us in \(401\); see the setting token") as caught:
                        fabric.ensure(bridge(1))
                    assert "other" not in str(caught.value)
            finally:
                fabric.stop()


def test_tls_with_the_right_and_a_wrong_ca(tmp_path: Path) -> None:
    for name in ("right", "wrong"):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", str(tmp_path / f"{name}.key"), "-out", str(tmp_path / f"{name}.pem")],
            check=True, capture_output=True,
        )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "right.pem", tmp_path / "right.key")
    with FakeApplication(FakeSwitch(DPID), tls=context) as application:
        fabric = OpenFlowFabric(url=application.url, dpid=DPID, ca=str(tmp_path / "right.pem"))
        fabric.start()
        try:
            fabric.ensure(bridge(1))
            assert fabric.bridges() == [bridge(1)]
        finally:
            fabric.stop()
        for gone in (False, True):
            other = OpenFlowFabric(url=application.url, dpid=DPID, ca=str(tmp_path / "wrong.pem"))
            if gone:
                (tmp_path / "wrong.pem").unlink()
            other.start()
            try:
                with pytest.raises(Unreachable) as caught:
                    other.bridges()
                one_line(caught.value, application.url)
            finally:
                other.stop()
