"""What the connections of one SSH interface share, and how many of them there may be. Belongs to its event loop."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from dpb_framework.contracts import BrokerApi, Network
from dpb_nbi.access import Access, Audit, Desk
from dpb_nbi.calls import Calls
from dpb_nbi.rooms import Room
from dpb_nbi.ssh import limits
from dpb_nbi.ssh.commands import Commands
from dpb_nbi.ssh.watching import Changes

if TYPE_CHECKING:
    from dpb_nbi.ssh.channel import Channel
    from dpb_nbi.ssh.door import Door


async def settle() -> None:
    """Let connections come to be, or to their end, of which the loop has begun to take notice."""
    for _ in range(8):
        await asyncio.sleep(0)


class House:
    """The broker as the interface sees it, and everybody who is in."""

    def __init__(
        self,
        broker: BrokerApi,
        access: Access,
        audit: Audit | None,
        *,
        controlled: bool,
        passwords: bool,
        rest: str = "",
        authority: str = "",
    ) -> None:
        self.access = access
        self.audit = audit
        self.controlled = controlled
        self.passwords = passwords
        self.desk = Desk(broker, audit)
        self.calls = Calls(broker)
        self.commands = Commands(access, rest, authority)
        self.room = Room(limits.CONNECTIONS)
        self.doors: set[Door] = set()
        self.channels: set[Channel] = set()
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """One for each network: what is read, changed and written again is not changed by another meanwhile."""
        self._strangers: Counter[str] = Counter()
        self._changes: dict[str, Changes] = {}

    def changes(self, network: Network) -> Changes:
        """Return what tells the changes of a network's services."""
        if network.name not in self._changes:
            self._changes[network.name] = Changes(network)
        return self._changes[network.name]

    def enter(self, door: Door) -> bool:
        """Let a connection in whose client is not known yet; False when there are too many."""
        full = len(self.doors) >= self.room.most or self._strangers.total() >= limits.STRANGERS
        self.doors.add(door)
        if full or self._strangers[door.address] >= limits.STRANGERS_EACH:
            return False
        self._strangers[door.address] += 1
        return True

    def known(self, door: Door) -> None:
        """The client has shown who it is, or is gone."""
        self._strangers[door.address] -= 1
        if self._strangers[door.address] <= 0:
            del self._strangers[door.address]

    async def watch_credentials(self) -> None:
        """Close, for ever, the connections whose credential holds no more."""
        while True:
            await asyncio.sleep(limits.CREDENTIAL_SECONDS)
            for door in list(self.doors):
                if door.is_over:
                    door.close()

    async def close(self) -> None:
        """End everything: answers under way get a few seconds, what waits ends at once."""
        self.calls.stop()
        tasks = {task for channel in list(self.channels) if (task := channel.stop()) is not None}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=limits.GRACE)
            for task in late:
                task.cancel()
        doors = list(self.doors)
        for door in doors:
            door.close()
        if doors:
            await asyncio.wait([asyncio.ensure_future(door.closed()) for door in doors], timeout=limits.FAREWELL)
        for door in list(self.doors):
            door.abort()
        await settle()
