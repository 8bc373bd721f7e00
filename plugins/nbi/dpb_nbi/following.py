"""One network, followed for all who keep a copy of it.

A network is followed once for however many copies: its events, and each of its services, since conditions and chosen
labels are in no event. The kernel's threads only put down who has changed; the loop looks at each of these, writes it
once and gives every copy the same bytes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from typing import Any, Final

from dpb_framework.contracts import AggregatorManagement, BrokerApi, Cancel, Network, Service
from dpb_framework.errors import DpbError, NetworkUnknown, ServiceGone, ServiceUnknown
from dpb_framework.model import Event, EventKind, Status
from dpb_nbi import render
from dpb_nbi.calls import Calls
from dpb_nbi.events import MAX_PENDING
from dpb_nbi.jsontext import write

_log = logging.getLogger("dpb_nbi")

MODEL_GATHER: Final = 0.1
"""Seconds between two looks at the model: it may change with every service, and is advice."""
MODEL_SHARE: Final = 10
"""How many times as long as a look took the next one waits at the least: a large network takes its time for one."""
_COMMENT: Final = b":\n\n"


def say(event: str, plain: Any, number: int = 0) -> bytes:
    """Return one server-sent event."""
    head = f"id: {number}\n" if number else ""
    return f"{head}event: {event}\ndata: ".encode("ascii") + write(plain) + b"\n\n"


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


class Copy:
    """What waits for one reader, within a bound. Belongs to the event loop."""

    def __init__(self, quiet: float) -> None:
        self._quiet = quiet
        self._pending: list[bytes] = []
        self._size = 0
        self._wake = asyncio.Event()
        self.closed = False

    def feed(self, text: bytes) -> None:
        """Take *text*; a reader that is too slow is sent away, and gets everything anew when it comes back."""
        self._pending.append(text)
        self._size += len(text)
        if self._size > MAX_PENDING:
            self._pending.clear()
            self.close()
        self._wake.set()

    def close(self) -> None:
        """End; what waits is still sent."""
        self.closed = True
        self._wake.set()

    async def take(self) -> bytes:
        """Return all that waits, a comment line where nothing came for long; nothing once it is closed."""
        while not self._pending and not self.closed:
            self._wake.clear()
            try:
                async with asyncio.timeout(self._quiet):
                    await self._wake.wait()
            except TimeoutError:
                return _COMMENT
        taken = b"".join(self._pending)
        self._pending.clear()
        self._size = 0
        return taken


class Source:
    """One network, followed for all its copies. Belongs to the event loop but where it is said."""

    def __init__(self, network: Network, broker: BrokerApi, calls: Calls) -> None:
        self.network = network
        self.copies: set[Copy] = set()
        self._broker = broker
        self._calls = calls
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._changed: dict[int, Service] = {}
        self._due = False
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
            self._loop.call_soon_threadsafe(self._send)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    def _follow(self, service: Service) -> None:
        if service.id not in self._followed:
            self._followed[service.id] = service.watch(self._seen)

    def _send(self) -> None:
        with self._lock:
            events, self._events = self._events, []
            changed, self._changed = self._changed, {}
            self._due = False
        texts: list[bytes] = []
        for event in events:
            if event.kind is not EventKind.SERVICE:
                self._stale = True
                continue
            id_ = int(event.data["id"])
            if id_ in self._followed or id_ in changed:
                continue
            try:
                changed[id_] = self.network.service(id_)
            except (ServiceGone, ServiceUnknown):
                texts.append(say("service", render.told(render.gone(self.network.name, id_))))
            except DpbError as error:  # a remote network's own contact is lost: its copy tells when that is back
                _log.info("service %d of network %r cannot be told: %s", id_, self.network.name, error)
        for id_, service in changed.items():
            self._follow(service)
            view = service.view()
            texts.append(say("service", render.told(render.service(view))))
            if view.status is Status.RELEASED:
                self._followed.pop(id_)()
        texts += [
            say("happened", {"kind": event.kind.value, "data": dict(event.data)}, event.number)
            for event in events
            if event.number
        ]
        if texts:
            joined = b"".join(texts)
            for copy in self.copies:
                copy.feed(joined)
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
            services = [render.told(render.service(service.view())) for service in network.services()]
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
        self._cancel()
        for cancel in self._followed.values():
            cancel()
        self._followed.clear()
        if self._task is not None:
            self._task.cancel()
