"""What an aggregator takes from its trunks and terminals, and what it refuses."""

from __future__ import annotations

import pytest
from attrs import evolve

from dpb_framework.contracts import Channel
from dpb_framework.emulated import EmulatedFabric
from dpb_framework.errors import (
    BadArgument,
    BandwidthUnavailable,
    CircuitTaken,
    DpbError,
    LabelsInUse,
    LabelsUnavailable,
    NoCapacity,
    QuotaExceeded,
    SegmentInvalid,
    SubnetworkUnknown,
    SubterminalBusy,
    TerminalBusy,
    TerminalExists,
    TerminalUnknown,
    TrunkBusy,
    TrunkExists,
    TrunkUnknown,
)
from dpb_framework.model import LabelRange, Segment, Status, Terminal, Trunk, Tunnel
from dpb_framework.testing.world import CALLER, Layout, World, line, one_switch, triangle


def loads(world: World, service: int) -> dict[str, tuple[int, int]]:
    """What each trunk of a service holds, up and down."""
    return {t.trunk: (t.upstream, t.downstream) for t in world.aggregator("net").tree(service)}


def left(world: World, trunk: str) -> tuple[int, int, int]:
    use = world.aggregator("net").trunk(trunk)
    return use.upstream_left, use.downstream_left, use.labels_left


# -- demands --------------------------------------------------------------------------------------


def test_each_trunk_holds_what_the_hose_model_demands() -> None:
    """Figure 4 of the paper: towards the far side min(ingress of the near side, egress of the far side), and back."""
    with World(line(3)) as world:
        service = world.establish("net", ("t1", 1, 100, 40), ("t2", 1, 30, 50), ("t3", 1, 20, 70))
        assert loads(world, service.id) == {
            "s1-s2": (min(100, 50 + 70), min(30 + 20, 40)),
            "s2-s3": (min(100 + 30, 70), min(20, 40 + 50)),
        }
        assert left(world, "s1-s2") == (1_000_000 - 100, 1_000_000 - 40, 4093)


def test_ends_on_one_switch_count_together() -> None:
    with World(line(2)) as world:
        service = world.establish("net", ("t1", 1, 10, 1), ("u1", 1, 20, 2), ("t1", 2, 30, 3), ("t2", 1, 100, 50))
        assert loads(world, service.id) == {"s1-s2": (50, 6)}


def test_a_switch_on_the_way_is_joined_without_an_end() -> None:
    with World(line(3)) as world:
        service = world.establish("net", ("t1", 1, 5, 7), ("t3", 1, 11, 3), active=True)
        assert loads(world, service.id) == {"s1-s2": (3, 7), "s2-s3": (3, 7)}
        assert world.carries("net", "t1", 1) == {("t3", 1)}
        assert [len(world.device(f"s{n}").holds()) for n in (1, 2, 3)] == [1, 1, 1]


def test_a_service_within_one_switch_needs_no_trunk() -> None:
    with World(line(2, capacity=0)) as world:
        service = world.establish("net", ("t1", 1, 500_000, 500_000), ("u1", 1, 500_000, 500_000), active=True)
        assert world.aggregator("net").tree(service.id) == ()
        assert world.carries("net", "t1", 1) == {("u1", 1)}
        assert len(world.device("s2").holds()) == 0


def test_several_circuits_on_one_terminal() -> None:
    with World(line(2)) as world:
        ends = (("t1", 1, 10, 10), ("t1", 2, 10, 10), ("t1", 3, 10, 10), ("t2", 1, 10, 10))
        world.establish("net", *ends, active=True)
        assert world.carries("net", "t1", 2) == {("t1", 1), ("t1", 3), ("t2", 1)}


def test_one_way_rates() -> None:
    """A rate of zero one way: a broadcast needs nothing back."""
    with World(line(2)) as world:
        service = world.establish("net", ("t1", 1, 1_000_000, 0), ("t2", 1, 0, 1_000_000))
        assert loads(world, service.id) == {"s1-s2": (1_000_000, 0)}
        other = world.establish("net", ("t1", 2, 0, 1_000_000), ("t2", 2, 1_000_000, 0))
        assert loads(world, other.id) == {"s1-s2": (0, 1_000_000)}
        assert left(world, "s1-s2") == (0, 0, 4092)


def test_an_asymmetric_request_that_cannot_be_is_refused_and_changes_nothing() -> None:
    """A trunk of 1000/1000 Mbit/s with 600 used each way; a: in 10 out 600, b: in 600 out 10."""
    with World(line(2)) as world:
        world.establish("net", ("t1", 1, 600_000, 600_000), ("t2", 1, 600_000, 600_000))
        before = left(world, "s1-s2")
        stored = world.store.load().tables
        ends = (("t1", 2, 10_000, 600_000), ("t2", 2, 600_000, 10_000))
        with pytest.raises(NoCapacity) as caught:
            world.establish("net", *ends)
        assert caught.value.network == "net"
        assert left(world, "s1-s2") == before
        assert world.store.load().tables == stored
        assert [s.id for s in world.network("net").services()] == [1]
        service = world.create("net")
        with pytest.raises(NoCapacity):
            world.ask(service.define(Segment.of(*ends), CALLER))
        assert (service.status, service.error and service.error.code) == (Status.DORMANT, "no-capacity")
        world.ask(service.define(Segment.of(("t1", 2, 10_000, 400_000), ("t2", 2, 400_000, 10_000)), CALLER))
        world.reach(service, Status.INACTIVE)
        assert service.error is None
        assert left(world, "s1-s2") == (390_000, 0, 4092)


def test_parallel_trunks_are_filled_one_after_the_other() -> None:
    layout = line(2).trunk("net", "s1:p", "s2:p", name="second", delay=5000)
    with World(layout) as world:
        for label in (1, 2):
            world.establish("net", ("t1", label, 600_000, 600_000), ("t2", label, 600_000, 600_000), active=True)
            assert world.carries("net", "t1", label) == {("t2", label)}
        assert [loads(world, n).keys() for n in (1, 2)] == [{"s1-s2"}, {"second"}]
        with pytest.raises(NoCapacity):
            world.establish("net", ("t1", 3, 600_000, 600_000), ("t2", 3, 600_000, 600_000))


# -- labels ---------------------------------------------------------------------------------------


def test_labels_are_translated_at_each_end() -> None:
    layout = Layout().switch("s1", "t").switch("s2", "t")
    layout.aggregator("net", ("s1", "s2"), {"t1": "s1:t", "t2": "s2:t"})
    layout.trunk("net", "s1:x", "s2:x", name="trunk", labels=((500, 2, 900), (700, 1, 600)))
    with World(layout) as world:
        for n in (1, 2, 3):
            world.establish("net", ("t1", n, 10, 10), ("t2", 100 + n, 10, 10), active=True)
            assert world.carries("net", "t1", n) == {("t2", 100 + n)}
        tunnels = [world.aggregator("net").tree(n) for n in (1, 2, 3)]
        assert tunnels == [(Tunnel("trunk", label, 10, 10),) for label in (500, 501, 700)]
        used = {c.label for b in world.device("s2").holds().values() for c in b.channels if c.interface == "2"}
        assert used == {900, 901, 600}
        with pytest.raises(NoCapacity):
            world.establish("net", ("t1", 9, 10, 10), ("t2", 9, 10, 10))
        world.release(world.network("net").service(2))
        again = world.establish("net", ("t1", 9, 10, 10), ("t2", 9, 10, 10))
        assert world.aggregator("net").tree(again.id) == (Tunnel("trunk", 501, 10, 10),)


def test_an_open_label_is_chosen_and_told() -> None:
    terminal = Terminal("t1", "s1:t", labels=((30, 31), (40, 40)))
    layout = line(2)
    layout.terminals = [e for e in layout.terminals if e[1].name != "t1"] + [("net", terminal)]
    with World(layout) as world:
        world.establish("net", ("t1", 30, 10, 10), ("t2", 1, 10, 10))
        chosen = []
        for _ in range(2):
            service = world.establish("net", ("t1", None, 10, 10), ("t2", None, 10, 10), active=True)
            assert service.segment is not None
            ends = [e.circuit for e in service.segment.ends]
            chosen.append([c.label for c in ends])
            assert world.carries("net", "t1", ends[0].label or 0) == {("t2", ends[1].label)}
        assert chosen == [[31, 2], [40, 3]]
        with pytest.raises(LabelsUnavailable):
            world.establish("net", ("t1", None, 10, 10), ("t2", None, 10, 10))


def test_an_open_label_beside_a_given_one_of_the_same_terminal() -> None:
    with World(one_switch()) as world:
        service = world.establish("s1", ("a", None, 10, 10), ("a", 1, 10, 10), ("b", None, 10, 10))
        assert service.segment is not None
        assert [e.circuit.label for e in service.segment.ends] == [2, 1, 1]


# -- refusals that are found at once --------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "error"),
    [
        ([("t1", 1, 10, 10)], SegmentInvalid),
        ([("t1", 1, 10, 10), ("t1", 1, 10, 10)], SegmentInvalid),
        ([("t1", 1, 0, 0), ("t2", 1, 10, 10)], SegmentInvalid),
        ([("t1", 1, 10, 10), ("nowhere", 1, 10, 10)], TerminalUnknown),
        ([("t1", 4095, 10, 10), ("t2", 1, 10, 10)], LabelsUnavailable),
        ([("t1", 100, 10, 10), ("t2", 1, 10, 10)], CircuitTaken),
        ([("t1", 1, 2_000_000, 10), ("t2", 1, 10, 2_000_000)], NoCapacity),
        ([("u1", 1, 700, 10), ("t2", 1, 10, 10)], QuotaExceeded),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_refused_define_leaves_everything_as_it_was(
    ends: list[tuple[str, int, int, int]], error: type[DpbError], at_once: bool
) -> None:
    layout = line(2)
    quota = Terminal("u1", "s1:u", ingress_quota=600)
    layout.terminals = [e for e in layout.terminals if e[1].name != "u1"] + [("net", quota)]
    with World(layout) as world:
        world.establish("net", ("t1", 100, 10, 10), ("t2", 100, 10, 10))
        if at_once:
            with pytest.raises(error):
                world.ask(world.network("net").create(CALLER, "mine", Segment.of(*ends)))
            assert world.ask(world.network("net").find("mine")) is None
        else:
            service = world.create("net")
            world.ask(service.activate(CALLER))
            with pytest.raises(error) as caught:
                world.ask(service.define(Segment.of(*ends), CALLER))
            assert service.status is Status.DORMANT
            assert service.error is not None
            assert service.error.code == caught.value.code
            assert service.error.text == str(caught.value)
            world.ask(service.define(Segment.of(("t1", 5, 10, 10), ("t2", 5, 10, 10)), CALLER))
            assert world.reach(service, Status.INACTIVE, Status.ACTIVE) is Status.INACTIVE, "the activate was cleared"
            world.release(service)
        assert left(world, "s1-s2") == (999_990, 999_990, 4093)
        world.release(world.network("net").service(1))
        assert world.leftovers() == []


def test_a_failed_define_forgets_an_activate_for_good() -> None:
    """The same fault twice, an activate between: the activate is gone after a restart too."""
    with World(line(2)) as world:
        service = world.create("net")
        refused = Segment.of(("t1", 1, 2_000_000, 2_000_000), ("t2", 1, 2_000_000, 2_000_000))
        for _ in range(2):
            world.ask(service.activate(CALLER))
            with pytest.raises(NoCapacity):
                world.ask(service.define(refused, CALLER))
        world.restart()
        service = world.find(service)
        assert service.error is not None
        world.ask(service.define(Segment.of(("t1", 5, 10, 10), ("t2", 5, 10, 10)), CALLER))
        assert world.reach(service, Status.INACTIVE, Status.ACTIVE) is Status.INACTIVE


@pytest.mark.parametrize("network", ["s1", "net"])
def test_quotas_add_up_over_services_and_circuits(network: str) -> None:
    layout = line(2)
    t, u = ("t1", "u1") if network == "net" else ("t", "u")
    place = "s1:t" if network == "net" else "1"
    quota = Terminal(t, place, ingress_quota=100, egress_quota=200)
    layout.terminals = [e for e in layout.terminals if (e[0], e[1].name) != (network, t)] + [(network, quota)]
    if network == "s1":  # the aggregator's terminals come after the switch's
        layout.terminals.sort(key=lambda entry: entry[0] == "net")
    with World(layout) as world:
        one = world.establish(network, (t, 1, 40, 50), (t, 2, 40, 50), (u, 1, 100, 100))
        with pytest.raises(QuotaExceeded) as caught:
            world.establish(network, (t, 3, 21, 1), (u, 3, 10, 10))
        assert (caught.value.direction, caught.value.asked, caught.value.left) == ("ingress", 21, 20)
        with pytest.raises(QuotaExceeded) as caught:
            world.establish(network, (t, 3, 20, 101), (u, 3, 10, 10))
        assert (caught.value.direction, caught.value.asked, caught.value.left) == ("egress", 101, 100)
        two = world.establish(network, (t, 3, 20, 100), (u, 3, 10, 10))
        management = world.switch(network)
        with pytest.raises(QuotaExceeded):
            world.ask(management.put_terminal(evolve(quota, place=place, ingress_quota=99), CALLER))
        world.release(one)
        world.ask(management.put_terminal(evolve(quota, place=place, ingress_quota=20, egress_quota=100), CALLER))
        world.release(two)
        with pytest.raises(QuotaExceeded):
            world.establish(network, (t, 3, 21, 10), (u, 3, 10, 10))


# -- trunks that change ---------------------------------------------------------------------------


def test_capacity_is_raised_and_lowered() -> None:
    with World(line(2)) as world:
        world.establish("net", ("t1", 1, 300_000, 200_000), ("t2", 1, 200_000, 300_000))
        for asked, direction, held in (
            ({"upstream": 299_999}, "upstream", 300_000),
            ({"downstream": 199_999}, "downstream", 200_000),
        ):
            with pytest.raises(BandwidthUnavailable) as caught:
                world.change_trunk("net", "s1-s2", lambda t, asked=asked: evolve(t, **asked))
            assert (caught.value.direction, caught.value.allocated) == (direction, held)
        world.change_trunk("net", "s1-s2", lambda t: evolve(t, upstream=300_000, downstream=200_000))
        assert left(world, "s1-s2") == (0, 0, 4093)
        with pytest.raises(NoCapacity):
            world.establish("net", ("t1", 2, 1, 1), ("t2", 2, 1, 1))
        world.change_trunk("net", "s1-s2", lambda t: evolve(t, upstream=300_001, downstream=200_001))
        world.establish("net", ("t1", 2, 1, 1), ("t2", 2, 1, 1))
        world.restart()
        assert left(world, "s1-s2") == (0, 0, 4092)


def test_labels_are_added_and_revoked_but_not_those_in_use() -> None:
    with World(line(2)) as world:
        world.change_trunk("net", "s1-s2", lambda t: evolve(t, labels=(LabelRange(10, 1, 20),)))
        world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10))
        with pytest.raises(NoCapacity):
            world.establish("net", ("t1", 2, 10, 10), ("t2", 2, 10, 10))
        for labels in ((), (LabelRange(11, 5, 21),), (LabelRange(10, 1, 21),)):
            with pytest.raises(LabelsInUse) as caught:
                world.change_trunk("net", "s1-s2", lambda t, labels=labels: evolve(t, labels=labels))
            assert caught.value.labels == (10,)
        world.change_trunk("net", "s1-s2", lambda t: evolve(t, labels=(LabelRange(9, 3, 19),)))
        world.establish("net", ("t1", 2, 10, 10), ("t2", 2, 10, 10))
        world.establish("net", ("t1", 3, 10, 10), ("t2", 3, 10, 10))
        assert {t.label for n in (1, 2, 3) for t in world.aggregator("net").tree(n)} == {9, 10, 11}
        with pytest.raises(BadArgument):
            world.change_trunk("net", "s1-s2", lambda t: evolve(t, labels=(LabelRange(9, 3, 19), LabelRange(11, 1, 1))))
        with pytest.raises(BadArgument):
            world.change_trunk("net", "s1-s2", lambda t: evolve(t, labels=(LabelRange(9, 3, 19), LabelRange(1, 1, 21))))


def test_a_decommissioned_trunk_keeps_its_services_and_takes_no_more() -> None:
    with World(triangle()) as world:
        service = world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10), active=True)
        assert loads(world, service.id).keys() == {"s1-s2"}
        world.change_trunk("net", "s1-s2", lambda t: evolve(t, commissioned=False))
        assert service.status is Status.ACTIVE
        other = world.establish("net", ("t1", 2, 10, 10), ("t2", 2, 10, 10))
        assert loads(world, other.id).keys() == {"s2-s3", "s3-s1"}
        world.restart()
        assert world.find(service).status is Status.ACTIVE
        assert world.carries("net", "t1", 1) == {("t2", 1)}
        world.change(world.find(service), ("t1", 1, 5, 5), ("t2", 1, 5, 5))
        assert loads(world, service.id) == {"s1-s2": (5, 5)}, "a smaller one may stay"
        world.change_trunk("net", "s1-s2", lambda t: evolve(t, commissioned=True))
        assert loads(world, world.establish("net", ("t1", 3, 9, 9), ("t2", 3, 9, 9)).id).keys() == {"s1-s2"}


def test_a_delay_that_changes_leads_new_services_elsewhere() -> None:
    with World(triangle()) as world:
        world.change_trunk("net", "s1-s2", lambda t: evolve(t, delay=50_000))
        service = world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10))
        assert loads(world, service.id).keys() == {"s2-s3", "s3-s1"}


# -- management -----------------------------------------------------------------------------------


def test_trunks_are_refused_that_cannot_be() -> None:
    with World(line(2)) as world:
        management = world.aggregator("net")
        trunk = management.trunk("s1-s2").trunk

        def put(new: bool = False, **changes: object) -> None:
            world.ask(management.put_trunk(evolve(trunk, **changes), CALLER, new=new))

        with pytest.raises(TrunkExists):
            put(new=True)
        with pytest.raises(SubnetworkUnknown):
            put(name="other", start=("s9", "x"))
        with pytest.raises(TerminalUnknown):
            put(name="other", start=("s1", "x"), end=("s2", "u"))
        with pytest.raises(SubterminalBusy):
            put(name="other", start=("s1", "t"), end=("s2", "u"))
        with pytest.raises(SubterminalBusy):
            put(name="other")
        for wrong in ({"upstream": -1}, {"downstream": 10**13}, {"delay": -1}, {"end": trunk.start}, {"name": "a b"}):
            with pytest.raises(BadArgument):
                put(**wrong)
        with pytest.raises(TrunkUnknown):
            management.trunk("other")
        with pytest.raises(TrunkUnknown):
            world.ask(management.remove_trunk("other", CALLER))
        assert [use.trunk for use in management.trunks()] == [trunk]
        assert management.inferiors() == ["s1", "s2"]


def test_a_trunk_in_use_is_not_removed_or_moved() -> None:
    with World(line(2).switch("s3", "x")) as world:
        service = world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10))
        management = world.aggregator("net")
        trunk = management.trunk("s1-s2").trunk
        with pytest.raises(TrunkBusy) as caught:
            world.ask(management.remove_trunk("s1-s2", CALLER))
        assert caught.value.services == (1,)
        with pytest.raises(TrunkBusy):
            world.ask(management.put_trunk(evolve(trunk, start=trunk.end, end=trunk.start), CALLER))
        world.release(service)
        world.ask(management.put_trunk(evolve(trunk, start=trunk.end, end=trunk.start), CALLER))
        world.establish("net", ("t1", 1, 10, 20), ("t2", 1, 20, 10))
        assert loads(world, 2) == {"s1-s2": (20, 10)}
        world.release(world.network("net").service(2))
        world.ask(management.remove_trunk("s1-s2", CALLER))
        assert management.trunks() == []
        with pytest.raises(NoCapacity):
            world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10))
        world.ask(management.put_trunk(trunk, CALLER, new=True))
        world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10))


@pytest.mark.parametrize("network", ["s1", "net"])
def test_a_terminal_in_use_is_not_removed_or_moved(network: str) -> None:
    with World(line(2)) as world:
        t, u = ("t1", "u1") if network == "net" else ("t", "u")
        free = "s1:free" if network == "net" else "77"
        world.ask(world.switch("s1").put_terminal(Terminal("free", "66"), CALLER))
        management = world.switch(network)
        (terminal,) = (x for x in management.list_terminals() if x.name == t)
        service = world.establish(network, (t, 1, 10, 10), (u, 1, 10, 10))
        with pytest.raises(TerminalBusy):
            world.ask(management.remove_terminal(t, CALLER))
        with pytest.raises(TerminalBusy):
            world.ask(management.put_terminal(evolve(terminal, place=free), CALLER))
        with pytest.raises(LabelsInUse):
            world.ask(management.put_terminal(evolve(terminal, labels=((2, 9),)), CALLER))
        with pytest.raises(TerminalExists):
            world.ask(management.put_terminal(terminal, CALLER, new=True))
        with pytest.raises(TerminalUnknown):
            world.ask(management.remove_terminal("nowhere", CALLER))
        world.ask(management.put_terminal(evolve(terminal, labels=((1, 2),)), CALLER))
        world.release(service)
        moved = world.ask(management.put_terminal(evolve(terminal, place=free), CALLER))
        assert moved.place == free
        world.establish(network, (t, 1, 10, 10), (u, 1, 10, 10), active=True)
        assert world.carries(network, t, 1) == {(u, 1)}
        world.release(world.network(network).service(2))
        world.ask(management.remove_terminal(t, CALLER))
        assert t not in world.network(network).terminals()


def test_an_aggregators_terminal_needs_a_place_of_its_own() -> None:
    with World(line(2)) as world:
        management = world.aggregator("net")
        for place, error in (
            ("s9:x", SubnetworkUnknown),
            ("s1:x", TerminalUnknown),
            ("s1:t", SubterminalBusy),
            ("s1:to-s2", SubterminalBusy),
            ("s1", BadArgument),
        ):
            with pytest.raises(error):
                world.ask(management.put_terminal(Terminal("new", place), CALLER))
        with pytest.raises(BadArgument):
            world.ask(world.switch("s1").put_terminal(Terminal("new", "1"), CALLER))
        world.ask(management.remove_terminal("t1", CALLER))
        world.ask(management.put_terminal(Terminal("new", "s1:t"), CALLER))
        world.establish("net", ("new", 1, 10, 10), ("t2", 1, 10, 10))


def test_a_switch_refuses_channels_that_overlap_another_services() -> None:
    double = Terminal("double", "3x2", labels=((0, (1 << 24) - 1),))
    layout = Layout().switch("s1", Terminal("tagged", "3.100"), double, Terminal("plain", "4"))
    with World(layout) as world:
        world.establish("s1", ("tagged", 20, 10, 10), ("plain", 1, 10, 10))
        with pytest.raises(CircuitTaken) as caught:
            world.establish("s1", ("double", (100 << 12) + 20, 10, 10), ("plain", 2, 10, 10))
        assert caught.value.service == 1
        world.establish("s1", ("double", (100 << 12) + 21, 10, 10), ("plain", 2, 10, 10), active=True)


def test_an_interface_of_no_domain_may_overlap_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def port(channel: Channel) -> str:
        return str(channel.label) if channel.interface == "phys" else channel.interface

    monkeypatch.setattr(EmulatedFabric, "domain", lambda self, interface: "" if interface == "phys" else interface)
    monkeypatch.setattr(EmulatedFabric, "overlaps", lambda self, one, other: port(one) == port(other))
    whole = Terminal("whole", "phys", labels=((1, 9),))
    layout = Layout().switch("s1", Terminal("three", "3"), Terminal("four", "4"), whole, Terminal("five", "5"))
    with World(layout) as world:
        world.establish("s1", ("three", 20, 10, 10), ("five", 1, 10, 10))
        with pytest.raises(CircuitTaken) as caught:
            world.establish("s1", ("whole", 3, 10, 10), ("four", 1, 10, 10))
        assert caught.value.service == 1
        world.establish("s1", ("whole", 4, 10, 10), ("whole", 6, 10, 10))
        with pytest.raises(CircuitTaken) as caught:
            world.establish("s1", ("four", 20, 10, 10), ("five", 2, 10, 10))
        world.establish("s1", ("three", 21, 10, 10), ("five", 3, 10, 10))


def test_a_trunk_can_be_a_default_named_one() -> None:
    trunk = Trunk(Trunk.default_name(("s1", "p"), ("s2", "p")), ("s1", "p"), ("s2", "p"), 10, 10)
    layout = line(2).trunk("net", "s1:p", "s2:p")
    with World(layout) as world:
        assert trunk.name in [use.trunk.name for use in world.aggregator("net").trunks()]
