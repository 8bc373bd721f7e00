"""A service of an aggregator: its driver brings the parts of its attempts where they are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from dpb_framework.contracts import Role, Service
from dpb_framework.errors import InferiorFailed, TimedOut
from dpb_framework.model import (
    LEAVING,
    Change,
    Condition,
    Desired,
    Fault,
    Status,
    Step,
)
from dpb_framework.networks.attempts import Attempt
from dpb_framework.networks.changing import ChangingService
from dpb_framework.networks.driver import Undo
from dpb_framework.networks.part import Part
from dpb_framework.reply import Reply

if TYPE_CHECKING:
    from dpb_framework.networks.aggregator import Aggregator


class AggregatorService(ChangingService):
    """A service of an aggregator."""

    def __init__(self, network: Aggregator, id: int, handle: str | None, owner: str) -> None:
        super().__init__(network, id, handle, owner)
        self._advancing = False
        self._poked = False

    def resume(self) -> None:
        """Go on after a restart."""
        # Each attempt is stored with an event, so numbers above the last event's were never a handle's.
        self._last_attempt = max(self._last_attempt, self.network.last_event)
        if self._status is Status.ESTABLISHING or self._change is Change.PREPARING:
            self._watch_the_clock()
        if self._change is Change.PREPARING and self._attempt(Role.NEXT) is None:
            self._change = Change.NONE
        self._left_behind = max((a.number for a in self._attempts.values() if a.role is Role.RETIRED), default=0)
        super().resume()

    def _is_overdue(self, number: int) -> None:
        if self._committing or self._paused:
            self._watch_the_clock()
            return
        if self._status is Status.ESTABLISHING and self._attempt(Role.CURRENT) is None:
            waited = TimedOut(f"network {self.network.name!r}", self.network.inferior_timeout)
            self._give_up(self._told or Fault.of(waited), [], self._snapshot())
            return
        attempt = self._attempts.get(number)
        if attempt is None:
            return
        late = [
            p
            for p in attempt.parts
            if not (p.prepared if p.touched and self._change is Change.PREPARING else p.established)
        ]
        if not late:
            return
        where = f"inferior network {late[0].inferior.name!r}"
        fault = late[0].lost or Fault.of(TimedOut(where, self.network.inferior_timeout))
        fault = evolve(fault, code="unreachable")
        if attempt.role is Role.CURRENT and self._status is Status.ESTABLISHING:
            self._crank_back(late[0], fault)
        elif attempt.role is Role.NEXT and self._change is Change.PREPARING:
            self._give_up_change(fault)

    def poke(self) -> None:
        """Advance soon: once for all answers that are waiting to be taken up already."""
        if not self._poked:
            self._poked = True
            self.network.strand.post_last(self._advance_poked)

    def poked(self, service: Service) -> None:
        """An inferior's service has changed, told in whatever thread."""
        self.poke()

    def _advance_poked(self) -> None:
        self._poked = False
        self.advance()

    def advance(self) -> None:
        """Bring all parts where they are wanted, and tell what has been reached."""
        if self._advancing:  # a reply that was there at once comes back within the question
            self._again = True
            return
        self._advancing = True
        try:
            self._again = True
            while self._again:
                self._again = False
                self._advance()
        finally:
            self._advancing = False

    def _advance(self) -> None:
        if self._committing or self._finishing or self._paused or self._status is Status.RELEASED:
            return
        self._advance_removals()
        if self._committing or self._finishing:
            return
        if self._desired in LEAVING:
            self._tell_conditions()
            return
        current = self._attempt(Role.CURRENT)
        if current is None:
            if self._status is Status.ESTABLISHING and not self._attempts:
                self._plan_anew()
            return
        if self._status is Status.ESTABLISHING:
            self._advance_establishing(current)
        else:
            self._advance_change()
            if not self._committing:
                self._advance_current(current)
        self._tell_conditions()

    def _kept(self, reply: Reply[Any] | None, undo: Undo, answer: object, error: BaseException | None) -> None:
        """A new command is a new reason to try at once; a decision of our own that failed waits."""
        if error is not None and reply is None:
            self._pause()
        elif reply is not None:
            for attempt in self._attempts.values():
                for part in attempt.parts:
                    part.at_once()
        super()._kept(reply, undo, answer, error)

    def _advance_current(self, current: Attempt) -> None:
        """Keep the parts as they should be, and tell when all are, or when one has failed."""
        active = self._desired is Desired.ACTIVE
        commits = self._change is Change.COMMITTING
        aborts = self._change in (Change.NONE, Change.ABORTING)
        wanted = Status.ACTIVE if active else Status.INACTIVE
        there, failed = True, None
        blocked = self._blocked() if commits is False else set()
        for part in current.parts:
            if part.inferior.name not in blocked or part.service is not None:
                part.bring(active=active, commits=commits, aborts=aborts)
            if not part.is_at(wanted):
                there = False
                failed = failed or self._failure(part)
        if failed is not None:
            if self._status is not Status.FAILED or self._error != failed:
                self._note(Step.FAIL, failed)
        elif there:
            if active and self._status in (Status.ACTIVATING, Status.FAILED):
                self._note(Step.ACTIVATED)
            elif not active and self._status in (Status.DEACTIVATING, Status.FAILED):
                self._note(Step.DEACTIVATED)
        if self._change in (Change.COMMITTING, Change.ABORTING):
            self._advance_switch(current, there or failed is not None)

    def _failure(self, part: Part) -> Fault | None:
        """Why a part is not where it is wanted, if it will not get there by itself."""
        name = part.inferior.name
        if part.refused is not None:
            fault: Fault | None = part.refused
            part.retry_refused()
        elif part.is_at(Status.FAILED) and part.service is not None:
            fault = part.service.error
        else:
            return None
        text = fault.text if fault is not None else "it failed"
        return Fault(InferiorFailed.code, str(InferiorFailed(name, text)), {"subnetwork": name, "reason": text})

    def _tell_conditions(self) -> None:
        conditions: list[Condition] = []
        leaving = self._desired in LEAVING
        is_active = self._status is Status.ACTIVE
        for attempt in self._attempts.values():
            current = attempt.role is Role.CURRENT
            # What was told of the service may not hold in an inferior that forgot it.
            settled = current and is_active and self._change is Change.NONE
            # Of parts that are wanted no more it is told only, while all are on their way out, who keeps that waiting.
            retired = attempt.role is Role.RETIRED
            if retired and not leaving:
                continue
            for part in attempt.parts:
                service = part.service
                if part.lost is not None:
                    conditions.append(Condition("unconfirmed", part.inferior.name, part.lost.text))
                elif service is None:
                    if part.touched and current and is_active:
                        conditions.append(Condition("unconfirmed", part.inferior.name, "not asked yet"))
                elif settled and not part.is_at(Status.ACTIVE):
                    conditions.append(Condition("unconfirmed", part.inferior.name, "it is being made again"))
                if service is not None and service.conditions:
                    conditions += [
                        evolve(c, where=c.where if c.where == part.inferior.name else f"{part.inferior.name}/{c.where}")
                        for c in service.conditions
                        if not retired or c.kind == "unconfirmed"
                    ]
        if conditions or self._conditions:
            self._set_conditions(conditions)
