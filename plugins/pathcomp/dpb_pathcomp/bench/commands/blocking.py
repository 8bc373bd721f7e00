"""`dpb bench blocking`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from dpb_framework.model import mbps
from dpb_pathcomp.bench import tasks
from dpb_pathcomp.bench.blocking import Tally, Trial, run
from dpb_pathcomp.bench.commands.options import Algorithms, Output, algorithms, jobs, mixes, outputs, seeds, topologies
from dpb_pathcomp.bench.demands import Mix
from dpb_pathcomp.bench.estimates import Estimate
from dpb_pathcomp.bench.filling import saturation
from dpb_pathcomp.bench.plots import Panel, Series
from dpb_pathcomp.bench.results import Results, Row, rounded
from dpb_pathcomp.bench.topologies import topology


@click.command("blocking")
@topologies
@algorithms
@click.option(
    "--load", "loads", type=click.FloatRange(min=0, min_open=True), multiple=True, default=(0.7, 0.8, 0.9, 1.0),
    show_default=True, help="Offered traffic, as a share of what the network holds when it is full."
    " May be given several times.",
)  # fmt: skip
@mixes("100")
@click.option(
    "--requests", type=click.IntRange(min=1), default=5000, show_default=True, help="So many count, in each run."
)
@seeds(5)
@click.option(
    "--oracle", type=Algorithms(), default="", help="An algorithm that is asked whether each refusal was right."
)
@jobs
@outputs
def blocking_command(
    topologies: tuple[str, ...],
    algorithms: tuple[str, ...],
    loads: tuple[float, ...],
    terminals: tuple[int, int],
    rate: int,
    unequal: bool,
    traffic: bool,
    requests: int,
    runs: int,
    seed: int,
    oracle: str,
    jobs: int,
    **files: Any,
) -> None:
    """Requests come and go: how many find no room, with which algorithm.

    Poisson arrivals, exponential holding times. Load 1 is as many services as the network holds when the paper's rule
    has filled it until it refused fifty requests in a row. The first four holding times do not count. Blocking is the
    share of requests refused, volume blocking the share of the bandwidth asked for, each with half the width of its
    95 % confidence interval over the runs. The difference, in percentage points, is to the first algorithm's blocking,
    run by run: all have the same requests, so it is surer than the blocking itself.
    """
    output = Output.of("blocking", **files)
    mix = Mix(rate, *terminals, unequal, traffic)
    trials = []
    for name in topologies:
        workload = topology(name)
        full = saturation(workload, mix.source(workload), seed)
        trials += [
            (load, Trial(name, algorithm, oracle, mix, load * full, requests, seed + number))
            for load in loads
            for algorithm in algorithms
            for number in range(runs)
        ]
    tallies = tasks.each(run, [trial for _, trial in trials], label="blocking", jobs=jobs)
    found = [(load, trial, tally) for (load, trial), tally in zip(trials, tallies, strict=True)]
    groups = [found[place : place + runs] for place in range(0, len(found), runs)]
    many = len(algorithms)
    rows = [_row(group, groups[place // many * many]) for place, group in enumerate(groups)]
    parameters = {
        "rate_mbps": mbps(rate), "terminals": list(terminals), "unequal": unequal, "traffic": traffic,
        "requests": requests, "runs": runs, "seed": seed, "oracle": oracle or None,
    }  # fmt: skip
    output.put(Results("blocking", parameters, rows, [_single(*one) for one in found]), _panels(rows, topologies))


def _row(runs: Sequence[tuple[float, Trial, Tally]], first: Sequence[tuple[float, Trial, Tally]]) -> Row:
    load, trial, _ = runs[0]
    tallies = [tally for _, _, tally in runs]
    blocking, blocking_ci = _estimate([100 * tally.blocking for tally in tallies])
    volume, volume_ci = _estimate([100 * tally.volume_blocking for tally in tallies])
    difference, difference_ci = _estimate(
        [100 * (tally.blocking - other.blocking) for tally, (_, _, other) in zip(tallies, first, strict=True)]
    )
    reserved, _ = _estimate([tally.reserved_each / 1000 for tally in tallies])
    judged = ("false", "unknown", "false_proofs") if trial.oracle else ()
    return {
        "topology": trial.topology,
        "load": load,
        "services": rounded(trial.services),
        "algorithm": trial.algorithm,
        "blocking_percent": blocking,
        "blocking_ci": blocking_ci,
        "difference": difference,
        "difference_ci": difference_ci,
        "volume_blocking_percent": volume,
        "volume_blocking_ci": volume_ci,
        "reserved_mbps_each": reserved,
        "offered": sum(tally.offered for tally in tallies),
        "refused": sum(tally.refused for tally in tallies),
        **{key: sum(getattr(tally, key) for tally in tallies) for key in judged},
    }


def _estimate(values: Sequence[float]) -> tuple[float | None, float | None]:
    found = Estimate.of(values)
    return rounded(found.mean), rounded(found.half)


def _single(load: float, trial: Trial, tally: Tally) -> Row:
    return {
        "topology": trial.topology,
        "load": load,
        "algorithm": trial.algorithm,
        "seed": trial.seed,
        "offered": tally.offered,
        "refused": tally.refused,
        "volume_mbps": mbps(tally.volume),
        "volume_refused_mbps": mbps(tally.volume_refused),
        "reserved_mbps": mbps(tally.reserved),
        **({key: getattr(tally, key) for key in ("false", "unknown", "false_proofs")} if trial.oracle else {}),
    }


def _panels(rows: Sequence[Row], topologies: Sequence[str]) -> list[Panel]:
    panels = []
    for name in dict.fromkeys(topologies):
        lines: dict[str, list[Row]] = {}
        for row in rows:
            if row["topology"] == name:
                lines.setdefault(row["algorithm"], []).append(row)
        series = [
            Series(
                algorithm,
                [row["load"] for row in line],
                [row["blocking_percent"] for row in line],
                [row["blocking_ci"] or 0.0 for row in line],
            )
            for algorithm, line in lines.items()
        ]
        panels.append(Panel(name, "load", "blocking, %", series))
    return panels
