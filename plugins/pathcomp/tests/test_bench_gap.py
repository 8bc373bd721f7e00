"""The upper bound by an LP over trees, on networks that can be checked by hand or by trying everything."""

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from random import Random

import pytest
from dpb_pathcomp.bench.columns import Bound, bound
from dpb_pathcomp.bench.ground import shape
from dpb_pathcomp.bench.pricing import Pricer
from dpb_pathcomp.bench.pruning import pruned
from dpb_pathcomp.bench.workload import Link, Workload

from dpb_framework.contracts.algorithm import Demand, Residual, Topology
from dpb_framework.networks.tree import Load, tree_loads

PAIR = Demand((0, 1), (6, 6), (6, 6), 6)


def limits(
    network: Workload, demands: Sequence[Demand], trees: Sequence[tuple[int, Sequence[int]]] = (), rounds: int = 99
) -> Bound:
    capacity = [link.capacity for link in network.links]
    labels = [link.labels for link in network.links]
    return bound(shape(network), Residual(capacity, capacity.copy()), labels, demands, trees, rounds=rounds)


def parallel(capacity: int, labels: int) -> Workload:
    return Workload(("a", "b"), (Link(0, 1, 10, capacity, labels), Link(0, 1, 10, capacity, labels)))


def test_two_trunks_by_capacity() -> None:
    found = limits(parallel(10, 300), [PAIR] * 9)
    assert found.settled
    assert found.accepted == 3  # 20 divided by 6: one more than fits undivided
    assert found.value == pytest.approx(20 / 6)
    assert found.relaxed == pytest.approx(20 / 6)


def test_two_trunks_by_labels() -> None:
    assert limits(parallel(1000, 2), [PAIR] * 9).accepted == 4


def test_all_fit() -> None:
    assert limits(parallel(1000, 300), [PAIR] * 9).accepted == 9


def test_each_way_counts_for_itself() -> None:
    network = Workload(("a", "b"), (Link(0, 1, 10, 10, 300),))
    there = Demand((0, 1), (5, 0), (0, 5))
    back = Demand((0, 1), (0, 5), (5, 0))
    assert limits(network, [there] * 9).accepted == 2
    assert limits(network, [there, back] * 9).accepted == 4


def test_who_cannot_be_joined_is_not_counted() -> None:
    network = Workload(("a", "b", "c"), (Link(0, 1, 10, 1000, 300),))
    assert (
        limits(network, [PAIR, Demand((0, 2), (1, 1), (1, 1), 1), Demand((0, 1), (2000,) * 2, (2000,) * 2)]).accepted
        == 1
    )


def test_fewer_rounds_give_a_bound_that_is_higher_and_says_so() -> None:
    network = Workload(("a", "b", "c"), tuple(Link(a, b, 10, 10, 300) for a, b in ((0, 1), (0, 1), (0, 2), (2, 1))))
    one, all_of_them = limits(network, [PAIR] * 9, rounds=1), limits(network, [PAIR] * 9)
    assert (one.settled, one.rounds) == (False, 1)
    assert all_of_them.settled
    assert one.accepted >= all_of_them.accepted == 5
    assert all_of_them.value == pytest.approx(5)


# -- beside trying everything -------------------------------------------------------------------


def small(random: Random) -> tuple[Workload, list[Demand]]:
    nodes = random.randint(3, 5)
    links = tuple(
        Link(*random.sample(range(nodes), 2), 10, random.choice((6, 10, 15)), random.choice((1, 2, 9)))
        for _ in range(random.randint(3, 6))
    )
    demands = []
    for _ in range(4):
        vertices = tuple(random.sample(range(nodes), random.randint(2, 3)))
        rates = [tuple(random.choice((1, 4, 6)) for _ in vertices) for _ in range(2)]
        demands.append(Demand(vertices, rates[0], rates[1], min(rates[0] + rates[1])))
    return Workload(tuple("abcde"[:nodes]), links), demands


def all_trees(topology: Topology, demand: Demand) -> Iterator[list[Load]]:
    for size in range(1, topology.vertices):
        for edges in combinations(range(len(topology.tails)), size):
            try:
                yield tree_loads(topology, edges, demand)
            except ValueError:
                continue


def most(network: Workload, demands: Sequence[Demand]) -> int:
    """How many can be accepted together: all choices of trees are tried."""
    topology = shape(network)
    choices = [[None, *all_trees(topology, demand)] for demand in demands]
    best = 0
    for chosen in product(*choices):
        used = [[0, 0, 0] for _ in network.links]
        for loads in chosen:
            for edge, up, down in loads or ():
                for place, more in enumerate((up, down, 1)):
                    used[edge][place] += more
        if all(
            up <= link.capacity and down <= link.capacity and labels <= link.labels
            for (up, down, labels), link in zip(used, network.links, strict=True)
        ):
            best = max(best, sum(loads is not None for loads in chosen))
    return best


@pytest.mark.parametrize("seed", range(12))
def test_no_choice_of_trees_accepts_more_than_the_bound(seed: int) -> None:
    network, demands = small(Random(seed))
    found = limits(network, demands)
    assert found.settled
    assert most(network, demands) <= found.accepted
    # With all trees there from the beginning it is the same LP.
    trees = [
        (number, [edge for edge, _, _ in loads])
        for number, demand in enumerate(demands)
        for loads in all_trees(shape(network), demand)
        if all(max(up, down) <= network.links[edge].capacity for edge, up, down in loads)
    ]
    assert limits(network, demands, trees).accepted == found.accepted


@pytest.mark.parametrize("seed", range(12))
def test_the_price_of_a_request_is_that_of_its_cheapest_tree(seed: int) -> None:
    random = Random(seed)
    network, demands = small(random)
    topology = shape(network)
    trunks = range(len(network.links))
    plenty = Residual([99 for _ in trunks], [99 for _ in trunks])
    same = [random.choice((0.0, 0.01, 0.02, 0.05)) for _ in trunks]
    other = [random.choice((0.0, 0.01, 0.02, 0.05)) for _ in trunks]
    each = [random.choice((0.0, 0.1)) for _ in trunks]
    for demand in demands:
        for up, down in ((same, same), (same, other)):
            costs = [
                sum(up[edge] * away + down[edge] * back + each[edge] for edge, away, back in loads)
                for loads in all_trees(topology, demand)
            ]
            offer = Pricer(topology, plenty, up, down, each).cheapest(demand, 99.0)
            if not costs:
                assert offer is None
                continue
            assert offer is not None
            assert offer.cost <= min(costs) + 1e-5
            if up is down:
                assert offer.cost == pytest.approx(min(costs), abs=1e-5)
            tree_loads(topology, pruned(topology, offer.edges, demand.vertices), demand)  # ValueError if it is no tree


def test_what_costs_too_much_is_no_offer() -> None:
    topology = shape(parallel(10, 3))
    capacity = Residual([10, 10], [10, 10])
    pricer = Pricer(topology, capacity, [0.1, 0.2], [0.1, 0.2], [0.0, 0.0])
    offer = pricer.cheapest(PAIR, 2.0)
    assert offer is not None
    assert offer.cost == pytest.approx(1.2, abs=1e-5)
    assert offer.edges == {0}
    assert pricer.cheapest(PAIR, 1.1) is None


def test_circles_and_dead_ends_are_pruned() -> None:
    links = [(0, 1), (1, 2), (2, 0), (2, 3), (1, 4)]
    topology = shape(Workload(tuple("abcde"), tuple(Link(a, b, 10, 10, 9) for a, b in links)))
    assert sorted(pruned(topology, range(5), (0, 3))) == [2, 3]
    assert sorted(pruned(topology, range(5), (0, 4, 3))) == [0, 2, 3, 4]
