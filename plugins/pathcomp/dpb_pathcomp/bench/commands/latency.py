"""`dpb bench latency`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from dpb_framework.model import mbps
from dpb_framework.runtime import tune_interpreter
from dpb_pathcomp.bench import tasks
from dpb_pathcomp.bench.commands.options import Output, algorithms, outputs, rates, seeds
from dpb_pathcomp.bench.demands import Mix
from dpb_pathcomp.bench.establishing import Established, Run, Task, run
from dpb_pathcomp.bench.figures import Quantiles
from dpb_pathcomp.bench.plots import Panel, Series
from dpb_pathcomp.bench.results import Results, Row, rounded
from dpb_pathcomp.bench.topologies import topology

AGAINST = ("services", "circuits")

_CURVES = (("cpu_mean_ms", "establishment, CPU, mean, ms"), ("plan_mean_us", "planning alone, CPU, mean, us"))

CIRCUITS = 3
"""So many circuits are counted for a service where points are put together."""


@click.command("latency")
@click.option(
    "--topology", "topologies", multiple=True, default=("ba:54", "ba:72", "ba:96", "ba:128"), show_default=True,
    metavar="TOPOLOGY", help="As in `blocking`. May be given several times.",
)  # fmt: skip
@algorithms
@rates("10")
@click.option(
    "--services", type=click.IntRange(min=1), default=300, show_default=True, help="Establish so many in each run."
)
@click.option(
    "--group", type=click.IntRange(min=1), default=10, show_default=True,
    help="A point of the curves is the mean over so many services (or three times as many circuits).",
)  # fmt: skip
@seeds(100)
@click.option("--store", type=click.Choice(["memory", "sqlite"]), default="memory", show_default=True)
@outputs
def latency_command(
    topologies: tuple[str, ...],
    algorithms: tuple[str, ...],
    terminals: tuple[int, int],
    rate: int,
    services: int,
    group: int,
    runs: int,
    seed: int,
    store: str,
    **files: Any,
) -> None:
    """Establishment latency against prior services and prior circuits: the paper's figures 5 and 6.

    A broker with an aggregator of emulated switches establishes one service after the other: created, defined,
    activated, ACTIVE. Told are wall and CPU time of the whole and CPU time of planning alone, also as multiples of one
    networkx.single_source_dijkstra over the same graph, run before every tenth. The curves show CPU time: what else
    the machine does is no part of it. A run ends early when a service finds no room.
    """
    output = Output.of("latency", **files)
    tune_interpreter()
    mix = Mix(rate, *terminals)
    for name in topologies:
        mix.source(topology(name))  # faults are told before anything runs
    pairs = [(name, algorithm) for name in topologies for algorithm in algorithms]
    # Run by run, so that what disturbs the machine for a while disturbs all alike.
    work = [
        Task(name, algorithm, store, mix, services, seed + number)
        for number in range(runs)
        for name, algorithm in pairs
    ]
    found: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for task, one in zip(work, tasks.each(run, work, label="latency"), strict=True):
        found[task.topology, task.algorithm].append(one)
    rows = [row for pair in pairs for row in _points(pair, found[pair], group)]
    parameters = {
        "rate_mbps": mbps(rate), "terminals": list(terminals), "services": services, "group": group, "runs": runs,
        "seed": seed, "store": store,
    }  # fmt: skip
    summary = [_summary(pair, found[pair]) for pair in pairs]
    output.put(Results("latency", parameters, rows, summary=summary), _panels(rows))


def _summary(pair: tuple[str, str], runs: Sequence[Run]) -> Row:
    everything = [one for each in runs for one in each.established]
    return {
        **_named(pair, runs),
        "established": len(everything),
        "ended_early": sum(one.refused for one in runs),
        **_times(everything, _yardstick(runs)),
    }


def _points(pair: tuple[str, str], runs: Sequence[Run], group: int) -> Iterator[Row]:
    unit = _yardstick(runs)
    for against, width in (("services", group), ("circuits", CIRCUITS * group)):
        bins: dict[int, list[Established]] = defaultdict(list)
        for each in runs:
            for one in each.established:
                bins[getattr(one, against) // width * width].append(one)
        for first, those in sorted(bins.items()):
            yield {**_named(pair, runs), "against": against, "prior": first, "count": len(those), **_times(those, unit)}


def _named(pair: tuple[str, str], runs: Sequence[Run]) -> dict[str, Any]:
    return {"topology": pair[0], "switches": runs[0].vertices, "algorithm": pair[1]}


def _yardstick(runs: Sequence[Run]) -> float:
    """The median of one Dijkstra, microseconds of CPU."""
    return Quantiles.of([time for each in runs for time in each.dijkstras]).median


def _times(those: Iterable[Established], unit: float) -> dict[str, float | None]:
    those = list(those)
    wall = Quantiles.of([one.wall for one in those])
    cpu = Quantiles.of([one.cpu for one in those])
    planning = Quantiles.of([one.planning for one in those])
    return {
        "mean_ms": rounded(sum(one.wall for one in those) / max(1, len(those)) / 1e6),
        "median_ms": rounded(wall.median / 1000),
        "p95_ms": rounded(wall.p95 / 1000),
        "cpu_mean_ms": rounded(sum(one.cpu for one in those) / max(1, len(those)) / 1e6),
        "cpu_median_us": rounded(cpu.median),
        "cpu_p95_us": rounded(cpu.p95),
        "plan_mean_us": rounded(sum(one.planning for one in those) / max(1, len(those)) / 1000),
        "plan_median_us": rounded(planning.median),
        "plan_p95_us": rounded(planning.p95),
        "dijkstra_median_us": rounded(unit),
        "cpu_median_dijkstras": rounded(cpu.median / unit, 4),
        "cpu_p95_dijkstras": rounded(cpu.p95 / unit, 4),
        "plan_median_dijkstras": rounded(planning.median / unit, 4),
        "plan_p95_dijkstras": rounded(planning.p95 / unit, 4),
    }


def _panels(rows: Sequence[Row]) -> list[Panel]:
    several = len({row["algorithm"] for row in rows}) > 1
    panels = []
    for against in AGAINST:
        for key, what in _CURVES:
            lines: dict[str, list[Row]] = defaultdict(list)
            for row in rows:
                if row["against"] == against:
                    lines[f"{row['topology']} {row['algorithm']}" if several else row["topology"]].append(row)
            series = [
                Series(name, [row["prior"] for row in line], [row[key] for row in line]) for name, line in lines.items()
            ]
            panels.append(Panel(f"given prior {against}", f"prior {against}", what, series))
    return panels
