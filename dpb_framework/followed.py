"""A service that is followed: who is called at each of its changes, and who waits until it has some status.

For any kind of network; a service made for a define by the dozen costs nothing here until somebody follows it.
"""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Collection
from functools import partial
from typing import Protocol

from dpb_framework.contracts import Cancel, Service
from dpb_framework.model import Status
from dpb_framework.reply import Reply
from dpb_framework.runtime import Runtime, Strand, nothing

_logger = logging.getLogger("dpb.networks")

_watching = threading.Lock()


class Home(Protocol):
    """What a followed service needs of its network."""

    @property
    def name(self) -> str:
        """How messages call it."""

    @property
    def runtime(self) -> Runtime:
        """Its workers and timers."""

    @property
    def strand(self) -> Strand:
        """On which its services change."""


class FollowedService(Service):
    """`watch` and `wait`. Everything with an underscore happens on the network's strand."""

    _watchers: tuple[Callable[[Service], None], ...] = ()
    _waiters: tuple[tuple[frozenset[Status], Reply[Status]], ...] = ()

    @property
    @abstractmethod
    def _home(self) -> Home:
        """Its network."""

    @abstractmethod
    def _answers(self, statuses: Collection[Status]) -> bool:
        """Whether who waits for one of *statuses* can be told the status now."""

    def watch(self, listener: Callable[[Service], None]) -> Cancel:
        """Call *listener* after each change."""
        with _watching:
            self._watchers = (*self._watchers, listener)

        def cancel() -> None:
            with _watching:
                self._watchers = tuple(w for w in self._watchers if w is not listener)

        return cancel

    def _tell_watchers(self) -> None:
        for watcher in self._watchers:
            try:
                watcher(self)
            except Exception:  # a faulty watcher must not stop the service
                _logger.exception("%s: a watcher of service %d failed", self._home.name, self.id)

    def wait(self, statuses: Collection[Status], timeout: float | None = None) -> Reply[Status]:
        """Wait for one of *statuses*."""
        reply: Reply[Status] = Reply()
        # Handed over: whoever waits may be an event loop, which must not run what else is on the strand.
        home = self._home
        home.strand.hand_over(partial(self._wait, frozenset(statuses), timeout, reply), home.runtime)
        return reply

    def _wait(self, statuses: frozenset[Status], timeout: float | None, reply: Reply[Status]) -> None:
        if self._answers(statuses) or (timeout is not None and timeout <= 0):
            reply.resolve(self.status)
            return
        home, entry = self._home, (statuses, reply)
        self._waiters = (*self._waiters, entry)

        def forget() -> None:
            self._waiters = tuple(waiting for waiting in self._waiters if waiting is not entry)

        def over() -> None:
            forget()
            reply.resolve(self.status)

        cancel = nothing if timeout is None else home.runtime.later(timeout, lambda: home.strand.post(over))

        def settled(_: Reply[Status]) -> None:
            cancel()
            if entry in self._waiters:  # abandoned by whoever waited
                home.strand.hand_over(forget, home.runtime)

        reply.then(settled)

    def _tell_waiters(self) -> None:
        """Answer those that can be answered now."""
        if not self._waiters:
            return
        waiting, self._waiters = self._waiters, ()
        answered = {statuses: self._answers(statuses) for statuses in {statuses for statuses, _ in waiting}}
        self._waiters = tuple(entry for entry in waiting if not answered[entry[0]])
        for statuses, reply in waiting:
            if answered[statuses]:
                reply.resolve(self.status)
