"""A store compared with a plain dictionary, by a Hypothesis state machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from dpb_framework.contracts.store import (
    TABLES,
    AttemptRecord,
    Batch,
    EventRecord,
    Item,
    Key,
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
from dpb_framework.errors import VersionStale
from dpb_framework.model import (
    FREE,
    Change,
    Chord,
    Circuit,
    Constraints,
    Desired,
    End,
    Event,
    EventKind,
    Fault,
    Fragment,
    LabelRange,
    NetworkModel,
    Segment,
    Status,
    Terminal,
    TrafficFlow,
    Trunk,
    Tunnel,
)
from dpb_framework.reply import Reply

Maker: TypeAlias = Callable[[], Store]
"""Makes a closed store, each time on the same place."""

_WAIT = 30.0

# Few names, so that records meet; awkward ones, so that no text is taken for anything but text.
NAMES = st.sampled_from(["a", "A", "b'--", 'say "hi"', "ünïcödé", "🚀", "100%s%(x)s", ":p", "\\", "{}", "?;"])
NETWORKS = st.sampled_from(["net", "né't", "🕸%"])
IDS = st.integers(1, 4)
RATES = st.integers(0, 10**12)
LABELS = st.integers(0, (1 << 24) - 1)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=3)
ENDS = st.builds(
    End,
    st.builds(Circuit, NAMES, st.none() | LABELS),
    st.builds(TrafficFlow, RATES, RATES),
)
_SOME = st.lists(NAMES, max_size=2)
CONSTRAINTS = st.just(FREE) | st.builds(Constraints, _SOME, _SOME, _SOME, _SOME, st.none() | st.integers(0, 10**9))
_ENDS = st.lists(ENDS, min_size=2, max_size=4)
SEGMENTS = st.builds(Segment, _ENDS, CONSTRAINTS)


def _tuples(strategy: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


@st.composite
def _segments(draw: st.DrawFn) -> SegmentRecord:
    """Chosen is what was asked for with labels filled in."""
    asked = draw(SEGMENTS)
    chosen = Segment(
        (
            End(
                Circuit(end.circuit.terminal, draw(LABELS) if end.circuit.label is None else end.circuit.label),
                end.flow,
            )
            for end in asked.ends
        ),
        asked.constraints,
    )
    return SegmentRecord(
        draw(NETWORKS),
        draw(IDS),
        draw(st.sampled_from([Role.CURRENT, Role.NEXT])),
        asked,
        draw(st.sampled_from([asked, chosen])),
    )


_PLACES = st.tuples(NAMES, NAMES)
_MODELS = st.builds(
    NetworkModel,
    _tuples(
        st.builds(
            Fragment,
            _tuples(NAMES),
            st.none() | _tuples(st.builds(Chord, NAMES, NAMES, RATES, RATES, st.integers(0, 10**9))),
        )
    ),
)
RECORDS: Mapping[type[Record], st.SearchStrategy[Any]] = {
    NetworkRecord: st.builds(
        NetworkRecord, NETWORKS, st.sampled_from(["switch", "aggregator"]), st.integers(0, 10**12)
    ),
    TerminalRecord: st.builds(
        TerminalRecord,
        NETWORKS,
        st.builds(Terminal, NAMES, NAMES, st.none() | RATES, st.none() | RATES, _tuples(st.tuples(LABELS, LABELS))),
    ),
    TrunkRecord: st.builds(
        TrunkRecord,
        NETWORKS,
        st.builds(
            Trunk,
            NAMES,
            _PLACES,
            _PLACES,
            RATES,
            RATES,
            st.integers(0, 10**9),
            _tuples(st.builds(LabelRange, LABELS, st.integers(1, 4094), LABELS)),
            st.booleans(),
        ),
    ),
    ServiceRecord: st.builds(
        ServiceRecord,
        NETWORKS,
        IDS,
        st.none() | NAMES,
        NAMES,
        st.sampled_from(Desired),
        st.sampled_from(Status),
        st.booleans(),
        st.sampled_from(Change),
        st.none() | st.builds(Fault, NAMES, NAMES, OBJECTS),
    ),
    SegmentRecord: _segments(),
    AttemptRecord: st.builds(
        AttemptRecord,
        NETWORKS,
        IDS,
        IDS,
        st.sampled_from(Role),
        _tuples(st.builds(Tunnel, NAMES, LABELS, RATES, RATES)),
        _tuples(st.builds(Subservice, st.integers(0, 5), NAMES, NAMES, _ENDS.map(Segment)), most=2),
    ),
    ModelRecord: st.builds(ModelRecord, NETWORKS, NAMES, _MODELS),
    Item: st.builds(Item, NAMES, NAMES, JSON, st.integers(1, 10**9)),
}
KEYS: Mapping[type[Record], st.SearchStrategy[Key]] = {
    NetworkRecord: st.tuples(NETWORKS),
    TerminalRecord: st.tuples(NETWORKS, NAMES),
    TrunkRecord: st.tuples(NETWORKS, NAMES),
    ServiceRecord: st.tuples(NETWORKS, IDS),
    SegmentRecord: st.tuples(NETWORKS, IDS, st.sampled_from(Role)),
    AttemptRecord: st.tuples(NETWORKS, IDS, IDS),
    ModelRecord: st.tuples(NETWORKS, NAMES),
    Item: st.tuples(NAMES, NAMES),
}


def batch(
    puts: Iterable[Record] = (),
    drops: Iterable[tuple[type[Record], Key]] = (),
    expects: Mapping[tuple[str, str], int] | None = None,
) -> Batch:
    """Return a batch of whatever can be iterated."""
    return Batch(tuple(puts), tuple(drops), expects or {})


class Dictionary:
    """What a store is to do, in a dictionary: table -> key -> record."""

    def __init__(self) -> None:
        self.tables: dict[type[Record], dict[Key, Record]] = {table: {} for table in TABLES}

    def drop(self, table: type[Record], key: Key) -> None:
        """Drop a record with all that is its."""
        self.tables[table].pop(key, None)
        if table in (NetworkRecord, ServiceRecord):
            for other, rows in self.tables.items():
                if other is not Item and (table is NetworkRecord or other in (SegmentRecord, AttemptRecord)):
                    for owned in [owned for owned in rows if owned[: len(key)] == key]:
                        del rows[owned]

    def apply(self, batch: Batch) -> None:
        """Let a batch take effect."""
        for table, key in batch.drops:
            self.drop(table, key)
        for record in batch.puts:
            self.tables[type(record)][record.key] = record

    def has_owner(self, record: Record, made: Mapping[tuple[type[Record], Key], Record]) -> bool:
        """Whether the network and service of a record are there, or among those made in its batch."""
        if isinstance(record, Item | NetworkRecord):
            return True
        owners: list[tuple[type[Record], Key]] = [(NetworkRecord, record.key[:1])]
        if isinstance(record, SegmentRecord | AttemptRecord):
            owners.append((ServiceRecord, record.key[:2]))
        return all(owner in made or owner[1] in self.tables[owner[0]] for owner in owners)

    def version(self, key: tuple[str, str]) -> int:
        """The version of an item, 0 for none."""
        item = self.tables[Item].get(key)
        return item.version if isinstance(item, Item) else 0

    def events(self, network: str) -> list[Event]:
        """The events of a network by number."""
        rows = self.tables[EventRecord]
        # A table has one kind of record.
        return [rows[key].event for key in sorted(rows) if key[0] == network]  # type: ignore[union-attr]


class StoreMachine(RuleBasedStateMachine):
    """The rules; `store_machine` binds them to a store."""

    make: Maker

    def __init__(self) -> None:
        super().__init__()
        self.dictionary = Dictionary()
        self.pending: list[tuple[Reply[None], VersionStale | None]] = []
        self.store = self.make()
        self.store.open()

    @initialize()
    def empty(self) -> None:
        """Drop what the last run left."""
        tables = self.store.load().tables
        drops: list[tuple[type[Record], Key]] = [
            (table, record.key) for table in (NetworkRecord, Item) for record in tables[table]
        ]
        self.store.submit(batch(drops=drops)).result(_WAIT)

    @rule(data=st.data())
    def submit(self, data: st.DataObject) -> None:
        """Queue a batch of anything, with an expectation now and then; do not wait for it."""
        drops: list[tuple[type[Record], Key]] = []
        dropped = Dictionary()
        dropped.tables = {table: dict(rows) for table, rows in self.dictionary.tables.items()}
        for table in data.draw(st.lists(st.sampled_from(list(KEYS)), max_size=2), "dropped tables"):
            key = data.draw(KEYS[table], "dropped key")
            drops.append((table, key))
            dropped.drop(table, key)
        puts: dict[tuple[type[Record], Key], Record] = {}
        for table in data.draw(st.lists(st.sampled_from(list(RECORDS)), max_size=6), "tables"):
            record = data.draw(RECORDS[table], "record")
            if (table, record.key) not in drops and dropped.has_owner(record, puts):
                puts[table, record.key] = record
        for network in data.draw(st.lists(NETWORKS, max_size=3), "events"):
            numbers = [key[1] for key in (*dropped.tables[EventRecord], *_keys(puts)) if key[0] == network]
            event = EventRecord(
                Event(network, max(numbers, default=0) + 1, data.draw(st.sampled_from(EventKind)), data.draw(OBJECTS)),
                data.draw(st.integers(0, 2 * 10**15)),
            )
            if dropped.has_owner(event, puts):
                puts[EventRecord, event.key] = event
        expects, fault = {}, None
        if data.draw(st.booleans(), "expect"):
            item = data.draw(KEYS[Item], "expected item")
            found = self.dictionary.version((item[0], item[1]))
            version = data.draw(st.just(found) | st.integers(0, 3), "version")
            expects = {(item[0], item[1]): version}
            if version != found:
                fault = VersionStale(item[0], item[1], version, found)
        change = batch(puts.values(), drops, expects)
        self.pending.append((self.store.submit(change), fault))
        if fault is None:
            self.dictionary.apply(change)

    @rule()
    def compare(self) -> None:
        """Wait for all and compare."""
        self.store.flush(_WAIT)
        for reply, fault in self.pending:
            assert reply.settled
            if fault is None:
                assert reply.error is None
            else:
                assert isinstance(reply.error, VersionStale)
                assert reply.error.facts == fault.facts
        self.pending.clear()
        contents = self.store.load()
        expected = {
            table: [rows[key] for key in sorted(rows)]
            for table, rows in self.dictionary.tables.items()
            if table is not EventRecord
        }
        assert {table: list(rows) for table, rows in contents.tables.items() if table is not EventRecord} == expected
        last = {key[0]: 0 for key in self.dictionary.tables[NetworkRecord]}
        last |= dict(sorted((key[0], key[1]) for key in self.dictionary.tables[EventRecord]))
        assert dict(contents.last_events) == last

    @rule(network=NETWORKS, after=st.integers(0, 5), limit=st.integers(0, 5))
    def events(self, network: str, after: int, limit: int) -> None:
        """Read events after waiting for all."""
        self.store.flush(_WAIT)
        expected = [event for event in self.dictionary.events(network) if event.number > after][:limit]
        assert list(self.store.events(network, after, limit) or ()) == expected

    @rule(namespace=NAMES)
    def items(self, namespace: str) -> None:
        """Read a namespace after waiting for all."""
        self.store.flush(_WAIT)
        items = self.dictionary.tables[Item]
        assert dict(self.store.items(namespace)) == {key[1]: items[key] for key in items if key[0] == namespace}

    @rule()
    def reopen(self) -> None:
        """Close with batches on their way, and open again."""
        before = self.store.uuid
        self.store.close()
        self.store = self.make()
        self.store.open()
        assert self.store.uuid == before
        self.compare()

    def teardown(self) -> None:
        """Compare a last time and close."""
        try:
            self.compare()
        finally:
            self.store.close()


def _keys(puts: Mapping[tuple[type[Record], Key], Record]) -> list[Key]:
    return [key for table, key in puts if table is EventRecord]


def store_machine(make: Maker) -> type[RuleBasedStateMachine]:
    """Return the state machine for the stores that *make* makes, all of them on one place.

    Run it with `hypothesis.stateful.run_state_machine_as_test`; `StoreContract` does. What is in the store when a
    run begins is dropped.
    """
    return type("BoundStoreMachine", (StoreMachine,), {"make": staticmethod(make)})
