"""A workload: a network, and requests in order. Read from JSON, plain or compressed with gzip."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from dpb_framework.errors import BadArgument, ConfigInvalid
from dpb_framework.model import check_name, kbps


@frozen
class Link:
    """A trunk between two nodes (by number): delay in int microseconds, capacity each way in kbit/s, so many labels."""

    a: int
    b: int
    delay: int
    capacity: int
    labels: int


@frozen
class Request:
    """Nodes to be joined (by number), each with `rate` kbit/s in and out."""

    nodes: tuple[int, ...]
    rate: int


@frozen
class Workload:
    """Nodes by name, the trunks between them, and what is asked for.

    `traffic` is how much pairs of nodes have to say to each other, where that is known: (from, to, weight).
    """

    nodes: tuple[str, ...]
    links: tuple[Link, ...]
    requests: tuple[Request, ...] = ()
    traffic: tuple[tuple[int, int, float], ...] = ()


def read(file: Path) -> Workload:
    """Read a workload; `ConfigInvalid` names the file, and the place of the first fault in its document."""
    try:
        content = file.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        document = json.loads(content)
    except OSError as error:  # also what gzip finds wrong
        raise ConfigInvalid(str(file), f"cannot be read: {error.strerror or error}") from error
    except (EOFError, zlib.error) as error:
        raise ConfigInvalid(str(file), f"cannot be decompressed: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigInvalid(str(file), f"is no JSON: {' '.join(str(error).split())}"[:300]) from error
    try:
        return parse(document)
    except ConfigInvalid as error:
        raise ConfigInvalid(f"{file}: {error.path}", error.problem) from error


def parse(document: object) -> Workload:
    """Check the plain data of a workload.

    `{"topology": {"nodes": [{"id"}], "trunks": [{"a", "b", "capacity": Mbit/s, "delay"?: ms, "labels"?: count}]},
    "requests": [{"terminals": [name, ...], "mbps"}]}`; other keys are for people. Terminal aN sits on node vN; the name
    of a node stands for its terminal, too. A delay is rounded to whole microseconds. Errors as `read`.
    """
    topology = _table(_table(document, "$"), "$", "topology")
    names: dict[str, int] = {}
    for number, node in enumerate(_list(topology, "$.topology", "nodes")):
        path = f"$.topology.nodes[{number}]"
        try:
            name = check_name(_value(_table(node, path), path, "id"), f"{path}.id")
        except BadArgument as error:
            raise ConfigInvalid(error.path, error.problem) from error
        if name in names:
            raise ConfigInvalid(f"{path}.id", f"there are two nodes {name!r}")
        names[name] = number
    links = tuple(
        _link(entry, f"$.topology.trunks[{number}]", names)
        for number, entry in enumerate(_list(topology, "$.topology", "trunks"))
    )
    terminals = names | {terminal_name(name): number for name, number in names.items()}
    requests = tuple(
        _request(entry, f"$.requests[{number}]", terminals)
        for number, entry in enumerate(_list(_table(document, "$"), "$", "requests"))
    )
    return Workload(tuple(names), links, requests)


def terminal_name(node: str) -> str:
    """Return the name of the terminal at a node: a7 at v7, and the node's own name where that has another form."""
    return f"a{node[1:]}" if node[:1] == "v" and node[1:].isdigit() else node


def _link(entry: object, path: str, names: Mapping[str, int]) -> Link:
    table = _table(entry, path)
    ends = []
    for key in ("a", "b"):
        name = _value(table, path, key)
        if not isinstance(name, str) or name not in names:
            raise ConfigInvalid(f"{path}.{key}", f"there is no node {name!r}"[:200])
        ends.append(names[name])
    if ends[0] == ends[1]:
        raise ConfigInvalid(f"{path}.b", "a trunk joins two nodes, not one with itself")
    delay = table.get("delay", 0)
    if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay <= 1e9 or math.isnan(delay):
        raise ConfigInvalid(f"{path}.delay", f"expected a delay in ms, got {delay!r}"[:200])
    labels = table.get("labels", 4094)
    if isinstance(labels, bool) or not isinstance(labels, int) or not 1 <= labels <= 4094:
        raise ConfigInvalid(f"{path}.labels", f"expected how many labels there are, 1 to 4094, got {labels!r}"[:200])
    return Link(ends[0], ends[1], round(delay * 1000), _rate(table, path, "capacity"), labels)


def _request(entry: object, path: str, terminals: Mapping[str, int]) -> Request:
    table = _table(entry, path)
    nodes = []
    for number, name in enumerate(_list(table, path, "terminals")):
        if not isinstance(name, str) or name not in terminals:
            raise ConfigInvalid(f"{path}.terminals[{number}]", f"there is no terminal {name!r}"[:200])
        nodes.append(terminals[name])
    if len(nodes) < 2:
        raise ConfigInvalid(f"{path}.terminals", f"a request joins at least two terminals, {len(nodes)} given")
    rate = _rate(table, path, "mbps")
    if not rate:
        raise ConfigInvalid(f"{path}.mbps", "a request has a rate above zero")
    return Request(tuple(nodes), rate)


def _rate(table: Mapping[str, Any], path: str, key: str) -> int:
    try:
        return kbps(_value(table, path, key), f"{path}.{key}")
    except BadArgument as error:
        raise ConfigInvalid(error.path, error.problem) from error


def _value(table: Mapping[str, Any], path: str, key: str) -> Any:
    if key not in table:
        raise ConfigInvalid(f"{path}.{key}", "is missing")
    return table[key]


def _table(value: object, path: str, key: str = "") -> Mapping[str, Any]:
    if key:
        assert isinstance(value, Mapping)
        return _table(_value(value, path, key), f"{path}.{key}")
    if not isinstance(value, Mapping):
        raise ConfigInvalid(path, f"expected an object, got {type(value).__name__}")
    return value


def _list(table: Mapping[str, Any], path: str, key: str) -> list[Any]:
    value = _value(table, path, key)
    if not isinstance(value, list):
        raise ConfigInvalid(f"{path}.{key}", f"expected an array, got {type(value).__name__}")
    return value
