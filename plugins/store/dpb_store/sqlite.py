"""A store in an SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.pool import NullPool

from dpb_framework.errors import StoreInvalid, StoreLocked
from dpb_store.backend import Backend, driver, first_line
from dpb_store.lockfile import Held, LockFile
from dpb_store.statements import Row, Work


def default_file() -> Path:
    """Return `dpb.sqlite` in the user's data folder; the folder is made, for the user only, when it is missing."""
    data = os.environ.get("XDG_DATA_HOME", "")
    base = Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share"
    folder = base / "dpb"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreInvalid(str(folder), f"the folder cannot be made: {error.strerror}") from error
    return folder / "dpb.sqlite"


class SqliteBackend(Backend):
    """A file in WAL mode with full synchronisation: a commit is on the disk when it returns."""

    def __init__(self, path: Path, busy_timeout: float) -> None:
        # Links are followed before anything is locked, so that two names of one file are one store.
        self._path = Path(os.path.realpath(path))
        self._lock_file = LockFile(self._path.with_name(self._path.name + ".lock"))
        engine = create_engine(
            URL.create("sqlite", database=str(self._path)),
            poolclass=NullPool,
            connect_args={"timeout": busy_timeout, "check_same_thread": False, "isolation_level": None},
        )
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        super().__init__(str(path), engine)
        self._cursor: Any = None

    def lock(self) -> None:
        """Lock the file beside the database; make the database, for the user only, when it is missing."""
        try:
            self._lock_file.acquire()
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except Held as error:
            raise StoreLocked(self.name, str(error)) from None
        except OSError as error:
            self.unlock()
            folder = self._path.parent
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                raise StoreInvalid(self.name, f"there is no folder {folder}; make it, or correct the url") from error
            raise StoreInvalid(self.name, f"{error.strerror} ({error.filename or self._path})") from error

    def unlock(self) -> None:
        """Give up the lock file."""
        self._cursor = None
        self._lock_file.release()

    def lease(self, connection: Connection) -> None:
        """Nothing beyond the lock file and the token: SQLite itself keeps transactions apart."""

    def adopt(self, connection: Connection) -> None:
        """Nothing: the driver is in autocommit mode from the start."""

    def execute(self, work: Work) -> None:
        """Run *work* between BEGIN IMMEDIATE and COMMIT."""
        cursor = self._cursor
        if cursor is None:
            assert self._writer is not None
            cursor = self._cursor = driver(self._writer).cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            for statement, rows in work:
                if len(rows) == 1:
                    cursor.execute(statement, rows[0])
                else:
                    cursor.executemany(statement, rows)
            cursor.execute("COMMIT")
        except BaseException:
            # Some errors, such as a full disk, have ended the transaction already.
            if cursor.connection.in_transaction:
                cursor.execute("ROLLBACK")
            raise

    def run(self, connection: Connection, statement: str, parameters: Row) -> list[Row]:
        """Run one statement on the driver's connection."""
        rows: list[Row] = driver(connection).execute(statement, parameters).fetchall()
        return rows

    @contextmanager
    def snapshot(self, connection: Connection) -> Iterator[None]:
        """A reading transaction: the first statement's state is everybody's."""
        driver(connection).execute("BEGIN")
        try:
            yield
        finally:
            driver(connection).execute("ROLLBACK")

    def alive(self, connection: Connection) -> bool:
        """Always: a file does not hang up."""
        return True

    def problem(self, error: BaseException) -> str:
        """Add to SQLite's words what to do about it."""
        cause = getattr(error, "orig", None) or error
        code = getattr(cause, "sqlite_errorcode", None)
        hint = "" if code is None else _HINTS.get(code & 0xFF, "")
        return first_line(error) + hint


_HINTS = {
    sqlite3.SQLITE_FULL: "; make room on the disk",
    sqlite3.SQLITE_READONLY: "; the file and its folder must be writable",
    sqlite3.SQLITE_CANTOPEN: "; the file and its folder must be writable",
    sqlite3.SQLITE_NOTADB: "; correct the url, or restore a backup",
    sqlite3.SQLITE_CORRUPT: "; restore a backup",
    sqlite3.SQLITE_IOERR: "; look after the disk",
    sqlite3.SQLITE_BUSY: "; another program has locked the file",
}


def _configure(connection: Any, _record: object) -> None:
    """Durability and integrity are asked for on each connection; SQLite remembers only the journal mode."""
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError(f"journal mode WAL cannot be had here (it stays {mode})")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
