"""Faults that the state machine of the broker found, each by its shortest script."""

from __future__ import annotations

import pytest

from dpb_framework.errors import CircuitTaken, CommitFailed, ServiceLogic
from dpb_framework.model import Circuit, Desired, Segment, Status
from dpb_framework.testing.layout import Layout
from dpb_framework.testing.world import CALLER, World, line, one_switch, triangle


def test_an_aborted_change_of_a_switch_gives_its_circuits_back() -> None:
    with World(one_switch()) as world:
        service = world.establish("s1", ("a", 1, 10, 10), ("b", 1, 10, 10))
        world.ask(service.prepare(Segment.of(("a", 1, 10, 10), ("c", 7, 10, 10)), CALLER))
        world.ask(service.abort(CALLER))
        world.rest()
        other = world.establish("s1", ("c", 7, 10, 10), ("d", 7, 10, 10))
        assert other.segment is not None
        assert Circuit("c", 7) in {end.circuit for end in other.segment.ends}


def test_a_service_with_a_prepared_change_is_activated_and_deactivated() -> None:
    with World(triangle()) as world:
        service = world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10))
        world.ask(service.prepare(Segment.of(("t1", 1, 20, 20), ("t2", 1, 20, 20)), CALLER))
        world.activate(service)
        world.ask(service.deactivate(CALLER))
        world.reach(service, Status.INACTIVE)
        world.ask(service.commit(CALLER))
        world.activate(service)
        assert world.carries("net", "t1", 1) == {("t2", 1)}


def test_a_define_that_fails_after_a_crankback_gives_its_circuits_back() -> None:
    layout = Layout().switch("s1", "t", "u").switch("s2", "t")
    layout.aggregator("net", ("s1", "s2"), {"t1": "s1:t", "u1": "s1:u", "t2": "s2:t"})
    layout.trunk("net", "s1:x", "s2:x", labels=((1, 1, 1),))
    with World(layout) as world:
        world.establish("s1", ("x", 1, 10, 10), ("u", 9, 10, 10))  # a stranger has the trunk's only label
        service = world.ask(world.network("net").create(CALLER, None, Segment.of(("t1", 1, 10, 10), ("t2", 1, 10, 10))))
        world.reach(service, Status.DORMANT)
        assert service.error is not None
        assert service.error.code == "no-capacity"
        world.establish("net", ("t1", 1, 10, 10), ("u1", 1, 10, 10))


def test_a_define_that_failed_out_of_contact_leaves_no_condition() -> None:
    with World(triangle(), lines=("s1",)) as world:
        world.lines["s1"].cut()
        service = world.ask(world.network("net").create(CALLER, None, Segment.of(("t1", 1, 10, 10), ("t2", 1, 10, 10))))
        world.reach(service, Status.DORMANT)
        world.lines["s1"].mend()
        world.pass_time(20)
        assert service.conditions == ()


def test_a_restart_with_a_prepared_change_leaves_no_condition() -> None:
    with World(triangle()) as world:
        service = world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10), active=True)
        world.ask(service.prepare(Segment.of(("t1", 1, 20, 20), ("t3", 1, 20, 20)), CALLER))
        world.restart(die=True)
        assert world.find(service).conditions == ()


def test_contact_is_confirmed_when_only_an_answer_was_lost() -> None:
    with World(triangle(), lines=("s1",)) as world:
        service = world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10), active=True)
        world.lines["s1"].mute()
        world.ask(service.deactivate(CALLER))
        world.pass_time(30)
        world.lines["s1"].mend()
        world.pass_time(60)
        assert service.status is Status.INACTIVE
        assert service.conditions == ()


def test_a_refused_define_forgets_the_remembered_activate_before_it_answers() -> None:
    """After a crash right behind the answer nothing is left of an activate that the answer says is forgotten."""
    with World(line(2), steps=True) as world:
        world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10))
        service = world.create("net")
        world.ask(service.activate(CALLER))
        with pytest.raises(CircuitTaken):
            world.ask(service.define(Segment.of(("t1", 1, 10, 10), ("t2", 2, 10, 10)), CALLER))
        world.restart(die=True)
        found = world.find(service)
        assert found.error is not None
        world.ask(found.define(Segment.of(("t1", 3, 10, 10), ("t2", 3, 10, 10)), CALLER))
        assert world.reach(found, Status.INACTIVE, Status.ACTIVE) is Status.INACTIVE


def test_what_is_not_kept_yet_is_not_told() -> None:
    """A status that a failing store takes back was never seen."""
    with World(line(2), steps=True) as world:
        service = world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10))
        world.store.fail_next()
        reply = service.activate(CALLER)
        seen = set()
        while not reply.settled:
            seen.add((service.status, service.view().status, service.desired))
            world.runtime.step()
        assert isinstance(reply.error, CommitFailed)
        assert seen == {(Status.INACTIVE, Status.INACTIVE, Desired.INACTIVE)}
        world.activate(service)


@pytest.mark.parametrize("defined", [False, True])
def test_the_handle_of_a_service_that_is_being_released_is_not_free_yet(defined: bool) -> None:
    with World(line(2), steps=True) as world:
        net = world.network("net")
        ends = Segment.of(("t1", 1, 10, 10), ("t2", 1, 10, 10))
        service = world.ask(net.create(CALLER, "mine", ends))
        world.reach(service, Status.INACTIVE)
        released = service.release(CALLER)
        refused = net.create(CALLER, "mine", ends if defined else None)
        world.ask(released)
        with pytest.raises(ServiceLogic, match="its handle 'mine' is free again when it is RELEASED"):
            world.ask(refused)
        world.reach(service, Status.RELEASED)
        assert world.ask(net.create(CALLER, "mine", ends)).id != service.id
