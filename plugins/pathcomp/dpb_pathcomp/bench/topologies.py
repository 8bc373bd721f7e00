"""Where the networks of the bench come from: generated, from the package `topohub`, or from a file.

`ba:54`, `topohub:sndlib/germany50`, or a FILE. Behind the name there may be options, as in `ba:128,m=2,seed=1` or
`topohub:topozoo/TataNld,delay=equal,capacity=10000,labels=300`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any

from attrs import evolve, frozen

from dpb_framework.errors import BadArgument, ConfigInvalid
from dpb_framework.model import kbps
from dpb_framework.settings import check_keys, nearest
from dpb_pathcomp.bench.extra import needed
from dpb_pathcomp.bench.workload import Link, Workload, read

US_PER_KM = 5
"""How long light takes for a kilometre of fibre, in microseconds."""

_EQUAL = 1000
"""The delay of every trunk, in microseconds, where all are to be alike."""

_KNOWN = {"ba": ("m", "seed", "delay", "capacity", "labels"), "topohub": ("delay", "capacity", "labels")}


@frozen
class _Options:
    """What may stand behind the name of a topology."""

    given: Mapping[str, str]
    path: str

    def number(self, key: str, default: int, least: int, most: int) -> int:
        text = self.given.get(key)
        if text is None:
            return default
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise ConfigInvalid(f"{self.path}.{key}", f"expected a whole number, {least} to {most}, got {text!r}")
        return int(text)

    def equal_delays(self) -> bool:
        text = self.given.get("delay", "own")
        if text not in ("own", "equal"):
            raise ConfigInvalid(f"{self.path}.delay", f"{text!r} is not one of the choices; known: equal, own")
        return text == "equal"

    def capacity(self) -> int | None:
        """The capacity of every trunk, kbit/s; None: as many Gbit/s as the lesser of its ends has trunks."""
        text = self.given.get("capacity", "degree")
        if text == "degree":
            return None
        try:
            return kbps(text, f"{self.path}.capacity")
        except BadArgument as error:
            raise ConfigInvalid(error.path, f"{error.problem}; or 'degree'") from error


def topology(text: str) -> Workload:
    """Return the network that *text* names; its requests are those of a file, otherwise none.

    A trunk has as many Gbit/s as the lesser of its ends has trunks, and 300 labels, as in the paper's evaluation.
    Delays are random between 3 and 9 ms (`ba`) or 5 us for a kilometre (`topohub`); with `delay=equal` all are alike.
    `ConfigInvalid` names what is unknown; a file's errors are those of `read`.
    """
    kind, colon, rest = text.partition(":")
    if not colon or kind not in _KNOWN:
        if colon and "/" not in kind and not Path(text).exists():
            raise ConfigInvalid(text, f"unknown kind of topology {kind!r}{nearest(kind, [*_KNOWN, 'FILE'])}")
        return read(Path(text))
    name, *pairs = rest.split(",")
    given = dict(_pair(pair, text) for pair in pairs)
    check_keys(given, _KNOWN[kind], text)
    options = _Options(given, text)
    found = _generated(name, options) if kind == "ba" else _collected(name, options)
    labels, capacity = options.number("labels", 300, 1, 4094), options.capacity()
    around = degrees(found.links, len(found.nodes))
    links = tuple(
        evolve(
            link,
            delay=_EQUAL if options.equal_delays() else link.delay,
            capacity=capacity or min(around[link.a], around[link.b]) * 1_000_000,
            labels=labels,
        )
        for link in found.links
    )
    return evolve(found, links=links)


def degrees(links: Sequence[Link], nodes: int) -> list[int]:
    """Return how many trunks each node has."""
    count = [0] * nodes
    for link in links:
        count[link.a] += 1
        count[link.b] += 1
    return count


def scale_free(nodes: int, per_node: int, random: Random) -> list[tuple[int, int]]:
    """Return the links of a Barabasi-Albert graph: each new node joins *per_node* others, chosen by their degree."""
    found: list[tuple[int, int]] = []
    stubs = list(range(per_node))
    for node in range(per_node, nodes):
        chosen: set[int] = set()
        while len(chosen) < per_node:
            chosen.add(random.choice(stubs))
        found += [(node, other) for other in sorted(chosen)]
        stubs += [*chosen, *[node] * per_node]
    return found


def _pair(text: str, path: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigInvalid(path, f"expected KEY=VALUE after the comma, got {text!r}")
    return key, value


def _generated(name: str, options: _Options) -> Workload:
    nodes = _Options({"nodes": name}, options.path).number("nodes", 0, 2, 100_000)
    per_node = options.number("m", 2, 1, nodes - 1)
    random = Random(options.number("seed", 1, 0, 2**63))
    links = tuple(Link(a, b, random.randrange(3000, 9000), 0, 1) for a, b in scale_free(nodes, per_node, random))
    return Workload(tuple(f"v{node}" for node in range(nodes)), links)


def _collected(name: str, options: _Options) -> Workload:
    topohub = needed("topohub", options.path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file to the garbage collector
            found: dict[str, Any] = topohub.get(name)
    except KeyError as error:
        raise ConfigInvalid(options.path, f"topohub has no topology {name!r}{_hint(name)}") from error
    number = {node["id"]: place for place, node in enumerate(found["nodes"])}
    links = tuple(
        Link(number[edge["source"]], number[edge["target"]], round(edge["dist"] * US_PER_KM), 0, 1)
        for edge in found["edges"]
        if edge["source"] != edge["target"]
    )
    traffic = tuple(
        (number[start], number[end], float(weight))
        for start, ends in found["graph"].get("demands", {}).items()
        for end, weight in ends.items()
        if start != end and weight > 0
    )
    return Workload(tuple(f"v{node}" for node in range(len(number))), links, (), traffic)


def _hint(name: str) -> str:
    """Return the nearest of the several hundred names, or where they are listed."""
    data = Path(str(resources.files("topohub"))) / "data"
    hint = nearest(name, [str(file.relative_to(data).with_suffix("")) for file in data.rglob("*.json")])
    return hint if "did you mean" in hint else "; https://www.topohub.org lists them"
