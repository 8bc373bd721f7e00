"""All trees of a small network, tried one after the other: the oracle of complete algorithms."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from dpb_framework.networks.tree import Load, check_constraints, check_fits, tree_loads
from dpb_framework.testing.instances import Instance


def trees_that_join(case: Instance, edges: list[int]) -> Iterator[list[Load]]:
    """Yield what each edge carries, for every tree among *edges* that keeps the constraints, whether it fits or not."""
    topology, demand = case.topology, case.demand
    for size in range(min(len(edges), topology.vertices - 1) + 1):
        for chosen in combinations(edges, size):
            try:
                loads = tree_loads(topology, chosen, demand)
                check_constraints(topology, chosen, demand)
            except ValueError:
                continue
            yield loads


def trees_that_fit(case: Instance) -> Iterator[list[Load]]:
    """Yield what each edge carries, for every tree that is an answer to the instance. At most a dozen edges, please."""
    residual = case.residual
    left = [e for e, both in enumerate(zip(residual.upstream, residual.downstream, strict=True)) if any(both)]
    for loads in trees_that_join(case, left):
        if not check_fits(loads, residual):
            yield loads
