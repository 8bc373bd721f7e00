"""An algorithm in thirty lines: a Steiner tree by networkx, without the trunks that turn out too thin."""

from __future__ import annotations

import networkx
from networkx.algorithms.approximation import steiner_tree

from dpb_framework.contracts import Algorithm, Demand, NoTree, Outcome, Planner, Residual, Topology, Tree, to_networkx
from dpb_framework.networks.tree import check_fits, tree_loads


class Steiner(Algorithm):
    """Joins all terminals by a tree whose delay is at most twice the least possible."""

    def planner(self, topology: Topology) -> Planner:
        """Return a planner for this shape."""
        return _Steiner(topology)


class _Steiner(Planner):
    def __init__(self, topology: Topology) -> None:
        self._topology = topology

    def plan(self, demand: Demand, residual: Residual) -> Outcome:
        graph = to_networkx(self._topology, residual)
        graph.remove_edges_from([edge for edge in graph.edges(keys=True) if not self._usable(edge, demand, residual)])
        while True:  # each round leaves at least one trunk out, so that there is an end
            near = networkx.node_connected_component(graph, demand.vertices[0])
            if not near.issuperset(demand.vertices):
                return NoTree("no path with enough bandwidth joins the terminals")
            found = steiner_tree(graph.subgraph(near), demand.vertices, weight="delay", method="mehlhorn")
            tree = tuple(sorted(key for _, _, key in found.edges(keys=True)))
            short = set(check_fits(tree_loads(self._topology, tree, demand), residual))
            if not short:
                return Tree(tree, cost=sum(self._topology.delays[edge] for edge in tree))
            graph.remove_edges_from([edge for edge in graph.edges(keys=True) if edge[2] in short])

    def _usable(self, edge: tuple[int, int, int], demand: Demand, residual: Residual) -> bool:
        up, down = residual.upstream[edge[2]], residual.downstream[edge[2]]
        return edge[0] != edge[1] and (up or down) > 0 and min(up, down) >= demand.least
