"""Networks on real threads: as few as there can be, and many."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any, cast

import pytest

from dpb_framework.broker import Broker
from dpb_framework.config import BrokerConfig, Config, NetworkConfig
from dpb_framework.contracts import (
    AggregatorManagement,
    Algorithm,
    Demand,
    NoTree,
    Outcome,
    Planner,
    Residual,
    Service,
    SwitchManagement,
    Topology,
)
from dpb_framework.errors import CircuitTaken
from dpb_framework.memory import MemoryStore
from dpb_framework.model import Scenario, Segment, Status, Terminal, Trunk
from dpb_framework.networks.aggregator import Aggregator
from dpb_framework.plugins import make
from dpb_framework.reply import Reply
from dpb_framework.runtime import Runtime
from dpb_framework.testing.world import CALLER, World, line, three_levels

PATIENCE = 20.0


def one_of_each() -> Runtime:
    return Runtime(workers=1, leaf_threads=1)


def blocking(world: World) -> None:
    """Let every device be called in its leaf, and let it take a while."""
    for name, settings in world.layout.networks.items():
        if settings["kind"] == "switch":
            world.device(name).fault(delay=0.002, count=40)


@pytest.mark.parametrize("leaves", [False, True])
def test_twelve_defines_at_once_through_three_levels(leaves: bool) -> None:
    """One worker and one thread for each leaf are enough: nobody waits for an inferior in a thread."""
    with World(three_levels(), runtime=one_of_each, leaves=leaves) as world:
        if leaves:
            blocking(world)
        services: list[Service] = []
        together = threading.Barrier(12)

        def define(number: int) -> None:
            together.wait(20)
            ends = [("a", number, 10, 10), ("d", number, 10, 10), ("e", number, 10, 10)][: 2 + number % 2]
            service = world.network("all").create(CALLER, f"n{number}", Segment.of(*ends)).result(20)
            service.activate(CALLER).result(20)
            services.append(service)

        threads = [threading.Thread(target=define, args=(number,)) for number in range(1, 13)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(services) == 12
        for service in services:
            assert service.wait({Status.ACTIVE}, 20).result(20) is Status.ACTIVE
        assert world.carries("all", "a", 3) == {("d", 3), ("e", 3)}
        for service in services:
            service.release(CALLER)
        for service in services:
            assert service.wait({Status.RELEASED}, 20).result(20) is Status.RELEASED
        world.until(lambda: world.leftovers() == [])


def test_one_circuit_for_many_who_want_it_at_once() -> None:
    with World(line(2), runtime=Runtime) as world:
        segment = Segment.of(("t1", 1, 10, 10), ("t2", 1, 10, 10))
        outcomes: list[str] = []
        together = threading.Barrier(8)

        def race() -> None:
            together.wait(20)
            try:
                world.network("net").create(CALLER, None, segment).result(20)
                outcomes.append("got it")
            except CircuitTaken:
                outcomes.append("taken")

        threads = [threading.Thread(target=race) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(outcomes) == ["got it"] + ["taken"] * 7
        assert len({s.id for s in world.network("net").services()}) == 1


def test_one_handle_for_many_who_create_with_it_at_once() -> None:
    with World(line(2), runtime=Runtime) as world:
        segment = Segment.of(("t1", 1, 10, 10), ("t2", 1, 10, 10))
        together = threading.Barrier(8)
        found: list[int] = []

        def race() -> None:
            together.wait(20)
            found.append(world.network("net").create(CALLER, "mine", segment).result(20).id)

        threads = [threading.Thread(target=race) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert found == [1] * 8


def test_a_kernel_thread_may_not_block() -> None:
    """A watcher that waits for a reply would hold the strand for ever: it is told so at once."""
    with World(line(2), runtime=one_of_each) as world:
        service = world.establish("s1", ("t", 1, 10, 10), ("u", 1, 10, 10))
        told: list[BaseException] = []

        def waits(_: Service) -> None:
            reply = service.wait({Status.RELEASED}, 20)
            try:
                reply.result(20)
            except RuntimeError as error:
                told.append(error)

        service.watch(waits)
        world.activate(service)
        world.until(lambda: bool(told))
        assert "then()" in str(told[0])


class Endless(Algorithm):
    """Plans until it is let go."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.begun = threading.Semaphore(0)

    def planner(self, topology: Topology) -> Planner:
        algorithm = self

        class Waiting(Planner):
            def plan(self, demand: Demand, residual: Residual) -> Outcome:
                algorithm.begun.release()
                algorithm.free.wait(PATIENCE)
                return NoTree("it was let go")

        return Waiting()


def test_networks_that_plan_for_long_leave_workers_to_others() -> None:
    """Three plan a define and a what-if each, and more of both wait: one worker is enough to serve the fourth."""
    slow = [f"slow{n}" for n in range(3)]
    names = [*slow, "quick"]
    switches = [NetworkConfig(f"{name}-{end}", "switch", {}) for name in names for end in "ab"]
    over = [
        NetworkConfig(
            name,
            "aggregator",
            {"inferiors": [f"{name}-a", f"{name}-b"], "algorithm": "endless" if name in slow else "bast"},
        )
        for name in names
    ]
    endless = Endless()

    def make_it(group: str, kind: str, *rest: Any) -> Any:
        return endless if kind == "endless" else make(group, kind, *rest)

    numbers = BrokerConfig(workers=1, leaf_threads=1)
    broker = Broker(Config(broker=numbers, networks=(*switches, *over), nbis=()), store=MemoryStore(), make=make_it)
    broker.start()
    try:
        for name in names:
            for end in "ab":
                switch = cast(SwitchManagement, broker.network(f"{name}-{end}"))
                switch.put_terminal(Terminal("user", "1"), CALLER).result(PATIENCE)
                switch.put_terminal(Terminal("trunk", "2"), CALLER).result(PATIENCE)
            network = cast(AggregatorManagement, broker.network(name))
            for end in "ab":
                network.put_terminal(Terminal(end, f"{name}-{end}:user"), CALLER).result(PATIENCE)
            network.put_trunk(Trunk("t", (f"{name}-a", "trunk"), (f"{name}-b", "trunk"), 1000, 1000), CALLER).result(
                PATIENCE
            )
        waiting: list[Reply[Any]] = []
        for name in slow:
            network = cast(Aggregator, broker.network(name))
            segments = [Segment.of(("a", label, 1, 1), ("b", label, 1, 1)) for label in range(1, 5)]
            waiting += [network.plan([segment], Scenario()) for segment in segments]
            for segment in segments:
                broker.work(partial(network.create, CALLER, None, segment))
        for _ in range(2 * len(slow)):
            assert endless.begun.acquire(timeout=PATIENCE)
        quick = broker.network("quick").create(CALLER, None, Segment.of(("a", 1, 1, 1), ("b", 1, 1, 1)))
        assert quick.result(PATIENCE).wait({Status.INACTIVE}).result(PATIENCE) is Status.INACTIVE
        assert not any(reply.settled for reply in waiting)
        endless.free.set()
        for reply in waiting:
            assert [proposal.fault is None for proposal in reply.result(PATIENCE)] == [False]
    finally:
        endless.free.set()
        broker.stop()
