"""A service of a remote network: commands that go to the other broker, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from dpb_framework.errors import DpbError, SegmentInvalid, ServiceGone, ServiceLogic, ServiceUnknown
from dpb_framework.model import (
    Caller,
    Change,
    Fault,
    Segment,
    ServiceView,
    Status,
)
from dpb_framework.reply import Reply
from dpb_remote import codec
from dpb_remote.answers import Answer
from dpb_remote.told import ToldService

if TYPE_CHECKING:
    from dpb_remote.network import Remote


class RemoteService(ToldService):
    """One service. Everything with an underscore happens on the network's strand."""

    def __init__(self, network: Remote, view: ServiceView, moment: int) -> None:
        super().__init__(network, view, moment)
        self._commands: deque[tuple[str, Segment | None, Reply[None]]] = deque()
        self._busy = False
        self._next: Segment | None = None
        """What is being prepared, as it was asked for here."""
        self._preparing: list[Reply[None]] = []

    def _has_work(self) -> bool:
        return self._busy or bool(self._commands)

    # -- commands

    def define(self, segment: Segment, caller: Caller) -> Reply[None]:
        """Ask for a segment."""
        return self._command("define", segment)

    def activate(self, caller: Caller) -> Reply[None]:
        """Let traffic pass."""
        return self._command("activate")

    def deactivate(self, caller: Caller) -> Reply[None]:
        """Stop traffic and keep the resources."""
        return self._command("deactivate")

    def reset(self, caller: Caller) -> Reply[None]:
        """Give everything back and become DORMANT."""
        return self._command("reset")

    def release(self, caller: Caller) -> Reply[None]:
        """Give everything back and cease to exist."""
        return self._command("release")

    def prepare(self, segment: Segment, caller: Caller) -> Reply[None]:
        """Make ready to become *segment*."""
        return self._command("prepare", segment)

    def commit(self, caller: Caller) -> Reply[None]:
        """Become what was prepared."""
        return self._command("commit")

    def abort(self, caller: Caller) -> Reply[None]:
        """Forget what was prepared."""
        return self._command("abort")

    def _command(self, name: str, segment: Segment | None = None) -> Reply[None]:
        reply: Reply[None] = Reply()
        self._network.strand.post(partial(self._enter, name, segment, reply))
        return reply

    def _enter(self, name: str, segment: Segment | None, reply: Reply[None]) -> None:
        self._commands.append((name, segment, reply))
        self._go_on()

    def _go_on(self) -> None:
        """Give the next command: one at a time, so that they take effect in their order."""
        while self._commands and not self._busy:
            name, segment, reply = self._commands.popleft()
            try:
                self._send(name, segment, reply)
            except DpbError as error:
                reply.fail(error)
        if not self._busy:
            self._tell_waiters()

    def _send(self, name: str, segment: Segment | None, reply: Reply[None]) -> None:
        network = self._network
        if self._view.status is Status.RELEASED:
            if name != "release":
                raise ServiceGone(network.name, self.id)
            reply.resolve(None)
            return
        network.check_contact()
        body: codec.Plain = {}
        if segment is not None:
            try:
                segment.check()
            except SegmentInvalid as error:
                # What cannot even be said over the wire is refused here, with what a refusal brings about there.
                if name == "define" and self._view.status is Status.DORMANT:
                    self._order("deactivate", {}, partial(self._refused_here, error, reply))
                    return
                raise
            if name == "prepare":
                if segment.same_as(self._next) and self._view.change is Change.PREPARING:
                    self._preparing.append(reply)
                    return
                self._next = segment
            body = codec.plain_definition(segment)
        self._order(name, body, partial(self._answered, name, reply))

    def _order(self, name: str, body: codec.Plain, then: Callable[[Reply[Answer]], None]) -> None:
        self._busy = True
        self._network.order(name, {"service": self.id, **body}, then)

    def _refused_here(self, error: SegmentInvalid, reply: Reply[None], answer: Reply[Answer]) -> None:
        self._busy = False
        if answer.error is None:
            self._network.take(answer.value)
            before, self._view = self._view, evolve(self._view, error=Fault.of(error))
            if before != self._view:
                self._told()
        reply.fail(answer.error or error)
        self._go_on()

    def _answered(self, name: str, reply: Reply[None], answer: Reply[Answer]) -> None:
        error = answer.error
        if error is None:
            self._busy = False  # before it is told how the service is, which may be what somebody waits for
            if self._network.take(answer.value) is None:
                error = self._network.odd()
        if isinstance(error, ServiceGone | ServiceUnknown):
            self._busy = False
            self._end()
            if name == "release":
                reply.resolve(None)
            else:
                reply.fail(ServiceGone(self._network.name, self.id))
        elif error is not None and name in ("define", "prepare") and self._network.answers(error):
            # A refusal leaves its reason with the service: whoever looks after the refusal sees it.
            self._network.look(f"/services/{self.id}", partial(self._looked, reply, error))
            return
        elif error is not None:
            self._busy = False
            reply.fail(error)
        elif name == "prepare" and self._view.status is not Status.RELEASED:
            self._preparing.append(reply)
            self._settle_preparing()
        else:
            reply.resolve(None)
        self._go_on()

    def _looked(self, reply: Reply[None], error: BaseException, answer: Reply[Answer]) -> None:
        self._busy = False
        if answer.error is None:
            self._network.take(answer.value)
        reply.fail(error)
        self._go_on()

    def _settle_preparing(self) -> None:
        """Tell whoever waits for a change to be prepared how it is."""
        change = self._view.change
        if not self._preparing or change is Change.PREPARING:
            return
        waiting, self._preparing = self._preparing, []
        error: DpbError | None = None
        if change is not Change.PREPARED:
            fault = self._view.error
            if self._view.status is Status.RELEASED:
                error = ServiceGone(self._network.name, self.id)
            elif fault is not None:
                error = codec.error(fault)
            else:
                error = ServiceLogic(self._network.name, self.id, "change", "it was given up meanwhile")
        for reply in waiting:
            if error is None:
                reply.resolve(None)
            else:
                reply.fail(error)

    def _lost(self, error: DpbError) -> None:
        """Contact is lost: what becomes of a change that is being prepared is not known."""
        waiting, self._preparing = self._preparing, []
        for reply in waiting:
            reply.fail(error)
        self._told()
