"""The default algorithm: what it chooses, what it tells of a refusal, that it ends."""

from random import Random
from typing import Any

import pytest
from dpb_pathcomp.bast import Bast

from dpb_framework.contracts.algorithm import Demand, NoTree, Outcome, Residual, Topology, Tree
from dpb_framework.errors import ConfigInvalid
from dpb_framework.networks.tree import check_fits, tree_loads
from dpb_framework.testing.algorithm import within_deadline
from dpb_framework.testing.instances import demand_of
from dpb_framework.testing.topologies import barabasi_albert, from_pairs, grid, line, ring


def plan(topology: Topology, residual: Residual, demand: Demand, **settings: Any) -> Outcome:
    return Bast(**settings).planner(topology).plan(demand, residual)


def edges(outcome: Outcome) -> list[int]:
    assert isinstance(outcome, Tree), outcome
    return sorted(outcome.edges)


def with_delays(topology: Topology, delays: list[int]) -> Topology:
    return Topology(topology.vertices, topology.tails, topology.heads, delays, topology.names, topology.vertex_names)


def test_the_path_with_the_least_delay_is_taken() -> None:
    topology, residual = ring(4)
    outcome = plan(with_delays(topology, [9000, 100, 100, 100]), residual, demand_of((0, 1, 1), (1, 1, 1)))
    assert edges(outcome) == [1, 2, 3]
    assert isinstance(outcome, Tree)
    assert outcome.cost == 300


def test_between_equal_delays_fewer_trunks_are_taken() -> None:
    topology, residual = ring(4)
    assert edges(plan(with_delays(topology, [30, 10, 10, 10]), residual, demand_of((0, 1, 1), (1, 1, 1)))) == [0]
    assert edges(plan(with_delays(topology, [0, 0, 0, 0]), residual, demand_of((0, 1, 1), (1, 1, 1)))) == [0]


def test_each_terminal_joins_the_nearest_part_of_the_tree() -> None:
    topology, residual = grid(3, 3)  # 0 1 2 / 3 4 5 / 6 7 8
    outcome = plan(topology, residual, demand_of((0, 1, 1), (2, 1, 1), (1, 1, 1), (7, 1, 1)))
    assert len(edges(outcome)) == 4


def test_trunks_in_use_already_are_preferred() -> None:
    topology, residual = ring(6)
    demand = demand_of((0, 1, 1), (2, 1, 1), prefer=frozenset({2, 3, 4, 5}))
    assert edges(plan(topology, residual, demand)) == [2, 3, 4, 5]
    residual.upstream[3] = 0
    residual.downstream[3] = 0
    assert edges(plan(topology, residual, demand)) == [0, 1]


def test_a_trunk_that_falls_short_of_its_load_is_gone_round() -> None:
    # v1 gathers v0 and v2 (10 each); v3 takes 20 by way of the slow side, for the quick one has 10 left.
    topology, residual = from_pairs(4, [(0, 1), (2, 1), (1, 3), (1, 3)], capacity=20)
    slow = with_delays(topology, [10, 10, 10, 500])
    residual.upstream[2] = 10
    demand = demand_of((0, 10, 10), (2, 10, 10), (3, 10, 20))
    outcome = plan(slow, residual, demand)
    assert edges(outcome) == [0, 1, 3]
    assert isinstance(outcome, Tree)
    assert outcome.note == "1 trunk was left out"


def test_a_vertex_that_is_asked_for_twice_counts_with_both_rates() -> None:
    topology, residual = line(2, capacity=15)
    twice = Demand((0, 0, 1), (10, 10, 20), (10, 10, 20), 10)
    assert isinstance(plan(topology, residual, twice), NoTree)
    residual.upstream[0] = residual.downstream[0] = 20
    assert edges(plan(topology, residual, twice)) == [0]
    assert edges(plan(topology, residual, Demand((1, 1), (5, 5), (5, 5), 5))) == []
    assert edges(plan(topology, residual, Demand((), (), ()))) == []


def test_a_refusal_names_who_is_cut_off_and_the_scarcest_trunk() -> None:
    topology, residual = from_pairs(4, [(0, 1), (1, 2), (1, 2), (2, 3)], capacity=100)
    residual.upstream[1], residual.downstream[2] = 4, 7
    demand = demand_of((0, 10, 10), (1, 10, 10), (3, 10, 10))
    facts = {"trunks": ["t1", "t2"], "scarcest": "t1", "lacks": 6, "left_out": []}
    here = ({"cut_off": ["v3"], "joined": ["v0", "v1"]}, [0, 1])
    there = ({"cut_off": ["v0", "v1"], "joined": ["v3"]}, [2, 3])
    outcomes = []
    for who, near in (here, there):
        reason = f"{', '.join(who['cut_off'])} cannot be joined with {', '.join(who['joined'])}"
        told = f"{reason}: of 2 trunks between them t1 lacks 6 kbit/s"
        outcomes.append(NoTree(told, True, who | facts | {"certificate": {"kind": "cut", "near": near}}))
    assert plan(topology, residual, demand, complete=False) in outcomes
    more = {
        "cut": [{"trunk": "t1", "upstream": 6, "downstream": 0}, {"trunk": "t2", "upstream": 0, "downstream": 3}],
        "extra": {"trunk": "t2", "upstream": 0, "downstream": 3, "out": False},
        "extra_known": True,
    }
    explained = plan(topology, residual, demand)
    assert explained in [
        NoTree(f"{plain.reason}; 3 kbit/s more downstream on t2 would do", True, plain.facts | more)
        for plain in outcomes
    ]


@pytest.mark.parametrize(
    ("left", "reason"),
    [
        ((0, 0), "no trunk between them has anything left (t0)"),
        ((600, 4), "the only trunk between them, t0 lacks 6 kbit/s"),
        ((4, 10), "the only trunk between them, t0 lacks 596 kbit/s"),
    ],
)
def test_a_pair_that_does_not_fit_is_a_proof(left: tuple[int, int], reason: str) -> None:
    topology, residual = line(2)
    residual.upstream[0], residual.downstream[0] = left
    outcome = plan(topology, residual, demand_of((0, 600, 10), (1, 10, 600)))
    assert isinstance(outcome, NoTree)
    assert reason in outcome.reason
    assert outcome.proved


def test_where_no_trunk_is_the_refusal_says_so() -> None:
    topology, residual = from_pairs(12, [(0, 1)])
    outcome = plan(topology, residual, demand_of(*((vertex, 1, 1) for vertex in range(12))))
    assert isinstance(outcome, NoTree)
    assert "no trunk leads from one to the other" in outcome.reason
    assert "and " in outcome.reason
    assert outcome.facts["scarcest"] is None


def test_the_only_trunk_that_falls_short_of_its_load_is_a_proof() -> None:
    topology, residual = line(4, capacity=100)
    residual.upstream[1] = 15
    outcome = plan(topology, residual, demand_of((0, 10, 10), (1, 10, 10), (2, 10, 10), (3, 10, 10)))
    assert isinstance(outcome, NoTree)
    assert outcome.proved
    assert outcome.facts["scarcest"] == "t1"
    assert outcome.facts["lacks"] == 5
    assert outcome.facts["extra"] == {"trunk": "t1", "upstream": 5, "downstream": 0, "out": False}
    plain = plan(topology, residual, demand_of((0, 10, 10), (1, 10, 10), (2, 10, 10), (3, 10, 10)), complete=False)
    assert isinstance(plain, NoTree)
    assert plain.facts["left_out"] == ["t1"]


def test_before_it_refuses_the_complete_search_is_asked() -> None:
    # In the middle four arms of 10 each would meet; the rule's first tree gathers 20 on a trunk at the edge.
    topology, residual = grid(5, 5, capacity=15)
    corners = demand_of((0, 10, 10), (4, 10, 10), (20, 10, 10), (24, 10, 10))
    assert isinstance(plan(topology, residual, corners, work=1, complete=False), NoTree)
    outcome = plan(topology, residual, corners, work=1)
    assert isinstance(outcome, Tree)
    assert outcome.note == "found by the complete search"
    assert outcome.cost == 16_000
    for edge, _ in topology.neighbours[0]:
        residual.upstream[edge] = 9
    refused = plan(topology, residual, corners, work=1)
    assert isinstance(refused, NoTree)
    assert refused.proved


def test_bare_topologies_are_told_by_number() -> None:
    bare = Topology(2, [0], [1], [1], [])
    outcome = plan(bare, Residual([1], [1]), demand_of((0, 2, 2), (1, 2, 2)))
    assert isinstance(outcome, NoTree)
    assert outcome.reason.endswith(
        "the only trunk between them, 0 lacks 1 kbit/s; 1 kbit/s more each way on 0 would do"
    )


def test_the_bound_on_the_work_is_told_and_is_no_proof() -> None:
    topology, residual = grid(5, 5, capacity=15)
    corners = demand_of((0, 10, 10), (4, 10, 10), (20, 10, 10), (24, 10, 10))
    outcome = plan(topology, residual, corners, work=1, complete=False)
    assert isinstance(outcome, NoTree)
    assert not outcome.proved
    assert "within the bound on the work: 1 trunks were left out" in outcome.reason
    assert outcome.facts["lacks"] == 5


@pytest.mark.parametrize("capacity", [10, 15, 40, 100, 330, 100_000])
def test_sixty_four_terminals_on_128_switches_end(capacity: int) -> None:
    topology, residual = barabasi_albert(128, 2, seed=1, capacity=capacity)
    planner = Bast().planner(topology)
    random = Random(capacity)
    demand = demand_of(
        *((place, random.choice((10, 40)), random.choice((10, 40))) for place in random.sample(range(128), 64))
    )
    outcome = within_deadline(lambda: planner.plan(demand, residual))
    if isinstance(outcome, Tree):
        assert not check_fits(tree_loads(topology, outcome.edges, demand), residual)
    assert isinstance(outcome, Tree) == (capacity == 100_000)


def test_the_seed_decides_where_a_tree_begins_and_nothing_else_does() -> None:
    topology, residual = grid(5, 5)
    demand = demand_of((0, 1, 1), (12, 1, 1), (24, 1, 1), (4, 1, 1), (20, 1, 1))
    by_seed = {seed: plan(topology, residual, demand, seed=seed) for seed in range(8)}
    assert len({edges for outcome in by_seed.values() if isinstance(outcome, Tree) for edges in [outcome.edges]}) > 1
    planner = Bast(seed=5).planner(topology)
    planner.plan(demand_of((1, 1, 1), (2, 1, 1)), residual)
    assert planner.plan(demand, residual) == by_seed[5]


@pytest.mark.parametrize("settings", [{"seed": "1"}, {"seed": True}, {"work": 0}, {"work": 1.5}, {"complete": 1}])
def test_bad_settings_are_refused_by_name(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        Bast(**settings)
    assert caught.value.path == next(iter(settings))
