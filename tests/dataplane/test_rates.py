"""Promised rates are kept, both ways, in both kinds of service, and by the neighbours: `dpb_lab.rates` tells how."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from attrs import frozen
from dpb_lab.broker import End
from dpb_lab.inside.frames import BROADCAST, frame, payload
from dpb_lab.process import until
from dpb_lab.rates import Flow, measure
from dpb_lab.testing import ALONE, marks
from dpb_lab.wan import both

from .kinds import CORSA, MIXED, OPENFLOW, SOAK, on
from .sites import At, Sites

pytestmark = [*marks(), ALONE]


@frozen
class Way:
    """Traffic from one end to another, and the Mbit/s that are offered."""

    source: At
    destination: At
    offered: float


@frozen
class Promise:
    """What should come of this traffic together, in Mbit/s."""

    ways: tuple[Way, ...]
    mbps: float


def flows(sites: Sites, promise: Promise, first: int) -> list[Flow]:
    """The flows of a promise, numbered from *first*."""
    made = []
    for number, way in enumerate(promise.ways, first):
        ends = [sites.probe(at.site, at.port) for at in (way.source, way.destination)]
        made.append(Flow(number, *ends, way.source.tags, way.offered))
    return made


def introduced(sites: Sites, *places: At) -> None:
    """Let the host of each place be known to the switches of its service, as it is by its first frames."""
    probes = {at: sites.probe(at.site, at.port) for at in places}
    captures = {at: probe.capture() for at, probe in probes.items()}
    for stream, (at, probe) in enumerate(probes.items()):
        probe.send(frame(probe.mac, BROADCAST, payload(stream), tags=at.tags))
    for at, capture in captures.items():
        until(lambda: len(capture.frames()) >= len(places) - 1, f"{at} is not reached")  # noqa: B023
        capture.end()


def three(tag: int) -> tuple[At, At, At]:
    """A place for an end at each site."""
    return At("site1", 4, tag), At("site2", 4, tag), At("site3", 4, tag)


Arranged = tuple[list[tuple[At, End]], list[Promise]]


def line(tag: int, ingress: float, egress: float) -> Arranged:
    """An E-Line with these rates at one end and ample ones at the other, measured both ways."""
    one, _, other = three(tag)
    there, back = Way(one, other, 2 * ingress), Way(other, one, 2 * egress)
    return [(one, one.end(ingress, egress)), (other, other.end(90))], [
        Promise((there,), ingress),
        Promise((back,), egress),
    ]


def lan(tag: int, ingress: float, egress: float) -> Arranged:
    """An E-LAN likewise: one end sends to the second, and receives from the second and the third at once."""
    one, two, other = three(tag)
    there, back = Way(one, two, 2 * ingress), (Way(two, one, egress), Way(other, one, egress))
    ends = [(one, one.end(ingress, egress)), (two, two.end(90)), (other, other.end(90))]
    return ends, [Promise((there,), ingress), Promise(back, egress)]


SETUPS = {
    "1 and 5 Mbit/s": [line(50, 1, 5), line(both(51, 1), 5, 1), lan(52, 1, 5), lan(both(51, 2), 5, 1)],
    "20 Mbit/s into an E-Line": [line(54, 20, 0.1)],
    "20 Mbit/s out of an E-LAN": [lan(57, 0.1, 20)],
}
if SOAK:
    SETUPS["20 Mbit/s out of an E-Line"] = [line(55, 0.1, 20)]
    SETUPS["20 Mbit/s into an E-LAN"] = [lan(56, 20, 0.1)]


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
@on(OPENFLOW, soak=(*CORSA, MIXED))
def test_promised_rates_are_kept(sites: Sites, setup: list[Arranged]) -> None:
    rates_are_kept(sites, setup)


@on(*CORSA)
def test_tunnels_keep_changed_rates_on_both_sides(sites: Sites) -> None:
    rates_are_kept(sites, SETUPS["1 and 5 Mbit/s"], changed=(0, 3))


def rates_are_kept(sites: Sites, setup: list[Arranged], changed: Collection[int] = ()) -> None:
    """Connect, and measure; the rates of the services with the numbers *changed* were others first."""
    promises = []
    for number, (ends, promised) in enumerate(setup):
        sites.there(*(at for at, _ in ends))
        if number in changed:
            sites.broker.connect(*(at.end(2) for at, _ in ends)).change([end for _, end in ends])
        else:
            sites.broker.connect(*(end for _, end in ends))
        introduced(sites, *(at for at, _ in ends))
        promises += [promise for promise in promised if promise.mbps >= 1]
    running = [flows(sites, promise, 10 * number) for number, promise in enumerate(promises)]
    done = measure([flow for each in running for flow in each])
    for promise, each in zip(promises, running, strict=True):
        rates = done.rates(*each)
        print(f"{promise.mbps} Mbit/s promised, measured {', '.join(f'{rate:.3f}' for rate in rates)}")
        assert done.rate(*each) == pytest.approx(promise.mbps, rel=0.05), promise


@on(OPENFLOW, soak=CORSA)
def test_a_neighbour_that_sends_too_much_takes_nothing(sites: Sites) -> None:
    one, _, other = three(60)
    loud, _, louder = three(61)
    sites.there(one, other, loud, louder)
    sites.broker.connect(one.end(5), other.end(5))
    sites.broker.connect(loud.end(5), louder.end(5))
    kept = flows(sites, Promise((Way(one, other, 4.5), Way(other, one, 4.5)), 4.5), 0)
    broken = flows(sites, Promise((Way(loud, louder, 18), Way(louder, loud, 18)), 5), 10)
    done = measure([*kept, *broken], late=0.05)
    assert [done.lost(flow) for flow in kept] == [0, 0]
    for flow in broken:
        assert done.rate(flow) == pytest.approx(5, rel=0.05)
