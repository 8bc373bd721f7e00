"""`dpb bench scaling`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from dpb_framework.model import mbps
from dpb_pathcomp.bench import tasks
from dpb_pathcomp.bench.commands.options import Output, Range, Rate, algorithms, outputs
from dpb_pathcomp.bench.demands import Mix
from dpb_pathcomp.bench.pace import Pace, pace
from dpb_pathcomp.bench.plots import Panel, Series
from dpb_pathcomp.bench.results import Results, Row, rounded
from dpb_pathcomp.bench.topologies import topology

_Task = tuple[str, str, Mix, int, int]


@click.command("scaling")
@click.option(
    "--topology", "topologies", multiple=True, default=("ba:54", "ba:128", "ba:1000", "ba:10000"), show_default=True,
    metavar="TOPOLOGY", help="As in `blocking`. May be given several times.",
)  # fmt: skip
@click.option(
    "--terminals", "terminals", multiple=True, type=Range(2), default=("2", "3", "4"), show_default=True,
    help="How many a request joins. May be given several times: each is measured alone.",
)  # fmt: skip
@click.option("--rate", type=Rate(), default="10", show_default=True, help="Of each terminal, in and out.")
@algorithms
@click.option("--requests", type=click.IntRange(min=1), default=100, show_default=True, help="So many of each kind.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the requests.")
@outputs
def scaling_command(
    topologies: tuple[str, ...],
    terminals: tuple[tuple[int, int], ...],
    rate: int,
    algorithms: tuple[str, ...],
    requests: int,
    seed: int,
    **files: Any,
) -> None:
    """Planning CPU by the number of switches and of terminals.

    Median and 95th percentile of the planning thread's CPU time, and the same as multiples of one
    networkx.single_source_dijkstra over the same graph, measured in between. Requests are kept where they fit.
    """
    output = Output.of("scaling", **files)
    mixes = [Mix(rate, *ends) for ends in terminals]
    for name in topologies:
        workload = topology(name)
        for mix in mixes:
            mix.source(workload)  # faults are told before anything runs
    work: list[_Task] = [
        (name, algorithm, mix, requests, seed) for name in topologies for mix in mixes for algorithm in algorithms
    ]
    found = tasks.each(_pace, work, label="scaling")
    rows = [_row(*one) for one in zip(work, found, strict=True)]
    parameters = {"rate_mbps": mbps(rate), "requests": requests, "seed": seed}
    output.put(Results("scaling", parameters, rows), _panels(rows))


def _pace(task: _Task) -> Pace:
    return pace(*task)


def _row(task: _Task, found: Pace) -> Row:
    name, algorithm, mix, _, _ = task
    unit = found.dijkstra.median
    return {
        "topology": name,
        "switches": found.vertices,
        "trunks": found.trunks,
        "terminals": str(mix.least) if mix.least == mix.most else f"{mix.least}-{mix.most}",
        "algorithm": algorithm,
        "accepted": found.accepted,
        "plan_median_us": rounded(found.planning.median),
        "plan_p95_us": rounded(found.planning.p95),
        "plan_median_dijkstras": rounded(found.planning.median / unit, 4),
        "plan_p95_dijkstras": rounded(found.planning.p95 / unit, 4),
        "dijkstra_median_us": rounded(unit),
        "prepared_us": rounded(found.prepared),
    }


def _panels(rows: Sequence[Row]) -> list[Panel]:
    """By size, a panel for each number of terminals."""
    panels: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        panels.setdefault(row["terminals"], {}).setdefault(row["algorithm"], []).append(row)
    return [
        Panel(
            f"{terminals} terminals",
            "switches",
            "planning CPU, median, us",
            [
                *(_line(algorithm, line, "plan_median_us") for algorithm, line in lines.items()),
                _line("one Dijkstra of networkx", next(iter(lines.values())), "dijkstra_median_us"),
            ],
            log_x=True,
            log_y=True,
        )
        for terminals, lines in panels.items()
    ]


def _line(name: str, rows: Sequence[Row], key: str) -> Series:
    ordered = sorted(rows, key=lambda row: row["switches"])
    return Series(name, [row["switches"] for row in ordered], [row[key] for row in ordered])
