"""`Remote`: another broker's network, of which a copy is kept here by its mirror stream.

What is read is the copy: terminals, model, services with their statuses. What is commanded is one order to the other
broker, whose answer tells how the service is; what becomes of it later the stream tells. All changes happen on
`strand`, in the kernel's workers: the loop that talks to the other broker does nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from attrs import evolve

from dpb_framework.contracts import Contents, Service, Workshop
from dpb_framework.errors import (
    DpbError,
    Stopped,
    TimedOut,
    Unreachable,
)
from dpb_framework.model import (
    Caller,
    Segment,
    ServiceView,
    Status,
)
from dpb_framework.reply import Reply
from dpb_remote import codec
from dpb_remote.answers import Answer
from dpb_remote.contact import Contact
from dpb_remote.copy import Copy
from dpb_remote.line import Line
from dpb_remote.service import RemoteService
from dpb_remote.settings import Settings, settings

_logger = logging.getLogger("dpb.remote")


class Remote(Copy):
    """Another broker's network."""

    kind = "remote"

    def __init__(self, workshop: Workshop, found: Settings) -> None:
        super().__init__(workshop, found)
        self._root = f"/networks/{quote(found.network, safe='')}"
        self._line: Line | None = None
        self._contact: Contact | None = None
        self._doubtful: set[str] = set()
        """Handles of services of which it is not known whether they were made."""
        self._oddity = ""
        """What the last answer was not understood for."""

    @classmethod
    def build(cls, workshop: Workshop) -> Remote:
        """Make one: settings `url`, `network`, credentials, times."""
        return cls(workshop, settings(workshop.settings, workshop.path, workshop.name))

    # -- life

    def restore(self, contents: Contents) -> None:
        """Nothing is kept here: the other broker knows it all."""

    def start(self) -> None:
        """Begin to keep the copy."""
        if self._line is None:
            self._line = Line.take(self._settings.door)
            self._contact = Contact(self, self._line, self._settings)
            self._contact.start()

    def stop(self) -> None:
        """End contact."""
        line, self._line = self._line, None
        if line is not None and self._contact is not None:
            self._contact.stop()
            line.leave()

    def make(self, view: ServiceView, moment: int) -> RemoteService:
        """A service that is known from now on."""
        return RemoteService(self, view, moment)

    def deliver(self, task: Callable[[], None]) -> None:
        """Run *task* on the strand, in a worker; called in the loop."""
        if (line := self._line) is not None:
            line.deliver(self.runtime, self.strand, task)

    def give_up(self, problem: str) -> None:
        """End the stream: a new one is opened after a while."""
        if self._contact is not None:
            self._contact.garbled = problem

    def health(self) -> Mapping[str, Any]:
        """The usual; how contact is, and why it is lost."""
        services = self._services.copy().values()
        lost = self.unconfirmed
        return {
            "kind": self.kind,
            "services": len(services),
            "active": sum(1 for s in services if s.status is Status.ACTIVE),
            "failed": sum(1 for s in services if s.status is Status.FAILED),
            "unconfirmed": sum(1 for s in services if any(c.kind == "unconfirmed" for c in s.conditions)),
            "contact": self._state,
            **({} if lost is None else {"problem": lost.text}),
        }

    # -- finding

    def find(self, handle: str) -> Reply[Service | None]:
        """Look it up; the other broker is asked only where an answer was lost."""
        reply: Reply[Service | None] = Reply()
        self.strand.post(partial(self._find, handle, reply))
        return reply

    def _find(self, handle: str, reply: Reply[Service | None]) -> None:
        if not self.ready:
            reply.fail(self.lost())
        elif (known := self._handles.get(handle)) is not None or handle not in self._doubtful:
            self._doubtful.discard(handle)
            reply.resolve(known)
        else:
            path = f"/services?handle-prefix={quote(handle, safe='')}"
            self.look(path, partial(self._found, handle, reply))

    def _found(self, handle: str, reply: Reply[Service | None], answer: Reply[Answer]) -> None:
        if answer.error is not None:
            reply.fail(answer.error)
            return
        try:
            listed = codec.understood(
                lambda: [one for one in answer.value.plain["services"] if one["handle"] == handle]
            )
        except codec.Garbled as error:
            reply.fail(Unreachable(self.where, str(error)))
            return
        there: list[Service] = []
        for one in listed:
            service = self.take(evolve(answer.value, plain=one))
            if service is None:
                reply.fail(self.odd())
                return
            if service.status is not Status.RELEASED:
                there.append(service)
        self._doubtful.discard(handle)
        reply.resolve(there[0] if there else None)

    # -- asking

    def look(self, path: str, then: Callable[[Reply[Answer]], None]) -> None:
        """Ask for what is at *path* of the network; *then* gets the reply, on the strand."""
        line, taken = self._taken(then)
        if line is not None:
            line.look(taken, self.where, self._root + path, seconds=self._settings.timeout)

    def order(
        self, name: str, order: codec.Plain, then: Callable[[Reply[Answer]], None], *, repeatable: bool = True
    ) -> None:
        """Give the order *name* about a service of the network; *then* gets the reply, on the strand."""
        line, taken = self._taken(then)
        if line is not None:
            whole = {"order": name, "network": self._settings.network, **order}
            line.order(taken, self.where, whole, seconds=self._settings.timeout, repeatable=repeatable)

    def _taken(self, then: Callable[[Reply[Answer]], None]) -> tuple[Line | None, Callable[[Reply[Answer]], None]]:
        """Return the line, and what takes its answer to *then*; without a line, tell *then*.

        An answer of a broker that was restarted in between tells nothing that still holds: it counts as lost.
        """
        line, epoch = self._line, self._epoch
        if line is None or line.closed:
            then(Reply.failed(Stopped()))
            return None, then

        def arrived(reply: Reply[Answer]) -> None:
            if epoch != self._epoch and reply.error is None:
                then(Reply.failed(Unreachable(self.where, "it was restarted before its answer was read")))
            else:
                then(reply)

        return line, lambda came: line.deliver(self.runtime, self.strand, partial(arrived, came))

    def answers(self, error: BaseException) -> bool:
        """Whether *error* is an answer, so that the outcome is known."""
        return not isinstance(error, Unreachable | TimedOut | Stopped)

    def take(self, answer: Answer, asked: Segment | None = None) -> RemoteService | None:
        """Take up what an answer tells of a service; None where it tells nothing that is understood."""
        try:
            made = self._adopt(answer.plain, answer.moment, asked)
        except codec.Garbled as error:
            self._tell_odd(f"an answer is not understood: {error}")
            return None
        except Exception as error:  # noqa: BLE001  # whatever it tells, somebody waits for what comes after
            fault = f"an answer cannot be taken up: internal fault, please report it: {type(error).__name__}: {error}"
            self._tell_odd(fault, error)
            return None
        self._oddity = ""
        return made

    def _tell_odd(self, problem: str, fault: Exception | None = None) -> None:
        """Log what answers have told oddly, once: orders are given again and again."""
        if problem != self._oddity:
            self._oddity = problem
            _logger.error("%s: %s", self.where, problem, exc_info=fault)

    def odd(self) -> Unreachable:
        """What becomes of an order whose answer tells nothing that is understood: its outcome is not known."""
        return Unreachable(self.where, "it answers, but not as a broker does")

    def create(self, caller: Caller, handle: str | None = None, segment: Segment | None = None) -> Reply[Service]:
        """Make a service, and define it, by one request."""
        reply: Reply[Service] = Reply()
        self.strand.post(partial(self._create, handle, segment, reply))
        return reply

    def _create(self, handle: str | None, segment: Segment | None, reply: Reply[Service]) -> None:
        try:
            self.check_contact()
            body: codec.Plain = {}
            if handle is not None:
                body["handle"] = handle
            if segment is not None:
                segment.check()
                body |= codec.plain_definition(segment)
        except DpbError as error:
            reply.fail(error)
            return
        self.order("create", body, partial(self._created, handle, segment, reply), repeatable=handle is not None)

    def _created(self, handle: str | None, asked: Segment | None, reply: Reply[Service], answer: Reply[Answer]) -> None:
        error = answer.error
        made = None if error is not None else self.take(answer.value, asked)
        if made is None and error is None:
            error = self.odd()
        if handle is not None:
            if error is not None and not self.answers(error):
                self._doubtful.add(handle)
            else:
                self._doubtful.discard(handle)
        if made is not None:
            reply.resolve(made)
        elif error is not None:
            reply.fail(error)
