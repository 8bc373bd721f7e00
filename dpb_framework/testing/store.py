"""The conformance suite of the contract Store: override one fixture and run it.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def make_store(self, tmp_path):
            return lambda: MyStore(path=tmp_path / "store")

`make_store` returns a closed store, and each time one on the same place (for a store in memory: the same object).
Each test cites the clauses of `dpb_framework.contracts.store` that it is about.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from dpb_framework.contracts.store import (
    TABLES,
    AttemptRecord,
    Batch,
    EventRecord,
    Item,
    ModelRecord,
    NetworkRecord,
    Record,
    Role,
    SegmentRecord,
    ServiceRecord,
    Store,
    Subservice,
    TerminalRecord,
    TrunkRecord,
)
from dpb_framework.errors import CommitFailed, DpbError, Stopped, StoreLocked, VersionStale
from dpb_framework.model import (
    Change,
    Chord,
    Desired,
    Event,
    EventKind,
    Fault,
    Fragment,
    LabelRange,
    NetworkModel,
    Segment,
    Status,
    Terminal,
    Trunk,
    Tunnel,
)
from dpb_framework.reply import Reply
from dpb_framework.testing.store_machine import Maker, batch, store_machine

__all__ = ["KEPT_EVENTS", "WAIT", "Maker", "StoreContract", "batch", "sample", "store_machine"]

WAIT = 30.0
"""How long, in seconds, a test waits for what must come."""

KEPT_EVENTS = 10_000
"""So many of a network's last events are kept at least."""


def sample(network: str = "net", service: int = 1) -> tuple[Record, ...]:
    """Return one record of each table, all of the same network and service (an item, of namespace *network*)."""
    asked = Segment.of(("a", None, 1000, 0), ("b", 0xFFFFFF, 10**12, 5))
    chosen = Segment.of(("a", 7, 1000, 0), ("b", 0xFFFFFF, 10**12, 5))
    model = NetworkModel((Fragment(("x", "y"), (Chord("x", "y", 10**12, 0, 250),)), Fragment(("z",), None)))
    facts = {"network": network, "left": 0, "path": ["segment", 1], "deep": {"none": None, "yes": True}}
    return (
        NetworkRecord(network, "aggregator", service),
        TerminalRecord(network, Terminal("a", "inferior:t", None, 10**12, ((1, 5), (9, 9)))),
        TrunkRecord(
            network,
            Trunk("ab", ("i", "x"), ("j", "y"), 10**12, 1, 250, (LabelRange(1, 10, 5), LabelRange(50, 1, 50)), False),
        ),
        ServiceRecord(
            network,
            service,
            "a/'handle'%s",
            "öwner",
            Desired.ACTIVE,
            Status.FAILED,
            True,
            Change.PREPARING,
            Fault("no-capacity", "no room", facts),
        ),
        SegmentRecord(network, service, Role.CURRENT, asked, chosen),
        AttemptRecord(
            network,
            service,
            1,
            Role.CURRENT,
            (Tunnel("ab", 3, 10**12, 0), Tunnel("bc", 4, 1, 1)),
            (Subservice(0, "i", "h/0", asked), Subservice(1, "j", "h/1", chosen)),
        ),
        EventRecord(Event(network, 1, EventKind.SERVICE, {"id": service, "status": "FAILED"}), 1_700_000_000_000_000),
        ModelRecord(network, "i", model),
        Item(network, "colours", {"red": [1, 2.5, None], "ключ": "значение"}, 1),
    )


def _numbers(store: Store, network: str, after: int, limit: int) -> list[int] | None:
    events = store.events(network, after, limit)
    return None if events is None else [event.number for event in events]


def _submitted(store: Store, change: Batch) -> Reply[None]:
    """Submit a batch that cannot be kept."""
    try:
        return store.submit(change)
    except DpbError as error:
        pytest.fail(f"S7: submit raised {error!r}, which is for the reply to tell")


class StoreContract:
    """What every store does. Override `make_store`."""

    machine_examples = 20
    """How many runs the comparison with a dictionary makes; `DPB_SOAK=1` makes fifty times as many."""

    @pytest.fixture
    def make_store(self) -> Maker:
        """Return a function that makes a closed store, each time on the same, at first empty place."""
        raise NotImplementedError("override the fixture make_store")

    @pytest.fixture
    def reopened(self, make_store: Maker) -> Callable[[Store], Store]:
        """Return a function that closes a store and opens another on the same place."""

        def reopen(store: Store) -> Store:
            store.close()
            again = make_store()
            again.open()
            return again

        return reopen

    @pytest.fixture
    def store(self, make_store: Maker) -> Iterator[Store]:
        """Return an open store."""
        store = make_store()
        store.open()
        yield store
        store.close()

    @contextmanager
    def _open(self, make_store: Maker) -> Iterator[Store]:
        store = make_store()
        store.open()
        try:
            yield store
        finally:
            store.close()

    def test_a_second_opening_is_refused_while_the_first_lasts(self, make_store: Maker) -> None:
        """S1."""
        first = make_store()
        first.open()
        try:
            with pytest.raises(StoreLocked):
                make_store().open()
            first.submit(batch([NetworkRecord("net", "switch")])).result(WAIT)
        finally:
            first.close()
        with self._open(make_store) as second:
            assert second.load().tables[NetworkRecord] == [NetworkRecord("net", "switch")]

    def test_a_new_store_is_empty(self, store: Store) -> None:
        """S6. Every table is named, without records; there are no events and no items."""
        contents = store.load()
        assert {table: list(rows) for table, rows in contents.tables.items() if table is not EventRecord} == {
            table: [] for table in TABLES if table is not EventRecord
        }
        assert dict(contents.last_events) == {}
        assert list(store.events("net", 0, 10) or ()) == []
        assert store.items("any") == {}

    def test_every_kind_of_record_comes_back_as_it_was(self, make_store: Maker) -> None:
        """S3, S6, S11. At once and after closing and opening."""
        for opening in range(2):
            with self._open(make_store) as store:
                if opening == 0:
                    store.submit(batch(sample())).result(WAIT)
                contents = store.load()
                for record in sample():
                    if isinstance(record, EventRecord):
                        assert list(store.events("net", 0, 10) or ()) == [record.event]
                    else:
                        assert list(contents.tables[type(record)]) == [record]
                assert contents.last_events["net"] == 1
                assert store.items("net") == {"colours": sample()[-1]}

    def test_a_put_replaces_the_record_with_its_parts(self, store: Store) -> None:
        """S6. Fewer labels, circuits, tunnels or parts than before leave nothing behind."""
        store.submit(batch(sample())).result(WAIT)
        two = Segment.of(("c", 1, 1, 1), ("d", 2, 2, 2))
        after: tuple[Record, ...] = (
            NetworkRecord("net", "aggregator", 9),
            TerminalRecord("net", Terminal("a", "inferior:t", 5, None, ((2, 2),))),
            TrunkRecord("net", Trunk("ab", ("i", "x"), ("j", "y"), 1, 2, 3, (LabelRange(7, 1, 7),))),
            ServiceRecord("net", 1, None, "other", Desired.RELEASED, Status.RELEASING),
            SegmentRecord("net", 1, Role.CURRENT, two, two),
            AttemptRecord("net", 1, 1, Role.RETIRED, (Tunnel("bc", 4, 1, 1),), ()),
            ModelRecord("net", "i", NetworkModel()),
            Item("net", "colours", None, 2),
        )
        store.submit(batch(after)).result(WAIT)
        tables = store.load().tables
        assert [list(tables[type(record)]) for record in after] == [[record] for record in after]

    def test_records_come_in_the_order_of_their_keys(self, store: Store) -> None:
        """S6. Text in the order of its code points, numbers as numbers."""
        names = ["Z", "a", "ä", "z", "𝄞", "B", "10", "9", "\uffee"]
        services = [ServiceRecord("Z", i, None, "me", Desired.DORMANT, Status.DORMANT) for i in (10, 9, 100, 1)]
        store.submit(batch([*(NetworkRecord(name, "switch") for name in names), *services])).result(WAIT)
        tables = store.load().tables
        # A table has one kind of record.
        assert [record.name for record in tables[NetworkRecord]] == sorted(names)  # type: ignore[union-attr]
        # A table has one kind of record.
        assert [record.id for record in tables[ServiceRecord]] == [1, 9, 10, 100]  # type: ignore[union-attr]

    def test_batches_take_effect_in_the_order_of_submission(self, store: Store) -> None:
        """S2, S7. Also when many are on their way at once: replies settle in that order too."""
        order: list[int] = []
        replies = []
        for i in range(200):
            reply = store.submit(batch([NetworkRecord("net", "switch", i), NetworkRecord(f"n{i % 7}", "switch", i)]))
            # Mypy knows no type of a default of a lambda.
            reply.then(lambda _, i=i: order.append(i))  # type: ignore[misc]
            replies.append(reply)
        for reply in replies:
            reply.result(WAIT)
        store.flush(WAIT)
        assert order == list(range(200))
        last = {record.key[0]: record for record in store.load().tables[NetworkRecord]}
        assert last["net"] == NetworkRecord("net", "switch", 199)
        # A table has one kind of record.
        assert [last[f"n{i}"].last_service for i in range(7)] == [  # type: ignore[union-attr]
            max(n for n in range(200) if n % 7 == i) for i in range(7)
        ]

    def test_what_nobody_waits_for_is_kept_in_its_place(self, store: Store) -> None:
        """S2, S7: a lazy batch is kept by itself, and between others in its order."""
        store.submit(Batch([Item("ns", "alone", 1)], lazy=True)).result(WAIT)
        replies = [store.submit(Batch([Item("ns", "x", i)], lazy=i % 2 == 0)) for i in range(20)]
        for reply in replies:
            reply.result(WAIT)
        assert {name: item.value for name, item in store.items("ns").items()} == {"alone": 1, "x": 19}

    def test_batches_from_many_threads_are_all_kept(self, store: Store) -> None:
        """S2, S7."""
        store.submit(batch([NetworkRecord("net", "switch")])).result(WAIT)
        start = threading.Barrier(4)

        def work(thread: int) -> None:
            start.wait(WAIT)
            for i in range(25):
                number = 25 * thread + i + 1
                service = ServiceRecord("net", number, f"h{number}", "me", Desired.DORMANT, Status.DORMANT)
                replies.append(store.submit(batch([service])))

        replies: list[Reply[None]] = []
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        for reply in replies:
            reply.result(WAIT)
        assert [record.key for record in store.load().tables[ServiceRecord]] == [("net", i) for i in range(1, 101)]

    def test_a_record_without_its_owner_is_refused_with_its_batch(self, store: Store) -> None:
        """S2, S7, S8. And only that batch, whatever comes before and after it at the same time."""
        store.submit(batch([NetworkRecord("net", "switch")])).result(WAIT)
        segment = Segment.of(("a", 1, 1, 1), ("b", 1, 1, 1))
        orphans: list[Record] = [
            ServiceRecord("nowhere", 1, None, "me", Desired.DORMANT, Status.DORMANT),
            TerminalRecord("nowhere", Terminal("a", "p")),
            TrunkRecord("nowhere", Trunk("t", ("a", "b"), ("c", "d"), 1, 1)),
            SegmentRecord("net", 99, Role.CURRENT, segment, segment),
            AttemptRecord("net", 99, 1, Role.CURRENT),
            EventRecord(Event("nowhere", 1, EventKind.SERVICE)),
            ModelRecord("nowhere", "i", NetworkModel()),
        ]
        bad, good = [], []
        for i, orphan in enumerate(orphans):
            good.append(store.submit(batch([NetworkRecord(f"good{i}", "switch")])))
            bad.append(_submitted(store, batch([NetworkRecord(f"bad{i}", "switch"), Item("bad", str(i), 1), orphan])))
        good.append(store.submit(batch([NetworkRecord("last", "switch")])))
        for reply in good:
            reply.result(WAIT)
        for reply in bad:
            with pytest.raises(CommitFailed):
                reply.result(WAIT)
        names = [record.key[0] for record in store.load().tables[NetworkRecord]]
        assert names == [*(f"good{i}" for i in range(len(orphans))), "last", "net"]
        assert store.items("bad") == {}

    def test_an_expectation_is_held_against_the_batches_before(self, store: Store) -> None:
        """S8. Checked in the order of submission; a stale batch has no effect at all."""
        first = store.submit(batch([Item("ns", "x", "one", 1)], expects={("ns", "x"): 0}))
        second = store.submit(batch([Item("ns", "x", "two", 2)], expects={("ns", "x"): 1}))
        other = batch([Item("ns", "x", "other", 2), Item("ns", "y", 1)], expects={("ns", "x"): 1})
        stale = _submitted(store, other)
        third = store.submit(batch([Item("ns", "x", "three", 3)], expects={("ns", "x"): 2, ("ns", "y"): 0}))
        gone = store.submit(batch(drops=[(Item, ("ns", "x"))], expects={("ns", "x"): 3}))
        anew = store.submit(batch([Item("ns", "x", "anew", 1)], expects={("ns", "x"): 0}))
        for reply in (first, second, third, gone, anew):
            reply.result(WAIT)
        with pytest.raises(VersionStale) as caught:
            stale.result(WAIT)
        assert caught.value.facts == VersionStale("ns", "x", 1, 2).facts
        assert store.items("ns") == {"x": Item("ns", "x", "anew", 1)}

    def test_dropping_what_is_not_there_does_nothing(self, store: Store) -> None:
        """S9."""
        store.submit(batch(drops=[(type(record), record.key) for record in sample()])).result(WAIT)
        assert list(store.load().tables[NetworkRecord]) == []

    def test_every_kind_of_record_can_be_dropped(self, store: Store) -> None:
        """S9. The service and the network last, because they take others with them."""
        records = sample()
        store.submit(batch(records)).result(WAIT)
        for record in sorted(records, key=lambda r: (type(r) is NetworkRecord, type(r) is ServiceRecord)):
            store.submit(batch(drops=[(type(record), record.key)])).result(WAIT)
            assert list(store.load().tables.get(type(record), ())) == []
        assert list(store.events("net", 0, 10) or ()) == []

    def test_dropping_a_service_drops_its_segments_and_attempts(self, store: Store) -> None:
        """S9. And nobody else's; the service may come back bare in a batch right after."""
        store.submit(batch([*sample(), *sample("net2"), *sample("net", 2)])).result(WAIT)
        store.submit(batch(drops=[(ServiceRecord, ("net", 1))]))
        bare = ServiceRecord("net", 1, None, "new", Desired.DORMANT, Status.DORMANT)
        store.submit(batch([bare])).result(WAIT)
        tables = store.load().tables
        assert bare in tables[ServiceRecord]
        for table in (SegmentRecord, AttemptRecord):
            assert [record.key[:2] for record in tables[table]] == [("net", 2), ("net2", 1)]

    def test_dropping_a_network_drops_all_that_is_its(self, store: Store) -> None:
        """S9. But items belong to no network."""
        store.submit(batch([*sample(), *sample("other")])).result(WAIT)
        store.submit(batch(drops=[(NetworkRecord, ("net",))])).result(WAIT)
        contents = store.load()
        for table, rows in contents.tables.items():
            if table not in (Item, EventRecord):
                assert [record.key[0] for record in rows] == ["other"]
        assert "net" not in contents.last_events
        assert list(store.events("net", 0, 10) or ()) == []
        assert list(store.items("net")) == ["colours"]
        store.submit(batch([NetworkRecord("net", "switch")])).result(WAIT)
        assert list(store.events("net", 0, 10) or ()) == []

    def test_dropping_a_network_just_made_leaves_nothing(self, store: Store) -> None:
        """S2, S9. Also when all of it is on its way at once."""
        store.submit(batch(sample()))
        store.submit(batch(drops=[(NetworkRecord, ("net",))]))
        store.submit(batch([NetworkRecord("net", "switch")])).result(WAIT)
        tables = store.load().tables
        assert list(tables[NetworkRecord]) == [NetworkRecord("net", "switch")]
        assert not any(tables[table] for table in tables if table not in (NetworkRecord, Item, EventRecord))

    def test_events_come_in_order_after_the_one_seen(self, store: Store) -> None:
        """S10."""
        store.submit(batch([NetworkRecord("net", "switch"), NetworkRecord("quiet", "switch")])).result(WAIT)
        for i in range(1, 8):
            store.submit(batch([EventRecord(Event("net", i, EventKind.TERMINAL, {"name": f"t{i}"}), i)])).result(WAIT)
        assert _numbers(store, "net", 0, 100) == [1, 2, 3, 4, 5, 6, 7]
        assert _numbers(store, "net", 3, 2) == [4, 5]
        assert _numbers(store, "net", 7, 10) == []
        assert _numbers(store, "net", 0, 0) == []
        assert _numbers(store, "quiet", 0, 10) == []
        assert list(store.events("net", 6, 1) or ()) == [Event("net", 7, EventKind.TERMINAL, {"name": "t7"})]
        assert dict(store.load().last_events) == {"net": 7, "quiet": 0}

    def test_ten_thousand_events_are_kept_and_a_gap_is_told(
        self, store: Store, reopened: Callable[[Store], Store]
    ) -> None:
        """S10. Events written earlier than the last 10,000 may be gone: then the answer is None, never a gap."""
        networks = [NetworkRecord("net", "switch"), NetworkRecord("calm", "switch")]
        store.submit(batch([*networks, EventRecord(Event("calm", 1, EventKind.TRUNK))]))
        last = KEPT_EVENTS + 15_000
        for first in range(1, last, 250):
            store.submit(batch([EventRecord(Event("net", first + i, EventKind.TRUNK)) for i in range(250)]))
        store.flush(WAIT)
        for _ in range(2):
            kept = _numbers(store, "net", last - KEPT_EVENTS, last)
            assert kept == list(range(last - KEPT_EVENTS + 1, last + 1))
            assert store.events("net", 0, 10) is None
            assert _numbers(store, "calm", 0, 10) == [1]
            assert store.load().last_events["net"] == last
            store = reopened(store)
        store.close()

    def test_a_closed_store_takes_nothing_more(self, make_store: Maker) -> None:
        """S4, S7. What was submitted before is kept; closing again does nothing."""
        store = make_store()
        store.open()
        replies = [store.submit(batch([NetworkRecord(f"n{i}", "switch")])) for i in range(20)]
        store.close()
        store.close()
        for reply in replies:
            assert reply.settled
            reply.result(WAIT)
        late = _submitted(store, batch([NetworkRecord("late", "switch")]))
        with pytest.raises(Stopped):
            late.result(WAIT)
        with self._open(make_store) as again:
            assert len(again.load().tables[NetworkRecord]) == 20

    def test_the_id_stays(self, store: Store, reopened: Callable[[Store], Store]) -> None:
        """S5."""
        first = store.uuid
        assert str(uuid.UUID(first)) == first
        again = reopened(store)
        assert again.uuid == first
        again.close()

    def test_flush_waits_for_all_before(self, store: Store) -> None:
        """S12."""
        replies = [store.submit(batch([Item("ns", f"i{i}", i)])) for i in range(50)]
        store.flush(WAIT)
        assert all(reply.settled for reply in replies)
        assert len(store.items("ns")) == 50

    def test_items_are_those_of_their_namespace(self, store: Store) -> None:
        """S11. Not those of another, also of one that is called alike, or has an item of the same name."""
        namespaces = ("ns", "NS", "n", "ns%", "n_")
        store.submit(batch([Item(space, name, space) for space in namespaces for name in "ab"])).result(WAIT)
        for space in namespaces:
            assert store.items(space) == {name: Item(space, name, space) for name in "ab"}
        assert store.items("%") == {}

    def test_a_callback_may_submit(self, store: Store) -> None:
        """S7."""
        second: list[Reply[None]] = []
        done = threading.Event()

        def go_on(_: Reply[None]) -> None:
            second.append(store.submit(batch([Item("ns", "second", 2)])))
            second[0].then(lambda _: done.set())

        store.submit(batch([Item("ns", "first", 1)])).then(go_on)
        assert done.wait(WAIT)
        assert sorted(store.items("ns")) == ["first", "second"]

    def test_it_is_a_dictionary_that_lasts(self, make_store: Maker) -> None:
        """S2, S6, S8, S9, S10, S11. Whatever is put and dropped, compared with a plain dictionary."""
        soak = os.environ.get("DPB_SOAK") == "1"
        run_state_machine_as_test(
            store_machine(make_store),
            settings=settings(
                max_examples=self.machine_examples * (50 if soak else 1),
                stateful_step_count=60 if soak else 25,
                deadline=None,
                # The same examples each time: a run tells of the change that was made. A soak looks for new ones.
                derandomize=not soak,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
