"""Fill a network without departures: until the first refusal, and until it is full."""

from __future__ import annotations

from random import Random

from attrs import evolve, frozen

from dpb_framework.contracts.algorithm import Demand, NoTree, Outcome, Planner
from dpb_framework.networks.tree import Load
from dpb_pathcomp.bast import Bast
from dpb_pathcomp.bench.demands import Source, volume
from dpb_pathcomp.bench.estimates import Estimate
from dpb_pathcomp.bench.ground import Ground
from dpb_pathcomp.bench.workload import Workload

IN_A_ROW = 50
"""A network is full when it has refused so many requests in a row."""

FILLINGS = 5
"""Saturation is the mean of so many fillings."""


class Player:
    """One algorithm at work on a ground of its own."""

    def __init__(self, name: str, planner: Planner, ground: Ground) -> None:
        self.name = name
        self.planner = planner
        self.ground = ground

    def offer(self, demand: Demand) -> tuple[list[Load] | None, Outcome]:
        """Let it plan and take what it proposes: the loads, None when it refuses; `PlanInvalid` as `Ground.take`."""
        outcome = self.planner.plan(demand, self.ground.residual)
        if isinstance(outcome, NoTree):
            return None, outcome
        return self.ground.take(outcome.edges, demand, self.name), outcome


@frozen
class Filled:
    """What came of it: counts of requests; kbit/s asked for (`volume`) and on trunks, both ways (`reserved`)."""

    first_refusal: int
    """How many were accepted before the first refusal."""
    accepted: int
    offered: int
    volume: int
    reserved: int


def fill(player: Player, source: Source, random: Random, *, requests: int = 0, in_a_row: int = IN_A_ROW) -> Filled:
    """Offer demands, each kept for ever, until so many were refused *in_a_row*; with *requests*, just so many."""
    accepted = offered = volumes = row = 0
    first_refusal: int | None = None
    while offered < requests if requests else row < in_a_row:
        demand = source.draw(random)
        offered += 1
        if player.offer(demand)[0] is None:
            row += 1
            first_refusal = accepted if first_refusal is None else first_refusal
            continue
        row = 0
        accepted += 1
        volumes += volume(demand)
    return Filled(accepted if first_refusal is None else first_refusal, accepted, offered, volumes, player.ground.held)


def saturation(workload: Workload, source: Source, seed: int) -> float:
    """Return how many services the network holds at once: load 1 of `dpb bench blocking`.

    The mean of `FILLINGS` fillings by the paper's rule, all trunks of the same length, each until `IN_A_ROW` requests
    in a row were refused.
    """
    alike = evolve(workload, links=tuple(evolve(link, delay=1) for link in workload.links))
    counts = []
    for number in range(FILLINGS):
        ground = Ground(alike)
        player = Player("bast", Bast(complete=False).planner(ground.topology), ground)
        counts.append(fill(player, source, Random(f"saturation {seed} {number}")).accepted)
    return Estimate.of(counts).mean
