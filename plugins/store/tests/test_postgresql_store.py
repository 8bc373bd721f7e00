"""The store in a PostgreSQL database: the contract, and what is PostgreSQL's own."""

import os
import signal
import time

import psycopg
import pytest
from dpb_store import SqlStore
from dpb_store.testing import postgres_server

from dpb_framework.contracts.store import Batch, Item, NetworkRecord
from dpb_framework.errors import CommitFailed, StoreInvalid, StoreLocked
from dpb_framework.testing.store import Maker, StoreContract

DEADLINE = 30.0


class TestPostgresStore(StoreContract):
    machine_examples = 10

    @pytest.fixture
    def make_store(self, postgres_urls) -> Maker:
        url = postgres_urls()
        return lambda: SqlStore(url=url)


@pytest.fixture
def store(postgres_urls):
    store = SqlStore(url=postgres_urls(), busy_timeout=2.0)
    store.open()
    yield store
    store.close()


def _put(store, name, value=1):
    return store.submit(Batch([Item("ns", name, value)]))


def _cut(store):
    """End the connections of a store as an administrator would."""
    with psycopg.connect(host=store._backend.engine.url.query["host"], user="dpb", dbname="postgres") as other:
        other.autocommit = True
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [store._backend.engine.url.database],
        )


def test_a_locked_store_tells_who_has_it(store):
    url = store._backend.engine.url.render_as_string()
    with pytest.raises(StoreLocked, match=rf"in use by dpb-store .* process {os.getpid()} \(server process \d+"):
        SqlStore(url=url).open()


def test_two_databases_of_a_server_are_two_stores(store, postgres_urls):
    other = SqlStore(url=postgres_urls())
    other.open()
    assert other.uuid != store.uuid
    other.close()


def test_a_connection_that_was_cut_is_made_anew_under_the_lease(store):
    _put(store, "before").result()
    for i in range(3):
        _cut(store)
        _put(store, f"after {i}").result()
    assert len(store.items("ns")) == 4
    with pytest.raises(StoreLocked):
        SqlStore(url=store._backend.engine.url.render_as_string()).open()


def test_an_expectation_is_held_on_a_new_connection_too(store):
    _put(store, "x").result()
    _cut(store)
    store.submit(Batch([Item("ns", "x", 2, 2)], expects={("ns", "x"): 1})).result()
    assert store.items("ns")["x"].version == 2


def test_reading_goes_on_after_a_cut(store):
    _put(store, "x").result()
    _cut(store)
    assert list(store.items("ns")) == ["x"]


def test_nothing_is_written_after_another_had_the_lease(store):
    """Not even when that one has gone again: what this broker believes may not hold any more."""
    store.submit(Batch([NetworkRecord("net", "switch")])).result()
    other = SqlStore(url=store._backend.engine.url.render_as_string())
    deadline = time.monotonic() + DEADLINE
    while True:
        _cut(store)
        try:
            other.open()
            break
        except StoreLocked:
            assert time.monotonic() < deadline
    with pytest.raises(CommitFailed, match="is in use by"):
        _put(store, "while").result()
    _put(other, "theirs").result()
    other.close()
    for _ in range(2):
        with pytest.raises(CommitFailed, match="another broker has taken the store"):
            _put(store, "after").result()
    assert list(store.items("ns")) == ["theirs"]


@pytest.mark.parametrize("reached", [True, False])
def test_a_commit_whose_answer_was_lost_is_done_exactly_once(store, monkeypatch, reached):
    execute = store._backend.execute
    calls = []

    def lose_the_answer(work):
        calls.append(work)
        if len(calls) == 1:
            if reached:
                execute(work)
            store._backend._writer.connection.driver_connection.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        execute(work)

    monkeypatch.setattr(store._backend, "execute", lose_the_answer)
    _put(store, "x").result()
    assert len(calls) == (1 if reached else 2)
    _put(store, "y").result()
    assert sorted(store.items("ns")) == ["x", "y"]


def test_a_server_that_is_away_fails_commits_until_it_is_back():
    with postgres_server() as server:
        store = SqlStore(url=server(), busy_timeout=0.2)
        store.open()
        _put(store, "before").result()
        server.stop(signal.SIGQUIT)
        with pytest.raises(CommitFailed, match="cannot be reached"):
            _put(store, "away").result()
        with pytest.raises(StoreInvalid):
            store.items("ns")
        with pytest.raises(StoreInvalid):
            SqlStore(url=server.url(), busy_timeout=0.2).open()
        server.start()
        _put(store, "back").result()
        assert sorted(store.items("ns")) == ["back", "before"]
        store.close()


def test_a_change_that_was_kept_though_its_failure_was_told_stops_the_store(store, monkeypatch):
    """The server took the commit and was then away for longer than anybody waits: only a restart tells what holds."""
    backend = store._backend
    execute = backend.execute
    engine_connect = backend.engine.connect

    def lose(work):
        execute(work)
        backend._writer.connection.driver_connection.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    def refuse():
        raise psycopg.OperationalError("no route to host")

    monkeypatch.setattr(backend, "_wait", 0.01)
    monkeypatch.setattr(backend, "execute", lose)
    monkeypatch.setattr(backend.engine, "connect", refuse)
    with pytest.raises(CommitFailed, match="cannot be reached"):
        _put(store, "kept").result()
    monkeypatch.setattr(backend, "execute", execute)
    monkeypatch.setattr(backend.engine, "connect", engine_connect)
    for _ in range(2):
        with pytest.raises(CommitFailed, match="start the broker again"):
            _put(store, "later").result()


def test_a_database_that_is_not_there_is_one_clear_line_without_a_password(postgres_urls):
    url = postgres_urls.url("nowhere").replace("dpb@", "dpb:secret@")
    with pytest.raises(StoreInvalid, match=r'database "nowhere" does not exist') as caught:
        SqlStore(url=url).open()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_encoding_that_cannot_hold_every_name_is_refused(postgres_urls):
    postgres_urls.execute("CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreInvalid, match="its encoding is LATIN1"):
        SqlStore(url=postgres_urls.url("latin")).open()


def test_text_that_postgresql_cannot_hold_fails_its_batch_only(store):
    bad = _put(store, "a\0b")
    good = _put(store, "good", "nul \0 in JSON")
    with pytest.raises(CommitFailed):
        bad.result()
    good.result()
    assert store.items("ns")["good"].value == "nul \0 in JSON"


def test_what_lies_on_the_server_is_durable_even_if_its_default_is_not(postgres_urls):
    url = postgres_urls()
    postgres_urls.execute(f'ALTER DATABASE "{url.split("/")[3].split("?")[0]}" SET synchronous_commit = off')
    store = SqlStore(url=url)
    store.open()
    assert store._backend.fetch("SHOW synchronous_commit", ()) == [("on",)]
    store.close()
