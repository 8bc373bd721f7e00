"""The network as the planner walks it: what follows from the shape alone, made once.

A distance and a vertex travel in one int, `distance << bits | vertex`, so that the heap compares plain ints and
never makes a tuple. Half of a scale-free network hangs on it by a single trunk; such vertices are closed to a
search unless they, or what hangs on them, are asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random
from typing import TypeAlias

from dpb_framework.contracts.algorithm import Topology

Arc: TypeAlias = tuple[int, int, int, bool, int]
"""(weight << bits | head of the arc, head, edge, whether it runs against the edge, tail of the arc)"""

CLOSED = -1
"""A distance that no search can improve on."""


class Arcs:
    """Arcs and weights of a topology.

    A trunk's weight is its delay in microseconds, at least 1, and between equal delays fewer trunks win. `start`
    orders the vertices by the seed: the first of a request is where its tree begins. `visit` is the work of a visit.
    """

    __slots__ = ("arcs", "bits", "blank", "far", "mask", "parent", "start", "topology", "visit")

    def __init__(self, topology: Topology, seed: int) -> None:
        count = topology.vertices
        self.topology = topology
        self.bits = max(1, count.bit_length())
        self.mask = (1 << self.bits) - 1
        self.visit = 1 + max(0, self.bits - 10) // 4  # in large networks what is needed lies far apart in memory
        # A path has fewer trunks than there are vertices, so hops never outweigh a microsecond.
        weights = [max(1, delay) * (count + 1) + 1 for delay in topology.delays]
        self.far = (sum(weights) + 1) << self.bits
        self.arcs: list[tuple[Arc, ...]] = [
            tuple(
                (weights[edge] << self.bits | other, other, edge, topology.heads[edge] == vertex, vertex)
                for edge, other in topology.neighbours[vertex]
            )
            for vertex in range(count)
        ]
        self.parent, self.blank = self._pendants()
        self.start = list(range(count))
        Random(seed).shuffle(self.start)

    def _pendants(self) -> tuple[list[int], list[int]]:
        """Return for each vertex that hangs on a single trunk the next one, and the distances to begin with."""
        around = self.topology.neighbours
        degree = [len(pairs) for pairs in around]
        parent = [-1] * self.topology.vertices
        blank = [self.far] * self.topology.vertices
        hanging = [vertex for vertex, many in enumerate(degree) if many == 1]
        for vertex in hanging:  # grows: what is left without these may hang in turn
            if degree[vertex] != 1:
                continue  # the last of a network without circles: something must stay open
            blank[vertex] = CLOSED
            degree[vertex] = 0
            parent[vertex] = next(other for _, other in around[vertex] if degree[other])
            degree[parent[vertex]] -= 1
            if degree[parent[vertex]] == 1:
                hanging.append(parent[vertex])
        return parent, blank

    def open_to(self, vertices: Collection[int]) -> list[int]:
        """Return the distances to begin a search among *vertices* with."""
        best, parent, far = self.blank.copy(), self.parent, self.far
        for vertex in vertices:
            while best[vertex] < 0:
                best[vertex] = far
                vertex = parent[vertex]
        return best

    def near(self, best: Sequence[int]) -> list[int]:
        """Return the vertices that a search has reached, with whatever hangs on them and was closed to it."""
        found = []
        for vertex in range(self.topology.vertices):
            anchor = vertex
            while best[anchor] == CLOSED:
                anchor = self.parent[anchor]
            if best[anchor] < self.far:
                found.append(vertex)
        return found

    def preferring(self, edges: Collection[int]) -> list[tuple[Arc, ...]]:
        """Return the arcs with those of *edges* nearly free."""
        arcs = self.arcs.copy()
        touched = {end for edge in edges for end in (self.topology.tails[edge], self.topology.heads[edge])}
        for vertex in touched:
            arcs[vertex] = tuple(
                (1 << self.bits | arc[1], *arc[1:]) if arc[2] in edges else arc for arc in arcs[vertex]
            )
        return arcs
