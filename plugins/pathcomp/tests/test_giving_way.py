"""Searches stand aside for shorter work, in each of their stages, and answer the same."""

from __future__ import annotations

import math
from random import Random

import pytest
from dpb_pathcomp.adaptive import Adaptive
from dpb_pathcomp.bast import Bast
from dpb_pathcomp.exact import Exact

from dpb_framework import precedence
from dpb_framework.contracts.algorithm import Algorithm, NoTree, Residual, Tree
from dpb_framework.precedence import expect_step, pauses, step_over
from dpb_framework.testing.instances import demand_of
from dpb_framework.testing.topologies import barabasi_albert

TOPOLOGY, _ = barabasi_albert(64, 2, seed=3)


def ask(algorithm: Algorithm, thin: bool) -> tuple[Tree | NoTree, int]:
    """Ask for a tree of nine ends over trunks that are thin or not; the answer, and how often the search paused."""
    random = Random(5)
    rates = [random.choice((6, 12, 20, 30) if thin else (40, 60)) for _ in TOPOLOGY.tails]
    ends = [(vertex, random.choice((5, 10, 11)), random.choice((5, 10, 12))) for vertex in random.sample(range(64), 9)]
    planner, before = algorithm.planner(TOPOLOGY), pauses()
    outcome = planner.plan(demand_of(*ends), Residual(rates, rates[::-1]))
    return outcome, pauses() - before


@pytest.mark.parametrize("thin", [True, False])
@pytest.mark.parametrize("algorithm", [Bast(), Exact(engine="python"), Adaptive(engine="python")])
def test_what_takes_long_stands_aside_and_answers_the_same(
    algorithm: Algorithm, thin: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precedence, "SLICE", 0.0)
    monkeypatch.setattr(precedence, "SHORT", math.inf)
    alone, _ = ask(algorithm, thin)
    expect_step()
    try:
        beside, often = ask(algorithm, thin)
    finally:
        step_over()
    assert beside == alone
    # By sets of terminals, of which there are 256, or by the rounds of the rule.
    assert often >= (1 if isinstance(algorithm, Bast) and not thin else 50)
