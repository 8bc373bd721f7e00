"""Complete and optimal: the cheapest tree, or the proof that there is none.

The cheapest way to gather all terminals may leave a vertex twice, with the sets S1 and S2; then it is only a bound.
Take a terminal that is in just one of them: either it passes that vertex (which then only sets with it may leave) or
not. Every tree is in one of these branches, and neither has that conflict. Cheapest bound first, so that the first
answer without a conflict is the best there is.
"""

from __future__ import annotations

from heapq import heappop, heappush

from attrs import define

from dpb_pathcomp.mirror import FAR
from dpb_pathcomp.problem import GaveUp, Problem, Rules, Use, Work
from dpb_pathcomp.searches import Searches


@define
class Branch:
    """A part of the search: its rules, and where it was divided (`bit` 0: it was not)."""

    rules: Rules
    vertex: int = 0
    bit: int = 0
    with_bit: Branch | None = None
    without_bit: Branch | None = None


@define
class Found:
    """What a search came to.

    `uses` are the arcs of the best tree known, with the sets that they carry; empty when none is. `proved`: nothing
    is cheaper, or without a tree, there is none. `conflicts` counts the divisions below `root`, the whole search.
    """

    cost: int
    uses: list[Use]
    proved: bool
    conflicts: int = 0
    root: Branch | None = None


def search(engine: Searches, problem: Problem, cost: int, uses: list[Use], work: Work) -> Found:
    """Return the best tree if it is cheaper than the known one (*cost* is `FAR` without one), else that."""
    known = Found(cost, uses, True)
    if cost < FAR:
        charge = problem.mirror.visit + 4
        bounded = engine.distances(problem, cost, work.left // charge)
        work.left -= charge * bounded.visits
        if work.left < 0:
            known.proved = False
            return known
        scope = bounded.scope
        if scope is None:
            return known
    else:
        scope = engine.unbounded(problem)
    known.root = Branch(Rules.of(problem.loads))
    counter = 0
    # (cost of the bound, order of making, its uses, where it belongs)
    waiting: list[tuple[int, int, list[Use], Branch]] = []

    def look(branch: Branch) -> None:
        nonlocal counter
        found_cost, found_uses = engine.gather(problem, branch.rules, scope, work)
        if found_cost < known.cost:
            counter += 1
            heappush(waiting, (found_cost, counter, found_uses, branch))

    try:
        look(known.root)
        while waiting:
            cost, _, uses, branch = heappop(waiting)
            conflict = _conflict(problem.mirror.heads, uses)
            if conflict is None:
                known.cost, known.uses = cost, uses
                break  # cheapest bound first: whatever waits is no cheaper
            known.conflicts += 1
            branch.vertex, branch.bit = conflict
            branch.with_bit = Branch(branch.rules.with_bit(*conflict))
            branch.without_bit = Branch(branch.rules.without_bit(*conflict))
            look(branch.with_bit)
            look(branch.without_bit)
    except GaveUp:
        known.proved = False
    return known


def _conflict(heads: list[int], uses: list[Use]) -> tuple[int, int] | None:
    """Return a vertex that is left by two sets, and a bit that is in one of them only."""
    left: dict[int, int] = {}
    for arc, gathered in uses:
        vertex = heads[arc ^ 1]
        differing = left.get(vertex, gathered) ^ gathered
        if vertex in left:
            return vertex, differing & -differing
        left[vertex] = gathered
    return None
