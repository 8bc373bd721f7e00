"""The GEANT network as the broker's two files: what there is (configuration) and how it is joined (topology)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

from attrs import frozen

AGGREGATOR = "geant"
"""The name of the network that joins all switches."""

US_PER_KM = 5
"""How long light takes for a kilometre of fibre, in microseconds."""


@frozen
class Link:
    """A link between two nodes, with its length in kilometres."""

    a: str
    b: str
    km: float


@frozen
class Graph:
    """Nodes by name, and the links between them."""

    nodes: tuple[str, ...]
    links: tuple[Link, ...]

    @property
    def degrees(self) -> Counter[str]:
        """How many links each node has."""
        return Counter(node for link in self.links for node in (link.a, link.b))


def geant() -> Graph:
    """Return GEANT as the Topology Zoo has it for 2012: a node for each country, named by its code."""
    import topohub

    found = topohub.get("topozoo/Geant2012")
    names = {node["id"]: node["name"] for node in found["nodes"]}
    return Graph(
        tuple(names.values()),
        tuple(Link(names[edge["source"]], names[edge["target"]], edge["dist"]) for edge in found["edges"]),
    )


def configuration(graph: Graph, host: str, port: int) -> str:
    """Return the text of dpb.toml: an emulated switch for each node, and the aggregator over them."""
    blocks = [
        '[store]\nkind = "sql"\nurl = "sqlite:///dpb.sqlite"',
        f'[[nbi]]\nkind = "rest"\nhost = {json.dumps(host)}\nport = {port}',
        '[[listener]]\nkind = "journal"',
    ]
    blocks += [f'[[network]]\nname = {json.dumps(node)}\nkind = "switch"\nfabric = "emulated"' for node in graph.nodes]
    blocks.append(
        f'[[network]]\nname = "{AGGREGATOR}"\nkind = "aggregator"\nalgorithm = "adaptive"\n'
        'algorithm-settings = { engine = "python" }\n'  # quick enough here; nothing is compiled for a demo
        f"inferiors = {json.dumps(graph.nodes)}"
    )
    return "\n\n".join(blocks) + "\n"


def topology(graph: Graph) -> str:
    """Return the text of topology.toml, for `dpb apply`.

    Each switch has the terminal `site` at its interface 1 and one `to-…` for each link; a trunk has, each way, as many
    Gbit/s as the lesser of its ends' degrees.
    """
    return "\n\n".join([*map("\n".join, (_switch(graph, node) for node in graph.nodes)), _aggregator(graph)]) + "\n"


def _switch(graph: Graph, node: str) -> Iterator[str]:
    yield f"[[network]]\nname = {json.dumps(node)}"
    yield '[[network.terminal]]\nname = "site"\ninterface = "1"'
    neighbours = [link.b if link.a == node else link.a for link in graph.links if node in (link.a, link.b)]
    for interface, neighbour in enumerate(neighbours, start=2):
        yield f'[[network.terminal]]\nname = {json.dumps(f"to-{neighbour}")}\ninterface = "{interface}"'


def _aggregator(graph: Graph) -> str:
    lines = [f'[[network]]\nname = "{AGGREGATOR}"']
    lines += [
        f"[[network.terminal]]\nname = {json.dumps(node)}\nmaps = {json.dumps(f'{node}:site')}" for node in graph.nodes
    ]
    degrees = graph.degrees
    for link in graph.links:
        mbps = 1000 * min(degrees[link.a], degrees[link.b])
        lines.append(
            f"[[network.trunk]]\nname = {json.dumps(f'{link.a}-{link.b}')}\n"
            f"start = {json.dumps(f'{link.a}:to-{link.b}')}\nend = {json.dumps(f'{link.b}:to-{link.a}')}\n"
            f"upstream = {mbps}\ndelay = {round(link.km * US_PER_KM) / 1000}\n"
            "labels = [{ start = 1, count = 300, end = 1 }]"
        )
    return "\n".join(lines)
