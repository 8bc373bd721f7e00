"""One request, step by step: a first answer by the paper's rule, then whatever is cheaper, or a refusal's proof."""

from __future__ import annotations

from attrs import define

from dpb_framework.contracts.algorithm import Demand
from dpb_pathcomp.branching import Branch, search
from dpb_pathcomp.closure import reachable
from dpb_pathcomp.grow import first_answer
from dpb_pathcomp.loads import Ends, Loads
from dpb_pathcomp.mirror import FAR, Mirror
from dpb_pathcomp.problem import GaveUp, Problem, Rules, Use, Work

ROUNDS = 4
"""So many trees are grown for the first answer; without one the search begins with nothing known."""


@define
class Solved:
    """What is known of a request: a tree in `uses`; or none, with what proves that when `proved`; or given up.

    A proof is `near`, the vertices of one side of a cut that nothing of the request can cross; or `reached`, where
    each set of terminals can be brought; or `root`, the branches of the search. `problem` is None where the request was
    too large to begin with.
    """

    problem: Problem | None
    uses: list[Use]
    proved: bool
    near: list[int] | None = None
    reached: list[int] | None = None
    root: Branch | None = None
    conflicts: int = 0


def too_large(mirror: Mirror, ends: Ends, work: int) -> bool:
    """Whether what must be looked at in any case is more than *work*."""
    return int(3**ends.bits) + (mirror.vertices << ends.bits >> 2) > work


def solve(mirror: Mirror, demand: Demand, work: Work) -> Solved:
    """Return the cheapest tree, or that none fits, or that *work* did not suffice; *demand* has two places to join."""
    ends = Ends.of(demand)
    if too_large(mirror, ends, work.left):
        return Solved(None, [], False)
    loads = Loads(ends, mirror.cost.by_load)
    problem = Problem.of(mirror, loads, demand.prefer)
    cost, uses = FAR, []
    if not ends.vertices and not ends.edges:
        first = first_answer(problem, ROUNDS)
        work.left -= 9 * first.visits
        cost, uses = first.cost, first.uses
        if first.near is not None:
            return Solved(problem, [], True, near=first.near)
        if loads.full == 1:
            return Solved(problem, uses, True)
    try:
        if cost == FAR:
            reached = reachable(problem, Rules.of(loads, mirror.vertices), work)
            if not reached[loads.full] >> loads.root & 1:
                return Solved(problem, [], True, reached=reached)
    except GaveUp:
        return Solved(problem, [], False)
    found = search(problem, cost, uses, work)
    return Solved(problem, found.uses, found.proved, root=found.root, conflicts=found.conflicts)
