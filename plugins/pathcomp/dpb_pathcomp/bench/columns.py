"""An upper bound on what any algorithm could accept of a fixed set of requests: an LP over trees.

    maximise    sum of x(r, T) over requests r and trees T
    subject to  sum over T of x(r, T) <= 1                          for each request
                sum of x(r, T) * load of T on e, each way <= capacity   for each trunk, each way
                sum of x(r, T) for T with e <= labels                   for each trunk

Trees are added as they are needed (column generation): those that pay at the present prices of the trunks. Any prices
y >= 0 give a bound, whatever was added so far (Lagrange): y * capacity + sum over r of max(0, 1 - its cheapest tree).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from dpb_framework.contracts.algorithm import Demand, Residual, Topology
from dpb_framework.networks.tree import check_fits, tree_loads
from dpb_pathcomp.bench.extra import needed
from dpb_pathcomp.bench.pricing import HOP, Pricer
from dpb_pathcomp.bench.pruning import pruned

ENOUGH = 1e-6
"""A tree pays when it gains more than this."""

CAUTION = 0.5
"""How far prices stay with those that gave the best bound: they would swing otherwise."""


@frozen
class Bound:
    """No algorithm accepts more than `accepted` of the requests.

    `relaxed` is the bound before it was rounded down, `value` the LP's value over the trees found so far: when both are
    close, the LP is solved; `settled` tells that no more rounds were needed.
    """

    accepted: int
    relaxed: float
    value: float
    columns: int
    rounds: int
    settled: bool


def bound(
    topology: Topology,
    capacity: Residual,
    labels: Sequence[int],
    demands: Sequence[Demand],
    trees: Sequence[tuple[int, Sequence[int]]],
    *,
    rounds: int,
) -> Bound:
    """Return the bound for *demands* on an empty network of that *capacity*, kbit/s, and so many *labels* a trunk.

    It begins with *trees*: (number of the request, edges) pairs. `ConfigInvalid` without highspy.
    """
    master = _Master(topology, capacity, labels, len(demands))
    for number, edges in trees:
        master.add(topology, number, demands[number], edges)
    best, center = float(len(demands)), None
    for done in range(1, rounds + 1):
        value, worth, prices = master.solve()
        if math.floor(best + ENOUGH) <= math.floor(value + ENOUGH):
            return Bound(math.floor(best + ENOUGH), best, value, master.columns, done, True)
        tried = prices if center is None else center.towards(prices, 1 - CAUTION)
        total, added = _price(master, topology, capacity, demands, worth, prices, tried)
        if not added and center is not None:  # the cautious prices found nothing: those of the LP itself
            tried = prices
            total, added = _price(master, topology, capacity, demands, worth, prices, tried)
        if total < best:
            best, center = total, tried
        elif center is None:
            center = tried
        if not added:
            break
    return Bound(math.floor(best + ENOUGH), best, value, master.columns, done, not added)


@frozen
class Prices:
    """For a kbit/s up and down each trunk, and for a label of it."""

    up: Sequence[float]
    down: Sequence[float]
    each: Sequence[float]

    def towards(self, other: Prices, share: float) -> Prices:
        """Return prices that lie by *share* on the way to *other*."""
        return Prices(*(_between(here, there, share) for here, there in zip(self._all, other._all, strict=True)))

    def of(self, loads: Sequence[tuple[int, int, int]]) -> float:
        """Return what a tree costs."""
        return sum(self.up[edge] * up + self.down[edge] * down + self.each[edge] for edge, up, down in loads)

    @property
    def _all(self) -> tuple[Sequence[float], ...]:
        return self.up, self.down, self.each


def _between(here: Sequence[float], there: Sequence[float], share: float) -> list[float]:
    return [one + (two - one) * share for one, two in zip(here, there, strict=True)]


def _price(
    master: _Master,
    topology: Topology,
    capacity: Residual,
    demands: Sequence[Demand],
    worth: Sequence[float],
    prices: Prices,
    tried: Prices,
) -> tuple[float, int]:
    """Price requests at *tried*; return the bound that follows, and how many trees that pay at *prices* were added."""
    pricer = Pricer(topology, capacity, tried.up, tried.down, tried.each)
    total = master.value_of(tried)
    added = 0
    for number, demand in enumerate(demands):
        offer = pricer.cheapest(demand, 1.0)
        if offer is None:
            continue
        total += 1 - max(0.0, offer.cost - HOP * topology.vertices * len(demand.vertices))
        edges = pruned(topology, offer.edges, demand.vertices)
        loads = tree_loads(topology, edges, demand)
        if 1 - worth[number] - prices.of(loads) > ENOUGH and not check_fits(loads, capacity):
            added += master.add(topology, number, demand, edges)
    return total, added


class _Master:
    """The LP over the trees found so far. Rows: requests, then each trunk up, each trunk down, each trunk's labels."""

    def __init__(self, topology: Topology, capacity: Residual, labels: Sequence[int], requests: int) -> None:
        highspy = needed("highspy", "the bound")
        self._lp: Any = highspy.Highs()
        self._lp.setOptionValue("output_flag", False)
        self._requests = requests
        self._trunks = len(topology.tails)
        self._limits = [*capacity.upstream, *capacity.downstream, *labels]
        # Mbit/s: the solver likes coefficients near one.
        self._scale = [1000.0] * (2 * self._trunks) + [1.0] * self._trunks
        for _ in range(requests):
            self._lp.addRow(-highspy.kHighsInf, 1.0, 0, [], [])
        for limit, scale in zip(self._limits, self._scale, strict=True):
            self._lp.addRow(-highspy.kHighsInf, limit / scale, 0, [], [])
        self._known: set[tuple[int, frozenset[int]]] = set()

    @property
    def columns(self) -> int:
        """How many trees there are."""
        return len(self._known)

    def add(self, topology: Topology, number: int, demand: Demand, edges: Sequence[int]) -> bool:
        """Add a tree for a request; False when it is there already."""
        key = (number, frozenset(edges))
        if key in self._known:
            return False
        self._known.add(key)
        places, values = [number], [1.0]
        for edge, up, down in tree_loads(topology, edges, demand):
            for row, load in ((edge, up), (self._trunks + edge, down), (2 * self._trunks + edge, 1)):
                if load:
                    places.append(self._requests + row)
                    values.append(load / self._scale[row])
        self._lp.addCol(-1.0, 0.0, math.inf, len(places), places, values)  # it minimises
        return True

    def solve(self) -> tuple[float, list[float], Prices]:
        """Return the value, what each request is worth, and the prices."""
        self._lp.run()
        found = self._lp.getSolution()
        duals = [max(0.0, -dual) for dual in found.row_dual]
        trunks = [dual / scale for dual, scale in zip(duals[self._requests :], self._scale, strict=True)]
        many = self._trunks
        prices = Prices(trunks[:many], trunks[many : 2 * many], trunks[2 * many :])
        return -self._lp.getObjectiveValue(), duals[: self._requests], prices

    def value_of(self, prices: Prices) -> float:
        """Return what all trunks together are worth at *prices*."""
        every = (*prices.up, *prices.down, *prices.each)
        return math.fsum(price * limit for price, limit in zip(every, self._limits, strict=True))
