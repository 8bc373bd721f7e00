"""One connection: who is let in, and by which credential."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncssh
from attrs import evolve

from dpb_nbi.access import EVERYBODY, NOBODY, Identity
from dpb_nbi.access.faults import Busy, Unauthenticated
from dpb_nbi.ssh import limits
from dpb_nbi.ssh.channel import Channel

if TYPE_CHECKING:
    from dpb_nbi.ssh.house import House

VIA = "ssh"


class Door(asyncssh.SSHServer):
    """asyncssh's owner of a connection. What it validates is by name: a key that was only shown lets nobody else in."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._found: dict[str, Identity] = {}
        self._refused = False
        self._inside = False
        self._conn: asyncssh.SSHServerConnection
        self.address = ""
        self._source = ""
        self.channels = 0

    # -- life

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Let it in, unless there are too many."""
        self._conn = conn
        peer = conn.get_extra_info("peername") or ("", 0)
        self.address, self._source = str(peer[0]), f"{peer[0]}:{peer[1]}"
        self._stranger = self._house.enter(self)
        if not self._stranger:
            asyncio.get_running_loop().call_soon(conn.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it; who tried in vain is written down."""
        self._acquainted()
        self._house.doors.discard(self)
        if self._refused and not self._inside:
            self._house.desk.stranger(NOBODY.at(self._source))

    def _acquainted(self) -> None:
        if self._stranger:
            self._stranger = False
            self._house.known(self)

    def close(self) -> None:
        """Say goodbye and close."""
        self._conn.disconnect(asyncssh.DISC_BY_APPLICATION, "the broker ends this connection")

    async def closed(self) -> None:
        """Wait until it is closed."""
        await self._conn.wait_closed()

    def abort(self) -> None:
        """Cut it off."""
        self._conn.abort()

    @property
    def is_over(self) -> bool:
        """Whether the credential that it was opened with holds no more."""
        return self._inside and self._house.controlled and not self._who().alive()

    # -- who it is

    def begin_auth(self, username: str) -> bool:
        """Whether it is asked who it is."""
        return self._house.controlled

    def auth_completed(self) -> None:
        """It is known who it is."""
        self._inside = True
        self._acquainted()

    def public_key_auth_supported(self) -> bool:
        """Always."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether a user of that name has that key; asyncssh sees to it that the client has its private part."""
        try:
            found = self._house.access.login.by_key(username, key.public_data)
        except Unauthenticated:
            self._refused = True
            return False
        return self._keep(username, found)

    def password_auth_supported(self) -> bool:
        """Where the operator allows it."""
        return self._house.passwords

    async def validate_password(self, username: str, password: str) -> bool:
        """Whether it is the user's password, or a token of the user's. The loop does not wait for scrypt."""
        try:
            found = await self._house.access.login.by_password(username, password, self.address)
        except (Unauthenticated, Busy):
            self._refused = True
            return False
        return self._keep(username, found)

    def _keep(self, username: str, found: Identity) -> bool:
        self._found[username] = evolve(found, source=self._source, via=VIA, audit=self._house.audit)
        return True

    def _who(self) -> Identity:
        if not self._house.controlled:
            return evolve(EVERYBODY, source=self._source, via=VIA, audit=self._house.audit)
        return self._found.get(str(self._conn.get_extra_info("username")), NOBODY)

    # -- what it opens

    def session_requested(self) -> Channel | bool:
        """Open a channel, unless there are too many."""
        who = self._who()
        if self.channels >= limits.CHANNELS or (self._house.controlled and who is NOBODY):
            return False
        return Channel(self._house, self, who)
