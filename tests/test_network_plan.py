"""Constraints on the way of a service, and what-if: plans on a snapshot, in a scenario, that reserve nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve

from dpb_framework.contracts import AggregatorManagement
from dpb_framework.errors import NoCapacity, SegmentInvalid, Stopped, SubterminalBusy, TrunkExists, TrunkUnknown
from dpb_framework.model import Constraints, LabelRange, Proposal, Scenario, Segment, Status, Trunk
from dpb_framework.networks.foresight import Foresight, Snapshot
from dpb_framework.testing.world import CALLER, Layout, World, line, one_switch, ring, two_levels


def ends(label: int, rate: int = 1000, *terminals: str) -> Segment:
    return Segment.of(*((name, label, rate, rate) for name in terminals or ("t1", "t2")))


def constrained(segment: Segment, **constraints: Any) -> Segment:
    return evolve(segment, constraints=Constraints(**constraints))


def trunks(world: World, service: int) -> set[str]:
    return {tunnel.trunk for tunnel in world.aggregator("net").tree(service)}


def establish(world: World, segment: Segment) -> int:
    service = world.ask(world.network("net").create(CALLER, None, segment))
    world.until(lambda: service.status is Status.INACTIVE)
    return service.id


# -- constraints ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("constraints", "way"),
    [
        ({}, {"s1-s2"}),
        ({"avoid_trunks": ["s1-s2"]}, {"s4-s1", "s3-s4", "s2-s3"}),
        ({"pass_trunks": ["s3-s4"]}, {"s4-s1", "s3-s4", "s2-s3"}),
        ({"pass_networks": ["s3"]}, {"s4-s1", "s3-s4", "s2-s3"}),
        ({"pass_networks": ["s1"]}, {"s1-s2"}),
        ({"avoid_networks": ["s3"]}, {"s1-s2"}),
        ({"max_delay": 1000}, {"s1-s2"}),
        ({"max_delay": 3000, "avoid_trunks": ["s1-s2"]}, {"s4-s1", "s3-s4", "s2-s3"}),
    ],
)
def test_the_tree_keeps_the_constraints(constraints: dict[str, Any], way: set[str]) -> None:
    with World(ring(4)) as world:
        service = establish(world, constrained(ends(1), **constraints))
        assert trunks(world, service) == way
        assert world.network("net").service(service).segment == constrained(ends(1), **constraints)


@pytest.mark.parametrize(
    ("constraints", "why"),
    [
        ({"avoid_networks": ["s1"]}, "inferior network 's1' is to be avoided, and terminal 't1' is there"),
        ({"avoid_trunks": ["s1-s2", "s2-s3"]}, ""),
        ({"avoid_trunks": ["s1-s2"], "max_delay": 2999}, ""),
        ({"pass_trunks": ["s1-s2"], "pass_networks": ["s3"]}, ""),
        ({"avoid_networks": ["s3"], "avoid_trunks": ["s1-s2"]}, ""),
    ],
)
def test_what_no_tree_keeps_is_refused_and_holds_nothing(constraints: dict[str, Any], why: str) -> None:
    with World(ring(4)) as world:
        with pytest.raises(NoCapacity) as caught:
            world.ask(world.network("net").create(CALLER, None, constrained(ends(1), **constraints)))
        assert why in str(caught.value)
        assert not world.network("net").services()
        assert all(use.labels_left == 4094 for use in world.aggregator("net").trunks())


@pytest.mark.parametrize(
    ("network", "constraints", "path"),
    [
        ("net", {"avoid_trunks": ["s1-s3"]}, "constraints.avoid-trunks"),
        ("net", {"pass_trunks": ["x"]}, "constraints.pass-trunks"),
        ("net", {"avoid_networks": ["net"]}, "constraints.avoid-networks"),
        ("net", {"pass_networks": ["s9"]}, "constraints.pass-networks"),
        ("net", {"pass_networks": ["s3"], "avoid_networks": ["s3"]}, "constraints.pass-networks"),
        ("net", {"max_delay": -1}, "constraints.max-delay"),
        ("s1", {"avoid_trunks": ["s1-s2"]}, "constraints"),
    ],
)
def test_names_that_are_nothing_are_refused(network: str, constraints: dict[str, Any], path: str) -> None:
    terminals = ("t1", "t2") if network == "net" else ("t", "u")
    with World(line(3)) as world:
        with pytest.raises(SegmentInvalid) as caught:
            world.ask(world.network(network).create(CALLER, None, constrained(ends(1, 1, *terminals), **constraints)))
        assert caught.value.path == path


def test_constraints_are_kept_through_a_restart_and_bind_a_change() -> None:
    with World(ring(4)) as world:
        service = establish(world, constrained(ends(1), avoid_trunks=["s1-s2"]))
        world.restart()
        found = world.network("net").service(service)
        assert found.segment == constrained(ends(1), avoid_trunks=["s1-s2"])
        world.ask(found.prepare(constrained(ends(1, 2000), avoid_trunks=["s3-s4"]), CALLER))
        world.ask(found.commit(CALLER))
        world.until(lambda: trunks(world, service) == {"s1-s2"})
        assert found.segment == constrained(ends(1, 2000), avoid_trunks=["s3-s4"])
        with pytest.raises(NoCapacity):
            world.ask(found.prepare(constrained(ends(1), max_delay=1), CALLER))


def test_a_network_that_shows_more_than_one_point_is_passed_by_its_trunks() -> None:
    with World(two_levels()) as world:
        segment = ends(1, 1000, "a", "c")
        with pytest.raises(SegmentInvalid, match="name a trunk to it instead"):
            world.ask(world.network("top").create(CALLER, None, constrained(segment, pass_networks=["mid"])))
        service = world.ask(world.network("top").create(CALLER, None, constrained(segment, pass_trunks=["up"])))
        world.until(lambda: service.status is Status.INACTIVE)
        assert {t.trunk for t in world.aggregator("top").tree(service.id)} == {"up", "down"}


def test_a_refusal_carries_the_certificate() -> None:
    with World(line(3, capacity=500)) as world:
        with pytest.raises(NoCapacity) as caught:
            world.ask(world.network("net").create(CALLER, None, ends(1, 600, "t1", "t3")))
        assert caught.value.proved
        assert caught.value.certificate
        assert caught.value.facts["certificate"] == caught.value.certificate


# -- what-if --------------------------------------------------------------------------------------


def plan(world: World, *segments: Segment, network: str = "net", **scenario: Any) -> Sequence[Proposal]:
    managed: AggregatorManagement = world.aggregator(network)
    before = [(use.trunk.name, use) for use in managed.trunks()]
    answer: Sequence[Proposal] = world.ask(managed.plan(segments, Scenario(**scenario)))
    assert [(use.trunk.name, use) for use in managed.trunks()] == before, "a plan takes nothing"
    return answer


def used(proposal: Proposal) -> set[str]:
    assert proposal.fault is None, proposal.fault
    return {share.trunk for share in proposal.shares}


def test_a_plan_says_what_an_admission_would_do() -> None:
    with World(ring(4)) as world:
        (proposal,) = plan(world, ends(1))
        assert (proposal.service, proposal.fault, proposal.networks) == (None, None, ("s1", "s2"))
        (share,) = proposal.shares
        assert (share.trunk, share.upstream, share.downstream) == ("s1-s2", 1000, 1000)
        assert (share.upstream_left, share.downstream_left, share.labels_left) == (999_000, 999_000, 4093)
        service = establish(world, ends(1))
        assert trunks(world, service) == {"s1-s2"}
        (taken,) = plan(world, ends(1))
        assert taken.fault is not None
        assert (taken.fault.code, taken.fault.facts["service"]) == ("circuit-taken", service)


def test_segments_count_on_what_those_before_them_take() -> None:
    with World(line(2, capacity=1000)) as world:
        answer = plan(world, ends(1, 600), ends(2, 600), ends(3, 400))
        assert [p.fault.code if p.fault else None for p in answer] == [None, "no-capacity", None]
        assert answer[2].shares[0].upstream_left == 0
        assert answer[1].fault is not None
        assert answer[1].fault.facts["certificate"]


def test_labels_count_too() -> None:
    layout = Layout().switch("a", "x").switch("b", "x").aggregator("net", "ab", {"t1": "a:x", "t2": "b:x"})
    with World(layout.trunk("net", "a:y", "b:y", name="ab", labels=((1, 1, 1),))) as world:
        answer = plan(world, ends(1), ends(2))
        assert [p.fault is None for p in answer] == [True, False]


def test_drained_failed_and_added_trunks() -> None:
    with World(ring(4)) as world:
        assert used(plan(world, ends(1), drained=["s1-s2"])[0]) == {"s4-s1", "s3-s4", "s2-s3"}
        assert used(plan(world, ends(1), failed=["s1-s2"])[0]) == {"s4-s1", "s3-s4", "s2-s3"}
        refused = plan(world, ends(1), failed=["s1-s2", "s3-s4"])[0]
        assert refused.fault is not None
        assert refused.fault.code == "no-capacity"
        new = Trunk("short", ("s1", "u"), ("s3", "u"), 5000, 5000, 1, (LabelRange(7, 1, 9),))
        with pytest.raises(SubterminalBusy):
            plan(world, ends(1), added=[new])
    with World(_with_spare_ports()) as world:
        new = Trunk("short", ("s1", "spare"), ("s3", "spare"), 5000, 5000, 1, (LabelRange(7, 1, 9),))
        first, second = plan(world, ends(1, 1000, "t1", "t3"), ends(2, 1000, "t1", "t3"), added=[new])
        assert used(first) == {"short"}
        assert used(second) == {"s1-s2", "s2-s3"}
        assert "short" not in {use.trunk.name for use in world.aggregator("net").trunks()}


def _with_spare_ports() -> Layout:
    layout = Layout()
    for name in ("s1", "s2", "s3"):
        layout.switch(name, "t", "spare")
    layout.aggregator("net", ("s1", "s2", "s3"), {f"t{i}": f"s{i}:t" for i in (1, 2, 3)})
    layout.trunk("net", "s1:to-s2", "s2:to-s1", name="s1-s2")
    return layout.trunk("net", "s2:to-s3", "s3:to-s2", name="s2-s3")


def test_services_on_a_failed_trunk_are_planned_anew_first() -> None:
    """They give back all that they hold; one that has no other way is told, and keeps nobody from the room."""
    with World(ring(4, capacity=1000)) as world:
        one = establish(world, ends(1, 700))
        two = establish(world, ends(2, 200))
        other = establish(world, ends(3, 300, "t3", "t4"))
        answer = plan(world, ends(4, 100), failed=["s1-s2"])
        assert [p.service for p in answer] == [one, two, None]
        assert used(answer[0]) == {"s4-s1", "s3-s4", "s2-s3"}
        assert answer[1].fault is not None
        assert answer[2].fault is not None
        assert trunks(world, other) == {"s3-s4"}
        assert [p.service for p in plan(world, failed=["s3-s4"])] == [other]


def test_a_scenario_that_cannot_be_is_refused() -> None:
    with World(ring(3)) as world:
        for scenario in ({"failed": ["x"]}, {"drained": ["x"]}):
            with pytest.raises(TrunkUnknown):
                plan(world, ends(1), **scenario)
        there = world.aggregator("net").trunk("s1-s2").trunk
        with pytest.raises(TrunkExists):
            plan(world, ends(1), added=[there])


def test_a_plan_through_chords_names_them() -> None:
    with World(two_levels()) as world:
        (proposal,) = plan(world, ends(1, 1000, "b", "c"), network="top")
        assert used(proposal) == {"direct"}
        assert proposal.networks == ("east", "west")
        assert proposal.chords == ("east:b~x", "west:a~x")


def test_one_switch_needs_no_trunk() -> None:
    layout = one_switch().aggregator("net", ["s1"], {"t1": "s1:a", "t2": "s1:b"})
    with World(layout) as world:
        (proposal,) = plan(world, ends(1))
        assert (proposal.shares, proposal.networks) == ((), ("s1",))


def test_a_question_that_nobody_waits_for_is_not_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    with World(ring(4)) as world:
        network = world.aggregator("net")
        planned: list[Sequence[Segment | object]] = []
        truly = Foresight._propose_all

        def counted(self: Foresight, snapshot: Snapshot, scenario: Scenario) -> list[Proposal]:
            planned.append(snapshot.asked)
            return truly(self, snapshot, scenario)

        monkeypatch.setattr(Foresight, "_propose_all", counted)
        left, kept = network.plan([ends(1)], Scenario()), network.plan([ends(2)], Scenario())
        left.abandon()
        assert [proposal.fault for proposal in world.ask(kept)] == [None]
        assert planned == [[ends(2)]]


def test_questions_that_wait_and_those_that_come_late_end_with_the_network() -> None:
    with World(ring(4)) as world:
        network = world.aggregator("net")
        waiting = network.plan([ends(1)], Scenario())
        assert not waiting.settled
        world.aggregator("net").stop()
        late = network.plan([ends(1)], Scenario())
        for reply in (late, waiting):
            assert reply.settled, "whether or not a worker comes by"
            with pytest.raises(Stopped):
                world.ask(reply)
