"""What every network that this broker runs has in common: ids, handles, events, commits."""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from dpb_framework.contracts import (
    Batch,
    Cancel,
    Contents,
    EventRecord,
    Key,
    NetworkKind,
    NetworkRecord,
    Record,
    SegmentRecord,
    Service,
    ServiceRecord,
    Workshop,
)
from dpb_framework.errors import (
    CommitFailed,
    DpbError,
    NotOwner,
    Refused,
    ServiceGone,
    ServiceLogic,
    ServiceUnknown,
    Stopped,
    internal_fault,
)
from dpb_framework.model import Caller, Desired, Event, EventKind, Segment, Status
from dpb_framework.networks.driver import DrivenService
from dpb_framework.networks.terminalbook import TerminalBook
from dpb_framework.networks.topologychange import TopologyChanges
from dpb_framework.precedence import expect_step, step_over
from dpb_framework.reply import Reply
from dpb_framework.runtime import Strand, Task

_logger = logging.getLogger("dpb.networks")

S = TypeVar("S", bound=DrivenService[Any])
Drops = Sequence[tuple[type[Record], Key]]

RECENT = 2048
"""How many of the last events are kept in memory, so that a stream's resumption seldom reads the store."""


class BaseNetwork(NetworkKind, Generic[S]):
    """The part of switches and aggregators that is the same.

    All changes happen on `strand`; what is read from other threads are single attributes that are replaced,
    never changed in place, or dictionaries of which a copy is taken.
    """

    service_class: type[S]
    name: str = ""
    """Its name in this broker."""
    plans = False
    """Whether what happens on its strand may take long."""

    def __init__(self, workshop: Workshop) -> None:
        self.name = workshop.name
        self.workshop = workshop
        self.store = workshop.store
        self.runtime = workshop.runtime
        self.audience = workshop.audience
        self.strand = Strand()
        self.book = TerminalBook(self.name)
        self.topology = TopologyChanges(self)
        self._services: dict[int, S] = {}
        self._handles: dict[str, S] = {}
        self._last_service = 0
        self._outbox = Strand()
        self._watchers: dict[EventKind, tuple[Callable[[Event], None], ...]] = dict.fromkeys(EventKind, ())
        self._watching = threading.Lock()
        self._next_event = 1
        self._last_event = 0
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self.stopped = False
        self.prefix = ""
        """How the keys and handles begin that this network gives to others; known once the store is open."""

    # -- what is told

    def terminals(self) -> tuple[str, ...]:
        """The names of its terminals, sorted."""
        return tuple(sorted(self.book.terminals.copy()))

    def service(self, id: int) -> S:
        """Return the service; `ServiceGone`, `ServiceUnknown`."""
        found = self._services.get(id)
        if found is not None:
            return found
        if 1 <= id <= self._last_service:
            raise ServiceGone(self.name, id)
        raise ServiceUnknown(self.name, id)

    def services(self, handle_prefix: str = "") -> Sequence[S]:
        """The services there are, by id."""
        found = sorted(self._services.copy().items())
        return [
            s for _, s in found if not handle_prefix or (s.handle is not None and s.handle.startswith(handle_prefix))
        ]

    def find(self, handle: str) -> Reply[Service | None]:
        """Return the service with that handle, or None."""
        reply: Reply[Service | None] = Reply()

        def look() -> None:
            reply.resolve(self._handles.get(handle))

        self.strand.post(look)
        return reply

    # -- making services

    def create(self, caller: Caller, handle: str | None = None, segment: Segment | None = None) -> Reply[Service]:
        """Make a service, or find the one with that handle; define it if a segment is given."""
        reply: Reply[Service] = Reply()
        self.strand.post(partial(self._create, caller, handle, segment, reply))
        return reply

    def _create(self, caller: Caller, handle: str | None, segment: Segment | None, reply: Reply[Service]) -> None:
        known = self._handles.get(handle) if handle is not None else None
        if known is not None:
            if caller.may_change(known.owner):
                known.once_kept(lambda _: self._found(known, caller, segment, reply))
            else:
                reply.fail(NotOwner(self.name, known.id, known.owner))
            return
        service = self.service_class(self, self._last_service + 1, handle, caller.name)
        self._last_service += 1
        puts: list[Record] = [self.record()]
        if segment is None:
            puts.append(service.record())
        else:
            try:
                puts += service.admit_new(segment, caller)
            except Exception as error:
                if not isinstance(error, DpbError):
                    _logger.exception("%s: a define failed", self.name)
                self._last_service -= 1
                reply.fail(error)
                return
        self._services[service.id] = service
        if handle is not None:
            self._handles[handle] = service
        service.keep_new(puts, reply)

    def _found(self, known: S, caller: Caller, segment: Segment | None, reply: Reply[Service]) -> None:
        """Answer a create with a handle that *known* has: as it is now, with nothing of it still being committed."""
        if known.status is Status.RELEASED and known.id not in self._services:  # it went meanwhile, or never was
            self._create(caller, known.handle, segment, reply)
        elif known.desired is Desired.RELEASED:
            problem = f"its handle {known.handle!r} is free again when it is RELEASED; ask again then"
            reply.fail(ServiceLogic(self.name, known.id, "create", problem))
        elif segment is None:
            reply.resolve(known)
        else:
            known.define(segment, caller).then(lambda defined: _answer(reply, known, defined.error))

    def record(self) -> NetworkRecord:
        """What the store keeps of the network itself."""
        return NetworkRecord(self.name, self.kind, self._last_service)

    def forget(self, service: DrivenService[Any]) -> None:
        """Let a service that was released (or never kept) be gone."""
        self._services.pop(service.id, None)
        if service.handle is not None and self._handles.get(service.handle) is service:
            del self._handles[service.handle]

    # -- commits and events

    def commit(
        self,
        puts: Sequence[Record],
        drops: Drops = (),
        then: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        """Queue a batch; call *then* on the strand with None once it is durable, or with the error.

        Without *then* nobody waits for it: what was seen is stored behind.

        The events among *puts* are told to watchers and listeners once they are durable.
        """
        reply = self._submit(Batch(puts, drops, lazy=then is None))
        events = [record.event for record in puts if type(record) is EventRecord]
        if not reply.settled:
            if then is not None:  # else the store keeps it back, and nobody is at work
                expect_step()
            reply.then(partial(self._kept, events, then))
            return
        error = reply.error
        if error is not None and events:
            self._number_again(events)
        if then is not None:
            self.strand.post(partial(then, error))
        elif error is not None:
            self._not_stored(error)
        if events and error is None and self._take_note(events):
            self._outbox.hand_over(partial(self._tell, events), self.runtime)

    def _submit(self, batch: Batch) -> Reply[None]:
        try:
            return self.store.submit(batch)
        except Exception as error:  # a store that breaks its contract must not leave a service without an answer
            _logger.exception("%s: a fault within the store", self.name)
            return Reply.failed(CommitFailed(internal_fault(error)))

    def _kept(
        self, events: list[Event], then: Callable[[BaseException | None], None] | None, settled: Reply[None]
    ) -> None:
        """Go on after a batch that took its time, in a thread of the store's."""
        if then is not None:
            step_over()
        tasks: list[tuple[Strand, Task]] = []
        if settled.error is not None and events:
            tasks.append((self.strand, partial(self._number_again, events)))
        if then is not None:
            tasks.append((self.strand, partial(then, settled.error)))
        elif settled.error is not None:
            self._not_stored(settled.error)
        if settled.error is None and events and self._take_note(events):
            tasks.append((self._outbox, partial(self._tell, events)))
        if tasks:
            Strand.hand_over_together(tasks, self.runtime, alone=self.plans)

    def _not_stored(self, error: BaseException) -> None:
        level = logging.DEBUG if isinstance(error, Stopped) else logging.ERROR  # the next start sees it again
        _logger.log(level, "%s: what was seen could not be stored: %s", self.name, error)

    def event(self, kind: EventKind, data: Mapping[str, Any]) -> EventRecord:
        """Make the next event, to be put into the batch that it tells of."""
        event = Event(self.name, self._next_event, kind, data)
        self._next_event += 1
        return EventRecord(event, time.time_ns() // 1000)

    def _number_again(self, events: Sequence[Event]) -> None:
        """Use the numbers of events that were not kept for the next ones, if none came after them.

        If some did, a gap stays, which streams tell as `resync`.
        """
        if self._next_event == events[-1].number + 1:
            self._next_event = events[0].number

    def _take_note(self, events: Sequence[Event]) -> bool:
        """Let events be told from now on to whoever asks for them; whether somebody is to be told at once."""
        self._last_event = events[-1].number
        self._recent.extend(events)
        heard = self.audience.has("tell_event")
        for event in events:
            heard = heard or bool(self._watchers[event.kind])
        return heard

    def _tell(self, events: Sequence[Event]) -> None:
        for event in events:
            for watcher in self._watchers[event.kind]:
                try:
                    watcher(event)
                except Exception:
                    _logger.exception("%s: a watcher failed on event %d", self.name, event.number)
            if event.number and self.audience.has("tell_event"):
                self.audience.tell("tell_event", network=self.name, event=event)

    def hint(self) -> None:
        """Tell watchers that what superiors see of this network has changed."""
        if self._watchers[EventKind.MODEL]:
            self._outbox.hand_over(partial(self._tell, [Event(self.name, 0, EventKind.MODEL)]), self.runtime)

    def watch(self, listener: Callable[[Event], None], kinds: Collection[EventKind] | None = None) -> Cancel:
        """Call *listener* with each event (of *kinds*) after it is stored."""
        wanted = tuple(EventKind) if kinds is None else tuple(kinds)
        with self._watching:
            for kind in wanted:
                self._watchers[kind] = (*self._watchers[kind], listener)

        def cancel() -> None:
            with self._watching:
                for kind in wanted:
                    self._watchers[kind] = tuple(w for w in self._watchers[kind] if w is not listener)

        return cancel

    def events(self, after: int, limit: int = 1000) -> Sequence[Event] | None:
        """The stored events above *after*."""
        recent = list(self._recent)
        if recent and recent[0].number <= after + 1:
            first = bisect_right(recent, after, key=lambda event: event.number)  # a commit that failed leaves a gap
            return recent[first : first + limit]
        return self.store.events(self.name, after, limit)

    @property
    def last_event(self) -> int:
        """The number of the last event that was stored."""
        return self._last_event

    # -- policy

    def ask_segment(self, service: DrivenService[Any], segment: Segment, caller: Caller) -> None:
        """Ask the listeners whether *service* may have *segment*; the broker itself is not asked about."""
        if caller.system or not self.audience.has("ask_segment"):
            return
        self.audience.ask(
            "ask_segment",
            network=self.name,
            service=service.id,
            segment=segment,
            caller=caller,
            owner=service.owner,
            totals=self.book.totals(service.owner, service.id),
        )

    def ask_topology(self, change: object, caller: Caller) -> None:
        """Ask the listeners whether a terminal or trunk may be made or changed."""
        if not caller.system and self.audience.has("ask_topology"):
            self.audience.ask("ask_topology", network=self.name, change=change, caller=caller)

    # -- life

    def restore_base(self, contents: Contents) -> None:
        """Take up ids and services of this network."""
        self.prefix = f"{self.workshop.uuid}/{self.name}/"
        for record in contents.tables.get(NetworkRecord, ()):
            if isinstance(record, NetworkRecord) and record.name == self.name:
                self._last_service = record.last_service
                if record.kind != self.kind:
                    raise Refused(
                        f"network {self.name!r} is of kind {record.kind} in the store, of kind {self.kind} in the"
                        f" configuration; give the new one another name"
                    )
        self._last_event = contents.last_events.get(self.name, 0)
        self._next_event = self._last_event + 1
        for stored in contents.tables.get(ServiceRecord, ()):
            if isinstance(stored, ServiceRecord) and stored.network == self.name:
                service = self.service_class(self, stored.id, stored.handle, stored.owner)
                service.restore(stored)
                self._services[stored.id] = service
                if stored.handle is not None:
                    self._handles[stored.handle] = service
        for segment in contents.tables.get(SegmentRecord, ()):
            if isinstance(segment, SegmentRecord) and segment.network == self.name:
                self._services[segment.service].restore_segment(segment)

    def resume(self) -> None:
        """Hold what the restored services hold, and let each go where it is wanted."""
        for service in self._services.values():
            service.rehold()
        for service in list(self._services.values()):
            service.resume()

    def health(self) -> Mapping[str, Any]:
        """What operators want to know at a glance."""
        services = self._services.copy().values()
        return {
            "kind": self.kind,
            "services": len(services),
            "active": sum(1 for s in services if s.status is Status.ACTIVE),
            "failed": sum(1 for s in services if s.status is Status.FAILED),
            "unconfirmed": sum(1 for s in services if any(c.kind == "unconfirmed" for c in s.conditions)),
        }


def _answer(reply: Reply[Service], service: Service, error: BaseException | None) -> None:
    if error is None:
        reply.resolve(service)
    else:
        reply.fail(error)
