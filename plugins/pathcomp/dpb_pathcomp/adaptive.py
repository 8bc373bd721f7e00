"""The recommended one: complete and load-aware where that is quick, the default's rule where a request is too large."""

from __future__ import annotations

from attrs import evolve

from dpb_framework.contracts.algorithm import Algorithm, Demand, NoTree, Outcome, Planner, Residual, Topology, Tree
from dpb_pathcomp.bast import Bast, BastPlanner
from dpb_pathcomp.exact import WORK, Exact, ExactPlanner

_QUICK = 8_000
"""The bound on bast's work, after the complete search has used up its own."""


class Adaptive(Algorithm):
    """`exact`, and `bast` where it gives up.

    `cost` is as of `exact`. `work` bounds the exact part of a request, in steps of its search; beyond it the tree is
    bast's, and its note says so. `seed` is as of `bast`, `engine` as of `exact`.
    """

    constraints = True

    def __init__(self, *, cost: str = "load", work: int = WORK, seed: int = 0, engine: str = "auto") -> None:
        self._exact = Exact(cost=cost, work=work, engine=engine)
        self._bast = Bast(seed=seed, work=_QUICK, complete=False)

    def planner(self, topology: Topology) -> AdaptivePlanner:
        """Return a planner for this shape: O(vertices + edges)."""
        return AdaptivePlanner(self._exact.planner(topology), self._bast.planner(topology))

    def warm_up(self) -> None:
        """As of `exact`."""
        self._exact.warm_up()


class AdaptivePlanner(Planner):
    """Plans on one topology."""

    def __init__(self, exact: ExactPlanner, bast: BastPlanner) -> None:
        self._exact = exact
        self._bast = bast

    def plan(self, demand: Demand, residual: Residual) -> Outcome:
        """Return the cheapest tree or the proof that there is none; where neither was found, bast's answer."""
        outcome = self._exact.plan(demand, residual)
        if isinstance(outcome, Tree) or outcome.proved:
            return outcome
        quick = self._bast.plan(demand, residual)
        if isinstance(quick, Tree):
            note = f"{'; ' if quick.note else ''}{quick.note}"
            return evolve(quick, note=f"by bast, for the complete search gave up{note}")
        if quick.proved:
            return quick
        return NoTree(f"{quick.reason}; the complete search gave up, so a tree may exist", False, quick.facts)
