"""The search over (vertex, set of terminals gathered there), in the manner of Dreyfus and Wagner.

D[S][v] is the least cost of bringing the terminals S to vertex v. Two sets merge at a vertex; an arc carries S where
both directions have room for what S needs. Sets are taken in the order of their numbers, so that every part of a set
comes before it; each is spread over the network by a search of its own. What cannot lead to an answer cheaper than the
one known is dropped.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from dpb_framework.precedence import give_way
from dpb_pathcomp.bounds import Bound
from dpb_pathcomp.loads import Loads
from dpb_pathcomp.mirror import CLOSED, FAR
from dpb_pathcomp.problem import GaveUp, Problem, Rules, Use, Work

LOOK = 2_000
"""Steps after which a search over a large network looks whether to give way."""


def gather(problem: Problem, rules: Rules, blank: list[int], bound: Bound, work: Work) -> tuple[int, list[Use]]:
    """Return the least cost of bringing all to the root, and which arc carries which set; `FAR` when it cannot be done.

    Only answers cheaper than `bound.limit` are found. *blank* are the distances to begin with, `CLOSED` where the
    search need not go. An answer may leave a vertex twice: then it is a bound only. `GaveUp`.
    """
    mirror, around, weights, loads = problem.mirror, problem.around, problem.weights, problem.loads
    full, root, homes = loads.full, loads.root, loads.homes
    must, never = rules.lists(mirror.vertices)
    bits, mask, heads, room = mirror.bits, mirror.mask, mirror.heads, mirror.left
    vertex_bits, visit = len(homes), mirror.visit
    rows: list[list[int]] = [[] for _ in range(full + 1)]
    how: list[dict[int, int]] = [{} for _ in range(full + 1)]
    lists: list[list[int]] = [[] for _ in range(full + 1)]
    for gathered in range(1, full + 1):
        give_way()
        best = rows[gathered] = blank.copy()
        via = how[gathered]
        along, against, factor = loads.along[gathered], loads.against[gathered], loads.cost[gathered]
        steps, look = 4, LOOK
        # Parts that meet at a vertex.
        lowest = gathered & -gathered
        rest = gathered ^ lowest
        if not rest:
            number = lowest.bit_length() - 1
            if number < vertex_bits:
                best[homes[number]] = 0
                via[homes[number]] = 0
        second = rest
        while second:
            first = gathered ^ second
            short, long = lists[first], rows[second]
            row = rows[first]
            if len(lists[second]) < len(short):
                short, row, long = lists[second], long, row
            for vertex in short:
                other = long[vertex]
                if other < FAR:
                    other += row[vertex]
                    if other < best[vertex]:
                        best[vertex] = other
                        via[vertex] = -first
            steps += 2 + len(short)
            second = (second - 1) & rest
        # Edges that must be passed are crossed once, by a set that then has their bit.
        for edge, bit in loads.edge_bits.items():
            before = gathered ^ bit
            if gathered & bit and before & loads.real:
                for arc in (2 * edge, 2 * edge + 1):
                    tail, head = heads[arc ^ 1], heads[arc]
                    here = rows[before][tail]
                    needs = must[tail]
                    if (
                        CLOSED < here < FAR
                        and tail != head
                        and before & needs == needs
                        and not before & never[tail]
                        and not _at_home(homes, head, before)
                        and room[arc] >= loads.along[before]
                        and room[arc ^ 1] >= loads.against[before]
                    ):
                        here += weights[edge] * loads.cost[before]
                        if here < best[head]:
                            best[head] = here
                            via[head] = arc
        # A set comes to the vertex of one of its own terminals by meeting it there, never along a trunk.
        heap = [best[vertex] << bits | vertex for vertex in via]
        kept = [(home, best[home]) for number, home in enumerate(homes) if gathered >> number & 1]
        for home, _ in kept:
            best[home] = CLOSED
        settled = lists[gathered]
        if not gathered & loads.real:
            settled += sorted(via)
            heap = []
        heapify(heap)
        prune = bound.of(gathered)
        while heap:
            key = heappop(heap)
            vertex = key & mask
            cost = key >> bits
            here = best[vertex]
            if here < cost and here >= 0:
                continue
            steps += visit
            if steps > look:
                give_way()
                look = steps + LOOK
            if prune is not None and prune(cost, vertex):
                continue
            settled.append(vertex)
            needs = must[vertex]
            if gathered & needs != needs or gathered & never[vertex]:
                if gathered == full and vertex == root:
                    break
                continue
            for weight, other, left, left_back, arc in around[vertex]:
                if left >= along and left_back >= against:
                    here = cost + weight * factor
                    if here < best[other]:
                        best[other] = here
                        via[other] = arc
                        heappush(heap, here << bits | other)
        for home, cost in kept:
            best[home] = cost
        work.left -= steps
        if work.left < 0:
            raise GaveUp
    cost = rows[full][root]
    return (cost, _uses(how, heads, full, root, loads)) if CLOSED < cost < FAR else (FAR, [])


def _at_home(homes: tuple[int, ...], vertex: int, gathered: int) -> bool:
    """Whether *vertex* is the place of one of *gathered*."""
    return any(home == vertex and gathered >> number & 1 for number, home in enumerate(homes))


def _uses(how: list[dict[int, int]], heads: list[int], full: int, root: int, loads: Loads) -> list[Use]:
    """Follow the answer back from the root: which arc carries which set."""
    uses = []
    todo = [(full, root)]
    while todo:
        gathered, vertex = todo.pop()
        came = how[gathered][vertex]
        if came < 0:
            todo += ((-came, vertex), (gathered ^ -came, vertex))
        elif gathered & (gathered - 1) or vertex != (loads.homes[gathered.bit_length() - 1]):
            before = gathered & ~loads.edge_bits.get(came >> 1, 0)
            uses.append((came, before))
            todo.append((before, heads[came ^ 1]))
    return uses
