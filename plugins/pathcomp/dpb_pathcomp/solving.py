"""One request, step by step: a first answer by the paper's rule, then whatever is cheaper, or a refusal's proof."""

from __future__ import annotations

from attrs import define

from dpb_framework.contracts.algorithm import Demand
from dpb_framework.precedence import give_way
from dpb_pathcomp.branching import Branch, search
from dpb_pathcomp.closure import reachable
from dpb_pathcomp.grow import weigh_tree
from dpb_pathcomp.loads import Ends, Loads
from dpb_pathcomp.mirror import FAR, Mirror
from dpb_pathcomp.problem import GaveUp, Problem, Rules, Use, Work
from dpb_pathcomp.searches import Searches

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


def solve(engine: Searches, mirror: Mirror, demand: Demand, ends: Ends, work: Work) -> Solved:
    """Return the cheapest tree, or that none fits, or that *work* did not suffice; *ends* are the demand's."""
    if too_large(mirror, ends, work.left):
        return Solved(None, [], False)
    loads = Loads(ends, mirror.cost.by_load)
    problem = Problem.of(mirror, loads, demand.prefer)
    cost: int = FAR
    uses: list[Use] = []
    if not ends.vertices and not ends.edges:
        left_out: list[int] = []
        while len(left_out) < ROUNDS and work.left > 0:
            give_way()
            grown = engine.grow(problem, left_out)
            work.left -= (2 * mirror.visit - 1) * grown.visits
            if grown.missing:
                if not left_out:
                    return Solved(problem, [], True, near=grown.near)
                break
            tree_cost, tree, worst = weigh_tree(mirror, problem.weights, loads, grown.arcs)
            if worst < 0:
                cost, uses = tree_cost, tree
                break
            left_out.append(worst)
        if loads.full == 1:
            return Solved(problem, uses, True)
    if work.left < 0:
        return Solved(problem, uses, False)
    try:
        if not uses:
            reached = reachable(problem, Rules.of(loads), work)
            if not reached[loads.full] >> loads.root & 1:
                return Solved(problem, [], True, reached=reached)
    except GaveUp:
        return Solved(problem, [], False)
    found = search(engine, problem, cost, uses, work)
    return Solved(problem, found.uses, found.proved, root=found.root, conflicts=found.conflicts)
