"""The store: the contract on top of a backend and its writer."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import URL, Table, make_url
from sqlalchemy.exc import ArgumentError

from dpb_framework.contracts.store import Batch, Contents, Item, NetworkRecord, Store
from dpb_framework.errors import ConfigInvalid, Stopped, StoreLocked
from dpb_framework.model import Event
from dpb_framework.reply import Reply
from dpb_store import decode
from dpb_store.backend import Backend, Query
from dpb_store.collector import paused
from dpb_store.sqlite import SqliteBackend, default_file
from dpb_store.statements import Row
from dpb_store.writer import Writer


class SqlStore(Store):
    """What the broker remembers, in SQLite or PostgreSQL.

    `url`: nothing for `dpb.sqlite` in the user's data folder, `sqlite:////absolute/path`, a file's path with its
    folder, or `postgresql://user@host/database`. `busy_timeout`: seconds to wait for a database that is locked or lost.
    """

    def __init__(self, url: str = "", busy_timeout: float = 5.0) -> None:
        if isinstance(busy_timeout, bool) or not isinstance(busy_timeout, int | float) or not 0 < busy_timeout <= 3600:
            raise ConfigInvalid("$.store.busy-timeout", f"expected seconds between 0 and 3600, got {busy_timeout!r}")
        self._url = _parse(url)
        self._busy_timeout = float(busy_timeout)
        self._opening = threading.Lock()
        self._backend: Backend | None = None
        self._writer: Writer | None = None
        self._uuid = ""

    def __str__(self) -> str:
        """Return the file, or the server and the database."""
        return self._backend.name if self._backend is not None else type(self).__name__

    def open(self) -> None:
        """Take the lease, make or upgrade the tables, start the writer. `StoreLocked`, `StoreInvalid`."""
        with self._opening:
            if self._backend is not None:
                raise StoreLocked(self._backend.name, "this process")
            backend = self._make_backend()
            backend.open()
            try:
                with backend.read() as query:
                    bounds = {network: (first, last) for network, first, last in query(backend.statements.bounds, ())}
                writer = Writer(backend, bounds)
                writer.start()
            except BaseException:
                backend.close()
                raise
            self._backend, self._writer, self._uuid = backend, writer, backend.uuid

    def close(self) -> None:
        """Finish what was submitted, close the database, give up the lease."""
        with self._opening:
            if self._writer is not None:
                self._writer.stop()
            if self._backend is not None:
                self._backend.close()
            # The writer stays: it answers what comes too late.
            self._backend = None

    @property
    def uuid(self) -> str:
        """The id that was made with the database; empty before the first opening."""
        return self._uuid

    def load(self) -> Contents:
        """Return all that is stored, from one snapshot. `StoreInvalid`."""
        backend = self.backend
        # Hundreds of thousands of records that all stay: looking for garbage among them takes longer than the rest.
        with paused(), backend.read() as query:
            tables = decode.contents(lambda table: _all(backend, query, table))
            last = {record.key[0]: 0 for record in tables[NetworkRecord]}
            last |= {network: number for network, _, number in query(backend.statements.bounds, ())}
        return Contents(tables, last)

    def submit(self, batch: Batch) -> Reply[None]:
        """Queue a batch; its reply settles in the writer's thread."""
        writer = self._writer
        return Reply.failed(Stopped("the store")) if writer is None else writer.submit(batch)

    def events(self, network: str, after: int, limit: int) -> Sequence[Event] | None:
        """Return the events above *after*, at most *limit*; None when the first of them was deleted."""
        backend = self.backend
        with backend.read() as query:
            ((first,),) = query(backend.statements.first_event, (network,))
            if first is not None and after + 1 < first and first > 1:
                return None
            return tuple(map(decode.event, query(backend.statements.events, (network, after, max(limit, 0), 0))))

    def items(self, namespace: str) -> Mapping[str, Item]:
        """Return the items of a namespace by name."""
        backend = self.backend
        with backend.read() as query:
            return {item.name: item for item in map(decode.item, query(backend.statements.items, (namespace,)))}

    @property
    def backend(self) -> Backend:
        """The open database, for this package's own tools. `Stopped` when the store is closed."""
        backend = self._backend
        if backend is None:
            raise Stopped("the store")
        return backend

    def _make_backend(self) -> Backend:
        if self._url is None:
            return SqliteBackend(default_file(), self._busy_timeout)
        if isinstance(self._url, Path):
            return SqliteBackend(self._url, self._busy_timeout)
        # Only who uses PostgreSQL needs its driver.
        from dpb_store.postgresql import PostgresBackend

        return PostgresBackend(self._url, self._busy_timeout)


def _all(backend: Backend, query: Query, table: Table) -> list[Row]:
    return query(backend.statements.all[table], ())


def _parse(url: object) -> URL | Path | None:
    """Return the URL of PostgreSQL, the path of an SQLite file, or None for the default. `ConfigInvalid`."""
    if not isinstance(url, str):
        raise ConfigInvalid("$.store.url", f"expected text, got {type(url).__name__}")
    if not url:
        return None
    if ":memory:" in url or "mode=memory" in url or url in ("sqlite://", "sqlite:///"):
        raise ConfigInvalid(
            "$.store.url", 'SQLite in memory would forget everything: say kind = "memory" if that is meant'
        )
    if "://" not in url:
        if "/" not in url:  # it may be a misspelt kind as well, and would become a new and empty store
            raise ConfigInvalid("$.store.url", f"expected sqlite:///{url}, ./{url} or postgresql://user@host/database")
        return Path(url).expanduser()
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The message would show the password.
        raise ConfigInvalid(
            "$.store.url", "no URL that is understood, such as postgresql://user@host/database"
        ) from None
    kind, _, driver = parsed.drivername.partition("+")
    if kind == "sqlite" and driver in ("", "pysqlite"):
        if parsed.host:
            raise ConfigInvalid("$.store.url", f"sqlite: takes three slashes before the file: sqlite:///{parsed.host}")
        if parsed.query:
            raise ConfigInvalid("$.store.url", "the URL of an SQLite file takes no parameters")
        return Path(parsed.database or "").expanduser()
    if kind in ("postgresql", "postgres") and driver in ("", "psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise ConfigInvalid("$.store.url", f"expected a sqlite: or postgresql: URL, got {parsed.drivername}:")
