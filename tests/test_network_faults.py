"""Devices that refuse, forget, or are away; dead ports; what is not enforced; faults of plugins and of the store."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import pytest

from dpb_framework.contracts import (
    Algorithm,
    Bridge,
    Capability,
    Channel,
    Demand,
    ModelRecord,
    Outcome,
    Planner,
    Residual,
    Tree,
)
from dpb_framework.emulated.fabric import EmulatedFabric
from dpb_framework.errors import CommitFailed, ConfigInvalid, FabricRefused, PlanInvalid, Refused
from dpb_framework.model import (
    SYSTEM,
    Caller,
    Change,
    Condition,
    Desired,
    NetworkModel,
    Segment,
    Status,
    Terminal,
    TrafficFlow,
)
from dpb_framework.networks.switch import Switch
from dpb_framework.networks.switchservice import SwitchService
from dpb_framework.reply import Reply
from dpb_framework.runtime import Runtime
from dpb_framework.testing.distant import DistantNetwork
from dpb_framework.testing.manual import ManualRuntime
from dpb_framework.testing.world import CALLER, Layout, World, line, one_switch, ring, triangle, two_levels

AB = (("a", 1, 10, 10), ("b", 1, 10, 10))
NET = (("t1", 1, 10, 10), ("t2", 1, 10, 10))


def code(service: object) -> str | None:
    error = service.error  # type: ignore[attr-defined]
    return None if error is None else error.code


# -- refusals of the device -----------------------------------------------------------------------


def test_a_refused_bridge_is_told_and_made_when_the_cause_is_gone() -> None:
    with World(one_switch()) as world:
        device = world.device("s1")
        device.stranger("theirs", {Channel("1", 1): TrafficFlow(1, 1), Channel("9", 1): TrafficFlow(1, 1)})
        service = world.establish("s1", *AB)
        world.ask(service.activate(CALLER))
        assert world.reach(service, Status.FAILED, Status.ACTIVE) is Status.FAILED
        assert code(service) == "fabric-refused"
        assert service.error is not None
        assert "in use" in service.error.text
        world.pass_time(100)
        assert service.status is Status.FAILED
        device.remove_stranger("theirs")
        world.until(lambda: service.status is Status.ACTIVE, 100)
        assert service.error is None
        assert world.carries("s1", "a", 1) == {("b", 1)}


def test_a_refusal_below_is_told_above_and_heals() -> None:
    with World(two_levels()) as world:
        service = world.establish("top", ("a", 1, 10, 10), ("c", 1, 10, 10))
        world.device("w1").fault(refuse="no memory", on="ensure", count=3)
        world.ask(service.activate(CALLER))
        world.reach(service, Status.FAILED)
        assert code(service) == "inferior-failed"
        assert service.error is not None
        assert "no memory" in service.error.text
        assert service.error.facts["subnetwork"] == "west"
        world.until(lambda: service.status is Status.ACTIVE, 100)
        assert service.error is None
        assert world.carries("top", "a", 1) == {("c", 1)}


@pytest.mark.parametrize("command", ["deactivate", "reset", "release"])
@pytest.mark.parametrize("network", ["s1", "net"])
def test_every_command_leads_out_of_failed(network: str, command: str) -> None:
    with World(line(2)) as world:
        ends = (("t", 1, 10, 10), ("u", 1, 10, 10)) if network == "s1" else NET
        service = world.establish(network, *ends)
        world.device("s1").fault(refuse="no memory", on="ensure", count=None)
        world.ask(service.activate(CALLER))
        world.reach(service, Status.FAILED)
        world.ask(getattr(service, command)(CALLER))
        after = {"deactivate": Status.INACTIVE, "reset": Status.DORMANT, "release": Status.RELEASED}[command]
        world.reach(service, after)
        assert service.error is None or command == "release"
        if command != "release":
            world.release(service)
        assert world.leftovers() == []


@pytest.mark.parametrize(
    ("command", "after"),
    [("deactivate", Status.INACTIVE), ("reset", Status.DORMANT), ("release", Status.RELEASED)],
)
@pytest.mark.parametrize("network", ["s1", "net"])
def test_a_removal_that_the_device_refuses_is_tried_again(network: str, command: str, after: Status) -> None:
    """`wait` does not answer before: the state is still reached without another command."""
    with World(line(2)) as world:
        ends = (("t", 1, 10, 10), ("u", 1, 10, 10)) if network == "s1" else NET
        service = world.establish(network, *ends, active=True)
        world.device("s1").fault(refuse="busy", on="remove", count=2)
        world.ask(getattr(service, command)(CALLER))
        world.rest()
        assert service.status is not after
        t = "t" if network == "s1" else "t1"
        assert world.carries(network, t, 1) != set() or network == "net"
        world.reach(service, after)
        assert service.error is None or command == "release"
        assert world.carries(network, t, 1) == set()
        if command != "release":
            world.release(service)
        assert world.leftovers() == []


def test_a_fault_within_a_fabric_is_told_as_one() -> None:
    with World(one_switch()) as world:
        service = world.establish("s1", *AB)

        def broken(bridge: object) -> None:
            raise ValueError("a slip")

        world.network("s1").fabric.ensure = broken  # type: ignore[attr-defined]
        world.ask(service.activate(CALLER))
        world.reach(service, Status.FAILED)
        assert code(service) == "fabric-refused"
        assert service.error is not None
        assert "ValueError: a slip" in service.error.text


# -- contact --------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [True, False])
def test_contact_lost_is_a_condition_and_changes_nothing_else(events: bool) -> None:
    """With events the device tells; without, the next command finds out."""
    with World(line(2)) as world:
        service = world.establish("net", *NET, active=True)
        other = world.establish("net", ("t1", 2, 10, 10), ("t2", 2, 10, 10))
        device = world.device("s1")
        if events:
            device.down()
        else:
            device.fault(hang=True, count=1)
            world.network("s1").contact.reconcile()  # type: ignore[attr-defined]
            device.fault(hang=True, count=None)
        world.rest()
        assert service.status is Status.ACTIVE
        assert [(c.kind, c.where) for c in service.conditions] == [("unconfirmed", "s1")]
        (told,) = service.conditions
        assert told.text.startswith("the device is not reached: ")
        assert not told.text.endswith(": ")
        assert events or "emulated device 'world-" in told.text, "it says which"
        assert world.aggregator("net").trunk("s1-s2").services == (1, 2)
        assert world.carries("net", "t1", 1) == {("t2", 1)}, "a switch without its controller forwards"
        world.ask(other.activate(CALLER))
        world.pass_time(300)
        assert other.status is Status.ACTIVATING
        world.ask(other.release(CALLER))
        world.ask(service.deactivate(CALLER))
        world.pass_time(300)
        assert service.status is Status.DEACTIVATING
        device.script.clear()
        device.up()
        world.until(lambda: service.status is Status.INACTIVE, 30)
        world.until(lambda: other.status is Status.RELEASED, 30)
        assert service.conditions == ()
        world.release(service)
        assert world.leftovers() == []


def test_a_lost_answer_is_asked_again() -> None:
    with World(one_switch()) as world:
        service = world.establish("s1", *AB)
        for crash in ("before", "after"):
            world.device("s1").fault(crash=crash, on="ensure")
            world.ask(service.activate(CALLER))
            world.reach(service, Status.ACTIVE)
            assert world.carries("s1", "a", 1) == {("b", 1)}
            world.device("s1").fault(crash=crash, on="remove")
            world.ask(service.deactivate(CALLER))
            world.reach(service, Status.INACTIVE)
            assert world.device("s1").holds() == {}
        assert service.conditions == ()


def test_the_broker_starts_while_devices_are_away() -> None:
    with World(line(2)) as world:
        service = world.establish("net", *NET, active=True)
        gone = world.establish("net", ("t1", 2, 10, 10), ("t2", 2, 10, 10), active=True)
        for switch in ("s1", "s2"):
            world.device(switch).down()
        world.restart(die=True)
        service, gone = world.find(service), world.find(gone)
        assert service.status is Status.ACTIVE
        assert {c.kind for c in service.conditions} == {"unconfirmed"}
        world.ask(gone.release(CALLER))
        fresh = world.establish("net", ("t1", 3, 10, 10), ("t2", 3, 10, 10))
        world.pass_time(100)
        assert gone.status is Status.RELEASING
        assert [(c.kind, c.where) for c in gone.conditions] == [("unconfirmed", "s1"), ("unconfirmed", "s2")]
        assert world.aggregator("net").trunk("s1-s2").labels_left == 4091
        for switch in ("s1", "s2"):
            world.device(switch).up()
        world.reach(gone, Status.RELEASED)
        assert world.carries("net", "t1", 1) == {("t2", 1)}
        assert (service.conditions, fresh.conditions) == ((), ())


# -- what is really there -------------------------------------------------------------------------


def test_a_device_that_forgot_is_repaired_when_it_comes_back() -> None:
    with World(line(2)) as world:
        world.establish("net", *NET, active=True)
        world.device("s1").wipe()
        world.rest()
        assert world.carries("net", "t1", 1) == {("t2", 1)}


def test_a_device_that_forgets_in_silence_is_repaired_by_the_audit() -> None:
    with World(one_switch(audit_interval=30)) as world:
        service = world.establish("s1", *AB)
        world.device("s1").fault(forget=True, on="ensure")
        world.activate(service)
        assert world.carries("s1", "a", 1) == set()
        world.pass_time(31)
        assert world.carries("s1", "a", 1) == {("b", 1)}


def test_what_is_right_is_not_touched_and_what_is_strange_stays() -> None:
    with World(one_switch()) as world:
        device = world.device("s1")
        device.stranger("theirs", {Channel("8", 1): TrafficFlow(1, 1), Channel("9", 1): TrafficFlow(1, 1)})
        world.establish("s1", *AB, active=True)
        device.forget_calls()
        world.restart()
        assert device.calls.get("ensure", 0) == 0
        assert device.calls.get("remove", 0) == 0
        assert len(device.holds()) == 1
        assert list(device.strangers) == ["theirs"]


# -- ports ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["keep", "fail"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_dead_port(policy: str, restart: bool) -> None:
    with World(line(2, on_port_down=policy)) as world:
        service = world.establish("net", *NET, active=True)
        world.device("s1").port_down("1")
        world.rest()
        if restart:
            world.restart()
            service = world.find(service)
        assert service.status is (Status.FAILED if policy == "fail" else Status.ACTIVE)
        assert [(c.kind, c.where, c.text) for c in service.conditions] == [("port-down", "s1", "interface 1 is down")]
        if policy == "fail":
            assert service.error is not None
            assert "interface '1'" in service.error.text
        world.device("s1").port_up("1")
        world.rest()
        assert service.status is Status.ACTIVE
        assert (service.conditions, service.error) == ((), None)
        assert world.carries("net", "t1", 1) == {("t2", 1)}


def test_a_dead_port_is_dead_for_every_interface_on_it() -> None:
    names = {"plain": "3", "double": "3x2", "inner": "3.100", "whole": "phys", "far": "4"}
    every = ((0, (1 << 24) - 1),)
    terminals = [Terminal(n, place, labels=every if n == "double" else ((1, 99),)) for n, place in names.items()]
    layout = Layout().switch("s1", *terminals)
    labels = {"plain": 7, "double": (200 << 12) + 7, "inner": 7, "whole": 3}
    with World(layout) as world:
        services = [world.establish("s1", (n, label, 10, 10), ("far", i, 10, 10), active=True)
                    for i, (n, label) in enumerate(labels.items(), 1)]  # fmt: skip
        other = world.establish("s1", ("whole", 5, 10, 10), ("far", 9, 10, 10), active=True)
        world.device("s1").port_down("3")
        world.rest()
        assert [[c.kind for c in service.conditions] for service in services] == [["port-down"]] * 4
        assert other.conditions == ()
        world.device("s1").port_up("3")
        world.rest()
        assert [service.conditions for service in services] == [()] * 4


def test_a_dead_port_does_not_hold_up_other_services_or_a_release() -> None:
    with World(one_switch(on_port_down="fail")) as world:
        service = world.establish("s1", *AB, active=True)
        other = world.establish("s1", ("c", 1, 10, 10), ("d", 1, 10, 10), active=True)
        world.device("s1").port_down("1")
        world.rest()
        assert (service.status, other.status) == (Status.FAILED, Status.ACTIVE)
        assert other.conditions == ()
        world.release(service)
        world.release(other)
        assert world.leftovers() == []


# -- rates that are not enforced ------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["flag", "refuse"])
def test_rates_that_the_fabric_cannot_enforce(policy: str) -> None:
    with World(line(2, unenforced=policy)) as world:
        world.network("s2").fabric.capabilities = frozenset({Capability.METERING})  # type: ignore[attr-defined]
        service = world.ask(world.network("net").create(CALLER, None, Segment.of(*NET)))
        world.reach(service, Status.INACTIVE, Status.DORMANT)
        if policy == "flag":
            assert service.status is Status.INACTIVE
            wanted = Condition("unenforced", "s2", "egress rates are not enforced here")
            assert service.conditions == (wanted,)
        else:
            assert service.status is Status.DORMANT
            assert service.error is not None
            assert "egress" in service.error.text


def test_a_rate_that_is_not_enforced_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    with World(one_switch()) as world:
        world.establish("s1", *AB, active=True)
        device = world.device("s1")

        def told() -> list[Bridge]:
            unlimited = TrafficFlow(10, 10**12)
            return [Bridge(key, dict.fromkeys(held.channels, unlimited)) for key, held in device.holds().items()]

        fabric = world.network("s1").fabric  # type: ignore[attr-defined]
        fabric.capabilities = frozenset({Capability.METERING})
        monkeypatch.setattr(fabric, "bridges", told)
        device.forget_calls()
        world.pass_time(200)
        assert device.calls.get("retain", 0)
        assert device.calls.get("ensure", 0) == 0
        fabric.capabilities = frozenset(Capability)
        world.pass_time(200)
        assert device.calls.get("ensure", 0)


# -- life -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["s1", "net"])
def test_a_life_with_every_turn(network: str) -> None:
    with World(line(2)) as world:
        ends = (("t", 1, 10, 10), ("u", 1, 10, 10)) if network == "s1" else NET
        service = world.create(network)
        segment = Segment.of(*ends)
        for _ in range(2):
            world.ask(service.activate(CALLER))
            assert service.status is Status.DORMANT
            world.ask(service.define(segment, CALLER))
            world.reach(service, Status.ACTIVE)
            assert len(world.carries(network, ends[0][0], 1)) == 1
            for _ in range(2):
                world.ask(service.deactivate(CALLER))
                world.reach(service, Status.INACTIVE)
                assert world.carries(network, ends[0][0], 1) == set()
                world.activate(service)
            world.ask(service.reset(CALLER))
            world.reach(service, Status.DORMANT)
            assert service.segment is None
            world.ask(service.activate(CALLER))
            world.ask(service.deactivate(CALLER))
            world.ask(service.define(segment, CALLER))
            world.reach(service, Status.INACTIVE)
            world.ask(service.reset(CALLER))
            world.reach(service, Status.DORMANT)
        world.release(service)
        assert world.leftovers() == []


@pytest.mark.parametrize("stop", range(0, 60, 3))
@pytest.mark.parametrize("command", ["reset", "release", "deactivate"])
def test_a_command_in_the_middle_of_another_one(stop: int, command: str) -> None:
    """Reset, release or deactivate at any point of a define with an early activate."""
    with World(line(2), steps=True) as world:
        service = world.create("net")
        service.define(Segment.of(*NET), CALLER)
        service.activate(CALLER)
        for _ in range(stop):
            world.runtime.step()  # type: ignore[attr-defined]
        world.ask(getattr(service, command)(CALLER))
        world.reach(
            service, {"reset": Status.DORMANT, "release": Status.RELEASED, "deactivate": Status.INACTIVE}[command]
        )
        assert service.error is None
        assert world.carries("net", "t1", 1) == set()
        if command == "reset":
            assert service.change is Change.NONE
            world.ask(service.define(Segment.of(*NET), CALLER))
            assert world.reach(service, Status.INACTIVE, Status.ACTIVE) is Status.INACTIVE
        if command != "release":
            world.release(service)
        assert world.leftovers() == []


# -- a fault within an algorithm ------------------------------------------------------------------


def test_algorithms_are_warmed_up_when_their_network_starts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, and what goes wrong with it stops nothing."""
    warmed = []

    def warm_up(self: Algorithm) -> None:
        warmed.append(self)
        raise RuntimeError("too cold")

    monkeypatch.setattr(Algorithm, "warm_up", warm_up)
    with World(line(2)) as world:
        assert len(warmed) == 1
        world.release(world.establish("net", *NET))
    assert "network net: algorithm bast failed to warm up" in caplog.text


class FaultyPlanner(Planner):
    """Does what *does* says instead of planning."""

    def __init__(self, does: Callable[[], Any]) -> None:
        self._does = does

    def plan(self, demand: Demand, residual: Residual) -> Outcome:
        return cast(Outcome, self._does())


def slips() -> None:
    raise ValueError("a slip")


@contextmanager
def faulty_algorithm(world: World, network: str, does: Callable[[], Any] = slips) -> Iterator[None]:
    planning = world.network(network).planning()  # type: ignore[attr-defined]
    sound, planning._planner = planning._planner, FaultyPlanner(does)
    try:
        yield
    finally:
        planning._planner = sound


@pytest.mark.parametrize(
    "does",
    [slips, lambda: None, lambda: 7, lambda: Tree((99,)), lambda: Tree(None)],  # type: ignore[arg-type]
)
def test_a_fault_within_an_algorithm_is_told_as_one(does: Callable[[], Any], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever an algorithm does wrong is told as its fault, to a create and to a define; both work again after it."""
    with World(triangle()) as world:
        service = world.create("net")
        with faulty_algorithm(world, "net", does):
            with pytest.raises(PlanInvalid, match="bast"):
                world.ask(world.network("net").create(CALLER, "mine", Segment.of(*NET)))
            with pytest.raises(PlanInvalid, match="bast"):
                world.ask(service.define(Segment.of(*NET), CALLER))
        if does is slips:
            assert "net: a fault within algorithm 'bast'\nTraceback" in caplog.text
        assert service.status is Status.DORMANT
        assert [found.id for found in world.network("net").services()] == [service.id]
        world.ask(service.define(Segment.of(*NET), CALLER))
        world.reach(service, Status.INACTIVE)
        world.release(service)
        assert world.establish("net", *NET, handle="mine").id == service.id + 1
        world.release(world.ask(world.network("net").find("mine")))  # type: ignore[arg-type]
        assert world.leftovers() == []


def test_a_fault_within_an_inferiors_algorithm_ends_the_define_and_holds_nothing() -> None:
    """The superior's service does not wait for ever: it is DORMANT with that error, and can be released."""
    with World(two_levels()) as world:
        with faulty_algorithm(world, "east"):
            service = world.ask(world.network("top").create(CALLER, None, Segment.of(*AB)))
            world.pass_time(60)
        assert service.status is Status.DORMANT
        assert code(service) == "plan-invalid"
        world.release(service)
        assert world.leftovers() == []


def test_a_fault_within_an_algorithm_does_not_leave_other_services_waiting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of several services whose inferior never answers is given up, though planning another way fails for all."""
    with World(ring(4), lines=("s2",)) as world:
        net = world.network("net")
        monkeypatch.setattr(DistantNetwork, "create", lambda *_: Reply())
        services = [
            world.ask(net.create(CALLER, None, Segment.of(("t1", label, 10, 10), ("t3", label, 10, 10))))
            for label in (5, 6, 7)
        ]
        assert {service.status for service in services} == {Status.ESTABLISHING}
        with faulty_algorithm(world, "net"):
            world.pass_time(60)
        assert [service.status for service in services] == [Status.DORMANT] * 3
        assert [code(service) for service in services] == ["unreachable"] * 3
        assert all(f"net: service {service.id} is not planned again: " in caplog.text for service in services)
        monkeypatch.undo()
        world.establish("net", *NET)


# -- a fault within whoever watches ---------------------------------------------------------------


@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("network", ["s1", "net"])
def test_a_faulty_watcher_stops_neither_commands_nor_other_watchers(network: str, steps: bool) -> None:
    """Commands that were kept are answered, waits end, whoever watches besides is told."""
    with World(line(2), steps=steps) as world:
        service = world.create(network)
        told: list[Status] = []

        def faulty(_: object) -> None:
            raise ValueError("a slip")

        service.watch(faulty)
        service.watch(lambda seen: told.append(seen.status))
        ends = (("t", 1, 10, 10), ("u", 1, 10, 10)) if network == "s1" else NET
        replies = [
            service.define(Segment.of(*ends), CALLER),
            service.activate(CALLER),
            service.deactivate(CALLER),
            service.activate(CALLER),
        ]
        for reply in replies:
            world.ask(reply)
        world.reach(service, Status.ACTIVE)
        world.release(service)
        assert told[-1] is Status.RELEASED
        assert world.leftovers() == []


def test_watches_that_come_and_go_in_many_threads_disturb_no_other() -> None:
    """Who watches is told, who has stopped is not, however many begin and stop at the same time."""
    with World(one_switch()) as world:
        network, service = world.network("s1"), world.create("s1")
        kept: list[int] = []
        gone: list[int] = []

        def come_and_go(thread: int) -> None:
            network.watch(lambda _: kept.append(thread))
            service.watch(lambda _: kept.append(thread + 10))
            for _ in range(2000):
                stops = network.watch(lambda _: gone.append(thread)), service.watch(lambda _: gone.append(thread))
                for stop in stops:
                    stop()

        in_threads(*(partial(come_and_go, thread) for thread in range(3)))
        world.ask(service.define(Segment.of(*AB), CALLER))
        world.rest()
        assert set(kept) == {0, 1, 2, 10, 11, 12}
        assert gone == []


def in_threads(*tasks: Callable[[], None]) -> None:
    """Run the tasks at the same time, with the interpreter changing between them as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(len(tasks)) as pool:
            for done in [pool.submit(task) for task in tasks]:
                done.result()
    finally:
        sys.setswitchinterval(before)


def test_trunks_and_tunnels_are_read_while_services_come_and_go() -> None:
    """Reading in another thread never fails because of what changes meanwhile."""
    with World(triangle(), runtime=Runtime) as world:
        net = world.network("net")
        for label in range(1, 101):
            world.ask(net.create(CALLER, None, Segment.of(("t1", label, 1, 1), ("t2", label, 1, 1))))
        over = threading.Event()

        def change() -> None:
            try:
                for label in range(200, 250):
                    segment = Segment.of(("t1", label, 1, 1), ("t2", label, 1, 1))
                    world.ask(world.ask(net.create(CALLER, None, segment)).release(CALLER))
            finally:
                over.set()

        def read() -> None:
            while not over.is_set():
                assert [use.trunk.name for use in world.aggregator("net").trunks()] == ["s1-s2", "s2-s3", "s3-s1"]
                for service in net.services()[-3:]:
                    service.tunnels()  # type: ignore[attr-defined]

        in_threads(change, read)


# -- commits that fail in between -----------------------------------------------------------------


@pytest.mark.parametrize("when", ["giving up", "reset"])
def test_a_define_is_given_up_though_a_commit_failed_meanwhile(when: str) -> None:
    """The clock goes on after a commit that failed: the service does not stay ESTABLISHING for ever."""
    with World(triangle(), lines=("s1",)) as world:
        world.lines["s1"].cut()
        service = world.ask(world.network("net").create(CALLER, None, Segment.of(*NET)))
        world.rest()
        if when == "reset":
            world.store.fail_next()
            with pytest.raises(CommitFailed):
                world.ask(service.reset(CALLER))
        else:
            world.pass_time(9.9)
            world.store.fail_next()
            world.pass_time(0.2)
        assert service.status is Status.ESTABLISHING
        world.pass_time(60)
        assert service.status is Status.DORMANT
        assert code(service) == "unreachable"
        world.lines["s1"].mend()
        world.pass_time(60)
        world.release(service)
        assert world.leftovers() == []


@pytest.mark.parametrize("restart", [False, True])
def test_a_refusal_that_comes_while_a_reset_is_not_kept_is_still_healed(restart: bool) -> None:
    """The service stays as it was, FAILED and wanted ACTIVE, and is tried again; a restart finds it so."""
    with World(one_switch(), steps=True) as world:
        service = world.establish("s1", *AB)
        fabric = world.network("s1").fabric  # type: ignore[attr-defined]
        sound, resets = fabric.ensure, list[Reply[None]]()

        def refuse(_: object) -> None:
            if service.status is Status.FAILED and not resets:  # a further try is under way
                world.store.fail_next()
                resets.append(service.reset(CALLER))
            raise FabricRefused("s1", "table full")

        fabric.ensure = refuse
        world.ask(service.activate(CALLER))
        world.until(lambda: bool(resets))
        with pytest.raises(CommitFailed):
            world.ask(resets[0])
        world.rest()
        assert (service.status, service.desired) == (Status.FAILED, Desired.ACTIVE)
        assert service.segment is not None
        assert code(service) == "fabric-refused"
        if restart:
            world.restart(die=True)
            service = world.find(service)
        else:
            fabric.ensure = sound
        world.until(lambda: service.status is Status.ACTIVE, 120)
        assert service.status is Status.ACTIVE
        assert service.segment is not None
        assert world.carries("s1", "a", 1) == {("b", 1)}


@pytest.mark.parametrize("command", ["deactivate", "reset", "release"])
def test_traffic_goes_on_through_an_audit_while_a_command_is_not_kept(command: str) -> None:
    """What is not durably decided is not acted on: not even by a comparison with the device that falls in between."""
    with World(one_switch(), steps=True) as world:
        service = world.establish("s1", *AB, active=True)
        world.store.fail_next()
        reply = getattr(service, command)(CALLER)
        world.network("s1").contact.reconcile()  # type: ignore[attr-defined]
        while world.runtime.step():  # type: ignore[attr-defined]
            assert world.carries("s1", "a", 1) == {("b", 1)}
        with pytest.raises(CommitFailed):
            world.ask(reply)
        assert service.status is Status.ACTIVE
        world.release(service)
        assert world.leftovers() == []


def test_no_handle_at_an_inferior_is_used_again_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many defines were not kept: what is asked of an inferior later is never taken for something old."""
    asked: dict[tuple[str, str], set[int]] = {}
    life, create = 1, Switch.create

    def noting(self: Switch, caller: Caller, handle: str | None = None, segment: Segment | None = None) -> Any:
        if handle is not None:
            asked.setdefault((self.name, handle), set()).add(life)
        return create(self, caller, handle, segment)

    monkeypatch.setattr(Switch, "create", noting)
    with World(line(2)) as world:
        service, segment = world.create("net"), Segment.of(*NET)

        def define_and_reset() -> None:
            world.ask(service.define(segment, CALLER))
            world.reach(service, Status.INACTIVE)
            world.ask(service.reset(CALLER))
            world.reach(service, Status.DORMANT)

        world.store.fail()
        for _ in range(30):
            with pytest.raises(CommitFailed):
                world.ask(service.define(segment, CALLER))
        world.store.fail(False)
        define_and_reset()
        world.restart()
        life, service = 2, world.find(service)
        for _ in range(30):
            define_and_reset()
    assert len(asked) >= 62
    assert [key for key, lives in asked.items() if len(lives) > 1] == []


# -- inferiors that refuse or were away -----------------------------------------------------------


def test_a_removal_that_an_inferior_refuses_is_asked_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not asked again in the same instant, time and again; once it is granted, nothing is left."""
    asked = 0

    def refuse(self: SwitchService, caller: Caller) -> Reply[None]:
        nonlocal asked
        asked += 1
        return Reply.failed(Refused("the token has expired")) if asked < 1000 else Reply()

    with World(triangle()) as world:
        service = world.establish("net", *NET)
        monkeypatch.setattr(SwitchService, "release", refuse)
        world.ask(service.release(CALLER))
        world.rest()
        assert asked == 2, "once for each inferior"
        world.pass_time(30)
        assert 2 < asked < 100
        assert service.status is Status.RELEASING
        monkeypatch.undo()
        world.reach(service, Status.RELEASED, seconds=300)
        assert world.leftovers() == []


def test_an_inferior_that_is_back_is_asked_at_once() -> None:
    with World(two_levels(), lines=["west"]) as world:
        line = world.lines["west"]
        line.cut()
        service = world.ask(world.network("top").create(CALLER, None, Segment.of(("a", 1, 10, 10), ("c", 1, 10, 10))))
        world.pass_time(8)  # by now it waits for seconds before each further try
        assert service.status is Status.ESTABLISHING
        line.mend()
        world.rest()
        assert service.status is Status.INACTIVE


def test_what_was_last_known_of_an_inferior_is_shown_until_it_is_reached() -> None:
    with World(two_levels(), lines=["west"]) as world:
        top = world.network("top")
        world.establish("top", ("a", 1, 10, 10), ("c", 1, 10, 10))
        shown = top.model()
        distant = top.inferior("west")  # type: ignore[attr-defined]
        assert isinstance(distant, DistantNetwork)
        distant.frozen = NetworkModel()  # as of a network that was not reached since the start
        assert top.model() == shown
        world.establish("top", ("a", 2, 10, 10), ("c", 2, 10, 10))


def test_a_service_that_an_inferior_forgot_is_not_told_as_sure_until_it_is_made_again() -> None:
    with World(two_levels(), steps=True) as world:
        service = world.establish("top", ("a", 1, 10, 10), ("c", 1, 10, 10), active=True)
        (old,) = world.network("west").services()
        old.release(SYSTEM)
        runtime, unsure = world.runtime, 0

        def made_again() -> bool:
            return any(s.id != old.id and s.status is Status.ACTIVE for s in world.network("west").services())

        while not made_again():
            if not (isinstance(runtime, ManualRuntime) and runtime.step()):
                world.pass_time(0.05)
            if any(s.id != old.id for s in world.network("west").services()) and not made_again():
                unsure += 1
                assert service.status is not Status.ACTIVE or service.conditions
        assert unsure, "it was seen in between"
        world.until(lambda: not service.conditions)
        assert world.carries("top", "a", 1) == {("c", 1)}


def test_what_is_left_at_an_inferior_that_was_away_is_released_when_it_is_back() -> None:
    """Without another restart: the broker looks again for services of its own that it knows nothing of."""
    with World(two_levels(), lines=("east",)) as world:
        prefix = world.network("top").prefix  # type: ignore[attr-defined]
        world.ask(world.network("east").create(SYSTEM, f"{prefix}99/1/0", Segment.of(*AB)))
        world.lines["east"].cut()
        world.restart()
        world.pass_time(300)
        assert len(world.network("east").services(prefix)) == 1
        world.lines["east"].mend()
        world.pass_time(300)
        assert world.network("east").services(prefix) == []
        assert world.leftovers() == []


@pytest.mark.parametrize(
    "fails",
    [
        False,
        True,
    ],
)
def test_an_inferiors_new_terminal_is_kept_for_a_restart(fails: bool) -> None:
    """What is known of an inferior's shape is stored with the next service that is kept."""
    with World(two_levels()) as world:

        def stored() -> set[str]:
            records = world.store.load().tables[ModelRecord]
            models = {r.inferior: r.model for r in records if isinstance(r, ModelRecord) and r.network == "top"}
            return {name for fragment in models["east"].fragments for name in fragment.terminals}

        world.establish("top", ("a", 1, 10, 10), ("d", 1, 10, 10))
        assert stored() == {"a", "b", "x", "y", "z"}
        world.ask(world.switch("e1").put_terminal(Terminal("new", "99"), CALLER))
        world.ask(world.switch("east").put_terminal(Terminal("new", "e1:new"), CALLER))
        if fails:
            world.store.fail_next()
            with pytest.raises(CommitFailed):
                world.establish("top", ("a", 2, 10, 10), ("d", 2, 10, 10))
        world.establish("top", ("a", 2, 10, 10), ("d", 2, 10, 10))
        assert stored() == {"a", "b", "new", "x", "y", "z"}


# -- a store and a configuration that do not agree ------------------------------------------------


def test_a_network_that_is_stored_and_not_configured_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """A warning names it and health is degraded, until it is configured again; its services are still there then."""
    layout = line(2)
    with World(layout) as world:
        service = world.establish("net", *NET, active=True)
        assert world.broker.health()["status"] == "ok"
        world.stop()
        settings = layout.networks.pop("net")
        world.start()
        world.rest()
        assert any(r.levelno == logging.WARNING and "'net'" in r.getMessage() for r in caplog.records)
        health = world.broker.health()
        assert (health["status"], list(health["not-configured"])) == ("degraded", ["net"])
        layout.networks["net"] = settings
        world.restart()
        assert world.broker.health()["status"] == "ok"
        assert "not-configured" not in world.broker.health()
        assert world.find(service).status is Status.ACTIVE


def test_an_inferior_cannot_be_taken_out_while_services_use_it() -> None:
    """The broker does not start, and tells which service of which network uses what; put back, all is as it was."""
    layout = line(2)
    with World(layout) as world:
        service = world.establish("net", *NET, active=True)
        world.stop()
        inferiors = layout.networks["net"]["inferiors"]
        layout.networks["net"]["inferiors"] = ["s1"]
        with pytest.raises(ConfigInvalid) as caught:
            world.start()
        assert caught.value.path == "$.network[2].inferiors"
        assert f"service {service.id} of network 'net' uses 's2'" in caught.value.problem
        layout.networks["net"]["inferiors"] = inferiors
        world.start()
        world.rest()
        assert world.find(service).status is Status.ACTIVE
        assert world.carries("net", "t1", 1) == {("t2", 1)}


# -- waiting --------------------------------------------------------------------------------------


def test_waits_that_were_abandoned_are_forgotten() -> None:
    """Waiting with a long patience and giving up, time and again, leaves nothing; who still waits is answered."""
    with World(one_switch(on_port_down="fail"), runtime=Runtime) as world:
        service = world.establish("s1", *AB, active=True)
        patient = service.wait({Status.FAILED}, 3600)
        for _ in range(1000):
            service.wait({Status.FAILED}, 3600).abandon()
        world.until(lambda: len(service._waiters) == 1)  # type: ignore[attr-defined]
        assert len(world.runtime._timers._heap) < 200
        assert not patient.settled
        world.device("s1").port_down("1")
        assert world.ask(patient) is Status.FAILED


# -- a fault within an adaptor --------------------------------------------------------------------


@pytest.mark.parametrize("call", ["ensure", "bridges"])
def test_a_fault_within_a_fabric_is_told_with_its_kind_and_logged_with_its_place(
    call: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def slip(*_: object) -> None:
        raise KeyError("bug")

    with World(one_switch()) as world:
        service = world.establish("s1", *AB)
        monkeypatch.setattr(EmulatedFabric, call, slip)
        if call == "ensure":
            world.ask(service.activate(CALLER))
            world.until(lambda: service.status is Status.FAILED)
            assert "internal fault: KeyError: 'bug'" in str(service.error)
        else:
            world.switch("s1").contact.reconcile()  # type: ignore[attr-defined]  # of the kernel's own kind
            world.until(lambda: "contact lost: internal fault: KeyError: 'bug'" in caplog.text)
        assert "s1: a fault within the fabric\nTraceback" in caplog.text
        monkeypatch.undo()
        world.pass_time(1)
        world.reach(service, Status.ACTIVE if call == "ensure" else Status.INACTIVE)
