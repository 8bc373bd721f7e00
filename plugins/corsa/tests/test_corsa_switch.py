"""Settings, certificates, tokens and answers that are none: one clear line each. Restarts, and others beside us."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from dpb_corsa import PerServiceFabric, SharedFabric, answers
from dpb_corsa.answers import Lines
from dpb_corsa.contact import Contact, Look
from dpb_corsa.fabric import CorsaFabric
from dpb_corsa.transport import Transport
from dpb_corsa_emulator import certificate
from dpb_corsa_emulator.values import Bridge as Vfc
from dpb_corsa_emulator.values import Limits, State, Tunnel
from dpb_lab.answering import trickling

from dpb_framework.contracts import Bridge, Channel, FabricEvent
from dpb_framework.errors import ConfigInvalid, FabricRefused, Unreachable
from dpb_framework.model import TrafficFlow

from .corsa_lab import PREFIX, Lab, eventually, looked

KINDS = [SharedFabric, PerServiceFabric]
NAMESPACE = "0b4bd1a5-5b3a-4b4e-8a0e-0f4d8e7c1234/london/"
LOW = TrafficFlow(2_000, 3_000)


def service(number: int, *ends: Channel, flow: TrafficFlow = LOW) -> Bridge:
    ends = ends or (Channel("3", number), Channel("4", number))
    return Bridge(f"{NAMESPACE}{number}", dict.fromkeys(ends, flow))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.start()
    yield lab
    lab.stop()


@pytest.fixture
def start() -> Iterator[Callable[..., CorsaFabric]]:
    """Starts fabrics, which are stopped when the test is over."""
    started: list[CorsaFabric] = []

    def make(kind: type[CorsaFabric], lab: Lab, **settings: Any) -> CorsaFabric:
        fabric = kind(**lab.settings(**settings))
        started.append(fabric)
        fabric.start()
        return fabric

    yield make
    for fabric in started:
        fabric.stop()


def told(fabric: CorsaFabric) -> dict[str, Any]:
    return {bridge.key: bridge.channels for bridge in fabric.bridges()}


def given(*bridges: Bridge) -> dict[str, Any]:
    return {bridge.key: bridge.channels for bridge in bridges}


def problem_of(command: Callable[[], object], kind: type[Exception] = Unreachable) -> str:
    with pytest.raises(kind) as caught:
        command()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value", "path"),
    [
        ("url", "http://127.0.0.1", "url"),
        ("url", "https://", "url"),
        ("url", "https://me:secret@127.0.0.1", "url"),
        ("url", "https://127.0.0.1/?a", "url"),
        ("application", "127.0.0.1:8080", "application"),
        ("controller", "localhost:6653", "controller"),
        ("controller", "127.0.0.1", "controller"),
        ("controller", "127.0.0.1:65536", "controller"),
        ("prefix", "", "prefix"),
        ("prefix", "a b", "prefix"),
        ("resources", 0, "resources"),
        ("resources", 101, "resources"),
        ("netns", 7, "netns"),
        ("traffic_class", "high", "traffic-class"),
        ("controller_tls", 1, "controller-tls"),
        ("timeout", 0, "timeout"),
        ("poll", -1, "poll"),
        ("certificate", "/nonexistent", "certificate"),
        ("token_file", "/nonexistent", "token-file"),
    ],
)
def test_bad_settings_are_told(lab: Lab, setting: str, value: object, path: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        SharedFabric(**lab.settings(**{setting: value}))
    assert caught.value.path == path


def test_files_that_hold_something_else_are_told(lab: Lab, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for text in ("", "hello", lab.switch.certificate.read_text() * 2, "-----BEGIN CERTIFICATE-----"):
        other.write_text(text)
        assert "exactly one certificate" in problem_of(
            lambda: SharedFabric(**lab.settings(certificate=str(other))), ConfigInvalid
        )
    other.write_text(" \n\n")
    assert "does not hold a token" in problem_of(
        lambda: SharedFabric(**lab.settings(token_file=str(other))), ConfigInvalid
    )


# -- whom we speak to -------------------------------------------------------------------------------


def test_another_certificate_is_not_spoken_to(lab: Lab, tmp_path: Path, start: Callable[..., CorsaFabric]) -> None:
    other = tmp_path / "other.pem"
    certificate.make(other, tmp_path / "other.key", ["127.0.0.1"])
    lab.switch.faults.arm()
    problem = problem_of(start(SharedFabric, lab, certificate=str(other)).bridges)
    assert "TLS" in problem
    assert "certificate" in problem.lower()
    assert not lab.switch.faults.calls, "the token was sent to somebody else"


def test_an_authority_that_signed_the_switchs_certificate_is_not_enough(
    lab: Lab, start: Callable[..., CorsaFabric], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a certificate that verifies is compared with the one in the file."""
    monkeypatch.setattr("dpb_corsa.switch.fingerprint_of", lambda _: "00" * 32)
    assert "ingerprint" in problem_of(start(SharedFabric, lab).bridges)


def test_a_token_over_several_lines_is_joined(lab: Lab, tmp_path: Path, start: Callable[..., CorsaFabric]) -> None:
    token = lab.switch.tokens.token
    broken = tmp_path / "broken"
    broken.write_text(f"{token[:10]}\n{token[10:30]}\r\n{token[30:]}\n\n")
    assert told(start(SharedFabric, lab, token_file=str(broken))) == {}


def test_an_expired_token_is_told_and_a_new_one_is_taken(lab: Lab, start: Callable[..., CorsaFabric]) -> None:
    fabric = start(SharedFabric, lab)
    assert told(fabric) == {}
    lab.switch.tokens.expired = True
    problem = problem_of(fabric.bridges)
    assert "the token has expired" in problem
    assert str(lab.switch.token) in problem
    lab.switch.tokens.expired = False
    lab.switch.token.write_text("another\ntoken\n")
    assert told(fabric) == {}


def test_what_is_no_switch_is_told(lab: Lab, start: Callable[..., CorsaFabric]) -> None:
    fabric = start(SharedFabric, lab)
    looked(fabric)
    lab.switch.faults.arm("html")
    assert "is no Corsa switch (status 200, text/html)" in problem_of(fabric.bridges)
    lab.switch.faults.arm()
    lab.application.faults.arm("html")
    assert "no application with /slicer/api/v2 (status 200, text/html)" in problem_of(fabric.bridges)


def test_a_fabric_that_is_not_started_and_one_that_is_stopped_say_so(lab: Lab) -> None:
    fabric = SharedFabric(**lab.settings())
    assert "not started" in problem_of(lambda: fabric.ensure(service(1)))
    fabric.start()
    fabric.stop()
    assert "stopped" in problem_of(fabric.bridges)


# -- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_switch_has_no_room_for_is_refused(
    lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric]
) -> None:
    fabric = start(kind, lab, resources=60)
    theirs = Vfc("0000000000000007", "openflow", 50, descr="theirs")
    lab.switch.call(lambda state: State({**state.bridges, "br1": theirs}))
    assert "110 percent would be in use" in problem_of(lambda: fabric.ensure(service(1)), FabricRefused)
    assert lab.switch.of_ours() == {}
    assert fabric.capacity() == {
        "bridges": 0, "connected": 0, "bridges-left": 62, "resources-left": 50, "tunnels": 0
    }  # fmt: skip


def test_when_all_vfcs_are_in_use_that_is_told(tmp_path: Path, lab: Lab, start: Callable[..., CorsaFabric]) -> None:
    theirs = {f"br{n}": Vfc(f"{n:016x}", "openflow", 1, descr="theirs") for n in range(1, 64)}
    lab.switch.call(lambda _: State(theirs))
    assert "all 63 VFCs are in use" in problem_of(lambda: start(SharedFabric, lab).ensure(service(1)), FabricRefused)


def test_when_openflow_ports_run_out_nothing_is_left(tmp_path: Path, start: Callable[..., CorsaFabric]) -> None:
    lab = Lab(tmp_path / "small", Limits(max_ofport=5))
    lab.start()
    try:
        fabric = start(SharedFabric, lab)
        fabric.ensure(service(1))
        fabric.ensure(service(2))
        problem_of(lambda: fabric.ensure(service(3)), FabricRefused)
        assert told(fabric) == given(service(1), service(2))
        assert len(lab.switch.tagged()) == 4
        fabric.remove(service(1).key)
        fabric.ensure(service(3))
    finally:
        lab.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_circuit_of_somebody_else_is_not_taken(
    lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric]
) -> None:
    theirs = Vfc("0000000000000007", "openflow", 5, descr="theirs", tunnels={1: Tunnel("3", 1)})
    lab.switch.call(lambda state: State({**state.bridges, "br1": theirs}))
    fabric = start(kind, lab)
    assert "in use by ofport 1 of br1" in problem_of(lambda: fabric.ensure(service(1)), FabricRefused)
    assert lab.switch.tagged() == []
    assert lab.switch.state.bridges["br1"] == theirs


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_that_the_switch_rounds_is_refused(
    lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither ignored nor silently another: some switches shape in whole Mbit/s only."""
    real = lab.switch.device.change

    def rounding(step: Callable[[State], State]) -> State:
        def stepped(state: State) -> State:
            after = step(state)
            return State(
                {
                    name: evolve(
                        b, tunnels={n: evolve(t, shaped=t.shaped and int(t.shaped)) for n, t in b.tunnels.items()}
                    )
                    for name, b in after.bridges.items()
                }
            )

        return real(stepped)

    monkeypatch.setattr(lab.switch.device, "change", rounding)
    fabric = start(kind, lab)
    problem = problem_of(lambda: fabric.ensure(service(1, flow=TrafficFlow(1_500, 2_500))), FabricRefused)
    assert "2.5 Mbit/s out of it are asked for, shaped is 2 Mbit/s" in problem
    assert lab.switch.tagged() == []
    fabric.ensure(service(1, flow=TrafficFlow(1_500, 2_000)))


@pytest.mark.parametrize("kind", KINDS)
def test_fractions_of_a_megabit_are_kept(lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric]) -> None:
    fabric = start(kind, lab)
    wanted = service(1, flow=TrafficFlow(1, 2_345))
    fabric.ensure(wanted)
    assert told(fabric) == given(wanted)


# -- races ------------------------------------------------------------------------------------------


def test_two_networks_on_one_switch_make_their_vfcs_at_once(lab: Lab, start: Callable[..., CorsaFabric]) -> None:
    """Each picks the next free name when the other was quicker, and leaves what the other has half made."""
    fabrics = [start(SharedFabric, lab, prefix=f"dpb:{name}:", resources=5) for name in ("a", "b", "ab", "c")]
    errors: list[Exception] = []
    together = threading.Barrier(len(fabrics))

    def work(number: int, fabric: CorsaFabric) -> None:
        together.wait()
        try:
            fabric.ensure(service(number, Channel("3", number), Channel("4", number)))
        except Exception as error:  # noqa: BLE001  # told below
            errors.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(fabrics, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len([b for b in lab.switch.state.bridges.values() if b.descr.endswith("complete")]) == 4
    assert [told(fabric) for fabric in fabrics] == [given(service(n)) for n in range(1, 5)]


@pytest.mark.parametrize("kind", KINDS)
def test_names_and_ports_that_others_took_meanwhile_are_passed_over(
    lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric]
) -> None:
    fabric = start(kind, lab, poll=3600)
    looked(fabric)
    for number, words in ((1, "POST /bridges"), (2, "POST /tunnels")):
        lab.switch.faults.arm("conflict", 0, words)
        fabric.ensure(service(number))
        assert lab.switch.faults.struck
    assert told(fabric) == given(service(1), service(2))


@pytest.mark.parametrize("kind", KINDS)
def test_ports_that_the_application_does_not_know_yet_are_waited_for(
    lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric]
) -> None:
    fabric = start(kind, lab, timeout=0.5)
    lab.application.faults.arm("no-port", 0, "PUT")
    fabric.ensure(service(1))
    assert len(lab.application.faults.calls) == 2
    assert told(fabric) == given(service(1))
    lab.application.faults.arm("no-port", None, "PUT")
    assert "is not there" in problem_of(lambda: fabric.ensure(service(2)), FabricRefused)
    lab.application.faults.arm()
    assert told(fabric) == given(service(1))
    assert len(lab.switch.tagged()) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_port_slicer_is_given_ports(lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric]) -> None:
    lab.application.bare = True
    fabric = start(kind, lab)
    for bridge in (service(1), service(2), service(1, Channel("3", 1), Channel("5", 1), Channel("6", 1))):
        fabric.ensure(bridge)
    assert told(fabric) == given(service(1, Channel("3", 1), Channel("5", 1), Channel("6", 1)), service(2))
    assert lab.frames(fabric._circuit(Channel("5", 1))) == {fabric._circuit(Channel(port, 1)) for port in ("3", "6")}


# -- restarts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_restarted_broker_finds_what_is_there_and_changes_nothing(
    lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric]
) -> None:
    names = [service(1), service(2, Channel("5x2", 409620), Channel("5.100", 21), Channel("lag", 7))]
    first = start(kind, lab)
    for bridge in (*names, service(3)):
        first.ensure(bridge)
    before = lab.switch.state
    first.stop()
    lab.application.stop()
    lab.application.start()
    second = start(kind, lab)
    keys = [bridge.key for bridge in (*names, service(3))]
    second.retain(keys, NAMESPACE)
    assert told(second) == given(*names, service(3))
    for bridge in names:
        second.ensure(bridge)
    assert lab.switch.state == before
    # What is not wanted any more is found by its description alone.
    third = start(kind, lab)
    third.retain([bridge.key for bridge in names], NAMESPACE)
    assert told(third) == given(*names)
    assert len(lab.switch.tagged()) == 5
    third.retain([], "somebody-else/london/")
    assert told(third) == given(*names)
    third.retain([], NAMESPACE)
    assert lab.switch.tagged() == []


@pytest.mark.parametrize("kind", KINDS)
def test_half_made_vfcs_are_removed_at_the_start_and_no_others(
    lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric]
) -> None:
    descriptions = [f"{PREFIX}partial", "", "dpb:lond", "dpb:london:2:partial", "partial", f"{PREFIX}partial"]
    made = {f"br{n}": Vfc(f"{n:016x}", "openflow", 1, descr=d) for n, d in enumerate(descriptions, 1)}
    lab.switch.call(lambda _: State(made))
    start(kind, lab)
    eventually(lambda: len(lab.switch.state.bridges) == 4)
    assert set(lab.switch.state.bridges) == {"br2", "br3", "br4", "br5"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_switch_that_lost_its_configuration_is_told_up_again(
    lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric]
) -> None:
    fabric = start(kind, lab)
    looked(fabric)
    fabric.ensure(service(1))
    events: list[tuple[FabricEvent, str]] = []
    fabric.watch(lambda event, about: events.append((event, about)))
    assert events == [(FabricEvent.UP, "")]
    lab.switch.device.restart(keep=False)
    eventually(lambda: events.count((FabricEvent.UP, "")) > 1)
    assert told(fabric) == {}
    fabric.ensure(service(1))
    assert told(fabric) == given(service(1))


@pytest.mark.parametrize("kind", KINDS)
def test_an_application_that_was_restarted_is_told_up_again(
    lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric]
) -> None:
    fabric = start(kind, lab)
    looked(fabric)
    fabric.ensure(service(1))
    events: list[tuple[FabricEvent, str]] = []
    fabric.watch(lambda event, about: events.append((event, about)))
    lab.application.stop()
    lab.application.start()
    # Its names are not known there: neither taken for somebody else's nor removed.
    assert "not told its services yet" in problem_of(lambda: fabric.ensure(service(1)))
    assert len(lab.switch.tagged()) == 2
    eventually(lambda: events.count((FabricEvent.UP, "")) > 1)
    fabric.retain([service(1).key], NAMESPACE)
    fabric.ensure(service(1))
    assert told(fabric) == given(service(1))


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
        transport = Transport(url, 0.1, "the switch", Lines())
        with pytest.raises(Unreachable, match=words):
            transport.send("GET", "", None, {})
        transport.end()


def test_an_answer_that_is_too_large_is_not_taken(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = Transport(f"{lab.application.url}/slicer/api/v2", 5, "the application", Lines())
    size = len(json.dumps(transport.send("GET", "", None, {})[1]))
    monkeypatch.setattr(answers, "LARGEST", size)
    assert transport.send("GET", "", None, {})[0] == 200
    monkeypatch.setattr(answers, "LARGEST", size - 1)
    with pytest.raises(Unreachable, match=f"its answer has more than {size - 1} octets"):
        transport.send("GET", "", None, {})
    transport.end()


def test_contact_is_lost_and_regained_whatever_goes_wrong(caplog: pytest.LogCaptureFixture) -> None:
    fine = Look("run-1", frozenset(), lost=False)
    looks: list[Look | Exception] = [fine, ArithmeticError("nobody foresaw this"), fine]

    def look() -> Look:
        found = looks.pop(0) if looks else fine
        if isinstance(found, Exception):
            raise found
        return found

    contact = Contact(look, 0.01, "the switch")
    events: list[FabricEvent] = []
    contact.watchers.add(lambda event, _: events.append(event))
    contact.start()
    try:
        eventually(lambda: events == [FabricEvent.UP, FabricEvent.DOWN, FabricEvent.UP])
    finally:
        contact.end()
    assert "ArithmeticError: nobody foresaw this" in caplog.text


def test_a_service_of_its_own_vfc_is_removed_while_the_application_is_away(
    lab: Lab, start: Callable[..., CorsaFabric]
) -> None:
    fabric = start(PerServiceFabric, lab)
    fabric.ensure(service(1))
    lab.application.stop()
    fabric.remove(service(1).key)
    assert lab.switch.of_ours() == {}
    assert "cannot be reached" in problem_of(lambda: fabric.ensure(service(2)))
    assert lab.switch.of_ours() == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_controller_that_was_taken_away_is_attached_again(
    lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric]
) -> None:
    fabric = start(kind, lab)
    fabric.ensure(service(1))
    (name,) = lab.switch.of_ours()
    lab.switch.call(lambda s: State({**s.bridges, name: evolve(s.bridges[name], controllers={})}))
    fabric.ensure(service(1))
    assert told(fabric) == given(service(1))


def test_a_vfc_that_does_not_reach_its_controller_is_told(lab: Lab, start: Callable[..., CorsaFabric]) -> None:
    fabric = start(SharedFabric, lab)
    fabric.ensure(service(1))
    fabric.stop()
    lab.application.away = {bridge.dpid for bridge in lab.switch.state.bridges.values()}
    fabric = start(SharedFabric, lab, timeout=0.3)
    assert "did not connect to it within 0.3 s" in problem_of(lambda: fabric.ensure(service(1)))


# -- changes in place -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_makes_only_the_calls_that_it_needs(
    lab: Lab, start: Callable[..., CorsaFabric], kind: type[CorsaFabric]
) -> None:
    fabric = start(kind, lab, poll=3600)
    looked(fabric)
    a, b, c = Channel("3", 1), Channel("4", 1), Channel("5", 1)
    key = service(1).key

    def calls(bridge: Bridge) -> list[str]:
        lab.switch.faults.arm()
        fabric.ensure(bridge)
        assert told(fabric) == given(bridge)
        return [call.split("/")[0].strip() for call in lab.switch.faults.calls if not call.startswith("GET")]

    fabric.ensure(Bridge(key, {a: LOW, b: LOW}))
    assert calls(Bridge(key, {a: LOW, b: LOW})) == []
    assert calls(Bridge(key, {a: LOW, b: TrafficFlow(9_000, 3_000)})) == ["PATCH"]
    assert calls(Bridge(key, {a: LOW, b: TrafficFlow(9_000, 4_000)})) == ["DELETE", "POST", "PATCH"]
    assert calls(Bridge(key, {a: LOW, b: TrafficFlow(9_000, 4_000), c: LOW})) == ["POST", "PATCH"]
    assert calls(Bridge(key, {a: LOW, c: LOW})) == ["DELETE"]
