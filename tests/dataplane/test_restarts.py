"""The controller, the broker and switches end and begin anew, flows are changed by hand: frames go on."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from itertools import pairwise

import pytest
from dpb_lab.controller import Controller
from dpb_lab.corsa import CorsaSwitch
from dpb_lab.inside.frames import BROADCAST, Seen, frame, payload
from dpb_lab.openvswitch import Switch
from dpb_lab.process import LabError, until
from dpb_lab.testing import ALONE, marks

from .kinds import CORSA, MIXED, OPENFLOW, PER_SERVICE, SHARED, on
from .sites import At, Sites

pytestmark = marks()

LINE = (At("site1", 4, 80), At("site3", 4, 80))
LAN = (At("site1", 4, 81), At("site2", 4, 81), At("site3", 4, 81))
ONE, FLOOD, LEARNED = 1, 2, 3
NAMES = {ONE: "E-Line", FLOOD: "E-LAN, to all", LEARNED: "E-LAN, to one"}


class Streams:
    """100 frames a second from site1 to site3: in an E-Line, and in an E-LAN to all and to a known station."""

    def __init__(self, sites: Sites) -> None:
        sender, receiver = sites.probe("site1", 4), sites.probe("site3", 4)
        sites.connect(*LINE)
        sites.connect(*LAN)
        receiver.send(frame(receiver.mac, BROADCAST, payload(0), tags=LAN[2].tags))
        self._capture = receiver.capture()
        self._streams = {}
        for stream, place, destination in (
            (ONE, LINE[0], receiver.mac),
            (FLOOD, LAN[0], BROADCAST),
            (LEARNED, LAN[0], receiver.mac),
        ):
            data = frame(sender.mac, destination, payload(stream), tags=place.tags)
            self._streams[stream] = sender.stream(data, rate=100)
        self.flow()

    def frames(self, stream: int) -> list[Seen]:
        return [seen for seen in self._capture.frames() if seen.stream == stream]

    def flow(self, frames: int = 40) -> None:
        """Return once so many frames more have come of each."""
        before = {stream: len(self.frames(stream)) for stream in self._streams}
        for stream, name in NAMES.items():
            until(lambda: len(self.frames(stream)) >= before[stream] + frames, f"{name}: nothing comes")  # noqa: B023

    def end(self) -> dict[str, int]:
        """End them; return how many frames of each were lost."""
        sent = {stream: running.end().sent for stream, running in self._streams.items()}
        with contextlib.suppress(LabError):  # the last one may be among the lost
            until(lambda: all(self.frames(s)[-1].number == n - 1 for s, n in sent.items()), "the last comes", 1.0)
        found = self._capture.end()
        for stream in sent:
            assert len(set(found.numbers(stream))) == len(found.numbers(stream)), f"{NAMES[stream]}: frames came twice"
        return {NAMES[stream]: n - len(found.numbers(stream)) for stream, n in sent.items()}


# Per service by the port slicer; a shared VFC beside an OpenFlow switch by the tuple slicer.
@on(OPENFLOW, PER_SERVICE, MIXED, soak=(SHARED,))
def test_controller_and_broker_are_killed_and_at_most_one_frame_is_lost(sites: Sites) -> None:
    streams = Streams(sites)
    sites.controller.kill()
    streams.flow()
    sites.controller.start(*sites.switches.values())
    streams.flow()
    sites.broker.kill()
    streams.flow()
    sites.broker.start()
    for service in sites.broker.services():
        service.becomes("ACTIVE")
    until(lambda: not any(s.shown()["conditions"] for s in sites.broker.services()), "all is confirmed")
    streams.flow()
    lost = streams.end()
    print(f"frames lost: {lost}")
    assert max(lost.values()) <= 1, lost


@on(OPENFLOW, soak=(*CORSA, MIXED))
def test_both_are_killed_at_once_and_the_broker_is_first_to_come_back(sites: Sites) -> None:
    streams = Streams(sites)
    sites.controller.kill()
    sites.broker.kill()
    streams.flow()
    sites.broker.start()
    streams.flow()
    sites.controller.start(*sites.switches.values())
    until(lambda: not any(s.shown()["conditions"] for s in sites.broker.services()), "all is confirmed")
    streams.flow()
    lost = streams.end()
    print(f"frames lost: {lost}")
    assert max(lost.values()) <= 1, lost


@on(OPENFLOW, SHARED, soak=(PER_SERVICE, MIXED))
def test_frames_flow_while_the_controller_is_away(sites: Sites) -> None:
    sites.connect(*LAN)
    sites.connect(*LINE)
    probes = [sites.probe(place.site, place.port) for place in LAN]
    probes[1].send(frame(probes[1].mac, BROADCAST, payload(0), tags=(81,)))
    sites.controller.kill()
    captures = [probe.capture() for probe in probes]
    for n in range(20):
        stranger = f"02:cc:00:00:00:{n:02x}"
        probes[0].send(
            frame(stranger, BROADCAST, payload(1, n), tags=(81,)),  # flooded: from addresses that nobody has seen
            frame(stranger, "02:cc:00:00:01:00", payload(2, n), tags=(81,)),  # flooded: to one that nobody has seen
            frame(probes[0].mac, probes[1].mac, payload(3, n), tags=(81,)),  # to one that is known
            frame(probes[0].mac, probes[2].mac, payload(4, n), tags=(80,)),  # the E-Line
        )
    wanted = [{}, {1: 20, 2: 20, 3: 20}, {1: 20, 2: 20, 4: 20}]
    for capture, streams in zip(captures, wanted, strict=True):
        for stream, count in streams.items():
            until(lambda: [f.stream for f in capture.frames()].count(stream) >= count, f"stream {stream}")  # noqa: B023
        found = capture.end()
        assert {s: found.numbers(s) for s in streams} == {s: list(range(n)) for s, n in streams.items()}
        assert set(found.numbers(4)) == set() or 4 in streams
    sites.controller.start(*sites.switches.values())


@contextlib.contextmanager
def noted(controller: Controller, dpids: Collection[str]) -> Iterator[Callable[[], int]]:
    """Within the block, note when the application tells that all these are back; the answer is in monotonic ns."""
    last = controller.rest.ok("GET", "")["last-event"]
    at: dict[str, int] = {}
    ending = threading.Event()

    def follow() -> None:
        after = last
        while not ending.is_set() and at.keys() != set(dpids):
            told = controller.rest.ok("GET", f"/events?after={after}&wait=1")
            after = told["last-event"]
            for event in told["events"]:
                if event["event"] == "up" and event["dpid"] in dpids:
                    at.setdefault(event["dpid"], time.monotonic_ns())

    following = threading.Thread(target=follow)
    following.start()

    def back() -> int:
        until(lambda: at.keys() == set(dpids), "the application does not tell that the switch is back")
        return max(at.values())

    try:
        yield back
    finally:
        ending.set()
        following.join()


@ALONE
@pytest.mark.parametrize("site", ["site1", "site2"])
@on(OPENFLOW, soak=CORSA)
def test_a_switch_that_comes_back_empty_is_restored_within_two_seconds(sites: Sites, site: str) -> None:
    streams = Streams(sites)
    switch = sites.switches[site]
    with noted(sites.controller, switch.dpids()) as back:
        switch.restart()
        reconnected = back()
    streams.flow()
    for stream, name in NAMES.items():
        seen = streams.frames(stream)
        gap, restored = max((late.at - early.at, late.at) for early, late in pairwise(seen))
        after = (restored - reconnected) / 1e9
        print(f"{name}: silent for {gap / 1e9:.3f} s, restored {after:.3f} s after the reconnect")
        assert after < 2
    streams.end()


@on(OPENFLOW, soak=(*CORSA, MIXED))
def test_all_switches_lose_power_and_come_back(sites: Sites) -> None:
    streams = Streams(sites)
    sites.lab.ovs.crash()
    for switch in sites.switches.values():
        if isinstance(switch, CorsaSwitch):
            switch.restart()
    streams.flow()
    streams.end()


def test_what_is_changed_by_hand_is_put_right(sites: Sites) -> None:
    streams = Streams(sites)
    switch = sites.switches["site2"]  # where the E-LAN has three circuits, and learns
    until(lambda: any("dl_dst" in flow for flow in switch.flows()), "addresses are learned")
    right = lasting(switch)

    for stray in (
        "table=0,priority=65000,in_port=100,actions=drop",
        "table=2,priority=65000,cookie=0x1234,dl_dst=02:dd:00:00:00:01,actions=output:5",
    ):
        switch.add_flow(stray)
        until(lambda: lasting(switch) == right, f"the stray flow {stray} goes")
    streams.flow()

    for match in ("table=0", "table=1", "table=2"):
        switch.remove_flows(match)
        until(lambda: lasting(switch) == right, f"the flows of {match} come back")
        streams.flow()
    switch.ovs.openflow("del-groups", switch.name)
    until(lambda: switch.groups(), "the group comes back")
    until(lambda: lasting(switch) == right, "the flows of the group come back")
    streams.flow()
    switch.ovs.openflow("del-meters", switch.name)
    until(lambda: switch.meters(), "the meters come back")
    until(lambda: lasting(switch) == right, "the flows of the meters come back")
    streams.flow()
    streams.end()


def lasting(switch: Switch) -> set[str]:
    """The flows of a switch without those of the stations that it has learned, which come and go."""
    return {flow for flow in switch.flows() if "=02:00:00:00:" not in flow}
