"""Many services at once, the same addresses inside, overlapping labels: every frame at every host is counted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from attrs import frozen
from dpb_lab.host import Found, Host
from dpb_lab.inside.frames import BROADCAST, MULTICAST, frame, payload
from dpb_lab.process import until
from dpb_lab.testing import marks
from dpb_lab.wan import SITES, both

from .kinds import ALL, MIXED, PER_SERVICE, SOAK, on
from .sites import PROBES, At, Sites

pytestmark = marks()

SERVICES = 20
IN_VFCS_OF_THEIR_OWN = 10
"""Fewer where each service has a VFC: it takes a switch a second to make one."""
TAGS = (10, 11, 12, both(20, 10), both(20, 11), both(21, 10))
"""Few, so that each is in use at nearly every port: on each it belongs to another service."""
COPIES = 3


@frozen
class Station:
    """The n-th station of a service: it has the same hardware address in every service."""

    service: int
    number: int
    at: At

    @property
    def mac(self) -> str:
        """Its address."""
        return address(self.number)

    def stream(self, kind: int) -> int:
        """The stream of what it sends, by which it is recognised."""
        return self.service * 100 + self.number * 10 + kind


def address(number: int) -> str:
    return f"02:aa:00:00:00:{number:02x}"


def arranged(rng: random.Random) -> list[list[Station]]:
    """Divide places among services: two to five ends each, and each place used at most once."""
    places = [At(site, port, tag) for site in SITES for port in PROBES for tag in TAGS]
    rng.shuffle(places)
    sizes = [2, 3, 2, 5, 2, 3, 2, 2, 3, 2] * 2
    return [[Station(n, i, places.pop()) for i in range(size)] for n, size in enumerate(sizes)]


Expected = dict[tuple[str, int], Counter[tuple[int, tuple[int, ...]]]]


class World:
    """All stations, the probes at their ports, and what each probe must have seen."""

    def __init__(self, sites: Sites, services: list[list[Station]]) -> None:
        self.services = services
        self.probes = {(site, port): sites.probe(site, port) for site in SITES for port in PROBES}

    def probe(self, station: Station) -> Host:
        return self.probes[station.at.site, station.at.port]

    def round(self, kind: int, sent: Iterable[tuple[Station, str, list[Station]]]) -> None:
        """Let stations send at the same time: who, to which address, and who must get it. Count all."""
        expected: Expected = {place: Counter() for place in self.probes}
        out: dict[tuple[str, int], list[str]] = {place: [] for place in self.probes}
        for station, destination, receivers in sent:
            for copy in range(COPIES):
                body = payload(station.stream(kind), copy, 200)
                data = frame(station.mac, destination, body, tags=station.at.tags)
                out[station.at.site, station.at.port].append(data.hex())
            for receiver in receivers:
                expected[receiver.at.site, receiver.at.port][station.stream(kind), receiver.at.tags] += COPIES
        captures = {place: probe.capture() for place, probe in self.probes.items()}
        jobs = [self.probes[place].begin("send", frames=frames) for place, frames in out.items()]
        for job in jobs:
            job.result()
        for place, capture in captures.items():
            wanted = expected[place].total()
            until(lambda: len(capture.frames()) >= wanted, f"frames are missing at {place}")  # noqa: B023
        found: dict[tuple[str, int], Found] = {place: capture.end() for place, capture in captures.items()}
        for place, seen in found.items():
            assert seen.count() == expected[place], f"at {place}"


@on(*ALL, soak=(MIXED,))
def test_no_frame_is_seen_in_a_wrong_service(sites: Sites) -> None:
    several = SERVICES if SOAK or PER_SERVICE[0] not in sites.wan.kinds.values() else IN_VFCS_OF_THEIR_OWN
    services = arranged(random.Random(3))[:several]
    assert len(services) == several
    world = World(sites, services)
    made = [sites.broker.create(*(s.at.end(20) for s in stations)) for stations in services]
    for service in made:
        service.becomes("ACTIVE")

    everybody = [(station, [s for s in stations if s != station]) for stations in services for station in stations]
    # Nobody is known yet, and the same addresses come from everywhere at once.
    world.round(0, [(station, BROADCAST, others) for station, others in everybody])
    world.round(1, [(station, MULTICAST, others) for station, others in everybody])
    world.round(2, [(station, address(99), others) for station, others in everybody])  # a stranger: flooded
    until(lambda: _is_learned(sites, services), "switches learn no addresses")
    to_the_next = [(station, others[0].mac, [others[0]]) for station, others in everybody]
    world.round(3, to_the_next)

    # Half of the services go; the other half keeps what it has, and the places of those that went are silent.
    for service in made[::2]:
        service.release()
    for service in made[::2]:
        service.becomes("RELEASED")
    stays = {n for n in range(several) if n % 2}
    world.round(4, [(s, d, to if s.service in stays else []) for s, d, to in to_the_next])
    world.round(5, [(s, BROADCAST, to if s.service in stays else []) for s, to in everybody])


def _is_learned(sites: Sites, services: list[list[Station]]) -> bool:
    """Whether each switch knows all stations of each service that has three or more circuits there."""
    for place, switch in enumerate(sites.switches.values()):
        wanted = 0
        for stations in services:
            where = [SITES.index(station.at.site) for station in stations]
            trunks = any(far < place for far in where) + any(far > place for far in where)
            if where.count(place) + trunks > 2:
                wanted += len(stations)
        if sum("dl_dst=02:aa:" in flow for flow in switch.flows()) < wanted:
            return False
    return True
