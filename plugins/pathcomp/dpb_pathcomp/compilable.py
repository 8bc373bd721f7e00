"""The three searches for numba: the same steps as in `grow`, `bounds` and `gathering`, on flat arrays.

They run without the interpreter's lock, and touch nothing but their arguments. Nothing here is imported from elsewhere
in this package: numba keeps compiled code as long as this file is the same. `_FAR` is a distance that everything
improves on; a vertex that is closed to a search has -1. Who calls makes sure that no distance comes near `_FAR`.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

import numpy as np

_FAR = 1 << 62


def grow(
    first: Any,
    slots: Any,
    heads: Any,
    left: Any,
    weights: Any,
    opened: Any,
    homes: Any,
    root: int,
    away: int,
    back: int,
    bits: int,
) -> Any:
    """Grow a tree: (arcs away from the root, who is missing as a set, visits, distances)."""
    count = len(opened)
    best = np.empty(count, np.int64)
    for vertex in range(count):
        best[vertex] = _FAR if opened[vertex] else -1
    bit_of = np.zeros(count, np.int64)
    missing = 0
    for number in range(len(homes)):
        bit_of[homes[number]] = 1 << number
        missing |= 1 << number
    via = np.empty(count, np.int64)
    joined = np.zeros(count, np.uint8)
    joined[root] = 1
    tree = np.empty(count, np.int64)
    size = 0
    best[root] = 0
    heap: list[Any] = [np.int64(root)]
    mask = (1 << bits) - 1
    visits = 0
    while len(heap) > 0:
        key = heappop(heap)
        vertex = key & mask
        distance = key >> bits
        if distance > best[vertex]:
            continue
        visits += 1
        if bit_of[vertex] & missing:
            missing ^= bit_of[vertex]
            begin = size
            while not joined[vertex]:
                tree[size] = via[vertex]
                size += 1
                joined[vertex] = 1
                vertex = heads[via[vertex] ^ 1]
            tree[begin:size] = tree[begin:size][::-1].copy()
            if missing == 0:
                break
            for place in range(begin, size):
                vertex = heads[tree[place]]
                best[vertex] = 0
                heappush(heap, np.int64(vertex))
            continue
        for slot in range(first[vertex], first[vertex + 1]):
            arc = slots[slot]
            other = heads[arc]
            step = distance + weights[arc >> 1]
            if step < best[other] and left[arc] >= away and left[arc ^ 1] >= back:
                best[other] = step
                via[other] = arc
                heappush(heap, step << bits | other)
    return tree[:size].copy(), missing, visits, best


def _tour(x: Any, y: Any, z: Any, ab: Any, ac: Any, bc: Any) -> Any:
    """The shortest tour through a vertex and a, b and c, which are x, y and z from it."""
    tour = x + y + ac + bc
    if x + z + ab + bc < tour:
        tour = x + z + ab + bc
    if y + z + ab + ac < tour:
        tour = y + z + ab + ac
    return tour


def distances(
    first: Any,
    slots: Any,
    heads: Any,
    left: Any,
    weights: Any,
    opened: Any,
    places: Any,
    least: int,
    factor: int,
    limit: int,
    most: int,
    bits: int,
) -> Any:
    """Distances from each terminal: (whether anything below the limit may exist, by terminal, what is open, visits)."""
    count = len(opened)
    opened = opened.copy()
    far = np.empty((len(places), count), np.int64)
    settled = np.empty(count, np.int64)
    mask = (1 << bits) - 1
    visits = 0
    twice = 2 * limit - 1
    for number in range(len(places)):
        place = places[number]
        best = far[number]
        for vertex in range(count):
            best[vertex] = _FAR if opened[vertex] else -1
        best[place] = 0
        heap: list[Any] = [np.int64(place)]
        size = 0
        ab = far[1, places[0]] if number > 1 else 0
        ac = far[0, place] if number > 0 else 0
        bc = far[1, place] if number > 1 else 0
        while len(heap) > 0:
            key = heappop(heap)
            vertex = key & mask
            cost = key >> bits
            if best[vertex] < cost:
                continue
            if number == 0:
                if factor * cost >= limit:
                    continue
            elif number == 1:
                if factor * (cost + far[0, vertex] + ac) >= twice:
                    continue
            elif factor * _tour_of(far[0, vertex], far[1, vertex], cost, ab, ac, bc) >= twice:
                continue
            settled[size] = vertex
            size += 1
            for slot in range(first[vertex], first[vertex + 1]):
                arc = slots[slot]
                other = heads[arc]
                step = cost + weights[arc >> 1]
                if step < best[other] and left[arc] >= least and left[arc ^ 1] >= least:
                    best[other] = step
                    heappush(heap, step << bits | other)
        visits += size
        if visits > most:
            return False, far, opened, visits
        opened[:] = 0
        for place in range(size):
            opened[settled[place]] = 1
        for terminal in places:
            if not opened[terminal]:
                return False, far, opened, visits
    return True, far, opened, visits


_tour_of = _tour


def gather(
    first: Any,
    slots: Any,
    heads: Any,
    left: Any,
    room: Any,
    weights: Any,
    opened: Any,
    homes: Any,
    root: int,
    real: int,
    along: Any,
    against: Any,
    factors: Any,
    edges: Any,
    edge_bits: Any,
    ruled: Any,
    musts: Any,
    nevers: Any,
    far: Any,
    places: Any,
    cheapest: Any,
    limit: int,
    bits: int,
    visit: int,
    work: int,
) -> Any:
    """Gather all terminals at the root: (cost or `_FAR`, arcs, sets, work left; below zero it was too much)."""
    count = len(opened)
    full = len(along) - 1
    mask = (1 << bits) - 1
    bounded = len(far) > 0
    must = np.zeros(count, np.int64)
    never = np.zeros(count, np.int64)
    for number in range(len(ruled)):
        must[ruled[number]] = musts[number]
        never[ruled[number]] = nevers[number]
    rows = np.empty((full + 1, count), np.int64)
    how = np.empty((full + 1, count), np.int64)
    begins = np.zeros(full + 2, np.int64)
    order = np.empty(count * (full + 1), np.int64)
    size = 0
    seeds = np.empty(count, np.int64)
    seeded = np.zeros(count, np.int64)
    kept = np.empty(len(homes), np.int64)
    none = np.empty(0, np.int64)
    for gathered in range(1, full + 1):
        begins[gathered] = size
        best = rows[gathered]
        via = how[gathered]
        for vertex in range(count):
            best[vertex] = _FAR if opened[vertex] else -1
        forth, back, factor = along[gathered], against[gathered], factors[gathered]
        steps = 4
        many = 0
        lowest = gathered & -gathered
        rest = gathered ^ lowest
        if rest == 0:
            for number in range(len(homes)):
                if lowest == 1 << number:
                    best[homes[number]] = 0
                    via[homes[number]] = 0
                    seeds[many] = homes[number]
                    many += 1
        second = rest
        while second:
            one = gathered ^ second
            short, other_set = one, second
            length = begins[one + 1] - begins[one]
            if begins[second + 1] - begins[second] < length:
                short, other_set = second, one
                length = begins[second + 1] - begins[second]
            for place in range(begins[short], begins[short] + length):
                vertex = order[place]
                cost = rows[other_set, vertex]
                if cost < _FAR:
                    cost += rows[short, vertex]
                    if cost < best[vertex]:
                        if seeded[vertex] != gathered:
                            seeded[vertex] = gathered
                            seeds[many] = vertex
                            many += 1
                        best[vertex] = cost
                        via[vertex] = -one
            steps += 2 + length
            second = (second - 1) & rest
        for number in range(len(edges)):
            before = gathered ^ edge_bits[number]
            if gathered & edge_bits[number] and before & real:
                for arc in (2 * edges[number], 2 * edges[number] + 1):
                    tail, head = heads[arc ^ 1], heads[arc]
                    cost = rows[before, tail]
                    at_home = False
                    for home in range(len(homes)):
                        if homes[home] == head and before >> home & 1:
                            at_home = True
                    if (
                        -1 < cost < _FAR
                        and tail != head
                        and before & must[tail] == must[tail]
                        and not before & never[tail]
                        and not at_home
                        and room[arc] >= along[before]
                        and room[arc ^ 1] >= against[before]
                    ):
                        cost += weights[edges[number]] * factors[before]
                        if cost < best[head]:
                            if seeded[head] != gathered:
                                seeded[head] = gathered
                                seeds[many] = head
                                many += 1
                            best[head] = cost
                            via[head] = arc
        heap: list[Any] = [np.int64(0) for _ in range(0)]
        if gathered & real:
            for place in range(many):
                heappush(heap, best[seeds[place]] << bits | seeds[place])
        else:
            for vertex in np.sort(seeds[:many]):
                order[size] = vertex
                size += 1
        for number in range(len(homes)):
            if gathered >> number & 1:
                kept[number] = best[homes[number]]
                best[homes[number]] = -1
        # What the rest costs at least; see `bounds`.
        tips, one, two, three = 0, 0, 0, 0
        bound, ab, ac, bc = 0, 0, 0, 0
        twice = 2 * limit - 1
        if bounded:
            bound = cheapest[gathered]
            widest = -1
            for number in range(1, len(places)):
                if not gathered >> (number - 1) & 1:
                    tips += 1
                    if far[0, places[number]] > widest:
                        widest = far[0, places[number]]
                        two = number
            if tips > 0:
                ab = far[0, places[two]]
                widest = -1
                for number in range(1, len(places)):
                    if number != two and not gathered >> (number - 1) & 1:
                        sum_of = far[0, places[number]] + far[two, places[number]]
                        if sum_of > widest:
                            widest = sum_of
                            three = number
                if tips > 1:
                    ac, bc = far[0, places[three]], far[two, places[three]]
        while len(heap) > 0:
            key = heappop(heap)
            vertex = key & mask
            cost = key >> bits
            here = best[vertex]
            if here < cost and here >= 0:
                continue
            steps += visit
            if bounded:
                if tips == 0:
                    if cost + bound * far[0, vertex] >= limit:
                        continue
                elif tips == 1:
                    if 2 * cost + bound * (far[0, vertex] + far[two, vertex] + ab) >= twice:
                        continue
                elif (
                    2 * cost + bound * _tour_of(far[0, vertex], far[two, vertex], far[three, vertex], ab, ac, bc)
                    >= twice
                ):
                    continue
            order[size] = vertex
            size += 1
            needs = must[vertex]
            if gathered & needs != needs or gathered & never[vertex]:
                if gathered == full and vertex == root:
                    break
                continue
            for slot in range(first[vertex], first[vertex + 1]):
                arc = slots[slot]
                if left[arc] >= forth and left[arc ^ 1] >= back:
                    other = heads[arc]
                    here = cost + weights[arc >> 1] * factor
                    if here < best[other]:
                        best[other] = here
                        via[other] = arc
                        heappush(heap, here << bits | other)
        begins[gathered + 1] = size
        for number in range(len(homes)):
            if gathered >> number & 1:
                best[homes[number]] = kept[number]
        work -= steps
        if work < 0:
            return _FAR, none, none, work
    cost = rows[full, root]
    if not -1 < cost < _FAR:
        return _FAR, none, none, work
    arcs = np.empty(2 * count, np.int64)
    sets = np.empty(2 * count, np.int64)
    used = 0
    todo: list[Any] = [(np.int64(full), np.int64(root))]
    while len(todo) > 0:
        gathered, vertex = todo.pop()
        came = how[gathered, vertex]
        if came < 0:
            todo.append((np.int64(-came), np.int64(vertex)))
            todo.append((np.int64(gathered ^ -came), np.int64(vertex)))
            continue
        if gathered & (gathered - 1) == 0:
            start = False
            for number in range(len(homes)):
                if gathered == 1 << number and vertex == homes[number]:
                    start = True
            if start:
                continue
        before = gathered
        for number in range(len(edges)):
            if edges[number] == came >> 1:
                before &= ~edge_bits[number]
        if used == len(arcs):
            arcs = np.concatenate((arcs, arcs))
            sets = np.concatenate((sets, sets))
        arcs[used] = came
        sets[used] = before
        used += 1
        todo.append((np.int64(before), np.int64(heads[came ^ 1])))
    return cost, arcs[:used].copy(), sets[:used].copy(), work
