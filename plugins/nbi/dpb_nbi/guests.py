"""The connections of an interface, and which of them gives way when there is no room for one that comes."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Protocol

from dpb_nbi.rooms import Room


class Guest(Protocol):
    """A connection, from its first moment on."""

    @property
    def near(self) -> str:
        """Where it comes from, see `near`."""

    @property
    def idle(self) -> bool:
        """Whether nothing that it asked is being answered."""

    def give_way(self) -> None:
        """End it at once."""


_Row = OrderedDict[Guest, None]


def near(address: str) -> str:
    """Return what the addresses of one client have in common: of IPv6 it has as many as it likes in its /64."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4 or found.ipv4_mapped is not None:
        return address
    return found.packed[:8].hex(":", 2)


class Guests:
    """All guests, each row in the order in which they last did something. Belongs to an event loop.

    Who idles gives way to who comes, so that nobody is refused for the sake of those who only hold connections:
    strangers first, of whom nobody has shown who asks, and of them those from where the most come.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._known: _Row = OrderedDict()
        self._strangers: dict[str, _Row] = {}
        self._rows: dict[Guest, _Row] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def enter(self, guest: Guest) -> bool:
        """Let a stranger in; False when there is no room, and nobody idles."""
        if len(self._rows) >= self._room.most and not self._make_way():
            return False
        self._put(guest, self._strangers.setdefault(guest.near, OrderedDict()))
        return True

    def leave(self, guest: Guest) -> None:
        """Forget one, if it is there."""
        row = self._rows.pop(guest, None)
        if row is not None:
            del row[guest]
            if not row and row is not self._known:
                del self._strangers[guest.near]

    def know(self, guest: Guest) -> None:
        """It is a stranger no more."""
        if guest in self._rows:
            self.leave(guest)
            self._put(guest, self._known)

    def answered(self, guest: Guest) -> None:
        """It idles from now on."""
        row = self._rows.get(guest)
        if row is not None:
            row.move_to_end(guest)

    def _put(self, guest: Guest, row: _Row) -> None:
        row[guest] = None
        self._rows[guest] = row

    def _make_way(self) -> bool:
        for row in (*sorted(self._strangers.values(), key=len, reverse=True), self._known):
            for guest in row:
                if guest.idle:
                    self.leave(guest)
                    guest.give_way()
                    return True
        return False
