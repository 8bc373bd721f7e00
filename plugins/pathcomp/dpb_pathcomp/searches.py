"""The three searches of a request as an engine offers them, and the engine in plain Python."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from dpb_framework.model.value import value
from dpb_pathcomp.bounds import Bound, distances
from dpb_pathcomp.gathering import gather
from dpb_pathcomp.grow import grow
from dpb_pathcomp.mirror import FAR
from dpb_pathcomp.problem import Problem, Rules, Use, Work


@value
class Grown:
    """A grown tree: arcs away from the root, who is missing as a set, how many vertices were visited.

    `near` are the vertices that were reached, with what hangs on them, when somebody is missing.
    """

    arcs: list[int]
    missing: int
    visits: int
    near: list[int]


@value
class Bounded:
    """What must be looked at to beat a limit: the engine's own `scope`, None if nothing can; and the visits."""

    scope: Any
    visits: int


class Searches(Protocol):
    """An engine. All engines give the same answers, and count the same work."""

    def grow(self, problem: Problem, without: Collection[int]) -> Grown:
        """Grow a tree by cheapest paths; the edges *without* are out."""

    def distances(self, problem: Problem, limit: int, most: int) -> Bounded:
        """Bound the search for what costs less than *limit*; it ends early, for nothing, after *most* visits."""

    def unbounded(self, problem: Problem) -> Any:
        """Return the scope without a limit."""

    def gather(self, problem: Problem, rules: Rules, scope: Any, work: Work) -> tuple[int, list[Use]]:
        """Return the cheapest way to gather all at the root, `FAR` where there is none in the scope. `GaveUp`."""


class PlainSearches:
    """Plain Python."""

    def grow(self, problem: Problem, without: Collection[int]) -> Grown:
        """See `grow.grow`."""
        mirror = problem.mirror
        around = mirror.without(problem.around, without) if without else problem.around
        best = mirror.open_to(problem.open)
        arcs, missing, visits = grow(mirror, around, problem.loads, best)
        near: list[int] = []
        if missing:
            reached = [vertex for vertex, distance in enumerate(best) if 0 <= distance < FAR]
            near = mirror.with_hanging(reached, problem.open)
        return Grown(arcs, missing, visits, near)

    def distances(self, problem: Problem, limit: int, most: int) -> Bounded:
        """See `bounds.distances`."""
        bound, closed, visits = distances(problem, limit, most)
        return Bounded(None if bound is None else (bound, closed), visits)

    def unbounded(self, problem: Problem) -> tuple[Bound, list[int]]:
        """Return a bound that bounds nothing, and what is closed to any search."""
        return Bound.none(), problem.mirror.open_to(problem.open)

    def gather(
        self, problem: Problem, rules: Rules, scope: tuple[Bound, list[int]], work: Work
    ) -> tuple[int, list[Use]]:
        """See `gathering.gather`."""
        bound, closed = scope
        return gather(problem, rules, closed, bound, work)


PLAIN = PlainSearches()
