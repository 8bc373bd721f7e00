"""What to tell of a proved refusal: who cannot be joined, by which trunks, and how little more would do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from dpb_framework.contracts.algorithm import Demand, NoTree, Topology
from dpb_framework.precedence import give_way
from dpb_pathcomp.closure import reachable, vertices_of
from dpb_pathcomp.naming import listing, place, places, trunk, trunks
from dpb_pathcomp.problem import GaveUp, Problem, Rules, Work
from dpb_pathcomp.proof import certificate
from dpb_pathcomp.solving import Solved

TRIES = 8
"""So many trunks are tried with more capacity, those that need least first."""

Would = Callable[[int, int, int, Work], bool]
"""Whether a tree would fit if an edge had so much more (kbit/s, upstream and downstream)."""


@frozen
class Extra:
    """A trunk with what it would need in addition, kbit/s each way, to carry the set *gathered* from its side."""

    edge: int
    upstream: int
    downstream: int
    gathered: int
    out: bool
    """Nothing is left of it: it may be full, or out for another reason."""


def explain(demand: Demand, solved: Solved, would: Would, work: Work) -> NoTree:
    """Return the refusal with its certificate. Where *work* does not suffice, less is told."""
    problem = solved.problem
    assert problem is not None
    proof = certificate(solved, work)
    reached: list[int] | None = None
    extra: Extra | None = None
    known = False
    side = None if solved.near is None else _cut(problem, solved.near)
    try:
        # One trunk that could cross a cut which nothing crosses would have the terminals of each side on its sides.
        inside = _inside(problem, solved.near) if solved.near is not None and side is not None and not side.able else 0
        rules = Rules.of(problem.loads)
        reached = reachable(problem, rules, work, whole=True, side=inside)
        extra, known = _smallest(problem, reached, would, work)
    except GaveUp:
        pass
    if side is None and reached is not None:
        side = _side(problem, reached, extra)
        if not side.lacks:
            side = None  # what must be passed cannot be, or two sets get in each other's way
    topology = problem.mirror.topology
    facts = _facts(problem, side)
    facts["certificate"] = proof
    facts["extra_known"] = known
    facts["extra"] = None
    suffix = ""
    if extra is not None:
        facts["extra"] = {
            "trunk": trunk(topology, extra.edge),
            "upstream": extra.upstream,
            "downstream": extra.downstream,
            "out": extra.out,
        }
        if side is None:  # the trunk alone is told
            facts |= {
                "trunks": [trunk(topology, extra.edge)],
                "cut": [
                    {"trunk": trunk(topology, extra.edge), "upstream": extra.upstream, "downstream": extra.downstream}
                ],
                "scarcest": trunk(topology, extra.edge),
                "lacks": max(extra.upstream, extra.downstream),
            }
        suffix = f"; {_much(extra)} on {trunk(topology, extra.edge)} would do"
    elif known:
        suffix = "; more capacity on any one trunk would not do"
    return NoTree(_reason(problem, demand, side, facts) + suffix, True, facts)


def too_slow(topology: Topology, most: int, one: int, other: int, delay: int) -> NoTree:
    """Return the refusal of a request two of whose ends are farther apart than it allows, by any way."""
    return NoTree(
        f"{place(topology, one)} and {place(topology, other)} are {delay} us apart by the quickest way with room for"
        f" any part of the request, at most {most} are asked for",
        True,
        {
            "cut_off": [place(topology, other)],
            "joined": [place(topology, one)],
            "trunks": [],
            "cut": [],
            "scarcest": None,
            "lacks": 0,
            "left_out": [],
            "extra": None,
            "extra_known": False,
            "certificate": {"kind": "delay", "between": [one, other]},
        },
    )


@frozen
class Side:
    """One side of a cut: the terminals there, and for each edge that leaves it what it lacks each way.

    `able` counts those that do not lack the least that any trunk carries.
    """

    terminals: tuple[int, ...]
    lacks: dict[int, tuple[int, int]]
    able: int = 0


def _cut(problem: Problem, near: list[int]) -> Side:
    """The cut of a proof: nothing crosses it, or just one edge could, which then would carry everything."""
    vertices = sum(1 << vertex for vertex in near)
    inside = _inside(problem, near)
    least = problem.loads.least
    if len(problem.loads.ends.places) == 2:
        return _around(problem, vertices, inside)
    side = _around(problem, vertices, inside, (least, least))
    crossing = _around(problem, vertices, inside).lacks.keys() - side.lacks.keys()
    whole = {edge: lack for edge, lack in _around(problem, vertices, inside).lacks.items() if edge in crossing}
    return Side(side.terminals, dict(sorted((side.lacks | whole).items())), len(crossing))


def _side(problem: Problem, reached: list[int], extra: Extra | None) -> Side:
    """Choose what to tell of: where the trunk that would do is, or around the largest set that comes no further."""
    if extra is not None:
        return _around(problem, reached[extra.gathered], extra.gathered)
    loads = problem.loads
    best = max(range(loads.full + 1), key=lambda s: (bool(reached[s] and s & loads.real), s.bit_count(), -s))
    return _around(problem, reached[best], best)


def _inside(problem: Problem, near: list[int]) -> int:
    """The terminals at the vertices *near* as a set."""
    loads = problem.loads
    inside = sum(1 << n for n, home in enumerate(loads.homes) if home in near)
    return inside | (_root_bit(loads.full) if loads.root in near else 0)


def _root_bit(full: int) -> int:
    return full + 1


def _around(problem: Problem, vertices: int, gathered: int, load: tuple[int, int] | None = None) -> Side:
    """The cut around *vertices* (as bits), for what *gathered* needs, or for *load*, forth and back."""
    loads, mirror = problem.loads, problem.mirror
    forth, back = load or _load(problem, gathered)
    left, heads = mirror.left, mirror.heads
    inside = set(vertices_of(vertices))
    lacks: dict[int, tuple[int, int]] = {}
    for arc, head in enumerate(heads):
        if head not in inside and heads[arc ^ 1] in inside:
            short = max(0, forth - max(0, left[arc])), max(0, back - max(0, left[arc ^ 1]))
            if left[arc] < 0 or any(short):
                lacks[arc >> 1] = short if not arc & 1 else short[::-1]
    terminals = [home for n, home in enumerate(loads.homes) if gathered >> n & 1 and home not in loads.ends.vertices]
    return Side((*terminals, loads.root) if gathered > loads.full else tuple(terminals), lacks)


def _load(problem: Problem, gathered: int) -> tuple[int, int]:
    """What a set carries away from it, and back; it may have the root's bit."""
    loads = problem.loads
    if gathered > loads.full:
        rest = loads.full & ~gathered
        return loads.against[rest], loads.along[rest]
    return loads.along[gathered], loads.against[gathered]


def _smallest(problem: Problem, reached: list[int], would: Would, work: Work) -> tuple[Extra | None, bool]:
    """Return the trunk that needs least in addition, and whether that is certain.

    A tree over the trunk, were it larger, has a set of terminals on one side and the rest on the other, each gathered
    without the trunk. So these are all the candidates there are.
    """
    found = sorted(_candidates(problem, reached, work), key=lambda c: (c.out, c.upstream + c.downstream, c.edge))
    tried: dict[tuple[int, int, int], None] = {}
    for candidate in found:
        key = candidate.edge, candidate.upstream, candidate.downstream
        if key in tried:
            continue
        if len(tried) == TRIES:
            return None, False
        tried[key] = None
        if would(*key, work):
            return candidate, True
    return None, True


def _candidates(problem: Problem, reached: list[int], work: Work) -> Iterator[Extra]:
    mirror, loads = problem.mirror, problem.loads
    everyone = len(reached) - 1
    work.left -= len(mirror.weights) * everyone // 4
    if work.left < 0:
        raise GaveUp
    heads, left = mirror.heads, mirror.left
    ends = loads.real | _root_bit(loads.full)
    sides = [s for s in range(1, everyone) if reached[s] and s & ends and (everyone ^ s) & ends]
    for edge in range(len(mirror.weights)):
        give_way()
        head, tail = heads[2 * edge], heads[2 * edge + 1]
        if head == tail:
            continue
        up, down = left[2 * edge], left[2 * edge + 1]
        bit = loads.edge_bits.get(edge, 0)
        for near in sides:
            far = everyone ^ near
            if bit:
                near, far = near & ~bit, far & ~bit
            if reached[near] >> tail & 1 and reached[far] >> head & 1:
                forth, back = _load(problem, near)
                more = max(0, forth - max(0, up)), max(0, back - max(0, down))
                if any(more):
                    yield Extra(edge, *more, near, up < 0)


def _facts(problem: Problem, side: Side | None) -> dict[str, Any]:
    topology = problem.mirror.topology
    if side is None:
        everyone = [place(topology, vertex) for vertex in problem.loads.ends.places]
        return {
            "cut_off": everyone,
            "joined": [],
            "trunks": [],
            "cut": [],
            "scarcest": None,
            "lacks": 0,
            "left_out": [],
        }
    joined = [vertex for vertex in problem.loads.ends.places if vertex in side.terminals]
    missing = [vertex for vertex in problem.loads.ends.places if vertex not in side.terminals]
    scarcest = _scarcest(problem, side)
    return {
        "cut_off": [place(topology, vertex) for vertex in missing],
        "joined": [place(topology, vertex) for vertex in joined],
        "trunks": [trunk(topology, edge) for edge in side.lacks],
        "cut": [
            {"trunk": trunk(topology, edge), "upstream": up, "downstream": down}
            for edge, (up, down) in side.lacks.items()
        ],
        "scarcest": None if scarcest is None else trunk(topology, scarcest),
        "lacks": 0 if scarcest is None else max(side.lacks[scarcest]),
        "left_out": [],
    }


def _scarcest(problem: Problem, side: Side) -> int | None:
    """The edge that lacks most; one that is out only when there is no other."""
    left = problem.mirror.left
    return max(side.lacks, key=lambda e: (left[2 * e] >= 0, max(side.lacks[e]), -e), default=None)


def _reason(problem: Problem, demand: Demand, side: Side | None, facts: dict[str, Any]) -> str:
    topology = problem.mirror.topology
    ends = problem.loads.ends
    if side is None or not facts["cut_off"] or not facts["joined"]:
        passing = [*(place(topology, v) for v in ends.vertices), *(trunk(topology, e) for e in ends.edges)]
        by = f" by way of {', '.join(passing)}" if passing else ""
        return f"no tree joins {places(topology, ends.places)}{by}"
    who = f"{listing(facts['cut_off'])} cannot be joined with {listing(facts['joined'])}"
    scarcest = _scarcest(problem, side)
    if scarcest is None:
        return f"{who}: no trunk leads from one to the other"
    if problem.mirror.left[2 * scarcest] < 0:
        return f"{who}: no trunk between them has anything left ({trunks(topology, list(side.lacks))})"
    one = f"{trunk(topology, scarcest)} lacks {max(side.lacks[scarcest])} kbit/s"
    if len(side.lacks) == 1:
        return f"{who}: the only trunk between them, {one}"
    return f"{who}: of {len(side.lacks)} trunks between them {one}"


def _much(extra: Extra) -> str:
    if extra.upstream == extra.downstream:
        return f"{extra.upstream} kbit/s more each way"
    both = [(extra.upstream, "upstream"), (extra.downstream, "downstream")]
    return " and ".join(f"{rate} kbit/s more {way}" for rate, way in both if rate)
