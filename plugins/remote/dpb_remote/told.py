"""What a service of a remote network is, as it was last told; and who waits for it to change."""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from dpb_framework.contracts import Cancel, Service
from dpb_framework.model import REACHABLE, Change, Condition, Desired, Fault, Segment, ServiceView, Status
from dpb_framework.reply import Reply
from dpb_framework.runtime import nothing

if TYPE_CHECKING:
    from dpb_remote.network import Remote

_logger = logging.getLogger("dpb.remote")

_watching = threading.Lock()


class ToldService(Service):
    """The copy of one service. Everything with an underscore happens on the network's strand."""

    def __init__(self, network: Remote, view: ServiceView, moment: int) -> None:
        self._network = network
        self._view = view
        self._moment = moment
        self._watchers: tuple[Callable[[Service], None], ...] = ()
        self._waiters: tuple[tuple[frozenset[Status], Reply[Status]], ...] = ()

    @abstractmethod
    def _has_work(self) -> bool:
        """Whether a command is under way, so that what is told now may be over at once."""

    @abstractmethod
    def _settle_preparing(self) -> None:
        """Tell whoever waits for a change to be prepared how it is."""

    # -- what is told

    @property
    def id(self) -> int:
        """The id."""
        return self._view.id

    @property
    def handle(self) -> str | None:
        """The name that its user gave it."""
        return self._view.handle

    @property
    def status(self) -> Status:
        """The status, as last told."""
        return self._view.status

    @property
    def desired(self) -> Desired:
        """Where its user wants it to be."""
        return self._view.desired

    @property
    def change(self) -> Change:
        """Where a change without interruption is."""
        return self._view.change

    @property
    def segment(self) -> Segment | None:
        """What it connects."""
        return self._view.segment

    @property
    def error(self) -> Fault | None:
        """Why the last define, activation or change did not succeed."""
        return self._view.error

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What the other broker tells; and `unconfirmed` while contact with it is lost."""
        return self._view.conditions if self._network.unconfirmed is None else self.view().conditions

    def view(self) -> ServiceView:
        """All of the above."""
        view, lost = self._view, self._network.unconfirmed
        if lost is None or view.status is Status.RELEASED:
            return view
        return evolve(view, conditions=tuple(sorted({*view.conditions, lost})))

    def watch(self, listener: Callable[[Service], None]) -> Cancel:
        """Call *listener* after each change."""
        with _watching:
            self._watchers = (*self._watchers, listener)

        def cancel() -> None:
            with _watching:
                self._watchers = tuple(w for w in self._watchers if w is not listener)

        return cancel

    # -- what is heard

    def _hear(self, view: ServiceView, moment: int, *, anew: bool = False) -> None:
        """Take what was told at *moment*, unless something later was told before; *anew*: moments begin again."""
        if self._view.status is Status.RELEASED or (moment <= self._moment and not anew):
            return
        before, self._view, self._moment = self._view, view, moment
        if view.status is Status.RELEASED:
            self._network.forget(self)
        if view != before:
            self._told()

    def _end(self) -> None:
        """It is not there any more."""
        if self._view.status is not Status.RELEASED:
            gone = evolve(
                self._view,
                status=Status.RELEASED,
                desired=Desired.RELEASED,
                change=Change.NONE,
                segment=None,
                conditions=(),
            )
            self._hear(gone, self._moment, anew=True)

    def _told(self) -> None:
        """Tell watchers and waiters that something has changed."""
        self._settle_preparing()
        for watcher in self._watchers:
            try:
                watcher(self)
            except Exception:  # a faulty watcher must not stop the service
                _logger.exception("%s: a watcher of service %d failed", self._network.name, self.id)
        self._tell_waiters()

    # -- waiting

    def wait(self, statuses: Collection[Status], timeout: float | None = None) -> Reply[Status]:
        """Wait for one of *statuses*; while contact is lost, for it to come back."""
        reply: Reply[Status] = Reply()
        network = self._network
        network.strand.hand_over(partial(self._wait, frozenset(statuses), timeout, reply), network.runtime)
        return reply

    def _wait(self, statuses: frozenset[Status], timeout: float | None, reply: Reply[Status]) -> None:
        if self._answers(statuses) or (timeout is not None and timeout <= 0):
            reply.resolve(self._view.status)
            return
        network, entry = self._network, (statuses, reply)
        self._waiters = (*self._waiters, entry)

        def forget() -> None:
            self._waiters = tuple(waiting for waiting in self._waiters if waiting is not entry)

        def over() -> None:
            forget()
            reply.resolve(self._view.status)

        cancel = nothing if timeout is None else network.runtime.later(timeout, lambda: network.strand.post(over))

        def settled(_: Reply[Status]) -> None:
            cancel()
            if entry in self._waiters:  # abandoned by whoever waited
                network.strand.hand_over(forget, network.runtime)

        reply.then(settled)

    def _answers(self, statuses: Collection[Status]) -> bool:
        status = self._view.status
        if status is Status.RELEASED:
            return True
        if self._has_work():
            return False
        if status in statuses:
            return True
        return self._network.ready and REACHABLE[status, self._view.desired].isdisjoint(statuses)

    def _tell_waiters(self) -> None:
        if not self._waiters:
            return
        waiting, self._waiters = self._waiters, ()
        answered = [entry for entry in waiting if self._answers(entry[0])]
        self._waiters = tuple(entry for entry in waiting if entry not in answered)
        for _, reply in answered:
            reply.resolve(self._view.status)
