"""Changing an aggregator's service without interruption: prepare, commit, abort."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dpb_framework.contracts import Record, Role
from dpb_framework.errors import DpbError, Remembered
from dpb_framework.model import (
    Caller,
    Change,
    Fault,
    Segment,
)
from dpb_framework.networks.admission import NOTHING, Plan
from dpb_framework.networks.attempts import Attempt
from dpb_framework.networks.crankback import as_told
from dpb_framework.networks.driver import Undo
from dpb_framework.networks.establishing import EstablishingService
from dpb_framework.networks.part import Part
from dpb_framework.reply import Reply

if TYPE_CHECKING:
    from dpb_framework.networks.aggregator import Aggregator


class ChangingService(EstablishingService):
    """A service that prepares another attempt beside the current one, and goes over to it."""

    def __init__(self, network: Aggregator, id: int, handle: str | None, owner: str) -> None:
        super().__init__(network, id, handle, owner)
        self._preparing: list[Reply[None]] = []

    def _admit_change(self, segment: Segment, caller: Caller, reply: Reply[None]) -> None:
        network = self.network
        current = self._attempt(Role.CURRENT)
        if current is None:
            raise self._logic("change", "it is not established")
        chosen = network.resolve(self._id, segment)
        network.ask_segment(self, chosen, caller)
        keep = {tunnel.trunk: tunnel.label for tunnel in current.tunnels}
        held = [(part.inferior.name, part.record.segment) for part in current.parts]
        plan = network.planning().plan(chosen, NOTHING, self._id, keep, held)
        undo = self._snapshot()
        attempt = self._new_attempt(plan, Role.NEXT, _shared(plan, current))
        self._next_asked, self._next_chosen, self._change = segment, chosen, Change.PREPARING
        self.rehold()
        self._preparing.append(reply)
        self._watch_the_clock()

        def withdrawn() -> None:
            undo()
            self._fail_preparing(None)

        puts: list[Record] = [self.record(), self._segment_record(Role.NEXT), self._record_of(attempt), self._event()]
        kept: Reply[None] = Reply()
        kept.then(partial(_pass_error, reply))
        self._keep(puts, (), kept, withdrawn)

    def _once_prepared(self, reply: Reply[None]) -> None:
        if self._change is Change.PREPARED:
            reply.resolve(None)
        else:
            self._preparing.append(reply)

    def _fail_preparing(self, error: DpbError | None) -> None:
        waiting, self._preparing = self._preparing, []
        if error is not None:
            for reply in waiting:
                reply.fail(error)

    def _advance_change(self) -> None:
        if self._change is not Change.PREPARING:
            return
        current, ahead = self._attempt(Role.CURRENT), self._attempt(Role.NEXT)
        if current is None or ahead is None:
            return
        old = {part.record.handle: part for part in current.parts}
        ready = True
        blocked = self._blocked()
        for part in ahead.parts:
            shared = old.get(part.record.handle)
            if shared is not None:
                part.prepare()
                ready = ready and part.prepared
            else:
                if part.inferior.name not in blocked:
                    part.bring(active=False)
                ready = ready and part.established
            if part.refused is not None:
                ends = self._places(self._next_chosen)
                self._give_up_change(as_told(part, part.refused, self.network.name, ends))
                return
        if ready:
            self._stop_the_clock()
            undo = self._snapshot()
            self._change = Change.PREPARED
            kept: Reply[None] = Reply()
            kept.then(self._tell_prepared)
            self._keep([self.record(), self._event()], (), kept, undo)

    def _tell_prepared(self, kept: Reply[None]) -> None:
        if kept.error is not None:
            self._pause()
            return
        waiting, self._preparing = self._preparing, []
        for reply in waiting:
            reply.resolve(None)

    def _give_up_change(self, fault: Fault) -> None:

        waiting, self._preparing = self._preparing, []
        undo = self._snapshot()
        self._error = fault
        done: Reply[None] = Reply()
        error = Remembered(fault.code, fault.text, dict(fault.facts))
        for reply in waiting:
            done.then(partial(_refuse, reply, error))
        self._back_out(done, undo)

    def _withdraw(self, reply: Reply[None]) -> None:
        self._fail_preparing(self._logic("change", "it was aborted meanwhile"))
        self._back_out(reply, self._snapshot())

    def _back_out(self, reply: Reply[None], undo: Undo) -> None:
        current, ahead = self._attempt(Role.CURRENT), self._attempt(Role.NEXT)
        self._change, self._switched = Change.ABORTING, False
        puts: list[Record] = []
        if ahead is not None and current is not None:
            ahead.role = Role.RETIRED
            self._left_behind = ahead.number
            ahead.parts = _without_shared(ahead.parts, current.parts)
            puts.append(self._record_of(ahead))
        self._linger(self._next_chosen)
        self._next_asked = self._next_chosen = None
        self._stop_the_clock()
        self._keep([self.record(), self._event(), *puts], [self._segment_key(Role.NEXT)], reply, undo)

    def _decide(self, reply: Reply[None]) -> None:
        undo = self._snapshot()
        current, ahead = self._attempt(Role.CURRENT), self._attempt(Role.NEXT)
        if current is None or ahead is None:
            raise self._logic("commit", "nothing is prepared")
        self._change = Change.COMMITTING
        self._linger(self._chosen)
        self._asked, self._chosen = self._next_asked, self._next_chosen
        self._next_asked = self._next_chosen = None
        self._succeeded()
        ahead.role, current.role = Role.CURRENT, Role.RETIRED
        self._switched, self._left_behind = False, current.number
        current.parts = _without_shared(current.parts, ahead.parts)
        puts: list[Record] = [self.record(), self._segment_record(), self._event()]
        puts += [self._record_of(ahead), self._record_of(current)]
        self._keep(puts, [self._segment_key(Role.NEXT)], reply, undo)

    def _change_over(self) -> None:
        self._change = Change.NONE
        self.network.commit([self.record(), self._event()])
        self._changed()
        self._again = True

    def _advance_switch(self, current: Attempt, settled: bool) -> None:
        """A decided change is over when all inferiors have it, and have given back what it leaves behind."""
        commits = self._change is Change.COMMITTING
        if not self._switched:
            if commits:
                self._switched = settled and all(part.changed for part in current.parts)
            else:
                self._switched = all(p.service is not None and p.service.change is Change.NONE for p in current.parts)
            self._again = self._again or self._switched
            return
        # Attempts that were given up long before, and wait for an inferior that is away, do not count.
        retired = [a.number for a in self._attempts.values() if a.role is Role.RETIRED]
        if not any(self._left_behind <= n for n in retired):
            self._change_over()


def _pass_error(reply: Reply[None], settled: Reply[None]) -> None:
    if settled.error is not None:
        reply.fail(settled.error)


def _refuse(reply: Reply[None], error: DpbError, _: Reply[None]) -> None:
    reply.fail(error)


def _shared(plan: Plan, current: Attempt) -> dict[int, Part]:
    """For each part of a plan the current attempt's part whose service it goes on with: the one most like it."""
    free = list(current.parts)
    result: dict[int, Part] = {}
    for index, planned in enumerate(plan.parts):
        circuits = {end.circuit for end in planned.segment.ends}
        alike = [p for p in free if p.inferior.name == planned.inferior]
        if alike:
            best = max(alike, key=lambda p: len(circuits & {end.circuit for end in p.record.segment.ends}))
            result[index] = best
            free.remove(best)
    return result


def _without_shared(parts: list[Part], others: list[Part]) -> list[Part]:
    kept = {part.record.handle for part in others}
    for part in parts:
        if part.record.handle in kept:
            part.let_go()
    return [part for part in parts if part.record.handle not in kept]
