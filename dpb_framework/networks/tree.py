"""What a tree of trunks has to carry: how the kernel checks the answers of algorithms.

Pure functions of plain data; they run for each request. The load of an edge depends only on which of the demand's
vertices lie on each of its sides (the hose model of the paper's section III-C).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from dpb_framework.contracts.algorithm import Demand, Residual, Topology

Load: TypeAlias = tuple[int, int, int]
"""(edge, upstream kbit/s, downstream kbit/s)"""

_ONE = 1 << 48
_TWO = _ONE << 1
"""An edge at a vertex counts as this plus its place in the proposal: one sum tells how many there are, and which."""


def tree_loads(topology: Topology, edges: Sequence[int], demand: Demand) -> list[Load]:
    """Return what each edge of a proposed tree carries: (edge, upstream, downstream) kbit/s, in the order of *edges*.

    Towards the far side an edge carries min(sum of ingress on the near side, sum of egress on the far side), and
    back likewise. `ValueError`, one line, unless *edges* are distinct and in range, form one tree, join all of the
    demand's vertices, and end at none but them. A demand of one vertex has the empty tree.
    """
    tails, heads = topology.tails, topology.heads
    inward: dict[int, int] = defaultdict(int)
    outward: dict[int, int] = defaultdict(int)
    for vertex, ingress, egress in zip(demand.vertices, demand.ingress, demand.egress, strict=True):
        inward[vertex] += ingress
        outward[vertex] += egress
    wanted = set(inward)
    total_in, total_out = sum(demand.ingress), sum(demand.egress)
    # A vertex of degree one knows its only edge without a list of edges: it is the sum of those not yet taken away.
    around: dict[int, int] = defaultdict(int)
    last = len(tails)
    for place, edge in enumerate(edges, _ONE):
        if not 0 <= edge < last:
            raise ValueError(f"edge {edge} does not exist: there are {last}")
        around[tails[edge]] += place
        around[heads[edge]] += place
    count = len(edges)
    if len(set(edges)) != count:
        raise ValueError(f"edge {_name(topology, _twice(edges))} is proposed twice")
    if not count and len(wanted) == 1:
        return []
    if not wanted <= around.keys():
        raise ValueError(f"{_vertex(topology, min(wanted - around.keys()))} is not joined")
    if len(around) > count + 1:
        raise ValueError("the edges are not all connected")
    if len(around) <= count:
        raise ValueError("the edges contain a circle")
    leaves = [vertex for vertex, sum_of_places in around.items() if sum_of_places < _TWO]
    if not wanted.issuperset(leaves):
        idle = min(set(leaves) - wanted)
        raise ValueError(f"{_vertex(topology, idle)} is a dead end: no terminal of the service is there")
    loads: list[Load] = [(0, 0, 0)] * count
    done = 0
    for vertex in leaves:  # grows while leaves are taken away
        place = around[vertex]
        if not place:
            continue  # the last vertex: its edge went with its neighbour
        edge = edges[place - _ONE]
        tail = tails[edge]
        rates_in, rates_out = inward[vertex], outward[vertex]
        away, room = rates_in, total_out - rates_out
        if room < away:
            away = room
        back, room = rates_out, total_in - rates_in
        if room < back:
            back = room
        if vertex == tail:
            other = heads[edge]
            loads[place - _ONE] = (edge, away, back)
        else:
            other = tail
            loads[place - _ONE] = (edge, back, away)
        done += 1
        around[vertex] = 0
        left = around[other] = around[other] - place
        inward[other] += rates_in
        outward[other] += rates_out
        if _ONE <= left < _TWO:
            leaves.append(other)
    if done != count:
        raise ValueError("the edges contain a circle")
    return loads


def check_fits(loads: Iterable[Load], residual: Residual) -> list[int]:
    """Return the edges that fall short of their load in either direction, or that are out; empty when all fits."""
    upstream, downstream = residual.upstream, residual.downstream
    short = []
    for edge, up, down in loads:
        left_up, left_down = upstream[edge], downstream[edge]
        if left_up < up or left_down < down or not (left_up or left_down):
            short.append(edge)
    return short


def check_constraints(topology: Topology, edges: Sequence[int], demand: Demand) -> None:
    """Check that a tree keeps the demand's constraints; `ValueError`, one line, tells which it does not.

    *edges* are those of a tree that joins the demand's vertices (`tree_loads` has checked it), or none.
    """
    if not demand.pass_edges.issubset(edges):
        missing = min(demand.pass_edges.difference(edges))
        raise ValueError(f"{_name(topology, missing)} is not passed")
    tails, heads, delays = topology.tails, topology.heads, topology.delays
    if demand.pass_vertices:
        joined = {*demand.vertices, *(end for edge in edges for end in (tails[edge], heads[edge]))}
        if not demand.pass_vertices <= joined:
            raise ValueError(f"{_vertex(topology, min(demand.pass_vertices - joined))} is not passed")
    if demand.max_delay is None:
        return
    around: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for edge in edges:
        around[tails[edge]].append((heads[edge], delays[edge]))
        around[heads[edge]].append((tails[edge], delays[edge]))
    # In a tree the end that is farthest from any end is one of the two that are farthest apart.
    one, _ = _farthest(around, demand.vertices[0], demand.vertices)
    other, delay = _farthest(around, one, demand.vertices)
    if delay > demand.max_delay:
        raise ValueError(
            f"from {_vertex(topology, one)} to {_vertex(topology, other)} are {delay} us,"
            f" at most {demand.max_delay} are asked for"
        )


def _farthest(around: Mapping[int, list[tuple[int, int]]], start: int, ends: Iterable[int]) -> tuple[int, int]:
    """Which of *ends* is farthest from *start*, and by how much."""
    delays = {start: 0}
    todo = [start]
    for vertex in todo:  # grows: each vertex of the tree once
        for other, delay in around.get(vertex, ()):
            if other not in delays:
                delays[other] = delays[vertex] + delay
                todo.append(other)
    far = max(ends, key=lambda end: delays[end])
    return far, delays[far]


def _twice(edges: Sequence[int]) -> int:
    return next(edge for place, edge in enumerate(edges) if edge in edges[:place])


def _name(topology: Topology, edge: int) -> str:
    return topology.names[edge] if topology.names else str(edge)


def _vertex(topology: Topology, vertex: int) -> str:
    return topology.vertex_names[vertex] if topology.vertex_names else f"vertex {vertex}"
