"""How algorithms are judged: `dpb bench`."""

from __future__ import annotations

import click

from dpb_pathcomp.bench.command import replay_command


@click.group()
def bench() -> None:
    """Judge path computation by sequences of requests, beside one Dijkstra."""


bench.add_command(replay_command)

__all__ = ["bench"]
