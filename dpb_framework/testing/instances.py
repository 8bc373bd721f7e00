"""Requests on small networks for the conformance suite of algorithms: seeded, and as a Hypothesis strategy."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from attrs import frozen
from hypothesis import strategies as st

from dpb_framework.contracts.algorithm import Demand, Residual, Topology
from dpb_framework.testing.topologies import barabasi_albert, from_pairs, grid, line, ring, star


@frozen
class Instance:
    """A network, what is left of it, and a request."""

    topology: Topology
    residual: Residual
    demand: Demand


def demand_of(*terminals: tuple[int, int, int], prefer: frozenset[int] = frozenset()) -> Demand:
    """Return the demand of (vertex, ingress, egress) triples, kbit/s, one circuit at each vertex."""
    rates = [rate for _, *both in terminals for rate in both]
    return Demand(
        tuple(vertex for vertex, _, _ in terminals),
        tuple(ingress for _, ingress, _ in terminals),
        tuple(egress for _, _, egress in terminals),
        min(rates, default=0),
        prefer,
    )


def instances(seed: int, count: int) -> Iterator[Instance]:
    """Yield *count* instances: all shapes, thin and thick trunks, equal and other rates, one to six terminals.

    Among them are one-way rates, parallel trunks, trunks that are out one way or both, self loops, and parts
    without connection.
    """
    random = Random(seed)
    for number in range(count):
        topology, residual = _shape(random, number)
        yield Instance(topology, residual, _request(random, topology.vertices))


def _shape(random: Random, number: int) -> tuple[Topology, Residual]:
    kind = number % 6
    size = random.randint(3, 9)
    if kind == 0:
        topology, residual = line(size)
    elif kind == 1:
        topology, residual = ring(size)
    elif kind == 2:
        topology, residual = star(size)
    elif kind == 3:
        topology, residual = grid(random.randint(2, 4), random.randint(2, 3))
    elif kind == 4:
        topology, residual = barabasi_albert(size, 2, seed=number)
    else:  # anything: parallel trunks, self loops, parts without connection
        pairs = [(random.randrange(size), random.randrange(size)) for _ in range(random.randint(0, 2 * size))]
        topology, residual = from_pairs(size, pairs)
    for edge in range(len(topology.tails)):
        residual.upstream[edge] = random.choice((0, 5, 10, 20, 30, 60, 1000))
        residual.downstream[edge] = random.choice((0, 5, 10, 20, 30, 60, 1000))
        if random.random() < 0.4:  # a good part is plenty, so that trees exist
            residual.upstream[edge] = residual.downstream[edge] = 1000
        elif random.random() < 0.2:
            residual.upstream[edge] = residual.downstream[edge] = 0
    return topology, residual


def _request(random: Random, vertices: int) -> Demand:
    chosen = random.sample(range(vertices), random.randint(1, min(6, vertices)))
    style = random.randrange(3)
    triples = []
    for vertex in chosen:
        ingress = random.choice((5, 10, 25, 50))
        egress = ingress if style == 0 else random.choice((5, 10, 25, 50))
        if style == 2:
            ingress, egress = random.choice(((ingress, 0), (0, egress), (ingress, egress)))
        triples.append((vertex, ingress, egress))
    if random.random() < 0.3:
        triples = [(vertex, 10, 10) for vertex in chosen]
    return demand_of(*triples)


def tight_instances(seed: int, count: int) -> Iterator[Instance]:
    """Yield *count* instances of at most nine vertices and ten edges on which it matters what each trunk carries.

    What is left of a trunk is what some set of the terminals needs, or 1 kbit/s less; rates differ by much. Among them
    are parallel trunks, trunks that are out, several circuits on one vertex, and (every other one) detours on which two
    terminals go different ways although no tree does: the trap of searches that gather sets of terminals.
    """
    random = Random(seed)
    for number in range(count):
        thin: range | None = None
        if number % 2:
            pairs, ends, thin = _detours(random)
            size = 1 + max(max(pair) for pair in pairs)
        else:
            size = random.randint(4, 6)
            pairs = [(random.randrange(vertex), vertex) for vertex in range(1, size)]
            while len(pairs) < random.randint(size, 10):
                pairs.append((random.randrange(size), random.randrange(size)))
            ends = random.sample(range(size), random.randint(2, min(5, size)))
        pairs = [pair if random.random() < 0.5 else pair[::-1] for pair in pairs]
        plain, residual = from_pairs(size, pairs)
        delays = [random.choice((0, 1, 10) if thin and edge in thin else (1, 30, 1000)) for edge in range(len(pairs))]
        topology = Topology(size, plain.tails, plain.heads, delays, plain.names, plain.vertex_names)
        demand = _unequal(random, ends)
        for edge in range(len(pairs)):
            plenty = 0.4 if thin is None else 0.05 if edge in thin else 0.7
            residual.upstream[edge], residual.downstream[edge] = _just_enough(random, demand, plenty)
        yield Instance(topology, residual, demand)


def _detours(random: Random) -> tuple[list[tuple[int, int]], list[int], range]:
    """Two or three terminals behind vertex 0, another beyond two thin ways and sometimes a long one; some shortcuts.

    The range are the edges of the thin ways.
    """
    behind = random.randint(2, 3)
    far = 1 + behind
    pairs = [(0, 1 + number) for number in range(behind)]
    for way in (1, 2):
        pairs += [(0, far + way), (far + way, far)]
    thin = range(behind, len(pairs))
    last = far + 2
    if random.random() < 0.6:
        pairs += [(0, far + 3), (far + 3, far + 4), (far + 4, far)]
        last = far + 4
    while len(pairs) < 10 and random.random() < 0.3:
        pairs.append((random.randint(0, last), random.randint(0, last)))
    return pairs, [far, *range(1, far)], thin


def _unequal(random: Random, ends: list[int]) -> Demand:
    rates = (1, 2, 3, 5, 8, 100)
    style = random.randrange(4)
    triples = []
    for vertex in ends:
        ingress = random.choice(rates)
        egress = ingress if style < 2 else random.choice(rates)
        if style == 3:
            ingress, egress = random.choice(((ingress, 0), (0, egress), (ingress, egress)))
        triples.append((vertex, ingress, egress))
    if style == 2 and random.random() < 0.3:  # a vertex that is there twice gathers the rates
        triples.append(triples[random.randrange(len(triples))])
    return demand_of(*triples)


def _just_enough(random: Random, demand: Demand, plenty: float) -> tuple[int, int]:
    """What is left of a trunk: what some set of terminals needs, sometimes less; plenty; or nothing."""
    if random.random() < plenty:
        return 1000, 1000
    if random.random() < 0.08:
        return 0, 0
    near = [random.random() < 0.5 for _ in demand.vertices]
    sums = [[0, 0], [0, 0]]
    for is_near, ingress, egress in zip(near, demand.ingress, demand.egress, strict=True):
        sums[is_near][0] += ingress
        sums[is_near][1] += egress
    up, down = min(sums[1][0], sums[0][1]), min(sums[0][0], sums[1][1])
    less = random.choice((0, 0, 0, 1))
    return max(0, up - less), down


_RATES = st.sampled_from((0, 1, 5, 10, 25, 60))


@st.composite
def any_instance(draw: st.DrawFn) -> Instance:
    """Draw an instance of two to seven vertices with whatever edges, residuals, delays and rates."""
    size = draw(st.integers(2, 7))
    vertex = st.integers(0, size - 1)
    ends = draw(st.lists(st.tuples(vertex, vertex), max_size=14))
    each = st.lists(_RATES, min_size=len(ends), max_size=len(ends))
    delays = draw(st.lists(st.integers(0, 5000), min_size=len(ends), max_size=len(ends)))
    plain, _ = from_pairs(size, ends)
    topology = Topology(size, plain.tails, plain.heads, delays, plain.names, plain.vertex_names)
    chosen = draw(st.lists(vertex, min_size=1, max_size=6, unique=True))
    flow = st.tuples(_RATES, _RATES).filter(lambda rates: rates != (0, 0))
    triples = [(place, *draw(flow)) for place in chosen]
    prefer = draw(st.frozensets(st.integers(0, len(ends) - 1), max_size=3)) if ends else frozenset()
    return Instance(topology, Residual(draw(each), draw(each)), demand_of(*triples, prefer=prefer))
