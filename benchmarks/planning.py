"""What planning costs: CPU for each request, beside one Dijkstra of networkx on the same graph in the same run.

Requests of 10 Mbit/s among two to four random switches of a Barabasi-Albert network with m = 2 are planned and kept,
one after the other. Told are the median and the 95th percentile of the planner's thread CPU, as multiples of the
median of `networkx.single_source_dijkstra`, which runs before every tenth request. In the end come the dearest requests
that can be asked: many terminals, thin and unequal trunks; no request may take more than 250 ms.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import networkx as nx
from dpb_pathcomp.adaptive import Adaptive
from dpb_pathcomp.bast import Bast
from dpb_pathcomp.compilation import COMPILATION
from dpb_pathcomp.exact import Exact

from dpb_framework.contracts.algorithm import Algorithm, Demand, Residual, Tree
from dpb_framework.networks.tree import tree_loads
from dpb_framework.testing.instances import demand_of
from dpb_framework.testing.topologies import barabasi_albert

ALGORITHMS: dict[str, Algorithm] = {
    "bast": Bast(),
    "exact, hops, python": Exact(cost="hops", engine="python"),
    "exact, hops, numba": Exact(cost="hops", engine="numba"),
    "exact, load, python": Exact(cost="load", engine="python"),
    "adaptive, python": Adaptive(engine="python"),
    "adaptive, numba": Adaptive(engine="numba"),
}


def requests(random: Random, vertices: int, terminals: Sequence[int]) -> Iterator[Demand]:
    """Yield requests with equal rates."""
    while True:
        places = random.sample(range(vertices), random.choice(terminals))
        yield demand_of(*((place, 10_000, 10_000) for place in places))


def measure(algorithm: Algorithm, vertices: int, terminals: Sequence[int], count: int, seed: int) -> dict[str, float]:
    """Plan and keep *count* requests."""
    topology, residual = barabasi_albert(vertices, 2, seed=seed)
    graph = nx.Graph()
    for tail, head, delay in zip(topology.tails, topology.heads, topology.delays, strict=True):
        graph.add_edge(tail, head, weight=delay)
    planner = algorithm.planner(topology)
    random = Random(seed)
    asked = requests(random, vertices, terminals)
    planner.plan(next(asked), residual)  # the first takes over the whole network
    planning, searching = [], []
    refused = 0
    for number in range(count):
        if number % 10 == 0:
            searching.append(_cpu(nx.single_source_dijkstra, graph, random.randrange(vertices))[0])
        demand = next(asked)
        taken, outcome = _cpu(planner.plan, demand, residual)
        planning.append(taken)
        refused += not isinstance(outcome, Tree)
        if isinstance(outcome, Tree):
            for edge, up, down in tree_loads(topology, outcome.edges, demand):
                residual.upstream[edge] -= up
                residual.downstream[edge] -= down
    unit = statistics.median(searching)
    return {
        "median": round(statistics.median(planning) / unit, 2),
        "p95": round(statistics.quantiles(planning, n=20)[-1] / unit, 2),
        "dijkstra_us": round(unit * 1e6),
        "refused": refused,
    }


def dearest(algorithm: Algorithm, vertices: int, seed: int) -> float:
    """Return the most CPU, in ms, that any of some nasty requests takes."""
    random = Random(seed)
    topology, residual = barabasi_albert(vertices, 2, seed=seed, capacity=60)
    planner = algorithm.planner(topology)
    worst = 0.0
    for choice in ((60,), (10, 20, 30, 40, 60), (0, 5, 11, 12)):
        edges = range(len(topology.tails))
        residual = Residual([random.choice(choice) for _ in edges], [random.choice(choice) for _ in edges])
        planner.plan(demand_of((0, 1, 1), (1, 1, 1)), residual)
        for terminals in (3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 64):
            places = random.sample(range(vertices), terminals)
            demand = demand_of(*((p, random.choice((5, 10, 11)), random.choice((5, 10, 12))) for p in places))
            worst = max(worst, _cpu(planner.plan, demand, residual)[0])
    return round(worst * 1000, 1)


def _cpu(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    begin = time.thread_time()
    result = call(*arguments)
    return time.thread_time() - begin, result


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--large", type=int, default=10_000, help="vertices of the large network; 0: without")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    COMPILATION.start()
    COMPILATION.wait(600)
    rows: list[dict[str, object]] = []
    for name, algorithm in ALGORITHMS.items():
        found = measure(algorithm, 128, (2, 3, 4), asked.requests, asked.seed)
        rows.append({"algorithm": name, "n": 128, "k": "2-4"} | found)
    if asked.large:
        for name in ("bast", "adaptive, python", "adaptive, numba"):
            found = measure(ALGORITHMS[name], asked.large, (4,), max(10, asked.requests // 25), asked.seed)
            rows.append({"algorithm": name, "n": asked.large, "k": "4"} | found)
    limits = {
        f"{name}, n={vertices}": dearest(ALGORITHMS[name], vertices, asked.seed)
        for vertices in (128, asked.large)
        if vertices
        for name in ("bast", "exact, load, python", "adaptive, python", "adaptive, numba")
    }
    if asked.json:
        print(json.dumps({"planning": rows, "dearest_ms": limits}))
        return
    print(f"{'planning':<24}{'n':>7}{'k':>5}{'median':>9}{'p95':>9}{'refused':>9}   in Dijkstras of networkx, CPU")
    for row in rows:
        print(
            f"{row['algorithm']:<24}{row['n']:>7}{row['k']:>5}{row['median']:>9}{row['p95']:>9}{row['refused']:>9}"
            f"   of {row['dijkstra_us']} us"
        )
    print("\ndearest request, ms of CPU (bound: 250)")
    for name, worst in limits.items():
        print(f"{name:<40}{worst:>9}")


if __name__ == "__main__":
    main()
