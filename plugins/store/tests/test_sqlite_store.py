"""The store in an SQLite file: the contract, and what is SQLite's own."""

import os
import sqlite3
import stat
import subprocess
import sys

import pytest
from dpb_store import SqlStore

from dpb_framework.contracts.store import Batch, NetworkRecord
from dpb_framework.errors import CommitFailed, ConfigInvalid, StoreInvalid, StoreLocked
from dpb_framework.testing.store import Maker, StoreContract

ONE = Batch([NetworkRecord("net", "switch")])


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path) -> Maker:
        return lambda: SqlStore(url=str(tmp_path / "dpb.sqlite"))


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_without_url_it_is_in_the_users_data_folder_for_nobody_else(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    before = os.umask(0)
    try:
        store = SqlStore()
        store.open()
        store.submit(ONE).result()
        folder = tmp_path / "data" / "dpb"
        assert _mode(folder) == 0o700
        assert {path.name: _mode(path) for path in folder.iterdir()} == dict.fromkeys(
            ["dpb.sqlite", "dpb.sqlite-wal", "dpb.sqlite-shm", "dpb.sqlite.lock"], 0o600
        )
        store.close()
    finally:
        os.umask(before)


def test_without_xdg_data_home_it_is_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    store = SqlStore()
    store.open()
    store.close()
    assert (tmp_path / ".local" / "share" / "dpb" / "dpb.sqlite").is_file()


@pytest.mark.parametrize("make_url", ["{}", "sqlite:///{}", "sqlite+pysqlite:///{}"])
def test_a_file_may_be_a_path_or_a_url(make_url, tmp_path):
    store = SqlStore(url=make_url.format(tmp_path / "a b%.sqlite"))
    store.open()
    store.close()
    assert (tmp_path / "a b%.sqlite").is_file()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", ":memory:", "sqlite:///file:x?mode=memory&cache=shared&uri=true"]
)
def test_sqlite_in_memory_is_refused_and_the_memory_store_named(url):
    with pytest.raises(ConfigInvalid, match=r"store\.url.*\"memory\""):
        SqlStore(url=url)


@pytest.mark.parametrize(
    "url", ["mysql://h/d", "sqlite+aiosqlite:///x", "sqlite:///x?timeout=3", "postgresql://h:x/d", "://", 7]
)
def test_a_url_that_is_not_understood_is_refused(url):
    with pytest.raises(ConfigInvalid, match=r"^\$\.store\.url: "):
        SqlStore(url=url)


@pytest.mark.parametrize("busy_timeout", [0, -1, "5", True, 10**6])
def test_a_busy_timeout_out_of_range_is_refused(busy_timeout):
    with pytest.raises(ConfigInvalid, match="busy-timeout"):
        SqlStore(busy_timeout=busy_timeout)


def test_every_commit_is_synchronous(tmp_path):
    store = SqlStore(url=str(tmp_path / "x"))
    store.open()
    with store._backend.read() as query:
        settings = [query(f"PRAGMA {name}", ())[0][0] for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert settings == ["wal", 2, 1]
    fetch = store._backend.fetch
    assert [fetch(f"PRAGMA {name}", ())[0][0] for name in ("synchronous", "foreign_keys")] == [2, 1]
    store.close()


def test_a_locked_store_tells_who_has_it(tmp_path):
    store = SqlStore(url=str(tmp_path / "x"))
    store.open()
    with pytest.raises(StoreLocked, match=rf"in use by process {os.getpid()} \(since 20\d\d-"):
        SqlStore(url=str(tmp_path / "x")).open()
    with pytest.raises(StoreLocked):
        store.open()
    store.close()


def test_another_process_and_another_name_are_refused_too(tmp_path):
    store = SqlStore(url=str(tmp_path / "x"))
    store.open()
    (tmp_path / "link").symlink_to(tmp_path / "x")
    code = "import sys\nfrom dpb_store import SqlStore\nSqlStore(url=sys.argv[1]).open()"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "link"], capture_output=True, text=True, timeout=60)
    assert f"StoreLocked: store {tmp_path / 'link'} is in use by process {os.getpid()}" in done.stderr
    store.close()


def test_a_lock_file_left_behind_locks_nothing(tmp_path):
    (tmp_path / "x.lock").write_text("process 1 (since the flood)\n")
    store = SqlStore(url=str(tmp_path / "x"))
    store.open()
    store.close()


def test_a_lock_file_that_was_deleted_lets_nobody_write_twice(tmp_path):
    first, second = SqlStore(url=str(tmp_path / "x")), SqlStore(url=str(tmp_path / "x"))
    first.open()
    (tmp_path / "x.lock").unlink()
    second.open()
    with pytest.raises(CommitFailed, match="another broker has taken the store"):
        first.submit(ONE).result()
    second.submit(ONE).result()
    first.close()
    second.close()


def test_a_missing_folder_is_one_clear_line(tmp_path):
    with pytest.raises(StoreInvalid, match=r"^store .*/no/x cannot be used: there is no folder .*/no; make it"):
        SqlStore(url=str(tmp_path / "no" / "x")).open()


def test_a_folder_in_the_place_of_the_file_is_one_clear_line(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(StoreInvalid, match="directory"):
        SqlStore(url=str(tmp_path / "x")).open()
    (tmp_path / "x").rmdir()
    store = SqlStore(url=str(tmp_path / "x"))
    store.open()
    store.close()


def test_what_is_no_database_is_left_alone(tmp_path):
    (tmp_path / "x").write_text("Dear diary,\n" * 1000)
    with pytest.raises(StoreInvalid, match="file is not a database; correct the url, or restore a backup"):
        SqlStore(url=str(tmp_path / "x")).open()
    assert (tmp_path / "x").read_text() == "Dear diary,\n" * 1000


def test_a_damaged_database_is_one_clear_line(tmp_path):
    store = SqlStore(url=str(tmp_path / "x"))
    store.open()
    store.submit(Batch([NetworkRecord(f"n{i}", "switch") for i in range(1000)])).result()
    store.close()
    content = bytearray((tmp_path / "x").read_bytes())
    page = content.index(b"n999") // 4096
    content[page * 4096 : page * 4096 + 100] = b"\xff" * 100
    (tmp_path / "x").write_bytes(content)
    store.open()
    with pytest.raises(StoreInvalid, match="malformed; restore a backup"):
        store.load()
    store.close()


def test_what_somebody_else_wrote_into_it_is_one_clear_line(tmp_path):
    store = SqlStore(url=str(tmp_path / "x"))
    store.open()
    store.submit(ONE).result()
    with sqlite3.connect(tmp_path / "x") as other:
        other.execute("INSERT INTO service VALUES ('net', 1, NULL, 'me', 'LOST', 'ACTIVE', 0, 'none', NULL)")
    other.close()
    with pytest.raises(StoreInvalid, match=r"no record of ours: KeyError.'LOST'"):
        store.load()
    store.close()


READ_ONLY = """
import os, sys
from dpb_store import SqlStore
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
SqlStore(url=sys.argv[1]).open()
"""


@pytest.mark.parametrize("writable", ["neither", "lock"])
def test_a_read_only_file_is_one_clear_line(writable, tmp_path):
    path = tmp_path / "x"
    store = SqlStore(url=str(path))
    store.open()
    store.close()
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(0o755)
    path.chmod(0o444)
    path.with_name("x.lock").chmod(0o666 if writable == "lock" else 0o444)
    tmp_path.chmod(0o555)
    done = subprocess.run([sys.executable, "-c", READ_ONLY, path], capture_output=True, text=True, timeout=60)
    tmp_path.chmod(0o755)
    assert f"StoreInvalid: store {path} cannot be used: Permission denied" in done.stderr, done.stderr


FULL = """
import resource, sys
from dpb_framework.contracts.store import Batch, Item
from dpb_framework.errors import CommitFailed
from dpb_store import SqlStore

store = SqlStore(url=sys.argv[1])
store.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
kept, failed = [], []
for i in range(300):
    try:
        store.submit(Batch([Item("a", str(i), "x" * 1500), Item("b", str(i), i)])).result()
        kept.append(i)
    except CommitFailed as error:
        failed.append(i)
        print(error, file=sys.stderr)
assert kept and failed, (kept, failed)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.submit(Batch([Item("a", "after", 1), Item("b", "after", 1)])).result()
expected = {str(i) for i in kept} | {"after"}
for opening in range(2):
    for namespace in "ab":
        assert set(store.items(namespace)) == expected, set(store.items(namespace)) ^ expected
    store.close()
    store.open()
store.close()
print("well")
"""


def test_a_disk_that_is_full_fails_commits_and_nothing_else(tmp_path):
    """Half of a batch is never there, and when there is room again the same store goes on."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / "x"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "well\n", done.stderr[-3000:]
    first = done.stderr.splitlines()[0]
    assert first.startswith("the change was not stored and not made: ")
    assert "disk" in first
