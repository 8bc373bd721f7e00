"""The network of a workload in this process: a broker with an aggregator of emulated switches, and no interfaces."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from dpb_framework import plugins
from dpb_framework.broker import Broker
from dpb_framework.config import Config, NetworkConfig, StoreConfig
from dpb_framework.contracts import AggregatorManagement, Algorithm, Network, Service, SwitchManagement
from dpb_framework.errors import ConfigInvalid, NoCapacity, Remembered
from dpb_framework.model import Caller, LabelRange, Segment, Status, Terminal, Trunk
from dpb_framework.reply import Reply
from dpb_pathcomp.bench.stopwatch import Stopwatch, Timed, settle
from dpb_pathcomp.bench.workload import Request, Workload, terminal_name

T = TypeVar("T")

NAME = "bench"
"""The aggregator's name; no node of a workload may be called so."""

PATIENCE = 60.0
"""Seconds after which a define or an activate that has not ended is an error."""

CALLER = Caller("bench")


class World:
    """The running network. A context manager: what it started ends with it, and a database of its own goes.

    `PluginMissing` and `PluginBroken` for an algorithm or store that is not there, `ConfigInvalid` for settings that
    the algorithm does not take.
    """

    def __init__(self, workload: Workload, *, algorithm: str, settings: Mapping[str, Any], store: str) -> None:
        self.planning = Stopwatch()
        self._workload = workload
        self._ending = ExitStack()
        try:
            self._build(algorithm, settings, store)
            settle()
        except BaseException:
            self._ending.close()
            raise

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def segment(self, request: Request) -> Segment:
        """Write down what is asked for, as a client does before it asks."""
        nodes = self._workload.nodes
        return Segment.of(*((terminal_name(nodes[node]), None, request.rate, request.rate) for node in request.nodes))

    def define(self, segment: Segment) -> Service:
        """Make and define the service, and wait until it is established; a `DpbError` when it is refused."""
        service = _now(self._network.create(CALLER, segment=segment))
        if service.status is not Status.INACTIVE:
            _now(service.wait({Status.INACTIVE}, PATIENCE))
            self._expect(service, Status.INACTIVE)
        return service

    def establish(self, request: Request) -> Service:
        """Make, define and activate the service, and wait for its traffic to pass; a `DpbError` when it is refused."""
        service = _now(self._network.create(CALLER, segment=self.segment(request)))
        self.activate(service)
        return service

    def activate(self, service: object) -> None:
        """Let its traffic pass, and wait until it does."""
        assert isinstance(service, Service)
        _now(service.activate(CALLER))
        _now(service.wait({Status.ACTIVE}, PATIENCE))
        self._expect(service, Status.ACTIVE)

    def reserved(self) -> int:
        """What trunks hold, both directions added, kbit/s."""
        return sum(
            use.trunk.upstream - use.upstream_left + use.trunk.downstream - use.downstream_left
            for use in self._management.trunks()
        )

    def _expect(self, service: Service, status: Status) -> None:
        if service.status is status:
            return
        fault = service.error
        if fault is None:
            raise NoCapacity(NAME, f"service {service.id} is {service.status.value}, not {status.value}")
        raise Remembered(fault.code, fault.text, dict(fault.facts))

    # -- building

    def _build(self, algorithm: str, settings: Mapping[str, Any], store: str) -> None:
        nodes = self._workload.nodes
        if NAME in nodes:
            raise ConfigInvalid("$.topology.nodes", f"no node may be called {NAME!r}: the network itself is")
        own = {"algorithm": algorithm, "algorithm-settings": settings, "inferiors": list(nodes)}
        networks = [NetworkConfig(node, "switch", path=f"$.{node}") for node in nodes]
        networks.append(NetworkConfig(NAME, "aggregator", own, f"$.{NAME}"))
        config = Config(store=self._store(store), networks=tuple(networks), nbis=())
        broker = Broker(config, make=self._make)
        broker.start()
        self._ending.callback(broker.stop)
        self._network = broker.network(NAME)
        assert isinstance(self._network, AggregatorManagement)
        self._management: AggregatorManagement = self._network
        self._wire({network.name: network for network in broker.networks()})

    def _store(self, store: str) -> StoreConfig:
        if store == "memory":
            return StoreConfig("memory")
        folder = self._ending.enter_context(tempfile.TemporaryDirectory(prefix="dpb-bench-"))
        return StoreConfig("sql", {"url": f"sqlite:///{Path(folder, 'bench.sqlite')}"})

    def _make(self, group: str, name: str, contract: type[T], settings: Mapping[str, Any], path: str) -> T:
        """Make a plugin; a planner is wrapped, so that its time is known."""
        made = plugins.make(group, name, contract, settings, path)
        if isinstance(made, Algorithm):
            timed: Any = Timed(made, self.planning)
            return timed  # type: ignore[no-any-return]  # it was an Algorithm, and is one again
        return made

    def _wire(self, built: Mapping[str, Network]) -> None:
        """Make terminals and trunks, all queued before any is waited for."""
        nodes = self._workload.nodes
        switches: list[SwitchManagement] = []
        ports = [0] * len(nodes)
        made: list[Reply[Any]] = []

        def port(node: int, name: str) -> tuple[str, str]:
            ports[node] += 1
            made.append(switches[node].put_terminal(Terminal(name, str(ports[node])), CALLER, new=True))
            return nodes[node], name

        for name in nodes:
            switch = built[name]
            assert isinstance(switch, SwitchManagement)
            switches.append(switch)
        places = [port(number, "edge") for number in range(len(nodes))]
        ends = [
            (port(link.a, f"trunk{number}"), port(link.b, f"trunk{number}"))
            for number, link in enumerate(self._workload.links)
        ]
        _all(made)
        made.clear()
        for name, place in zip(nodes, places, strict=True):
            terminal = Terminal(terminal_name(name), ":".join(place))
            made.append(self._management.put_terminal(terminal, CALLER, new=True))
        for number, (link, (start, end)) in enumerate(zip(self._workload.links, ends, strict=True)):
            trunk = Trunk(
                f"{start[0]}-{end[0]}.{number}",
                start,
                end,
                link.capacity,
                link.capacity,
                link.delay,
                (LabelRange(1, link.labels, 1),),
            )
            made.append(self._management.put_trunk(trunk, CALLER, new=True))
        _all(made)


def _now(reply: Reply[T]) -> T:
    """Return what a reply brings, at once where it is there already."""
    return reply.value if reply.settled else reply.result(PATIENCE)


def _all(replies: list[Reply[Any]]) -> None:
    for reply in replies:
        reply.result(PATIENCE)
