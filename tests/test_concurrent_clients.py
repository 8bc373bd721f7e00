"""Many clients at once on a real runtime: threads, slow devices, commits to SQLite; nothing fails but honestly."""

from __future__ import annotations

import faulthandler
import random
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest
from dpb_store import SqlStore

from dpb_framework.broker import Broker
from dpb_framework.config import Config, NetworkConfig
from dpb_framework.contracts import AttemptRecord, Bridge, SegmentRecord, ServiceRecord
from dpb_framework.emulated import BlockingFabric
from dpb_framework.errors import CircuitTaken, DpbError, LabelsUnavailable, NoCapacity, QuotaExceeded
from dpb_framework.model import SYSTEM, Caller, Change, LabelRange, Segment, Status, Terminal, Trunk
from dpb_framework.networks import Switch

THREADS, CYCLES = 16, 50
PATIENCE = 120.0
"""Seconds for everything; far more than it takes, so that only a deadlock meets it."""
HONEST = (CircuitTaken, LabelsUnavailable, NoCapacity, QuotaExceeded)
HONEST_CODES = {"circuit-taken", "labels-unavailable", "no-capacity", "quota", "inferior-failed"}


class SlowFabric(BlockingFabric):
    """A device that takes up to two milliseconds for each command."""

    def ensure(self, bridge: Bridge) -> None:
        """Make the bridge, in its own time."""
        time.sleep(random.random() * 0.002)
        super().ensure(bridge)

    def remove(self, key: str) -> None:
        """Remove the bridge, in its own time."""
        time.sleep(random.random() * 0.002)
        super().remove(key)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    switches = ("s1", "s2", "s3")
    networks = [NetworkConfig(name, "switch", {"fabric": "emulated"}) for name in switches]
    networks.append(NetworkConfig("net", "aggregator", {"algorithm": "bast", "inferiors": list(switches)}))
    built = Broker(Config(networks=tuple(networks), nbis=()), store=SqlStore(str(tmp_path / "dpb.sqlite")))
    for name in switches:
        switch = built.network(name)
        assert isinstance(switch, Switch)
        switch.fabric = SlowFabric()
    faulthandler.dump_traceback_later(PATIENCE + 60, exit=False)
    built.start()
    try:
        _furnish(built, switches)
        yield built
    finally:
        faulthandler.cancel_dump_traceback_later()
        built.stop()


def _furnish(broker: Broker, switches: Collection[str]) -> None:
    for name in switches:
        for port in ("1", "2", "3"):
            _net(broker, name).put_terminal(Terminal(f"p{port}", port), SYSTEM).result()
        _net(broker).put_terminal(Terminal(f"t-{name}", f"{name}:p1"), SYSTEM).result()
    for one, other in (("s1", "s2"), ("s2", "s3"), ("s3", "s1")):
        trunk = Trunk(f"{one}-{other}", (one, "p2"), (other, "p3"), 1000, 1000, 1000, (LabelRange(1, 20, 101),))
        _net(broker).put_trunk(trunk, SYSTEM).result()


def _net(broker: Broker, name: str = "net") -> Any:
    return broker.network(name)


class _Client(threading.Thread):
    """One client that creates, defines, activates, changes and releases, again and again."""

    def __init__(self, number: int, broker: Broker, until: float) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self._random = random.Random(number)
        self._net = _net(broker)
        self._caller = Caller(self.name)
        self._until = until
        self.done: Counter[str] = Counter()
        self.problems: list[str] = []

    def run(self) -> None:
        """Do all cycles."""
        try:
            for _ in range(CYCLES):
                self._cycle()
        except Exception as error:  # noqa: BLE001  # told by the test, whatever it is
            self.problems.append(f"{self.name}: {type(error).__name__}: {error}")

    def _result(self, reply: Any) -> Any:
        return reply.result(max(0.1, self._until - time.monotonic()))

    def _segment(self) -> Segment:
        names = self._random.sample(["t-s1", "t-s2", "t-s3"], self._random.choice([2, 2, 3]))
        label = self._random.choice([None, self._random.randint(1, 30)])
        return Segment.of(*((name, label, self._random.choice([10, 50, 200]), 50) for name in names))

    def _cycle(self) -> None:
        service = self._result(self._net.create(self._caller))
        try:
            self._result(service.define(self._segment(), self._caller))
            if self._reaches(service, Status.INACTIVE, Status.ACTIVE):
                self.done["defined"] += 1
                self._use(service)
        except HONEST as error:
            self.done[error.code] += 1
        self._result(service.release(self._caller))
        assert self._result(service.wait({Status.RELEASED})) is Status.RELEASED

    def _reaches(self, service: Any, *statuses: Status) -> bool:
        status = self._result(service.wait(statuses))
        if status in statuses:
            return True
        fault = service.error
        assert fault is not None, f"service {service.id} is {status.value} without a reason"
        assert fault.code in HONEST_CODES, f"service {service.id}: {fault.text}"
        self.done[fault.code] += 1
        return False

    def _use(self, service: Any) -> None:
        if self._random.random() < 0.1:
            return  # released before it was ever active
        self._result(service.activate(self._caller))
        assert self._reaches(service, Status.ACTIVE)
        self.done["active"] += 1
        try:
            self._result(service.prepare(self._segment(), self._caller))
        except DpbError as error:
            if error.code not in HONEST_CODES and getattr(error, "kind", "") not in HONEST_CODES:
                raise
            self.done[f"change {error.code}"] += 1
            return
        self._result(service.commit(self._caller))
        self.done["changed"] += 1
        if self._random.random() < 0.5:
            while service.change is not Change.NONE:
                assert time.monotonic() < self._until, f"the change of service {service.id} does not end"
                time.sleep(0.001)


def test_many_clients_at_once_leave_nothing_behind(broker: Broker) -> None:
    until = time.monotonic() + PATIENCE
    clients = [_Client(number, broker, until) for number in range(THREADS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(max(0.0, until - time.monotonic()))
    stuck = [client.name for client in clients if client.is_alive()]
    if stuck:
        faulthandler.dump_traceback()
    assert not stuck
    problems = [problem for client in clients for problem in client.problems]
    assert not problems, "\n".join(problems[:5])
    done = sum((client.done for client in clients), Counter())
    assert done["active"] > THREADS
    assert done["changed"] > THREADS
    _nothing_is_left(broker, until)


def _nothing_is_left(broker: Broker, until: float) -> None:
    names = ("s1", "s2", "s3", "net")
    while any(_net(broker, name).services() for name in names):
        assert time.monotonic() < until, "services are left"
        time.sleep(0.005)
    for use in _net(broker).trunks():
        assert (use.upstream_left, use.downstream_left, use.labels_left, use.services) == (1000, 1000, 20, ())
    for name in names:
        book = _net(broker, name).book
        assert not book.holders
        assert all(book.used(terminal) == (0, 0) for terminal in _net(broker, name).terminals())
    for name in names[:3]:
        assert not _net(broker, name).fabric.device.holds()
    broker.store.flush()
    tables = broker.store.load().tables
    assert not any(tables.get(table) for table in (ServiceRecord, SegmentRecord, AttemptRecord))
