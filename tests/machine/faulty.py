"""An inferior network behind a link that may be slow, broken or lying in wait with a refusal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from dpb_framework.contracts import Cancel, Network, Service
from dpb_framework.errors import (
    CircuitTaken,
    DpbError,
    FabricRefused,
    LabelsUnavailable,
    NoCapacity,
    QuotaExceeded,
    Unreachable,
)
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

DELAYS = {"slow": 0.0, "late": 4.0, "overdue": 15.0}
"""How many seconds an answer takes; the request, too, waits its turn."""

REFUSALS = ("no-capacity", "circuit-taken", "labels-unavailable", "quota", "fabric-refused")

MODES = ("direct", *DELAYS, "lost-before", "lost-after", *REFUSALS)
"""What may become of one call."""


def _refusal(mode: str, network: str, segment: Segment) -> DpbError:
    circuit = segment.ends[-1].circuit
    if mode == "no-capacity":
        return NoCapacity(network, "so says the link")
    if mode == "circuit-taken":
        return CircuitTaken(network, circuit.terminal, circuit.label or 0, 0)
    if mode == "labels-unavailable":
        return LabelsUnavailable(network, circuit.terminal, circuit.label)
    if mode == "quota":
        return QuotaExceeded(network, circuit.terminal, "ingress", 1, 0)
    return FabricRefused(network, "so says the link")


class Link:
    """The way to one inferior network: the next calls meet what is planned, one each; then all is well."""

    def __init__(self, runtime: Runtime, where: str) -> None:
        self.runtime = runtime
        self.where = where
        self.planned: deque[str] = deque()
        self.down = False

    def heal(self) -> None:
        """Let all be well."""
        self.planned.clear()
        self.down = False

    def call(self, act: Callable[[], Reply[Any]], segment: Segment | None = None) -> Reply[Any]:
        """Make a call as planned; a refusal needs a segment to refuse."""
        mode = self.planned.popleft() if self.planned else "direct"
        if self.down:
            mode = "lost-before"
        if mode in REFUSALS:
            return Reply.of(None) if segment is None else Reply.failed(_refusal(mode, self.where, segment))
        reply: Reply[Any] = Reply()
        if mode == "direct":
            return act()
        if mode == "lost-before":
            self.runtime.soon(partial(self._lose, reply))
        elif mode == "lost-after":
            act().then(lambda _: self.runtime.soon(partial(self._lose, reply)))
        else:
            self.runtime.soon(lambda: act().then(partial(self._answer, reply, DELAYS[mode])))
        return reply

    def refuses_next(self) -> bool:
        """Whether the next call is to be refused."""
        return bool(self.planned) and self.planned[0] in REFUSALS and not self.down

    def skip(self) -> None:
        """Forget what was planned for a call that cannot be refused."""
        self.planned.popleft()

    def _answer(self, reply: Reply[Any], delay: float, settled: Reply[Any]) -> None:
        def tell() -> None:
            if settled.error is not None:
                reply.fail(settled.error)
            else:
                reply.resolve(settled.value)

        if delay:
            self.runtime.later(delay, tell)
        else:
            self.runtime.soon(tell)

    def _lose(self, reply: Reply[Any]) -> None:
        reply.fail(Unreachable(f"inferior network {self.where!r}", "the link is broken"))


class FaultyService(Service):
    """A service seen over a link: what it tells is current, what it is told takes the link."""

    def __init__(self, inner: Service, link: Link) -> None:
        self.inner = inner
        self._link = link

    @property
    def id(self) -> int:
        """As the inner one."""
        return self.inner.id

    @property
    def handle(self) -> str | None:
        """As the inner one."""
        return self.inner.handle

    @property
    def status(self) -> Status:
        """As the inner one."""
        return self.inner.status

    @property
    def desired(self) -> Desired:
        """As the inner one."""
        return self.inner.desired

    @property
    def change(self) -> Change:
        """As the inner one."""
        return self.inner.change

    @property
    def segment(self) -> Segment | None:
        """As the inner one."""
        return self.inner.segment

    @property
    def error(self) -> Fault | None:
        """As the inner one."""
        return self.inner.error

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """As the inner one."""
        return self.inner.conditions

    def view(self) -> ServiceView:
        """As the inner one."""
        return self.inner.view()

    def _tell(self, act: Callable[[], Reply[None]], segment: Segment | None = None) -> Reply[None]:
        if segment is None and self._link.refuses_next():
            self._link.skip()
        return self._link.call(act, segment)

    def define(self, segment: Segment, caller: Caller) -> Reply[None]:
        """Over the link; it may refuse what is not defined yet."""
        known = self.inner.desired in (Desired.INACTIVE, Desired.ACTIVE)
        return self._tell(lambda: self.inner.define(segment, caller), None if known else segment)

    def activate(self, caller: Caller) -> Reply[None]:
        """Over the link."""
        return self._tell(lambda: self.inner.activate(caller))

    def deactivate(self, caller: Caller) -> Reply[None]:
        """Over the link."""
        return self._tell(lambda: self.inner.deactivate(caller))

    def reset(self, caller: Caller) -> Reply[None]:
        """Over the link."""
        return self._tell(lambda: self.inner.reset(caller))

    def release(self, caller: Caller) -> Reply[None]:
        """Over the link."""
        return self._tell(lambda: self.inner.release(caller))

    def prepare(self, segment: Segment, caller: Caller) -> Reply[None]:
        """Over the link; it may refuse what is not prepared yet."""
        known = self.inner.change is not Change.NONE
        return self._tell(lambda: self.inner.prepare(segment, caller), None if known else segment)

    def commit(self, caller: Caller) -> Reply[None]:
        """Over the link."""
        return self._tell(lambda: self.inner.commit(caller))

    def abort(self, caller: Caller) -> Reply[None]:
        """Over the link."""
        return self._tell(lambda: self.inner.abort(caller))

    def wait(self, statuses: Collection[Status], timeout: float | None = None) -> Reply[Status]:
        """As the inner one."""
        return self.inner.wait(statuses, timeout)

    def watch(self, listener: Callable[[Service], None]) -> Cancel:
        """As the inner one."""
        return self.inner.watch(lambda _: listener(self))


class FaultyNetwork(Network):
    """A network seen over a link."""

    def __init__(self, inner: Network, link: Link) -> None:
        self.inner = inner
        self.kind = inner.kind
        self.link = link

    @property
    def name(self) -> str:
        """As the inner one."""
        return self.inner.name

    def terminals(self) -> tuple[str, ...]:
        """As the inner one."""
        return self.inner.terminals()

    def model(self) -> NetworkModel:
        """As the inner one."""
        return self.inner.model()

    def create(self, caller: Caller, handle: str | None = None, segment: Segment | None = None) -> Reply[Service]:
        """Over the link; it may refuse a segment under a handle that is not known yet."""
        known = any(service.handle == handle for service in self.inner.services())
        refusable = None if known else segment
        if refusable is None and self.link.refuses_next():
            self.link.skip()
        return self._wrap(self.link.call(lambda: self.inner.create(caller, handle, segment), refusable))

    def find(self, handle: str) -> Reply[Service | None]:
        """Over the link."""
        if self.link.refuses_next():
            self.link.skip()
        return self._wrap(self.link.call(lambda: self.inner.find(handle)))

    def _wrap(self, reply: Reply[Any]) -> Reply[Any]:
        wrapped: Reply[Any] = Reply()

        def settle(settled: Reply[Any]) -> None:
            if settled.error is not None:
                wrapped.fail(settled.error)
            elif settled.value is None:
                wrapped.resolve(None)
            else:
                wrapped.resolve(FaultyService(settled.value, self.link))

        reply.then(settle)
        return wrapped

    def service(self, id: int) -> Service:
        """As the inner one."""
        return FaultyService(self.inner.service(id), self.link)

    def services(self, handle_prefix: str = "") -> Sequence[Service]:
        """As the inner one."""
        return [FaultyService(service, self.link) for service in self.inner.services(handle_prefix)]

    def watch(self, listener: Callable[[Event], None], kinds: Collection[EventKind] | None = None) -> Cancel:
        """As the inner one."""
        return self.inner.watch(listener, kinds)

    def events(self, after: int, limit: int = 1000) -> Sequence[Event] | None:
        """As the inner one."""
        return self.inner.events(after, limit)

    @property
    def last_event(self) -> int:
        """As the inner one."""
        return self.inner.last_event
