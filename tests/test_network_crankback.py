"""What an aggregator does when an inferior network refuses, or cannot be reached."""

from __future__ import annotations

import pytest
from attrs import evolve

from dpb_framework.contracts import Service
from dpb_framework.model import LabelRange, Segment, Status, Terminal
from dpb_framework.testing.world import CALLER, Layout, World, line, triangle, two_levels


def ask_for(world: World, network: str, *ends: tuple[str, int | None, int, int]) -> Service:
    """Define a service that is admitted; what becomes of it is seen later."""
    return world.ask(world.network(network).create(CALLER, None, Segment.of(*ends)))


def take_trunk_label(world: World, switch: str, terminal: str, label: int) -> Service:
    """Let somebody use a circuit of an inferior directly, without the aggregator."""
    return world.establish(switch, (terminal, label, 10, 10), ("u", label, 10, 10))


@pytest.mark.parametrize("rate", [10_000, 1_000_000])
@pytest.mark.parametrize("end", [("s1", "to-s2"), ("s2", "to-s1")])
def test_a_label_taken_on_a_trunk_leads_to_another_label_of_the_same_trunk(end: tuple[str, str], rate: int) -> None:
    """Also where the trunk has room for the service only once."""
    with World(line(2)) as world:
        for label in (1, 2, 3):
            take_trunk_label(world, *end, label)
        service = world.establish("net", ("t1", 100, rate, rate), ("t2", 100, rate, rate), active=True)
        ((trunk, label),) = [(t.trunk, t.label) for t in world.aggregator("net").tree(service.id)]
        assert (trunk, label) == ("s1-s2", 4)
        assert world.carries("net", "t1", 100) == {("t2", 100)}
        use = world.aggregator("net").trunk("s1-s2")
        assert (use.upstream_left, use.labels_left) == (1_000_000 - rate, 4093), "only what is used is held"


def test_a_label_that_the_inferior_does_not_offer_leads_to_another_one() -> None:
    layout = Layout().switch("s1", "t", Terminal("x", "", labels=((7, 9),))).switch("s2", "t", "x")
    layout.aggregator("net", ("s1", "s2"), {"t1": "s1:t", "t2": "s2:t"}).trunk("net", "s1:x", "s2:x", name="trunk")
    with World(layout) as world:
        service = world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10))
        assert world.aggregator("net").tree(service.id)[0].label == 7


def test_when_all_labels_are_taken_another_trunk_is_used() -> None:
    with World(triangle()) as world:
        world.change_trunk("net", "s1-s2", lambda t: evolve(t, labels=(LabelRange(1, 2, 1),)))
        for label in (1, 2):
            take_trunk_label(world, "s2", "to-s1", label)
        service = world.establish("net", ("t1", 100, 10, 10), ("t2", 100, 10, 10))
        assert {t.trunk for t in world.aggregator("net").tree(service.id)} == {"s2-s3", "s3-s1"}


def test_crankback_is_bounded_and_leaves_nothing() -> None:
    with World(triangle(), replans=3) as world:
        users = [take_trunk_label(world, "s2", "to-s1", label) for label in range(1, 9)]
        service = ask_for(world, "net", ("t1", 100, 10, 10), ("t2", 100, 10, 10))
        world.reach(service, Status.DORMANT)
        assert service.error is not None
        assert "s2" in service.error.text
        assert [s.id for s in world.network("s1").services()] == []
        for user in users:
            world.release(user)
        world.ask(service.define(Segment.of(("t1", 100, 10, 10), ("t2", 100, 10, 10)), CALLER))
        world.reach(service, Status.INACTIVE)
        world.release(service)
        assert world.leftovers() == []


def test_a_circuit_taken_at_an_end_is_final() -> None:
    with World(line(2), steps=True) as world:
        other = world.establish("s1", ("t", 100, 10, 10), ("u", 100, 10, 10))
        service = world.create("net")
        defined = service.define(Segment.of(("t1", 100, 10, 10), ("t2", 100, 10, 10)), CALLER)
        activated = service.activate(CALLER)
        world.ask(defined)
        world.ask(activated)
        world.reach(service, Status.DORMANT)
        assert service.error is not None
        assert service.error.code == "circuit-taken"
        assert service.segment is None
        world.release(other)
        world.ask(service.define(Segment.of(("t1", 100, 10, 10), ("t2", 100, 10, 10)), CALLER))
        assert world.reach(service, Status.INACTIVE, Status.ACTIVE) is Status.INACTIVE, "the activate was cleared"
        world.release(service)
        assert world.leftovers() == []


def test_a_label_taken_two_levels_below_leads_to_another_label_above() -> None:
    """What a switch says of its own terminal is told by the aggregator above it as a matter of that one's terminal."""
    with World(two_levels()) as world:
        world.establish("e1", ("x", 1, 10, 10), ("z", 1, 10, 10))
        service = world.establish("top", ("a", 100, 10, 10), ("c", 100, 10, 10), active=True)
        assert [(t.trunk, t.label) for t in world.aggregator("top").tree(service.id)] == [("direct", 2)]
        assert world.carries("top", "a", 100) == {("c", 100)}


def test_a_circuit_taken_two_levels_below_is_told_with_the_networks_own_terminal() -> None:
    layout = two_levels()
    at = layout.terminals.index(("top", Terminal("a", "east:a")))
    layout.terminals[at] = ("top", Terminal("access", "east:a"))
    with World(layout) as world:
        world.establish("e1", ("a", 100, 10, 10), ("z", 1, 10, 10))
        service = ask_for(world, "top", ("access", 100, 10, 10), ("c", 100, 10, 10))
        world.reach(service, Status.DORMANT)
        assert service.error is not None
        assert service.error.code == "circuit-taken"
        facts = service.error.facts
        assert (facts["network"], facts["terminal"], facts["label"]) == ("top", "access", 100)


def test_an_open_label_that_is_taken_below_is_chosen_again() -> None:
    with World(line(2)) as world:
        for label in (1, 2):
            world.establish("s1", ("t", label, 10, 10), ("u", label, 10, 10))
        service = world.establish("net", ("t1", None, 10, 10), ("t2", None, 10, 10))
        assert service.segment is not None
        assert [e.circuit.label for e in service.segment.ends] == [3, 1]


def test_a_quota_at_an_end_is_final() -> None:
    layout = line(2)
    layout.terminals[0] = ("s1", Terminal("t", "1", ingress_quota=99))
    with World(layout) as world:
        service = ask_for(world, "net", ("t1", 1, 100, 10), ("t2", 1, 10, 100))
        world.reach(service, Status.DORMANT)
        assert service.error is not None
        assert service.error.code == "quota"
        world.ask(service.define(Segment.of(("t1", 1, 99, 10), ("t2", 1, 10, 99)), CALLER))
        world.reach(service, Status.INACTIVE)
        world.release(service)
        assert world.leftovers() == []


def test_a_quota_on_a_trunks_terminal_leads_elsewhere() -> None:
    layout = triangle()
    at = [entry[0] == "s1" and entry[1].name == "to-s2" for entry in layout.terminals].index(True)
    terminal = layout.terminals[at][1]
    layout.terminals[at] = ("s1", evolve(terminal, egress_quota=99))
    with World(layout) as world:
        service = world.establish("net", ("t1", 1, 100, 10), ("t2", 1, 10, 100))
        assert {t.trunk for t in world.aggregator("net").tree(service.id)} == {"s2-s3", "s3-s1"}


def bottleneck() -> Layout:
    """`top` over `east`, whose three terminals share one trunk, and `west`; by `spare` there is a way around."""
    layout = Layout()
    for switch in ("e1", "e2", "w1"):
        layout.switch(switch, "a", "b", "c", "d")
    layout.aggregator("east", ("e1", "e2"), {"a": "e1:a", "x": "e2:a", "y": "e2:b", "z": "e1:b"})
    layout.trunk("east", "e1:t", "e2:t", 1000, name="thin")
    layout.aggregator("west", ("w1",), {"a": "w1:a", "x": "w1:b", "y": "w1:c", "z": "w1:d"})
    layout.aggregator("top", ("east", "west"), {"a": "east:a", "c": "west:a", "y": "east:y"})
    layout.trunk("top", "east:x", "west:x", 10_000, name="through-thin")
    layout.trunk("top", "east:z", "west:z", 10_000, name="spare", delay=50_000)
    return layout


def test_no_capacity_below_leads_another_way() -> None:
    """What `east` shows is true when it is planned with, and wrong when it is asked."""
    with World(bottleneck(), lines=("east",)) as world:
        line_to_east = world.lines["east"]
        assert world.network("top").model().fragments
        world.rest()
        stale = world.network("east").model()
        world.establish("east", ("a", 9, 600, 600), ("x", 9, 600, 600))
        distant = world.network("top").inferior("east")  # type: ignore[attr-defined]
        distant.frozen = stale
        assert line_to_east.whole
        service = world.establish("top", ("a", 1, 500, 500), ("c", 1, 500, 500), active=True)
        assert [t.trunk for t in world.aggregator("top").tree(service.id)] == ["spare"]
        assert world.carries("top", "a", 1) == {("c", 1)}
        distant.frozen = None
        world.release(service)
        world.release(world.network("east").service(1))
        assert world.leftovers() == []


# -- inferiors that cannot be reached -------------------------------------------------------------


@pytest.mark.parametrize("mode", ["cut", "mute"])
def test_another_way_is_taken_around_an_inferior_that_cannot_be_reached(mode: str) -> None:
    with World(two_levels(), lines=("mid", "west", "east")) as world:
        world.change_trunk("top", "direct", lambda t: evolve(t, delay=50_000))
        line_to_mid = world.lines["mid"]
        (line_to_mid.cut if mode == "cut" else line_to_mid.mute)()
        service = world.establish("top", ("a", 1, 10, 10), ("c", 1, 10, 10), active=True)
        assert [t.trunk for t in world.aggregator("top").tree(service.id)] == ["direct"]
        assert world.carries("top", "a", 1) == {("c", 1)}
        world.pass_time(60)
        uses = {use.trunk.name: use for use in world.aggregator("top").trunks()}
        for name in ("up", "down"):
            assert (uses[name].upstream_left, uses[name].labels_left, uses[name].services) == (999_990, 4093, (1,)), (
                "held until the removal is confirmed"
            )
        assert len(world.network("mid").services()) == (mode == "mute")
        line_to_mid.mend()
        world.pass_time(60)
        uses = {use.trunk.name: use for use in world.aggregator("top").trunks()}
        assert all(uses[name].upstream_left == 1_000_000 for name in ("up", "down"))
        assert world.network("mid").services() == []
        assert service.status is Status.ACTIVE
        world.release(service)
        assert world.leftovers() == []


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("mode", ["cut", "mute"])
def test_an_end_that_cannot_be_reached_ends_the_define_in_time(mode: str, restart: bool) -> None:
    with World(two_levels(), lines=("west",)) as world:
        line_to_west = world.lines["west"]
        (line_to_west.cut if mode == "cut" else line_to_west.mute)()
        segment = Segment.of(("a", 1, 10, 10), ("c", 1, 10, 10))
        service = ask_for(world, "top", ("a", 1, 10, 10), ("c", 1, 10, 10))
        assert service.status is Status.ESTABLISHING
        if restart:
            world.restart(die=True)
            service = world.find(service)
        assert [c.kind for c in service.conditions] == ["unconfirmed"]
        world.reach(service, Status.DORMANT, seconds=30)
        assert service.error is not None
        assert service.error.code == "unreachable"
        direct = world.aggregator("top").trunk("direct")
        assert direct.services == (1,), "held until the removal is confirmed"
        line_to_west.mend()
        world.pass_time(30)
        assert world.aggregator("top").trunk("direct").services == ()
        world.ask(service.define(segment, CALLER))
        world.reach(service, Status.INACTIVE)
        world.release(service)
        assert world.leftovers() == []


def test_contact_lost_to_an_inferior_changes_no_status() -> None:
    with World(two_levels(), lines=("west",)) as world:
        service = world.establish("top", ("a", 1, 10, 10), ("c", 1, 10, 10), active=True)
        world.lines["west"].cut()
        world.restart()
        service = world.find(service)
        world.pass_time(100)
        assert service.status is Status.ACTIVE
        assert [(c.kind, c.where) for c in service.conditions] == [("unconfirmed", "west")]
        world.ask(service.deactivate(CALLER))
        world.pass_time(100)
        assert service.status is Status.DEACTIVATING
        world.lines["west"].mend()
        world.reach(service, Status.INACTIVE)
        assert service.conditions == ()
        assert world.carries("top", "a", 1) == set()


def test_a_release_waits_for_the_inferior() -> None:
    with World(two_levels(), lines=("west",)) as world:
        service = world.establish("top", ("a", 1, 10, 10), ("c", 1, 10, 10), active=True)
        world.lines["west"].mute()
        world.ask(service.release(CALLER))
        world.pass_time(100)
        assert service.status is Status.RELEASING
        assert [(c.kind, c.where) for c in service.conditions] == [("unconfirmed", "west")]
        assert world.aggregator("top").trunk("direct").services == (1,)
        world.restart(die=True)
        assert world.find(service).status is Status.RELEASING
        world.lines["west"].mend()
        world.pass_time(60)
        assert world.leftovers() == []


# -- handles and orphans --------------------------------------------------------------------------


def test_orphans_under_our_handles_are_released_at_the_start() -> None:
    with World(line(2)) as world:
        service = world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10), active=True)
        prefix = f"{world.store.uuid}/net/"
        for handle in (f"{prefix}99/1/0", f"{prefix}{service.id}/77/0"):
            world.establish("s1", ("t", None, 10, 10), ("u", None, 10, 10), active=True, handle=handle)
        strange = [f"{prefix[:-1]}work/1/1/0", "somebody's", f"0{prefix}1/1/0"]
        for handle in strange:
            world.establish("s1", ("t", None, 10, 10), ("u", None, 10, 10), active=True, handle=handle)
        world.restart()
        handles = {s.handle for s in world.network("s1").services()}
        assert handles == {*strange, f"{prefix}{service.id}/1/0"}
        assert world.find(service).status is Status.ACTIVE
        assert world.carries("net", "t1", 1) == {("t2", 1)}


def test_orphans_are_looked_for_whatever_one_inferior_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its fault is told, and is not the others'; and it is asked again."""
    with World(line(2)) as world:
        for name in ("s1", "s2"):
            handle = f"{world.store.uuid}/net/99/1/0"
            world.establish(name, ("t", None, 10, 10), ("u", None, 10, 10), handle=handle)

        def fault(handle_prefix: str = "") -> list[Service]:
            raise TypeError("not foreseen")

        with monkeypatch.context() as patch:
            patch.setattr(world.network("s1"), "services", fault)
            world.pass_time(200)
            assert world.network("s2").services() == []
            assert "network net: what is left over at s1 cannot be released" in caplog.text
        world.pass_time(200)
        assert world.network("s1").services() == []


def test_a_handle_is_never_used_twice() -> None:
    """Not after a failed define, a reset or a restart either."""
    with World(line(2)) as world:
        handles: list[str | None] = []
        service = world.create("net")
        for n in range(4):
            world.ask(service.define(Segment.of(("t1", 1, 10, 10), ("t2", 1, 10, 10)), CALLER))
            world.reach(service, Status.INACTIVE)
            handles += [s.handle for s in world.network("s1").services()]
            world.ask(service.reset(CALLER))
            world.reach(service, Status.DORMANT)
            if n % 2:
                world.restart()
                service = world.find(service)
        assert len(set(handles)) == 4, handles
