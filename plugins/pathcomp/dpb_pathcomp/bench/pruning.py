"""A tree out of edges that may contain circles and dead ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from dpb_framework.contracts.algorithm import Topology


def pruned(topology: Topology, edges: Iterable[int], vertices: Collection[int]) -> tuple[int, ...]:
    """Return a tree of some of *edges* that joins *vertices*, without dead ends; they must be joined by *edges*."""
    around: dict[int, list[tuple[int, int]]] = {}
    for edge in sorted(edges):
        tail, head = topology.tails[edge], topology.heads[edge]
        around.setdefault(tail, []).append((edge, head))
        around.setdefault(head, []).append((edge, tail))
    wanted = set(vertices)
    root = next(iter(vertices))
    parent = {root: (-1, -1)}
    order = [root]
    for vertex in order:  # grows: breadth first
        for edge, other in around.get(vertex, ()):
            if other not in parent:
                parent[other] = (edge, vertex)
                order.append(other)
    kept = []
    for vertex in reversed(order):
        edge, towards = parent[vertex]
        if vertex in wanted and edge >= 0:
            kept.append(edge)
            wanted.add(towards)
    return tuple(kept)
