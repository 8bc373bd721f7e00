"""What a service is, as it is told to its users and kept in the store; and who waits for it to change."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import evolve

from dpb_framework.contracts import EventRecord, Key, Record, Role, SegmentRecord, ServiceRecord
from dpb_framework.followed import FollowedService
from dpb_framework.model import (
    REACHABLE,
    Change,
    Condition,
    Desired,
    EventKind,
    Fault,
    Segment,
    ServiceView,
    Status,
)

if TYPE_CHECKING:
    from dpb_framework.networks.base import BaseNetwork

N = TypeVar("N", bound="BaseNetwork[Any]")


class ToldService(FollowedService, Generic[N]):
    """The state of a service of this broker: what its users are told of it, and what is stored."""

    # Defaults stand with the class: services are made by the dozen in each define, and most of these never change.
    _status = Status.DORMANT
    _desired = Desired.DORMANT
    _remembered = False
    _change = Change.NONE
    _error: Fault | None = None
    _asked: Segment | None = None
    _chosen: Segment | None = None
    _next_asked: Segment | None = None
    _next_chosen: Segment | None = None
    _conditions: tuple[Condition, ...] = ()
    _committing = False
    _finishing = False
    """Whether the commit is awaited that forgets the segment, or the service."""

    def __init__(self, network: N, id: int, handle: str | None, owner: str) -> None:
        self.network = network
        self._id = id
        self._handle = handle
        self.owner = owner

    @property
    def _home(self) -> N:
        return self.network

    # -- what is told: what is kept; while a decision is being committed, what was so before it

    _shown: ServiceView | None = None
    """What is told while a decision is being committed, which may still turn out never to have been made."""
    _before: ServiceView | None = None
    """What was told when the last snapshot was taken."""

    @property
    def id(self) -> int:
        """The id, unique in the network for ever."""
        return self._id

    @property
    def handle(self) -> str | None:
        """The name that its user gave it."""
        return self._handle

    @property
    def status(self) -> Status:
        """The status at this moment."""
        return self._status if self._shown is None else self._shown.status

    @property
    def desired(self) -> Desired:
        """Where its user wants it to be."""
        return self._desired if self._shown is None else self._shown.desired

    @property
    def change(self) -> Change:
        """Where a change without interruption is."""
        return self._change if self._shown is None else self._shown.change

    @property
    def segment(self) -> Segment | None:
        """What it connects, with the chosen labels."""
        return self._chosen if self._shown is None else self._shown.segment

    @property
    def error(self) -> Fault | None:
        """Why the last define, activation or change did not succeed."""
        return self._error if self._shown is None else self._shown.error

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What holds beside the status."""
        return self._conditions

    def view(self) -> ServiceView:
        """All of the above."""
        if self._shown is not None:
            return evolve(self._shown, conditions=self._conditions)
        return ServiceView(
            self.network.name,
            self._id,
            self._handle,
            self.owner,
            self._status,
            self._desired,
            self._change,
            self._chosen,
            self._error,
            self._conditions,
        )

    def _answers(self, statuses: Collection[Status]) -> bool:
        status = self._status
        if status in statuses or status is Status.RELEASED:
            return not self._committing or status is Status.RELEASED
        if self._has_work():
            return False
        return REACHABLE[status, self._desired].isdisjoint(statuses)

    def _has_work(self) -> bool:
        """Whether a commit or a command is under way, so that what is told now may be over at once."""
        return self._committing

    def _changed(self) -> None:
        """Tell watchers and waiters that something of what is told has changed."""
        if self._watchers:
            self._tell_watchers()
        if self._waiters:
            self._tell_waiters()

    # -- records

    def record(self, status: Status | None = None) -> ServiceRecord:
        """What the store keeps of the service itself; *status*: which it has when that is kept."""
        return ServiceRecord(
            self.network.name,
            self._id,
            self._handle,
            self.owner,
            self._desired,
            self._status if status is None else status,
            self._remembered,
            self._change,
            self._error,
        )

    def _segment_record(self, role: Role = Role.CURRENT) -> SegmentRecord:
        asked, chosen = (self._asked, self._chosen) if role is Role.CURRENT else (self._next_asked, self._next_chosen)
        if asked is None or chosen is None:
            raise RuntimeError(f"service {self._id} has no {role.value} segment")
        return SegmentRecord(self.network.name, self._id, role, asked, chosen)

    def _segment_key(self, role: Role = Role.CURRENT) -> tuple[type[Record], Key]:
        return SegmentRecord, (self.network.name, self._id, role)

    def _event(self, status: Status | None = None) -> EventRecord:
        # The status is never set for the moment of writing it down: others look at it from their threads.
        error = self._error
        return self.network.event(
            EventKind.SERVICE,
            {
                "id": self._id,
                "status": (self._status if status is None else status)._value_,
                "desired": self._desired._value_,
                "change": self._change._value_,
                "error": None if error is None else error.code,
            },
        )

    def restore(self, stored: ServiceRecord) -> None:
        """Be what the store tells."""
        self._status, self._desired = stored.status, stored.desired
        self._remembered, self._error = stored.remembered, stored.error
        self._change = stored.change

    def restore_segment(self, stored: SegmentRecord) -> None:
        """Have the segment that the store tells."""
        if stored.role is Role.CURRENT:
            self._asked, self._chosen = stored.asked, stored.chosen
        else:
            self._next_asked, self._next_chosen = stored.asked, stored.chosen

    def rehold(self) -> None:
        """Hold circuits and quotas for all segments that there are."""
        self.network.book.hold(self._id, self.owner, self._held())

    def _held(self) -> list[Segment]:
        return [s for s in (self._chosen, self._next_chosen) if s is not None]
