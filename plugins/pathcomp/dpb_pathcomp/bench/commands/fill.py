"""`dpb bench fill`."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import click
from attrs import frozen

from dpb_framework.model import mbps
from dpb_pathcomp.bench import tasks
from dpb_pathcomp.bench.commands.options import Output, algorithms, jobs, mixes, outputs, seeds, topologies
from dpb_pathcomp.bench.contestants import contestant
from dpb_pathcomp.bench.demands import Mix
from dpb_pathcomp.bench.estimates import Estimate
from dpb_pathcomp.bench.filling import IN_A_ROW, Filled, Player, fill
from dpb_pathcomp.bench.ground import Ground
from dpb_pathcomp.bench.plots import Panel, Series
from dpb_pathcomp.bench.results import Results, Row, rounded
from dpb_pathcomp.bench.topologies import topology


@frozen
class _Task:
    topology: str
    algorithm: str
    mix: Mix
    requests: int
    in_a_row: int
    seed: int


@click.command("fill")
@topologies
@algorithms
@mixes("100")
@click.option("--requests", type=click.IntRange(min=1), help="Stop after so many requests, and not before.")
@click.option(
    "--in-a-row", type=click.IntRange(min=1), default=IN_A_ROW, show_default=True,
    help="A network is full when it has refused so many requests in a row.",
)  # fmt: skip
@seeds(5)
@jobs
@outputs
def fill_command(
    topologies: tuple[str, ...],
    algorithms: tuple[str, ...],
    terminals: tuple[int, int],
    rate: int,
    unequal: bool,
    traffic: bool,
    requests: int | None,
    in_a_row: int,
    runs: int,
    seed: int,
    jobs: int,
    **files: Any,
) -> None:
    """Requests come and none goes: how many fit before the first refusal, and until the network is full.

    Printed are means over the runs, with half the width of the 95 % confidence interval of those at the end.
    """
    output = Output.of("fill", **files)
    mix = Mix(rate, *terminals, unequal, traffic)
    for name in topologies:
        mix.source(topology(name))  # faults are told before anything runs
    work = [
        _Task(name, algorithm, mix, requests or 0, in_a_row, seed + number)
        for name in topologies
        for algorithm in algorithms
        for number in range(runs)
    ]
    found = list(zip(work, tasks.each(_fill, work, label="fill", jobs=jobs), strict=True))
    rows = [_row(found[place : place + runs]) for place in range(0, len(found), runs)]
    parameters = {
        "rate_mbps": mbps(rate), "terminals": list(terminals), "unequal": unequal, "traffic": traffic,
        "requests": requests, "in_a_row": None if requests else in_a_row, "runs": runs, "seed": seed,
    }  # fmt: skip
    output.put(Results("fill", parameters, rows, [_single(*one) for one in found]), _panels(found))


def _fill(task: _Task) -> Filled:
    workload = topology(task.topology)
    ground = Ground(workload)
    player = Player(task.algorithm, contestant(task.algorithm).planner(ground.topology), ground)
    random = Random(f"fill {task.seed}")
    return fill(player, task.mix.source(workload), random, requests=task.requests, in_a_row=task.in_a_row)


def _row(runs: Sequence[tuple[_Task, Filled]]) -> Row:
    task, _ = runs[0]
    found = [filled for _, filled in runs]
    accepted = Estimate.of([filled.accepted for filled in found])
    return {
        "topology": task.topology,
        "algorithm": task.algorithm,
        "first_refusal": rounded(Estimate.of([filled.first_refusal for filled in found]).mean),
        "accepted": rounded(accepted.mean),
        "accepted_ci": rounded(accepted.half),
        "offered": rounded(Estimate.of([filled.offered for filled in found]).mean),
        "volume_mbps": rounded(Estimate.of([filled.volume / 1000 for filled in found]).mean),
        "reserved_mbps_each": rounded(
            sum(filled.reserved for filled in found) / 1000 / max(1, sum(filled.accepted for filled in found))
        ),
    }


def _single(task: _Task, filled: Filled) -> Row:
    return {
        "topology": task.topology,
        "algorithm": task.algorithm,
        "seed": task.seed,
        "first_refusal": filled.first_refusal,
        "accepted": filled.accepted,
        "offered": filled.offered,
        "volume_mbps": mbps(filled.volume),
        "reserved_mbps": mbps(filled.reserved),
    }


def _panels(found: Sequence[tuple[_Task, Filled]]) -> list[Panel]:
    """Each run's accepted requests, so that what is noise can be seen."""
    panels: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for task, filled in found:
        lines = panels.setdefault(task.topology, {})
        lines.setdefault(task.algorithm, []).append((task.seed, filled.accepted))
        lines.setdefault(f"{task.algorithm}, first refusal", []).append((task.seed, filled.first_refusal))
    return [
        Panel(
            name,
            "seed",
            "requests accepted",
            [Series(line, *map(list, zip(*points, strict=True))) for line, points in lines.items()],
        )
        for name, lines in panels.items()
    ]
