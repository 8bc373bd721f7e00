"""Which terminals can be gathered where, whatever it costs: what a proof of "does not fit" rests on.

The same rules as for the search over sets (`gathering`), without costs: sets of vertices are the bits of an int, so
that sets of terminals that meet are merged by one `&`.
"""

from __future__ import annotations

from dpb_framework.precedence import give_way
from dpb_pathcomp.problem import GaveUp, Problem, Rules, Work


def reachable(problem: Problem, rules: Rules, work: Work, *, whole: bool = False, side: int = 0) -> list[int]:
    """Return for each set of terminals the vertices to which it can be brought, as bits of an int. `GaveUp`.

    With *whole*, the root is one more terminal, its bit the highest, and the sets with it are there as well: what can
    be brought to a vertex from beyond it. With *side*, only parts of that set and parts of the rest are looked at.
    """
    loads, around = problem.loads, problem.around
    homes, full = loads.homes, loads.full
    along, against = loads.along, loads.against
    must, never = rules.lists(problem.mirror.vertices)
    real = loads.real
    edge_bits = loads.edge_bits
    bit_of: dict[int, int] = {home: 1 << number for number, home in enumerate(homes)}
    if whole:
        # The rest of a set needs the same, the other way round.
        along, against = along + against[::-1], against + along[::-1]
        bit_of[loads.root] = full + 1
        must[loads.root], never[loads.root] = full + 1, 0
        real |= full + 1
        full = 2 * full + 1
    home_of = {bit: vertex for vertex, bit in bit_of.items()}
    heads, room, vertices = problem.mirror.heads, problem.mirror.left, problem.mirror.vertices
    reached = [0] * (full + 1)
    for gathered in range(1, full + 1):
        give_way()
        if side and gathered & side and gathered & ~side:
            continue
        lowest = gathered & -gathered
        rest = gathered ^ lowest
        here = 0
        if not rest and lowest in home_of:
            here = 1 << home_of[lowest]
        second = rest
        steps = 4
        while second:
            here |= reached[second] & reached[gathered ^ second]
            steps += 1
            second = (second - 1) & rest
        for edge, bit in edge_bits.items():
            before = gathered ^ bit
            if gathered & bit and before & real:
                for arc in (2 * edge, 2 * edge + 1):
                    tail, head = heads[arc ^ 1], heads[arc]
                    needs = must[tail]
                    if (
                        tail != head
                        and reached[before] >> tail & 1
                        and before & needs == needs
                        and not before & never[tail]
                        and not before & bit_of.get(head, 0)
                        and room[arc] >= along[before]
                        and room[arc ^ 1] >= against[before]
                    ):
                        here |= 1 << head
        if here and gathered & real:
            todo = vertices_of(here)
            seen = bytearray(vertices)
            for vertex in todo:
                seen[vertex] = 1
            blocked = [home for home, bit in bit_of.items() if gathered & bit and not seen[home]]
            for home in blocked:
                seen[home] = 1  # a set comes to the vertex of one of its own terminals by meeting it there only
            forth, back = along[gathered], against[gathered]
            for place, vertex in enumerate(todo):  # grows
                if place & 255 == 255:
                    give_way()
                needs = must[vertex]
                if gathered & needs != needs or gathered & never[vertex]:
                    continue
                for _, other, left, left_back, _ in around[vertex]:
                    if not seen[other] and left >= forth and left_back >= back:
                        seen[other] = 1
                        todo.append(other)
            steps += problem.mirror.visit * len(todo)
            digits = bytearray(b"0") * vertices
            for vertex in todo:
                digits[~vertex] = ord("1")
            here = int(digits, 2)
        reached[gathered] = here
        work.left -= steps
        if work.left < 0:
            raise GaveUp
    return reached


def vertices_of(bits: int) -> list[int]:
    """Return the vertices of such a set."""
    return [vertex for vertex, digit in enumerate(bin(bits)[:1:-1]) if digit == "1"]
