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
