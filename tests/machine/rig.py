"""A broker of two levels of aggregators that can be crashed, starved, cut off and healed."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Any

from dpb_framework.broker import Broker
from dpb_framework.config import Config, NetworkConfig
from dpb_framework.contracts import Network, NetworkKind
from dpb_framework.emulated import BlockingFabric, Device, EmulatedFabric, device, forget_device
from dpb_framework.model import SYSTEM, Event, LabelRange, Terminal, Trunk
from dpb_framework.networks import Aggregator, Switch
from dpb_framework.reply import Reply
from dpb_framework.testing.manual import ManualRuntime

from .faulty import FaultyNetwork, Link
from .late_store import LateStore

SWITCHES = ("a1", "a2", "a3", "b1", "b2", "c1")
AGGREGATORS = {"west": ("a1", "a2", "a3"), "east": ("b1", "b2"), "wan": ("west", "east", "c1")}
NETWORKS = (*SWITCHES, *AGGREGATORS)
INLINE = ("a2", "b2")
"""Switches whose fabric answers at once; the others' calls wait for the scheduler."""

AUDIT = 60
TERMINALS = {
    **{switch: {f"p{n}": str(n) for n in (1, 2, 3, 4, 9)} for switch in SWITCHES},
    "west": {"x1": "a1:p1", "x2": "a2:p1", "x3": "a3:p1", "g1": "a1:p9", "g3": "a3:p9"},
    "east": {"y1": "b1:p1", "y2": "b2:p1", "h1": "b1:p9", "h2": "b2:p9"},
    "wan": {"t1": "west:x1", "t2": "west:x2", "t3": "west:x3", "t4": "east:y1", "t5": "east:y2", "t6": "c1:p1"},
}
QUOTAS = {("west", "x2"): (120, 120), ("wan", "t4"): (150, None)}


def _trunk(name: str, start: str, end: str, up: int, down: int, *labels: tuple[int, int, int]) -> Trunk:
    one, other = start.split(":"), end.split(":")
    ranges = tuple(LabelRange(*r) for r in labels)
    return Trunk(name, (one[0], one[1]), (other[0], other[1]), up, down, delay=1000, labels=ranges)


TRUNKS = {
    "west": (
        _trunk("w12", "a1:p2", "a2:p2", 100, 100, (10, 3, 20)),
        _trunk("w12x", "a1:p3", "a2:p3", 60, 40, (10, 1, 10), (50, 1, 11)),
        _trunk("w23", "a2:p4", "a3:p2", 100, 100, (5, 3, 105)),
        _trunk("w13", "a1:p4", "a3:p3", 50, 50, (7, 2, 7)),
    ),
    "east": (
        _trunk("e12", "b1:p2", "b2:p2", 80, 80, (30, 3, 30)),
        _trunk("e12x", "b1:p3", "b2:p3", 80, 60, (30, 1, 40)),
    ),
    "wan": (
        _trunk("north", "west:g1", "east:h1", 100, 100, (1, 3, 2)),
        _trunk("south", "west:g3", "c1:p2", 100, 80, (300, 3, 310)),
        _trunk("southeast", "c1:p3", "east:h2", 100, 100, (300, 2, 300)),
    ),
}

_count = itertools.count(1)


class _Runtime(ManualRuntime):
    """A runtime that tells whether anything waits to be run."""

    @property
    def ready(self) -> bool:
        """Whether a task is ready."""
        return bool(self._ready)


class _Faults(logging.Handler):
    """Remembers what the kernel logs as its own fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.seen.append(logging.Formatter().format(record))


class _Broker(Broker):
    """A broker whose aggregators see their inferiors over links, and whose devices outlive it."""

    def __init__(self, rig: Rig, runtime: _Runtime) -> None:
        self._rig = rig
        self._linked: dict[str, FaultyNetwork] = {}
        super().__init__(rig.config, store=rig.store, runtime=runtime)

    def _build(self, network: NetworkConfig) -> NetworkKind:
        built = super()._build(network)
        if isinstance(built, Switch) and network.name not in INLINE:
            built.fabric = BlockingFabric(device=self._rig.device_name(network.name))
        self._linked[network.name] = FaultyNetwork(built, Link(self.runtime, network.name))
        return built

    def network(self, name: str) -> Network:
        """Return the network as superiors see it."""
        return self._linked[name]

    def link(self, name: str) -> Link:
        """The link to a network."""
        return self._linked[name].link

    def inner(self, name: str) -> Any:
        """The network itself."""
        return self._linked[name].inner


class Rig:
    """The broker, its store, its devices, and the watchers of its events."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        self._number = next(_count)
        self._choose = choose
        self.store = LateStore()
        self.faults = _Faults()
        self.events: dict[str, list[int]] = {}
        self._loggers = [logging.getLogger(name) for name in ("dpb", "dpb_framework")]
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.addHandler(self.faults)
            logger.setLevel(logging.ERROR)
            logger.propagate = False
        self.config = Config(networks=tuple(self._networks()), nbis=())
        self.start()
        self._furnish()

    def _networks(self) -> list[NetworkConfig]:
        found = [
            NetworkConfig(
                switch,
                "switch",
                {
                    "fabric": "emulated",
                    "fabric-settings": {"device": self.device_name(switch)},
                    "audit-interval": AUDIT,
                    **({"on-port-down": "fail"} if switch == "c1" else {}),
                },
            )
            for switch in SWITCHES
        ]
        found += [
            NetworkConfig(name, "aggregator", {"algorithm": "bast", "inferiors": list(inferiors), "replans": 4})
            for name, inferiors in AGGREGATORS.items()
        ]
        return found

    def device_name(self, switch: str) -> str:
        """The name of a switch's device in this process."""
        return f"machine-{self._number}-{switch}"

    def device(self, switch: str) -> Device:
        """A switch's device."""
        return device(self.device_name(switch))

    def network(self, name: str) -> Any:
        """A network itself, as its clients use it."""
        return self.broker.inner(name)

    def aggregator(self, name: str) -> Aggregator:
        """An aggregator itself."""
        found = self.broker.inner(name)
        assert isinstance(found, Aggregator)
        return found

    def _furnish(self) -> None:
        replies: list[Reply[Any]] = []
        for network, terminals in TERMINALS.items():
            for name, place in terminals.items():
                ingress, egress = QUOTAS.get((network, name), (None, None))
                terminal = Terminal(name, place, ingress, egress)
                replies.append(self.network(network).put_terminal(terminal, SYSTEM, new=True))
            self.runtime.run()
        for network, trunks in TRUNKS.items():
            for trunk in trunks:
                replies.append(self.network(network).put_trunk(trunk, SYSTEM, new=True))
        self.runtime.run()
        for reply in replies:
            assert reply.settled
            assert reply.error is None, reply.error

    # -- life and death

    def start(self) -> None:
        """Start a broker on what the store holds."""
        self.runtime = _Runtime(self._choose)
        self.store.runtime = self.runtime
        self.broker = _Broker(self, self.runtime)
        self.broker.start()
        for name in NETWORKS:
            self.events[name] = [self.network(name).last_event]
            self.network(name).watch(self._saw)

    def _saw(self, event: Event) -> None:
        if event.number:
            self.events[event.network].append(event.number)

    def crash(self, survivors: int) -> None:
        """End the broker as `kill -9` would; some of the queued batches had become durable, nobody was told."""
        self.runtime.stop()
        for switch in SWITCHES:  # the connections to the devices end with the process
            fabric = self.network(switch).fabric
            assert isinstance(fabric, EmulatedFabric)
            fabric.stop()
        self.store.crash(survivors)

    def stop(self) -> None:
        """End the broker cleanly."""
        self.store.hold(False)
        self.store.failing = 0
        self.broker.stop()

    def heal(self) -> None:
        """Undo all faults that wait or last."""
        self.store.hold(False)
        self.store.failing = 0
        for name in NETWORKS:
            self.broker.link(name).heal()
        for switch in SWITCHES:
            machine = self.device(switch)
            machine.script.clear()
            for port in machine.ports_down:
                machine.port_up(port)
            if not machine.reachable:
                machine.up()

    @property
    def idle(self) -> bool:
        """Whether nothing is to be run and nothing to be stored; time may still bring something."""
        return not self.runtime.ready and not self.store.queue

    def rest(self) -> None:
        """Heal everything and let as much time pass as the slowest retry needs."""
        self.heal()
        self.runtime.advance(3 * AUDIT + 20, limit=20_000)

    def dismantle(self) -> None:
        """Leave nothing behind in this process."""
        self.runtime.stop()
        for switch in SWITCHES:
            forget_device(self.device_name(switch))
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.removeHandler(self.faults)
            logger.setLevel(level)
            logger.propagate = True
