"""What the benches ask for, and the ground on which it is booked."""

from collections import Counter
from random import Random

import pytest
from attrs import evolve
from dpb_pathcomp.bench.demands import Mix, volume
from dpb_pathcomp.bench.ground import Ground
from dpb_pathcomp.bench.topologies import topology
from dpb_pathcomp.bench.workload import Link, Workload

from dpb_framework.contracts.algorithm import Demand
from dpb_framework.errors import ConfigInvalid, PlanInvalid

NETWORK = topology("ba:20")
LINE = Workload(("a", "b", "c"), (Link(0, 1, 10, 100, 2), Link(1, 2, 10, 100, 9)))


def drawn(mix: Mix, count: int = 300, network: Workload = NETWORK) -> list[Demand]:
    random = Random(3)
    source = mix.source(network)
    return [source.draw(random) for _ in range(count)]


def test_terminals_are_at_different_nodes_and_evenly_many() -> None:
    demands = drawn(Mix(10, 2, 4))
    assert all(len(set(demand.vertices)) == len(demand.vertices) for demand in demands)
    sizes = Counter(len(demand.vertices) for demand in demands)
    assert set(sizes) == {2, 3, 4}
    assert min(sizes.values()) > 60
    assert all(set(demand.ingress + demand.egress) == {10} and demand.least == 10 for demand in demands)


def test_unequal_rates_lie_between_a_tenth_and_the_whole() -> None:
    demands = drawn(Mix(1000, 2, 8, unequal=True))
    rates = [rate for demand in demands for rate in demand.ingress + demand.egress]
    assert (min(rates) >= 100, max(rates) <= 1000, len(set(rates)) > 500) == (True, True, True)
    assert all(demand.least == min(demand.ingress + demand.egress) for demand in demands)


def test_with_traffic_pairs_come_in_proportion_to_it() -> None:
    network = evolve(NETWORK, traffic=((0, 1, 1.0), (2, 3, 3.0)))
    pairs = Counter(demand.vertices for demand in drawn(Mix(10, 2, 2, traffic=True), 800, network))
    assert set(pairs) == {(0, 1), (2, 3)}
    assert 2.3 < pairs[2, 3] / pairs[0, 1] < 3.9


def test_with_traffic_further_terminals_are_those_that_exchange_most_with_the_others() -> None:
    network = evolve(NETWORK, traffic=((0, 1, 9.0), (2, 1, 1.0), (0, 2, 1.0), (3, 0, 6.0)))
    triples = Counter(frozenset(demand.vertices) for demand in drawn(Mix(10, 3, 3, traffic=True), 2000, network))
    assert set(triples) == {frozenset(three) for three in ((0, 1, 2), (0, 1, 3), (0, 2, 3))}
    # After 0 and 1 (9 of 17 pairs), 3 is chosen three times as often as 2; after 3 and 0 (6), 1 nine times as often.
    expected = {(0, 1, 3): 9 * 6 / 8 + 6 * 9 / 10, (0, 2, 3): 6 * 1 / 10 + 1 * 6 / 16}
    for three, share in expected.items():
        assert abs(triples[frozenset(three)] / 2000 - share / 17) < 0.04


def test_with_traffic_nodes_that_exchange_nothing_fill_up_evenly() -> None:
    network = evolve(NETWORK, traffic=((0, 1, 1.0),))
    thirds = Counter(demand.vertices[2] for demand in drawn(Mix(10, 3, 3, traffic=True), 1800, network))
    assert set(thirds) == set(range(2, 20))
    assert max(thirds.values()) < 2 * min(thirds.values())
    assert all(len(set(demand.vertices)) == 3 for demand in drawn(Mix(10, 3, 3, traffic=True), 50, network))


def test_the_same_seed_gives_the_same_demands() -> None:
    assert drawn(Mix(10, traffic=True), 20, evolve(NETWORK, traffic=((0, 1, 1.0), (1, 4, 2.0)))) == drawn(
        Mix(10, traffic=True), 20, evolve(NETWORK, traffic=((0, 1, 1.0), (1, 4, 2.0)))
    )
    assert drawn(Mix(10, unequal=True)) == drawn(Mix(10, unequal=True))


def test_a_network_that_cannot_have_such_demands() -> None:
    with pytest.raises(ConfigInvalid, match="--terminals: 21 terminals, and there are 20 nodes"):
        Mix(10, 2, 21).source(NETWORK)
    with pytest.raises(ConfigInvalid, match="--traffic: the topology has no traffic of its own"):
        Mix(10, traffic=True).source(NETWORK)


def test_the_volume_is_all_rates() -> None:
    assert volume(Demand((0, 1), (10, 20), (3, 4))) == 37


DEMAND = Demand((0, 2), (30, 5), (10, 20), 5)
"""20 one way, 5 back."""


def test_what_is_taken_is_booked_each_way_and_comes_back() -> None:
    ground = Ground(LINE)
    loads = ground.take((0, 1), DEMAND, "mine")
    assert (ground.residual.upstream, ground.residual.downstream) == ([80, 80], [95, 95])
    assert ground.held == 50
    ground.give_back(loads)
    assert (ground.residual.upstream, ground.residual.downstream) == ([100, 100], [100, 100])
    assert ground.held == 0


def test_a_trunk_without_a_label_is_out() -> None:
    ground = Ground(LINE)
    loads = ground.take((0, 1), DEMAND, "mine")
    ground.take((0, 1), DEMAND, "mine")
    assert (ground.residual.upstream, ground.residual.downstream) == ([0, 60], [0, 90])
    ground.give_back(loads)
    assert (ground.residual.upstream, ground.residual.downstream) == ([80, 80], [95, 95])


@pytest.mark.parametrize(
    ("edges", "text"),
    [((0,), "vertex|c is not joined"), ((0, 1, 1), "b-c.1 is proposed twice"), ((0, 1), "a-b.0 has not the room")],
)
def test_an_algorithm_that_proposes_what_does_not_hold_is_named(edges: tuple[int, ...], text: str) -> None:
    ground = Ground(LINE)
    ground.take((0,), Demand((0, 1), (90, 90), (90, 90), 90), "mine")
    with pytest.raises(PlanInvalid, match=rf"algorithm 'mine' has a fault, there is no plan that holds: .*({text})"):
        ground.take(edges, DEMAND, "mine")
    assert ground.held == 180
