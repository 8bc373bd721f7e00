"""Small worlds for tests: a broker of emulated switches in memory and aggregators over them, in a few lines.

    with World(triangle()) as world:
        service = world.establish("net", ("t1", 100, 10_000, 10_000), ("t3", 100, 10_000, 10_000), active=True)
        assert world.carries("net", "t1", 100) == {("t3", 100)}
        world.restart()
        assert world.find(service).status is Status.ACTIVE

The runtime is a `ManualRuntime` unless another is given: nothing happens in threads, time passes only in `until`
and `pass_time`, and everything is the same each time. A restart keeps the store and the devices.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any, TypeVar, cast

from dpb_framework import plugins
from dpb_framework.broker import Broker
from dpb_framework.config import BrokerConfig, Config, NetworkConfig
from dpb_framework.contracts import (
    AggregatorManagement,
    Network,
    NetworkKind,
    Service,
    Store,
    SwitchManagement,
    Workshop,
)
from dpb_framework.emulated import BlockingFabric, Device, device, forget_device
from dpb_framework.memory import MemoryStore
from dpb_framework.model import Caller, Change, Segment, Status, Trunk
from dpb_framework.reply import Reply
from dpb_framework.runtime import Runtime
from dpb_framework.settings import check_call
from dpb_framework.testing.distant import DistantNetwork, Line
from dpb_framework.testing.faults import FaultyStore
from dpb_framework.testing.layout import Layout, line, one_switch, ring, three_levels, triangle, two_levels
from dpb_framework.testing.manual import ManualRuntime
from dpb_framework.testing.traffic import Traffic, leftovers

T = TypeVar("T")

CALLER = Caller("tester", manager=True)
"""Who gives the commands of a world's own methods."""

PATIENCE = 20.0
"""How long a world waits for what must come, in seconds (of the manual runtime, or real ones)."""

_numbers = itertools.count(1)

_load = functools.cache(plugins.load)
"""A test builds many networks of a few classes: each is looked for and checked once."""


class World:
    """A broker over a layout, started, with its terminals and trunks made. A context manager.

    *store* and *runtime* stand in for a `MemoryStore` and a `ManualRuntime`; *runtime* is a function because each
    restart needs a new one. With *leaves* devices are called in leaves; with *steps* (which needs the manual
    runtime) so they are, and every commit and every answer of one is a task of its own. *lines* names inferior
    networks that are reached by a `Line`. *listeners* take part in the hooks.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        store: Store | None = None,
        runtime: Callable[[], Runtime] = ManualRuntime,
        steps: bool = False,
        leaves: bool = False,
        lines: Collection[str] = (),
        listeners: Mapping[str, object] | None = None,
        inferior_timeout: float = 10.0,
        replans: int = 8,
    ) -> None:
        self.layout = layout
        self.store = FaultyStore(store or MemoryStore())
        self.lines = {name: Line(name) for name in lines}
        self.steps = steps
        self.leaves = leaves or steps
        self._listeners = dict(listeners or {})
        self._make_runtime = runtime
        self._numbers = BrokerConfig(inferior_timeout=inferior_timeout, replans=replans)
        self._prefix = f"world-{next(_numbers)}-"
        self._start()
        try:
            self._furnish()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- life

    def _start(self) -> None:
        self.runtime = self._make_runtime()
        if self.steps:
            self.store.runtime = self.runtime
        networks = tuple(
            NetworkConfig(name, settings["kind"], self._settings(name, settings), f"$.network[{i}]")
            for i, (name, settings) in enumerate(self.layout.networks.items())
        )
        config = Config(broker=self._numbers, networks=networks, nbis=())
        self.broker = _Broker(self, config)
        for name, listener in self._listeners.items():
            self.broker.listeners.register(name, listener)
        self.broker.start()

    def _settings(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        found = {key: value for key, value in settings.items() if key != "kind"}
        if settings["kind"] == "switch" and found.get("fabric", "emulated") == "emulated":
            found["fabric-settings"] = {**found.get("fabric-settings", {}), "device": self._prefix + name}
        return found

    def _furnish(self) -> None:
        self.rest()
        for name in self.layout.networks:
            network = self.network(name)
            for _, terminal in (entry for entry in self.layout.terminals if entry[0] == name):
                if isinstance(network, SwitchManagement):
                    self.ask(network.put_terminal(terminal, CALLER, new=True))
            for _, trunk in (entry for entry in self.layout.trunks if entry[0] == name):
                self.ask(self.aggregator(name).put_trunk(trunk, CALLER, new=True))
        self.rest()

    def stop(self) -> None:
        """Stop the broker in good order. Devices and store stay."""
        self.broker.stop()

    def die(self) -> None:
        """End the broker at once: what its store had not kept and its runtime had not done is lost."""
        self.store.forget_waiting()
        self.runtime.stop()
        self.broker.stop()

    def start(self) -> None:
        """Start a new broker on the same store and devices, after `stop` or `die`."""
        self._start()

    def restart(self, *, die: bool = False) -> None:
        """End the broker, start a new one, and let it come to rest. Networks and services must be asked for again."""
        (self.die if die else self.stop)()
        self.start()
        self.rest()

    def close(self) -> None:
        """End everything; the devices are forgotten."""
        self.broker.stop()
        for name in self.layout.networks:
            forget_device(self._prefix + name)

    # -- what there is

    def network(self, name: str) -> Network:
        """One of the networks."""
        return self.broker.network(name)

    def switch(self, name: str) -> SwitchManagement:
        """The management of a switch (or an aggregator)."""
        return cast(SwitchManagement, self.network(name))

    def aggregator(self, name: str) -> AggregatorManagement:
        """The management of an aggregator."""
        return cast(AggregatorManagement, self.network(name))

    def device(self, switch: str) -> Device:
        """The emulated device of a switch: faults, ports, contact, and what it holds."""
        return device(self._prefix + switch)

    def find(self, service: Service) -> Service:
        """The service as it is after a restart."""
        return self.network(service.view().network).service(service.id)

    def change_trunk(self, aggregator: str, name: str, make: Callable[[Trunk], Trunk]) -> None:
        """Put the trunk that *make* makes of one that is there."""
        management = self.aggregator(aggregator)
        self.ask(management.put_trunk(make(management.trunk(name).trunk), CALLER))

    # -- waiting

    def rest(self) -> None:
        """Let everything that is ready happen, without letting time pass. Only the manual runtime can tell."""
        if isinstance(self.runtime, ManualRuntime):
            self.runtime.run()

    def pass_time(self, seconds: float) -> None:
        """Let time pass (the manual runtime's)."""
        if not isinstance(self.runtime, ManualRuntime):
            raise RuntimeError("only the manual runtime's time can be made to pass")
        self.runtime.advance(seconds)

    def until(self, holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait until *holds* is true; `AssertionError` when it does not come true in time."""
        runtime = self.runtime
        if isinstance(runtime, ManualRuntime):
            end = runtime.now() + seconds
            runtime.run()
            while not holds():
                assert runtime.now() < end, "what was waited for did not come"
                runtime.advance(0.05)
            return
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "what was waited for did not come"
            time.sleep(0.002)

    def ask(self, reply: Reply[T], seconds: float = PATIENCE) -> T:
        """Wait for a reply, return its value or raise its error."""
        if isinstance(self.runtime, ManualRuntime):
            self.until(lambda: reply.settled, seconds)
            return reply.value
        return reply.result(seconds)

    def reach(self, service: Service, *statuses: Status, seconds: float = PATIENCE) -> Status:
        """Wait until the service is in one of *statuses*, and at rest there."""
        reply = service.wait(statuses, seconds)
        status = self.ask(reply, seconds + 1)
        assert status in statuses, f"service {service.id} is {status.value}: {service.error}"
        self.rest()
        return status

    # -- commands

    def create(self, network: str, handle: str | None = None) -> Service:
        """Make a service that is not defined."""
        return self.ask(self.network(network).create(CALLER, handle))

    def establish(
        self, network: str, *ends: tuple[str, int | None, int, int], active: bool = False, handle: str | None = None
    ) -> Service:
        """Make a service, define it and wait until it is INACTIVE, or ACTIVE; raises the refusal."""
        service = self.ask(self.network(network).create(CALLER, handle, Segment.of(*ends)))
        self.reach(service, Status.INACTIVE)
        if active:
            self.activate(service)
        return service

    def activate(self, service: Service) -> None:
        """Activate and wait until ACTIVE."""
        self.ask(service.activate(CALLER))
        self.reach(service, Status.ACTIVE)

    def change(self, service: Service, *ends: tuple[str, int | None, int, int]) -> None:
        """Prepare another segment, commit it, and wait until all is done; raises the refusal."""
        self.ask(service.prepare(Segment.of(*ends), CALLER))
        self.ask(service.commit(CALLER))
        self.until(lambda: service.change is Change.NONE)

    def release(self, service: Service) -> None:
        """Release and wait until it is gone."""
        self.ask(service.release(CALLER))
        self.reach(service, Status.RELEASED)

    # -- where frames go, and what is held

    def carries(self, network: str, terminal: str, label: int) -> set[tuple[str, int]]:
        """The circuits of *network* at which a frame comes out that enters at (terminal, label), over all trunks."""
        return Traffic(self.layout, self.switch, self.device).carries(network, terminal, label)

    def leftovers(self) -> list[str]:
        """What is held anywhere: services, circuits, trunks' capacity and labels, bridges, records. Empty: nothing."""
        return leftovers(self.layout, self.network, self.device, self.store)


class _Broker(Broker):
    """A broker whose networks get the world's fabrics and lines."""

    def __init__(self, world: World, config: Config) -> None:
        self.world = world
        super().__init__(config, world.store, world.runtime)

    def _build(self, network: NetworkConfig) -> NetworkKind:
        kind = _load(plugins.NETWORKS, network.kind, NetworkKind)
        # A class found by its entry point.
        return kind.build(_Shop(self, network))  # type: ignore[attr-defined,no-any-return]


class _Shop(Workshop):
    """What one network of a world is built from."""

    def __init__(self, broker: _Broker, network: NetworkConfig) -> None:
        self._broker = broker
        self.name = network.name
        self.settings = network.settings
        self.path = network.path
        self.store = broker.store
        self.runtime = broker.runtime
        self.audience = broker.listeners
        numbers = broker.config.broker
        self.tuning = {"inferior-timeout": numbers.inferior_timeout, "replans": numbers.replans}

    @property
    def uuid(self) -> str:  # type: ignore[override]  # the contract has an attribute
        """The store's id; known once the store is open."""
        return self.store.uuid

    def make(self, group: str, name: str, contract: type[T], settings: Mapping[str, Any], key: str) -> T:
        """Make another plugin; with leaves the emulated fabric is one that the kernel calls in a leaf."""
        if self._broker.world.leaves and (group, name) == (plugins.FABRICS, "emulated"):
            return cast(T, BlockingFabric(**settings))
        made = _load(group, name, contract)  # type: ignore[arg-type]  # mypy does not see that classes are hashable
        return cast(T, made(**check_call(made, settings, f"{self.path}.{key}")))

    def inferior(self, name: str) -> Network:
        """The network of that name, at the end of its line if it has one."""
        network = self._broker.network(name)
        line = self._broker.world.lines.get(name)
        return network if line is None else DistantNetwork(network, line)


__all__ = [
    "CALLER",
    "PATIENCE",
    "Layout",
    "World",
    "line",
    "one_switch",
    "ring",
    "three_levels",
    "triangle",
    "two_levels",
]
