"""What an aggregator shows of itself: chords between its terminals, by widest paths.

For each pair the greatest bandwidth that some path has, each way on its own: superiors take it as advice, so it
must not understate. The delay is that of a quickest path.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from dpb_framework.contracts import Residual, Topology
from dpb_framework.model import Chord, Fragment, NetworkModel

_ENDLESS = 10**15
"""Within one vertex there is no limit (kbit/s)."""


def _widest(topology: Topology, residual: Residual, source: int) -> list[int]:
    """The greatest bandwidth (kbit/s) from *source* to each vertex; -1 where no path with any residual leads."""
    width = [-1] * topology.vertices
    width[source] = _ENDLESS
    heap = [(-_ENDLESS, source)]
    up, down, tails = residual.upstream, residual.downstream, topology.tails
    while heap:
        negative, here = heapq.heappop(heap)
        if -negative < width[here]:
            continue
        for edge, there in topology.neighbours[here]:
            if not up[edge] and not down[edge]:
                continue
            wide = min(-negative, up[edge] if tails[edge] == here else down[edge])
            if wide > width[there]:
                width[there] = wide
                heapq.heappush(heap, (-wide, there))
    return width


def _quickest(topology: Topology, source: int) -> list[int]:
    """The least delay (microseconds) from *source* to each vertex, whatever is left; -1 where no edges lead."""
    far = [-1] * topology.vertices
    far[source] = 0
    heap = [(0, source)]
    while heap:
        delay, here = heapq.heappop(heap)
        if delay > far[here]:
            continue
        for edge, there in topology.neighbours[here]:
            total = delay + topology.delays[edge]
            if far[there] < 0 or total < far[there]:
                far[there] = total
                heapq.heappush(heap, (total, there))
    return far


def show(topology: Topology, residual: Residual, vertices: Mapping[str, int | None]) -> NetworkModel:
    """Return the model of a network whose terminals sit at *vertices* (None: nowhere yet).

    Fragments are the parts that edges join, whether or not there is capacity now. Terminals at one vertex have
    chords without limit.
    """
    names = sorted(vertices)
    placed = [(name, vertex) for name in names if (vertex := vertices[name]) is not None]
    sources = sorted({vertex for _, vertex in placed})
    quickest = {vertex: _quickest(topology, vertex) for vertex in sources}
    widest = {vertex: _widest(topology, residual, vertex) for vertex in sources}
    fragments: list[Fragment] = [Fragment((name,), ()) for name in names if vertices[name] is None]
    todo = placed
    while todo:
        root = todo[0][1]
        together = [(name, vertex) for name, vertex in todo if quickest[root][vertex] >= 0]
        todo = [(name, vertex) for name, vertex in todo if quickest[root][vertex] < 0]
        chords = [
            Chord(a, b, max(0, widest[at][to]), max(0, widest[to][at]), quickest[at][to])
            for i, (a, at) in enumerate(together)
            for b, to in together[i + 1 :]
        ]
        fragments.append(Fragment(tuple(name for name, _ in together), tuple(chords)))
    return NetworkModel(tuple(sorted(fragments, key=lambda f: f.terminals)))
