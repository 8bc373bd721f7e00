"""The copy of a remote network that is kept here, as its mirror stream tells it."""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Final

from dpb_framework.contracts import Cancel, NetworkKind, Service, Workshop
from dpb_framework.errors import InferiorCycle, ServiceGone, ServiceUnknown, Unreachable
from dpb_framework.model import Condition, Event, EventKind, NetworkModel, Segment, ServiceView, Status
from dpb_framework.runtime import Strand
from dpb_remote import codec
from dpb_remote.service import RemoteService
from dpb_remote.settings import Settings
from dpb_remote.sse import Said
from dpb_remote.told import ToldService

_logger = logging.getLogger("dpb.remote")

RECENT: Final = 2048
"""How many of the last events are kept."""
GONE: Final = 4096
"""How many ids of released services are remembered, in case that a late answer tells of one."""


class Copy(NetworkKind):
    """What is known of the other broker's network. All changes happen on `strand`, in the kernel's workers."""

    def __init__(self, workshop: Workshop, found: Settings) -> None:
        self._name = workshop.name
        self._workshop = workshop
        self._settings = found
        self.runtime = workshop.runtime
        self.strand = Strand()
        self.where = f"network {self._name!r} at {found.door.url}"
        self.ready = False
        """Whether the copy is whole and current."""
        self.unconfirmed: Condition | None = Condition("unconfirmed", self._name, "not reached yet")
        """What holds of every service while contact is lost."""
        self._state = "starting"
        self._epoch = 0
        self._garbled: str | None = None
        self._store: str | None = None
        self._instance: str | None = None
        self._moment = 0
        self._terminals: tuple[str, ...] = ()
        self._model = NetworkModel()
        self._beneath: tuple[str, ...] = ()
        self._services: dict[int, RemoteService] = {}
        self._handles: dict[str, RemoteService] = {}
        self._gone: OrderedDict[int, None] = OrderedDict()
        self._last_service = 0
        self._last_event = 0
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._watchers: dict[EventKind, tuple[Callable[[Event], None], ...]] = dict.fromkeys(EventKind, ())
        self._watching = threading.Lock()

    @abstractmethod
    def make(self, view: ServiceView, moment: int) -> RemoteService:
        """The service of this network that *view* tells of."""

    @abstractmethod
    def deliver(self, task: Callable[[], None]) -> None:
        """Run *task* on the strand, in a worker; called in the loop."""

    @abstractmethod
    def give_up(self, problem: str) -> None:
        """End the stream, which tells what is not understood: *problem*."""

    # -- what is told

    @property
    def name(self) -> str:
        """Its name in this broker."""
        return self._name

    def terminals(self) -> tuple[str, ...]:
        """The names of its terminals, as last told."""
        return self._terminals

    def model(self) -> NetworkModel:
        """What it shows, as last told."""
        return self._model

    def elsewhere(self) -> Collection[str]:
        """The network itself, and what that stands on."""
        return () if self._store is None else (f"{self._store}/{self._settings.network}", *self._beneath)

    def service(self, id: int) -> Service:
        """Return the service; `Unreachable` while nothing is known yet."""
        found = self._services.get(id)
        if found is not None:
            return found
        if 1 <= id <= self._last_service:
            raise ServiceGone(self._name, id)
        if self._store is None:
            self.check_contact()
        raise ServiceUnknown(self._name, id)

    def services(self, handle_prefix: str = "") -> Sequence[Service]:
        """The services there are, by id, as last told."""
        found = sorted(self._services.copy().items())
        return [
            s for _, s in found if not handle_prefix or (s.handle is not None and s.handle.startswith(handle_prefix))
        ]

    def lost(self) -> Unreachable:
        """What is answered while contact is lost."""
        return Unreachable(self.where, "no contact" if self.unconfirmed is None else self.unconfirmed.text)

    def check_contact(self) -> None:
        """Raise `Unreachable` while contact is lost: then nothing is even tried, and nothing can be doubled."""
        if not self.ready:
            raise self.lost()

    # -- hearing

    def _adopt(self, plain: Any, moment: int, asked: Segment | None = None, *, anew: bool = False) -> RemoteService:
        """Take up what was told of a service at *moment*, and return it; *asked* is what it was asked to be."""
        id_ = codec.identity(plain)
        known = self._services.get(id_)
        if known is not None and moment <= known._moment and not anew:
            return known  # an answer has told as much
        before = asked if known is None else known._view.segment or asked
        view = codec.understood(codec.view, plain, self._name, before)
        if known is not None:
            known._hear(view, moment, anew=anew)
            return known
        service = self.make(view, moment)
        late = view.id in self._gone or (moment <= self._moment and not anew)
        if view.status is Status.RELEASED or late:
            self._last_service = max(self._last_service, view.id)
            service._end()
            return service
        self._services[view.id] = service
        self._last_service = max(self._last_service, view.id)
        if view.handle is not None:
            self._handles[view.handle] = service
        return service

    def forget(self, service: ToldService) -> None:
        """Let a service that is released be gone."""
        if self._services.get(service.id) is service:
            del self._services[service.id]
            self._gone[service.id] = None
            if len(self._gone) > GONE:
                self._gone.popitem(last=False)
        if service.handle is not None and self._handles.get(service.handle) is service:
            del self._handles[service.handle]

    @property
    def seen(self) -> int | None:
        """The number of the last event that was heard; None before there was contact."""
        return None if self._store is None else self._last_event

    def hear(self, said: Sequence[Said], then: Callable[[], None]) -> None:
        """Take what the stream says, and call *then* when it is taken up; called in the loop."""

        def take() -> None:
            try:
                self._hear(said)
            finally:
                then()

        self.deliver(take)

    def _hear(self, said: Sequence[Said]) -> None:
        for one in said:
            try:
                plain = codec.read(one.data)
                if one.event == "whole":
                    self._whole(plain)
                elif not self.ready:
                    return
                elif one.event == "changed":
                    services, happened = codec.understood(_changes, plain, self._name)
                    for service, moment in services:
                        self._adopt(service, moment)
                    for event in happened:
                        self._happened(event)
                elif one.event == "model" and self._see(plain):
                    self._tell(Event(self._name, 0, EventKind.MODEL))
            except (codec.Garbled, InferiorCycle) as error:
                self._doubt(str(error))
                return
            except Exception as error:  # what is half taken up must not pass for the whole
                _logger.exception("%s: what its stream says cannot be taken up", self.where)
                self._doubt(f"internal fault, please report it with the log: {type(error).__name__}: {error}")
                return

    def _doubt(self, problem: str) -> None:
        """What the stream says is of no use: all is asked for anew."""
        self.give_up(problem)
        self._garbled = problem
        self._lose(problem)

    def _whole(self, plain: Any) -> None:
        """Compare everything: what is not there any more is gone, and what is there is as it is told."""
        store, instance, last, last_service, moment, views = codec.understood(
            lambda: (
                codec.text(plain["store"]),
                codec.text(plain["instance"]),
                codec.whole(plain["last-event"]),
                codec.whole(plain["last-service"]),
                codec.whole(plain["moment"]),
                [(one, _moment(one), codec.view(one, self._name)) for one in codec.listed(plain["services"])],
            )
        )
        same = store == self._store
        self._store = store
        modelled = self._see(plain)
        place = f"{self._workshop.uuid}/{self._name}"
        if place in self._beneath:
            raise InferiorCycle((self._name, self._settings.network, self._name))
        anew = instance != self._instance
        if anew:
            self._epoch += 1
        self._instance, self._moment = instance, moment
        if not same or last < self._last_event:  # another store, or an older copy of it: numbers begin again
            self._recent.clear()
            self._last_event = last
        self._last_service = last_service
        told = {view.id: view for _, _, view in views}
        for id_, service in list(self._services.items()):
            there = told.get(id_)
            late = not anew and service._moment > moment  # it was made in the meantime
            if not same or (there is None and not late) or (there is not None and there.handle != service.handle):
                service._end()
        if anew:
            self._gone.clear()  # answers from before are not read any more, and ids may be used again in another store
        back = not self.ready
        if back and self._state == "lost":
            _logger.info("%s: contact is back", self.where)
        self.ready, self.unconfirmed, self._state = True, None, "up"
        for one, when, _ in views:
            self._adopt(one, when, anew=anew)
        if back:
            for service in list(self._services.values()):
                service._told()
        if back or modelled:
            self._tell(Event(self._name, 0, EventKind.MODEL, {"contact": True} if back else {}))

    def _see(self, plain: Any) -> bool:
        """Take up terminals, model and what is beneath; whether any of it is new."""
        terminals, model, beneath = codec.understood(
            lambda: (
                codec.names(plain["terminals"]),
                codec.model(plain["model"]),
                codec.texts(plain["beneath"]),
            )
        )
        before = (self._terminals, self._model, self._beneath)
        self._terminals, self._beneath = terminals, beneath
        if model != self._model:
            self._model = model
        return before != (terminals, model, beneath)

    def _happened(self, event: Event) -> None:
        """Take what happened next. Where numbers are left out, the other side keeps what was missed no longer.

        Or a commit failed there, and nothing was missed: from here that looks alike, and is told alike.
        """
        if event.number > self._last_event:
            if event.number != self._last_event + 1:
                self._recent.clear()
            self._last_event = event.number
            self._recent.append(event)
            self._tell(event)

    def tell_lost(self, problem: str) -> None:
        """Contact is lost; called in the loop."""
        self.deliver(partial(self._ended, problem))

    def _ended(self, problem: str) -> None:
        """The stream has ended, perhaps because it was given up: then that is what is worth telling."""
        garbled, self._garbled = self._garbled, None
        self._lose(garbled or problem)

    def _lose(self, problem: str) -> None:
        was, self._state = self._state, "lost"
        condition = Condition("unconfirmed", self._name, problem)
        told = self.unconfirmed == condition
        self.ready, self.unconfirmed = False, condition
        if was != "lost" or not told:
            _logger.warning("%s: contact lost: %s", self.where, problem)
            error = self.lost()
            for service in list(self._services.values()):
                service._lost(error)

    # -- events

    def _tell(self, event: Event) -> None:
        for watcher in self._watchers[event.kind]:
            try:
                watcher(event)
            except Exception:
                _logger.exception("%s: a watcher failed on event %d", self._name, event.number)

    def watch(self, listener: Callable[[Event], None], kinds: Collection[EventKind] | None = None) -> Cancel:
        """Call *listener* with each event (of *kinds*) after it was heard."""
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
        """The events above *after*, of the last that were heard without one left out."""
        recent = list(self._recent)
        if after >= self._last_event:
            return []
        if not recent or recent[0].number > after + 1:
            return None
        first = bisect_right(recent, after, key=lambda event: event.number)
        return recent[first : first + limit]

    @property
    def last_event(self) -> int:
        """The number of the last event that was heard."""
        return self._last_event


def _moment(plain: Any) -> int:
    return codec.whole(plain["moment"])


def _changes(plain: Any, network: str) -> tuple[list[tuple[Any, int]], list[Event]]:
    return [(one, _moment(one)) for one in codec.listed(plain["services"])], [
        Event(network, codec.whole(one["number"]), EventKind(one["kind"]), dict(one["data"]))
        for one in codec.listed(plain["happened"])
    ]
