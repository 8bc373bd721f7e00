"""What goes wrong on demand: a store that fails or is slow, an inferior network that cannot be reached."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from dpb_framework.contracts import Batch, Cancel, Contents, Item, Network, Service, Store
from dpb_framework.errors import CommitFailed, Unreachable
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
from dpb_framework.runtime import Runtime

T = TypeVar("T")


class FaultyStore(Store):
    """A store around another one. `fail` lets commits fail; with a *runtime* each commit takes two of its tasks.

    In the first task the batch is kept, in the second one the reply tells of it: whoever stops between them has a
    broker that died after the commit and before it knew.
    """

    def __init__(self, inner: Store, runtime: Runtime | None = None) -> None:
        self.inner = inner
        self.runtime = runtime
        self.submitted = 0
        self._waiting: deque[tuple[Batch, Reply[None], bool]] = deque()
        self._fails: Callable[[Batch], bool] = lambda _: False

    def fail(self, when: Callable[[Batch], bool] | bool = True) -> None:
        """Let the commits fail of which *when* is true (True for all, False for none), from now on."""
        self._fails = when if callable(when) else lambda _: when

    def fail_next(self) -> None:
        """Let the next commit fail, and no other."""

        def once(_: Batch) -> bool:
            self.fail(False)
            return True

        self.fail(once)

    def forget_waiting(self) -> None:
        """Lose what was submitted and is not kept yet, as the death of the process does."""
        self._waiting.clear()

    def open(self) -> None:
        """Open the inner store."""
        self.inner.open()

    def close(self) -> None:
        """Keep what waits and close the inner store."""
        while self._waiting:
            self._write()
        self.inner.close()

    @property
    def uuid(self) -> str:
        """The inner store's id."""
        return self.inner.uuid

    def load(self) -> Contents:
        """What the inner store has."""
        return self.inner.load()

    def submit(self, batch: Batch) -> Reply[None]:
        """Pass the batch on, now or in a task; or fail it."""
        self.submitted += 1
        fails = self._fails(batch)
        if self.runtime is None:
            return Reply.failed(CommitFailed("the disk is full")) if fails else self.inner.submit(batch)
        reply: Reply[None] = Reply()
        self._waiting.append((batch, reply, fails))
        self.runtime.soon(self._write)
        return reply

    def _write(self) -> None:
        if not self._waiting:
            return
        batch, reply, fails = self._waiting.popleft()
        kept: Reply[None] = Reply.failed(CommitFailed("the disk is full")) if fails else self.inner.submit(batch)
        soon = partial(kept.then, lambda settled: _pass(settled, reply))
        if self.runtime is None:
            soon()
        else:
            self.runtime.soon(soon)

    def events(self, network: str, after: int, limit: int) -> Sequence[Event] | None:
        """The inner store's events."""
        return self.inner.events(network, after, limit)

    def items(self, namespace: str) -> Mapping[str, Item]:
        """The inner store's items."""
        return self.inner.items(namespace)


def _pass(settled: Reply[T], reply: Reply[T]) -> None:
    if settled.error is None:
        reply.resolve(settled.value)
    else:
        reply.fail(settled.error)


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
        command().then(lambda came: _pass(came, reply) if self.whole else reply.fail(self.error()))
        return reply

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
        again = Event(self.name, 0, EventKind.MODEL)
        return self._line.tell(listener, lambda tell: self._network.watch(tell, kinds), again)

    def events(self, after: int, limit: int = 1000) -> Sequence[Event] | None:
        """Its events."""
        return self._network.events(after, limit)

    @property
    def last_event(self) -> int:
        """The number of its last event."""
        return self._network.last_event


__all__ = ["DistantNetwork", "DistantService", "FaultyStore", "Line"]
