"""What is asked for in the planning benches: random demands, reproducible by seed."""

from __future__ import annotations

from itertools import accumulate
from random import Random

from attrs import frozen

from dpb_framework.contracts.algorithm import Demand
from dpb_framework.errors import ConfigInvalid
from dpb_pathcomp.bench.workload import Workload

TENTH = 10
"""An unequal rate lies between the mix's rate divided by this, and the rate."""


@frozen
class Mix:
    """A kind of demand: `least` to `most` terminals at different nodes, evenly chosen.

    Each terminal has `rate` kbit/s in and out; with `unequal`, each of its two rates is chosen evenly between a tenth
    of it and the whole. With `traffic`, nodes are not chosen evenly, but in proportion to its own traffic: the
    first two by what one sends to the other, and each further one by what it exchanges with those that are there
    (where nobody exchanges anything with them, evenly).
    """

    rate: int
    least: int = 2
    most: int = 4
    unequal: bool = False
    traffic: bool = False

    def source(self, workload: Workload) -> Source:
        """Return where demands on that network come from; `ConfigInvalid` when the network cannot have such."""
        if self.traffic and not workload.traffic:
            raise ConfigInvalid("--traffic", "the topology has no traffic of its own; those of topohub:sndlib/... have")
        if self.most > len(workload.nodes):
            raise ConfigInvalid("--terminals", f"{self.most} terminals, and there are {len(workload.nodes)} nodes")
        return Source(self, len(workload.nodes), workload)


class Source:
    """Draws demands for one network."""

    def __init__(self, mix: Mix, nodes: int, workload: Workload) -> None:
        self._mix = mix
        self._nodes = range(nodes)
        self._pairs = [(start, end) for start, end, _ in workload.traffic]
        self._weights = list(accumulate(weight for _, _, weight in workload.traffic))
        self._exchanged: dict[int, list[float]] = {}
        for start, end, weight in workload.traffic:
            for node, other in ((start, end), (end, start)):
                self._exchanged.setdefault(node, [0.0] * nodes)[other] += weight

    def draw(self, random: Random) -> Demand:
        """Return the next demand."""
        mix = self._mix
        count = random.randint(mix.least, mix.most)
        vertices = self._by_traffic(random, count) if mix.traffic else tuple(random.sample(self._nodes, count))
        if not mix.unequal:
            rates = (mix.rate,) * len(vertices)
            return Demand(vertices, rates, rates, mix.rate)
        low = max(1, mix.rate // TENTH)
        ingress = tuple(random.randint(low, mix.rate) for _ in vertices)
        egress = tuple(random.randint(low, mix.rate) for _ in vertices)
        return Demand(vertices, ingress, egress, min(ingress + egress))

    def _by_traffic(self, random: Random, count: int) -> tuple[int, ...]:
        (pair,) = random.choices(self._pairs, cum_weights=self._weights)
        chosen = list(pair)
        while len(chosen) < count:
            rows = [self._exchanged[node] for node in chosen if node in self._exchanged]
            weights = [0.0 if node in chosen else sum(row[node] for row in rows) for node in self._nodes]
            if not any(weights):
                weights = [float(node not in chosen) for node in self._nodes]
            chosen += random.choices(self._nodes, weights)
        return tuple(chosen)


def volume(demand: Demand) -> int:
    """Return what a demand asks for, kbit/s: all rates of all terminals, in and out."""
    return sum(demand.ingress) + sum(demand.egress)
