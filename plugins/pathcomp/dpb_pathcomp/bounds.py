"""What the rest of a tree must cost at least, so that a search drops what cannot beat the answer that is known.

A tree that joins the vertices a, b and c costs at least half of the shortest tour through them. Distances are by
weight alone, over trunks that could carry some part of the request.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from attrs import define

from dpb_pathcomp.mirror import CLOSED, FAR
from dpb_pathcomp.problem import Problem

Prune = Callable[[int, int], bool]
"""(cost so far, vertex): whether nothing better than the known answer comes of it."""


@define
class Bound:
    """What a search need not look at. `limit` is the cost of the known answer, `FAR` without one."""

    limit: int
    far: list[list[int]]
    """For each terminal, the root first, its distance to each vertex; empty without an answer to compare with."""
    places: tuple[int, ...]
    cheapest: list[int]

    @classmethod
    def none(cls) -> Bound:
        """Nothing is known: everything is looked at."""
        return cls(FAR, [], (), [])

    def of(self, gathered: int) -> Prune | None:
        """Return the test for a set."""
        far = self.far
        if not far:
            return None
        rest = [0, *(n for n in range(1, len(far)) if not gathered >> n - 1 & 1)]
        factor, limit = self.cheapest[gathered], self.limit
        if len(rest) == 1:
            to_root = far[0]
            return lambda cost, vertex: cost + factor * to_root[vertex] >= limit
        twice = 2 * limit - 1  # costs are ints: half of an odd number is rounded up
        one, two, three = self._widest(rest)
        a, b = far[one], far[two]
        between = a[self.places[two]]
        if three < 0:
            return lambda cost, vertex: 2 * cost + factor * (a[vertex] + b[vertex] + between) >= twice
        c = far[three]
        bc, ac = b[self.places[three]], a[self.places[three]]
        ab_by_c, ac_by_b, bc_by_a = ac + bc, between + bc, between + ac

        def prune(cost: int, vertex: int) -> bool:
            x, y, z = a[vertex], b[vertex], c[vertex]
            tour = x + y + ab_by_c
            if x + z + ac_by_b < tour:
                tour = x + z + ac_by_b
            if y + z + bc_by_a < tour:
                tour = y + z + bc_by_a
            return 2 * cost + factor * tour >= twice

        return prune

    def _widest(self, rest: list[int]) -> tuple[int, int, int]:
        """Of the terminals *rest* the three that lie farthest apart: two far from each other, and one far from both."""
        far, places = self.far, self.places
        one = rest[0]
        two = max(rest[1:], key=lambda n: far[one][places[n]])
        others = [n for n in rest[1:] if n != two]
        if not others:
            return one, two, -1
        return one, two, max(others, key=lambda n: far[one][places[n]] + far[two][places[n]])


def distances(problem: Problem, limit: int, most: int) -> tuple[Bound | None, list[int], int]:
    """Return the bounds for answers below *limit*, the distances to begin a search with, and the visits.

    Vertices that lie on no such answer are `CLOSED` in what is returned. Without a `Bound` there is no such answer, or
    there were more than *most* visits.
    """
    around, loads, blank = problem.around, problem.loads, problem.mirror.open_to(problem.open)
    bits, mask = problem.mirror.bits, problem.mirror.mask
    places = loads.ends.places
    cheapest = loads.cheapest_rest()
    factor = min(cheapest)
    least = loads.least
    far: list[list[int]] = []
    visits = 0
    twice = 2 * limit - 1
    for number, place in enumerate(places):
        best = blank.copy()
        prune: Prune
        if number == 0:
            prune = _within(factor, limit)
        elif number == 1:
            prune = _near(factor, twice, far[0], far[0][place])
        else:
            prune = _nearer(factor, twice, far[0], far[1], far[1][places[0]], far[0][place], far[1][place])
        best[place] = 0
        heap = [place]
        settled = []
        while heap:
            key = heappop(heap)
            vertex = key & mask
            cost = key >> bits
            if best[vertex] < cost:
                continue
            if prune(cost, vertex):
                continue
            settled.append(vertex)
            for weight, other, left, left_back, _ in around[vertex]:
                step = cost + weight
                if step < best[other] and left >= least and left_back >= least:
                    best[other] = step
                    heappush(heap, step << bits | other)
        visits += len(settled)
        if visits > most:
            return None, blank, visits
        blank = [CLOSED] * len(blank)
        for vertex in settled:
            blank[vertex] = FAR
        far.append(best)
        if any(blank[place] < 0 for place in places):
            return None, blank, visits
    return Bound(limit, far, places, cheapest), blank, visits


def _within(factor: int, limit: int) -> Prune:
    return lambda cost, vertex: factor * cost >= limit


def _near(factor: int, twice: int, a: list[int], between: int) -> Prune:
    return lambda cost, vertex: factor * (cost + a[vertex] + between) >= twice


def _nearer(factor: int, twice: int, a: list[int], b: list[int], ab: int, ac: int, bc: int) -> Prune:
    """Half the shortest tour through a, b, the terminal c that is *cost* away, and the vertex."""

    def prune(cost: int, vertex: int) -> bool:
        x, y = a[vertex], b[vertex]
        tour = x + y + ac + bc
        if x + cost + ab + bc < tour:
            tour = x + cost + ab + bc
        if y + cost + ab + ac < tour:
            tour = y + cost + ab + ac
        return factor * tour >= twice

    return prune
