"""Three brokers with a region each, and one above them that knows the regions as remote networks.

Regions `east`, `west` and `mid` are lines of two switches (network `net`, terminals t1, t2, u1, u2). The network `all`
above has the terminals a, b and c, at t1 of each, and trunks from east to west, directly and by way of mid.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from dpb_framework.contracts import AggregatorManagement, Network, Service
from dpb_framework.model import LabelRange, Segment, Status, Terminal, Trunk
from dpb_framework.runtime import Runtime
from dpb_framework.testing.layout import Layout, line
from dpb_framework.testing.world import CALLER, World

from .remote_proxy import Proxy
from .remote_worlds import PATIENCE, Far, eventually

REGIONS = ("east", "west", "mid")
TRUNKS = {
    "direct": ("east:t2", "west:t2", 1000),
    "up": ("east:u1", "mid:u1", 5000),
    "down": ("mid:u2", "west:u1", 5000),
}
TERMINALS = {"a": "east:t1", "b": "west:t1", "c": "mid:t1"}


def _place(text: str) -> tuple[str, str]:
    network, _, terminal = text.partition(":")
    return network, terminal


class Regions:
    """All four, and a proxy before each region. A context manager."""

    def __init__(self, capacity: int = 100, inferior_timeout: float = 10.0, **settings: Any) -> None:
        self.servers: dict[str, Far] = {}
        self.proxies: dict[str, Proxy] = {}
        layout = Layout()
        for region in REGIONS:
            self.servers[region] = Far(line(2))
            self.proxies[region] = Proxy(self.servers[region].port)
            layout.networks[region] = {
                "kind": "remote",
                "url": self.proxies[region].url,
                "network": "net",
                **{"timeout": 5, "keep-alive": 1, **settings},
            }
        layout.aggregator("all", REGIONS, {})
        self.near = World(layout, runtime=Runtime, inferior_timeout=inferior_timeout)
        try:
            self.until_up()
            management = self.all
            for name, place in TERMINALS.items():
                management.put_terminal(Terminal(name, place), CALLER).result(PATIENCE)
            for name, (start, end, delay) in TRUNKS.items():
                labels = (LabelRange(100, 50, 300),)
                trunk = Trunk(name, _place(start), _place(end), capacity, capacity, delay, labels)
                management.put_trunk(trunk, CALLER).result(PATIENCE)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Regions:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.near.close()
        for region in REGIONS:
            self.servers[region].close()
            self.proxies[region].close()

    @property
    def all(self) -> AggregatorManagement:
        return self.near.aggregator("all")

    @property
    def network(self) -> Network:
        return self.near.network("all")

    def until_up(self) -> None:
        for region in REGIONS:
            eventually(lambda: self.near.broker.health()["networks"][region]["contact"] == "up")  # noqa: B023

    def heal(self) -> None:
        for proxy in self.proxies.values():
            proxy.set("pass")
            proxy.delay = 0
            proxy.drop()
        self.until_up()

    # -- services

    def begin(self, *ends: str, label: int = 1, rate: int = 10) -> Service:
        """Ask for a service between terminals of `all`."""
        segment = Segment.of(*((end, label, rate, rate) for end in ends))
        return self.network.create(CALLER, None, segment).result(PATIENCE)

    def establish(self, *ends: str, label: int = 1, rate: int = 10) -> Service:
        """Have one ACTIVE."""
        service = self.begin(*ends, label=label, rate=rate)
        service.activate(CALLER).result(PATIENCE)
        self.reach(service, Status.ACTIVE)
        return service

    def reach(self, service: Service, status: Status) -> None:
        eventually(lambda: service.status is status, service.view)

    def trunks_of(self, service: Service) -> list[str]:
        return [tunnel.trunk for tunnel in self.all.tree(service.id)]

    # -- what is there

    def held(self, region: str) -> list[Service]:
        """What a region really has."""
        return list(self.servers[region].world.network("net").services())

    def carries(self, terminal: str, label: int) -> set[tuple[str, int]]:
        """The circuits of `all` at which a frame comes out that enters at one of them."""
        homes = {place: name for name, place in TERMINALS.items()}
        over: dict[str, tuple[str, int]] = {}
        for start, end, _ in TRUNKS.values():
            over[start], over[end] = (end, 200), (start, -200)
        found: set[tuple[str, int]] = set()
        todo = [(TERMINALS[terminal], label)]
        seen = set(todo)
        while todo:
            place, tag = todo.pop()
            region, inner = _place(place)
            for out, came in self.servers[region].world.carries("net", inner, tag):
                there = f"{region}:{out}"
                if there in homes:
                    found.add((homes[there], came))
                if there in over:
                    next_ = (over[there][0], came + over[there][1])
                    if next_ not in seen:
                        seen.add(next_)
                        todo.append(next_)
        return found

    def strangers(self) -> list[str]:
        """What a region holds that the superior does not know."""
        services = self.near.network("all").services()
        known = {part for service in services for part in service.handles()}  # type: ignore[attr-defined]  # our own
        there = {(region, s.handle or "") for region in REGIONS for s in self.held(region)}
        return [f"unknown above: {handle} in {region}" for region, handle in sorted(there - known)]

    def leftovers(self) -> list[str]:
        """What is held anywhere though no service is left."""
        found = [f"all: service {s.id} is {s.status.value}" for s in self.network.services()]
        for use in self.all.trunks():
            if (use.upstream_left, use.downstream_left, use.services) != (use.trunk.upstream, use.trunk.downstream, ()):
                found.append(f"all: trunk {use.trunk.name} has {use.upstream_left} left and carries {use.services}")
        for region in REGIONS:
            found += [f"{region}: {what}" for what in self.servers[region].world.leftovers()]
        return found
