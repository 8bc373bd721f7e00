"""A network in memory, honest as far as REST can see: circuits are taken, lives follow the table, events numbered."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dpb_framework.contracts import AggregatorManagement, BrokerApi, Network, Service, SwitchManagement
from dpb_framework.errors import (
    CircuitTaken,
    DpbError,
    InterfaceInvalid,
    LabelsUnavailable,
    NetworkUnknown,
    NoCapacity,
    ServiceGone,
    ServiceLogic,
    ServiceUnknown,
    Stopped,
    SubnetworkUnknown,
    TerminalBusy,
    TerminalExists,
    TerminalUnknown,
    TrunkExists,
    TrunkUnknown,
)
from dpb_framework.memory import MemoryStore
from dpb_framework.model import (
    STABLE,
    Change,
    Circuit,
    Desired,
    End,
    Event,
    EventKind,
    Fault,
    Fragment,
    NetworkModel,
    Proposal,
    Segment,
    ServiceView,
    Share,
    Status,
    Step,
    Terminal,
    Trunk,
    TrunkUse,
    Tunnel,
    step,
)
from dpb_framework.reply import Reply


class Clock:
    """One thread that calls back later, for however many waits."""

    def __init__(self):
        self._due = []
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        threading.Thread(target=self._run, daemon=True).start()

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), call))
            self._changed.notify()

    def _run(self):
        while True:
            with self._changed:
                while not self._due or (left := self._due[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left if self._due else None)
                _, _, call = heapq.heappop(self._due)
            call()


CLOCK = Clock()
_WORKING = {
    Status.ESTABLISHING: Step.ESTABLISHED,
    Status.ACTIVATING: Step.ACTIVATED,
    Status.RELEASING: Step.RELEASED,
}


def answered(command):
    """Make what a command raises its reply."""

    def run(*args: Any, **kwargs: Any):
        try:
            return Reply.of(command(*args, **kwargs))
        except DpbError as error:
            return Reply.failed(error)

    return run


class FakeService(Service):
    def __init__(self, network: FakeNetwork, id_: int, handle: str | None, owner: str):
        self._network = network
        self._id = id_
        self._handle = handle
        self._status = Status.DORMANT
        self._desired = Desired.DORMANT
        self._change = Change.NONE
        self._segment = None
        self._next = None
        self._error = None
        self._waiters = []
        self._watchers = []
        self.owner = owner
        self.conditions_told = ()

    id = property(lambda self: self._id)
    handle = property(lambda self: self._handle)
    status = property(lambda self: self._status)
    desired = property(lambda self: self._desired)
    change = property(lambda self: self._change)
    segment = property(lambda self: self._segment)
    error = property(lambda self: self._error)
    conditions = property(lambda self: self.conditions_told)

    def view(self) -> ServiceView:
        return ServiceView(
            self._network.name,
            self._id,
            self._handle,
            self.owner,
            self._status,
            self._desired,
            self._change,
            self._segment,
            self._error,
            self.conditions_told,
        )

    def _step(self, move: Step) -> None:
        self._status = step(self._status, move)
        self._tell()

    def _tell(self):
        error = self._error and {"code": self._error.code, "text": self._error.text, "facts": dict(self._error.facts)}
        data = {"id": self._id, "status": self._status.value, "desired": self._desired.value}
        self._network.tell(EventKind.SERVICE, {**data, "change": self._change.value, "error": error})
        for watcher in list(self._watchers):
            watcher(self)
        waiters, self._waiters = self._waiters, []
        for statuses, reply in waiters:
            if self._status in statuses or self.resting:
                reply.resolve(self._status)
            else:
                self._waiters.append((statuses, reply))

    @property
    def resting(self) -> bool:
        """Whether nothing comes without a new command."""
        return self._status in STABLE and (self._status, self._desired) != (Status.INACTIVE, Desired.ACTIVE)

    def go_on(self) -> None:
        """Do what is to be done, as a driver does."""
        while True:
            if self._status is Status.DEACTIVATING:
                cleared = self._desired is Desired.DORMANT
                if cleared:
                    self._segment = None
                self._step(Step.CLEARED if cleared else Step.DEACTIVATED)
            elif self._status is Status.ESTABLISHING and self._network.late_refusal:
                self._error = Fault.of(NoCapacity(self._network.name, "no tree has 10000 kbit/s left"))
                self._segment, self._desired = None, Desired.DORMANT
                self._step(Step.REFUSED)
            elif self._status in _WORKING:
                if self._status is Status.RELEASING:
                    self._segment = None
                    del self._network.table[self._id]
                self._step(_WORKING[self._status])
            elif self._status is Status.INACTIVE and self._desired is Desired.ACTIVE:
                self._step(Step.ACTIVATE)
            else:
                return

    def _there(self):
        if self._status is Status.RELEASED:
            raise ServiceGone(self._network.name, self._id)

    @answered
    def define(self, segment, caller):
        self._there()
        if self._segment is not None:
            if segment.same_as(self._segment):
                return
            raise ServiceLogic(self._network.name, self._id, "define", "it has another segment")
        self._segment = self._network.admit(segment, self)
        self._error = None
        if self._desired is Desired.DORMANT:
            self._desired = Desired.INACTIVE
        self._step(Step.DEFINE)
        self._network.drive(self)

    def _to(self, move, desired):
        self._there()
        after = step(self._status, move)
        if self._desired is not desired or after is not self._status:
            self._desired = desired
            self._step(move)
        self._network.drive(self)

    @answered
    def activate(self, caller):
        self._to(Step.ACTIVATE, Desired.ACTIVE)

    @answered
    def deactivate(self, caller):
        self._to(Step.DEACTIVATE, Desired.INACTIVE if self._segment else Desired.DORMANT)

    @answered
    def reset(self, caller):
        self._to(Step.RESET, Desired.DORMANT)

    @answered
    def release(self, caller):
        if self._status is not Status.RELEASED:
            self._to(Step.RELEASE, Desired.RELEASED)

    @answered
    def prepare(self, segment, caller):
        self._there()
        if self._status not in {Status.INACTIVE, Status.ACTIVE}:
            raise ServiceLogic(self._network.name, self._id, "prepare", f"it is {self._status.value}")
        self._next = self._network.admit(segment, self)
        self._change = Change.PREPARED
        self._tell()

    @answered
    def commit(self, caller):
        self._there()
        if self._next is not None:
            self._segment, self._next, self._change = self._next, None, Change.NONE
            self._tell()

    @answered
    def abort(self, caller):
        self._there()
        if self._next is not None:
            self._next, self._change = None, Change.NONE
            self._tell()

    def wait(self, statuses: Collection[Status], timeout: float | None = None) -> Reply[Status]:
        if self._status in statuses or (self.resting and not self._network.paused):
            return Reply.of(self._status)
        reply: Reply[Status] = Reply()
        self._waiters.append((frozenset(statuses), reply))
        if timeout is not None:
            CLOCK.after(timeout, lambda: reply.resolve(self._status))
        return reply

    def watch(self, listener):
        self._watchers = [*self._watchers, listener]
        return lambda: self._watchers.remove(listener) if listener in self._watchers else None


class FakeNetwork(Network):
    kind = "other"

    def __init__(self, name: str, *terminals: str, capacity: int = 10**9):
        self._name = name
        self._terminals = {terminal: Terminal(terminal, f"port-{terminal}") for terminal in terminals}
        self._last = 0
        self._stored: list[Event] = []
        self._listeners: list[Callable[[Event], None]] = []
        self._lock = threading.RLock()
        self.capacity = capacity
        self.kept = 1_000_000
        self.paused = False
        self.late_refusal = False
        self.table: dict[int, FakeService] = {}
        self.ids = itertools.count(1)
        self.issued = 0

    @property
    def name(self) -> str:
        return self._name

    def terminals(self) -> tuple[str, ...]:
        return tuple(sorted(self._terminals))

    def model(self) -> NetworkModel:
        return NetworkModel((Fragment(self.terminals()),))

    def admit(self, segment: Segment, service: FakeService) -> Segment:
        taken = {
            end.circuit: other.id
            for other in self.table.values()
            if other is not service and other.segment
            for end in other.segment.ends
        }
        segment.check()
        chosen = []
        for end in segment.ends:
            name, label = end.circuit.terminal, end.circuit.label
            if name not in self._terminals:
                raise TerminalUnknown(self._name, name)
            if label is not None and not 1 <= label <= 4094:
                raise LabelsUnavailable(self._name, name, label)
            if label is None:
                label = next(i for i in range(1, 4095) if Circuit(name, i) not in taken)
            if Circuit(name, label) in taken:
                raise CircuitTaken(self._name, name, label, taken[Circuit(name, label)])
            taken[Circuit(name, label)] = service.id
            chosen.append(End(Circuit(name, label), end.flow))
        if not self.late_refusal and max(end.flow.ingress for end in segment.ends) > self.capacity:
            raise NoCapacity(self._name, f"no tree has {self.capacity + 1} kbit/s left")
        return Segment(chosen, segment.constraints)

    def drive(self, service: FakeService) -> None:
        if not self.paused:
            service.go_on()

    def go_on(self) -> None:
        """Let what was paused go on."""
        self.paused = False
        for service in list(self.table.values()):
            service.go_on()

    def create(self, caller, handle=None, segment=None):
        with self._lock:
            service = next((s for s in self.table.values() if handle is not None and s.handle == handle), None)
            made = service is None
            if service is None:
                self.issued = next(self.ids)
                service = FakeService(self, self.issued, handle, caller.name)
                self.table[service.id] = service
        if segment is not None:
            defined = service.define(segment, caller)
            if defined.error is not None:
                if made:
                    service.release(caller)
                return Reply.failed(defined.error)
        return Reply.of(service)

    def find(self, handle):
        return Reply.of(next((s for s in self.table.values() if s.handle == handle), None))

    def service(self, id):
        if id in self.table:
            return self.table[id]
        raise (ServiceGone if 1 <= id <= self.issued else ServiceUnknown)(self._name, id)

    def services(self, handle_prefix=""):
        found = list(self.table.values())
        return [s for s in found if (s.handle or "").startswith(handle_prefix)] if handle_prefix else found

    def tell(self, kind: EventKind, data: dict[str, Any]) -> None:
        with self._lock:
            self._last += 1
            event = Event(self._name, self._last, kind, data)
            self._stored.append(event)
            for listener in list(self._listeners):
                listener(event)

    def hint(self) -> None:
        for listener in list(self._listeners):
            listener(Event(self._name, 0, EventKind.MODEL, {}))

    def watch(self, listener, kinds=None):
        def told(event):
            if kinds is None or event.kind in kinds:
                listener(event)

        with self._lock:
            self._listeners.append(told)

        def cancel():
            if told in self._listeners:
                self._listeners.remove(told)

        return cancel

    @property
    def watchers(self) -> int:
        return len(self._listeners)

    def events(self, after: int, limit: int = 1000) -> Sequence[Event] | None:
        with self._lock:
            if after < self._last - self.kept:
                return None
            return self._stored[after : after + limit]

    @property
    def last_event(self) -> int:
        return self._last


class FakeSwitch(FakeNetwork, SwitchManagement):
    kind = "switch"

    def list_terminals(self):
        return [self._terminals[name] for name in self.terminals()]

    @answered
    def put_terminal(self, terminal, caller, *, new=False):
        if new and terminal.name in self._terminals:
            raise TerminalExists(self._name, terminal.name)
        self._check_place(terminal.place)
        self._terminals[terminal.name] = terminal
        self.tell(EventKind.TERMINAL, {"name": terminal.name, "present": True})
        return terminal

    def _check_place(self, place):
        if place.startswith("?"):
            raise InterfaceInvalid("fake", place, "an interface is not called so")

    @answered
    def remove_terminal(self, name, caller):
        if name not in self._terminals:
            raise TerminalUnknown(self._name, name)
        for service in self.table.values():
            if service.segment and name in {end.circuit.terminal for end in service.segment.ends}:
                raise TerminalBusy(self._name, name, f"service {service.id}")
        del self._terminals[name]
        self.tell(EventKind.TERMINAL, {"name": name, "present": False})


class FakeAggregator(FakeSwitch, AggregatorManagement):
    kind = "aggregator"

    def __init__(self, name: str, *terminals: str, inferiors: tuple[str, ...] = ("left", "right"), **more: Any):
        super().__init__(name, *terminals, **more)
        self._inferiors = inferiors
        self._trunks: dict[str, Trunk] = {}

    def _check_place(self, place):
        if place.partition(":")[0] not in self._inferiors:
            raise SubnetworkUnknown(self._name, place.partition(":")[0])

    def inferiors(self):
        return sorted(self._inferiors)

    def trunks(self):
        return [self.trunk(name) for name in sorted(self._trunks)]

    def trunk(self, name):
        if name not in self._trunks:
            raise TrunkUnknown(self._name, name)
        trunk = self._trunks[name]
        return TrunkUse(trunk, trunk.upstream, trunk.downstream, sum(r.count for r in trunk.labels))

    @answered
    def put_trunk(self, trunk, caller, *, new=False):
        if new and trunk.name in self._trunks:
            raise TrunkExists(self._name, trunk.name)
        for network, terminal in (trunk.start, trunk.end):
            if network not in self._inferiors:
                raise SubnetworkUnknown(self._name, network)
            if terminal.startswith("no-"):
                raise TerminalUnknown(network, terminal)
        self._trunks[trunk.name] = trunk
        self.tell(EventKind.TRUNK, {"name": trunk.name, "present": True})

    @answered
    def remove_trunk(self, name, caller):
        if name not in self._trunks:
            raise TrunkUnknown(self._name, name)
        del self._trunks[name]
        self.tell(EventKind.TRUNK, {"name": name, "present": False})

    @answered
    def plan(self, segments, scenario):
        for name in (*scenario.failed, *scenario.drained):
            self.trunk(name)
        for trunk in scenario.added:
            if trunk.name in self._trunks:
                raise TrunkExists(self._name, trunk.name)
            self._check_place(":".join(trunk.start))
        self.asked = (segments, scenario)
        usable = [name for name in sorted(self._trunks) if name not in (*scenario.failed, *scenario.drained)]
        found = []
        for segment in segments:
            if usable:
                shares = [Share(name, 1000, 2500, 7000, 5000, 9) for name in usable]
                found.append(Proposal(None, None, shares, ("left:a~b",), ("left", "right"), 12, "quick"))
            else:
                refusal = NoCapacity(
                    self._name, "no trunk", True, {"terminals": [e.circuit.terminal for e in segment.ends]}
                )
                found.append(Proposal(None, Fault.of(refusal)))
        return found

    def tree(self, service):
        segment = self.service(service).segment
        return [Tunnel(name, 7, 1000, 2500) for name in sorted(self._trunks)] if segment else []


class FakeBroker(BrokerApi):
    """Three networks: an aggregator `aggr`, a switch `slough`, and `far`, which is neither."""

    def __init__(self):
        self.aggregator = FakeAggregator("aggr", "a", "b", "c", "Zürich")
        self.switch = FakeSwitch("slough", "x", "y")
        self._networks = {n.name: n for n in (self.aggregator, self.switch, FakeNetwork("far", "p", "q"))}
        self._workers = ThreadPoolExecutor(2)
        self.store = MemoryStore()
        self.store.open()
        self.stopped = False

    def network(self, name):
        if name not in self._networks:
            raise NetworkUnknown(name)
        return self._networks[name]

    def networks(self):
        return list(self._networks.values())

    def health(self):
        return {"status": "ok", "version": "0", "store": "none", "networks": {name: {} for name in self._networks}}

    def work(self, call):
        reply = Reply()
        if self.stopped:
            return Reply.failed(Stopped())

        def run():
            try:
                reply.resolve(call())
            except BaseException as error:  # noqa: BLE001
                reply.fail(error)

        self._workers.submit(run)
        return reply

    def close(self):
        self._workers.shutdown()
