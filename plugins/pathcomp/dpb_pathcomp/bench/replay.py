"""Replay a workload: each request is defined, activated and kept."""

from __future__ import annotations

import itertools
from random import Random
from typing import Protocol

import networkx as nx

from dpb_framework.errors import DpbError
from dpb_framework.model import Segment
from dpb_pathcomp.bench.figures import Figures
from dpb_pathcomp.bench.stopwatch import Stopwatch
from dpb_pathcomp.bench.workload import Request, Workload

DIJKSTRA_EVERY = 10
"""So many requests lie between two searches of the yardstick: it feels the same machine as they do."""


class Arena(Protocol):
    """The network on which requests are replayed."""

    @property
    def planning(self) -> Stopwatch:
        """The times of the planner."""

    def segment(self, request: Request) -> Segment:
        """Write down what is asked for."""

    def define(self, segment: Segment) -> object:
        """Ask for it and wait until it is established; a `DpbError` is the refusal."""

    def activate(self, service: object) -> None:
        """Let the traffic of what `define` returned pass."""

    def reserved(self) -> int:
        """What trunks hold, both directions added, kbit/s."""


def replay(
    workload: Workload,
    arena: Arena,
    *,
    algorithm: str,
    store: str,
    limit: int | None = None,
    past_refusals: bool = False,
    seed: int = 0,
) -> Figures:
    """Replay at most *limit* requests in order, up to the first refusal or past it; *seed* is the yardstick's.

    The yardstick is one `networkx.single_source_dijkstra` from a random node by delay, run before every tenth request.
    """
    graph = yardstick(workload)
    random = Random(seed)
    defining, searching = Stopwatch(), Stopwatch()
    accepted = refused = 0
    first_refusal = ""
    for number, request in enumerate(itertools.islice(workload.requests, limit)):
        if number % DIJKSTRA_EVERY == 0:
            source = random.randrange(len(workload.nodes))
            with searching:
                nx.single_source_dijkstra(graph, source)
        segment = arena.segment(request)
        try:
            with defining:
                service = arena.define(segment)
        except DpbError as error:
            refused += 1
            first_refusal = first_refusal or f"request {number}: {error}"
            if not past_refusals:
                break
        else:
            accepted += 1
            arena.activate(service)
    return Figures(
        algorithm,
        store,
        accepted,
        refused,
        arena.reserved(),
        arena.planning.samples,
        defining.samples,
        searching.samples,
        first_refusal,
    )


def yardstick(workload: Workload) -> nx.Graph[int]:
    """Return the network as a plain graph whose weights are delays; of parallel trunks the quickest."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(workload.nodes)))
    for link in workload.links:
        known = graph.get_edge_data(link.a, link.b)
        if known is None or link.delay < known["weight"]:
            graph.add_edge(link.a, link.b, weight=link.delay)
    return graph
