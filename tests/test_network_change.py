"""Change without interruption: what is held, what frames see, what is left when it is refused or given up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve

from dpb_framework.contracts import Service
from dpb_framework.errors import CircuitTaken, DpbError, NoCapacity, QuotaExceeded, ServiceLogic
from dpb_framework.model import Change, Segment, Status, Terminal, Tunnel
from dpb_framework.reply import Reply
from dpb_framework.testing.world import CALLER, World, line, triangle, two_levels

End = tuple[str, int | None, int, int]


def both(rate: int, *terminals: str, label: int = 1) -> tuple[End, ...]:
    return tuple((terminal, label, rate, rate) for terminal in terminals)


def left(world: World, trunk: str, network: str = "net") -> tuple[int, int, int]:
    use = world.aggregator(network).trunk(trunk)
    return use.upstream_left, use.downstream_left, use.labels_left


def prepare(world: World, service: Service, *ends: End) -> None:
    world.ask(service.prepare(Segment.of(*ends), CALLER))


# -- what is held ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), [(300_000, 700_000), (700_000, 300_000), (600_000, 600_000)])
def test_a_shared_trunk_holds_the_larger_never_the_sum(old: int, new: int) -> None:
    with World(line(2)) as world:
        service = world.establish("net", *both(old, "t1", "t2"), active=True)
        (tunnel,) = world.aggregator("net").tree(service.id)
        prepare(world, service, *both(new, "t1", "t2"))
        assert service.change is Change.PREPARED
        larger = 1_000_000 - max(old, new)
        assert left(world, "s1-s2") == (larger, larger, 4093)
        assert Segment.of(*both(old, "t1", "t2")).same_as(service.segment), "nothing is changed yet"
        world.ask(service.commit(CALLER))
        world.until(lambda: service.change is Change.NONE)
        assert Segment.of(*both(new, "t1", "t2")).same_as(service.segment)
        assert left(world, "s1-s2") == (1_000_000 - new, 1_000_000 - new, 4093)
        assert world.aggregator("net").tree(service.id) == (Tunnel("s1-s2", tunnel.label, new, new),)
        assert world.carries("net", "t1", 1) == {("t2", 1)}
        world.release(service)
        assert world.leftovers() == []


def test_the_bandwidth_of_each_direction_is_the_larger_of_its_own() -> None:
    with World(line(2)) as world:
        service = world.establish("net", ("t1", 1, 800_000, 100_000), ("t2", 1, 100_000, 800_000))
        prepare(world, service, ("t1", 1, 100_000, 800_000), ("t2", 1, 800_000, 100_000))
        assert left(world, "s1-s2") == (200_000, 200_000, 4093)
        world.ask(service.abort(CALLER))
        world.until(lambda: service.change is Change.NONE)
        assert left(world, "s1-s2") == (200_000, 900_000, 4093)


def test_quotas_count_the_larger() -> None:
    layout = line(2)
    layout.terminals[0] = ("s1", Terminal("t", "1", ingress_quota=100))
    with World(layout) as world:
        service = world.establish("net", ("t1", 1, 60, 10), ("t2", 1, 10, 60))
        prepare(world, service, ("t1", 1, 90, 10), ("t2", 1, 10, 90))
        with pytest.raises(QuotaExceeded) as caught:
            world.establish("s1", ("t", 2, 11, 10), ("u", 2, 10, 10))
        assert caught.value.left == 10
        world.ask(service.abort(CALLER))
        world.until(lambda: service.change is Change.NONE)
        world.establish("s1", ("t", 2, 40, 10), ("u", 2, 10, 10))


def test_circuits_of_old_and_new_are_held_until_all_is_done() -> None:
    with World(line(2)) as world:
        service = world.establish("net", *both(10, "t1", "t2"), active=True)
        prepare(world, service, *both(10, "t1", "u2"))
        for terminal in ("t2", "u2"):
            with pytest.raises(CircuitTaken):
                world.establish("net", (terminal, 1, 10, 10), ("u1", None, 10, 10))
        world.ask(service.commit(CALLER))
        world.until(lambda: service.change is Change.NONE)
        world.rest()
        world.establish("net", ("t2", 1, 10, 10), ("u1", None, 10, 10))


# -- what frames see ------------------------------------------------------------------------------


def watched_change(world: World, service: Service, ends: tuple[End, ...], stays: tuple[str, str]) -> None:
    """Change step by step; after each step frames still pass between the two terminals that stay."""
    here, there = stays

    def step_until(holds: Callable[[], bool]) -> None:
        while not holds():
            if not world.runtime.step():  # type: ignore[attr-defined]
                world.pass_time(0.1)
            assert (there, 1) in world.carries("net", here, 1)

    prepared = service.prepare(Segment.of(*ends), CALLER)
    step_until(lambda: prepared.settled)
    before = world.carries("net", here, 1)
    committed = service.commit(CALLER)
    assert world.carries("net", here, 1) == before, "preparing touches no traffic"
    step_until(lambda: committed.settled and service.change is Change.NONE)
    world.rest()
    assert service.status is Status.ACTIVE
    assert world.carries("net", here, 1) == {(end[0], end[1]) for end in ends if end[0] != here}


def test_growth_from_two_to_four_ends_and_back() -> None:
    with World(line(3), steps=True) as world:
        service = world.establish("net", *both(10, "t1", "t2"), active=True)
        watched_change(world, service, both(10, "t1", "t2", "t3", "u3"), ("t1", "t2"))
        watched_change(world, service, both(10, "t1", "t3", "t2"), ("t1", "t2"))
        watched_change(world, service, both(20, "t1", "t3"), ("t1", "t3"))
        assert len(world.device("s3").holds()) == 1
        world.release(service)
        assert world.leftovers() == []


def test_an_end_moves_to_another_switch_while_others_go_on() -> None:
    with World(line(3), steps=True) as world:
        service = world.establish("net", *both(10, "t1", "u1", "t2"), active=True)
        watched_change(world, service, both(10, "t1", "u1", "t3"), ("t1", "u1"))
        watched_change(world, service, both(10, "t1", "u1"), ("t1", "u1"))
        assert world.device("s2").holds() == {}
        assert left(world, "s1-s2") == (1_000_000, 1_000_000, 4094)


def test_a_change_of_an_inactive_service_lets_no_traffic_pass() -> None:
    with World(line(3)) as world:
        service = world.establish("net", *both(10, "t1", "t2"))
        world.change(service, *both(10, "t1", "t2", "t3"))
        assert service.status is Status.INACTIVE
        assert world.carries("net", "t1", 1) == set()
        world.activate(service)
        assert world.carries("net", "t1", 1) == {("t2", 1), ("t3", 1)}


def test_through_two_levels() -> None:
    with World(two_levels()) as world:
        service = world.establish("top", *both(10, "a", "c"), active=True)
        world.change(service, *both(20, "a", "b", "c", "d"))
        world.rest()
        assert world.carries("top", "a", 1) == {("b", 1), ("c", 1), ("d", 1)}
        world.change(service, *both(5, "b", "d"))
        world.rest()
        assert world.carries("top", "b", 1) == {("d", 1)}
        assert world.carries("top", "a", 1) == set()
        world.release(service)
        assert world.leftovers() == []


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "error"),
    [
        (both(1_000_001, "t1", "t2"), NoCapacity),
        (both(10, "t1", "t2", label=7), CircuitTaken),
    ],
)
def test_a_change_that_is_refused_at_once_leaves_the_old(ends: tuple[End, ...], error: type[DpbError]) -> None:
    with World(line(2)) as world:
        world.establish("net", *both(10, "t1", "t2", label=7))
        service = world.establish("net", *both(10, "t1", "t2"), active=True)
        before = (service.view(), left(world, "s1-s2"))
        with pytest.raises(error):
            prepare(world, service, *ends)
        assert evolve(service.view(), error=None) == before[0]
        assert left(world, "s1-s2") == before[1]
        assert world.carries("net", "t1", 1) == {("t2", 1)}


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("ends", [both(20, "a", "c", label=7), both(20, "a", "b", "c", "d", label=7)])
def test_a_change_that_an_inferior_refuses_leaves_the_old(ends: tuple[End, ...], active: bool) -> None:
    """The circuit is taken two levels below; whoever had prepared already gives it up again."""
    with World(two_levels()) as world:
        service = world.establish("top", *both(10, "a", "c"), active=active)
        other = world.establish("w1", ("a", 7, 10, 10), ("z", 7, 10, 10))
        before = [world.aggregator(n).trunks() for n in ("top", "east", "west")]
        with pytest.raises(DpbError) as caught:
            prepare(world, service, *ends)
        assert "is taken by" in str(caught.value)
        world.until(lambda: service.change is Change.NONE)
        world.rest()
        assert service.status is (Status.ACTIVE if active else Status.INACTIVE)
        assert service.error is not None
        assert service.error.code == "circuit-taken"
        assert {"network": "top", "terminal": "c", "label": 7}.items() <= service.error.facts.items()
        assert Segment.of(*both(10, "a", "c")).same_as(service.segment)
        assert [world.aggregator(n).trunks() for n in ("top", "east", "west")] == before
        for network in ("e1", "w1", "east", "west"):
            assert all(s.change is Change.NONE for s in world.network(network).services())
        assert world.carries("top", "a", 1) == ({("c", 1)} if active else set())
        world.release(other)
        world.change(service, *ends)
        assert service.error is None
        world.release(service)
        assert world.leftovers() == []


def test_a_change_of_what_is_not_established_is_refused() -> None:
    with World(line(2)) as world:
        service = world.create("net")
        with pytest.raises(ServiceLogic):
            prepare(world, service, *both(10, "t1", "t2"))
        world.ask(service.commit(CALLER))
        world.ask(service.abort(CALLER))
        assert service.view().status is Status.DORMANT


def test_another_change_is_refused_while_one_is_prepared() -> None:
    with World(line(3)) as world:
        service = world.establish("net", *both(10, "t1", "t2"))
        prepare(world, service, *both(20, "t1", "t2"))
        prepare(world, service, *both(20, "t2", "t1"))
        with pytest.raises(ServiceLogic):
            prepare(world, service, *both(30, "t1", "t2"))
        world.ask(service.abort(CALLER))
        world.until(lambda: service.change is Change.NONE)
        prepare(world, service, *both(30, "t1", "t2"))
        for _ in range(2):
            world.ask(service.commit(CALLER))
        world.until(lambda: service.change is Change.NONE)
        world.ask(service.commit(CALLER))
        world.ask(service.abort(CALLER))
        assert Segment.of(*both(30, "t1", "t2")).same_as(service.segment)


def test_a_decommissioned_trunk_is_not_grown_on() -> None:
    with World(triangle()) as world:
        service = world.establish("net", *both(10, "t1", "t2"), active=True)
        world.change_trunk("net", "s1-s2", lambda t: evolve(t, commissioned=False))
        world.change(service, *both(11, "t1", "t2"))
        assert {t.trunk for t in world.aggregator("net").tree(service.id)} == {"s2-s3", "s3-s1"}
        world.rest()
        assert world.carries("net", "t1", 1) == {("t2", 1)}


# -- a full trunk, an inferior that is away -------------------------------------------------------


def test_a_service_that_fills_a_trunk_can_be_changed_on_it() -> None:
    with World(line(2)) as world:
        world.change_trunk("net", "s1-s2", lambda t: evolve(t, labels=(evolve(t.labels[0], count=1),)))
        service = world.establish("net", *both(1_000_000, "t1", "t2"), active=True)
        world.change(service, *both(1_000_000, "t1", "u2"))
        assert world.carries("net", "t1", 1) == {("u2", 1)}
        world.change(service, *both(999_999, "t1", "u2"))
        assert left(world, "s1-s2") == (1, 1, 0)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("mode", ["cut", "mute"])
def test_preparing_ends_in_time_when_an_inferior_is_away(mode: str, restart: bool) -> None:
    with World(two_levels(), lines=("west",)) as world:
        service = world.establish("top", *both(10, "a", "c"), active=True)
        line_to_west = world.lines["west"]
        (line_to_west.cut if mode == "cut" else line_to_west.mute)()
        asked = service.prepare(Segment.of(*both(20, "a", "c")), CALLER)
        world.rest()
        if restart:
            world.restart(die=True)
            service = world.find(service)
            asked = service.prepare(Segment.of(*both(20, "a", "c")), CALLER)
        with pytest.raises(DpbError) as caught:
            world.ask(asked, 30)
        assert caught.value.code == "unreachable"
        assert Segment.of(*both(10, "a", "c")).same_as(service.segment)
        line_to_west.mend()
        world.until(lambda: service.change is Change.NONE, 60)
        world.pass_time(30)
        assert left(world, "direct", "top") == (999_990, 999_990, 4093)
        assert world.network("west").services()[0].change is Change.NONE
        assert world.carries("top", "a", 1) == {("c", 1)}
        world.change(service, *both(20, "a", "c"))
        world.release(service)
        assert world.leftovers() == []


def test_a_decision_is_carried_out_when_the_inferior_is_back() -> None:
    with World(two_levels(), lines=("west",)) as world:
        service = world.establish("top", *both(10, "a", "c"), active=True)
        prepare(world, service, *both(20, "a", "d"))
        world.lines["west"].cut()
        world.ask(service.commit(CALLER))
        world.pass_time(60)
        assert service.change is Change.COMMITTING
        assert Segment.of(*both(20, "a", "d")).same_as(service.segment)
        world.restart(die=True)
        service = world.find(service)
        world.lines["west"].mend()
        world.until(lambda: service.change is Change.NONE, 60)
        world.until(lambda: world.carries("top", "a", 1) == {("d", 1)})
        world.release(service)
        assert world.leftovers() == []


@pytest.mark.parametrize("stop", range(1, 50, 4))
@pytest.mark.parametrize("command", ["reset", "release"])
@pytest.mark.parametrize("stage", ["prepare", "commit", "abort"])
def test_a_reset_or_release_in_the_middle_of_a_change(stage: str, command: str, stop: int) -> None:
    with World(line(2), steps=True) as world:
        service = world.establish("net", *both(10, "t1", "t2"), active=True)
        new = Segment.of(*both(20, "t1", "u2", "u1"))
        prepared = service.prepare(new, CALLER)
        if stage != "prepare":
            world.ask(prepared)
            world.rest()
            getattr(service, stage)(CALLER)
        for _ in range(stop):
            world.runtime.step()  # type: ignore[attr-defined]
        given = getattr(service, command)(CALLER)
        world.rest()
        assert prepared.settled, "whoever waits for the change is told"
        world.ask(given)
        world.reach(service, {"reset": Status.DORMANT, "release": Status.RELEASED}[command])
        assert service.change is Change.NONE
        if command == "reset":
            world.ask(service.define(new, CALLER))
            world.reach(service, Status.INACTIVE)
            world.release(service)
        assert world.leftovers() == []


def test_an_answer_that_comes_after_a_change_was_given_up_watches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with World(line(2)) as world:
        service = world.establish("net", *both(10, "t1", "t2"), active=True)
        watched = [world.network(switch).service(1) for switch in ("s1", "s2")]
        before = [len(inferior._watchers) for inferior in watched]  # type: ignore[attr-defined]  # of our own kinds
        # The inferiors answer nothing yet.
        asked: list[tuple[Reply[Service | None], Service]] = []
        for inferior in watched:
            reply: Reply[Service | None] = Reply()
            asked.append((reply, inferior))
            network = world.network(inferior.network.name)  # type: ignore[attr-defined]  # here, too
            monkeypatch.setattr(network, "find", lambda _, reply=reply: reply)
        preparing = service.prepare(Segment.of(*both(20, "t1", "t2")), CALLER)
        world.rest()
        assert not preparing.settled
        world.ask(service.abort(CALLER))
        for reply, inferior in asked:
            reply.resolve(inferior)
        world.rest()
        monkeypatch.undo()
        world.until(lambda: service.change is Change.NONE)
        assert [len(inferior._watchers) for inferior in watched] == before  # type: ignore[attr-defined]  # here, too
        world.release(service)
        assert world.leftovers() == []
