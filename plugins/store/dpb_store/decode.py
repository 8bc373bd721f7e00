"""From rows to records. Rows come in the order of their keys; so do the records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Table

from dpb_framework.contracts.store import (
    AttemptRecord,
    Item,
    ModelRecord,
    NetworkRecord,
    Record,
    Role,
    SegmentRecord,
    ServiceRecord,
    Subservice,
    TerminalRecord,
    TrunkRecord,
)
from dpb_framework.errors import ConfigInvalid
from dpb_framework.model import (
    FREE,
    Change,
    Circuit,
    Constraints,
    Desired,
    End,
    Event,
    EventKind,
    Fault,
    LabelRange,
    NetworkModel,
    Segment,
    Status,
    Terminal,
    TrafficFlow,
    Trunk,
    Tunnel,
)
from dpb_framework.serialise import build
from dpb_store import tables
from dpb_store.statements import Row

_T = TypeVar("_T")

Rows: TypeAlias = Callable[[Table], Iterable[Row]]
"""Gives all rows of a table."""

# The scanner alone: `json.loads` takes longer to look for white space, of which we write none, than to read.
# There, but not in the types of the library.
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
# Services ask for the same few rates over and over; a value may as well be shared.
_flow = lru_cache(maxsize=65536)(TrafficFlow)
_owner2 = itemgetter(0, 1)
_owner3 = itemgetter(0, 1, 2)

# Looking a value up is several times as quick as calling the enumeration, and there are hundreds of thousands.
_ROLES: Mapping[str, Role] = {role.value: role for role in Role}
_DESIRED: Mapping[str, Desired] = {desired.value: desired for desired in Desired}
_STATUS: Mapping[str, Status] = {status.value: status for status in Status}
_CHANGE: Mapping[str, Change] = {change.value: change for change in Change}
_KINDS: Mapping[str, EventKind] = {kind.value: kind for kind in EventKind}


def _load(text: str) -> Any:
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError(f"{text[:50]!r} is no JSON") from None
    if end != len(text):
        raise ValueError(f"{text[:50]!r} is no JSON of ours")
    return value


def _built(kind: type[_T], text: str) -> _T:
    try:
        return build(kind, _load(text))
    except ConfigInvalid as error:
        raise ValueError(f"a {kind.__name__} of another form: {error}") from None


def contents(rows: Rows) -> dict[type[Record], list[Record]]:
    """Return every table but the events. `ValueError`, `KeyError` or `TypeError` for what is no record of ours."""
    return {
        NetworkRecord: [NetworkRecord(*row) for row in rows(tables.network)],
        TerminalRecord: list(_terminals(rows)),
        TrunkRecord: list(_trunks(rows)),
        ServiceRecord: [_service(row) for row in rows(tables.service)],
        SegmentRecord: list(_segments(rows)),
        AttemptRecord: list(_attempts(rows)),
        ModelRecord: [
            ModelRecord(network, inferior, _built(NetworkModel, text))
            for network, inferior, text in rows(tables.inferior_model)
        ],
        Item: [item(row) for row in rows(tables.item)],
    }


def _terminals(rows: Rows) -> Iterable[Record]:
    labels = {
        owner: tuple((row[3], row[4]) for row in group)
        for owner, group in groupby(rows(tables.terminal_label), _owner2)
    }
    for network, name, place, ingress, egress in rows(tables.terminal):
        yield TerminalRecord(network, Terminal(name, place, ingress, egress, labels.get((network, name), ())))


def _trunks(rows: Rows) -> Iterable[Record]:
    labels = {
        owner: tuple(LabelRange(row[3], row[4], row[5]) for row in group)
        for owner, group in groupby(rows(tables.trunk_label), _owner2)
    }
    for network, name, n1, t1, n2, t2, upstream, downstream, delay, commissioned in rows(tables.trunk):
        ranges = labels.get((network, name), ())
        trunk = Trunk(name, (n1, t1), (n2, t2), upstream, downstream, delay, ranges, bool(commissioned))
        yield TrunkRecord(network, trunk)


def _service(row: Row) -> ServiceRecord:
    network, number, handle, owner, desired, status, remembered, change, error = row
    return ServiceRecord(
        network,
        number,
        handle,
        owner,
        _DESIRED[desired],
        _STATUS[status],
        bool(remembered),
        _CHANGE[change],
        None if error is None else _built(Fault, error),
    )


def _segments(rows: Rows) -> Iterable[Record]:
    constraints = {
        (network, service, role): _built(Constraints, text)
        for network, service, role, text in rows(tables.segment_constraints)
    }
    for owner, group in groupby(rows(tables.circuit), _owner3):
        network, service, role = owner
        asked = []
        chosen = []
        for _, _, _, _, terminal, asked_label, label, ingress, egress in group:
            end = End(Circuit(terminal, label), _flow(ingress, egress))
            chosen.append(end)
            asked.append(end if asked_label == label else End(Circuit(terminal, asked_label), end.flow))
        way = constraints.get(owner, FREE)
        yield SegmentRecord(network, service, _ROLES[role], Segment(asked, way), Segment(chosen, way))


def _attempts(rows: Rows) -> Iterable[Record]:
    tunnels: dict[Row, list[Tunnel]] = {}
    for network, service, attempt, _, trunk, label, upstream, downstream in rows(tables.tunnel):
        key = (network, service, attempt)
        tunnel = Tunnel(trunk, label, upstream, downstream)
        if key in tunnels:
            tunnels[key].append(tunnel)
        else:
            tunnels[key] = [tunnel]
    parts: dict[Row, list[Subservice]] = {}
    for network, service, attempt, _, part, inferior, handle, text in rows(tables.subservice):
        key = (network, service, attempt)
        subservice = Subservice(part, inferior, handle, segment(text))
        if key in parts:
            parts[key].append(subservice)
        else:
            parts[key] = [subservice]
    for network, service, number, role in rows(tables.attempt):
        key = (network, service, number)
        yield AttemptRecord(network, service, number, _ROLES[role], tunnels.get(key, ()), parts.get(key, ()))


def event(row: Row) -> Event:
    """Return the event of (network, number, kind, data)."""
    network, number, kind, data = row
    return Event(network, number, _KINDS[kind], _load(data))


def item(row: Row) -> Item:
    """Return the item of (namespace, name, version, value)."""
    namespace, name, version, value = row
    return Item(namespace, name, _load(value), version)


def segment(text: str) -> Segment:
    """Read what `encode.segment_json` wrote."""
    return Segment(
        [End(Circuit(terminal, label), _flow(ingress, egress)) for terminal, label, ingress, egress in _load(text)]
    )
