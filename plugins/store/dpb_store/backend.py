"""What the store needs of a database: a lease, one connection that writes, one that reads."""

from __future__ import annotations

import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from dpb_framework.errors import StoreInvalid
from dpb_store import tables
from dpb_store.migrate import VersionUnknown, migrate
from dpb_store.statements import LEASE, Row, Statements, Work

Query: TypeAlias = Callable[[str, Row], list[Row]]
"""Runs one statement and returns its rows."""


class Lost(Exception):
    """Nothing can be written now, whatever it is; the text says why and what to do."""


class Backend(ABC):
    """A database under lease. All but `read` belongs to one thread at a time.

    The row `lease` of the table `meta` holds a token, made at each opening, and the number of the last transaction.
    Each transaction proves and renews it, so that nothing is ever written by one who has lost the lease to another.
    """

    name: str
    """How messages call the store; no password in it."""
    statements: Statements
    uuid: str = ""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine
        self.statements = Statements.of(engine.dialect)
        self._token = ""
        self._number = 0
        self._writer: Connection | None = None
        self._reader: Connection | None = None
        self._reading = threading.Lock()

    # -- what databases differ in ---------------------------------------------------------------

    @abstractmethod
    def lock(self) -> None:
        """Take what is locked outside the database, if anything. `StoreLocked`, `StoreInvalid`."""

    @abstractmethod
    def unlock(self) -> None:
        """Give it up. Repeatable."""

    @abstractmethod
    def lease(self, connection: Connection) -> None:
        """Take what is locked inside the database, on the connection that writes. `StoreLocked`, `StoreInvalid`."""

    @abstractmethod
    def adopt(self, connection: Connection) -> None:
        """Make the connection ready for `execute` and `read`: from now on no statement goes through SQLAlchemy."""

    @abstractmethod
    def execute(self, work: Work) -> None:
        """Run *work* in one durable transaction on the writing connection; the driver's errors come through."""

    @abstractmethod
    def run(self, connection: Connection, statement: str, parameters: Row) -> list[Row]:
        """Run one reading statement and return its rows."""

    @abstractmethod
    @contextmanager
    def snapshot(self, connection: Connection) -> Iterator[None]:
        """All statements within see the same state."""

    @abstractmethod
    def alive(self, connection: Connection) -> bool:
        """Whether a reading connection can still be used."""

    @abstractmethod
    def problem(self, error: BaseException) -> str:
        """Say in one line what an error of the driver or of SQLAlchemy means."""

    # -- what they share -------------------------------------------------------------------------

    def open(self) -> None:
        """Take the lease, bring the tables up to date. `StoreLocked`, `StoreInvalid`; then all is as before."""
        self.lock()
        try:
            self._token, self._number = uuid.uuid4().hex, 0
            self._writer = self.connect(first=True)
            self._reader = self.engine.connect()
            self.adopt(self._reader)
        except (SQLAlchemyError, self.driver_error, VersionUnknown) as error:
            self.close()
            raise StoreInvalid(self.name, self.problem(error)) from error
        except BaseException:
            self.close()
            raise

    def connect(self, first: bool) -> Connection:
        """Return a new writing connection that has the lease; at the *first* one the tables are brought up to date."""
        connection = self.engine.connect()
        try:
            with connection.begin():
                self.lease(connection)
                if first:
                    migrate(connection)
                    self._claim(connection)
            self.adopt(connection)
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        return connection

    def _claim(self, connection: Connection) -> None:
        """Write our token, and the store's id if it has none yet."""
        meta = tables.meta
        rows = {row.name: row.value for row in connection.execute(select(meta))}
        for name, value in (("uuid", rows.get("uuid") or str(uuid.uuid4())), (LEASE, self._lease_value(0))):
            if name not in rows:
                connection.execute(insert(meta).values(name=name, value=value))
            elif rows[name] != value:
                connection.execute(update(meta).where(meta.c.name == name).values(value=value))
            if name == "uuid":
                self.uuid = value

    def _lease_value(self, number: int) -> str:
        return f"{self._token}:{number}"

    def close(self) -> None:
        """Close the connections and give up the lease. Repeatable."""
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None
        self.engine.dispose()
        self.unlock()

    def transact(self, work: Work) -> None:
        """Do *work* in one transaction and return when it is durable; otherwise nothing of it is stored.

        `Lost` when that is not the work's fault; else an error of the driver.
        """
        renewal = (self._lease_value(self._number), self._lease_value(self._number + 1))
        try:
            self.execute([(self.statements.renew, [renewal]), *work])
        except Exception:
            self._see_to_lease()
            raise
        self._number += 1

    def rename(self, identity: str, work: Work) -> None:
        """Do *work* and make this the store of the id *identity*, in one transaction."""
        self.transact([*work, (self.statements.identify, [(identity,)])])
        self.uuid = identity

    def _see_to_lease(self) -> None:
        """After a failure: raise `Lost` when its cause is that the lease is another's."""
        try:
            number = self.last_transaction()
        except self.driver_error:
            return  # the first error tells more
        if number is None:
            raise Lost(self.gone)

    def last_transaction(self) -> int | None:
        """The number of the last transaction under our token; None when another has taken the lease."""
        assert self._writer is not None
        ((value,),) = self.run(self._writer, self.statements.lease, ())
        token, _, number = value.partition(":")
        return int(number) if token == self._token else None

    @property
    def gone(self) -> str:
        """What to say when the lease is another's."""
        return f"another broker has taken the store {self.name}; stop this one"

    def fetch(self, statement: str, parameters: Row) -> list[Row]:
        """Read on the writing connection, in its thread. `Lost`, errors of the driver."""
        assert self._writer is not None
        return self.run(self._writer, statement, parameters)

    @property
    def driver_error(self) -> type[Exception]:
        """The base of the driver's errors."""
        error: type[Exception] = self.engine.dialect.loaded_dbapi.Error
        return error

    @contextmanager
    def read(self) -> Iterator[Query]:
        """Give a query function whose statements all see the same state; any thread. `StoreInvalid`."""
        with self._reading:
            try:
                connection = self._fresh_reader()
                with self.snapshot(connection):
                    yield lambda statement, parameters: self.run(connection, statement, parameters)
            except SQLAlchemyError as error:
                raise StoreInvalid(self.name, self.problem(error)) from error
            except (ValueError, KeyError, TypeError) as error:
                raise StoreInvalid(self.name, f"it holds what is no record of ours: {error!r}") from error
            except self.driver_error as error:
                raise StoreInvalid(self.name, self.problem(error)) from error

    def _fresh_reader(self) -> Connection:
        if self._reader is not None and not self.alive(self._reader):
            self._reader.invalidate()
            self._reader.close()
            self._reader = None
        if self._reader is None:
            self._reader = self.engine.connect()
            self.adopt(self._reader)
        return self._reader


def driver(connection: Connection) -> Any:
    """Return the driver's connection under SQLAlchemy's."""
    return connection.connection.driver_connection


def first_line(error: BaseException) -> str:
    """The driver's message, without the statement and the link that SQLAlchemy adds."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
