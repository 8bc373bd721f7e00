"""The engine that runs compiled searches: a second picture of the network, as arrays, that follows the mirror."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from dpb_framework.model.value import value
from dpb_pathcomp.compilation import Compiled
from dpb_pathcomp.mirror import FAR, Mirror
from dpb_pathcomp.problem import GaveUp, Problem, Rules, Use, Work
from dpb_pathcomp.searches import PLAIN, Bounded, Grown

_FAR = 1 << 62
"""As in `compilable`."""

_LARGEST = 1 << 61
"""Ints of the machine end soon after; what could come near is left to plain Python."""


@value
class _Scope:
    limit: int
    far: Any
    opened: Any
    cheapest: Any


class FastSearches:
    """Compiled searches on the arrays of one mirror."""

    def __init__(self, mirror: Mirror, compiled: Compiled) -> None:
        np = self._np = compiled.np
        self._compiled = compiled
        self._mirror = mirror
        slots: list[int] = []
        first = [0]
        for arcs in mirror.around:
            slots += [arc for *_, arc in arcs]
            first.append(len(slots))
        self._first = np.array(first, np.int64)
        self._slots = np.array(slots, np.int64)
        self._heads = np.array(mirror.heads, np.int64)
        self._left = np.empty(len(mirror.left), np.int64)
        self._weights = np.empty(len(mirror.weights), np.int64)
        self._open = np.array([distance >= 0 for distance in mirror.blank], np.uint8)
        self._none = np.empty(0, np.int64)
        self._no_far = np.empty((0, 0), np.int64)
        self._take_over()

    def _take_over(self) -> None:
        """Copy everything. What no int of the machine holds is cut: `_fits` sees to it that nobody looks."""
        self._left[:] = [min(rate, _LARGEST) for rate in self._mirror.left]
        self._weights[:] = [min(weight, _LARGEST) for weight in self._mirror.weights]
        self._mirror.changes.clear()

    def _follow(self) -> None:
        mirror = self._mirror
        left, weights = self._left, self._weights
        if len(mirror.changes) >= len(weights) // 2:
            self._take_over()
            return
        for edge in mirror.changes:
            arc = 2 * edge
            left[arc] = min(mirror.left[arc], _LARGEST)
            left[arc + 1] = min(mirror.left[arc + 1], _LARGEST)
            weights[edge] = min(mirror.weights[edge], _LARGEST)
        mirror.changes.clear()

    def _shape(self, problem: Problem, without: Collection[int]) -> tuple[Any, ...]:
        """The arrays that each search begins with."""
        self._follow()
        weights, left = self._weights, self._left
        if problem.weights is not self._mirror.weights:
            weights = self._np.array(problem.weights, self._np.int64)
        if without or problem.loads.edge_bits:
            left = left.copy()
            for edge in (*without, *problem.loads.edge_bits):
                left[2 * edge] = left[2 * edge + 1] = -1
        return self._first, self._slots, self._heads, left, weights

    def _opened(self, problem: Problem) -> Any:
        opened, hangs = self._open.copy(), self._mirror.hangs
        for vertex in problem.open:
            while not opened[vertex]:
                opened[vertex] = 1
                vertex = hangs[vertex]
        return opened

    def _fits(self, problem: Problem, cost: int) -> bool:
        """Whether whatever is computed with costs up to *cost* stays within the machine's ints, and the rates do."""
        ends = problem.loads.ends
        return cost << self._mirror.bits + 1 < _LARGEST and sum(ends.ingress) + sum(ends.egress) < _LARGEST

    def grow(self, problem: Problem, without: Collection[int]) -> Grown:
        """See `compilable.grow`."""
        if not self._fits(problem, problem.heaviest * self._mirror.vertices):
            return PLAIN.grow(problem, without)
        loads, mirror, np = problem.loads, self._mirror, self._np
        away, back = loads.first_need
        arcs, missing, visits, best = self._compiled.grow(
            *self._shape(problem, without),
            self._opened(problem),
            np.array(loads.homes, np.int64),
            loads.root,
            away,
            back,
            mirror.bits,
        )
        near: list[int] = []
        if missing:
            near = mirror.with_hanging(np.nonzero((best >= 0) & (best < _FAR))[0].tolist(), problem.open)
        return Grown(arcs.tolist(), missing, visits, near)

    def distances(self, problem: Problem, limit: int, most: int) -> Bounded:
        """See `compilable.distances`."""
        loads, np = problem.loads, self._np
        cheapest = loads.cheapest_rest()
        factor, largest = min(cheapest), max(loads.cost)
        ratio = largest // factor + 1
        if not self._fits(problem, limit + largest * problem.heaviest) or 8 * limit * ratio >= _LARGEST:
            return PLAIN.distances(problem, limit, most)
        able, far, opened, visits = self._compiled.distances(
            *self._shape(problem, ()),
            self._opened(problem),
            np.array(loads.ends.places, np.int64),
            loads.least,
            factor,
            limit,
            most,
            self._mirror.bits,
        )
        return Bounded(_Scope(limit, far, opened, np.array(cheapest, np.int64)) if able else None, visits)

    def unbounded(self, problem: Problem) -> Any:
        """Return the scope without a limit."""
        if not self._fits(problem, max(problem.loads.cost) * problem.heaviest * self._mirror.vertices):
            return PLAIN.unbounded(problem)
        return _Scope(_FAR >> 1, self._no_far, self._opened(problem), self._none)

    def gather(self, problem: Problem, rules: Rules, scope: Any, work: Work) -> tuple[int, list[Use]]:
        """See `compilable.gather`."""
        if not isinstance(scope, _Scope):
            return PLAIN.gather(problem, rules, scope, work)
        loads, np = problem.loads, self._np
        ruled = list(rules.must | rules.never)
        *shape, weights = self._shape(problem, ())
        cost, arcs, sets, left = self._compiled.gather(
            *shape,
            self._left,
            weights,
            scope.opened,
            np.array(loads.homes, np.int64),
            loads.root,
            loads.real,
            np.array(loads.along, np.int64),
            np.array(loads.against, np.int64),
            np.array(loads.cost, np.int64),
            np.array(list(loads.edge_bits), np.int64),
            np.array(list(loads.edge_bits.values()), np.int64),
            np.array(ruled, np.int64),
            np.array([rules.must.get(vertex, 0) for vertex in ruled], np.int64),
            np.array([rules.never.get(vertex, 0) for vertex in ruled], np.int64),
            scope.far,
            np.array(loads.ends.places, np.int64),
            scope.cheapest,
            scope.limit,
            self._mirror.bits,
            self._mirror.visit,
            work.left,
        )
        work.left = left
        if left < 0:
            raise GaveUp
        if cost == _FAR:
            return FAR, []
        return cost, list(zip(arcs.tolist(), sets.tolist(), strict=True))
