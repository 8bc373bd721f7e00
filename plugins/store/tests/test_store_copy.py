"""Moving from one kind of database to the other."""

import subprocess
import sys

import pytest
from dpb_store import SqlStore
from dpb_store.copy import copy

from dpb_framework.contracts.store import Batch, Item
from dpb_framework.errors import StoreInvalid, StoreLocked
from dpb_framework.testing.store import sample


@pytest.fixture
def places(tmp_path, postgres_urls):
    return [str(tmp_path / "a.sqlite"), postgres_urls(), str(tmp_path / "b.sqlite")]


def _contents(place):
    store = SqlStore(url=place)
    store.open()
    found = store.uuid, store.load(), store.events("net", 0, 10), store.items("net")
    store.close()
    return found


def _fill(place):
    store = SqlStore(url=place)
    store.open()
    store.submit(Batch([*sample(), *sample("né't", 2)])).result()
    store.close()


def test_a_store_moves_there_and_back(places):
    first, second, third = places
    _fill(first)
    before = _contents(first)
    assert copy(first, second) == copy(second, third) > 20
    assert _contents(second) == before
    assert _contents(third) == before
    assert _contents(first) == before


def test_a_place_with_something_in_it_is_refused(places):
    first, second, _ = places
    _fill(first)
    store = SqlStore(url=second)
    store.open()
    store.submit(Batch([Item("ns", "x", 1)])).result()
    with pytest.raises(StoreLocked):
        copy(first, second)
    store.close()
    before = _contents(second)
    with pytest.raises(StoreInvalid, match="there is something in its table item"):
        copy(first, second)
    assert _contents(second) == before


def test_it_is_a_command(places):
    first, second, _ = places
    _fill(first)

    def run(*arguments):
        command = [sys.executable, "-m", "dpb_store.copy", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    done = run(first, second)
    assert (done.returncode, done.stdout) == (0, "36 rows copied\n")
    again = run(first, second)
    assert again.returncode == 1
    assert again.stderr.startswith("store postgresql://")
    assert again.stderr.count("\n") == 1
    assert run(first).returncode == 2
