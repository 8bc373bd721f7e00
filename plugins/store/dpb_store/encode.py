"""From records to rows. Pure: what a group of batches comes to, as statements with their parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Table

from dpb_framework.contracts.store import (
    AttemptRecord,
    Batch,
    EventRecord,
    Item,
    Key,
    ModelRecord,
    NetworkRecord,
    Record,
    Role,
    SegmentRecord,
    ServiceRecord,
    TerminalRecord,
    TrunkRecord,
)
from dpb_framework.errors import BadArgument
from dpb_framework.model import Segment
from dpb_framework.serialise import plain
from dpb_store import tables
from dpb_store.statements import Row, Statements, Work


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no plain data")


_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain).encode


class Group:
    """Batches merged into one: what is dropped first, then what is put; the last word on a key counts."""

    def __init__(self) -> None:
        self.drops: dict[type[Record], dict[Key, None]] = {}
        self.puts: dict[type[Record], dict[Key, Record]] = {}

    def add(self, batch: Batch) -> None:
        """Let *batch* take effect after those before."""
        for table, key in batch.drops:
            self.drops.setdefault(table, {})[key] = None
            self.puts.get(table, {}).pop(key, None)
            # What it takes with it is not there any more either; what is in the database goes by its foreign keys.
            if table is ServiceRecord:
                self._forget(key, (SegmentRecord, AttemptRecord))
            elif table is NetworkRecord:
                self._forget(key, [owned for owned in self.puts if owned is not Item])
        puts = self.puts
        for record in batch.puts:
            kind = type(record)
            rows = puts.get(kind)
            if rows is None:
                rows = puts[kind] = {}
            rows[record.key] = record

    def version(self, key: tuple[str, str]) -> int | None:
        """The version that an item has after these batches; None when they do not tell."""
        record = self.puts.get(Item, {}).get(key)
        if record is not None:
            return record.version  # type: ignore[union-attr]  # a record of the table of items
        return 0 if key in self.drops.get(Item, ()) else None

    def _forget(self, owner: Key, owned: Iterable[type[Record]]) -> None:
        for table in owned:
            rows = self.puts.get(table)
            if rows:
                for key in [key for key in rows if key[: len(owner)] == owner]:
                    del rows[key]


_DROPPED: dict[type[Record], tuple[Table, ...]] = {
    NetworkRecord: (tables.network,),
    TerminalRecord: (tables.terminal,),
    TrunkRecord: (tables.trunk,),
    ServiceRecord: (tables.service,),
    SegmentRecord: (tables.circuit, tables.segment_constraints),
    AttemptRecord: (tables.attempt,),
    EventRecord: (tables.event,),
    ModelRecord: (tables.inferior_model,),
    Item: (tables.item,),
}


# Below, `_value_` of a word is its `value`, for which Python 3.11 would call a function, some ten times a define.


def work(group: Group, statements: Statements) -> Work:
    """Return what the database has to do for *group*, in an order that its foreign keys allow.

    `ValueError` or `TypeError` for a record that cannot be kept; the text says which and why.
    """
    result: Work = []
    for kind, keys in group.drops.items():
        rows = [_plain_key(key) for key in keys]
        result += [(statements.drop[table], rows) for table in _DROPPED[kind]]
    for table, encode in _ENCODERS:
        records = group.puts.get(table)
        if records:
            try:
                encode(records, statements, result)
            except (ValueError, TypeError, AttributeError, RecursionError, BadArgument) as error:
                raise ValueError(f"a {table.__name__} cannot be kept: {error}") from error
    return result


def _plain_key(key: Key) -> Key:
    return tuple(part._value_ if isinstance(part, Role) else part for part in key)


def _networks(records: dict[Key, Any], statements: Statements, work: Work) -> None:
    work.append((statements.put[tables.network], [(r.name, r.kind, r.last_service) for r in records.values()]))


def _terminals(records: dict[Key, Any], statements: Statements, work: Work) -> None:
    rows: list[Row] = []
    labels: list[Row] = []
    for record in records.values():
        t = record.terminal
        rows.append((record.network, t.name, t.place, t.ingress_quota, t.egress_quota))
        labels += ((record.network, t.name, i, first, last) for i, (first, last) in enumerate(t.labels))
    _replace(work, statements, tables.terminal, rows, tables.terminal_label, list(records), labels)


def _trunks(records: dict[Key, Any], statements: Statements, work: Work) -> None:
    rows: list[Row] = []
    labels: list[Row] = []
    for r in records.values():
        t = r.trunk
        rows.append((r.network, t.name, *t.start, *t.end, t.upstream, t.downstream, t.delay, t.commissioned))
        labels += ((r.network, t.name, i, x.start, x.count, x.end) for i, x in enumerate(t.labels))
    _replace(work, statements, tables.trunk, rows, tables.trunk_label, list(records), labels)


def _replace(
    work: Work,
    statements: Statements,
    table: Table,
    rows: list[Row],
    parts: Table,
    owners: list[Key],
    part_rows: list[Row],
) -> None:
    """Upsert rows, and put other parts in the place of those that they had."""
    work.append((statements.put[table], rows))
    work.append((statements.drop[parts], owners))
    if part_rows:
        work.append((statements.put[parts], part_rows))


def _services(records: dict[Key, Any], statements: Statements, work: Work) -> None:
    rows = [
        (
            r.network,
            r.id,
            r.handle,
            r.owner,
            r.desired._value_,
            r.status._value_,
            r.remembered,
            r.change._value_,
            None if r.error is None else _json(plain(r.error)),
        )
        for r in records.values()
    ]
    work.append((statements.put[tables.service], rows))


def _segments(records: dict[Key, Any], statements: Statements, work: Work) -> None:
    owners: list[Row] = []
    rows: list[Row] = []
    constraints: list[Row] = []
    for r in records.values():
        network, service, role = r.network, r.service, r.role._value_
        owners.append((network, service, role))
        asked, chosen = r.asked.ends, r.chosen.ends
        if r.asked.constraints != r.chosen.constraints:
            raise ValueError(f"what is chosen for service {service} has other constraints than what was asked")
        if r.asked.constraints:
            constraints.append((network, service, role, _json(plain(r.asked.constraints))))
        if len(asked) != len(chosen) or not asked:
            raise ValueError(f"service {service} asked for {len(asked)} circuits, {len(chosen)} are chosen")
        for i, (a, c) in enumerate(zip(asked, chosen, strict=True)):
            circuit, flow = c.circuit, c.flow
            if a is not c and (a.circuit.terminal != circuit.terminal or a.flow != flow):
                raise ValueError(
                    f"what is chosen for service {service} differs from what was asked in more than labels"
                )
            rows.append(
                (network, service, role, i, circuit.terminal, a.circuit.label, circuit.label, flow.ingress, flow.egress)
            )
    work.append((statements.drop[tables.circuit], owners))
    work.append((statements.put[tables.circuit], rows))
    work.append((statements.drop[tables.segment_constraints], owners))
    if constraints:
        work.append((statements.put[tables.segment_constraints], constraints))


def _attempts(records: dict[Key, Any], statements: Statements, work: Work) -> None:
    attempts: list[Row] = []
    tunnels: list[Row] = []
    parts: list[Row] = []
    for r in records.values():
        network, service, number = r.network, r.service, r.number
        attempts.append((network, service, number, r.role._value_))
        for i, t in enumerate(r.tunnels):
            tunnels.append((network, service, number, i, t.trunk, t.label, t.upstream, t.downstream))
        for i, p in enumerate(r.parts):
            parts.append((network, service, number, i, p.part, p.inferior, p.handle, segment_json(p.segment)))
    work.append((statements.drop[tables.attempt], list(records)))
    work.append((statements.put[tables.attempt], attempts))
    if tunnels:
        work.append((statements.put[tables.tunnel], tunnels))
    if parts:
        work.append((statements.put[tables.subservice], parts))


def _events(records: dict[Key, Any], statements: Statements, work: Work) -> None:
    rows = [(e.network, e.number, r.at, e.kind._value_, _json(e.data)) for r in records.values() for e in (r.event,)]
    work.append((statements.put[tables.event], rows))


def _models(records: dict[Key, Any], statements: Statements, work: Work) -> None:
    rows = [(r.network, r.inferior, _json(plain(r.model))) for r in records.values()]
    work.append((statements.put[tables.inferior_model], rows))


def _items(records: dict[Key, Any], statements: Statements, work: Work) -> None:
    rows = [(r.namespace, r.name, r.version, _json(r.value)) for r in records.values()]
    work.append((statements.put[tables.item], rows))


# Owners before what is theirs.
_ENCODERS: tuple[tuple[type[Record], Callable[[dict[Key, Any], Statements, Work], None]], ...] = (
    (NetworkRecord, _networks),
    (TerminalRecord, _terminals),
    (TrunkRecord, _trunks),
    (ServiceRecord, _services),
    (SegmentRecord, _segments),
    (AttemptRecord, _attempts),
    (EventRecord, _events),
    (ModelRecord, _models),
    (Item, _items),
)


def segment_json(segment: Segment) -> str:
    """Return a subservice's segment as text, [terminal, label, ingress, egress] for each end; it has no constraints.

    `decode.segment` reads it. Seven to a service, in every admission: not by the converter, which is for what is rare.
    """
    if segment.constraints:
        raise ValueError("the segment of a subservice has constraints")
    return _json([[e.circuit.terminal, e.circuit.label, e.flow.ingress, e.flow.egress] for e in segment.ends])
