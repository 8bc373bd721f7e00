"""The driver: keeps what is wanted of a service, and moves it there, step by step.

A command checks, commits the wish and returns. `advance` compares what is wanted with what is there and does the
next thing; it is called after each commit, each answer of a leaf or an inferior, each timer, and after a restart.
Release during establishing, an early activate and recovery are all that same function.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dpb_framework.contracts import Key, Record, Service
from dpb_framework.errors import CommitFailed, DpbError, NotOwner, ServiceGone, ServiceLogic
from dpb_framework.model import (
    LEAVING,
    STABLE,
    TRANSITIONS,
    Caller,
    Change,
    Condition,
    Desired,
    Fault,
    Segment,
    Status,
    Step,
    step,
)
from dpb_framework.networks.told import ToldService
from dpb_framework.reply import Reply

if TYPE_CHECKING:
    from dpb_framework.networks.base import BaseNetwork

_logger = logging.getLogger("dpb.networks")

N = TypeVar("N", bound="BaseNetwork[Any]")
T = TypeVar("T")
Undo = Callable[[], None]
_WISH = {
    Status.DORMANT: Desired.DORMANT,
    Status.INACTIVE: Desired.INACTIVE,
    Status.ACTIVE: Desired.ACTIVE,
    Status.RELEASED: Desired.RELEASED,
}


class DrivenService(ToldService[N], Generic[N]):
    """A service of a network of this broker. Everything with an underscore happens on the network's strand."""

    _commands: deque[tuple[Callable[..., None], tuple[Any, ...], Reply[None]]] | None = None
    """Commands that came while a commit was awaited; made when the first does, which few services ever see."""

    def _has_work(self) -> bool:
        return self._committing or self._finishing or bool(self._commands)

    # -- commands

    def _command(self, caller: Caller, action: Callable[..., None], *args: Any) -> Reply[None]:
        if not caller.may_change(self.owner):
            return Reply.failed(NotOwner(self.network.name, self._id, self.owner))
        reply: Reply[None] = Reply()
        self.network.strand.post(partial(self._enter, action, args, reply))
        return reply

    def _enter(self, action: Callable[..., None], args: tuple[Any, ...], reply: Reply[None]) -> None:
        if self._has_work():
            if self._commands is None:
                self._commands = deque()
            self._commands.append((action, args, reply))
        else:
            self._perform(action, args, reply)

    def _perform(self, action: Callable[..., None], args: tuple[Any, ...], reply: Reply[None]) -> None:
        try:
            if self._status is Status.RELEASED and action != self._release:
                raise ServiceGone(self.network.name, self._id)
            action(*args, reply)
        except DpbError as error:
            reply.fail(error)
        except Exception as error:
            _logger.exception("%s: a command on service %d failed", self.network.name, self._id)
            reply.fail(error)

    def define(self, segment: Segment, caller: Caller) -> Reply[None]:
        """Ask for a segment."""
        return self._command(caller, self._define, segment, caller)

    def activate(self, caller: Caller) -> Reply[None]:
        """Let traffic pass."""
        return self._command(caller, self._activate, caller)

    def deactivate(self, caller: Caller) -> Reply[None]:
        """Stop traffic and keep the resources."""
        return self._command(caller, self._deactivate, caller)

    def reset(self, caller: Caller) -> Reply[None]:
        """Give everything back and become DORMANT."""
        return self._command(caller, self._reset, caller)

    def release(self, caller: Caller) -> Reply[None]:
        """Give everything back and cease to exist."""
        return self._command(caller, self._release, caller)

    def prepare(self, segment: Segment, caller: Caller) -> Reply[None]:
        """Make ready to become *segment*."""
        return self._command(caller, self._prepare, segment, caller)

    def commit(self, caller: Caller) -> Reply[None]:
        """Become what was prepared."""
        return self._command(caller, self._commit, caller)

    def abort(self, caller: Caller) -> Reply[None]:
        """Forget what was prepared."""
        return self._command(caller, self._abort, caller)

    def _define(self, segment: Segment, caller: Caller, reply: Reply[None]) -> None:
        if self._desired in (Desired.INACTIVE, Desired.ACTIVE):
            if segment.same_as(self._asked) or segment.same_as(self._chosen):
                reply.resolve(None)
                return
            raise self._logic(
                "define", "it is defined with another segment; reset it, or change it by prepare and commit"
            )
        if self._status is not Status.DORMANT:
            raise self._logic("define", f"it is {self._status.value}; wait until it is DORMANT")
        undo = self._snapshot()
        try:
            puts = self._admit(segment, caller)
        except DpbError as error:
            if not self._remembered:
                self._note(Step.REFUSED, Fault.of(error))
                raise
            self._forget_activate(error, reply, undo)
            return
        self._keep(puts, (), reply, undo)

    def _forget_activate(self, refusal: DpbError, reply: Reply[None], undo: Undo) -> None:
        """A define was refused, and takes a remembered activate with it: whoever is told so can count on it."""
        self._remembered, self._error = False, Fault.of(refusal)
        kept: Reply[None] = Reply()
        kept.then(lambda settled: reply.fail(refusal if settled.error is None else settled.error))
        self._keep([self.record(), self._event()], (), kept, undo)

    def admit_new(self, segment: Segment, caller: Caller) -> list[Record]:
        """Admit the segment of a service that is being made; raises why not. What to store is returned."""
        return self._admit(segment, caller)

    def keep_new(self, puts: Sequence[Record], reply: Reply[Service]) -> None:
        """Store a service that was just made; *reply* is told of it when it is kept."""
        self._keep(puts, (), reply, self._never_was, self)

    def _never_was(self) -> None:
        self._drop_admission()
        self._status = Status.RELEASED
        self.network.forget(self)

    def once_kept(self, then: Callable[[BaseException | None], None]) -> None:
        """Call *then* on the strand when no commit of this service is awaited any more."""
        reply: Reply[None] = Reply()
        reply.then(lambda settled: then(settled.error))
        self._enter(lambda answer: answer.resolve(None), (), reply)

    def _activate(self, caller: Caller, reply: Reply[None]) -> None:
        if self._desired in LEAVING:
            if self._status is not Status.DORMANT and self._status is not Status.DEACTIVATING:
                step(self._status, Step.ACTIVATE)
            if self._remembered:
                reply.resolve(None)
                return
            undo = self._snapshot()
            self._remembered = True
            self._keep([self.record()], (), reply, undo)
            return
        if self._desired is Desired.ACTIVE and self._status in (Status.ACTIVE, Status.ESTABLISHING, Status.ACTIVATING):
            reply.resolve(None)
            return
        undo = self._snapshot()
        self._status = step(self._status, Step.ACTIVATE)
        self._desired = Desired.ACTIVE
        self._error = None
        self._keep([self.record(), self._event()], (), reply, undo)

    def _deactivate(self, caller: Caller, reply: Reply[None]) -> None:
        if self._desired is Desired.INACTIVE and self._status is not Status.FAILED:
            reply.resolve(None)
            return
        undo = self._snapshot()
        if self._desired is Desired.DORMANT:
            if not self._remembered:
                reply.resolve(None)
                return
            self._remembered = False
        else:
            self._status = step(self._status, Step.DEACTIVATE)
            self._desired = Desired.INACTIVE
        self._keep([self.record(), self._event()], (), reply, undo)

    def _reset(self, caller: Caller, reply: Reply[None]) -> None:
        after = step(self._status, Step.RESET)
        if self._desired is Desired.DORMANT and not self._remembered and self._error is None:
            reply.resolve(None)
            return
        undo = self._snapshot()
        self._status, self._desired = after, Desired.DORMANT
        self._remembered, self._error, self._change = False, None, Change.NONE
        puts, drops = self._retire()
        self._keep([self.record(), self._event(), *puts], drops, reply, undo)

    def _release(self, caller: Caller, reply: Reply[None]) -> None:
        if self._desired is Desired.RELEASED:
            reply.resolve(None)
            return
        undo = self._snapshot()
        self._status = step(self._status, Step.RELEASE)
        self._desired = Desired.RELEASED
        self._remembered, self._change = False, Change.NONE
        puts, drops = self._retire()
        self._keep([self.record(), self._event(), *puts], drops, reply, undo)

    def _prepare(self, segment: Segment, caller: Caller, reply: Reply[None]) -> None:
        if self._change in (Change.PREPARING, Change.PREPARED):
            if not segment.same_as(self._next_asked) and not segment.same_as(self._next_chosen):
                raise self._logic("change", "another change is prepared; commit or abort that first")
            self._once_prepared(reply)
            return
        if self._change is not Change.NONE:
            raise self._logic("change", f"the last change is still {self._change.value}; wait until it is done")
        if self._status not in (Status.INACTIVE, Status.ACTIVE):
            raise self._logic("change", f"it is {self._status.value}; only an INACTIVE or ACTIVE service is changed")
        self._admit_change(segment, caller, reply)

    def _commit(self, caller: Caller, reply: Reply[None]) -> None:
        if self._change in (Change.NONE, Change.COMMITTING):
            reply.resolve(None)
            return
        if self._change is not Change.PREPARED:
            raise self._logic("commit", f"the change is still {self._change.value}; wait until it is prepared")
        self._decide(reply)

    def _abort(self, caller: Caller, reply: Reply[None]) -> None:
        if self._change in (Change.NONE, Change.ABORTING):
            reply.resolve(None)
            return
        if self._change is Change.COMMITTING:
            raise self._logic("abort", "the change is committed and being carried out")
        self._withdraw(reply)

    def _logic(self, command: str, problem: str) -> ServiceLogic:
        return ServiceLogic(self.network.name, self._id, command, problem)

    # -- commits

    def _snapshot(self) -> Undo:
        self._before = self.view()
        saved = (
            self._status,
            self._desired,
            self._remembered,
            self._change,
            self._error,
            self._asked,
            self._chosen,
            self._next_asked,
            self._next_chosen,
        )

        def undo() -> None:
            (
                self._status,
                self._desired,
                self._remembered,
                self._change,
                self._error,
                self._asked,
                self._chosen,
                self._next_asked,
                self._next_chosen,
            ) = saved
            self.rehold()

        return undo

    def _keep(
        self,
        puts: Sequence[Record],
        drops: Sequence[tuple[type[Record], Key]],
        reply: Reply[T] | None,
        undo: Undo,
        answer: T | None = None,
    ) -> None:
        """Commit a decision: nothing outside happens before it is durable; when it fails it never was.

        *reply* is settled then, with *answer* or with the error.
        """
        self._committing = True
        self._shown, self._before = self._before, None
        self.network.commit(puts, drops, partial(self._kept, reply, undo, answer))

    def _kept(self, reply: Reply[Any] | None, undo: Undo, answer: object, error: BaseException | None) -> None:
        self._committing, self._shown = False, None
        if error is not None:
            undo()
        try:
            self.advance()
        except Exception:  # the command was kept, and whoever waits for it must be told
            _logger.exception("%s: service %d could not go on", self.network.name, self._id)
        self._changed()
        if reply is not None:
            if error is None:
                reply.resolve(answer)
            else:
                reply.fail(error if isinstance(error, DpbError) else CommitFailed(str(error)))
        if self._commands or self._waiters:
            self._perform_waiting()

    def _perform_waiting(self) -> None:
        """Carry out the commands that came while a commit was awaited."""
        while self._commands and not self._committing and not self._finishing:
            self._perform(*self._commands.popleft())
        if self._waiters:
            self._changed()

    def _note(
        self,
        event: Step,
        error: Fault | None = None,
        puts: Sequence[Record] = (),
        drops: Sequence[tuple[type[Record], Key]] = (),
    ) -> None:
        """Tell what became of the service. It is stored behind: after a crash it is seen again.

        Nothing is stored when neither status nor error change.
        """
        before = self._status
        self._status = TRANSITIONS.get((before, event), before)
        if self._status is before and error == self._error and not puts and not drops:
            return
        self._error = error
        self.network.commit([self.record(), self._event(), *puts], drops)
        self._changed()

    def _end(self, releasing: bool) -> None:
        """Nothing is held elsewhere any more, and it is durable that the segment, or the service, is forgotten."""
        self._asked = self._chosen = None
        self.rehold()
        self._conditions = ()
        if releasing:
            self._status = Status.RELEASED
            self.network.forget(self)
        else:
            self._status = Status.DORMANT
        self._changed()
        self.advance()
        self._perform_waiting()

    def _succeeded(self) -> None:
        """A change succeeds: what did not succeed before is no news any more, unless it is why the service failed."""
        if self._status is not Status.FAILED:
            self._error = None

    def _set_conditions(self, conditions: Collection[Condition]) -> None:
        ordered = tuple(sorted(set(conditions)))
        if ordered != self._conditions:
            self._conditions = ordered
            self._changed()

    def resume(self) -> None:
        """Go on after a restart: the stored status may lag behind what is wanted."""
        wanted = _WISH.get(self._status)
        if self._status in STABLE and self._status is not Status.FAILED and wanted is not self._desired:
            event = {
                Desired.ACTIVE: Step.ACTIVATE,
                Desired.INACTIVE: Step.DEACTIVATE,
                Desired.DORMANT: Step.RESET,
                Desired.RELEASED: Step.RELEASE,
            }[self._desired]
            self._status = TRANSITIONS.get((self._status, event), self._status)
        self.network.strand.post(self.advance)

    # -- what kinds of networks do differently

    @abstractmethod
    def advance(self) -> None:
        """Do the next thing that brings the service where it is wanted. Nothing while a commit is awaited."""

    @abstractmethod
    def _admit(self, segment: Segment, caller: Caller) -> list[Record]:
        """Check and take what *segment* needs, move to ESTABLISHING (or beyond), return what is to be stored."""

    @abstractmethod
    def _drop_admission(self) -> None:
        """Give back what `_admit` took: its commit failed."""

    @abstractmethod
    def _retire(self) -> tuple[list[Record], list[tuple[type[Record], Key]]]:
        """Begin to give everything back (the status is set); return what is to be stored and dropped now."""

    @abstractmethod
    def _admit_change(self, segment: Segment, caller: Caller, reply: Reply[None]) -> None:
        """Check and take what a change needs and keep it; *reply* settles when it is prepared or refused."""

    @abstractmethod
    def _once_prepared(self, reply: Reply[None]) -> None:
        """Settle *reply* when the change is prepared or refused."""

    @abstractmethod
    def _decide(self, reply: Reply[None]) -> None:
        """Make the prepared segment the service's own, durably; *reply* settles when that is kept."""

    @abstractmethod
    def _withdraw(self, reply: Reply[None]) -> None:
        """Give up the prepared change; *reply* settles when that is kept."""
