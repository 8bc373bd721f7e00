"""A request as the search over sets of terminals needs it: what every set has to carry, computed once.

One terminal is the root; the others, and whatever must be passed, are bits of a set. What is brought towards the
root for the set S is min(ingress of S, egress of the rest) along the arc and min(ingress of the rest, egress of S)
against it (the hose model).
"""

from __future__ import annotations

from math import gcd

from dpb_framework.contracts.algorithm import Demand
from dpb_framework.model.value import value


@value
class Ends:
    """The terminals of a request: distinct vertices with what enters and leaves there, kbit/s; the first is the root.

    `vertices` and `edges` are what must be passed and is no terminal.
    """

    places: tuple[int, ...]
    ingress: tuple[int, ...]
    egress: tuple[int, ...]
    vertices: tuple[int, ...] = ()
    edges: tuple[int, ...] = ()

    @classmethod
    def of(cls, demand: Demand) -> Ends:
        """Gather rates of vertices that are there twice."""
        if len(set(demand.vertices)) == len(demand.vertices) and not demand.pass_vertices and not demand.pass_edges:
            return cls(demand.vertices, demand.ingress, demand.egress)
        inward: dict[int, int] = {}
        outward: dict[int, int] = {}
        for vertex, rate_in, rate_out in zip(demand.vertices, demand.ingress, demand.egress, strict=True):
            inward[vertex] = inward.get(vertex, 0) + rate_in
            outward[vertex] = outward.get(vertex, 0) + rate_out
        return cls(
            tuple(inward),
            tuple(inward.values()),
            tuple(outward.values()),
            tuple(sorted(demand.pass_vertices - inward.keys())),
            tuple(sorted(demand.pass_edges)),
        )

    @property
    def bits(self) -> int:
        """How many bits a set has."""
        return max(0, len(self.places) - 1) + len(self.vertices) + len(self.edges)


class Loads:
    """What sets carry. Bit i is terminal i+1; then come vertices to pass, then edges to pass.

    `along`, `against` (kbit/s towards the root and away from it) and `cost` (a factor of the weight, in `unit`s of
    cost) are by set. `real` are the bits of terminals; a set without them stays where it is: it would end a tree
    at no terminal. `least` is what any trunk of any tree must have, either way.
    """

    __slots__ = ("against", "along", "cost", "edge_bits", "ends", "full", "homes", "least", "real", "root", "unit")

    def __init__(self, ends: Ends, by_load: bool) -> None:
        self.ends = ends
        self.root = ends.places[0]
        terminals = len(ends.places) - 1
        self.homes = (*ends.places[1:], *ends.vertices)
        self.real = (1 << terminals) - 1
        passes = len(ends.vertices) + len(ends.edges)
        self.full = (1 << terminals + passes) - 1
        self.edge_bits = {edge: 1 << len(self.homes) + place for place, edge in enumerate(ends.edges)}
        inward, outward = [0], [0]
        for rate_in, rate_out in zip(ends.ingress[1:], ends.egress[1:], strict=True):
            inward += [rate_in + rate for rate in inward]
            outward += [rate_out + rate for rate in outward]
        total_in, total_out = inward[-1] + ends.ingress[0], outward[-1] + ends.egress[0]
        along = [min(a, total_out - b) for a, b in zip(inward, outward, strict=True)]
        against = [min(total_in - a, b) for a, b in zip(inward, outward, strict=True)]
        self.least = min(min(along[1:]), min(against[1:])) if terminals else 0
        self.unit = 1
        cost = [1] * len(along)
        if by_load and terminals:
            sums = [a + b for a, b in zip(along, against, strict=True)]
            if all(sums[1:]):
                self.unit = gcd(*sums[1:])
            cost = [max(1, rate // self.unit) for rate in sums]
        for _ in range(passes):  # what must be passed adds nothing to the load
            along, against, cost = along + along, against + against, cost + cost
        self.along, self.against, self.cost = along, against, cost

    @property
    def first_need(self) -> tuple[int, int]:
        """What a trunk needs at least, away from the root and back; with one terminal beside it, what it carries."""
        return (self.against[1], self.along[1]) if self.full == 1 else (self.least, self.least)

    def cheapest_rest(self) -> list[int]:
        """For each set the least cost factor of what lies between it and the rest: supersets, and sets without it."""
        size = self.full + 1
        if len(set(self.cost)) == 1:
            return self.cost
        above, below = self.cost.copy(), self.cost.copy()
        far = max(self.cost)
        below[0] = far
        bit = 1
        while bit < size:
            for number in range(size):
                if number & bit:
                    if above[number] < above[number ^ bit]:
                        above[number ^ bit] = above[number]
                    if below[number ^ bit] < below[number]:
                        below[number] = below[number ^ bit]
            bit <<= 1
        return [min(above[number], below[self.full ^ number]) for number in range(size)]
