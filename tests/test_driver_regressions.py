"""Faults that the state machine of the broker found, each by its shortest script."""

from __future__ import annotations

from dpb_framework.model import Circuit, Segment, Status
from dpb_framework.testing.world import CALLER, World, one_switch, triangle


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
