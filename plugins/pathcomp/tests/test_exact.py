"""The complete search and `adaptive`: what is chosen, what is told, where they give up."""

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from attrs import evolve
from dpb_pathcomp.adaptive import Adaptive
from dpb_pathcomp.exact import Exact
from dpb_pathcomp.weights import COSTS, EXPONENTIALS

from dpb_framework.contracts.algorithm import Algorithm, Demand, NoTree, Outcome, Residual, Topology, Tree
from dpb_framework.errors import ConfigInvalid
from dpb_framework.networks.tree import check_fits, tree_loads
from dpb_framework.testing.algorithm import verify, within_deadline
from dpb_framework.testing.instances import demand_of
from dpb_framework.testing.topologies import barabasi_albert, from_pairs, grid, line, ring


def plan(algorithm: Algorithm, topology: Topology, residual: Residual, demand: Demand) -> Outcome:
    outcome = algorithm.planner(topology).plan(demand, residual)
    verify(topology, demand, residual, outcome)
    return outcome


def edges(outcome: Outcome) -> list[int]:
    assert isinstance(outcome, Tree), outcome
    return sorted(outcome.edges)


def refused(outcome: Outcome) -> NoTree:
    assert isinstance(outcome, NoTree), outcome
    assert outcome.proved
    return outcome


def split() -> tuple[Topology, Residual, Demand]:
    """A (rate 5) and C (1) behind v, B (100) beyond two ways, with 5 left on one and 1 on the other."""
    # v0: v; v1: A; v2: C; v3: B; v4 and v5 on the ways
    topology, residual = from_pairs(6, [(1, 0), (2, 0), (0, 4), (4, 3), (0, 5), (5, 3)], capacity=1000)
    for edge, left in ((2, 5), (3, 5), (4, 1), (5, 1)):
        residual.upstream[edge] = residual.downstream[edge] = left
    return topology, residual, demand_of((1, 5, 5), (2, 1, 1), (3, 100, 100))


@pytest.mark.parametrize("algorithm", [Exact(cost="hops"), Exact(), Adaptive()])
def test_two_terminals_that_would_go_different_ways_are_no_tree(algorithm: Algorithm) -> None:
    topology, residual, demand = split()
    outcome = refused(plan(algorithm, topology, residual, demand))
    assert outcome.facts["certificate"]["kind"] == "branches"
    assert (
        outcome.facts["extra"] == {"trunk": "t2", "upstream": 1, "downstream": 1, "out": False}
        or outcome.facts["extra"] is None
    ), "each way has two thin trunks"
    residual.upstream[2] = residual.upstream[3] = residual.downstream[2] = residual.downstream[3] = 6
    assert edges(plan(algorithm, topology, residual, demand)) == [0, 1, 2, 3]


def test_costs_choose_differently() -> None:
    # From v0 to v1: t0 is one hop, slow and thin; t1-t2 two hops, quick, hardly used; t3-t4 two hops, thick but used.
    topology, residual = from_pairs(4, [(0, 1), (0, 2), (2, 1), (0, 3), (3, 1)])
    topology = Topology(4, topology.tails, topology.heads, [900, 10, 10, 20, 20], topology.names, topology.vertex_names)
    left = [2_000, 50_000, 50_000, 90_000, 90_000]
    capacity = [2_000, 50_000, 50_000, 9_000_000, 9_000_000]
    residual = Residual(left, left.copy(), capacity, capacity.copy())
    demand = demand_of((0, 1000, 1000), (1, 1000, 1000))
    chosen = {name: edges(plan(Exact(cost=name), topology, residual, demand)) for name in COSTS}
    assert chosen == {"hops": [0], "delay": [1, 2], "load": [3, 4], "exponential": [0]}
    residual.upstream[0] = 1_000  # half of it is used
    assert edges(plan(Exact(cost="exponential"), topology, residual, demand)) == [1, 2]


def test_costs_are_in_their_own_units() -> None:
    topology, residual = line(3, capacity=10_000, delay=70)
    demand = demand_of((0, 2000, 3000), (2, 4000, 5000))
    # 2000 one way, 3000 the other; 1 + 64000 / 10
    wanted = {"hops": 2, "delay": 140, "load": 2 * 6401 * 5000, "exponential": 2 * 64 * 5000}
    for name, cost in wanted.items():
        outcome = plan(Exact(cost=name), topology, residual, demand)
        assert isinstance(outcome, Tree)
        assert outcome.cost == cost, name


def test_the_exponential_weight_grows_a_thousandfold() -> None:
    assert (EXPONENTIALS[0], EXPONENTIALS[32], EXPONENTIALS[64]) == (64, 2048, 65536)
    assert all(one < other for one, other in pairwise(EXPONENTIALS))
    weigh = COSTS["exponential"].weigh
    assert weigh(0, 50, 100, 100, 100) == weigh(0, 100, 50, 100, 100) == 2048
    assert weigh(0, 0, 5, 0, 0) == 64, "what is not known counts as unused"
    assert weigh(0, 900, 900, 100, 100) == 64, "and so does more than there should be"


def test_load_weighs_the_direction_with_less_left() -> None:
    weigh = COSTS["load"].weigh
    assert weigh(0, 10_000, 64_000_000, 0, 0) == 6401
    assert weigh(0, 0, 64_000_000, 0, 0) == weigh(0, 999, 999, 0, 0) == weigh(0, 1999, 1999, 0, 0) == 64_001
    assert weigh(0, 10**9, 10**9, 0, 0) == 1


def test_what_the_service_uses_already_is_kept() -> None:
    topology, residual = ring(6)
    for name in COSTS:
        demand = demand_of((0, 1, 1), (2, 1, 1), prefer=frozenset({2, 3, 4, 5}))
        assert edges(plan(Exact(cost=name), topology, residual, demand)) == [2, 3, 4, 5]
        more = demand_of((0, 1, 1), (2, 1, 1), (4, 1, 1), prefer=frozenset({2, 3, 4, 5}))
        outcome = plan(Exact(cost=name), topology, residual, more)
        assert edges(outcome) == [2, 3, 4, 5]
        assert isinstance(outcome, Tree)
        assert name != "hops" or outcome.cost == 4, "the cost is that of the tree, kept or not"


def test_residuals_are_followed_wherever_they_change() -> None:
    random = Random(4)
    topology, residual = barabasi_albert(300, 2, seed=4, capacity=50)  # more edges than are compared at once
    planner = Exact(cost="load").planner(topology)
    for _ in range(40):
        for edge in random.sample(range(len(topology.tails)), 5):
            residual.upstream[edge] = residual.downstream[edge] = random.choice((0, 10, 50, 5000))
        demand = demand_of(*((vertex, 10, 10) for vertex in random.sample(range(300), 3)))
        assert planner.plan(demand, residual) == Exact(cost="load").planner(topology).plan(demand, residual)
        other = residual.without([0, 1])
        assert planner.plan(demand, other) == Exact(cost="load").planner(topology).plan(demand, other)


def test_unequal_rates_that_the_quick_rule_gives_up_are_served() -> None:
    # v1 sends 10, v2 and v3 receive 4 each and send 1 each; v0 to v3 round a ring with a chord.
    topology, residual = from_pairs(5, [(0, 1), (1, 2), (2, 3), (3, 0), (1, 3), (0, 4)], capacity=6)
    demand = demand_of((0, 1, 4), (1, 10, 1), (2, 1, 4))
    assert isinstance(plan(Exact(cost="hops"), topology, residual, demand), Tree)


def test_a_terminal_in_the_middle_of_the_way_joins() -> None:
    topology, residual = line(5, capacity=20)
    demand = demand_of((0, 10, 10), (2, 10, 10), (4, 10, 10))
    assert edges(plan(Exact(), topology, residual, demand)) == [0, 1, 2, 3]


def test_nobody_listens_and_nothing_is_needed() -> None:
    topology, residual = line(3, capacity=1)
    quiet = demand_of((0, 5, 0), (2, 7, 0))
    outcome = plan(Exact(), topology, residual, quiet)
    assert isinstance(outcome, Tree)
    assert outcome.cost == 2 * 64_001


def test_a_bound_on_the_work_that_is_met_is_told_and_is_no_refusal() -> None:
    topology, residual = grid(5, 5, capacity=20)
    demand = demand_of(*((vertex, 10, 5) for vertex in (0, 4, 20, 24, 12)))
    best = plan(Exact(cost="delay"), topology, residual, demand)
    outcome = plan(Exact(cost="delay", work=900), topology, residual, demand)
    assert isinstance(best, Tree)
    assert isinstance(outcome, Tree)
    assert outcome.cost >= best.cost
    assert outcome.note == "the bound on the work was met: there may be a cheaper tree"
    nothing = plan(Exact(cost="delay", work=1), topology, residual, demand)
    assert isinstance(nothing, NoTree)
    assert not nothing.proved
    assert nothing.reason == (
        "given up: no tree joining v0, v4, v20, v24, v12 was found within the bound on the work, nor a proof of none"
    )


def test_adaptive_asks_bast_where_the_search_gives_up() -> None:
    topology, residual = grid(5, 5, capacity=20)
    demand = demand_of(*((vertex, 10, 5) for vertex in (0, 4, 20, 24, 12)))
    outcome = plan(Adaptive(work=1), topology, residual, demand)
    assert isinstance(outcome, Tree)
    assert outcome.note.startswith("by bast, for the complete search gave up")
    residual.upstream[:] = [12] * len(residual.upstream)
    refusal = plan(Adaptive(work=1), topology, residual, demand_of(*((vertex, 10, 10) for vertex in (0, 2, 4, 7, 20))))
    assert isinstance(refusal, NoTree)
    assert not refusal.proved
    assert refusal.reason.endswith("the complete search gave up, so a tree may exist")
    for edge, _ in topology.neighbours[0]:
        residual.upstream[edge] = residual.downstream[edge] = 1
    refused(plan(Adaptive(work=1), topology, residual, demand))


@pytest.mark.parametrize("algorithm", [Exact(), Adaptive()])
def test_sixty_four_terminals_are_given_up_at_once_or_asked_of_bast(algorithm: Algorithm) -> None:
    topology, residual = barabasi_albert(128, 2, seed=1)
    demand = demand_of(*((place, 10, 10) for place in Random(1).sample(range(128), 64)))
    planner = algorithm.planner(topology)
    outcome = within_deadline(lambda: planner.plan(demand, residual))
    if isinstance(algorithm, Exact):
        assert isinstance(outcome, NoTree)
        assert outcome.reason.startswith("given up")
    else:
        assert isinstance(outcome, Tree)
        assert not check_fits(tree_loads(topology, outcome.edges, demand), residual)


def test_what_must_be_passed_is_passed() -> None:
    topology, residual = grid(3, 3)  # 0 1 2 / 3 4 5 / 6 7 8
    demand = demand_of((0, 10, 10), (2, 10, 10))
    by_vertex = evolve(demand, pass_vertices=frozenset({7}))
    outcome = plan(Exact(cost="hops"), topology, residual, by_vertex)
    assert len(edges(outcome)) == 6
    corner = evolve(demand, pass_vertices=frozenset({8, 0}))  # v0 is a terminal: it is passed anyway
    assert len(edges(plan(Exact(cost="hops"), topology, residual, corner))) == 6
    edge = topology.names.index(topology.names[5])
    by_edge = evolve(demand, pass_edges=frozenset({edge}))
    assert edge in edges(plan(Exact(cost="hops"), topology, residual, by_edge))
    twice = evolve(demand, pass_edges=frozenset(number for number, _ in topology.neighbours[4]))
    outcome = plan(Exact(cost="hops"), topology, residual, twice)
    assert refused(outcome).reason.startswith("no tree joins v0, v2 by way of t"), "some arm would end at no terminal"


def test_one_terminal_passes_nothing() -> None:
    topology, residual = line(3)
    lonely = evolve(demand_of((0, 10, 10)), pass_vertices=frozenset({1}))
    assert "v0 by way of v1" in refused(plan(Exact(), topology, residual, lonely)).reason
    there = evolve(demand_of((1, 10, 10)), pass_vertices=frozenset({1}))
    assert edges(plan(Exact(), topology, residual, there)) == []


def with_delays(topology: Topology, delays: list[int]) -> Topology:
    return Topology(topology.vertices, topology.tails, topology.heads, delays, topology.names, topology.vertex_names)


def test_a_bound_on_the_delay_is_kept_proved_or_given_up() -> None:
    topology, residual = ring(5)
    slow = with_delays(topology, [100, 10, 10, 10, 10])
    demand = demand_of((0, 1, 1), (1, 1, 1))
    assert edges(plan(Exact(cost="hops"), slow, residual, demand)) == [0]
    outcome = plan(Exact(cost="hops"), slow, residual, evolve(demand, max_delay=40))
    assert edges(outcome) == [1, 2, 3, 4]
    assert isinstance(outcome, Tree)
    assert outcome.note.startswith("the bound on the delay ruled the cheapest tree out")
    outcome = refused(plan(Exact(cost="hops"), slow, residual, evolve(demand, max_delay=39)))
    assert outcome.reason.startswith("v0 and v1 are 40 us apart by the quickest way with room")
    assert outcome.facts["certificate"]["kind"] == "delay"
    # A ring of terminals, each next to the other: two of them are far apart in any tree, but no pair is far by itself.
    around = evolve(demand_of(*((vertex, 1, 1) for vertex in range(5))), max_delay=20)
    outcome = plan(Exact(cost="hops"), with_delays(topology, [10] * 5), residual, around)
    assert isinstance(outcome, NoTree)
    assert not outcome.proved
    assert outcome.reason.startswith("given up: no tree joining v0, v1, v2, v3, v4 within 20 us was found")


def test_trees_with_a_bound_on_the_delay_grow_from_a_good_middle() -> None:
    # The cheapest tree is the line of terminals; by way of the middle all are near each other.
    topology, residual = from_pairs(6, [(0, 1), (1, 2), (2, 3), *((4, vertex) for vertex in range(4)), (4, 5)])
    quick = with_delays(topology, [10, 10, 10, 10, 10, 10, 10, 10])
    demand = evolve(demand_of(*((vertex, 1, 1) for vertex in range(4))), max_delay=20)
    assert edges(plan(Exact(cost="hops"), quick, residual, demand)) == [3, 4, 5, 6]
    assert edges(plan(Adaptive(), quick, residual, demand)) == [3, 4, 5, 6]


@pytest.mark.parametrize("kind", [Exact, Adaptive])
@pytest.mark.parametrize("settings", [{"cost": "cheap"}, {"cost": 7}, {"work": 0}, {"work": True}, {"work": "1"}])
def test_bad_settings_are_refused_by_name(kind: type[Algorithm], settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        kind(**settings)
    assert caught.value.path == next(iter(settings))


def test_chords_and_trunks_are_alike() -> None:
    topology, residual = line(3, capacity=10)
    bare = Topology(3, topology.tails, topology.heads, topology.delays, [])
    refusal = refused(plan(Exact(), bare, residual, demand_of((0, 20, 10), (1, 10, 10), (2, 10, 20))))
    assert "0 lacks 10 kbit/s" in refusal.reason or "1 lacks 10 kbit/s" in refusal.reason
