"""Trees for requests that bound the delay between their ends: a search within bounds, not a complete one.

Of all trees the one of shortest paths from a well chosen middle has short ways between its ends. Middles are tried in
the order of the two longest ways to them. For two ends the search is complete: the quickest path is short enough,
or none is.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import combinations

from dpb_framework.contracts.algorithm import Demand, Residual, Topology
from dpb_framework.networks.tree import check_constraints, check_fits, tree_loads
from dpb_pathcomp.loads import Ends
from dpb_pathcomp.problem import GaveUp, Work

MIDDLES = 24
"""So many vertices are tried as the middle of a tree."""

VISIT = 15
"""The work of a visit, in steps as the searches count them."""


def keeps(topology: Topology, edges: Sequence[int], demand: Demand) -> bool:
    """Whether a tree keeps the demand's constraints."""
    try:
        check_constraints(topology, edges, demand)
    except ValueError:
        return False
    return True


class Quickest:
    """The quickest ways between the ends of a request, over trunks that could carry some part of it."""

    def __init__(self, topology: Topology, demand: Demand, residual: Residual, work: Work) -> None:
        ends = Ends.of(demand)
        self._topology, self._demand, self._residual, self._work = topology, demand, residual, work
        self.places = ends.places
        least = min(*ends.ingress, *ends.egress)
        self._need = (least, least)
        if len(ends.places) == 2:  # it is known what every trunk of the path carries
            self._need = (min(ends.ingress[0], ends.egress[1]), min(ends.ingress[1], ends.egress[0]))
        self._delays, self._ways = zip(*(self._search(place) for place in ends.places), strict=True)

    def _search(self, start: int) -> tuple[dict[int, int], dict[int, tuple[int, int]]]:
        """Return for what can be reached from *start* the delay, and the edge and vertex by which one comes there."""
        if self._work.left < VISIT * self._topology.vertices:  # most often all of them are reached
            raise GaveUp
        away, back = self._need if start == self.places[0] else self._need[::-1]
        delays, ways = {start: 0}, {}
        upstream, downstream = self._residual.upstream, self._residual.downstream
        topology = self._topology
        heap = [(0, start)]
        done = set()
        while heap:
            delay, vertex = heappop(heap)
            if vertex in done:
                continue
            done.add(vertex)
            for edge, other in topology.neighbours[vertex]:
                forth, against = upstream[edge], downstream[edge]
                if not forth and not against:
                    continue
                if topology.tails[edge] != vertex:
                    forth, against = against, forth
                step = delay + topology.delays[edge]
                if forth >= away and against >= back and step < delays.get(other, step + 1):
                    delays[other] = step
                    ways[other] = (edge, vertex)
                    heappush(heap, (step, other))
        self._work.left -= VISIT * len(done)
        return delays, ways

    def too_far(self, most: int) -> tuple[int, int, int] | None:
        """Return two ends that are farther apart than *most*, and the least delay between them (-1: no way)."""
        for one, other in combinations(range(len(self.places)), 2):
            delay = self._delays[one].get(self.places[other], -1)
            if not 0 <= delay <= most:
                return self.places[one], self.places[other], delay
        return None

    def trees(self) -> list[tuple[int, ...]]:
        """Return trees that fit and keep the constraints, among those of quickest paths from a middle."""
        delays = self._delays
        common = set(delays[0]).intersection(*delays[1:])
        ranked = sorted(common, key=lambda v: (sum(sorted(d[v] for d in delays)[-2:]), sum(d[v] for d in delays), v))
        found: dict[tuple[int, ...], None] = {}
        for middle in ranked[:MIDDLES] if len(self.places) > 2 else self.places[:1]:
            try:
                edges = self._tree(middle)
            except GaveUp:
                break
            if edges not in found and self._fits(edges):
                found[edges] = None
        return list(found)

    def _tree(self, middle: int) -> tuple[int, ...]:
        """The quickest paths from *middle*; what lies on the way of one end is on the way of the next."""
        _, ways = self._search(middle) if middle not in self.places else (None, self._ways[self.places.index(middle)])
        joined = {middle}
        used: dict[int, int] = {middle: 0}
        edges = []
        for place in self.places:
            vertex = place
            while vertex not in joined and vertex in ways:
                edge, before = ways[vertex]
                edges.append(edge)
                joined.add(vertex)
                for end in (vertex, before):
                    used[end] = used.get(end, 0) + 1
                vertex = before
        while middle not in self.places and used[middle] == 1:  # the middle is the tip of a way that all ends share
            edge = next(e for e in edges if middle in (self._topology.tails[e], self._topology.heads[e]))
            edges.remove(edge)
            middle = self._topology.tails[edge] + self._topology.heads[edge] - middle
            used[middle] -= 1
        return tuple(edges)

    def _fits(self, edges: tuple[int, ...]) -> bool:
        try:
            loads = tree_loads(self._topology, edges, self._demand)
        except ValueError:
            return False
        return not check_fits(loads, self._residual) and keeps(self._topology, edges, self._demand)
