"""How algorithms are judged: `dpb bench`."""

from __future__ import annotations

import click

from dpb_pathcomp.bench.commands.blocking import blocking_command
from dpb_pathcomp.bench.commands.fill import fill_command
from dpb_pathcomp.bench.commands.gap import gap_command
from dpb_pathcomp.bench.commands.latency import latency_command
from dpb_pathcomp.bench.commands.replay import replay_command
from dpb_pathcomp.bench.commands.scaling import scaling_command


@click.group()
def bench() -> None:
    """Judge path computation by sequences of requests, beside one Dijkstra."""


for _command in (blocking_command, fill_command, gap_command, latency_command, replay_command, scaling_command):
    bench.add_command(_command)

__all__ = ["bench"]
