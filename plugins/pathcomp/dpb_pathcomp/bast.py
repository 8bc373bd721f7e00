"""The default: the bandwidth-aware spanning tree of the paper's section III-C.

Trunks that cannot carry any part of the request are left out. A tree grows from one terminal by the cheapest path to
the nearest terminal that is not joined yet; then the load of each trunk follows from the tree. Where a trunk falls
short, the worst is left out and a new tree grows, until one fits or a terminal is out of reach. Before it refuses, the
complete search is asked (`exact`): what fits is not refused, and what is refused is proved not to fit.
"""

from __future__ import annotations

from heapq import heappop, heappush

from attrs import frozen

from dpb_framework.contracts.algorithm import Algorithm, Demand, NoTree, Outcome, Planner, Residual, Topology, Tree
from dpb_framework.errors import ConfigInvalid
from dpb_framework.precedence import give_way
from dpb_pathcomp.arcs import CLOSED, Arc, Arcs
from dpb_pathcomp.exact import ExactPlanner
from dpb_pathcomp.mirror import Mirror
from dpb_pathcomp.refusal import cut_off, tired
from dpb_pathcomp.shortness import keeps
from dpb_pathcomp.weights import COSTS

_COMPLETE = 150_000
"""The bound on the complete search, beside that on the rule's own rounds."""


class Bast(Algorithm):
    """Bandwidth-aware spanning tree.

    `seed` decides where trees begin. `work` bounds a request: once so many switches were visited, in all its rounds
    together, no new round begins; 40,000 are about 50 ms, and from 8192 switches on a visit counts twice. `complete`:
    the complete search is asked before a refusal; without it a refusal may be one without proof. `ConfigInvalid` unless
    numbers are ints and `work` is at least 1.
    """

    constraints = True

    def __init__(self, *, seed: int = 0, work: int = 40_000, complete: bool = True) -> None:
        for name, value in (("seed", seed), ("work", work)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise ConfigInvalid(name, f"expected a whole number, got {value!r}"[:200])
        if work < 1:
            raise ConfigInvalid("work", f"expected 1 or more, got {work}")
        if not isinstance(complete, bool):
            raise ConfigInvalid("complete", f"expected true or false, got {complete!r}"[:200])
        self.seed = seed
        self.work = work
        self.complete = complete

    def planner(self, topology: Topology) -> BastPlanner:
        """Return a planner for this shape: O(vertices + edges)."""
        exact = ExactPlanner(Mirror(topology, COSTS["delay"]), _COMPLETE) if self.complete else None
        return BastPlanner(Arcs(topology, self.seed), self.work, exact)


@frozen
class _Ask:
    """A request as the search needs it: a rate (kbit/s) that each trunk must have, away from the root and back."""

    root: int
    ingress: dict[int, int]
    egress: dict[int, int]
    away: int
    back: int


class BastPlanner(Planner):
    """Plans on one topology. An answer depends on the arguments and the seed only, not on what was asked before."""

    def __init__(self, arcs: Arcs, work: int, exact: ExactPlanner | None) -> None:
        self._arcs = arcs
        self._work = work
        self._exact = exact

    def plan(self, demand: Demand, residual: Residual) -> Outcome:
        """Return a tree of cheapest paths on which the demand fits, or `NoTree`.

        The worst trunk of a tree that does not fit is the one that lacks most, in kbit/s, in either direction; among
        equals the first met. What must be passed, a delay that is not kept, and refusals are the complete search's.
        """
        if demand.pass_vertices or demand.pass_edges:
            return self._ask_exact(demand, residual, _unable("passes what it must"))
        outcome = self.quickly(demand, residual)
        if isinstance(outcome, Tree):
            if demand.max_delay is None or keeps(self._arcs.topology, outcome.edges, demand):
                return outcome
            return self._ask_exact(demand, residual, _unable(f"keeps within {demand.max_delay} us"))
        if outcome.proved and self._exact is not None:
            told = self._exact.refuse_cut(demand, residual, outcome.facts["certificate"]["near"])
            return told or outcome
        return self._ask_exact(demand, residual, outcome)

    def _ask_exact(self, demand: Demand, residual: Residual, refusal: NoTree) -> Outcome:
        """Return the complete search's answer, or *refusal* where it has none."""
        if self._exact is None:
            return refusal
        outcome = self._exact.plan(demand, residual)
        if isinstance(outcome, Tree):
            delays = self._arcs.topology.delays
            note = f"found by the complete search{'; ' if outcome.note else ''}{outcome.note}"
            return Tree(outcome.edges, sum(delays[edge] for edge in outcome.edges), note)
        if outcome.proved or refusal.proved:
            return outcome if outcome.proved else refusal
        return NoTree(f"{refusal.reason}; the complete search gave up, so a tree may exist", False, refusal.facts)

    def quickly(self, demand: Demand, residual: Residual) -> Outcome:
        """Return the answer of the rule alone, whatever must be passed and however long it takes.

        A refusal is proved when no trunk had to be left out, or just one (then every tree needs that one, for the same
        load); the certificate is the cut.
        """
        shape = self._arcs
        if len(set(demand.vertices)) < 2:
            return Tree(())
        ask = _ask(demand, shape.start)
        upstream, downstream = residual.upstream, residual.downstream
        if not ask.away and not ask.back:
            # A trunk that is out has as much left as is needed; it is told by both being zero.
            upstream = [up if up or down else -1 for up, down in zip(upstream, downstream, strict=True)]
        arcs = shape.preferring(demand.prefer) if demand.prefer else shape.arcs
        left_out: dict[int, int] = {}
        work = self._work
        while work > 0:
            give_way()
            best = shape.open_to(ask.ingress)
            tree, missing, visits = _grow(shape.mask, arcs, ask, best, upstream, downstream)
            work -= visits * shape.visit
            if missing:
                reached = [CLOSED < distance < shape.far for distance in best]
                closed = [distance == CLOSED for distance in best]
                refusal = cut_off(shape.topology, demand, residual, reached, closed, (ask.away, ask.back), left_out)
                if refusal.proved:
                    refusal.facts["certificate"] = {"kind": "cut", "near": shape.near(best)}
                return refusal
            worst, lack = _worst(tree, ask, upstream, downstream) if len(ask.ingress) > 2 else (-1, 0)
            if not lack:
                return _answer(shape.topology, tree, len(left_out))
            if not left_out:
                upstream = upstream.copy()
            left_out[worst] = lack
            upstream[worst] = -1
        return tired(shape.topology, demand, left_out)


def _unable(what: str) -> NoTree:
    return NoTree(f"given up: no tree that {what} was found")


def _ask(demand: Demand, start: list[int]) -> _Ask:
    ingress = dict(zip(demand.vertices, demand.ingress, strict=True))
    egress = dict(zip(demand.vertices, demand.egress, strict=True))
    if len(ingress) < len(demand.vertices):  # a vertex that is there twice gathers the rates
        ingress, egress = dict.fromkeys(ingress, 0), dict.fromkeys(ingress, 0)
        for vertex, rate_in, rate_out in zip(demand.vertices, demand.ingress, demand.egress, strict=True):
            ingress[vertex] += rate_in
            egress[vertex] += rate_out
    if len(ingress) == 2:
        one, other = ingress
        root, far = (one, other) if start[one] < start[other] else (other, one)
        return _Ask(root, ingress, egress, min(ingress[root], egress[far]), min(ingress[far], egress[root]))
    root = min(ingress, key=start.__getitem__)
    # No trunk of any tree carries less, either way, than the smallest rate of a terminal.
    least = min(min(ingress.values()), min(egress.values()))
    return _Ask(root, ingress, egress, least, least)


def _grow(
    mask: int,
    arcs: list[tuple[Arc, ...]],
    ask: _Ask,
    best: list[int],
    upstream: list[int],
    downstream: list[int],
) -> tuple[list[Arc], set[int], int]:
    """Grow a tree from the root; return its arcs, each after the one that it hangs on, who is missing, and the visits.

    One search for all: what joins the tree gets the distance zero and the search goes on, so the next terminal that it
    meets is the one nearest to the whole tree. *best* is left as the distances of whatever was reached.
    """
    away, back = ask.away, ask.back
    root = ask.root
    missing = set(ask.ingress)
    missing.discard(root)
    joined = {root}
    via: dict[int, Arc] = {}
    tree: list[Arc] = []
    best[root] = root
    heap = [root]
    visits = 0
    while heap:
        key = heappop(heap)
        vertex = key & mask
        if key > best[vertex]:
            continue
        visits += 1
        if not visits & 255:
            give_way()
        if vertex in missing:
            missing.discard(vertex)  # of the others none lies on the path: it would have been met before
            path = []
            while vertex not in joined:
                arc = via[vertex]
                path.append(arc)
                joined.add(vertex)
                vertex = arc[4]
            path.reverse()
            tree += path
            if not missing:
                break
            for arc in path:
                best[arc[1]] = arc[1]
                heappush(heap, arc[1])
            continue
        base = key ^ vertex
        for arc in arcs[vertex]:
            step, other, edge, against, _ = arc
            step += base
            if step < best[other]:
                if against:
                    if downstream[edge] < away or upstream[edge] < back:
                        continue
                elif upstream[edge] < away or downstream[edge] < back:
                    continue
                best[other] = step
                via[other] = arc
                heappush(heap, step)
    return tree, missing, visits


def _worst(tree: list[Arc], ask: _Ask, upstream: list[int], downstream: list[int]) -> tuple[int, int]:
    """Return the edge of the tree that lacks most, and how much (kbit/s, 0 when all have enough)."""
    inward, outward = ask.ingress.copy(), ask.egress.copy()
    total_in, total_out = sum(inward.values()), sum(outward.values())
    worst, lack = -1, 0
    for _, vertex, edge, against, parent in reversed(tree):
        rates_in, rates_out = inward.get(vertex, 0), outward.get(vertex, 0)
        inward[parent] = inward.get(parent, 0) + rates_in
        outward[parent] = outward.get(parent, 0) + rates_out
        up, down = min(rates_in, total_out - rates_out), min(total_in - rates_in, rates_out)
        if not against:  # the arc leads from the root outwards: what comes back runs against it
            up, down = down, up
        short = max(up - upstream[edge], down - downstream[edge])
        if short > lack:
            worst, lack = edge, short
    return worst, lack


def _answer(topology: Topology, tree: list[Arc], rounds: int) -> Tree:
    delays = topology.delays
    edges = tuple([arc[2] for arc in tree])
    note = "" if not rounds else "1 trunk was left out" if rounds == 1 else f"{rounds} trunks were left out"
    return Tree(edges, sum([delays[edge] for edge in edges]), note)
