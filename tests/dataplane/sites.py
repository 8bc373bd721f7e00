"""The sites of a `Wan` with their hosts, as the tests speak of them."""

from __future__ import annotations

from itertools import combinations, permutations

from attrs import frozen
from dpb_lab.broker import End, Service, end
from dpb_lab.host import Host
from dpb_lab.process import until
from dpb_lab.wan import OPENFLOW, Wan

TAGGED, OTHER_TAGGED, UNTAGGED, PROBES = 1, 2, 3, (4, 5, 6)
"""Ports of each switch: two for hosts behind tagging bridges, one for an untagged host, three for hosts that tag."""


@frozen
class At:
    """A place for an end of a service: a site, a port, and a tag (0: the port as a whole)."""

    site: str
    port: int
    tag: int = 0

    def end(self, ingress: float, egress: float | None = None) -> End:
        """The end of a service there, in Mbit/s."""
        if self.tag == 0:
            return end(f"{self.site}-phys", self.port, ingress, egress)
        double = "x2" if self.tag > 0xFFF else ""
        return end(f"{self.site}-{self.port}{double}", self.tag, ingress, egress)

    @property
    def tags(self) -> tuple[int, ...]:
        """The tags that frames have there."""
        return () if not self.tag else (self.tag >> 12, self.tag & 0xFFF) if self.tag > 0xFFF else (self.tag,)


class Sites:
    """Hosts are made when they are first asked for, and stay."""

    def __init__(self, wan: Wan) -> None:
        self.wan, self.broker, self.controller, self.lab = wan, wan.broker, wan.controller, wan.lab
        self.switches = wan.switches
        self._hosts: dict[At, Host] = {}

    def host(self, at: At) -> Host:
        """The host at a place: it speaks IPv4 with the address 10.0.N.M, each in one network."""
        if at not in self._hosts:
            address = f"10.0.{len(self._hosts) // 250}.{len(self._hosts) % 250 + 1}/16"
            name = f"{at.site}-{at.port}-{at.tag}"
            self._hosts[at] = self.wan.host(name, at.site, at.port, address=address, tag=at.tag or None)
        return self._hosts[at]

    def probe(self, site: str, port: int) -> Host:
        """The host at a port that sends what it is told to, with any tags, and sees everything that leaves there."""
        at = At(site, port)
        if at not in self._hosts:
            assert port in PROBES
            self._hosts[at] = self.wan.host(f"{site}-{port}", site, port)
        return self._hosts[at]

    def there(self, *places: At) -> None:
        """Make the hosts at places: a port of which nothing is known is refused by the switch."""
        for place in places:
            self.probe(place.site, place.port) if place.port in PROBES else self.host(place)

    def connect(self, *places: At, mbps: float = 100) -> Service:
        """A service between places, ACTIVE."""
        self.there(*places)
        return self.broker.connect(*(place.end(mbps) for place in places))

    @property
    def vfcs(self) -> bool:
        """Whether there are Corsa switches among them."""
        return set(self.wan.kinds.values()) != {OPENFLOW}

    def release_all(self) -> None:
        """Release every service and wait until all are gone."""
        services = [service.release() for service in self.broker.services()]
        for service in services:
            service.becomes("RELEASED")

    def nothing_is_left(self) -> None:
        """Fail unless trunks are unused and switches hold nothing of any service."""
        for trunk in self.broker.ask("GET", "/trunks")["trunks"]:
            assert trunk["upstream-left"] == trunk["upstream"], trunk
            assert trunk["services"] == [], trunk
        for switch in self.switches.values():
            assert self.controller.slices(switch) == {}
            assert switch.left() == []

    def all_reach_each_other(self, *places: At) -> None:
        """Fail unless a ping from every host to every other is answered."""
        for one, other in permutations(places, 2):
            assert self.host(one).ping(self.host(other)) is not None, f"{one} does not reach {other}"

    def none_reach_each_other(self, *places: At) -> None:
        """Fail when any host reaches another."""
        for one, other in combinations(places, 2):
            assert self.host(one).ping(self.host(other), timeout=0.2) is None, f"{one} reaches {other}"


__all__ = ["OTHER_TAGGED", "PROBES", "TAGGED", "UNTAGGED", "At", "Sites", "until"]
