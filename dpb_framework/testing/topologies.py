"""Small networks for tests: each a topology and what is left of its trunks.

All trunks have the same capacity each way (kbit/s) and the same delay (int microseconds) unless said otherwise.
Everything that is random follows from the seed alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from dpb_framework.contracts.algorithm import Residual, Topology


def from_pairs(
    vertices: int, pairs: Iterable[tuple[int, int]], capacity: int = 1_000_000, delay: int = 1000
) -> tuple[Topology, Residual]:
    """Return the network with an edge for each (tail, head) pair; vertices are called v0, v1, ..., edges t0, t1, ..."""
    ends = list(pairs)
    topology = Topology(
        vertices,
        [tail for tail, _ in ends],
        [head for _, head in ends],
        [delay] * len(ends),
        [f"t{edge}" for edge in range(len(ends))],
        [f"v{vertex}" for vertex in range(vertices)],
    )
    return topology, Residual([capacity] * len(ends), [capacity] * len(ends))


def line(vertices: int, capacity: int = 1_000_000, delay: int = 1000) -> tuple[Topology, Residual]:
    """Return v0 - v1 - v2 - ...; edge i joins vi and vi+1."""
    return from_pairs(vertices, zip(range(vertices), range(1, vertices), strict=False), capacity, delay)


def ring(vertices: int, capacity: int = 1_000_000, delay: int = 1000) -> tuple[Topology, Residual]:
    """Return a line whose last vertex is joined to the first; three vertices at least."""
    return from_pairs(vertices, ((v, (v + 1) % vertices) for v in range(vertices)), capacity, delay)


def star(leaves: int, capacity: int = 1_000_000, delay: int = 1000) -> tuple[Topology, Residual]:
    """Return v0 in the middle of v1 to v*leaves*; edge i joins v0 and vi+1."""
    return from_pairs(leaves + 1, ((0, leaf) for leaf in range(1, leaves + 1)), capacity, delay)


def grid(columns: int, rows: int, capacity: int = 1_000_000, delay: int = 1000) -> tuple[Topology, Residual]:
    """Return a grid; the vertex at (column, row) is row * columns + column."""
    pairs = []
    for vertex in range(columns * rows):
        if vertex % columns + 1 < columns:
            pairs.append((vertex, vertex + 1))
        if vertex + columns < columns * rows:
            pairs.append((vertex, vertex + columns))
    return from_pairs(columns * rows, pairs, capacity, delay)


def barabasi_albert(
    vertices: int, links: int = 2, seed: int = 0, capacity: int | None = None
) -> tuple[Topology, Residual]:
    """Return a scale-free network: each new vertex is joined to *links* others, chosen in proportion to their degree.

    A trunk's capacity is as in the paper's evaluation, the smaller degree of its ends in Gbit/s (or *capacity*
    kbit/s); its delay lies between 1 and 20 ms.
    """
    random = Random(seed)
    pairs: list[tuple[int, int]] = []
    shares: list[int] = list(range(links))  # each vertex as often as its degree tells; at first all are alike
    for vertex in range(links, vertices):
        chosen: dict[int, None] = {}  # a dictionary keeps the order, a set would not be the same everywhere
        while len(chosen) < links:
            chosen[random.choice(shares)] = None
        for other in chosen:
            pairs.append((other, vertex))
            shares += (other, vertex)
    topology, residual = from_pairs(vertices, pairs)
    degree = [len(around) for around in topology.neighbours]
    for edge, (tail, head) in enumerate(pairs):
        residual.upstream[edge] = residual.downstream[edge] = capacity or min(degree[tail], degree[head]) * 1_000_000
    delays = [random.randint(1000, 20_000) for _ in pairs]
    return Topology(vertices, topology.tails, topology.heads, delays, topology.names, topology.vertex_names), residual
