"""The changes of one service's status, as one client sees them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from dpb_framework.contracts import Service
from dpb_framework.model import Status
from dpb_nbi.ssh import limits


class Watch:
    """A service that is watched: `first` is its status now; `next` gives each other one, in order, none twice in a row.

    Belongs to an event loop. `closed` is called once, when it ends.
    """

    def __init__(self, service: Service, closed: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._closed: Callable[[], None] | None = closed
        self._statuses: deque[Status] = deque(maxlen=limits.BEHIND)
        self._news = asyncio.Event()
        self._told = False
        self.first = self._last = service.status
        self._cancel = service.watch(self._changed)
        # What changed between the two lines above was told to nobody. What changes from now on is told by the service,
        # and that is newer: then this is not looked at.
        self._loop.call_soon(self._check, service.status)

    def _changed(self, service: Service) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(self._arrived, service.status)

    def _arrived(self, status: Status) -> None:
        self._told = True
        self._take(status)

    def _check(self, status: Status) -> None:
        if not self._told:
            self._take(status)

    def _take(self, status: Status) -> None:
        if status is not self._last:
            self._last = status
            self._statuses.append(status)
            self._news.set()

    @property
    def is_over(self) -> bool:
        """Whether the service is gone and all of it was told."""
        return self._last is Status.RELEASED and not self._statuses

    async def next(self) -> Status:
        """Return the next status, once there is one."""
        while not self._statuses:
            self._news.clear()
            await self._news.wait()
        return self._statuses.popleft()

    def close(self) -> None:
        """End it."""
        self._cancel()
        if self._closed is not None:
            self._closed()
            self._closed = None
