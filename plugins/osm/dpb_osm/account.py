"""What a connector is constructed with, read once: where the broker is, who asks, and what each end point is there.

Pure: contacts nobody. RO's current interface passes the WIM's record twice and its configuration; release 5
passes the WIM, the account (with `passwd`, and a configuration of its own) and a configuration, rows of a database
in which a configuration is YAML text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from dpb_osm.base import fault

DEFAULT_MBPS = 10.0
"""The rate of an end for which neither the port mapping nor the WIM's configuration has one, Mbit/s."""


class EndPoint(NamedTuple):
    """What the port mapping says of a service end point. Rates are Mbit/s, None where it says nothing."""

    terminal: str
    ingress: float | None = None
    egress: float | None = None


class Account(NamedTuple):
    """Where the broker is and what is known of it. Times are seconds; rates are Mbit/s."""

    url: str
    network: str | None = None
    user: str | None = None
    password: str | None = None
    token: str | None = None
    verify: bool | str = True
    timeout: float = 30.0
    patience: float = 15.0
    ingress: float | None = None
    egress: float | None = None
    end_points: Mapping[str, EndPoint] = {}


def read_account(wim: Any, wim_account: Any, config: Any) -> Account:
    """Return what the three arguments of RO say together. Raises RO's error (400) with the key that is wrong."""
    wim, account = read_table(wim, "wim"), read_table(wim_account, "wim_account")
    settings: dict[str, Any] = {}
    for source in (wim.get("config"), account.get("config"), config):
        settings.update(read_table(source, "config"))
    url, network = _address(wim.get("wim_url") or wim.get("url") or account.get("wim_url"))
    return Account(
        url=url,
        network=network or _text(settings, "network"),
        user=_text(account, "user") or _text(wim, "user"),
        password=_text(account, "password") or _text(account, "passwd") or _text(wim, "password"),
        token=_text(settings, "token"),
        verify=_verify(settings),
        timeout=_seconds(settings, "timeout", 30.0),
        patience=_seconds(settings, "patience", 15.0),
        ingress=_rate(settings, "config", "ingress", "bandwidth"),
        egress=_rate(settings, "config", "egress", "bandwidth"),
        end_points=_end_points(settings),
    )


def _address(value: Any) -> tuple[str, str | None]:
    """Divide a URL into the broker's and the network's name, which may stand at its end as the first broker had it."""
    if not isinstance(value, str) or not value.lower().startswith(("http://", "https://")):
        raise fault(f"wim_url: expected the broker's URL, such as http://broker:4753/network/wan, got {value!r}", 400)
    base, found, network = value.rstrip("/").partition("/network/")
    return (base, network) if found and network else (value.rstrip("/"), None)


def _end_points(settings: Mapping[str, Any]) -> dict[str, EndPoint]:
    key = "wim_port_mapping" if settings.get("wim_port_mapping") else "service_endpoint_mapping"
    found: dict[str, EndPoint] = {}
    for entry, path in _entries(settings.get(key), "wim_port_mapping"):
        name = entry.get("service_endpoint_id") or entry.get("wan_service_endpoint_id")
        if not name:  # RO asks for end points by name: this one is for others, and no reason to refuse them all
            continue
        path = f"{path}.service_mapping_info"
        info = read_table(entry.get("service_mapping_info") or entry.get("wan_service_mapping_info"), path)
        found[str(name)] = EndPoint(
            _text(info, "terminal") or _text(info, "terminal-name") or str(name),
            _rate(info, path, "ingress", "bandwidth"),
            _rate(info, path, "egress", "bandwidth"),
        )
    return found


def _entries(listed: Any, path: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The entries of a port mapping and where they stand: RO has one list, release 5 one for each datacentre."""
    if listed and (not isinstance(listed, Sequence) or isinstance(listed, str)):
        raise fault(f"{path}: expected a list of end points", 400)
    for i, entry in enumerate(listed or ()):
        here = f"{path}[{i}]"
        entry = read_table(entry, here)
        yield entry, here
        yield from _entries(entry.get("pop_wan_mappings"), f"{here}.pop_wan_mappings")


def _parsed(text: str, path: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        yaml = import_module("yaml")  # RO has it; nothing else here needs it
    except ImportError:
        raise fault(f"{path}: is no JSON, and PyYAML is not installed", 400) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise fault(f"{path}: is neither JSON nor YAML: {' '.join(str(error).split())}", 400) from None


def read_table(value: Any, path: str) -> Mapping[str, Any]:
    """Return a table, or the one that a text says in JSON or YAML; nothing is an empty one."""
    if isinstance(value, str):
        value = _parsed(value, path) if value.strip() else None
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise fault(f"{path}: expected a table, got {type(value).__name__}", 400)
    return value


def _text(table: Mapping[str, Any], key: str) -> str | None:
    value = table.get(key)
    return None if value is None or value == "" else str(value)


def _verify(settings: Mapping[str, Any]) -> bool | str:
    """How the broker's certificate is verified; it is never left unverified. RO itself writes `ca_cert`."""
    return _text(settings, "ca") or _text(settings, "ca_cert") or True


def _seconds(settings: Mapping[str, Any], key: str, default: float) -> float:
    value = settings.get(key, default)
    found = _number(value)
    if found is None or not 0 < found <= 3600:
        raise fault(f"config.{key}: expected seconds between 0 and 3600, got {value!r}", 400)
    return found


def _rate(table: Mapping[str, Any], path: str, *keys: str) -> float | None:
    for key in keys:
        if table.get(key) is not None:
            return rate(table[key], f"{path}.{key}")
    return None


def rate(value: Any, path: str) -> float:
    """Return a rate in Mbit/s that is no number but says one, too. Raises RO's error (400) at *path*."""
    found = _number(value)
    if found is None or not 0 <= found < float("inf"):
        raise fault(f"{path}: expected a rate in Mbit/s, got {value!r}", 400)
    return round(found, 3)


def _number(value: Any) -> float | None:
    """A number, or the one that a text says in plain digits; `float` itself takes more than anybody means."""
    if isinstance(value, str):
        return float(value) if re.fullmatch(r"[0-9]+([.][0-9]+)?", value) else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
