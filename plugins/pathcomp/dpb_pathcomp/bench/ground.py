"""Trunks in memory without a broker: for benches in which only planning matters.

What is taken is booked as the aggregator books it: bandwidth each way, and one label; a trunk without a label is out.
"""

from __future__ import annotations

from collections.abc import Sequence

from dpb_framework.contracts.algorithm import Demand, Residual, Topology
from dpb_framework.errors import PlanInvalid
from dpb_framework.networks.tree import Load, check_fits, tree_loads
from dpb_pathcomp.bench.workload import Workload


def shape(workload: Workload) -> Topology:
    """Return the network as algorithms see it."""
    links = workload.links
    return Topology(
        len(workload.nodes),
        [link.a for link in links],
        [link.b for link in links],
        [link.delay for link in links],
        [f"{workload.nodes[link.a]}-{workload.nodes[link.b]}.{number}" for number, link in enumerate(links)],
        list(workload.nodes),
    )


class Ground:
    """The trunks of a network, and what is left of them in `residual`, which changes in place."""

    def __init__(self, workload: Workload, topology: Topology | None = None) -> None:
        self.topology = topology or shape(workload)
        self._up = [link.capacity for link in workload.links]
        self._down = self._up.copy()
        self._labels = [link.labels for link in workload.links]
        self._held = 0
        self.residual = Residual(*(self._up.copy() for _ in range(4)))  # at first all of the capacity is left

    @property
    def held(self) -> int:
        """What is taken, both directions added, kbit/s."""
        return self._held

    def take(self, edges: Sequence[int], demand: Demand, algorithm: str) -> list[Load]:
        """Take what *demand* needs on the tree of *edges*; `PlanInvalid` if that is no tree, or it does not fit."""
        try:
            loads = tree_loads(self.topology, edges, demand)
        except ValueError as error:
            raise PlanInvalid(algorithm, str(error)) from error
        short = check_fits(loads, self.residual)
        if short:
            raise PlanInvalid(algorithm, f"{self.topology.names[short[0]]} has not the room that it needs")
        self._book(loads, -1)
        return loads

    def give_back(self, loads: Sequence[Load]) -> None:
        """Give back what `take` returned."""
        self._book(loads, 1)

    def _book(self, loads: Sequence[Load], sign: int) -> None:
        residual, labels = self.residual, self._labels
        for edge, up, down in loads:
            labels[edge] += sign
            self._up[edge] += sign * up
            self._down[edge] += sign * down
            self._held -= sign * (up + down)
            free = labels[edge] > 0
            residual.upstream[edge] = self._up[edge] if free else 0
            residual.downstream[edge] = self._down[edge] if free else 0
