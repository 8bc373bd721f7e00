"""A switch that refuses, is silent, or disconnects in the middle: the reason is shown, and nothing stays behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dpb_lab.broker import Service
from dpb_lab.controller import OPENFLOW
from dpb_lab.inside.frames import BROADCAST, frame, payload
from dpb_lab.lab import Lab
from dpb_lab.meters import exhausted
from dpb_lab.process import until
from dpb_lab.relay import Message, Relay
from dpb_lab.testing import marks, needed
from dpb_lab.wan import Wan

from .sites import At, Sites

pytestmark = marks("switch_faults")

ENDS = tuple(At(site, 4, 10) for site in ("site1", "site2", "site3"))
MBPS = 10
RELAYED = OPENFLOW + 1


class Faulty(Sites):
    """Sites whose second switch reaches its controller by way of a relay that misbehaves when it is told to."""

    def __init__(self, wan: Wan, relay: Relay) -> None:
        super().__init__(wan)
        self.relay, self.switch = relay, wan.switches["site2"]

    def ask(self, *ends: At) -> Service:
        """Ask for a service without waiting for it."""
        self.there(*(end for end in ends if end.port in (4, 5)))
        return self.broker.create(*(end.end(MBPS) for end in ends))

    def holds(self, mbps: int = MBPS) -> bool:
        """Whether a service's bandwidth is reserved on both trunks."""
        trunks = self.broker.ask("GET", "/trunks")["trunks"]
        return all(trunk["upstream"] - trunk["upstream-left"] == mbps for trunk in trunks)

    def passes(self) -> None:
        """Fail unless a frame from each end comes to the others."""
        probes = [self.probe(end.site, end.port) for end in ENDS]
        captures = [probe.capture() for probe in probes]
        for stream, (probe, end) in enumerate(zip(probes, ENDS, strict=True)):
            probe.send(frame(probe.mac, BROADCAST, payload(stream), tags=end.tags))
        for place, capture in enumerate(captures):
            wanted = {(stream, ENDS[place].tags): 1 for stream in range(3) if stream != place}
            until(lambda: len(capture.frames()) >= 2, f"frames are missing at {ENDS[place]}")  # noqa: B023
            assert capture.end().count() == wanted


@pytest.fixture(scope="module")
def lasting() -> Iterator[Faulty]:
    needed()
    patience = ("--timeout", "2")
    with (
        Lab() as lab,
        Wan(lab, audit=1, settings="timeout = 4\n", options=patience) as wan,
        Relay(lab.namespace, RELAYED, OPENFLOW) as relay,
    ):
        wan.switches["site2"].connect(relay.target)
        yield Faulty(wan, relay)


@pytest.fixture
def faulty(lasting: Faulty) -> Iterator[Faulty]:
    """The sites with every switch connected, and without any service before and after."""
    until(lambda: lasting.controller.has(lasting.switch), "the switch is connected by way of the relay")
    yield lasting
    lasting.relay.go_on()
    lasting.release_all()
    lasting.nothing_is_left()


def unconfirmed(service: Service) -> str:
    """Wait until it is told that a switch could not be asked; return what is said of that."""
    until(lambda: reasons(service), "the service tells nothing of its switch")
    shown = service.shown()
    assert shown["status"] != "ACTIVE", shown
    return reasons(service)


def reasons(service: Service) -> str:
    """What is told of the second site's switch while it is out of reach."""
    told = [c for c in service.shown()["conditions"] if c["kind"] == "unconfirmed"]
    return " ".join(c["text"] for c in told if c["where"] == "site2")


# -- refused ------------------------------------------------------------------------------------


def test_a_full_meter_table_is_told_by_the_name_of_the_switchs_error(faulty: Faulty) -> None:
    there = (At("site2", 4, 20), At("site2", 5, 20))
    faulty.there(*there)
    with exhausted(faulty.lab.ovs, leave=1):
        service = faulty.ask(*there)
        assert service.wait("FAILED") == "FAILED"
        text = service.shown()["error"]["text"]
        assert "OUT_OF_METERS" in text, text
        assert "site2" in text
        assert not any("dl_vlan=20" in flow for flow in faulty.switch.flows())
    service.becomes("ACTIVE")


def test_a_port_that_is_not_there_is_told_and_works_once_it_is(faulty: Faulty) -> None:
    before = {site: switch.flows() for site, switch in faulty.switches.items()}
    service = faulty.ask(*ENDS[:2], At("site3", 7, 10))
    assert service.wait("FAILED") == "FAILED"
    text = service.shown()["error"]["text"]
    assert "port 7" in text, text
    assert "site3" in text
    assert faulty.holds()
    assert faulty.switches["site3"].flows() == before["site3"]
    service.release().becomes("RELEASED")
    faulty.nothing_is_left()

    service = faulty.ask(*ENDS[:2], At("site3", 8, 10))
    assert service.wait("FAILED") == "FAILED"
    faulty.wan.host("late", "site3", 8)
    service.becomes("ACTIVE")


def test_a_switch_that_speaks_another_version_is_told_and_taken_back(faulty: Faulty) -> None:
    faulty.switch.speak("OpenFlow10")
    try:
        until(lambda: not faulty.controller.has(faulty.switch), "the switch is gone")
        service = faulty.ask(*ENDS)
        until(lambda: "OpenFlow 1.3" in unconfirmed(service), "the reason is told")
        assert faulty.holds()
    finally:
        faulty.switch.speak("OpenFlow13")
    service.becomes("ACTIVE")
    faulty.passes()


# -- silent, and gone in the middle -------------------------------------------------------------


def test_a_silent_switch_is_unconfirmed_and_keeps_what_it_holds_until_it_speaks(faulty: Faulty) -> None:
    faulty.relay.hold()
    service = faulty.ask(*ENDS)
    assert "not reached" in unconfirmed(service)
    assert faulty.holds()
    faulty.relay.go_on()
    service.becomes("ACTIVE")
    faulty.passes()

    faulty.relay.hold()
    service.release()
    assert "not reached" in unconfirmed(service)
    assert service.shown()["status"] == "RELEASING"
    assert faulty.holds()
    other = faulty.ask(At("site1", 5, 10), At("site3", 5, 10))
    assert unconfirmed(other)
    faulty.relay.go_on()
    service.becomes("RELEASED")
    other.becomes("ACTIVE")


@pytest.mark.parametrize("message", [Message.METER_MOD, Message.GROUP_MOD, Message.FLOW_MOD, Message.BARRIER_REQUEST])
def test_a_switch_that_disconnects_in_the_middle_is_completed_or_cleared(faulty: Faulty, message: Message) -> None:
    barrier = message is Message.BARRIER_REQUEST
    faulty.relay.cut_at(message, after=Message.FLOW_MOD if barrier else None)
    service = faulty.ask(*ENDS)
    assert unconfirmed(service)
    assert faulty.relay.struck.is_set()
    assert faulty.holds()
    faulty.relay.go_on()
    service.becomes("ACTIVE")
    faulty.passes()
    until(lambda: faulty.controller.has(faulty.switch), "the switch is back")
    faulty.relay.cut_at(Message.FLOW_MOD)  # and again on the way out
    service.release()
    until(faulty.relay.struck.is_set, "the switch is asked")
    assert unconfirmed(service)
    assert service.shown()["status"] == "RELEASING"
    assert faulty.holds()
    faulty.relay.go_on()
    service.becomes("RELEASED")
    faulty.nothing_is_left()


def test_a_service_that_is_given_up_while_its_switch_is_away_leaves_nothing_there(faulty: Faulty) -> None:
    faulty.relay.cut_at(Message.BARRIER_REQUEST, after=Message.FLOW_MOD)
    service = faulty.ask(*ENDS)
    assert unconfirmed(service)
    service.release()
    assert service.wait("RELEASED", seconds=0.3) == "RELEASING"
    assert faulty.holds()
    faulty.relay.go_on()
    service.becomes("RELEASED")
    faulty.nothing_is_left()
