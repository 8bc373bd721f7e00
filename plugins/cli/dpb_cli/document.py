"""The topology file: what should be there, each fault with its path."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import field, frozen

from dpb_cli.amounts import merged_labels, merged_trunk_labels, milliseconds, parse_quota, rate
from dpb_framework.errors import BadArgument, ConfigInvalid
from dpb_framework.model import check_name
from dpb_framework.settings import check_keys, check_type

TERMINAL, TRUNK = "terminal", "trunk"


@frozen
class Wanted:
    """A terminal or a trunk as the file wants it.

    `fields` are REST's, in their one form, without the name, and only those that the file says. A trunk without a
    name has "". `path` is where it stands in the file.
    """

    network: str
    kind: str
    name: str
    fields: Mapping[str, Any] = field(factory=dict)
    path: str = field(default="$", eq=False)


@frozen
class Document:
    """A topology file: the networks that it names with their places in it, and what they should have."""

    networks: Mapping[str, str]
    wanted: tuple[Wanted, ...]


def load(file: Path) -> Document:
    """Read the topology file. `ConfigInvalid` names the file, or the place in it."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigInvalid(str(file), f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(str(file), f"is no UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(str(file), f"is no TOML: {error}") from error
    except RecursionError as error:
        raise ConfigInvalid(str(file), "is no topology: nested too deeply") from error
    return parse(data)


def parse(data: Mapping[str, Any]) -> Document:
    """Check the plain data of a topology file. `ConfigInvalid`."""
    try:
        return _parse(data)
    except BadArgument as error:
        raise ConfigInvalid(error.path, error.problem) from error


def _parse(data: Mapping[str, Any]) -> Document:
    check_keys(data, ("network",), "$")
    networks: dict[str, str] = {}
    wanted: list[Wanted] = []
    for table, path in _tables(data, "network", "$"):
        check_keys(table, ("name", TERMINAL, TRUNK), path)
        name = _name(table, path, networks)
        networks[name] = path
        seen: dict[str, str] = {}
        for entry, where in _tables(table, TERMINAL, path):
            terminal = _terminal(entry, where, name, seen)
            seen[terminal.name] = where
            wanted.append(terminal)
        trunks: dict[str, str] = {}
        for entry, where in _tables(table, TRUNK, path):
            trunk = _trunk(entry, where, name, trunks)
            key = trunk.name or f"{trunk.fields['start']} {trunk.fields['end']}"
            if key in trunks:
                raise ConfigInvalid(where, f"another trunk with these ends and no name is at {trunks[key]}")
            trunks[key] = where
            wanted.append(trunk)
    return Document(networks, tuple(wanted))


_PLACES = ("interface", "maps")


def _terminal(table: Mapping[str, Any], path: str, network: str, seen: Mapping[str, str]) -> Wanted:
    check_keys(table, ("name", *_PLACES, "ingress-quota", "egress-quota", "labels"), path)
    name = _name(table, path, seen)
    places = [key for key in _PLACES if key in table]
    if len(places) != 1:
        raise ConfigInvalid(path, "a terminal has either an interface (in a switch) or maps (in an aggregator)")
    (key,) = places
    fields: dict[str, Any] = {key: _end(table, key, path) if key == "maps" else _text(table, key, path)}
    for quota in ("ingress-quota", "egress-quota"):
        if quota in table:
            fields[quota] = parse_quota(table[quota], f"{path}.{quota}")
    if "labels" in table:
        where = f"{path}.labels"
        check_type(table["labels"], list[list[int]], where)
        for i, one in enumerate(table["labels"]):
            if len(one) != 2:
                raise ConfigInvalid(f"{where}[{i}]", "expected the first and the last label, such as [1, 4094]")
        fields["labels"] = merged_labels(table["labels"], where)
    return Wanted(network, TERMINAL, name, fields, path)


_TRUNK_KEYS = ("name", "start", "end", "upstream", "downstream", "delay", "labels", "commissioned")


def _trunk(table: Mapping[str, Any], path: str, network: str, seen: Collection[str]) -> Wanted:
    check_keys(table, _TRUNK_KEYS, path)
    name = ""
    if "name" in table:
        name = _name(table, path, {key: key for key in seen})
    fields: dict[str, Any] = {side: _end(table, side, path) for side in ("start", "end")}
    if fields["start"] == fields["end"]:
        raise ConfigInvalid(f"{path}.end", "a trunk joins two terminals")
    if "upstream" not in table:
        raise ConfigInvalid(f"{path}.upstream", "this is needed: the capacity from start to end, Mbit/s")
    fields["upstream"] = rate(table["upstream"], f"{path}.upstream")
    fields["downstream"] = rate(table.get("downstream", table["upstream"]), f"{path}.downstream")
    if "delay" in table:
        fields["delay"] = milliseconds(table["delay"], f"{path}.delay")
    if "labels" in table:
        fields["labels"] = _ranges(table["labels"], f"{path}.labels")
    if "commissioned" in table:
        check_type(table["commissioned"], bool, f"{path}.commissioned")
        fields["commissioned"] = table["commissioned"]
    return Wanted(network, TRUNK, name, fields, path)


def _ranges(value: Any, path: str) -> list[dict[str, int]]:
    check_type(value, list[dict[str, int]], path)
    ranges = []
    for i, one in enumerate(value):
        where = f"{path}[{i}]"
        check_keys(one, ("start", "count", "end"), where)
        for key in ("start", "count"):
            if key not in one:
                raise ConfigInvalid(f"{where}.{key}", "this is needed")
        # Alone first, so that a fault has its place; joined only afterwards.
        ranges += merged_trunk_labels([one], where)
    return merged_trunk_labels(ranges, path)


def _tables(table: Mapping[str, Any], key: str, path: str) -> list[tuple[Mapping[str, Any], str]]:
    entries = table.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigInvalid(f"{path}.{key}", "expected a list of tables, in double brackets")
    return [(entry, f"{path}.{key}[{i}]") for i, entry in enumerate(entries)]


def _name(table: Mapping[str, Any], path: str, seen: Mapping[str, str]) -> str:
    if "name" not in table:
        raise ConfigInvalid(f"{path}.name", "a name is needed")
    name = check_name(table["name"], f"{path}.name")
    if name in seen:
        raise ConfigInvalid(f"{path}.name", f"{name!r} is there twice")
    return name


def _text(table: Mapping[str, Any], key: str, path: str) -> str:
    check_type(table[key], str, f"{path}.{key}")
    return str(table[key])


def _end(table: Mapping[str, Any], key: str, path: str) -> str:
    if key not in table:
        raise ConfigInvalid(f"{path}.{key}", "this is needed: inferior:terminal")
    text = _text(table, key, path)
    network, colon, terminal = text.partition(":")
    if not colon:
        raise ConfigInvalid(f"{path}.{key}", f"expected inferior:terminal, got {text!r}"[:200])
    check_name(network, f"{path}.{key}")
    check_name(terminal, f"{path}.{key}")
    return text
