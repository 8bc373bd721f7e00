"""A store in a PostgreSQL database."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from dpb_framework.errors import StoreInvalid, StoreLocked
from dpb_store.backend import Backend, Lost, driver, first_line
from dpb_store.statements import Row, Work

try:
    import psycopg
except ImportError as error:  # pragma: no cover  # told where it is used, by the one who opens such a store
    raise StoreInvalid("postgresql", "psycopg is not installed; pip install dpb-store[postgresql]") from error

_log = logging.getLogger(__name__)
_RETRY = 0.05  # seconds between attempts to get the lease or the server back

# The lock is the database's and the schema's: two schemas of one database may be two stores.
_LOCK = "hashtextextended('dpb-store ' || current_schema(), 0)"
_TAKE = text(f"SELECT pg_try_advisory_lock({_LOCK})")
_HOLDER = text(
    "SELECT a.application_name, a.pid, a.client_addr::text, date_trunc('second', a.backend_start)::text"
    " FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    f" WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    f" AND (l.classid::bigint << 32 | l.objid::bigint) = {_LOCK}"
)
_END = text("SELECT pg_terminate_backend(:pid) WHERE pg_backend_pid() <> :pid")


class PostgresBackend(Backend):
    """A database under an advisory lock, held by the very connection that writes.

    A connection that is lost takes the lock with it. Another is then made, and used only if it gets the lock and nobody
    else has written meanwhile. The number of the last transaction tells whether one whose answer was lost is kept.
    """

    def __init__(self, url: URL, busy_timeout: float) -> None:
        self._wait = busy_timeout
        self._pid = 0
        self._doom = ""  # why nothing is to be written any more, ever
        self._application = f"dpb-store {socket.gethostname()} process {os.getpid()}"
        engine = create_engine(
            url,
            poolclass=NullPool,
            paramstyle="format",
            connect_args={
                "connect_timeout": max(2, round(busy_timeout)),
                "application_name": self._application[:63],
                # A server that is gone without a word is noticed in half a minute, not in two hours.
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 30_000,
                "options": "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
            },
        )
        where = url.host or url.query.get("host") or "localhost"
        super().__init__(f"postgresql://{where}{f':{url.port}' if url.port else ''}/{url.database or ''}", engine)

    def lock(self) -> None:
        """Nothing: the lock is inside."""

    def unlock(self) -> None:
        """Nothing: the lock went with its connection."""

    def lease(self, connection: Connection) -> None:
        """Take the advisory lock, waiting a little for a holder that is just ending."""
        deadline = time.monotonic() + (self._wait if self._pid else min(self._wait, 1.0))
        while not connection.execute(_TAKE).scalar():
            if self._pid:
                # It may be our own lost connection, of whose end the server does not know yet.
                self._end_own(connection)
            if time.monotonic() > deadline:
                raise StoreLocked(self.name, self._holder(connection))
            time.sleep(_RETRY)
        self._pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if encoding != "UTF8":
            raise StoreInvalid(self.name, f"its encoding is {encoding}; make a database with encoding UTF8")
        if connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "off":
            connection.exec_driver_sql("SET synchronous_commit = on")
        for setting in ("fsync", "full_page_writes"):
            if connection.exec_driver_sql(f"SHOW {setting}").scalar() == "off":
                _log.warning(
                    "the server of %s has %s = off: what it keeps does not survive power loss", self.name, setting
                )

    def _holder(self, connection: Connection) -> str:
        row = connection.execute(_HOLDER).first()
        if row is None:
            return "another broker"
        return f"{row[0] or 'another broker'} (server process {row[1]}, from {row[2] or 'this host'}, since {row[3]})"

    def _end_own(self, connection: Connection) -> None:
        holder = connection.execute(_HOLDER).first()
        if holder is not None and holder[1] == self._pid and holder[0] == self._application[:63]:
            connection.execute(_END, {"pid": self._pid})

    def adopt(self, connection: Connection) -> None:
        """Switch the driver to autocommit: transactions are opened by hand from here on."""
        driver(connection).autocommit = True

    def execute(self, work: Work) -> None:
        """Run *work* in one transaction, sent in a pipeline: the server is waited for once."""
        assert self._writer is not None
        connection = driver(self._writer)
        try:
            with connection.pipeline():
                connection.execute("BEGIN")
                cursor = connection.cursor()
                for statement, rows in work:
                    if len(rows) == 1:
                        cursor.execute(statement, rows[0])
                    else:
                        cursor.executemany(statement, rows)
                connection.execute("COMMIT")
        except BaseException:
            if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.rollback()
            raise

    def run(self, connection: Connection, statement: str, parameters: Row) -> list[Row]:
        """Run one statement on the driver's connection."""
        rows: list[Row] = driver(connection).execute(statement, parameters).fetchall()
        return rows

    @contextmanager
    def snapshot(self, connection: Connection) -> Iterator[None]:
        """A reading transaction of one snapshot."""
        with driver(connection).transaction():
            driver(connection).execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield

    def alive(self, connection: Connection) -> bool:
        """Whether the server still answers on it."""
        try:
            driver(connection).execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def transact(self, work: Work) -> None:
        """As every backend; a lost connection is made anew, and the work done once, if the lease is still ours."""
        self._restore()
        try:
            super().transact(work)
        except self.driver_error:
            if not self._lose():
                raise
            if self._reconnect() == self._number:
                # It did not get through the first time.
                try:
                    super().transact(work)
                except self.driver_error as error:
                    if not self._lose():
                        raise
                    raise Lost(self._unreachable(error)) from error
            else:
                # It did, only the answer was lost.
                self._number += 1

    def fetch(self, statement: str, parameters: Row) -> list[Row]:
        """As every backend; on a new connection when the old one is lost."""
        self._restore()
        try:
            return super().fetch(statement, parameters)
        except self.driver_error:
            if not self._lose():
                raise
            self._restore()
            return super().fetch(statement, parameters)

    def _lose(self) -> bool:
        """Let go of the writing connection if it is lost (the driver closes it itself then); tell whether it was."""
        if self._writer is None:
            return True
        if not driver(self._writer).closed:
            return False
        self._drop()
        return True

    def _drop(self) -> None:
        if self._writer is not None:
            self._writer.invalidate()
            self._writer.close()
            self._writer = None

    def _give_up(self, why: str) -> Lost:
        """Let nobody write here any more, and let others have the lease."""
        self._doom = why
        self._drop()
        return Lost(why)

    def _restore(self) -> None:
        """Have a connection. `Lost` also when a change turns out to be stored that was reported as failed."""
        if self._doom:
            raise Lost(self._doom)
        if self._writer is None and self._reconnect() != self._number:
            raise self._give_up(
                f"{self.name} has kept a change whose outcome could not be known when its connection was lost;"
                f" start the broker again"
            )

    def _reconnect(self) -> int:
        """Connect, take the lease again and return the number of the last transaction that is stored. `Lost`."""
        deadline = time.monotonic() + self._wait
        while True:
            try:
                self._writer = self.connect(first=False)
                number = self.last_transaction()
                break
            except StoreLocked as error:
                raise Lost(str(error)) from error
            except (SQLAlchemyError, psycopg.Error) as error:
                self._drop()
                if time.monotonic() > deadline:
                    raise Lost(self._unreachable(error)) from error
                time.sleep(_RETRY)
        if number is None:
            raise self._give_up(self.gone)
        return number

    def _unreachable(self, error: BaseException) -> str:
        return f"the server of {self.name} cannot be reached: {first_line(error)}"

    def problem(self, error: BaseException) -> str:
        """The server's words."""
        return first_line(error)
