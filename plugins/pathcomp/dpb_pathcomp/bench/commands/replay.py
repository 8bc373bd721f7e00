"""The commands `dpb bench ...`."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import click

from dpb_framework import plugins
from dpb_framework.contracts import Algorithm
from dpb_framework.runtime import tune_interpreter
from dpb_pathcomp.bench.replay import replay
from dpb_pathcomp.bench.workload import read
from dpb_pathcomp.bench.world import World


@click.command("replay")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--algorithm", default="bast", show_default=True, help="The installed algorithm that plans.")
@click.option("--limit", type=click.IntRange(min=1), help="Replay no more than so many requests.")
@click.option("--past-refusals", is_flag=True, help="Go on after a refusal.")
@click.option("--seed", type=int, help="The seed of the algorithm, if it has one, and of the yardstick.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--store", type=click.Choice(["memory", "sqlite"]), default="memory", show_default=True)
def replay_command(
    file: Path,
    algorithm: str,
    limit: int | None,
    past_refusals: bool,
    seed: int | None,
    as_json: bool,
    store: str,
) -> None:
    """Replay the requests of FILE on emulated switches.

    FILE is .json or .json.gz: a network, and requests. It becomes an aggregator with one switch and terminal a node.

    Each request is defined, activated and kept. Printed are the accepted and refused, the bandwidth reserved on trunks
    (both directions added), and the times of planning and of define, beside those of one Dijkstra of networkx.
    """
    workload = read(file)
    tune_interpreter()
    settings = {"seed": seed} if seed is not None and _has_seed(algorithm) else {}
    with World(workload, algorithm=algorithm, settings=settings, store=store) as world:
        figures = replay(
            workload,
            world,
            algorithm=algorithm,
            store=store,
            limit=limit,
            past_refusals=past_refusals,
            seed=seed or 0,
        )
    click.echo(json.dumps(figures.plain(), indent=1) if as_json else figures.table())


def _has_seed(algorithm: str) -> bool:
    return "seed" in inspect.signature(plugins.load(plugins.ALGORITHMS, algorithm, Algorithm)).parameters
