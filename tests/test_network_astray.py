"""Levels that disagree, after one of them was restored from a backup or because one lies: they are put right."""

from __future__ import annotations

import pytest

from dpb_framework.contracts import Service
from dpb_framework.errors import NoCapacity
from dpb_framework.model import SYSTEM, Change, Segment, Status
from dpb_framework.testing.layout import Layout
from dpb_framework.testing.world import CALLER, World, line, two_levels

NET = (("t1", 1, 10, 10), ("t2", 1, 10, 10))
AB = (("a", 1, 10, 10), ("b", 1, 10, 10))


def rates(segment: Segment | None, rate: int) -> Segment:
    """The same segment with another rate everywhere."""
    assert segment is not None
    return Segment.of(*((end.circuit.terminal, end.circuit.label, rate, rate) for end in segment.ends))


def changed_unseen(world: World, inferior: str, rate: int) -> Service:
    """Give the inferior's first service another rate, as it had when its backup was made."""
    world.lines[inferior].cut()
    service = world.network(inferior).service(1)
    assert service.segment is not None
    world.change(service, *((e.circuit.terminal, e.circuit.label, rate, rate) for e in service.segment.ends))
    return service


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("restart", [True, False])
def test_a_segment_that_differs_below_is_changed_back(
    active: bool, restart: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The inferior goes on carrying meanwhile: it is changed without interruption."""
    with World(line(2), lines=("s1",)) as world:
        service = world.establish("net", *NET, active=active)
        below = changed_unseen(world, "s1", 99)
        if restart:
            world.restart()
            service, below = world.find(service), world.find(below)
        world.lines["s1"].mend()
        world.until(lambda: below.change is Change.NONE and below.segment == rates(below.segment, 10))
        assert "has another segment in 's1' than it should, and is changed" in caplog.text
        world.until(lambda: service.conditions == ())
        assert service.status is (Status.ACTIVE if active else Status.INACTIVE)
        world.release(service)
        assert world.leftovers() == []


def test_a_segment_that_differs_is_changed_back_through_all_levels() -> None:
    with World(two_levels(), lines=("east",)) as world:
        service = world.establish("top", *AB, active=True)
        below = [found for name in ("e1", "e2") for found in world.network(name).services()]
        before = [found.segment for found in below]
        assert before
        changed_unseen(world, "east", 99)
        assert [found.segment for found in below] != before
        world.lines["east"].mend()
        world.until(lambda: [found.segment for found in below] == before)
        world.until(lambda: service.conditions == () and service.status is Status.ACTIVE)
        world.release(service)
        assert world.leftovers() == []


def test_what_failed_below_with_another_segment_is_made_anew() -> None:
    """What is FAILED cannot be changed."""
    with World(line(2, on_port_down="fail"), lines=("s1",)) as world:
        service = world.establish("net", *NET, active=True)
        below = changed_unseen(world, "s1", 99)
        world.device("s1").port_down("1")
        world.until(lambda: below.status is Status.FAILED)
        world.lines["s1"].mend()
        world.until(lambda: below.status is Status.FAILED and below.segment == rates(below.segment, 10))
        world.device("s1").port_up("1")
        world.until(lambda: service.status is Status.ACTIVE and service.conditions == ())
        world.release(service)
        assert world.leftovers() == []


def test_a_handle_that_an_earlier_life_has_used_is_not_taken_for_ours() -> None:
    """A superior that was restored from a backup uses its ids again, while inferiors still hold what had them."""
    with World(line(2), lines=("s1",)) as world:
        net, below = world.network("net"), world.network("s1")
        world.lines["s1"].mute()  # what it answers is lost: it is looked for again
        handle = f"{net.prefix}1/1/0"  # type: ignore[attr-defined]  # of the kernel's own kind
        old = world.ask(below.create(SYSTEM, handle, Segment.of(("t", 77, 5, 5), ("u", 77, 5, 5))))
        service = world.ask(net.create(CALLER, None, Segment.of(*NET)))
        world.rest()
        world.lines["s1"].mend()
        world.reach(service, Status.INACTIVE)
        labels = [[e.circuit.label for e in s.segment.ends] for s in below.services() if s.segment is not None]
        assert [1 in found for found in labels] == [True], "nothing of what was there before"
        world.activate(service)
        assert world.carries("net", "t1", 1) == {("t2", 1)}
        world.release(service)
        world.until(lambda: old.status is Status.RELEASED)
        assert world.leftovers() == []


def test_a_part_in_the_wrong_inferior_is_released_there() -> None:
    """Two inferiors changed places for a while: what was made meanwhile has a handle that is known, but not there."""
    with World(line(2)) as world:
        net, other = world.network("net"), world.network("s2")
        service = world.establish("net", *NET, active=True)
        (handle,) = [found.handle for found in world.network("s1").services()]
        misplaced = world.ask(other.create(SYSTEM, handle, Segment.of(("t", 60, 5, 5), ("u", 60, 5, 5))))
        world.pass_time(120)
        world.until(lambda: misplaced.status is Status.RELEASED)
        assert service.status is Status.ACTIVE
        assert net.service(service.id).conditions == ()
        world.release(service)
        assert world.leftovers() == []


@pytest.mark.parametrize("rate", [6000, 4001, 9000])
def test_a_change_counts_what_the_service_holds_itself_within_an_inferior(rate: int) -> None:
    """An inferior that shows chords shows what is left there, without what the service has already."""
    layout = Layout()
    for switch in ("e1", "e2"):
        layout.switch(switch, "a", "b")
    layout.switch("w1", "a", "b")
    layout.aggregator("east", ("e1", "e2"), {"a": "e1:a", "x": "e2:b"})
    layout.trunk("east", "e1:to", "e2:to", 10_000, name="inner")
    layout.aggregator("top", ("east", "w1"), {"a": "east:a", "c": "w1:a"})
    layout.trunk("top", "east:x", "w1:b", 10_000, name="outer")
    with World(layout) as world:
        service = world.establish("top", ("a", 1, 6000, 6000), ("c", 1, 6000, 6000), active=True)
        world.change(service, ("a", 1, rate, rate), ("c", 1, rate, rate))
        assert world.aggregator("east").trunk("inner").upstream_left == 10_000 - rate
        with pytest.raises(NoCapacity):
            world.change(service, ("a", 1, 10_001, 10), ("c", 1, 10, 10_001))
        assert service.segment is not None
        assert service.segment.ends[0].flow.ingress == rate
        world.release(service)
        assert world.leftovers() == []
