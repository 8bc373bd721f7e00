"""Establishing an aggregator's service: admission, and crankback when an inferior network refuses."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import evolve

from dpb_framework.contracts import Record, Role
from dpb_framework.errors import DpbError, NoCapacity, PlanInvalid
from dpb_framework.model import (
    Caller,
    Circuit,
    Desired,
    End,
    Fault,
    Segment,
    Status,
    Step,
)
from dpb_framework.networks.admission import NOTHING, Exclusions
from dpb_framework.networks.attempts import Attempt, AttemptingService
from dpb_framework.networks.crankback import CONTACT, as_told, learn
from dpb_framework.networks.driver import Undo
from dpb_framework.networks.part import Part

if TYPE_CHECKING:
    from dpb_framework.networks.aggregator import Aggregator

_logger = logging.getLogger("dpb.networks")


class EstablishingService(AttemptingService):
    """A service that plans, asks its inferiors, and plans again without what did not work."""

    def __init__(self, network: Aggregator, id: int, handle: str | None, owner: str) -> None:
        super().__init__(network, id, handle, owner)
        self._out = NOTHING
        self._replans = 0
        self._told: Fault | None = None
        self._again = False
        """Whether something was found that `advance` has to look at again at once."""

    def _admit(self, segment: Segment, caller: Caller) -> list[Record]:
        network = self.network
        self._out, self._replans, self._told = NOTHING, 0, None
        chosen = network.resolve(self._id, segment)
        network.ask_segment(self, chosen, caller)
        attempt = self._new_attempt(network.planning().plan(chosen, self._out), Role.CURRENT)
        self._asked, self._chosen, self._error = segment, chosen, None
        self.rehold()
        self._desired = Desired.ACTIVE if self._remembered else Desired.INACTIVE
        self._remembered = False
        self._status = Status.ESTABLISHING
        self._watch_the_clock()
        return [self.record(), self._segment_record(), self._record_of(attempt), self._event()]

    def _watch_the_clock(self) -> None:
        self.network.deadlines.begin(self._id, partial(self._is_overdue, max(self._attempts, default=0)))

    def _stop_the_clock(self) -> None:
        self.network.deadlines.end(self._id)

    def _advance_establishing(self, current: Attempt) -> None:
        blocked = self._blocked()
        established = True
        for part in current.parts:
            if part.established:
                continue
            if part.inferior.name not in blocked:
                part.bring(active=False)
            if part.refused is not None:
                self._crank_back(part, part.refused)
                return
            if part.lost is not None and not self._needs(part):
                self._crank_back(part, evolve(part.lost, code="unreachable"))
                return
            established = established and part.established
        if established:
            self._stop_the_clock()
            self._out = NOTHING
            self._note(Step.ESTABLISHED)
            if self._desired is Desired.ACTIVE:
                self._note(Step.ACTIVATE)
                self._again = True

    def _needs(self, part: Part) -> bool:
        """Whether an end of the service lies in the part's inferior, so that no plan can do without it."""
        terminals = self.network.book.terminals
        chosen = self._chosen
        return chosen is not None and any(
            terminals[end.circuit.terminal].subterminal[0] == part.inferior.name for end in chosen.ends
        )

    def _crank_back(self, part: Part, fault: Fault) -> None:
        """An inferior refused: plan again without what did not work, or give up."""
        network = self.network
        self._replans += 1
        if self._out is NOTHING:
            self._out = Exclusions()
        ends = self._places(self._chosen)
        open_ends = {Circuit(c.terminal, None) for c in (e.circuit for e in self._asked_ends()) if c.label is None}
        told = as_told(part, fault, network.name, ends)
        attempt = self._attempt(Role.CURRENT)
        if attempt is None:
            return
        hopeful = self._replans <= network.replans and learn(
            self._out, part, fault, network, attempt.tunnels, ends, open_ends, self._needs(part)
        )
        undo = self._snapshot()
        attempt.role = Role.RETIRED
        retired = self._record_of(attempt)
        if hopeful:
            again = self._plan_again()
            if again is not None:
                self._keep([retired, *again, self._event()], (), None, undo)
                return
            if fault.code not in CONTACT and attempt.tunnels:
                # What this attempt still holds may be just what the next one needs: see when it is given back.
                self._told = told
                self._watch_the_clock()
                self._keep([retired, self._event()], (), None, undo)
                return
        self._give_up(told, [retired], undo)

    def _plan_again(self) -> list[Record] | None:
        """Take what another plan for the same request needs and return what to store; None if there is no plan."""
        network = self.network
        if self._asked is None:
            return None
        try:
            chosen = network.book.resolve(self._id, self._asked, avoid=self._out.circuits)
            plan = network.planning().plan(chosen, self._out)
        except PlanInvalid as error:
            _logger.error("%s: service %d is not planned again: %s", network.name, self._id, error)
            return None
        except DpbError:
            return None  # what the inferior said tells more than that there is no other way
        again = self._new_attempt(plan, Role.CURRENT)
        if chosen != self._chosen:
            self._linger(self._chosen)
        self._chosen = chosen
        self.rehold()
        self._watch_the_clock()
        return [self._record_of(again), self._segment_record()]

    def _plan_anew(self) -> None:
        """All earlier attempts are gone, with what they held: the last chance of a define."""
        undo = self._snapshot()
        again = self._plan_again()
        if again is not None:
            self._keep([*again, self._event()], (), None, undo)
        else:
            fault = self._told or Fault.of(NoCapacity(self.network.name, "no other way is left"))
            self._give_up(fault, [], undo)

    def _give_up(self, fault: Fault, puts: Sequence[Record], undo: Undo) -> None:
        """No way is left: DORMANT, with the reason."""
        self._stop_the_clock()
        self._status, self._desired, self._error = Status.DORMANT, Desired.DORMANT, fault
        self._remembered = False
        self._linger(self._chosen)
        self._asked = self._chosen = None
        self._keep([self.record(), *puts, self._event()], [self._segment_key()], None, undo)

    def _places(self, segment: Segment | None) -> dict[Circuit, End]:
        """The ends of a segment by `inferior:terminal` and label."""
        terminals = self.network.book.terminals
        ends = () if segment is None else segment.ends
        return {Circuit(terminals[e.circuit.terminal].place, e.circuit.label): e for e in ends}

    def _asked_ends(self) -> tuple[Any, ...]:
        return () if self._asked is None else self._asked.ends

    @abstractmethod
    def _is_overdue(self, number: int) -> None:
        """The inferiors have not answered in time."""
