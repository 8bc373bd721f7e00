"""The connections to one broker."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection

from dpb_remote.settings import Door

IDLE: Final = 30.0
"""Seconds after which an idle connection is closed: less than the server's, so that seldom a request meets its end."""


class Pool:
    """Connections of several kinds, those of each with a limit of its own. Belongs to the event loop."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._sessions: dict[int, aiohttp.ClientSession] = {}
        self._transports: WeakSet[asyncio.Transport] = WeakSet()

    def session(self, limit: int) -> aiohttp.ClientSession:
        """The connections of one kind, at most *limit* (0: as many as are needed)."""
        session = self._sessions.get(limit)
        if session is None:
            headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "dpb-remote"}
            if self._door.authorization is not None:
                headers["Authorization"] = self._door.authorization
            session = self._sessions[limit] = aiohttp.ClientSession(
                connector=_Connector(self._transports, limit=limit, keepalive_timeout=IDLE, ssl=self._door.tls()),
                timeout=aiohttp.ClientTimeout(total=None),
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=1024 * 1024,
            )
        return session

    async def close(self) -> None:
        """Close all, once nothing is under way.

        TLS takes leave of the other side, which may be silent, and of what was given up that is still going on, unknown
        to the session: nobody waits for either.
        """
        for transport in list(self._transports):
            transport.abort()
        for session in self._sessions.values():
            await session.close()
        await asyncio.sleep(0)


class _Connector(aiohttp.TCPConnector):
    def __init__(self, transports: WeakSet[asyncio.Transport], **options: Any) -> None:
        super().__init__(**options)
        self._opened = transports

    async def connect(self, *asked: Any, **how: Any) -> Connection:
        connection = await super().connect(*asked, **how)
        if connection.transport is not None:
            self._opened.add(connection.transport)
        return connection
