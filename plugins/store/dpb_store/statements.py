"""The statements, made once by SQLAlchemy for a dialect, then given to the driver as text with rows of parameters.

A group of batches is a handful of statements on a few rows each: what SQLAlchemy does for each execution would cost
more than the database does.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar, TypeAlias, cast

from sqlalchemy import Dialect, Table, and_, bindparam, case, delete, func, literal_column, null, select, update
from sqlalchemy.sql import ClauseElement

from dpb_store import tables

Row: TypeAlias = tuple[Any, ...]
Work: TypeAlias = list[tuple[str, list[Row]]]
"""Statements in order, each with the rows of parameters that it is run for."""

UPSERTED = (
    tables.network,
    tables.terminal,
    tables.trunk,
    tables.service,
    tables.event,
    tables.inferior_model,
    tables.item,
)
INSERTED = (
    tables.terminal_label,
    tables.trunk_label,
    tables.circuit,
    tables.segment_constraints,
    tables.attempt,
    tables.tunnel,
    tables.subservice,
)
DROPPED: tuple[tuple[Table, tuple[str, ...]], ...] = (
    (tables.network, ("name",)),
    (tables.terminal, ("network", "name")),
    (tables.terminal_label, ("network", "terminal")),
    (tables.trunk, ("network", "name")),
    (tables.trunk_label, ("network", "trunk")),
    (tables.service, ("network", "id")),
    (tables.circuit, ("network", "service", "role")),
    (tables.segment_constraints, ("network", "service", "role")),
    (tables.attempt, ("network", "service", "number")),
    (tables.event, ("network", "number")),
    (tables.inferior_model, ("network", "inferior")),
    (tables.item, ("namespace", "name")),
)
LEASE = "lease"


class Statements:
    """SQL text by table, in the dialect of one database; parameters are positional. Nothing of it changes."""

    _made: ClassVar[dict[tuple[type[Dialect], str], Statements]] = {}

    @classmethod
    def of(cls, dialect: Dialect) -> Statements:
        """Return those in a dialect, made once: to make them takes longer than all else that opens a store."""
        kind = (type(dialect), dialect.paramstyle)
        if kind not in cls._made:
            cls._made[kind] = cls(dialect)
        return cls._made[kind]

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        inserts = {table: self._text(_insert(dialect, table), table.columns.keys()) for table in INSERTED}
        upserts = {table: self._text(_upsert(dialect, table), table.columns.keys()) for table in UPSERTED}
        self.put: dict[Table, str] = inserts | upserts
        """A row of all columns in their order, made (or replaced where nothing hangs on the row's identity)."""
        self.drop: dict[Table, str] = {
            table: self._text(delete(table).where(and_(*(table.c[c] == bindparam(c) for c in key))), key)
            for table, key in DROPPED
        }
        """A key, or the key of the owner for labels and circuits."""
        event = tables.event.c
        self.prune = self._text(
            delete(tables.event).where(event.network == bindparam("network"), event.number <= bindparam("number")),
            ("network", "number"),
        )
        meta = tables.meta
        # One statement that both proves and renews the lease: a lease that is not ours makes the value null, which
        # the table refuses, and with it the transaction.
        self.renew = self._text(
            update(meta)
            .where(meta.c.name == literal_column(f"'{LEASE}'"))
            .values(value=case((meta.c.value == bindparam("old"), bindparam("new")), else_=null())),
            ("old", "new"),
        )
        self.identify = self._text(
            update(meta).where(meta.c.name == literal_column("'uuid'")).values(value=bindparam("value")), ("value",)
        )
        self.lease = self._text(select(meta.c.value).where(meta.c.name == literal_column(f"'{LEASE}'")), ())
        self.all: dict[Table, str] = {
            table: self._text(select(*table.columns).order_by(*table.primary_key), ())
            for table in tables.metadata.sorted_tables
        }
        """All rows in the order of their keys."""
        self.bounds = self._text(
            select(event.network, func.min(event.number), func.max(event.number)).group_by(event.network), ()
        )
        """network, first and last number of its events."""
        self.first_event = self._text(
            select(func.min(event.number)).where(event.network == bindparam("network")), ("network",)
        )
        self.events = self._text(
            select(event.network, event.number, event.kind, event.data)
            .where(event.network == bindparam("network"), event.number > bindparam("after"))
            .order_by(event.number)
            .limit(bindparam("most"))
            .offset(bindparam("skip")),
            ("network", "after", "most", "skip"),
        )
        item = tables.item
        self.items = self._text(
            select(*item.columns).where(item.c.namespace == bindparam("namespace")).order_by(item.c.name),
            ("namespace",),
        )
        self.version = self._text(
            select(item.c.version).where(item.c.namespace == bindparam("namespace"), item.c.name == bindparam("name")),
            ("namespace", "name"),
        )

    def _text(self, statement: ClauseElement, parameters: Any) -> str:
        compiled = statement.compile(dialect=self._dialect, compile_kwargs={"render_postcompile": True})
        order = cast(Any, compiled).positiontup or []
        if list(order) != list(parameters):
            raise AssertionError(f"parameters of {compiled} come as {order}, not as {parameters}")
        return str(compiled)


def _insert(dialect: Dialect, table: Table) -> Any:
    # Each dialect has an insert of its own; those of the others need not be loaded to serve this one.
    make: Any = import_module(f"sqlalchemy.dialects.{dialect.name}").insert
    return make(table).values({column.name: bindparam(column.name) for column in table.columns})


def _upsert(dialect: Dialect, table: Table) -> Any:
    statement = _insert(dialect, table)
    keys = set(table.primary_key.columns.keys())
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key),
        # Without keys() it would give the columns themselves.
        set_={name: statement.excluded[name] for name in table.columns.keys() if name not in keys},  # noqa: SIM118
    )
