"""One network, followed for all who keep a copy of it.

A network is followed once for however many copies: its events, and each of its services, since conditions and chosen
labels are in no event. The kernel's threads only put down who has changed; the loop looks at each of these, writes it
once and gives every copy the same bytes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from attrs import frozen

from dpb_framework.contracts import AggregatorManagement, BrokerApi, Cancel, Network, Service
from dpb_framework.errors import DpbError, NetworkUnknown, ServiceGone, ServiceUnknown
from dpb_framework.inbox import Inbox
from dpb_framework.model import STABLE, Change, Event, EventKind, ServiceView, Status
from dpb_framework.runtime import nothing
from dpb_nbi import render
from dpb_nbi.calls import Calls
from dpb_nbi.jsontext import write
from dpb_nbi.pending import Copy, Linger

_log = logging.getLogger("dpb_nbi")

MODEL_GATHER: Final = 0.1
"""Seconds between two looks at the model: it may change with every service, and is advice."""
MODEL_SHARE: Final = 10
"""How many times as long as a look took the next one waits at the least: a large network takes its time for one."""
REMEMBERED: Final = 1000
"""Answers that are remembered until what they tell is told to all: then each is news again."""
_AT_REST: Final = STABLE - {Status.RELEASED}


def say(event: str, plain: Any, number: int = 0) -> bytes:
    """Return one server-sent event."""
    return _said(event, write(plain), number)


def _said(event: str, data: bytes, number: int) -> bytes:
    head = f"id: {number}\n" if number else ""
    return f"{head}event: {event}\ndata: ".encode("ascii") + data + b"\n\n"


def changed_to(services: Sequence[bytes], events: Sequence[Event]) -> bytes:
    """Return what tells of services as they are now (SERVICE with its moment, as JSON), and of what happened."""
    happened = write([{"number": e.number, "kind": e.kind._value_, "data": dict(e.data)} for e in events])
    data = b'{"services":[' + b",".join(services) + b'],"happened":' + happened + b"}"
    return _said("changed", data, events[-1].number if events else 0)


@frozen
class Told:
    """What an answer has told of a service at rest: the text is SERVICE with its moment, as JSON."""

    view: ServiceView
    text: bytes


def beneath(broker: BrokerApi, network: Network) -> list[str]:
    """Every network that *network* stands on, here and in other brokers, as `store/network`, sorted."""
    found: set[str] = set()
    todo = [network]
    while todo:
        here = todo.pop()
        found.update(here.elsewhere())
        if isinstance(here, AggregatorManagement):
            for name in here.inferiors():
                place = f"{broker.uuid}/{name}"
                if place not in found:
                    found.add(place)
                    with suppress(NetworkUnknown):
                        todo.append(broker.network(name))
    return sorted(found)


def last_issued(network: Network) -> int:
    """Return the greatest id that *network* ever gave to a service: to tell the released from those that never were."""
    low, high = 0, 1
    while _issued(network, high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _issued(network, middle) else (low, middle)
    return low


def _issued(network: Network, id_: int) -> bool:
    try:
        network.service(id_)
    except ServiceUnknown:
        return False
    except ServiceGone:
        return True
    return True


class Source:
    """One network, followed for all its copies. Belongs to the event loop but where it is said."""

    def __init__(self, network: Network, broker: BrokerApi, calls: Calls, linger: Linger) -> None:
        self.network = network
        self._linger = linger
        self.copies: set[Copy] = set()
        self._answered: dict[int, Told] = {}
        """Services of which an answer has told a superior, and nothing since."""
        self._closed = False
        self._broker = broker
        self._calls = calls
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox.of(self._loop)
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._changed: dict[int, Service] = {}
        self._due = False
        """Whether the loop was told to look at these two."""
        self._untold: dict[int, Service] = {}
        self._ended: list[int] = []
        self._happened: list[Event] = []
        self._lingers = False
        self._looking = False
        self._stale = False
        self._model = b""
        self._followed: dict[int, Cancel] = {}
        self._task: asyncio.Task[None] | None = None
        self._cancel: Cancel = network.watch(self._heard)
        for service in network.services():
            self._follow(service)

    def _heard(self, event: Event) -> None:
        """Called in the kernel's threads."""
        with self._lock:
            self._events.append(event)
            first, self._due = not self._due, True
        if first:
            self._call()

    def _seen(self, service: Service) -> None:
        """Called in the kernel's threads."""
        with self._lock:
            self._changed[service.id] = service
            first, self._due = not self._due, True
        if first:
            self._call()

    def _call(self) -> None:
        try:
            self._inbox.put(self._wake)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    def answered(self, view: ServiceView, text: bytes) -> None:
        """Take note that an answer tells a superior of a service: *text* is SERVICE with its moment, as JSON."""
        if len(self._answered) >= REMEMBERED:
            self._answered.clear()
        if view.status in _AT_REST and view.change is Change.NONE:
            self._answered[view.id] = Told(view, text)
        else:
            self._answered.pop(view.id, None)

    def _wake(self) -> None:
        self._loop.call_soon(self._take)  # an answer that comes with a change is written before

    def _take(self) -> None:
        """Take up what has changed; tell it at once, unless answers have just told it."""
        with self._lock:
            events, self._events = self._events, []
            changed, self._changed = self._changed, {}
            self._due = False
        if self._closed:
            return
        hurry, answered = False, {id_: told.view.status for id_, told in self._answered.items()}
        for event in events:
            if event.number:
                self._happened.append(event)
            if event.kind is not EventKind.SERVICE:
                self._stale = True
                hurry = hurry or event.kind is not EventKind.MODEL
                continue
            id_ = int(event.data["id"])
            hurry = hurry or answered.get(id_) != event.data["status"] or event.data.get("change") != Change.NONE
            if id_ not in self._followed and id_ not in changed:
                try:
                    changed[id_] = self.network.service(id_)
                except (ServiceGone, ServiceUnknown):
                    self._ended.append(id_)
                except DpbError as error:  # a remote network's own contact is lost: its copy tells when that is back
                    _log.info("service %d of network %r cannot be told: %s", id_, self.network.name, error)
        for id_, service in changed.items():
            hurry = hurry or answered.get(id_) is not service.status or service.change is not Change.NONE
            self._follow(service)
        self._untold.update(changed)
        if hurry:
            self._tell()
        elif not self._lingers:
            self._lingers = True
            self._linger.put(self._tell)

    def _follow(self, service: Service) -> None:
        if service.id not in self._followed:
            self._followed[service.id] = service.watch(self._seen)

    def _tell(self) -> None:
        """Tell what has not been told yet."""
        if self._closed:
            return
        self._lingers = False
        untold, self._untold = self._untold, {}
        ended, self._ended = self._ended, []
        happened, self._happened = self._happened, []
        services = []
        for id_ in ended:
            self._answered.pop(id_, None)
            services.append(write(render.told(render.gone(self.network.name, id_))))
        for id_, service in untold.items():
            answered, view = self._answered.pop(id_, None), service.view()
            if answered is not None and answered.view == view:
                services.append(answered.text)  # with the answer's moment: whoever had it need not look again
            else:
                services.append(write(render.told(render.service(view))))
            if view.status is Status.RELEASED:
                self._followed.pop(id_, nothing)()
        if services or happened:
            text = changed_to(services, happened)
            for copy in self.copies:
                copy.feed(text)
        if self._stale and not self._looking:
            self._looking = True
            self._task = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        """Look at the model until it is no longer said to have changed; a planner's work, so not the loop's."""
        try:
            while self._stale and self.copies:
                self._stale = False
                begin = self._loop.time()
                model = say("model", await self._calls.work(self.shown))
                took = self._loop.time() - begin
                if model != self._model:
                    self._model = model
                    for copy in self.copies:
                        copy.feed(model)
                await asyncio.sleep(max(MODEL_GATHER, MODEL_SHARE * took))
        except DpbError as error:
            _log.warning("the model of network %r cannot be told: %s", self.network.name, error)
        finally:
            self._looking = False

    def shown(self) -> dict[str, Any]:
        """What a superior sees of the network beside its services. In a worker."""
        network = self.network
        return {
            "terminals": list(network.terminals()),
            "model": render.model(network.model()),
            "beneath": beneath(self._broker, network),
        }

    async def whole(self, instance: str, quiet: int) -> tuple[bytes, int]:
        """Return everything as it is, and the number of the last event that it has seen."""
        network, moment, last = self.network, render.moment(), self.network.last_event

        def written() -> bytes:
            # The moment first: what changes meanwhile is told by the loop, and must be the newer.
            services = [{"moment": render.moment(), **render.service(service.view())} for service in network.services()]
            head = {
                "network": network.name,
                "store": self._broker.uuid,
                "instance": instance,
                "moment": moment,
                "quiet-millis": quiet,
                "last-event": last,
                "last-service": last_issued(network),
            }
            return say("whole", {**head, **self.shown(), "services": services})

        return await self._calls.work(written), last

    def close(self) -> None:
        """Follow no more."""
        self._closed = True
        self._cancel()
        for cancel in self._followed.values():
            cancel()
        self._followed.clear()
        if self._task is not None:
            self._task.cancel()
