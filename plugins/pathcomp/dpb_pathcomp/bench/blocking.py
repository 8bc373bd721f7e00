"""Blocking: requests come and go, and some find no room.

Poisson arrivals, exponential holding times. The load is the offered traffic in erlangs (arrival rate times mean holding
time) as a share of `filling.saturation`. On a single trunk that is Erlang's formula (the tests hold it to that).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from random import Random

from attrs import define, frozen

from dpb_framework.contracts.algorithm import Demand, NoTree, Planner
from dpb_framework.errors import PlanInvalid
from dpb_framework.networks.tree import Load, check_fits, tree_loads
from dpb_pathcomp.bench.contestants import contestant
from dpb_pathcomp.bench.demands import Mix, Source, volume
from dpb_pathcomp.bench.filling import Player
from dpb_pathcomp.bench.ground import Ground
from dpb_pathcomp.bench.topologies import topology

WARM_UP = 4.0
"""Mean holding times from the empty network until requests count; by then e**-4 of the way to balance is left."""


@frozen
class Trial:
    """One algorithm under one load, with one seed; all of it plain, so that another process can do it."""

    topology: str
    algorithm: str
    oracle: str
    mix: Mix
    services: float
    """The offered traffic in erlangs: how many services there would be at once if none were refused."""
    requests: int
    seed: int


@define
class Tally:
    """Counts of the requests that count, kbit/s for volumes; `reserved` is on trunks, both ways, by all accepted."""

    offered: int = 0
    refused: int = 0
    volume: int = 0
    volume_refused: int = 0
    reserved: int = 0
    false: int = 0
    """Refused although the oracle has a tree."""
    unknown: int = 0
    """Refused, and the oracle neither has a tree nor proves that there is none."""
    false_proofs: int = 0
    """Refused as proved although the oracle has a tree: a fault of the algorithm."""

    @property
    def blocking(self) -> float:
        """The share of requests that were refused."""
        return self.refused / self.offered

    @property
    def volume_blocking(self) -> float:
        """The share of the asked-for bandwidth that was refused."""
        return self.volume_refused / self.volume

    @property
    def reserved_each(self) -> float:
        """What an accepted request took on trunks, both ways, kbit/s on average."""
        return self.reserved / max(1, self.offered - self.refused)


def run(trial: Trial) -> Tally:
    """Run one trial. `PlanInvalid` when the algorithm, or the oracle, proposes what does not hold."""
    workload = topology(trial.topology)
    ground = Ground(workload)
    player = Player(trial.algorithm, contestant(trial.algorithm).planner(ground.topology), ground)
    oracle = contestant(trial.oracle).planner(ground.topology) if trial.oracle else None
    source = trial.mix.source(workload)
    return play(player, arrivals(source, trial.services, trial.requests, trial.seed), oracle)


def arrivals(source: Source, services: float, requests: int, seed: int) -> Iterator[tuple[float, float, Demand, bool]]:
    """Yield (arrival, departure, demand, whether it counts), times in mean holding times.

    The same seed gives the same demands and, in proportion, the same times, whatever the load and the algorithm.
    """
    random = Random(f"arrivals {seed}")
    now = 0.0
    for number in range(-math.ceil(WARM_UP * services), requests):
        now += random.expovariate(1.0) / services
        held = random.expovariate(1.0)
        yield now, now + held, source.draw(random), number >= 0


def play(player: Player, sequence: Iterator[tuple[float, float, Demand, bool]], oracle: Planner | None) -> Tally:
    """Offer the requests in their order, and let each accepted one go in its time."""
    tally = Tally()
    ground = player.ground
    going: list[tuple[float, int, Sequence[Load]]] = []
    for number, (now, until, demand, counts) in enumerate(sequence):
        while going and going[0][0] <= now:
            ground.give_back(heappop(going)[2])
        loads, outcome = player.offer(demand)
        if loads is not None:
            heappush(going, (until, number, loads))
        if not counts:
            continue
        tally.offered += 1
        tally.volume += volume(demand)
        if loads is not None:
            tally.reserved += sum(up + down for _, up, down in loads)
            continue
        tally.refused += 1
        tally.volume_refused += volume(demand)
        if oracle is not None:
            assert isinstance(outcome, NoTree)
            _judge(tally, outcome, demand, oracle, ground)
    return tally


def _judge(tally: Tally, refusal: NoTree, demand: Demand, oracle: Planner, ground: Ground) -> None:
    """Count whether a refusal was right."""
    better = oracle.plan(demand, ground.residual)
    if isinstance(better, NoTree):
        tally.unknown += not better.proved
        return
    if check_fits(tree_loads(ground.topology, better.edges, demand), ground.residual):
        raise PlanInvalid("the oracle", "its tree does not fit")
    tally.false += 1
    tally.false_proofs += refusal.proved
