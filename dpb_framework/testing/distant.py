"""An inferior network at the end of a line that a test cuts and mends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from dpb_framework.contracts import Cancel, Network, Service
from dpb_framework.errors import Unreachable
from dpb_framework.model import (
    Caller,
    Change,
    Condition,
    Desired,
    Event,
    EventKind,
    Fault,
    NetworkModel,
    Segment,
    ServiceView,
    Status,
)
from dpb_framework.reply import Reply

T = TypeVar("T")


class Line:
    """The way to an inferior network, which a test cuts and mends."""

    def __init__(self, network: str) -> None:
        self.network = network
        self.mode = "whole"
        self._mended: list[Callable[[], None]] = []

    def cut(self) -> None:
        """From now on commands do not arrive: they are answered with `Unreachable`, and nothing is heard."""
        self.mode = "cut"

    def mute(self) -> None:
        """From now on commands arrive and are carried out, but the answer is `Unreachable`; nothing is heard."""
        self.mode = "mute"

    def mend(self) -> None:
        """Be whole again; whoever watches is told that something may have changed."""
        self.mode = "whole"
        for tell in list(self._mended):
            tell()

    @property
    def whole(self) -> bool:
        """Whether everything passes."""
        return self.mode == "whole"

    def ask(self, command: Callable[[], Reply[T]]) -> Reply[T]:
        """Pass a command on, as far as the line carries it."""
        if self.mode == "cut":
            return Reply.failed(self.error())
        reply: Reply[T] = Reply()
        command().then(lambda came: self._answer(came, reply))
        return reply

    def _answer(self, came: Reply[T], reply: Reply[T]) -> None:
        if self.whole:
            reply.follow(came)
        else:
            reply.fail(self.error())

    def error(self) -> Unreachable:
        """What is answered instead."""
        return Unreachable(f"network {self.network!r}", "the line is cut")

    def tell(self, listener: Callable[[T], None], end: Callable[[Callable[[T], None]], Cancel], again: T) -> Cancel:
        """Pass on what a watch tells while the line is whole; *again* is told when it is mended."""
        cancel = end(lambda told: listener(told) if self.whole else None)

        def mended() -> None:
            listener(again)

        self._mended.append(mended)

        def stop() -> None:
            cancel()
            if mended in self._mended:
                self._mended.remove(mended)

        return stop


class DistantService(Service):
    """A service at the other end of a line: while that is not whole, it is what was last seen of it."""

    def __init__(self, service: Service, line: Line) -> None:
        self._service = service
        self._line = line
        self._seen = service.view()

    def view(self) -> ServiceView:
        """What is seen, or was last seen."""
        if self._line.whole:
            self._seen = self._service.view()
        return self._seen

    @property
    def id(self) -> int:
        """The id."""
        return self._seen.id

    @property
    def handle(self) -> str | None:
        """The handle."""
        return self._seen.handle

    @property
    def status(self) -> Status:
        """The status, as seen."""
        return self.view().status

    @property
    def desired(self) -> Desired:
        """What is desired, as seen."""
        return self.view().desired

    @property
    def change(self) -> Change:
        """The change, as seen."""
        return self.view().change

    @property
    def segment(self) -> Segment | None:
        """The segment, as seen."""
        return self.view().segment

    @property
    def error(self) -> Fault | None:
        """The error, as seen."""
        return self.view().error

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions, as seen."""
        return self.view().conditions

    def define(self, segment: Segment, caller: Caller) -> Reply[None]:
        """Pass it on."""
        return self._line.ask(lambda: self._service.define(segment, caller))

    def activate(self, caller: Caller) -> Reply[None]:
        """Pass it on."""
        return self._line.ask(lambda: self._service.activate(caller))

    def deactivate(self, caller: Caller) -> Reply[None]:
        """Pass it on."""
        return self._line.ask(lambda: self._service.deactivate(caller))

    def reset(self, caller: Caller) -> Reply[None]:
        """Pass it on."""
        return self._line.ask(lambda: self._service.reset(caller))

    def release(self, caller: Caller) -> Reply[None]:
        """Pass it on."""
        return self._line.ask(lambda: self._service.release(caller))

    def prepare(self, segment: Segment, caller: Caller) -> Reply[None]:
        """Pass it on."""
        return self._line.ask(lambda: self._service.prepare(segment, caller))

    def commit(self, caller: Caller) -> Reply[None]:
        """Pass it on."""
        return self._line.ask(lambda: self._service.commit(caller))

    def abort(self, caller: Caller) -> Reply[None]:
        """Pass it on."""
        return self._line.ask(lambda: self._service.abort(caller))

    def wait(self, statuses: Collection[Status], timeout: float | None = None) -> Reply[Status]:
        """Wait at the other end."""
        return self._service.wait(statuses, timeout)

    def watch(self, listener: Callable[[Service], None]) -> Cancel:
        """Tell of changes while the line is whole."""
        return self._line.tell(listener, lambda tell: self._service.watch(lambda _: tell(self)), self)


class DistantNetwork(Network):
    """A network at the other end of a line."""

    def __init__(self, network: Network, line: Line) -> None:
        self._network = network
        self._line = line
        self.kind = network.kind
        self.frozen: NetworkModel | None = None
        """What its model is said to be, whatever it is: a superior's knowledge that is out of date."""
        self._model = network.model()

    @property
    def name(self) -> str:
        """Its name."""
        return self._network.name

    def terminals(self) -> tuple[str, ...]:
        """Its terminals."""
        return self._network.terminals()

    def model(self) -> NetworkModel:
        """Its model, as last seen."""
        if self.frozen is not None:
            return self.frozen
        if self._line.whole:
            self._model = self._network.model()
        return self._model

    def create(self, caller: Caller, handle: str | None = None, segment: Segment | None = None) -> Reply[Service]:
        """Pass it on."""
        return self._distant(lambda: self._network.create(caller, handle, segment))

    def find(self, handle: str) -> Reply[Service | None]:
        """Pass it on."""
        found: Reply[Service | None] = Reply()
        self._line.ask(lambda: self._network.find(handle)).then(
            lambda came: found.fail(came.error) if came.error else found.resolve(self._wrap(came.value))
        )
        return found

    def _distant(self, command: Callable[[], Reply[Service]]) -> Reply[Service]:
        reply: Reply[Service] = Reply()
        self._line.ask(command).then(
            lambda came: reply.fail(came.error) if came.error else reply.resolve(DistantService(came.value, self._line))
        )
        return reply

    def _wrap(self, service: Service | None) -> Service | None:
        return None if service is None else DistantService(service, self._line)

    def service(self, id: int) -> Service:
        """One of its services."""
        return DistantService(self._network.service(id), self._line)

    def services(self, handle_prefix: str = "") -> Sequence[Service]:
        """Its services; none are known while the line is not whole."""
        if not self._line.whole:
            return ()
        return [DistantService(service, self._line) for service in self._network.services(handle_prefix)]

    def watch(self, listener: Callable[[Event], None], kinds: Collection[EventKind] | None = None) -> Cancel:
        """Tell of events while the line is whole, and of a change of the model when it is mended."""
        again = Event(self.name, 0, EventKind.MODEL, {"contact": True})
        return self._line.tell(listener, lambda tell: self._network.watch(tell, kinds), again)

    def events(self, after: int, limit: int = 1000) -> Sequence[Event] | None:
        """Its events."""
        return self._network.events(after, limit)

    @property
    def last_event(self) -> int:
        """The number of its last event."""
        return self._network.last_event


__all__ = ["DistantNetwork", "DistantService", "Line"]
