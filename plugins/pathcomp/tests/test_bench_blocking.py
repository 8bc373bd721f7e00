"""Blocking, against what is known of it."""

import math
from collections.abc import Iterator
from random import Random

import pytest
from dpb_pathcomp.bast import Bast
from dpb_pathcomp.bench.blocking import Tally, arrivals, play
from dpb_pathcomp.bench.demands import Mix
from dpb_pathcomp.bench.estimates import Estimate
from dpb_pathcomp.bench.filling import Player, fill, saturation
from dpb_pathcomp.bench.ground import Ground
from dpb_pathcomp.bench.topologies import topology
from dpb_pathcomp.bench.workload import Link, Workload
from dpb_pathcomp.exact import Exact

from dpb_framework.contracts.algorithm import Demand, NoTree, Outcome, Planner, Residual, Tree
from dpb_framework.errors import PlanInvalid

SINGLE = Workload(("a", "b"), (Link(0, 1, 10, 10, 300),))
PAIR = Mix(1, 2, 2)


def erlang_b(servers: int, offered: float) -> float:
    blocked = 1.0
    for server in range(1, servers + 1):
        blocked = offered * blocked / (server + offered * blocked)
    return blocked


def player(network: Workload, planner: Planner | None = None) -> Player:
    ground = Ground(network)
    return Player("mine", planner or Bast().planner(ground.topology), ground)


def tallies(network: Workload, mix: Mix, load: float, requests: int, runs: int) -> list[Tally]:
    source = mix.source(network)
    services = load * saturation(network, source, 1)
    return [play(player(network), arrivals(source, services, requests, seed), None) for seed in range(runs)]


@pytest.mark.parametrize("load", [0.7, 1.2])
def test_on_a_single_trunk_it_is_erlangs_formula(load: float) -> None:
    """This is what defines the load: offered erlangs for each service that has room."""
    assert saturation(SINGLE, PAIR.source(SINGLE), 1) == 10
    found = Estimate.of([tally.blocking for tally in tallies(SINGLE, PAIR, load, 4000, 8)])
    assert abs(found.mean - erlang_b(10, 10 * load)) < found.half
    assert found.half < 0.02


def test_planners_are_told_of_capacities_so_that_they_can_weigh_by_utilisation() -> None:
    network = Workload(("a", "b", "c"), (Link(0, 1, 10, 10, 9), Link(0, 2, 10, 10, 9), Link(2, 1, 10, 10, 9)))
    ground = Ground(network)
    mine = Player("mine", Exact(cost="exponential").planner(ground.topology), ground)
    taken = [mine.offer(Demand((0, 1), (4, 4), (4, 4), 4))[0] for _ in range(2)]
    assert [sorted(edge for edge, *_ in loads or ()) for loads in taken] == [[0], [1, 2]]


def test_labels_are_servers_too() -> None:
    scarce = Workload(("a", "b"), (Link(0, 1, 10, 1000, 10),))
    assert saturation(scarce, PAIR.source(scarce), 1) == 10
    found = Estimate.of([tally.blocking for tally in tallies(scarce, PAIR, 0.9, 4000, 8)])
    assert abs(found.mean - erlang_b(10, 9)) < found.half


def test_with_equal_rates_and_pairs_both_kinds_of_blocking_are_the_same() -> None:
    (tally,) = tallies(SINGLE, PAIR, 1.0, 500, 1)
    assert tally.offered == 500
    assert tally.volume_blocking == tally.blocking > 0
    assert tally.reserved_each == 2


def test_the_sequence_is_the_same_for_all_loads_but_for_its_pace() -> None:
    source = Mix(100, 2, 4, unequal=True).source(topology("ba:10"))
    slow = list(arrivals(source, 2.0, 50, 9))
    fast = list(arrivals(source, 2.0, 50, 9))
    assert slow == fast
    twice = list(arrivals(source, 4.0, 42, 9))
    assert [demand for _, _, demand, _ in twice] == [demand for _, _, demand, _ in slow]
    assert [2 * now for now, _, _, _ in twice] == pytest.approx([now for now, _, _, _ in slow])
    assert sum(counts for _, _, _, counts in slow) == 50
    assert [counts for _, _, _, counts in slow[:9]] == [False] * 8 + [True]  # four holding times of two services


class Never(Planner):
    """Refuses everything, and says that it is proved."""

    def __init__(self, proved: bool) -> None:
        self._proved = proved

    def plan(self, demand: Demand, residual: Residual) -> Outcome:
        return NoTree("no", self._proved)


def one_request(counts: bool = True) -> Iterator[tuple[float, float, Demand, bool]]:
    yield 1.0, 2.0, Demand((0, 1), (1, 1), (1, 1), 1), counts


def judged(planner: Planner, oracle: Planner) -> tuple[int, int, int, int]:
    tally = play(player(SINGLE, planner), one_request(), oracle)
    return tally.refused, tally.false, tally.unknown, tally.false_proofs


def test_the_oracle_judges_refusals() -> None:
    right = Bast().planner(Ground(SINGLE).topology)
    assert judged(right, right) == (0, 0, 0, 0)
    assert judged(Never(proved=False), right) == (1, 1, 0, 0)
    assert judged(Never(proved=True), right) == (1, 1, 0, 1)
    assert judged(Never(proved=True), Never(proved=True)) == (1, 0, 0, 0)
    assert judged(Never(proved=True), Never(proved=False)) == (1, 0, 1, 0)


def test_what_does_not_count_is_not_judged() -> None:
    tally = play(player(SINGLE, Never(proved=True)), one_request(counts=False), Never(proved=False))
    assert tally == Tally()


class Wrong(Planner):
    """An oracle whose tree has no room."""

    def plan(self, demand: Demand, residual: Residual) -> Outcome:
        return Tree((0,))


def test_an_oracle_that_errs_is_an_error() -> None:
    full = player(SINGLE)
    full.ground.take((0,), Demand((0, 1), (10, 10), (10, 10), 10), "mine")
    with pytest.raises(PlanInvalid, match="the oracle"):
        play(full, one_request(), Wrong())


def test_filling_tells_the_first_refusal_and_the_end() -> None:
    # a-b has room for two pairs, b-c for four: which pairs come decides, but the sums are bounds.
    network = Workload(("a", "b", "c"), (Link(0, 1, 10, 2, 9), Link(1, 2, 10, 4, 9)))
    filled = fill(player(network), PAIR.source(network), Random(1), in_a_row=30)
    assert filled.first_refusal <= filled.accepted <= 6
    assert filled.reserved == 2 * (2 + 4)  # after thirty refusals in a row all is taken, both ways
    assert filled.volume == 4 * filled.accepted
    assert filled.offered >= filled.accepted + 30


def test_filling_with_a_number_of_requests_stops_there() -> None:
    filled = fill(player(SINGLE), PAIR.source(SINGLE), Random(1), requests=25)
    assert (filled.first_refusal, filled.accepted, filled.offered) == (10, 10, 25)
    filled = fill(player(SINGLE), PAIR.source(SINGLE), Random(1), requests=5)
    assert (filled.first_refusal, filled.accepted, filled.offered) == (5, 5, 5)


def test_estimates() -> None:
    one = Estimate.of([3.0])
    assert one.mean == 3
    assert math.isnan(one.half)
    several = Estimate.of([1.0, 2.0, 3.0])
    assert several.mean == 2
    assert several.half == pytest.approx(4.303 / math.sqrt(3))
    assert Estimate.of([1.0] * 40) == Estimate(1.0, 0.0)
