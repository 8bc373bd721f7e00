"""`dpb bench gap`."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import click
from attrs import frozen

from dpb_framework.contracts.algorithm import Residual, Tree
from dpb_framework.model import mbps
from dpb_pathcomp.bench import tasks
from dpb_pathcomp.bench.columns import Bound, bound
from dpb_pathcomp.bench.commands.options import Output, algorithms, jobs, mixes, outputs, seeds, topologies
from dpb_pathcomp.bench.contestants import contestant
from dpb_pathcomp.bench.demands import Mix
from dpb_pathcomp.bench.estimates import Estimate
from dpb_pathcomp.bench.extra import needed
from dpb_pathcomp.bench.filling import Player
from dpb_pathcomp.bench.ground import Ground
from dpb_pathcomp.bench.plots import Panel, Series
from dpb_pathcomp.bench.results import Results, Row, rounded
from dpb_pathcomp.bench.topologies import topology


@frozen
class _Task:
    topology: str
    algorithms: tuple[str, ...]
    mix: Mix
    requests: int
    rounds: int
    seed: int


@frozen
class _Found:
    accepted: tuple[int, ...]
    bound: Bound


@click.command("gap")
@topologies
@algorithms
@mixes("400")
@click.option(
    "--requests", type=click.IntRange(min=1), default=300, show_default=True, help="The fixed set has so many."
)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=200, show_default=True,
    help="No more rounds of column generation: the bound is then higher than need be, and still one.",
)  # fmt: skip
@seeds(3)
@jobs
@outputs
def gap_command(
    topologies: tuple[str, ...],
    algorithms: tuple[str, ...],
    terminals: tuple[int, int],
    rate: int,
    unequal: bool,
    traffic: bool,
    requests: int,
    rounds: int,
    runs: int,
    seed: int,
    jobs: int,
    **files: Any,
) -> None:
    """How far algorithms are from what any could accept of a fixed set of requests.

    The requests come one after the other and none goes. No algorithm, not even one that knew all of them beforehand,
    accepts more than the bound: an LP over trees, by column generation. The gap is what an algorithm accepted less, in
    % of the bound; half the width of its 95 % confidence interval stands beside it.
    """
    output = Output.of("gap", **files)
    needed("highspy", "the bound")
    mix = Mix(rate, *terminals, unequal, traffic)
    for name in topologies:
        mix.source(topology(name))  # faults are told before anything runs
    work = [
        _Task(name, algorithms, mix, requests, rounds, seed + number) for name in topologies for number in range(runs)
    ]
    found = list(zip(work, tasks.each(_measure, work, label="gap", jobs=jobs), strict=True))
    rows = [
        _row(found[place : place + runs], which)
        for place in range(0, len(found), runs)
        for which in range(len(algorithms))
    ]
    parameters = {
        "rate_mbps": mbps(rate), "terminals": list(terminals), "unequal": unequal, "traffic": traffic,
        "requests": requests, "rounds": rounds, "runs": runs, "seed": seed,
    }  # fmt: skip
    output.put(Results("gap", parameters, rows, [_single(*one) for one in found]), _panels(found))


def _measure(task: _Task) -> _Found:
    workload = topology(task.topology)
    source = task.mix.source(workload)
    random = Random(f"gap {task.seed}")
    demands = [source.draw(random) for _ in range(task.requests)]
    trees: list[tuple[int, Sequence[int]]] = []
    accepted = []
    for name in task.algorithms:
        ground = Ground(workload)
        player = Player(name, contestant(name).planner(ground.topology), ground)
        answers = [player.offer(demand)[1] for demand in demands]
        kept = [(number, answer.edges) for number, answer in enumerate(answers) if isinstance(answer, Tree)]
        accepted.append(len(kept))
        trees += kept
    links = workload.links
    capacity = Residual([link.capacity for link in links], [link.capacity for link in links])
    labels = [link.labels for link in links]
    return _Found(tuple(accepted), bound(ground.topology, capacity, labels, demands, trees, rounds=task.rounds))


def _row(runs: Sequence[tuple[_Task, _Found]], which: int) -> Row:
    task, _ = runs[0]
    found = [one for _, one in runs]
    gap = Estimate.of([_gap(one, which) for one in found])
    return {
        "topology": task.topology,
        "algorithm": task.algorithms[which],
        "requests": task.requests,
        "accepted": rounded(Estimate.of([one.accepted[which] for one in found]).mean),
        "bound": rounded(Estimate.of([one.bound.accepted for one in found]).mean),
        "gap_percent": rounded(gap.mean),
        "gap_ci": rounded(gap.half),
        "settled": sum(one.bound.settled for one in found),
    }


def _gap(found: _Found, which: int) -> float:
    return 100 * (found.bound.accepted - found.accepted[which]) / max(1, found.bound.accepted)


def _single(task: _Task, found: _Found) -> Row:
    return {
        "topology": task.topology,
        "seed": task.seed,
        "accepted": dict(zip(task.algorithms, found.accepted, strict=True)),
        "bound": found.bound.accepted,
        "relaxed": rounded(found.bound.relaxed),
        "value": rounded(found.bound.value),
        "columns": found.bound.columns,
        "rounds": found.bound.rounds,
        "settled": found.bound.settled,
    }


def _panels(found: Sequence[tuple[_Task, _Found]]) -> list[Panel]:
    panels = []
    for name in dict.fromkeys(task.topology for task, _ in found):
        runs = [(task, one) for task, one in found if task.topology == name]
        seeds = [task.seed for task, _ in runs]
        series = [Series("bound", seeds, [one.bound.accepted for _, one in runs])]
        series += [
            Series(algorithm, seeds, [one.accepted[which] for _, one in runs])
            for which, algorithm in enumerate(runs[0][0].algorithms)
        ]
        panels.append(Panel(name, "seed", "requests accepted", series))
    return panels
