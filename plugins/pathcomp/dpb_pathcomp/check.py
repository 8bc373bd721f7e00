"""Whether a refusal's certificate holds: for whoever does not believe the planner. Shares no code with it.

Everything is computed anew from the topology, what is left of it, and the request; sets are frozensets, and nothing
here is made to be quick.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeAlias

from dpb_framework.contracts.algorithm import Demand, Residual, Topology

Member: TypeAlias = tuple[str, int]
"""("vertex", v) for a terminal or a vertex to pass, ("edge", e) for an edge to pass"""

Gathered: TypeAlias = frozenset[Member]

LARGEST = 9
"""With more members than this a certificate that gives nothing to check is searched no more."""


class CertificateWrong(Exception):
    """The certificate does not prove that there is no tree."""


def check(topology: Topology, residual: Residual, demand: Demand, certificate: Mapping[str, Any]) -> None:
    """Verify that *certificate* proves that no tree fits; `CertificateWrong`, one line, tells what is wrong with it.

    `cut`: no trunk between both sides could carry what it would have to. `sets`: the listed places contain every
    start and whatever follows from them, and not all terminals at the root. `branches`: the same for each branch.
    `delay`: two ends are farther apart than is asked for, by any way. `search`: nothing is given; the sets are
    computed here when there are at most `LARGEST` of terminals and of what must be passed.
    """
    judge = _Judge(topology, residual, demand)
    kind = certificate.get("kind")
    if kind == "cut":
        judge.cut(set(certificate["near"]))
    elif kind == "sets":
        judge.closed(certificate["root"], certificate["reached"], {})
    elif kind == "branches":
        judge.branch(certificate["root"], certificate["branch"], {})
    elif kind == "delay":
        judge.delay(*certificate["between"])
    elif kind == "search":
        judge.search(certificate["root"])
    else:
        raise CertificateWrong(f"a certificate of kind {kind!r} is not known")


class _Judge:
    def __init__(self, topology: Topology, residual: Residual, demand: Demand) -> None:
        self.topology, self.residual, self.demand = topology, residual, demand
        self.rates: dict[int, tuple[int, int]] = {}
        for vertex, ingress, egress in zip(demand.vertices, demand.ingress, demand.egress, strict=True):
            before = self.rates.get(vertex, (0, 0))
            self.rates[vertex] = (before[0] + ingress, before[1] + egress)
        self.everyone: Gathered = frozenset(
            [("vertex", vertex) for vertex in {*self.rates, *demand.pass_vertices}]
            + [("edge", edge) for edge in demand.pass_edges]
        )

    # -- what a trunk can do

    def load(self, near: Collection[int]) -> tuple[int, int]:
        """What goes from the terminals *near* to the others, and back."""
        away_in = sum(rates[0] for vertex, rates in self.rates.items() if vertex in near)
        away_out = sum(rates[1] for vertex, rates in self.rates.items() if vertex in near)
        rest_in = sum(rates[0] for vertex, rates in self.rates.items() if vertex not in near)
        rest_out = sum(rates[1] for vertex, rates in self.rates.items() if vertex not in near)
        return min(away_in, rest_out), min(rest_in, away_out)

    def carries(self, edge: int, start: int, load: tuple[int, int]) -> bool:
        """Whether the edge has room for *load* from its end *start* to the other, and back."""
        up, down = self.residual.upstream[edge], self.residual.downstream[edge]
        if up == 0 and down == 0:
            return False
        if self.topology.tails[edge] != start:
            up, down = down, up
        return up >= load[0] and down >= load[1]

    def moves(self) -> Iterator[tuple[int, int, int]]:
        """Each way along each edge: edge, start, end."""
        for edge, (tail, head) in enumerate(zip(self.topology.tails, self.topology.heads, strict=True)):
            if tail != head:
                yield edge, tail, head
                yield edge, head, tail

    # -- kinds of certificate

    def cut(self, near: set[int]) -> None:
        inside = {vertex for vertex in self.rates if vertex in near}
        if not inside or len(inside) == len(self.rates):
            raise CertificateWrong("the cut does not part the terminals")
        crossing = [(edge, start) for edge, start, end in self.moves() if start in near and end not in near]
        across = self.load(inside)
        if len(self.rates) == 2:  # a path leaves the near side somewhere, and carries everything there
            able = [edge for edge, start in crossing if self.carries(edge, start, across)]
        else:
            least = min(min(rates) for rates in self.rates.values())
            able = [edge for edge, start in crossing if self.carries(edge, start, (least, least))]
            if len(able) == 1:  # then it is the only one between both sides
                able = [edge for edge, start in crossing if edge in able and self.carries(edge, start, across)]
        if able:
            raise CertificateWrong(f"edge {able[0]} could cross the cut")

    def closed(self, root: int, reached: Sequence[Mapping[str, Any]], rules: Mapping[int, _Rule]) -> None:
        """Verify that *reached* has every start and what follows from it, but not everything at the root."""
        if root not in self.rates:
            raise CertificateWrong(f"vertex {root} is no terminal")
        places: dict[Gathered, set[int]] = {}
        for entry in reached:
            places.setdefault(_members(entry), set()).update(entry["at"])
        movers = self.everyone - {("vertex", root)}
        for kind, vertex in sorted(movers):
            if kind == "vertex" and vertex not in places.get(frozenset({(kind, vertex)}), ()):
                raise CertificateWrong(f"vertex {vertex} itself is not among the places")
        for gathered, at in self._follows(places, root, rules):
            if at not in places.get(gathered, ()):
                raise CertificateWrong(f"{_told(gathered)} can be brought to vertex {at}, which is not listed")
        if root in places.get(movers, ()):
            raise CertificateWrong("all terminals can be brought to the root")

    def branch(self, root: int, branch: Mapping[str, Any], rules: dict[int, _Rule]) -> None:
        """Verify both halves of a division: the one in which the member passes the vertex, the other in which not."""
        if "reached" in branch:
            self.closed(root, branch["reached"], rules)
            return
        vertex, members = branch["vertex"], _members(branch["of"])
        if len(members) != 1 or vertex in self.rates or vertex == root:
            raise CertificateWrong(f"a division at vertex {vertex} by {_told(members)} means nothing")
        must, never = rules.get(vertex, (frozenset(), frozenset()))
        self.branch(root, branch["passes"], {**rules, vertex: (must | members, never)})
        self.branch(root, branch["passes not"], {**rules, vertex: (must, never | members)})

    def delay(self, one: int, other: int) -> None:
        """Verify that no way between two ends is short enough, over trunks that could carry some part."""
        if self.demand.max_delay is None or one not in self.rates or other not in self.rates:
            raise CertificateWrong("no delay is asked for between these")
        least = min(min(rates) for rates in self.rates.values())
        load = (least, least) if len(self.rates) > 2 else self.load({one})
        delays = {one: 0}
        for _ in range(self.topology.vertices):
            for edge, start, end in self.moves():
                if start in delays and self.carries(edge, start, load):
                    delay = delays[start] + self.topology.delays[edge]
                    if delay < delays.get(end, delay + 1):
                        delays[end] = delay
        if delays.get(other, self.demand.max_delay + 1) <= self.demand.max_delay:
            raise CertificateWrong(f"vertices {one} and {other} are {delays[other]} us apart")

    def search(self, root: int) -> None:
        """Compute the sets here; a conflict that only branching excludes leaves the matter open."""
        if len(self.everyone) > LARGEST:
            raise CertificateWrong(f"with {len(self.everyone)} members it is not searched")
        movers = self.everyone - {("vertex", root)}
        places: dict[Gathered, set[int]] = {
            frozenset({member}): {member[1]} for member in movers if member[0] == "vertex"
        }
        grows = True
        while grows:
            grows = False
            for gathered, at in list(self._follows(places, root, {})):
                if at not in places.setdefault(gathered, set()):
                    places[gathered].add(at)
                    grows = True
        if root in places.get(movers, ()):
            raise CertificateWrong("the sets alone do not prove it")

    def _follows(
        self, places: Mapping[Gathered, set[int]], root: int, rules: Mapping[int, _Rule]
    ) -> Iterator[tuple[Gathered, int]]:
        """Yield each set and place that one step leads to from *places*."""
        for one, other in combinations(places, 2):
            if not one & other:
                for vertex in places[one] & places[other]:
                    yield one | other, vertex
        for gathered, at in list(places.items()):
            terminals = {number for kind, number in gathered if kind == "vertex" and number in self.rates}
            if not terminals:
                continue  # no part of a tree ends at what is no terminal
            load = self.load(terminals)
            for edge, start, end in self.moves():
                if start not in at or start == root or not self.carries(edge, start, load):
                    continue
                if ("vertex", start) in self.everyone and ("vertex", start) not in gathered:
                    continue  # who is there joins
                if ("vertex", end) in gathered:
                    continue  # who comes from there does not come back
                must, never = rules.get(start, (frozenset(), frozenset()))
                if not must <= gathered or never & gathered:
                    continue
                crossing = ("edge", edge)
                if crossing not in self.everyone:
                    yield gathered, end
                elif crossing not in gathered:
                    yield gathered | {crossing}, end


_Rule: TypeAlias = tuple[Gathered, Gathered]
"""What must be among those who leave a vertex, and what must not."""


def _members(entry: Mapping[str, Any]) -> Gathered:
    return frozenset(
        [("vertex", vertex) for vertex in entry["terminals"]] + [("edge", edge) for edge in entry.get("edges", ())]
    )


def _told(gathered: Gathered) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in sorted(gathered)) or "nothing"
