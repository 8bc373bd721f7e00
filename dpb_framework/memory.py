"""A store in memory: for tests, benchmarks and brokers that need not remember."""

from __future__ import annotations

import threading
import uuid
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from dpb_framework.contracts.store import (
    TABLES,
    AttemptRecord,
    Batch,
    Contents,
    EventRecord,
    Item,
    Key,
    NetworkRecord,
    Record,
    Role,
    SegmentRecord,
    ServiceRecord,
    Store,
)
from dpb_framework.errors import CommitFailed, DpbError, Stopped, StoreLocked, VersionStale
from dpb_framework.model import Event
from dpb_framework.reply import Reply

KEEP = 10_000
"""So many of each network's last events are kept."""

_KEPT: Reply[None] = Reply.of(None)


class MemoryStore(Store):
    """A store that forgets with its object: `close` and `open` of the same object keep the contents.

    A batch takes effect in `submit`, whose reply is settled when it returns. Safe for any number of threads. Like
    every store it refuses (`CommitFailed`) a record whose network or service is not there.
    """

    durable = False

    def __init__(self) -> None:
        self._uuid = str(uuid.uuid4())
        self._lock = threading.Lock()
        self._opened = False
        self._tables: dict[type[Record], dict[Key, Any]] = {table: {} for table in TABLES if table is not EventRecord}
        self._networks = self._tables[NetworkRecord]
        self._services = self._tables[ServiceRecord]
        self._segments = self._tables[SegmentRecord]
        self._attempts: dict[Key, dict[int, AttemptRecord]] = {}
        self._events: dict[str, deque[Event]] = {}  # in the order of their numbers
        # What a put does, by table: a call each, because this is the inner loop of benchmarks.
        self._put: dict[type[Record], Callable[[Any], None]] = {
            table: self._putter(rows) for table, rows in self._tables.items()
        }
        self._put[ServiceRecord] = self._put_service
        self._put[SegmentRecord] = self._put_segment
        self._put[AttemptRecord] = self._put_attempt
        self._put[EventRecord] = self._put_event

    def open(self) -> None:
        """Take the lease of this object; `StoreLocked` when it is open."""
        with self._lock:
            if self._opened:
                raise StoreLocked("in memory", "this process")
            self._opened = True

    def close(self) -> None:
        """Give up the lease; what is stored stays in the object."""
        with self._lock:
            self._opened = False

    @property
    def uuid(self) -> str:
        """The id of this object."""
        return self._uuid

    def load(self) -> Contents:
        """Return all records, sorted by key, and the number of each network's last event (0 for none)."""
        with self._lock:
            self._check_open()
            tables = {table: dict(rows) for table, rows in self._tables.items()}
            tables[AttemptRecord] = {
                (*service, number): record
                for service, attempts in self._attempts.items()
                for number, record in attempts.items()
            }
            last = {key[0]: _last(self._events.get(key[0])) for key in self._networks}
        return Contents({table: [rows[key] for key in sorted(rows)] for table, rows in tables.items()}, last)

    def submit(self, batch: Batch) -> Reply[None]:
        """Do what the batch says at once; the reply is settled."""
        with self._lock:
            fault = self._fault(batch)
            if fault is not None:
                return Reply.failed(fault)
            for table, key in batch.drops:
                self._drop(table, key)
            put = self._put
            for record in batch.puts:
                put[type(record)](record)
        return _KEPT

    def events(self, network: str, after: int, limit: int) -> Sequence[Event] | None:
        """Return the events above *after*, at most *limit*, or None when the first of them was let go."""
        with self._lock:
            self._check_open()
            events = self._events.get(network)
            if not events:
                return ()
            first = events[0].number
            if after + 1 < first and first > 1:
                return None
            start = bisect_right(events, after, key=lambda event: event.number)
            return tuple(islice(events, start, start + max(limit, 0)))

    def items(self, namespace: str) -> Mapping[str, Item]:
        """Return the items of a namespace by name."""
        with self._lock:
            self._check_open()
            return {key[1]: item for key, item in self._tables[Item].items() if key[0] == namespace}

    def _check_open(self) -> None:
        if not self._opened:
            raise Stopped("the store")

    def _fault(self, batch: Batch) -> DpbError | None:
        """Return why nothing of the batch may take effect, or None."""
        if not self._opened:
            return Stopped("the store")
        if batch.expects and (stale := self._stale(batch)) is not None:
            return stale
        # The usual batch touches what is there already or what it makes just before: look closer only when it
        # seems to have an orphan.
        networks, services = self._networks, self._services
        known = None  # a network that is there, or comes into being here
        service: Key = ()
        for record in batch.puts:
            kind = type(record)
            if kind is EventRecord:
                name = record.event.network  # type: ignore[union-attr]  # its kind says what it has, here and below
            elif kind is SegmentRecord or kind is AttemptRecord:
                # The kinds of record that have an owner.
                owner = (record.network, record.service)  # type: ignore[union-attr]
                if owner != service and owner not in services:
                    return self._orphan(batch)
                continue
            elif kind is NetworkRecord:
                known = record.name  # type: ignore[union-attr]
                continue
            elif kind is Item:
                continue
            else:
                name = record.network  # type: ignore[union-attr]
                if kind is ServiceRecord:
                    service = (name, record.id)  # type: ignore[union-attr]
            if name != known:
                if (name,) not in networks:
                    return self._orphan(batch)
                known = name
        return self._orphan(batch) if batch.drops else None

    def _stale(self, batch: Batch) -> VersionStale | None:
        for key, expected in batch.expects.items():
            item = self._tables[Item].get(key)
            found = 0 if item is None else item.version
            if found != expected:
                return VersionStale(*key, expected, found)
        return None

    def _orphan(self, batch: Batch) -> CommitFailed | None:
        gone = {key for table, key in batch.drops if table is NetworkRecord or table is ServiceRecord}
        made = {record.key for record in batch.puts if isinstance(record, NetworkRecord | ServiceRecord)}
        for record in batch.puts:
            if isinstance(record, Item | NetworkRecord):
                continue
            network = record.key[:1]
            if network not in made and (network in gone or network not in self._networks):
                return CommitFailed(f"there is no network {network[0]!r} for {record.key!r}")
            if isinstance(record, SegmentRecord | AttemptRecord):
                service = record.key[:2]
                if service in made:
                    continue
                if service in gone or network in gone or service not in self._services:
                    return CommitFailed(f"there is no service {service[1]} of network {service[0]!r}")
        return None

    @staticmethod
    def _putter(rows: dict[Key, Any]) -> Callable[[Any], None]:
        def put(record: Any) -> None:
            rows[record.key] = record

        return put

    def _put_service(self, record: ServiceRecord) -> None:
        self._services[record.network, record.id] = record

    def _put_segment(self, record: SegmentRecord) -> None:
        self._segments[record.network, record.service, record.role] = record

    def _put_attempt(self, record: AttemptRecord) -> None:
        service = (record.network, record.service)
        attempts = self._attempts.get(service)
        if attempts is None:
            attempts = self._attempts[service] = {}
        attempts[record.number] = record

    def _put_event(self, record: EventRecord) -> None:
        event = record.event
        events = self._events.get(event.network)
        if events is None:
            events = self._events[event.network] = deque(maxlen=KEEP)
        if events and event.number <= events[-1].number:
            # Out of order, which a network never does: what is kept stays sorted all the same.
            self._drop_event(record.key)
            if len(events) == KEEP:
                oldest = events.popleft()
                event = max(event, oldest, key=lambda other: other.number)
            insort(events, event, key=lambda other: other.number)
        else:
            events.append(event)

    def _drop_event(self, key: Key) -> None:
        events = self._events.get(key[0], ())
        for event in [event for event in events if event.number == key[1]]:
            self._events[key[0]].remove(event)

    def _drop(self, table: type[Record], key: Key) -> None:
        if table is AttemptRecord:
            self._attempts.get(key[:2], {}).pop(key[2], None)
        elif table is EventRecord:
            self._drop_event(key)
        else:
            self._tables[table].pop(key, None)
        if table is ServiceRecord:
            self._attempts.pop(key, None)
            for role in Role:
                self._tables[SegmentRecord].pop((*key, role), None)
        elif table is NetworkRecord:
            self._drop_network(key[0])

    def _drop_network(self, network: str) -> None:
        self._events.pop(network, None)
        for key in [key for key in self._attempts if key[0] == network]:
            del self._attempts[key]
        for table, rows in self._tables.items():
            if table is not Item:
                for key in [key for key in rows if key[0] == network]:
                    del rows[key]


def _last(events: Sequence[Event] | None) -> int:
    return events[-1].number if events else 0
