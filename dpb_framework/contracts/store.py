"""The contract Store: what the broker remembers.

Clauses S1 to S12; `dpb_framework.testing.store` tests them. A store is tables of records with keys; a batch
puts and drops some of them, all or nothing. Data of events, faults and items is plain JSON (lists, no tuples).
Residuals are never stored: they follow from the tunnels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

from attrs import field

from dpb_framework.model import Change, Desired, Event, Fault, NetworkModel, Segment, Status, Terminal, Trunk, Tunnel
from dpb_framework.model.value import value
from dpb_framework.model.word import Word
from dpb_framework.reply import Reply

Key: TypeAlias = tuple[Any, ...]


@value
class NetworkRecord:
    """A network that this store knows. `last_service` is the greatest service id ever issued."""

    name: str
    kind: str
    last_service: int = 0

    @property
    def key(self) -> Key:
        """(network,)"""
        return (self.name,)


@value
class TerminalRecord:
    """A network's terminal."""

    network: str
    terminal: Terminal

    @property
    def key(self) -> Key:
        """(network, terminal)"""
        return (self.network, self.terminal.name)


@value
class TrunkRecord:
    """An aggregator's trunk with its labels."""

    network: str
    trunk: Trunk

    @property
    def key(self) -> Key:
        """(network, trunk)"""
        return (self.network, self.trunk.name)


@value
class ServiceRecord:
    """A service: its owner, where it is wanted, and where it was last seen.

    `remembered` is an activate that waits for a define. `change` is where a change without
    interruption is.
    """

    network: str
    id: int
    handle: str | None
    owner: str
    desired: Desired
    status: Status
    remembered: bool = False
    change: Change = Change.NONE
    error: Fault | None = None

    @property
    def key(self) -> Key:
        """(network, id)"""
        return (self.network, self.id)


class Role(Word):
    """What a segment or an attempt is to its service."""

    CURRENT = "current"
    NEXT = "next"
    RETIRED = "retired"
    """An attempt that is being removed; it holds what it took until every inferior has confirmed."""


@value
class SegmentRecord:
    """The circuits of a service; `role` is CURRENT or NEXT.

    `asked` is as its user gave it, `chosen` the same with the labels filled in that were left open.
    """

    network: str
    service: int
    role: Role
    asked: Segment
    chosen: Segment

    @property
    def key(self) -> Key:
        """(network, service, role)"""
        return (self.network, self.service, self.role)


@value
class Subservice:
    """A part of an attempt: what an inferior network is to do, under which handle. Its segment has no constraints."""

    part: int
    inferior: str
    handle: str
    segment: Segment


def _tunnels(values: Iterable[Tunnel]) -> tuple[Tunnel, ...]:
    return tuple(values)


def _parts(values: Iterable[Subservice]) -> tuple[Subservice, ...]:
    return tuple(values)


@value
class AttemptRecord:
    """One try to realise a segment: its tunnels and its subservices."""

    network: str
    service: int
    number: int
    role: Role
    tunnels: tuple[Tunnel, ...] = field(converter=_tunnels, default=())
    parts: tuple[Subservice, ...] = field(converter=_parts, default=())

    @property
    def key(self) -> Key:
        """(network, service, number)"""
        return (self.network, self.service, self.number)


@value
class EventRecord:
    """An event, written in the transaction that it tells of. `at` is Unix time in microseconds."""

    event: Event
    at: int = 0

    @property
    def key(self) -> Key:
        """(network, number)"""
        return (self.event.network, self.event.number)


@value
class ModelRecord:
    """The last known model of an aggregator's inferior network."""

    network: str
    inferior: str
    model: NetworkModel

    @property
    def key(self) -> Key:
        """(network, inferior)"""
        return (self.network, self.inferior)


@value
class Item:
    """An entry of a plugin's table: plain JSON data with a version that its writer counts from 1."""

    namespace: str
    name: str
    value: Any
    version: int = 1

    @property
    def key(self) -> Key:
        """(namespace, name)"""
        return (self.namespace, self.name)


Record: TypeAlias = (
    NetworkRecord
    | TerminalRecord
    | TrunkRecord
    | ServiceRecord
    | SegmentRecord
    | AttemptRecord
    | EventRecord
    | ModelRecord
    | Item
)

TABLES: tuple[type[Record], ...] = (
    NetworkRecord,
    TerminalRecord,
    TrunkRecord,
    ServiceRecord,
    SegmentRecord,
    AttemptRecord,
    EventRecord,
    ModelRecord,
    Item,
)
"""Every table. All records but Item belong to a network; segments and attempts belong to a service."""


@value
class Batch:
    """A transaction: records to put (made, or replaced by key) and (table, key) pairs to drop.

    `expects` are versions that plugin items must have for the batch to take effect: (namespace, name) -> version,
    0 for "not there". No key is both put and dropped, or put twice, in one batch. `lazy`: nobody waits for it, so
    that it may be written together with what comes next.
    """

    puts: Sequence[Record] = ()
    drops: Sequence[tuple[type[Record], Key]] = ()
    expects: Mapping[tuple[str, str], int] = MappingProxyType({})
    lazy: bool = False


@value
class Contents:
    """All that is stored, but for the events: for each table its records in the order of their keys.

    `last_events` has for each network the number of its last event, 0 where there was none.
    """

    tables: Mapping[type[Record], Sequence[Record]]
    last_events: Mapping[str, int]


class Store(ABC):
    """Durable memory of one broker. Made with keyword settings; bad ones raise `ConfigInvalid`.

    S1. `open` takes an exclusive lease: while it is held, another `open` of the same store, in this process or
        any other, is `StoreLocked`. The lease ends with `close` or with the process, however it ends.
    S2. One writer: batches take effect in the order in which they were submitted, each all or nothing.
    S3. What a settled reply told to be kept survives `kill -9` and power loss (a store in memory says so of itself).
    """

    durable: ClassVar[bool] = True
    """Whether what it keeps survives the process."""

    def __str__(self) -> str:
        """Return what people know it by while it is open, without secrets: its file, or its database."""
        return type(self).__name__

    @abstractmethod
    def open(self) -> None:
        """Take the lease and bring the schema up to date. Blocks. `StoreLocked`, `StoreInvalid`."""

    @abstractmethod
    def close(self) -> None:
        """Finish what was submitted and give up the lease. Blocks, repeatable.

        S4. Later batches fail with `Stopped`.
        """

    @property
    @abstractmethod
    def uuid(self) -> str:
        """S5. The store's own id: made once, the same after each opening."""

    @abstractmethod
    def load(self) -> Contents:
        """Return what is stored. Blocks. S6. Equal to the effect of all batches that were kept, in order."""

    @abstractmethod
    def submit(self, batch: Batch) -> Reply[None]:
        """Queue a batch.

        S7. Never blocks and never raises: what is wrong fails the reply. That settles after the batch is durable, in
        some thread of the store's (or at once, for a store in memory), for a lazy one some milliseconds later at the
        most; callbacks must be short. S8. `CommitFailed` when it could not be kept: nothing of it is stored, and later
        batches are tried on their own; so fails a record whose network or service is not there. `VersionStale` when an
        expectation does not hold. S9. Dropping what is not there does nothing. Dropping a service drops its segments
        and attempts; dropping a network drops all that is its.
        """

    @abstractmethod
    def events(self, network: str, after: int, limit: int) -> Sequence[Event] | None:
        """The events of a network with numbers above *after*, in order, at most *limit*. Blocks.

        S10. At least the last 10,000 of each network are kept; None when the first of those asked for is not any more.
        """

    @abstractmethod
    def items(self, namespace: str) -> Mapping[str, Item]:
        """S11. The items of a namespace by name, as of the last kept batch. Blocks."""

    def flush(self, timeout: float | None = 30.0) -> None:
        """S12. Wait until everything submitted before is settled. `timeout` in seconds; `TimedOut`."""
        self.submit(Batch()).result(timeout)
