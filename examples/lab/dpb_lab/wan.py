"""A WAN in a lab: sites with a switch each, of any kind; trunks between them, the application and a broker over all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import count, cycle

from attrs import frozen

from dpb_lab.broker import Broker, End
from dpb_lab.controller import OPENFLOW as CONTROL
from dpb_lab.controller import REST, Controller
from dpb_lab.corsa import PER_SERVICE, SHARED, CorsaSwitch
from dpb_lab.host import Host
from dpb_lab.lab import Lab
from dpb_lab.openvswitch import Switch

OPENFLOW = "openflow"
KINDS = (OPENFLOW, SHARED, PER_SERVICE)
"""What a site's switch may be: the broker's fabrics."""

MOST_OFTEN = 5.0
"""Seconds between looks at a Corsa switch, where audits are not more frequent."""

TRUNKS_FROM = 100
"""The first port of a switch that has a trunk; those below are for hosts."""


@frozen
class Trunk:
    """A trunk between two sites: Mbit/s each way, and the labels that it has (the same at both ends)."""

    start: str
    end: str
    labels: tuple[int, int]
    mbps: int = 1000
    delay: float = 1.0


SITES = ("site1", "site2", "site3")
ROW = (Trunk("site1", "site2", (101, 400)), Trunk("site2", "site3", (501, 800)))
"""Three sites in a row. The trunks have no label in common: the switch in the middle always translates."""


PORTS = {str(port): port for port in range(1, 9)}
"""The ports of a switch where hosts may be, by the names that their terminals have."""


class Wan:
    """A context manager: all of it is there within the block.

    For each port N each site has the terminals `SITE-N` (labels are tags) and `SITE-Nx2` (labels are two tags); the
    labels of its terminal `SITE-phys` are numbers of ports, each as a whole. *kinds* are those of the sites' switches,
    in turn when there are fewer. *settings* are more of the fabrics', in TOML; *options* are more of the controller
    application's, which is the port slicer where all switches are Corsa switches.
    """

    def __init__(
        self,
        lab: Lab,
        sites: Sequence[str] = SITES,
        trunks: Sequence[Trunk] = ROW,
        *,
        kinds: Sequence[str] = (OPENFLOW,),
        ports: Mapping[str, int] = PORTS,
        audit: float = 60,
        settings: str = "",
        options: Sequence[str] = (),
    ) -> None:
        self.lab, self.sites, self.trunks, self.ports = lab, sites, trunks, ports
        self.kinds = dict(zip(sites, cycle(kinds), strict=False))
        self._audit, self._settings, self._options = audit, settings, options
        self._places: dict[tuple[str, str], int] = {}
        self.switches: dict[str, Switch | CorsaSwitch] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Wan:
        with ExitStack() as stack:
            # Those that take a moment are begun first, and at once.
            self.switches = {site: self._made(site, stack) for site in self.sites}
            bare = () if OPENFLOW in self.kinds.values() else ("--application", "port-slicer")
            self.controller = stack.enter_context(Controller(self.lab, *bare, *self._options))
            for switch in self.switches.values():
                if isinstance(switch, CorsaSwitch):
                    switch.ready()
                    stack.callback(switch.ending)
            free = {site: count(TRUNKS_FROM) for site in self.sites}
            for trunk in self.trunks:
                a, b = next(free[trunk.start]), next(free[trunk.end])
                self._places[trunk.start, trunk.end], self._places[trunk.end, trunk.start] = a, b
                self.lab.trunk(self.switches[trunk.start], a, self.switches[trunk.end], b)
            self.controller.ready(*self.switches.values())
            self.broker = stack.enter_context(Broker(self.lab, self.configuration()))
            self.broker.apply(self.topology())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _made(self, site: str, stack: ExitStack) -> Switch | CorsaSwitch:
        kind = self.kinds[site]
        if kind == OPENFLOW:
            return self.lab.switch(site)
        return stack.enter_context(CorsaSwitch(self.lab, site, kind, self.sites.index(site) + 1))

    def switch(self, site: str) -> Switch | CorsaSwitch:
        """The switch of a site."""
        return self.switches[site]

    def host(self, name: str, site: str, port: int, *, address: str | None = None, tag: int | None = None) -> Host:
        """Make a host; see `Lab.host`."""
        return self.lab.host(name, self.switches[site], port, address=address, tag=tag)

    def configuration(self) -> str:
        """The networks of dpb.toml: a switch for each site, and the aggregator `wan` over them."""
        blocks = []
        for site, switch in self.switches.items():
            head = f'[[network]]\nname = "{site}"\nkind = "switch"\nfabric = "{self.kinds[site]}"\n'
            settings = f"{self._fabric(switch)}{self._settings}"
            blocks.append(f"{head}audit-interval = {self._audit}\n[network.fabric-settings]\n{settings}")
        inferiors = json.dumps(list(self.sites))
        blocks.append(f'[[network]]\nname = "wan"\nkind = "aggregator"\nalgorithm = "bast"\ninferiors = {inferiors}\n')
        return "\n".join(blocks)

    def _fabric(self, switch: Switch | CorsaSwitch) -> str:
        url = f"http://127.0.0.1:{REST}"
        if isinstance(switch, Switch):
            return f'url = "{url}"\ndpid = "{switch.dpid}"\n'
        poll = min(MOST_OFTEN, self._audit)
        return switch.settings(application=url, controller=f"127.0.0.1:{CONTROL}", poll=poll)

    def topology(self) -> str:
        """The text of topology.toml: terminals and trunks."""
        lines = []
        for site in self.sites:
            lines.append(f'[[network]]\nname = "{site}"')
            lines += [_terminal(n, f'interface = "{interface}"', labels) for n, interface, labels in self._interfaces()]
            for (here, far), port in self._places.items():
                if here == site:
                    lines.append(_terminal(f"to-{far}", f'interface = "{port}"'))
        lines.append('[[network]]\nname = "wan"')
        for site in self.sites:
            lines += [_terminal(f"{site}-{n}", f'maps = "{site}:{n}"', labels) for n, _, labels in self._interfaces()]
        for trunk in self.trunks:
            first, last = trunk.labels
            lines.append(
                f'[[network.trunk]]\nname = "{trunk.start}-{trunk.end}"\n'
                f'start = "{trunk.start}:to-{trunk.end}"\nend = "{trunk.end}:to-{trunk.start}"\n'
                f"upstream = {trunk.mbps}\ndelay = {trunk.delay}\n"
                f"labels = [{{ start = {first}, count = {last - first + 1}, end = {first} }}]"
            )
        return "\n".join(lines) + "\n"

    def _interfaces(self) -> list[tuple[str, str, tuple[int, int]]]:
        single = [(name, str(port), (1, 4094)) for name, port in self.ports.items()]
        double = [(f"{name}x2", f"{port}x2", (both(1, 1), both(4094, 4094))) for name, port in self.ports.items()]
        return [*single, *double, ("phys", "phys", (1, TRUNKS_FROM - 1))]


def _terminal(name: str, place: str, labels: tuple[int, int] = (1, 4094)) -> str:
    return f'[[network.terminal]]\nname = "{name}"\n{place}\nlabels = [[{labels[0]}, {labels[1]}]]'


def both(outer: int, inner: int) -> int:
    """The label of two tags."""
    return outer << 12 | inner


__all__ = ["KINDS", "OPENFLOW", "PER_SERVICE", "ROW", "SHARED", "SITES", "End", "Trunk", "Wan", "both"]
