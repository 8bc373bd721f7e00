"""An aggregator's view of its inferiors as a graph for the planner.

A fragment without chords is one vertex; of any other fragment each terminal is a vertex and each chord an edge.
Trunks come first among the edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import define, field

from dpb_framework.contracts import Residual, Topology
from dpb_framework.model import Chord, NetworkModel, Trunk

Place = tuple[str, str]
"""An inferior network and one of its terminals."""


@define(slots=True, eq=False)
class Shape:
    """The graph, and what its vertices and edges are."""

    topology: Topology
    residual: Residual
    vertex_of: Mapping[Place, int]
    fragment_of: tuple[tuple[str, int], ...]
    """For each vertex its inferior network and the number of the fragment there."""
    whole: tuple[bool, ...]
    """For each vertex whether it is a whole fragment (not one terminal of it)."""
    trunk_edges: Mapping[str, int]
    chord_edges: Mapping[tuple[str, str, str], int]
    trunks: tuple[str | None, ...]
    """For each edge its trunk; None for a chord."""
    edge_of_name: dict[str, int] = field(factory=dict)


def build_shape(models: Mapping[str, NetworkModel], trunks: Iterable[Trunk]) -> Shape:
    """Make the graph of *models* (by inferior network) and *trunks*; of trunks nothing is left yet, nor known.

    A trunk is left out while one of its terminals is not in any model.
    """
    vertex_of: dict[Place, int] = {}
    fragment_of: list[tuple[str, int]] = []
    whole: list[bool] = []
    names: list[str] = []
    for inferior in sorted(models):
        for number, fragment in enumerate(models[inferior].fragments):
            if fragment.chords is None:
                for terminal in fragment.terminals:
                    vertex_of[inferior, terminal] = len(names)
                names.append(inferior)
                fragment_of.append((inferior, number))
                whole.append(True)
                continue
            for terminal in fragment.terminals:
                vertex_of[inferior, terminal] = len(names)
                names.append(f"{inferior}:{terminal}")
                fragment_of.append((inferior, number))
                whole.append(False)
    tails: list[int] = []
    heads: list[int] = []
    delays: list[int] = []
    edge_names: list[str] = []
    kinds: list[str | None] = []
    up: list[int] = []
    down: list[int] = []
    trunk_edges: dict[str, int] = {}
    chord_edges: dict[tuple[str, str, str], int] = {}
    for trunk in sorted(trunks, key=lambda t: t.name):
        start, end = vertex_of.get(trunk.start), vertex_of.get(trunk.end)
        if start is None or end is None:
            continue
        trunk_edges[trunk.name] = len(tails)
        tails.append(start)
        heads.append(end)
        delays.append(trunk.delay)
        edge_names.append(trunk.name)
        kinds.append(trunk.name)
        up.append(0)
        down.append(0)
    for inferior in sorted(models):
        for fragment in models[inferior].fragments:
            for chord in fragment.chords or ():
                a, b = vertex_of.get((inferior, chord.a)), vertex_of.get((inferior, chord.b))
                if a is None or b is None:
                    continue
                chord_edges[inferior, chord.a, chord.b] = len(tails)
                tails.append(a)
                heads.append(b)
                delays.append(chord.delay)
                edge_names.append(chord_name(inferior, chord))
                kinds.append(None)
                up.append(chord.upstream)
                down.append(chord.downstream)
    topology = Topology(len(names), tails, heads, delays, edge_names, names)
    return Shape(
        topology,
        Residual(up, down, [0] * len(up), [0] * len(up)),
        vertex_of,
        tuple(fragment_of),
        tuple(whole),
        trunk_edges,
        chord_edges,
        tuple(kinds),
        {name: edge for edge, name in enumerate(edge_names)},
    )


def chord_name(inferior: str, chord: Chord) -> str:
    """What a chord's edge is called."""
    return f"{inferior}:{chord.a}~{chord.b}"


def same_shape(one: NetworkModel, other: NetworkModel) -> bool:
    """Whether two models differ at most in what is available on their chords."""
    if one is other:
        return True
    if len(one.fragments) != len(other.fragments):
        return False
    for mine, its in zip(one.fragments, other.fragments, strict=True):
        if mine.terminals != its.terminals or (mine.chords is None) != (its.chords is None):
            return False
        if mine.chords is not None and its.chords is not None:
            mine_chords = [(c.a, c.b, c.delay) for c in mine.chords]
            if mine_chords != [(c.a, c.b, c.delay) for c in its.chords]:
                return False
    return True
