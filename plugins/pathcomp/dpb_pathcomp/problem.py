"""A request on the network as it is: what the searches work on, the rules of a branch, and the bound on the work."""

from __future__ import annotations

from attrs import define, frozen

from dpb_pathcomp.loads import Loads
from dpb_pathcomp.mirror import Around, Mirror

Use = tuple[int, int]
"""(number of an arc that leads towards the root, set of terminals that it carries)"""


@define
class Work:
    """How much of a request's bound is left, in steps of some 0.2 us of plain Python."""

    left: int


class GaveUp(Exception):
    """The bound on the work was met."""


@frozen
class Problem:
    """The network with weights as this request sees them, what its sets carry, and the distances to begin with."""

    mirror: Mirror
    around: Around
    weights: list[int]
    loads: Loads
    closed: list[int]

    @classmethod
    def of(cls, mirror: Mirror, loads: Loads, prefer: frozenset[int]) -> Problem:
        """Return the problem; *prefer* are edges that are nearly free, edges to pass are crossed on their own."""
        passed = [mirror.heads[2 * edge + end] for edge in loads.edge_bits for end in (0, 1)]
        closed = mirror.open_to((loads.root, *loads.homes, *passed))
        around, weights = mirror.around, mirror.weights
        if prefer:
            around, weights = mirror.preferring(prefer)
        if loads.edge_bits:
            around = mirror.without(around, loads.edge_bits)
        return cls(mirror, around, weights, loads, closed)


@frozen
class Rules:
    """Which sets may leave a vertex: those that have all of `must` and nothing of `never`."""

    must: list[int]
    never: list[int]

    @classmethod
    def of(cls, loads: Loads, vertices: int) -> Rules:
        """A terminal joins what leaves its vertex; the root is never left."""
        must, never = [0] * vertices, [0] * vertices
        for number, home in enumerate(loads.homes):
            must[home] = 1 << number
        never[loads.root] = loads.full
        return cls(must, never)

    def with_bit(self, vertex: int, bit: int) -> Rules:
        """What leaves *vertex* has *bit*."""
        must = self.must.copy()
        must[vertex] |= bit
        return Rules(must, self.never)

    def without_bit(self, vertex: int, bit: int) -> Rules:
        """What leaves *vertex* has not *bit*."""
        never = self.never.copy()
        never[vertex] |= bit
        return Rules(self.must, never)
