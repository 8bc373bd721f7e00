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
    of it and the whole. With `traffic`, a demand joins two nodes instead, chosen in proportion to the network's own
    traffic.
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
        if not self.traffic and self.most > len(workload.nodes):
            raise ConfigInvalid("--terminals", f"{self.most} terminals, and there are {len(workload.nodes)} nodes")
        return Source(self, len(workload.nodes), workload)


class Source:
    """Draws demands for one network."""

    def __init__(self, mix: Mix, nodes: int, workload: Workload) -> None:
        self._mix = mix
        self._nodes = range(nodes)
        self._pairs = [(start, end) for start, end, _ in workload.traffic]
        self._weights = list(accumulate(weight for _, _, weight in workload.traffic))

    def draw(self, random: Random) -> Demand:
        """Return the next demand."""
        mix = self._mix
        if mix.traffic:
            (vertices,) = random.choices(self._pairs, cum_weights=self._weights)
        else:
            vertices = tuple(random.sample(self._nodes, random.randint(mix.least, mix.most)))  # type: ignore[assignment]
        if not mix.unequal:
            rates = (mix.rate,) * len(vertices)
            return Demand(vertices, rates, rates, mix.rate)
        low = max(1, mix.rate // TENTH)
        ingress = tuple(random.randint(low, mix.rate) for _ in vertices)
        egress = tuple(random.randint(low, mix.rate) for _ in vertices)
        return Demand(vertices, ingress, egress, min(ingress + egress))


def volume(demand: Demand) -> int:
    """Return what a demand asks for, kbit/s: all rates of all terminals, in and out."""
    return sum(demand.ingress) + sum(demand.egress)
