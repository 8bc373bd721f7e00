"""What a switch holds, as plain values: flows, groups and meters, with no library's messages in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import field, frozen

IN_PORT = 0xFFFFFFF8
CONTROLLER = 0xFFFFFFFD
FULL = 0xFFFF_FFFF_FFFF_FFFF

UNTAGGED = 0
"""As a VLAN in a match: the frame has no tag."""


@frozen(cache_hash=True)
class Match:
    """Which frames a flow takes; None is any.

    `vlan` is the outermost tag's VLAN id, `UNTAGGED` for none; `metadata` a value and its mask; `eth_src` an address,
    or an address, a slash and its mask. A match on fields that are none of ours is kept as a text, `strange`, and as
    the library's value, `raw`, to delete it by.
    """

    in_port: int | None = None
    vlan: int | None = None
    metadata: tuple[int, int] | None = None
    eth_src: str | None = None
    eth_dst: str | None = None
    eth_type: int | None = None
    ip_proto: int | None = None
    udp_dst: int | None = None
    strange: str | None = None
    raw: Any = field(default=None, eq=False, repr=False)


@frozen
class PopVlan:
    """Take the outermost tag off."""


@frozen
class PushVlan:
    """Put a tag with this TPID outside all others."""

    tpid: int


@frozen
class SetVlan:
    """Write the VLAN id of the outermost tag."""

    vlan: int


@frozen
class Output:
    """Send out of this port; `IN_PORT` is where the frame came from, `CONTROLLER` gives the controller a copy."""

    port: int


@frozen
class ToGroup:
    """Hand to this group."""

    group: int


@frozen
class SetExit:
    """Write the low 16 bits of the metadata (an extension of Nicira's: OpenFlow 1.3 cannot write part of a field)."""

    index: int


@frozen
class Resubmit:
    """Look the frame up in this table, and come back (an extension of Nicira's)."""

    table: int


@frozen
class Apart:
    """Look a copy up in this table: what drops it there drops nothing else (an extension of Nicira's)."""

    table: int


@frozen
class Other:
    """An action that is none of ours, as text: it equals nothing that is wanted."""

    text: str


Action = PopVlan | PushVlan | SetVlan | Output | ToGroup | SetExit | Resubmit | Apart | Other


@frozen
class Flow:
    """One entry of a table. The instructions happen in the order of OpenFlow: meter, actions, metadata, goto.

    `metadata` is a value and its mask, `idle` and `hard` are seconds (0: for ever); `notify`: the switch tells when
    they are over.
    """

    table: int
    priority: int
    match: Match
    cookie: int
    meter: int | None = None
    actions: tuple[Action, ...] = ()
    metadata: tuple[int, int] | None = None
    goto: int | None = None
    idle: int = 0
    hard: int = 0
    notify: bool = False

    @property
    def key(self) -> tuple[int, int, Match]:
        """What a switch holds at most one flow for."""
        return self.table, self.priority, self.match


@frozen
class Group:
    """A group; of kind `all` it gives each bucket a copy."""

    id: int
    kind: str
    buckets: tuple[tuple[Action, ...], ...]


@frozen
class Meter:
    """A meter that drops what exceeds `rate` (kbit/s) after a burst of `burst` kbit."""

    id: int
    rate: int
    burst: int


Entry = Flow | Group | Meter


@frozen
class Tables:
    """Flows by key, groups and meters by id."""

    flows: dict[tuple[int, int, Match], Flow] = field(factory=dict)
    groups: dict[int, Group] = field(factory=dict)
    meters: dict[int, Meter] = field(factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Tables:
        """Sort *entries* into tables; of two flows with one key the last stays."""
        tables = cls()
        for entry in entries:
            tables.put(entry)
        return tables

    def put(self, entry: Entry) -> None:
        """Add or replace one entry."""
        match entry:
            case Flow():
                self.flows[entry.key] = entry
            case Group():
                self.groups[entry.id] = entry
            case Meter():
                self.meters[entry.id] = entry

    def entries(self) -> list[Entry]:
        """All of it."""
        return [*self.meters.values(), *self.groups.values(), *self.flows.values()]
