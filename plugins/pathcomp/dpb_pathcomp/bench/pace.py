"""How long planning takes, beside one Dijkstra of networkx over the same graph in the same run."""

from __future__ import annotations

from random import Random

import networkx as nx
from attrs import frozen

from dpb_pathcomp.bench.contestants import contestant
from dpb_pathcomp.bench.demands import Mix
from dpb_pathcomp.bench.figures import Quantiles
from dpb_pathcomp.bench.filling import Player
from dpb_pathcomp.bench.ground import Ground
from dpb_pathcomp.bench.replay import yardstick
from dpb_pathcomp.bench.stopwatch import Stopwatch, settle, timed
from dpb_pathcomp.bench.topologies import topology

DIJKSTRAS = 20
"""So many searches of the yardstick are spread over a run."""


@frozen
class Pace:
    """What a run showed: counts, and CPU times of the planning thread, microseconds."""

    vertices: int
    trunks: int
    accepted: int
    planning: Quantiles
    dijkstra: Quantiles
    prepared: float
    """What making the planner and its first answer took, microseconds."""


def pace(name: str, algorithm: str, mix: Mix, requests: int, seed: int) -> Pace:
    """Plan *requests* demands one after the other, each kept where it fits.

    The same seed gives the same demands to all algorithms. The first request is answered twice, and counts once: what
    is made at first use is no part of planning.
    """
    workload = topology(name)
    source = mix.source(workload)
    graph = yardstick(workload)
    random = Random(f"pace {seed}")
    demands = [source.draw(random) for _ in range(requests)]
    ground = Ground(workload)
    preparing, planning, searching = Stopwatch(), Stopwatch(), Stopwatch()
    chosen = contestant(algorithm)
    settle()
    with preparing:
        planner = chosen.planner(ground.topology)
        planner.plan(demands[0], ground.residual)
    player = Player(algorithm, timed(planner, planning), ground)
    accepted = 0
    for number, demand in enumerate(demands):
        if number % max(1, requests // DIJKSTRAS) == 0:
            start = random.randrange(len(workload.nodes))
            with searching:
                nx.single_source_dijkstra(graph, start)
        accepted += player.offer(demand)[0] is not None
    return Pace(
        len(workload.nodes),
        len(workload.links),
        accepted,
        Quantiles.of(planning.samples.thread),
        Quantiles.of(searching.samples.thread),
        Quantiles.of(preparing.samples.thread).median,
    )
