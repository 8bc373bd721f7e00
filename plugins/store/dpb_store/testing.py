"""A PostgreSQL server for tests: started by them, as an ordinary user, on a folder that is thrown away.

    with postgres_server() as server:
        store = SqlStore(url=server())

`postgres_urls` is the same as a pytest fixture for a whole session; import it in a `conftest.py`.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

REQUIRE = "DPB_REQUIRE_POSTGRESQL"
"""The environment variable that, when it is 1, makes a missing PostgreSQL a failure instead of a skip."""

_USER = "dpb"
_DEADLINE = 60.0
_numbers = count(1)


class PostgresServer:
    """A running server. Calling it makes a fresh database and returns its URL."""

    def __init__(self, binaries: Path, folder: Path, run_as: dict[str, Any]) -> None:
        self._binaries = binaries
        self._folder = folder
        self._run_as = run_as
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> str:
        """Make an empty database; return its URL, as an operator would write it."""
        name = f"dpb{next(_numbers)}"
        self.execute(f'CREATE DATABASE "{name}" ENCODING UTF8 TEMPLATE template0')
        return self.url(name)

    def url(self, database: str = "postgres") -> str:
        """The URL of a database of this server."""
        return f"postgresql://{_USER}@/{database}?host={self._folder}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement outside a transaction; return its rows, if it has any."""
        import psycopg

        with psycopg.connect(host=str(self._folder), user=_USER, dbname=database, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start the server and wait until it answers."""
        import psycopg

        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data")]
        if setpriv := shutil.which("setpriv"):
            # A test run that is killed takes its server along.
            command = [setpriv, "--pdeathsig", "INT", *command]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **self._run_as)
        deadline = time.monotonic() + _DEADLINE
        while True:
            try:
                self.execute("SELECT 1")
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()[-2000:]) from None
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT in order, SIGQUIT at once, without leave of its clients."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_DEADLINE)
            self._process = None


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Start a server on a temporary folder, with a Unix socket only; stop and remove it at the end.

    Without PostgreSQL's programs the test is skipped, or fails if `DPB_REQUIRE_POSTGRESQL=1`.
    """
    binaries = _binaries()
    if binaries is None:
        missing = (
            "PostgreSQL is not installed (no /usr/lib/postgresql/*/bin/initdb): the store's tests on it DO NOT RUN"
        )
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    # The path of a Unix socket is short: never below pytest's own long folders.
    folder = Path(tempfile.mkdtemp(prefix="dpb-pg-", dir="/tmp"))
    server = None
    try:
        run_as = _ordinary_user(folder)
        subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "-U", _USER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
            check=True,
            capture_output=True,
            cwd="/",
            **run_as,
        )
        with open(folder / "data" / "postgresql.conf", "a", encoding="utf-8") as config:
            config.write(f"listen_addresses = ''\nunix_socket_directories = '{folder}'\nfsync = on\n")
            config.write("shared_buffers = 32MB\nmax_connections = 40\n")
        server = PostgresServer(binaries, folder, run_as)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop(signal.SIGQUIT)  # nobody needs its data: no checkpoint
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_urls() -> Iterator[PostgresServer]:
    """One server for all tests of a session: call it for the URL of a fresh database."""
    with postgres_server() as server:
        yield server


def _binaries() -> Path | None:
    places = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: int(re.sub(r"\D", "", path.parts[-3]) or 0),
    )
    if places:
        return places[-1].parent
    found = shutil.which("initdb")
    return Path(os.path.realpath(found)).parent if found else None


def _ordinary_user(folder: Path) -> dict[str, Any]:
    """How to start a process that is not root, who owns *folder*: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, user.pw_uid, user.pw_gid)
        os.chmod(folder, 0o755)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
