"""The cheapest tree of a request when trunks have prices: the pricing problem of the LP over trees.

A price is for a kbit/s of load in one direction of a trunk, or for one of its labels. Dynamic programming over
(switch, terminals gathered there), in the manner of Dreyfus and Wagner, with one terminal as the root. It may visit a
switch twice where prices differ by direction, so its cost is a lower bound on that of every tree; most often it is a
tree. It shares no code with the algorithms that are judged by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from math import inf

from attrs import frozen

from dpb_framework.contracts.algorithm import Demand, Residual, Topology

HOP = 1e-7
"""Added for each trunk: of trees that cost nothing a small one is found."""

_Arcs = list[list[tuple[int, float, int]]]
"""For each switch (other switch, cost, edge)."""


@frozen
class Offer:
    """What a request costs at least, and the edges used for that; no edge twice, but perhaps circles."""

    cost: float
    edges: frozenset[int]


class Pricer:
    """Answers for one network and one list of prices."""

    def __init__(
        self, topology: Topology, capacity: Residual, up: Sequence[float], down: Sequence[float], each: Sequence[float]
    ) -> None:
        self._topology = topology
        self._capacity = capacity
        self._prices = (up, down, each)
        self._arcs: dict[tuple[int, int], _Arcs] = {}

    def cheapest(self, demand: Demand, limit: float) -> Offer | None:
        """Return what serving *demand* (at distinct switches) costs at least; None when that is *limit* or more."""
        *others, root = demand.vertices
        bit = {vertex: 1 << place for place, vertex in enumerate(others)}
        full = (1 << len(others)) - 1
        count = self._topology.vertices
        cost: list[list[float]] = [[]]
        via: list[list[tuple[int, int]]] = [[]]
        for gathered in range(1, full + 1):
            best = [inf] * count
            came = [(-1, -1)] * count
            if gathered.bit_count() == 1:
                best[others[gathered.bit_length() - 1]] = 0.0
            for part in _parts(gathered):
                one, two = cost[part], cost[gathered ^ part]
                for vertex, low in enumerate(one):
                    if low + two[vertex] < best[vertex]:
                        best[vertex] = low + two[vertex]
                        came[vertex] = (-1, part)
            # Who sits on a switch joins before the others leave it; the root is never left.
            stays = [vertex for vertex, mark in bit.items() if not mark & gathered] + [root]
            self._spread(self._at(*_load(demand, gathered)), best, came, stays, limit)
            cost.append(best)
            via.append(came)
        if not cost[full][root] < limit:
            return None
        return Offer(cost[full][root], frozenset(_trace(via, full, root)))

    def _at(self, away: int, back: int) -> _Arcs:
        """Return the arcs that have room for that load, at its price."""
        found = self._arcs.get((away, back))
        if found is None:
            found = self._arcs[away, back] = self._priced(away, back)
        return found

    def _priced(self, away: int, back: int) -> _Arcs:
        topology, capacity = self._topology, self._capacity
        arcs: _Arcs = [[] for _ in range(topology.vertices)]
        for edge, (tail, head, up, down, each) in enumerate(
            zip(topology.tails, topology.heads, *self._prices, strict=True)
        ):
            room_up, room_down = capacity.upstream[edge], capacity.downstream[edge]
            if tail == head or not (room_up or room_down):
                continue
            if room_up >= away and room_down >= back:
                arcs[tail].append((head, away * up + back * down + each + HOP, edge))
            if room_up >= back and room_down >= away:
                arcs[head].append((tail, away * down + back * up + each + HOP, edge))
        return arcs

    def _spread(
        self, arcs: _Arcs, best: list[float], came: list[tuple[int, int]], stays: Sequence[int], limit: float
    ) -> None:
        """Carry what is gathered at some switches to all others, by Dijkstra."""
        heap = [(value, vertex) for vertex, value in enumerate(best) if value < limit]
        heapify(heap)
        while heap:
            value, vertex = heappop(heap)
            if value > best[vertex] or vertex in stays:
                continue
            for other, step, edge in arcs[vertex]:
                reached = value + step
                if reached < best[other] and reached < limit:
                    best[other] = reached
                    came[other] = (edge, vertex)
                    heappush(heap, (reached, other))


def _load(demand: Demand, gathered: int) -> tuple[int, int]:
    """Return what a trunk carries that has the terminals *gathered* on its near side: away from them, and back."""
    inward = outward = 0
    for place, (ingress, egress) in enumerate(zip(demand.ingress, demand.egress, strict=True)):
        if gathered >> place & 1:
            inward += ingress
            outward += egress
    return min(inward, sum(demand.egress) - outward), min(outward, sum(demand.ingress) - inward)


def _parts(gathered: int) -> Iterator[int]:
    """Yield one of each two sets that *gathered* can be divided into."""
    part = (gathered - 1) & gathered
    while part > gathered ^ part:
        yield part
        part = (part - 1) & gathered


def _trace(via: list[list[tuple[int, int]]], gathered: int, vertex: int) -> Iterator[int]:
    """Yield the edges by which *gathered* came to *vertex*."""
    waiting = [(gathered, vertex)]
    while waiting:
        gathered, vertex = waiting.pop()
        edge, where = via[gathered][vertex]
        if edge >= 0:
            yield edge
            waiting.append((gathered, where))
        elif where >= 0:
            waiting += [(where, vertex), (gathered ^ where, vertex)]
