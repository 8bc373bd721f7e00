"""Establishment latency: one service after the other through the real broker, until so many are there."""

from __future__ import annotations

import gc
from random import Random

import networkx as nx
from attrs import frozen

from dpb_framework.errors import NoCapacity, Remembered
from dpb_pathcomp.bench.contestants import contestant
from dpb_pathcomp.bench.demands import Mix
from dpb_pathcomp.bench.replay import DIJKSTRA_EVERY, yardstick
from dpb_pathcomp.bench.stopwatch import Stopwatch
from dpb_pathcomp.bench.topologies import topology
from dpb_pathcomp.bench.workload import Request
from dpb_pathcomp.bench.world import World


@frozen
class Task:
    """One run on one network."""

    topology: str
    algorithm: str
    store: str
    mix: Mix
    services: int
    seed: int


@frozen
class Established:
    """One service that was established: what was there before it, and times in nanoseconds.

    `cpu` is of all threads of the process together; `planning` and the Dijkstras' are of the thread that asks.
    """

    services: int
    circuits: int
    wall: int
    cpu: int
    planning: int


@frozen
class Run:
    """What one run showed. `refused` is whether it ended by a refusal, before all services were there."""

    vertices: int
    established: tuple[Established, ...]
    dijkstras: tuple[int, ...]
    refused: bool


def run(task: Task) -> Run:
    """Establish services (create, define, activate, wait for ACTIVE) until all are there, or one finds no room.

    Before every tenth a Dijkstra of networkx runs over the same graph, from a random node, by delay.
    """
    workload = topology(task.topology)
    source = task.mix.source(workload)
    graph = yardstick(workload)
    random = Random(f"establishing {task.seed}")
    watch, searching = Stopwatch(), Stopwatch()
    found: list[Established] = []
    circuits = 0
    refused = False
    chosen = contestant(task.algorithm)
    gc.collect()  # what the run before left behind is no part of this one
    with World(workload, algorithm=chosen.name, settings=chosen.settings, store=task.store) as world:
        for number in range(task.services):
            demand = source.draw(random)
            if number % DIJKSTRA_EVERY == 0:
                start = random.randrange(len(workload.nodes))
                with searching:
                    nx.single_source_dijkstra(graph, start)
            plans = len(world.planning)
            try:
                with watch:
                    world.establish(Request(demand.vertices, task.mix.rate))
            except (NoCapacity, Remembered) as error:
                if error.code != NoCapacity.code:
                    raise
                refused = True
                break
            took = watch.since(number)
            planning = sum(world.planning.since(plans).thread)
            found.append(Established(number, circuits, took.wall[0], took.process[0], planning))
            circuits += len(demand.vertices)
    return Run(len(workload.nodes), tuple(found), tuple(searching.samples.thread), refused)
