"""The tables, normalised: what the migrations make, told once more for the statements.

Rates are kbit/s, delays microseconds, times Unix time in microseconds, as everywhere inside. JSON is kept as text, so
that a value comes back exactly as it was, whatever the database. Text is compared by code point.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

metadata = MetaData()


def _text() -> Text:
    return Text().with_variant(Text(collation="C"), "postgresql")


def _name(name: str) -> Column[str]:
    return Column(name, _text(), nullable=False)


def _optional(name: str) -> Column[str]:
    return Column(name, _text(), nullable=True)


def _int(name: str, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger(), nullable=nullable)


def _table(name: str, key: tuple[str, ...], owner: Table | None, *columns: Column[Any]) -> Table:
    constraints = []
    if owner is not None:
        owned = [column.name for column in owner.primary_key]
        constraints = [
            ForeignKeyConstraint(key[: len(owned)], [f"{owner.name}.{c}" for c in owned], ondelete="CASCADE")
        ]
    # Without row ids SQLite keeps a row where its key is, so that what belongs together lies together.
    return Table(name, metadata, *columns, PrimaryKeyConstraint(*key), *constraints, sqlite_with_rowid=False)


meta = _table("meta", ("name",), None, _name("name"), _name("value"))

network = _table("network", ("name",), None, _name("name"), _name("kind"), _int("last_service"))

terminal = _table(
    "terminal",
    ("network", "name"),
    network,
    _name("network"),
    _name("name"),
    _name("place"),
    _int("ingress_quota", nullable=True),
    _int("egress_quota", nullable=True),
)

terminal_label = _table(
    "terminal_label",
    ("network", "terminal", "position"),
    terminal,
    _name("network"),
    _name("terminal"),
    _int("position"),
    _int("first_label"),
    _int("last_label"),
)

trunk = _table(
    "trunk",
    ("network", "name"),
    network,
    _name("network"),
    _name("name"),
    _name("start_network"),
    _name("start_terminal"),
    _name("end_network"),
    _name("end_terminal"),
    _int("upstream"),
    _int("downstream"),
    _int("delay"),
    Column("commissioned", Boolean(), nullable=False),
)

trunk_label = _table(
    "trunk_label",
    ("network", "trunk", "position"),
    trunk,
    _name("network"),
    _name("trunk"),
    _int("position"),
    _int("start_label"),
    _int("label_count"),
    _int("end_label"),
)

service = _table(
    "service",
    ("network", "id"),
    network,
    _name("network"),
    _int("id"),
    _optional("handle"),
    _name("owner"),
    _name("desired"),
    _name("status"),
    Column("remembered", Boolean(), nullable=False),
    _name("change"),
    _optional("error"),
)

circuit = _table(
    "circuit",
    ("network", "service", "role", "position"),
    service,
    _name("network"),
    _int("service"),
    _name("role"),
    _int("position"),
    _name("terminal"),
    _int("asked_label", nullable=True),
    _int("label", nullable=True),
    _int("ingress"),
    _int("egress"),
)

segment_constraints = _table(
    "segment_constraints",
    ("network", "service", "role"),
    service,
    _name("network"),
    _int("service"),
    _name("role"),
    _name("constraints"),
)
"""Only of segments that have any."""

attempt = _table(
    "attempt",
    ("network", "service", "number"),
    service,
    _name("network"),
    _int("service"),
    _int("number"),
    _name("role"),
)

tunnel = _table(
    "tunnel",
    ("network", "service", "attempt", "position"),
    attempt,
    _name("network"),
    _int("service"),
    _int("attempt"),
    _int("position"),
    _name("trunk"),
    _int("label"),
    _int("upstream"),
    _int("downstream"),
)

subservice = _table(
    "subservice",
    ("network", "service", "attempt", "position"),
    attempt,
    _name("network"),
    _int("service"),
    _int("attempt"),
    _int("position"),
    _int("part"),
    _name("inferior"),
    _name("handle"),
    _name("segment"),
)

event = _table(
    "event",
    ("network", "number"),
    network,
    _name("network"),
    _int("number"),
    _int("at"),
    _name("kind"),
    _name("data"),
)

inferior_model = _table(
    "inferior_model",
    ("network", "inferior"),
    network,
    _name("network"),
    _name("inferior"),
    _name("model"),
)

item = _table(
    "item",
    ("namespace", "name"),
    None,
    _name("namespace"),
    _name("name"),
    _int("version"),
    _name("value"),
)
