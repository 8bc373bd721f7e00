"""Services carry what they should: every kind of frame, between every two ends, the moment that they are ACTIVE."""

from __future__ import annotations

import contextlib
from collections import Counter
from itertools import permutations

import pytest
from dpb_lab.inside.frames import BROADCAST, MULTICAST, frame, payload
from dpb_lab.process import LabError, until
from dpb_lab.testing import marks
from dpb_lab.wan import both

from .kinds import ALL, CORSA, MIXED, OPENFLOW, on
from .sites import OTHER_TAGGED, TAGGED, UNTAGGED, At, Sites

pytestmark = marks()

SHAPES = {
    "two sites far apart": (At("site1", TAGGED, 100), At("site3", TAGGED, 200)),
    "two ports of a switch": (At("site2", TAGGED, 100), At("site2", OTHER_TAGGED, 100)),
    "two tags of a port": (At("site1", TAGGED, 100), At("site1", TAGGED, 200)),
    "untagged with tagged": (At("site1", UNTAGGED), At("site3", TAGGED, 100)),
    "three sites": (At("site1", TAGGED, 100), At("site2", UNTAGGED), At("site3", TAGGED, 200)),
    "five ends": (
        At("site1", TAGGED, 100),
        At("site1", OTHER_TAGGED, 100),  # two on one switch
        At("site2", TAGGED, 100),
        At("site3", TAGGED, 100),
        At("site3", TAGGED, 200),  # two on one port
    ),
}


@pytest.mark.parametrize("places", SHAPES.values(), ids=SHAPES)
@on(OPENFLOW, soak=(*CORSA, MIXED))
def test_every_kind_of_frame_passes_as_soon_as_active(sites: Sites, places: tuple[At, ...]) -> None:
    every_kind_of_frame_passes(sites, places)


# Static rules and the learning switch, tunnels of tags and of whole ports: what there is in a VFC.
@pytest.mark.parametrize("shape", ["two tags of a port", "untagged with tagged", "five ends"])
@on(*CORSA)
def test_every_kind_of_frame_passes_through_vfcs(sites: Sites, shape: str) -> None:
    every_kind_of_frame_passes(sites, SHAPES[shape])


@pytest.mark.parametrize("shape", ["two sites far apart", "five ends"])
@on(MIXED)
def test_services_cross_an_openflow_switch_and_vfcs_of_both_kinds(sites: Sites, shape: str) -> None:
    every_kind_of_frame_passes(sites, SHAPES[shape])


def every_kind_of_frame_passes(sites: Sites, places: tuple[At, ...]) -> None:
    hosts = [sites.host(place) for place in places]
    sites.connect(*places)
    first = hosts[0].ping(hosts[-1])
    assert first is not None, "ACTIVE, and a ping at that very moment was not answered"
    sites.all_reach_each_other(*places)
    assert hosts[0].ping(hosts[-1], size=1472) is not None  # 1500 bytes of payload
    assert hosts[-1].tcp(hosts[0], 1_000_000) > 0

    # Numbered frames: stream 10 * sender + kind; all hosts are known by now, where anybody learns.
    captures = [host.capture() for host in hosts]
    wanted = [Counter[tuple[int, tuple[int, ...]]]() for _ in hosts]
    for sender, host in enumerate(hosts):
        for kind, (destination, tags, size) in enumerate(
            [(BROADCAST, (), 46), (MULTICAST, (), 1500), (BROADCAST, (7,), 1500), (MULTICAST, (4094,), 46)]
        ):
            stream = 10 * sender + kind
            host.send(*(frame(host.mac, destination, payload(stream, n, size), tags=tags) for n in range(5)))
            for receiver in range(len(hosts)):
                wanted[receiver][stream, tags] += 5 * (receiver != sender)
        receiver = (sender + 1) % len(hosts)
        for kind, tags in ((8, ()), (9, (12,))):
            stream = 10 * sender + kind
            host.send(*(frame(host.mac, hosts[receiver].mac, payload(stream, n, 1500), tags=tags) for n in range(5)))
            wanted[receiver][stream, tags] += 5
    for capture, expected in zip(captures, wanted, strict=True):
        until(lambda: sum(f.stream >= 0 for f in capture.frames()) >= expected.total(), "frames are missing")  # noqa: B023
        numbered = Counter({key: n for key, n in capture.end().count().items() if key[0] >= 0})
        assert numbered == +expected


@on(*ALL)
def test_two_tags_are_an_end_of_their_own(sites: Sites) -> None:
    ends = (At("site1", 4, both(30, 31)), At("site2", 4, both(30, 32)), At("site3", 4, 30))
    probes = [sites.probe(place.site, place.port) for place in ends]
    sites.connect(*ends)
    for stream, (one, other) in enumerate(permutations(range(3), 2)):
        captures = [probe.capture() for probe in probes]
        sent = frame(probes[one].mac, probes[other].mac, payload(stream), tags=ends[one].tags)
        probes[one].send(sent)
        until(lambda: captures[other].frames(), f"nothing from {ends[one]} to {ends[other]}")  # noqa: B023
        found = [capture.end() for capture in captures]
        assert found[other].count() == {(stream, ends[other].tags): 1}
        assert found[one].count() == {}
    # The same outer tag with another inner one, or with none, is nobody's.
    capture = probes[2].capture()
    for tags in ((30, 32), (30,), (), (31, 31)):
        probes[0].send(frame(probes[0].mac, probes[2].mac, payload(99), tags=tags))
    probes[0].send(frame(probes[0].mac, probes[2].mac, payload(100), tags=(30, 31)))
    until(lambda: capture.frames(), "nothing passes any more")
    assert capture.end().count() == {(100, (30,)): 1}


@on(*ALL)
def test_after_inactive_no_frame_passes_and_after_active_all_do(sites: Sites) -> None:
    places = SHAPES["three sites"]
    one, other = sites.host(places[0]), sites.host(places[2])
    service = sites.connect(*places)
    for life in range(2):
        sites.all_reach_each_other(*places)
        stream = one.stream(frame(one.mac, other.mac, payload(1)), rate=200)
        capture = other.capture()
        until(lambda: capture.frames(), "the stream passes")  # noqa: B023
        service.command("deactivate").becomes("INACTIVE")
        # What is sent from now on has another number: what was on its way before does not matter.
        one.send(
            *(frame(one.mac, destination, payload(2)) for destination in (other.mac, BROADCAST) for _ in range(50))
        )
        stream.end()
        assert one.ping(other, timeout=0.2) is None
        assert capture.end().numbers(2) == [], f"frames passed after INACTIVE, the {life + 1}. time"
        service.command("activate").becomes("ACTIVE")
        assert other.ping(one) is not None


@on(*ALL, soak=(MIXED,))
def test_a_service_grows_and_shrinks_and_the_ends_that_stay_lose_nothing(sites: Sites) -> None:
    one, other, more = At("site1", TAGGED, 100), At("site3", TAGGED, 100), At("site2", TAGGED, 100)
    sites.there(one, other, more)
    service = sites.connect(one, other, mbps=20)
    sender, receiver = sites.host(one), sites.host(other)
    sites.all_reach_each_other(one, other)
    capture = receiver.capture()
    stream = sender.stream(frame(sender.mac, receiver.mac, payload(1)), rate=200)
    # A Corsa switch takes a shaped rate only when it attaches a tunnel: another egress rate interrupts its circuit.
    rates = (20,) if sites.vfcs else (20, 30)
    for ends in ((one, other, more), (one, other), (one, more, other)):
        for mbps in rates:
            service.change([end.end(mbps) for end in ends])
            service.becomes("ACTIVE")
            sites.all_reach_each_other(*ends)
    sent = stream.end().sent
    with contextlib.suppress(LabError):  # the last one may be among the lost
        until(lambda: sent - 1 in [f.number for f in capture.frames() if f.stream == 1], "the last frame comes", 2.0)
    numbers = capture.end().numbers(1)
    assert numbers == sorted(set(numbers)), "frames came twice or out of order"
    assert len(numbers) == sent, f"{sent - len(numbers)} of {sent} frames were lost"
