"""From a segment to an attempt: ask the planner, check its answer, divide the tree among the inferiors.

Pure but for the planner: reads the books and takes nothing from them.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from itertools import permutations
from types import MappingProxyType
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from dpb_framework.contracts import Demand, Planner, Tree
from dpb_framework.errors import DpbError, NoCapacity, PlanInvalid, SegmentInvalid, internal_fault
from dpb_framework.model import Circuit, Constraints, End, Segment, Terminal, TrafficFlow, Tunnel
from dpb_framework.model.value import value
from dpb_framework.networks.shape import Shape
from dpb_framework.networks.tree import check_constraints, check_fits, tree_loads
from dpb_framework.networks.trunkbook import TrunkBook
from dpb_framework.precedence import begin_search, end_search
from dpb_framework.turns import do_last

if TYPE_CHECKING:
    from dpb_framework.contracts import Residual

_logger = logging.getLogger("dpb.networks")


@define(slots=True)
class Exclusions:
    """What earlier attempts at the same segment found not to work."""

    edges: set[str] = field(factory=set)
    inferiors: set[str] = field(factory=set)
    labels: dict[str, set[int]] = field(factory=dict)
    circuits: set[Circuit] = field(factory=set)


NOTHING = Exclusions()
"""What is excluded before anything was tried; shared by all, and so never added to."""


def _avoiding(out: Exclusions, way: Constraints) -> Exclusions:
    return Exclusions(
        out.edges | set(way.avoid_trunks), out.inferiors | set(way.avoid_networks), out.labels, out.circuits
    )


@value
class PartPlan:
    """What one inferior network is to do, with the names of the chords that were counted on."""

    inferior: str
    segment: Segment
    chords: tuple[str, ...] = ()


@value
class Plan:
    """A tree as tunnels and parts."""

    tunnels: tuple[Tunnel, ...]
    parts: tuple[PartPlan, ...]
    cost: int = 0
    note: str = ""


class Planning:
    """Everything that planning one segment needs."""

    def __init__(
        self,
        network: str,
        algorithm: str,
        shape: Shape,
        planner: Planner,
        terminals: Mapping[str, Terminal],
        book: TrunkBook,
    ) -> None:
        self._network = network
        self._algorithm = algorithm
        self._shape = shape
        self._planner = planner
        self._terminals = terminals
        self._book = book

    def plan(
        self,
        segment: Segment,
        out: Exclusions,
        service: int = 0,
        keep: Mapping[str, int] = MappingProxyType({}),
        held: Sequence[tuple[str, Segment]] = (),
    ) -> Plan:
        """Return a plan for *segment* (labels chosen). `NoCapacity`, `PlanInvalid`.

        *keep* are trunks that *service* uses now, with its label on each: what it holds there counts as free for it,
        and trunk and label are kept where possible. *held* are the segments that it has in inferior networks now: what
        it holds there counts as free for it, too.
        """
        shape = self._shape
        at: list[int] = []
        way = segment.constraints
        for end in segment.ends:
            place = self._terminals[end.circuit.terminal].subterminal
            vertex = shape.vertex_of.get(place)
            if vertex is None:
                raise NoCapacity(
                    self._network, f"terminal {place[1]!r} of inferior network {place[0]!r} is not known there"
                )
            if place[0] in way.avoid_networks:
                problem = (
                    f"inferior network {place[0]!r} is to be avoided, and terminal {end.circuit.terminal!r} is there"
                )
                raise NoCapacity(self._network, problem)
            at.append(vertex)
        demand = self._demand(segment, at, keep)
        if way:
            out = _avoiding(out, way)
            demand = self._constrained(demand, way)
        if len(demand.vertices) == 1 and not demand.pass_vertices and not demand.pass_edges:
            tree = Tree(())
            loads: list[tuple[int, int, int]] = []
        else:
            residual = self._residual(out, service, keep, held)
            tree, loads = self._ask(demand, residual)
        return Plan(*self._divide(segment, at, tuple(tree.edges), loads, out, keep), tree.cost, tree.note)

    def _ask(self, demand: Demand, residual: Residual) -> tuple[Tree, list[tuple[int, int, int]]]:
        """Ask the planner and check its answer; whatever an algorithm does wrong is `PlanInvalid`."""
        do_last()
        try:
            turn = begin_search()
            try:
                outcome = self._planner.plan(demand, residual)
            finally:
                end_search(turn)
            if isinstance(outcome, Tree):
                return outcome, self._checked(tuple(outcome.edges), demand, residual)
            refusal = NoCapacity(self._network, outcome.reason, outcome.proved, outcome.facts)
        except DpbError:
            raise
        except Exception as error:
            _logger.exception("%s: a fault within algorithm %r", self._network, self._algorithm)
            raise PlanInvalid(self._algorithm, internal_fault(error)) from error
        raise refusal

    def _demand(self, segment: Segment, at: list[int], keep: Collection[str]) -> Demand:
        ingress: dict[int, int] = {}
        egress: dict[int, int] = {}
        least = -1
        for end, vertex in zip(segment.ends, at, strict=True):
            flow = end.flow
            ingress[vertex] = ingress.get(vertex, 0) + flow.ingress
            egress[vertex] = egress.get(vertex, 0) + flow.egress
            low = min(flow.ingress, flow.egress)
            least = low if least < 0 else min(least, low)
        preferred = frozenset(self._shape.trunk_edges[name] for name in keep if name in self._shape.trunk_edges)
        return Demand(tuple(ingress), tuple(ingress.values()), tuple(egress.values()), least, preferred)

    def _constrained(self, demand: Demand, way: Constraints) -> Demand:
        """Return the demand with what the constraints ask to be passed, and the greatest delay."""
        shape = self._shape
        edges: list[int] = []
        for name in way.pass_trunks:
            edge = shape.trunk_edges.get(name)
            if edge is None:
                raise NoCapacity(self._network, f"trunk {name!r} is to be passed, and cannot be used now")
            edges.append(edge)
        vertices: list[int] = []
        for name in way.pass_networks:
            inside = [vertex for vertex, (inferior, _) in enumerate(shape.fragment_of) if inferior == name]
            if not inside:
                raise NoCapacity(self._network, f"inferior network {name!r} is to be passed, and is not known now")
            if len(inside) == 1:
                vertices += inside
            elif not set(inside) & set(demand.vertices):
                # It shows several points, and any of them would do: that is not a set that a tree can be asked for.
                problem = f"inferior network {name!r} shows more than one point; name a trunk to it instead"
                raise SegmentInvalid("constraints.pass-networks", problem)
        return evolve(demand, pass_vertices=frozenset(vertices), pass_edges=frozenset(edges), max_delay=way.max_delay)

    def _residual(
        self, out: Exclusions, service: int, keep: Mapping[str, int], held: Sequence[tuple[str, Segment]]
    ) -> Residual:
        shape = self._shape
        residual = shape.residual
        banned = [shape.edge_of_name[name] for name in out.edges if name in shape.edge_of_name]
        if out.inferiors:
            topology = shape.topology
            banned += [
                edge
                for edge in range(len(topology.tails))
                if shape.fragment_of[topology.tails[edge]][0] in out.inferiors
                or shape.fragment_of[topology.heads[edge]][0] in out.inferiors
            ]
        for name, labels in out.labels.items():
            if name in shape.trunk_edges and self._book.free_label(name, labels) is None:
                banned.append(shape.trunk_edges[name])
        if not banned and not keep and not held:
            return residual
        residual = residual.without(banned)
        self._give_back(residual, held, banned)
        for name, label in keep.items():
            edge = shape.trunk_edges.get(name)
            mine = self._book.held(service, name).get(label)
            if edge is not None and edge not in banned and mine is not None:
                # The service's own share is there for it, also where no label is free or the trunk takes no more.
                up, down = self._book.left(name)
                residual.upstream[edge] = max(0, up + mine[0])
                residual.downstream[edge] = max(0, down + mine[1])
        return residual

    def _give_back(self, residual: Residual, held: Sequence[tuple[str, Segment]], banned: Collection[int]) -> None:
        """Count as free what a service holds on chords.

        Of a chord between two of its ends there, what may go over it at the most: all that comes in but at the far end,
        all that goes out but at the near one. A model is advice; the inferior network knows it exactly.
        """
        chords = self._shape.chord_edges
        if not chords:
            return
        for inferior, segment in held:
            ingress: dict[str, int] = {}
            egress: dict[str, int] = {}
            for end in segment.ends:
                name = end.circuit.terminal
                ingress[name] = ingress.get(name, 0) + end.flow.ingress
                egress[name] = egress.get(name, 0) + end.flow.egress
            all_in, all_out = sum(ingress.values()), sum(egress.values())
            for near, far in permutations(ingress, 2):
                edge = chords.get((inferior, near, far))
                if edge is not None and edge not in banned:
                    residual.upstream[edge] += min(all_in - ingress[far], all_out - egress[near])
                    residual.downstream[edge] += min(all_in - ingress[near], all_out - egress[far])

    def _checked(self, edges: tuple[int, ...], demand: Demand, residual: Residual) -> list[tuple[int, int, int]]:
        try:
            loads = tree_loads(self._shape.topology, edges, demand)
            if demand.pass_vertices or demand.pass_edges or demand.max_delay is not None:
                check_constraints(self._shape.topology, edges, demand)
        except ValueError as error:
            raise PlanInvalid(self._algorithm, str(error)) from error
        short = check_fits(loads, residual)
        if short:
            raise PlanInvalid(self._algorithm, f"{self._shape.topology.names[short[0]]} has not the room that it needs")
        return loads

    def _divide(
        self,
        segment: Segment,
        at: list[int],
        edges: tuple[int, ...],
        loads: list[tuple[int, int, int]],
        out: Exclusions,
        keep: Mapping[str, int],
    ) -> tuple[tuple[Tunnel, ...], tuple[PartPlan, ...]]:
        shape = self._shape
        topology = shape.topology
        root, chords = _regions(shape, edges)
        ends: dict[int, list[End]] = {}
        for end, vertex in zip(segment.ends, at, strict=True):
            circuit = Circuit(self._terminals[end.circuit.terminal].subterminal[1], end.circuit.label)
            ends.setdefault(root.get(vertex, vertex), []).append(End(circuit, end.flow))
        tunnels: list[Tunnel] = []
        accounts = self._book.accounts
        for edge, upstream, downstream in loads:
            name = shape.trunks[edge]
            if name is None:
                continue
            label, end_label = self._label(name, out, keep)
            tunnels.append(Tunnel(name, label, upstream, downstream))
            trunk = accounts[name].trunk
            for vertex, terminal, here, flow in (
                (topology.tails[edge], trunk.start[1], label, TrafficFlow(downstream, upstream)),
                (topology.heads[edge], trunk.end[1], end_label, TrafficFlow(upstream, downstream)),
            ):
                vertex = root.get(vertex, vertex)
                end = End(Circuit(terminal, here), flow)
                found = ends.get(vertex)
                if found is None:
                    ends[vertex] = [end]
                else:
                    found.append(end)
        parts = [
            PartPlan(shape.fragment_of[vertex][0], Segment(ends[vertex]), tuple(chords.get(vertex, ())))
            for vertex in sorted(ends)
        ]
        return tuple(tunnels), tuple(parts)

    def _label(self, name: str, out: Exclusions, keep: Mapping[str, int]) -> tuple[int, int]:
        pool = self._book.accounts[name].labels
        label = keep.get(name)
        if label is None:
            label = pool.peek(out.labels.get(name, ()))
        end_label = None if label is None else pool.end_label(label)
        if label is None or end_label is None:
            raise PlanInvalid(self._algorithm, f"trunk {name!r} has no free label, and was not to be used")
        return label, end_label


def _regions(shape: Shape, edges: tuple[int, ...]) -> tuple[dict[int, int], dict[int, list[str]]]:
    """Which vertices of a tree its chords join: for each one that stands for it, and for that the chords' names.

    A vertex that is not there stands for itself; so do all in a network of switches.
    """
    root: dict[int, int] = {}
    chords: dict[int, list[str]] = {}
    joined = [edge for edge in edges if shape.trunks[edge] is None]
    topology = shape.topology
    for edge in joined:
        tail, head = (root.setdefault(v, v) for v in (topology.tails[edge], topology.heads[edge]))
        for vertex, other in root.items():
            if other == head:
                root[vertex] = tail
    for edge in joined:
        chords.setdefault(root[topology.tails[edge]], []).append(topology.names[edge])
    return root, chords
