"""A request on the network as it is: what the searches work on, the rules of a branch, and the bound on the work."""

from __future__ import annotations

from attrs import define

from dpb_framework.model.value import value
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


@value
class Problem:
    """The network with weights as this request sees them, and what its sets carry.

    `open` are the vertices that a search has to come to: what hangs elsewhere is closed. No weight is above `heaviest`.
    """

    mirror: Mirror
    around: Around
    weights: list[int]
    heaviest: int
    loads: Loads
    open: tuple[int, ...]

    @classmethod
    def of(cls, mirror: Mirror, loads: Loads, prefer: frozenset[int]) -> Problem:
        """Return the problem; *prefer* are edges that are nearly free, edges to pass are crossed on their own."""
        passed = [mirror.heads[2 * edge + end] for edge in loads.edge_bits for end in (0, 1)]
        around, weights, heaviest = mirror.around, mirror.weights, mirror.heaviest
        if prefer:
            around, weights = mirror.preferring(prefer)
            heaviest *= mirror.vertices + 1
        if loads.edge_bits:
            around = mirror.without(around, loads.edge_bits)
        return cls(mirror, around, weights, heaviest, loads, (loads.root, *loads.homes, *passed))


@value
class Rules:
    """Which sets may leave a vertex: those that have all of `must` and nothing of `never`, where these say anything."""

    must: dict[int, int]
    never: dict[int, int]

    @classmethod
    def of(cls, loads: Loads) -> Rules:
        """A terminal joins what leaves its vertex; the root is never left."""
        return cls({home: 1 << number for number, home in enumerate(loads.homes)}, {loads.root: loads.full})

    def with_bit(self, vertex: int, bit: int) -> Rules:
        """What leaves *vertex* has *bit*."""
        return Rules(self.must | {vertex: self.must.get(vertex, 0) | bit}, self.never)

    def without_bit(self, vertex: int, bit: int) -> Rules:
        """What leaves *vertex* has not *bit*."""
        return Rules(self.must, self.never | {vertex: self.never.get(vertex, 0) | bit})

    def lists(self, vertices: int) -> tuple[list[int], list[int]]:
        """Return `must` and `never` by vertex."""
        must, never = [0] * vertices, [0] * vertices
        for rules, by_vertex in ((self.must, must), (self.never, never)):
            for vertex, bits in rules.items():
                by_vertex[vertex] = bits
        return must, never
