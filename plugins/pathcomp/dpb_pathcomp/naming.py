"""What vertices and edges are called when people are told of them."""

from __future__ import annotations

from collections.abc import Collection

from dpb_framework.contracts.algorithm import Topology

_SHOWN = 6


def trunk(topology: Topology, edge: int) -> str:
    """Return the name of an edge, or its number where edges have none."""
    return topology.names[edge] if topology.names else str(edge)


def place(topology: Topology, vertex: int) -> str:
    """Return the name of a vertex, or its number where vertices have none."""
    return topology.vertex_names[vertex] if topology.vertex_names else str(vertex)


def trunks(topology: Topology, edges: Collection[int]) -> str:
    """Return the names of the first few edges, and how many more there are."""
    return listing([trunk(topology, edge) for edge in edges])


def places(topology: Topology, vertices: Collection[int]) -> str:
    """Return the names of the first few vertices, and how many more there are."""
    return listing([place(topology, vertex) for vertex in vertices])


def listing(names: list[str]) -> str:
    """Return the first few names, and how many more there are."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
