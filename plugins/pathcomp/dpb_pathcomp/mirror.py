"""The planner's own picture of the network: arcs with what is left and what they weigh, kept up with the residuals.

Between two requests few residuals change, and they change in place: lists of ints are compared a piece at a time,
which costs next to nothing where nothing changed, and only what changed is weighed again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import compress
from operator import ne
from typing import TypeAlias

from dpb_framework.contracts.algorithm import Residual, Topology
from dpb_pathcomp.weights import Cost

Arc: TypeAlias = tuple[int, int, int, int, int]
"""(weight, head, kbit/s left along the arc, kbit/s left against it, number of the arc)"""

Around: TypeAlias = list[list[Arc]]
"""For each vertex the arcs that leave it."""

CLOSED = -1
"""A distance that no search can improve on."""

FAR = 1 << 200
"""A distance that everything improves on."""

_PIECE = 256


def _differing(seen: Sequence[int], now: Sequence[int]) -> list[int]:
    """Where two lists of the same length differ."""
    found: list[int] = []
    for start in range(0, len(now), _PIECE):
        old, new = seen[start : start + _PIECE], now[start : start + _PIECE]
        if old != new:
            found += compress(range(start, start + len(new)), map(ne, old, new))
    return found


class Mirror:
    """Arc 2e leads from the tail of edge e to its head, arc 2e+1 back; both have the edge's weight.

    What is out has -1 left each way, so that a load of zero does not fit either. `heads` is by arc; the tail of an
    arc is the head of its other half. `version` grows with each change of a residual or weight, and `changes` gathers
    the edges, for who keeps a picture of their own.
    """

    def __init__(self, topology: Topology, cost: Cost) -> None:
        count = len(topology.tails)
        self.topology = topology
        self.cost = cost
        self.vertices = topology.vertices
        self.bits = max(1, topology.vertices.bit_length())
        self.mask = (1 << self.bits) - 1
        # The work of a visit; in large networks it takes longer, for what is needed lies far apart in memory.
        self.visit = 5 + max(0, self.bits - 10)
        self.heads = [end for ends in zip(topology.heads, topology.tails, strict=True) for end in ends]
        self.left = [-1] * (2 * count)
        self.weights = [cost.weigh(delay, 0, 0, 0, 0) for delay in topology.delays]
        self.heaviest = cost.heaviest or max([1, *topology.delays])
        self.changes: list[int] = list(range(count))
        self._seen: list[list[int]] = [[], [], [], []]
        self.around: Around = [[] for _ in range(topology.vertices)]
        self._place = [0] * (2 * count)
        for vertex, pairs in enumerate(topology.neighbours):
            for edge, other in pairs:
                arc = 2 * edge + (topology.heads[edge] == vertex)
                self._place[arc] = len(self.around[vertex])
                self.around[vertex].append((self.weights[edge], other, -1, -1, arc))
        self.hangs, self.blank = self._pendants()

    def _pendants(self) -> tuple[list[int], list[int]]:
        """For each vertex that hangs on the rest by one trunk the next one; and distances with all of these closed."""
        around = self.topology.neighbours
        degree = [len(pairs) for pairs in around]
        hangs = [-1] * self.vertices
        blank = [FAR] * self.vertices
        hanging = [vertex for vertex, many in enumerate(degree) if many == 1]
        for vertex in hanging:  # grows: what is left without these may hang in turn
            if degree[vertex] != 1:
                continue
            blank[vertex] = CLOSED
            degree[vertex] = 0
            other = next(other for _, other in around[vertex] if degree[other])
            hangs[vertex] = other
            degree[other] -= 1
            if degree[other] == 1:
                hanging.append(other)
        return hangs, blank

    def open_to(self, vertices: Collection[int]) -> list[int]:
        """Return the distances to begin a search among *vertices* with: what hangs elsewhere is closed."""
        blank, hangs = self.blank.copy(), self.hangs
        for vertex in vertices:
            while blank[vertex] < 0:
                blank[vertex] = FAR
                vertex = hangs[vertex]
        return blank

    def with_hanging(self, near: Collection[int], opened: Collection[int]) -> list[int]:
        """Return *near* with what hangs on it and was closed to a search among the vertices *opened*."""
        blank, inside = self.open_to(opened), set(near)
        for vertex in range(self.vertices):
            anchor = vertex
            while blank[anchor] < 0:
                anchor = self.hangs[anchor]
            if anchor in inside:
                inside.add(vertex)
        return sorted(inside)

    @contextmanager
    def lent(self, edge: int, upstream: int, downstream: int) -> Iterator[None]:
        """While it lasts *edge* has so much more left, kbit/s."""
        up, down = self._seen[0][edge], self._seen[1][edge]
        self._seen[0][edge], self._seen[1][edge] = up + upstream, down + downstream
        self._renew([edge])
        try:
            yield
        finally:
            self._seen[0][edge], self._seen[1][edge] = up, down
            self._renew([edge])

    def follow(self, residual: Residual) -> None:
        """Take over what changed in *residual* since the last time."""
        given = [residual.upstream, residual.downstream]
        if self.cost.by_residual:
            given += [residual.upstream_capacity, residual.downstream_capacity]
        changed: set[int] = set()
        for seen, now in zip(self._seen, given, strict=False):
            if seen == now:
                continue
            if len(seen) != len(now):
                seen[:] = now
                changed.update(range(len(self.weights)))
                continue
            for edge in changed:  # what differed one way mostly differs the other way too, and often nothing else does
                seen[edge] = now[edge]
            if seen != now:
                found = _differing(seen, now)
                for edge in found:
                    seen[edge] = now[edge]
                changed.update(found)
        if changed:
            self._renew(sorted(changed))

    def _renew(self, edges: Collection[int]) -> None:
        upstream, downstream, up_capacity, down_capacity = self._seen
        delays, heads = self.topology.delays, self.heads
        weigh, by_residual = self.cost.weigh, self.cost.by_residual
        for edge in edges:
            up, down = upstream[edge], downstream[edge]
            if by_residual:
                self.weights[edge] = weigh(
                    delays[edge],
                    up,
                    down,
                    up_capacity[edge] if up_capacity else 0,
                    down_capacity[edge] if down_capacity else 0,
                )
            if not up and not down:
                up = down = -1
            arc = 2 * edge
            self.left[arc], self.left[arc + 1] = up, down
            head, tail = heads[arc], heads[arc + 1]
            if head != tail:
                weight = self.weights[edge]
                self.around[tail][self._place[arc]] = (weight, head, up, down, arc)
                self.around[head][self._place[arc + 1]] = (weight, tail, down, up, arc + 1)
        if len(self.changes) < len(self.weights):  # else whoever follows takes over everything
            self.changes += edges

    def preferring(self, edges: Collection[int]) -> tuple[Around, list[int]]:
        """Return arcs, and weights by edge, such that any number of *edges* costs less than one other."""
        scale = self.vertices + 1
        weights = [1 if edge in edges else weight * scale for edge, weight in enumerate(self.weights)]
        around = [[(weights[arc >> 1], other, f, b, arc) for _, other, f, b, arc in arcs] for arcs in self.around]
        return around, weights

    def without(self, around: Around, edges: Collection[int]) -> Around:
        """Return a copy of *around* in which *edges* are out."""
        around = around.copy()
        for edge in edges:
            arc = 2 * edge
            head, tail = self.heads[arc], self.heads[arc + 1]
            if head != tail:
                for vertex, number in ((tail, arc), (head, arc + 1)):
                    arcs = around[vertex] = around[vertex].copy()
                    place = self._place[number]
                    weight, other, _, _, _ = arcs[place]
                    arcs[place] = (weight, other, -1, -1, number)
        return around
