"""What a service of a remote network is, as it was last told; and who waits for it to change."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING

from attrs import evolve

from dpb_framework.followed import FollowedService
from dpb_framework.model import REACHABLE, Change, Condition, Desired, Fault, Segment, ServiceView, Status

if TYPE_CHECKING:
    from dpb_remote.network import Remote


class ToldService(FollowedService):
    """The copy of one service. Everything with an underscore happens on the network's strand."""

    def __init__(self, network: Remote, view: ServiceView, moment: int) -> None:
        self._network = network
        self._view = view
        self._moment = moment

    @property
    def _home(self) -> Remote:
        return self._network

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
        self._tell_watchers()
        self._tell_waiters()

    # -- waiting

    def _answers(self, statuses: Collection[Status]) -> bool:
        status = self._view.status
        if status is Status.RELEASED:
            return True
        if self._has_work():
            return False
        if status in statuses:
            return True
        return self._network.ready and REACHABLE[status, self._view.desired].isdisjoint(statuses)
