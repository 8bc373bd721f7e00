"""The paper's rule as a first answer: a tree by cheapest paths, without the trunks that turned out too thin."""

from __future__ import annotations

from heapq import heappop, heappush

from dpb_framework.precedence import give_way
from dpb_pathcomp.loads import Loads
from dpb_pathcomp.mirror import Around, Mirror
from dpb_pathcomp.problem import Use


def grow(mirror: Mirror, around: Around, loads: Loads, best: list[int]) -> tuple[list[int], int, int]:
    """Grow a tree from the root by the cheapest path to the nearest terminal that is not joined yet.

    Return its arcs away from the root, each after the one that it hangs on; who is missing, as a set of bits; and the
    visits. *best* is left as the distances of whatever was reached. Trunks that cannot carry any part are left out;
    with a single terminal beside the root, those that cannot carry what it needs.
    """
    bits, mask, heads = mirror.bits, mirror.mask, mirror.heads
    root = loads.root
    away, back = loads.first_need
    bit_of = {home: 1 << number for number, home in enumerate(loads.homes)}
    missing = loads.full
    via: dict[int, int] = {}
    joined = {root}
    tree: list[int] = []
    best[root] = 0
    heap = [root]
    visits = 0
    while heap:
        key = heappop(heap)
        vertex = key & mask
        distance = key >> bits
        if distance > best[vertex]:
            continue
        visits += 1
        if not visits & 255:
            give_way()
        bit = bit_of.get(vertex, 0)
        if bit & missing:
            missing ^= bit
            path = []
            while vertex not in joined:
                arc = via[vertex]
                path.append(arc)
                joined.add(vertex)
                vertex = heads[arc ^ 1]
            path.reverse()
            tree += path
            if not missing:
                break
            for arc in path:
                vertex = heads[arc]
                best[vertex] = 0
                heappush(heap, vertex)
            continue
        for weight, other, left, left_back, arc in around[vertex]:
            step = distance + weight
            if step < best[other] and left >= away and left_back >= back:
                best[other] = step
                via[other] = arc
                heappush(heap, step << bits | other)
    return tree, missing, visits


def weigh_tree(mirror: Mirror, weights: list[int], loads: Loads, tree: list[int]) -> tuple[int, list[Use], int]:
    """Return what a grown tree costs, its arcs towards the root with the sets they carry, and the worst (-1: it fits).

    The worst is the edge that lacks most, in kbit/s, in either direction.
    """
    heads, left = mirror.heads, mirror.left
    carried: dict[int, int] = {home: 1 << number for number, home in enumerate(loads.homes)}
    along, against, factor = loads.along, loads.against, loads.cost
    cost, worst, lack = 0, -1, 0
    uses = []
    for arc in reversed(tree):
        vertex, parent = heads[arc], heads[arc ^ 1]
        here = carried[vertex]
        carried[parent] = carried.get(parent, 0) | here
        cost += weights[arc >> 1] * factor[here]
        uses.append((arc ^ 1, here))
        short = max(along[here] - left[arc ^ 1], against[here] - left[arc])
        if short > lack:
            worst, lack = arc >> 1, short
    return cost, uses, worst
