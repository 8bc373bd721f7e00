"""The changes of services' status, as clients see them: one watch of each network, however many watch its services."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from dpb_framework.contracts import Cancel, Network, Service
from dpb_framework.model import Event, EventKind, Status
from dpb_nbi.ssh import limits


class Changes:
    """The watches of one network's services. Belongs to an event loop."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._loop = asyncio.get_running_loop()
        self._watches: dict[int, set[Watch]] = {}
        self._cancel: Cancel | None = None

    def add(self, watch: Watch) -> None:
        """Tell it of each change from now on."""
        self._watches.setdefault(watch.id, set()).add(watch)
        if self._cancel is None:
            self._cancel = self._network.watch(self._happened, {EventKind.SERVICE})

    def remove(self, watch: Watch) -> None:
        """Tell it no more."""
        left = self._watches.get(watch.id, set())
        left.discard(watch)
        if not left:
            self._watches.pop(watch.id, None)
        if not self._watches and self._cancel is not None:
            self._cancel()
            self._cancel = None

    def _happened(self, event: Event) -> None:
        """In some thread, which must not wait."""
        if event.data["id"] in self._watches:
            with contextlib.suppress(RuntimeError):  # the loop was closed
                self._loop.call_soon_threadsafe(self._tell, event.data["id"], Status(event.data["status"]))

    def _tell(self, id: int, status: Status) -> None:
        for watch in self._watches.get(id, ()):
            watch.take(status)


class Watch:
    """A service that is watched: `first` is its status now; `next` gives each other one, in order, none twice in a row.

    *closed* is called once, when it ends.
    """

    def __init__(self, service: Service, changes: Changes, closed: Callable[[], None]) -> None:
        self.id = service.id
        self._changes = changes
        self._closed: Callable[[], None] | None = closed
        self._statuses: deque[Status] = deque(maxlen=limits.BEHIND)
        self._news = asyncio.Event()
        changes.add(self)
        self.first = self._last = service.status

    def take(self, status: Status) -> None:
        """It is this status now; what is the last one told is no news."""
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
        self._changes.remove(self)
        if self._closed is not None:
            self._closed()
            self._closed = None
