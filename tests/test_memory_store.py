"""The store in memory: the contract, and what is only its own."""

import pytest

from dpb_framework.contracts.store import Batch, EventRecord, NetworkRecord
from dpb_framework.errors import Stopped
from dpb_framework.memory import KEEP, MemoryStore
from dpb_framework.model import Event, EventKind
from dpb_framework.testing.store import Maker, StoreContract


class TestMemoryStore(StoreContract):
    machine_examples = 40

    @pytest.fixture
    def make_store(self) -> Maker:
        store = MemoryStore()
        return lambda: store

    def test_it_says_that_it_forgets(self):
        assert not MemoryStore.durable

    def test_a_submit_settles_at_once(self, store):
        assert store.submit(Batch([NetworkRecord("net", "switch")])).settled

    def test_two_objects_are_two_stores(self, store):
        other = MemoryStore()
        other.open()
        store.submit(Batch([NetworkRecord("net", "switch")]))
        assert other.uuid != store.uuid
        assert list(other.load().tables[NetworkRecord]) == []

    def test_nothing_is_read_from_a_closed_store(self, store):
        store.close()
        for read in (store.load, lambda: store.events("net", 0, 1), lambda: store.items("ns")):
            with pytest.raises(Stopped):
                read()

    def test_events_do_not_pile_up(self, store):
        store.submit(Batch([NetworkRecord("net", "switch")]))
        for first in range(1, 3 * KEEP, 100):
            store.submit(Batch([EventRecord(Event("net", first + i, EventKind.TRUNK)) for i in range(100)]))
        assert KEEP <= len(store._events["net"]) <= KEEP + 2_000

    def test_an_event_out_of_order_is_sorted_in(self, store):
        store.submit(Batch([NetworkRecord("net", "switch")]))
        for number in (1, 3, 2):
            store.submit(Batch([EventRecord(Event("net", number, EventKind.TRUNK))]))
        assert [event.number for event in store.events("net", 0, 10)] == [1, 2, 3]
        assert store.load().last_events == {"net": 3}

    def test_an_event_out_of_order_takes_its_place_also_where_no_more_are_kept(self, store):
        def put(*numbers):
            store.submit(Batch([EventRecord(Event("net", n, EventKind.TERMINAL, {"name": str(n)})) for n in numbers]))

        store.submit(Batch([NetworkRecord("net", "switch")]))
        put(2, 5, 3)
        assert [event.number for event in store.events("net", 1, 9)] == [2, 3, 5]
        put(3)
        assert [event.number for event in store.events("net", 1, 9)] == [2, 3, 5]
        put(*range(6, KEEP + 8))
        put(4)
        assert [event.number for event in store.events("net", 7, 2)] == [8, 9]
        assert len(store.events("net", 8, KEEP)) == KEEP - 1
        store.submit(Batch(drops=[(EventRecord, ("net", KEEP + 7))]))
        assert store.load().last_events == {"net": KEEP + 6}
