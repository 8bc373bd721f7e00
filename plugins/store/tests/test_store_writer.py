"""The one writer: what it merges, whom it blames, whom it tells."""

import threading
import time
from contextlib import nullcontext
from itertools import islice
from threading import Thread

import dpb_store.writer
import pytest
from dpb_store import SqlStore
from dpb_store.writer import KEEP, SLACK

from dpb_framework.contracts.store import (
    Batch,
    EventRecord,
    Item,
    NetworkRecord,
    Role,
    SegmentRecord,
    ServiceRecord,
)
from dpb_framework.errors import CommitFailed, VersionStale
from dpb_framework.model import Desired, Event, EventKind, Segment, Status
from dpb_framework.turns import turn

WAIT = 30.0


@pytest.fixture
def store(url):
    store = SqlStore(url=url)
    store.open()
    yield store
    store.close()


@pytest.fixture
def held(store):
    """Hold the writer in a callback; what is submitted until `held.set()` makes one group."""
    release, reached = threading.Event(), threading.Event()

    def hold(_):
        reached.set()
        release.wait(WAIT)

    store.submit(Batch([NetworkRecord("net", "switch")])).then(hold)
    assert reached.wait(WAIT)
    yield release
    release.set()


@pytest.fixture
def transactions(store, monkeypatch):
    """The work of each transaction that was tried."""
    tried = []
    execute = store._backend.execute
    monkeypatch.setattr(store._backend, "execute", lambda work: (tried.append(work), execute(work)))
    return tried


def test_what_waits_is_one_transaction(store, held, transactions):
    replies = [store.submit(Batch([Item("ns", f"i{i % 10}", i), Item("ns", "all", i)])) for i in range(100)]
    held.set()
    for reply in replies:
        reply.result(WAIT)
    assert len(transactions) == 1
    assert sum(len(rows) for _, rows in transactions[0]) == 12  # eleven items and the lease
    assert store.items("ns")["all"].value == 99


def test_what_is_decided_in_one_turn_is_one_transaction(store, transactions):
    with turn():
        replies = [store.submit(Batch([Item("ns", f"i{i}", i)])) for i in range(20)]
        time.sleep(0.05)
        assert not transactions, "the writer was called before the end of the turn"
    for reply in replies:
        reply.result(WAIT)
    assert len(transactions) == 1


def test_what_another_turn_submits_is_not_kept_waiting(store):
    with turn():
        late = store.submit(Batch([Item("ns", "late", 1)]))
        soon = Thread(target=lambda: store.submit(Batch([Item("ns", "soon", 1)])).result(WAIT))
        soon.start()
        soon.join(WAIT)
        assert not soon.is_alive()
        assert store.items("ns")["soon"].value == 1
    late.result(WAIT)


def test_a_stop_stores_what_a_turn_has_not_called_for_yet(store, url):
    with turn():
        reply = store.submit(Batch([Item("ns", "late", 1)]))
        store.close()
        assert reply.value is None
    again = SqlStore(url=url)
    again.open()
    try:
        assert again.items("ns")["late"].value == 1
    finally:
        again.close()


def test_whatever_threads_submit_in_turns_and_between_is_settled_in_each_ones_order(store):
    settled: dict[int, list[int]] = {thread: [] for thread in range(4)}

    def submit(thread: int) -> None:
        numbers = iter(range(200))
        for size in (1, 3, 7, 2) * 10:
            with turn() if size > 1 else nullcontext():
                for number in islice(numbers, size):
                    batch = Batch([Item("ns", f"last {thread}", number)], lazy=number % 5 == 0)
                    store.submit(batch).then(lambda reply, n=number: settled[thread].append(n))

    threads = [Thread(target=submit, args=(thread,)) for thread in settled]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    store.close()
    sent = sum((1, 3, 7, 2) * 10)
    assert settled == {thread: list(range(sent)) for thread in settled}
    store.open()
    assert {item.value for item in store.items("ns").values()} == {sent - 1}


def test_more_than_a_group_s_worth_is_stored_to_the_last(store, monkeypatch):
    monkeypatch.setattr(dpb_store.writer, "_MOST", 3)
    with turn():
        replies = [store.submit(Batch([Item("ns", f"i{i}", i)], lazy=True)) for i in range(10)]
        store.close()
    assert [reply.value for reply in replies] == [None] * 10


def test_only_the_guilty_batch_of_a_group_fails(store, held, transactions):
    service = ServiceRecord("net", 1, None, "me", Desired.DORMANT, Status.DORMANT)
    short, long = Segment.of(("a", 1, 1, 1), ("b", 1, 1, 1)), Segment.of(("a", 2, 1, 1), ("b", 1, 1, 1), ("c", 1, 1, 1))
    good = [store.submit(Batch([service])), store.submit(Batch([Item("ns", "x", 1)], expects={("ns", "x"): 0}))]
    bad = [
        store.submit(Batch([Item("bad", "1", 1), ServiceRecord("no", 1, None, "", Desired.DORMANT, Status.DORMANT)])),
        store.submit(Batch([Item("bad", "2", 1), SegmentRecord("net", 1, Role.CURRENT, short, long)])),
        store.submit(Batch([Item("bad", "3", float("nan"))])),
        store.submit(Batch([Item("bad", "4", object())])),
        store.submit(Batch([Item("bad", "5", 1), NetworkRecord("big", "switch", 2**70)])),
        store.submit(Batch([Item("bad", "\ud800", 1)])),
        store.submit(Batch([Item("bad", "6", 1), "a string"])),
    ]
    stale = store.submit(Batch([Item("bad", "7", 1)], expects={("ns", "x"): 0}))
    good.append(store.submit(Batch([Item("ns", "x", 2, 2)], expects={("ns", "x"): 1})))
    held.set()
    for reply in good:
        reply.result(WAIT)
    for reply in bad:
        with pytest.raises(CommitFailed):
            reply.result(WAIT)
    with pytest.raises(VersionStale):
        stale.result(WAIT)
    assert store.items("bad") == {}
    assert store.items("ns") == {"x": Item("ns", "x", 2, 2)}
    assert store.load().tables[ServiceRecord] == [service]


def test_why_a_record_cannot_be_kept_is_told(store):
    store.submit(Batch([NetworkRecord("net", "switch")])).result(WAIT)
    ends = Segment.of(("a", None, 1, 1), ("b", 1, 1, 1))
    for chosen in (Segment.of(("a", 2, 1, 1), ("b", 1, 1, 2)), Segment.of(("a", 2, 1, 1), ("c", 1, 1, 1))):
        with pytest.raises(CommitFailed, match=r"SegmentRecord cannot be kept: .* differs .* in more than labels"):
            store.submit(Batch([SegmentRecord("net", 1, Role.CURRENT, ends, chosen)])).result(WAIT)
    with pytest.raises(CommitFailed, match="a Item cannot be kept: object is no plain data"):
        store.submit(Batch([Item("ns", "x", object())])).result(WAIT)


def test_a_callback_that_raises_harms_nothing(store, held, caplog):
    told = []
    replies = [store.submit(Batch([Item("ns", f"i{i}", i)])) for i in range(3)]
    replies[0].then(lambda _: 1 / 0)
    for i, reply in enumerate(replies):
        reply.then(lambda _, i=i: told.append(i)) if i else None
    held.set()
    store.flush(WAIT)
    assert told == [1, 2]
    assert "a callback of a reply failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_callback_that_would_wait_for_itself_is_refused(store):
    faults = []
    done = threading.Event()

    def block(_):
        try:
            store.flush(WAIT)
        except RuntimeError as error:
            faults.append(str(error))
        done.set()

    store.submit(Batch([Item("ns", "x", 1)])).then(block)
    assert done.wait(WAIT)
    assert "must not block" in faults[0]


def test_a_flush_of_nothing_writes_nothing(store, transactions):
    store.flush(WAIT)
    assert transactions == []


def test_events_are_pruned_a_few_at_a_time(store, transactions):
    store.submit(Batch([NetworkRecord("net", "switch")])).result(WAIT)
    last = KEEP + 4 * SLACK
    for first in range(1, last, 100):
        store.submit(Batch([EventRecord(Event("net", first + i, EventKind.TRUNK)) for i in range(100)])).result(WAIT)
    with store._backend.read() as query:
        ((kept,),) = query("SELECT count(*) FROM event", ())
    assert KEEP <= kept <= KEEP + SLACK + 100
    prunes = [work for work in transactions if store._backend.statements.prune in [text for text, _ in work]]
    assert 2 <= len(prunes) <= 5


def test_events_begin_anew_with_their_network(store):
    net = NetworkRecord("net", "switch")
    numbers = range(1, KEEP + SLACK + 2)
    store.submit(Batch([net, *(EventRecord(Event("net", i, EventKind.TRUNK)) for i in numbers)])).result(WAIT)
    assert store.events("net", 0, 1) is None
    store.submit(Batch(drops=[(NetworkRecord, ("net",))]))
    store.submit(Batch([net, EventRecord(Event("net", 1, EventKind.TRUNK))])).result(WAIT)
    assert [event.number for event in store.events("net", 0, 9)] == [1]


def test_readers_in_other_threads_see_whole_batches(store):
    """Each batch keeps two items equal; whoever reads meanwhile never sees them differ."""
    stop = threading.Event()
    seen = []

    def read():
        while not stop.is_set():
            items = store.items("ns")
            seen.append({item.value for item in items.values()})

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(100):
        store.submit(Batch([Item("ns", "a", i), Item("ns", "b", i)])).result(WAIT)
    stop.set()
    for thread in threads:
        thread.join(WAIT)
    assert seen
    assert all(len(values) <= 1 for values in seen)
