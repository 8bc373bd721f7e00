"""The contract Algorithm: path computation.

Clauses A1 to A11; `dpb_framework.testing.algorithm` tests them. Topology and residuals are plain indexed lists
that persist between requests: only the residuals change, in place. The kernel checks every answer
(`dpb_framework.networks.tree`), so no algorithm can oversell a trunk.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from attrs import field

from dpb_framework.model.value import value


@value
class Topology:
    """The shape of a network: vertices 0 to `vertices`-1 and undirected edges 0 to len(tails)-1.

    Edge e joins tails[e] and heads[e]; upstream is from tail to head. Parallel edges are ordinary. `delays` are
    int microseconds. `names` are for people: what each edge is (a trunk's name, or a chord's).
    """

    vertices: int
    tails: Sequence[int]
    heads: Sequence[int]
    delays: Sequence[int]
    names: Sequence[str]
    vertex_names: Sequence[str] = ()
    neighbours: Sequence[Sequence[tuple[int, int]]] = field(init=False, eq=False, repr=False)
    """For each vertex its (edge, other vertex) pairs, by edge."""

    @neighbours.default
    def _neighbours(self) -> list[list[tuple[int, int]]]:
        around: list[list[tuple[int, int]]] = [[] for _ in range(self.vertices)]
        for edge, (tail, head) in enumerate(zip(self.tails, self.heads, strict=True)):
            if tail != head:
                around[tail].append((edge, head))
                around[head].append((edge, tail))
        return around


@value
class Residual:
    """What is left of each edge, kbit/s: upstream (tail to head) and downstream. An edge with zero both ways is out.

    The capacities tell, in the same order, what an edge can hold in all, 0 where that is not known (chords); both are
    empty when nothing is known. They are for weighing only.
    """

    upstream: list[int]
    downstream: list[int]
    upstream_capacity: list[int] = field(factory=list)
    downstream_capacity: list[int] = field(factory=list)

    def copy(self) -> Residual:
        """Return a copy that shares nothing with it."""
        return Residual(
            self.upstream.copy(),
            self.downstream.copy(),
            self.upstream_capacity.copy(),
            self.downstream_capacity.copy(),
        )

    def without(self, edges: Sequence[int]) -> Residual:
        """Return a copy in which *edges* are out."""
        up, down = self.upstream.copy(), self.downstream.copy()
        for edge in edges:
            up[edge] = down[edge] = 0
        return Residual(up, down, self.upstream_capacity, self.downstream_capacity)


@value
class Demand:
    """What is asked for: distinct vertices, with the rates (kbit/s) of what enters and leaves at each.

    `least` is the smallest of all single rates (a vertex may gather several circuits): an edge with less, in either
    direction, can carry no part of the request. `prefer` are edges that the service uses already: equal answers being
    possible, one that keeps them is better.

    The rest are constraints, none by default: the tree contains `pass_vertices` and `pass_edges`, and between any two
    of `vertices` its delay, in microseconds, is at most `max_delay` (None: whatever it is). Edges to avoid are out in
    the residual.
    """

    vertices: tuple[int, ...]
    ingress: tuple[int, ...]
    egress: tuple[int, ...]
    least: int = 0
    prefer: frozenset[int] = frozenset()
    pass_vertices: frozenset[int] = frozenset()
    pass_edges: frozenset[int] = frozenset()
    max_delay: int | None = None


@value
class Tree:
    """An answer: the edges of a tree that joins the demand's vertices, every leaf one of them.

    `cost` is in the algorithm's own unit. `note` tells people what they might want to know of how it was found.
    """

    edges: tuple[int, ...]
    cost: int = 0
    note: str = ""


@value
class NoTree:
    """There is no answer. `proved` when none exists, not only none was found; `reason` is one line for people."""

    reason: str
    proved: bool = False
    facts: dict[str, Any] = field(factory=dict)


Outcome: TypeAlias = Tree | NoTree


class Planner(ABC):
    """Answers requests on one topology."""

    @abstractmethod
    def plan(self, demand: Demand, residual: Residual) -> Outcome:
        """Return a tree on which the demand fits, or `NoTree`.

        A1. Ends on every input, and never raises for a well-formed one. A2. Changes neither argument, and keeps no
        reference to them. A3. Every edge of a tree has, each way, at least min(ingress of the near side's vertices,
        egress of the far side's). A4. No edge that is out is used. A5. No outside call, no clock-dependent answer:
        the same arguments in the same order of calls give the same answers for the same seed. A6. Called by one
        thread at a time. A9. Where `Algorithm.constraints` is claimed, a tree keeps the demand's constraints. A
        `NoTree` is `proved` only where it was proved that no tree is an answer. A11. What computes for long calls
        `dpb_framework.precedence.give_way` in its loops, best every 0.1 ms: all threads share one interpreter, and
        services of other networks must not wait for a search.
        """


class Algorithm(ABC):
    """Makes planners. A7. Made with keyword settings; bad ones raise `ConfigInvalid`."""

    constraints: ClassVar[bool] = False
    """Whether planners keep a demand's constraints; the kernel refuses trees that do not."""

    @abstractmethod
    def planner(self, topology: Topology) -> Planner:
        """Return a planner for this shape. A8. May be slow (once for each shape); several live side by side."""

    def warm_up(self) -> None:  # noqa: B027 - most have nothing to do
        """Begin in the background what takes long.

        A10. Called once when a network that uses the algorithm starts, before any request. Returns at once; plans come
        meanwhile, and their answers do not depend on it.
        """


def to_networkx(topology: Topology, residual: Residual | None = None) -> Any:
    """Return the topology as a `networkx.MultiGraph`, the researcher's view; networkx must be installed.

    Vertices are ints with `name`; an edge's key is its index, its data `name`, `delay` (microseconds) and, with
    *residual*, `upstream` and `downstream` (kbit/s) from its `tail`.
    """
    import importlib

    graph = importlib.import_module("networkx").MultiGraph()
    for vertex in range(topology.vertices):
        graph.add_node(vertex, name=topology.vertex_names[vertex] if topology.vertex_names else str(vertex))
    for edge, (tail, head) in enumerate(zip(topology.tails, topology.heads, strict=True)):
        data: dict[str, Any] = {"name": topology.names[edge], "delay": topology.delays[edge], "tail": tail}
        if residual is not None:
            data["upstream"] = residual.upstream[edge]
            data["downstream"] = residual.downstream[edge]
        graph.add_edge(tail, head, key=edge, **data)
    return graph
