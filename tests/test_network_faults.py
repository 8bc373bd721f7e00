"""Devices that refuse, forget, or are away; dead ports; what is not enforced."""

from __future__ import annotations

import pytest

from dpb_framework.contracts import Capability, Channel
from dpb_framework.model import Change, Condition, Segment, Status, TrafficFlow
from dpb_framework.testing.world import CALLER, World, line, one_switch, two_levels

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
