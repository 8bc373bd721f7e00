"""The whole broker, driven at random over two levels of aggregators, with everything outside failing at will.

After each step nothing may be that design.md forbids; after each example everything is healed, and all must have
come to rest, and be given back. `DPB_SOAK=1` runs the long form. A failure prints the script of its steps.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dpb_framework.contracts import Service
from dpb_framework.errors import ServiceGone, ServiceUnknown
from dpb_framework.model import SYSTEM, Caller, LabelRange, Segment, Status, Terminal
from dpb_framework.reply import Reply

from .machine import invariants
from .machine.faulty import MODES
from .machine.promises import Client
from .machine.rig import AGGREGATORS, NETWORKS, SWITCHES, TRUNKS, Rig

SOAK = bool(os.environ.get("DPB_SOAK"))
USER = Caller("user")

# Few labels and rates that fill the trunks: services are to meet.
_LABELS = st.sampled_from([None, None, None, 1, 2, 3])
_RATES = st.sampled_from([10, 20, 30, 60])
_ZERO = st.sampled_from([10, 20, 40, 0])
_INDEX = st.integers(0, 7)
_USERS = {
    "wan": ("t1", "t2", "t3", "t4", "t5", "t6"),
    "west": ("x1", "x2", "x3", "g1"),
    "east": ("y1", "y2"),
    "a2": ("p1", "p2"),
}


def segment_of(ends: list[tuple[str, int | None, int, int]]) -> Segment:
    """A segment of these ends, the last of which has its rates the other way round: zeros never meet everywhere."""
    terminal, label, ingress, egress = ends[-1]
    return Segment.of(*ends[:-1], (terminal, label, egress, ingress))


def _segments(network: str) -> st.SearchStrategy[Segment]:
    end = st.tuples(st.sampled_from(_USERS[network]), _LABELS, _RATES, _ZERO)
    ends = st.lists(end, min_size=2, max_size=4, unique_by=lambda e: (e[0], e[1]))
    return ends.map(segment_of)


_WHERE = st.sampled_from(["wan", "wan", "wan", "wan", "west", "east", "a2"])
_ASKED = _WHERE.flatmap(lambda n: st.tuples(st.just(n), _segments(n)))
_ALL_TRUNKS = [(network, trunk.name) for network, trunks in TRUNKS.items() for trunk in trunks]
_DEVICE_FAULTS: list[dict[str, Any]] = [
    {"refuse": "so says the script"},
    {"crash": "before"},
    {"crash": "after"},
    {"forget": True},
    {"crash": "after", "on": "ensure"},
    {"refuse": "no room", "on": "ensure"},
    {"crash": "before", "on": "bridges"},
    {"refuse": "not now", "on": "remove"},
]


class BrokerMachine(RuleBasedStateMachine):
    """Clients, faults, the scheduler and the hand on the switch."""

    def __init__(self) -> None:
        super().__init__()
        self.rig: Rig | None = None
        self.picks: list[int] = []
        self.clients: list[Client] = []
        self.creating: list[tuple[Client, Reply[Service]]] = []
        self.lost: list[Client] = []
        """Creates with a handle whose reply was lost: whoever uses the handle next may find their work."""
        self.replies: list[tuple[str, Reply[Any]]] = []
        self.ids: dict[str, set[int]] = {network: set() for network in NETWORKS}

    @initialize(first=_segments("wan"), second=_ASKED, active=st.booleans())
    def build(self, first: Segment, second: tuple[str, Segment], active: bool) -> None:
        """Begin with some services, so that faults have something to strike."""
        self.rig = Rig(self._choose)
        self.broken = True  # until the last step has gone well
        for network, segment in (("wan", first), second):
            self.serve((network, segment), None, active)

    def _choose(self, ready: int) -> int:
        return self.picks.pop() % ready if self.picks else 0

    @property
    def here(self) -> Rig:
        assert self.rig is not None
        return self.rig

    # -- what clients ask for

    @rule(asked=_ASKED, handle=st.sampled_from([None, None, "h1", "h2"]), defined=st.booleans())
    def create(self, asked: tuple[str, Segment], handle: str | None, defined: bool) -> None:
        network, segment = asked
        client = Client(network, handle, defined=segment if defined else None)
        reply = self.here.network(network).create(USER, handle, client.defined)
        self.creating.append((client, reply))
        self.replies.append(("create", reply))

    @rule(asked=_ASKED, handle=st.sampled_from([None, None, None, "h1"]), active=st.booleans())
    def serve(self, asked: tuple[str, Segment], handle: str | None, active: bool) -> None:
        """What most clients do: create and define, activate, see what becomes of it."""
        self.create(asked, handle, True)
        self._run_a_little()
        self._take_up_replies()
        if active and self.clients:
            self._command(self.clients[-1], "activate")
            self._run_a_little()

    def _run_a_little(self) -> None:
        for _ in range(200):
            if not self.here.runtime.step():
                return

    def _client(self, index: int, wish: Callable[[Client], bool] = lambda _: True) -> Client | None:
        living = [client for client in self.clients if not client.gone and wish(client)]
        return living[index % len(living)] if living else None

    def _service(self, client: Client) -> Any:
        try:
            return self.here.network(client.network).service(client.id)
        except ServiceGone:
            return None

    def _command(self, client: Client | None, command: str, segment: Segment | None = None) -> None:
        service = None if client is None else self._service(client)
        if client is None or service is None:
            return
        method = getattr(service, command)
        reply = method(USER) if segment is None else method(segment, USER)
        client.told(command, segment, reply)
        self.replies.append((f"{command} of service {client.id} of {client.network}", reply))

    @precondition(lambda self: self.clients)
    @rule(index=_INDEX, asked=_ASKED)
    def define(self, index: int, asked: tuple[str, Segment]) -> None:
        network, segment = asked
        self._command(self._client(index, lambda c: c.network == network), "define", segment)

    @precondition(lambda self: self.clients)
    @rule(index=_INDEX, command=st.sampled_from(["activate", "activate", "activate", "deactivate", "reset", "release"]))
    def command(self, index: int, command: str) -> None:
        self._command(self._client(index), command)

    @precondition(lambda self: self.clients)
    @rule(index=_INDEX, asked=_ASKED)
    def prepare(self, index: int, asked: tuple[str, Segment]) -> None:
        network, segment = asked
        self._command(self._client(index, lambda c: c.network == network and self._changeable(c)), "prepare", segment)

    @precondition(lambda self: self.clients)
    @rule(index=_INDEX, rates=st.lists(_RATES, min_size=4, max_size=4))
    def prepare_other_rates(self, index: int, rates: list[int]) -> None:
        """The same circuits with other rates: the usual change."""
        client = self._client(index, self._changeable)
        service = None if client is None else self._service(client)
        if service is not None and service.segment is not None:
            ends = [
                (e.circuit.terminal, e.circuit.label, rate, 40)
                for e, rate in zip(service.segment.ends, rates, strict=False)
            ]
            self._command(client, "prepare", Segment.of(*ends))

    @precondition(lambda self: self.clients)
    @rule(index=_INDEX, rates=st.lists(_RATES, min_size=4, max_size=4))
    def change_rates(self, index: int, rates: list[int]) -> None:
        """Prepare, see it prepared, commit."""
        self.prepare_other_rates(index, rates)
        self._run_a_little()
        self._take_up_replies()
        self._command(self._client(index, lambda c: c.prepared is not None), "commit")

    def _changeable(self, client: Client) -> bool:
        service = self._service(client)
        return service is not None and service.status in (Status.INACTIVE, Status.ACTIVE)

    @precondition(lambda self: self.clients)
    @rule(index=_INDEX, command=st.sampled_from(["commit", "commit", "abort"]))
    def change(self, index: int, command: str) -> None:
        client = self._client(index, lambda c: c.prepared is not None) or self._client(index)
        self._command(client, command)

    @precondition(lambda self: self.clients)
    @rule(index=_INDEX, status=st.sampled_from(list(Status)), timeout=st.sampled_from([None, 0.0, 5.0]))
    def wait(self, index: int, status: Status, timeout: float | None) -> None:
        client = self._client(index)
        service = None if client is None else self._service(client)
        if service is not None:
            # Without a time-out it waits for ever for what may yet come by itself, such as a failure.
            name = "wait for ever" if timeout is None else f"wait of {timeout} s"
            self.replies.append((f"{name} for {status}", service.wait({status}, timeout)))

    # -- what operators do

    @rule(
        which=st.sampled_from(_ALL_TRUNKS),
        capacity=st.sampled_from([None, None, 0, 20, 60, 100]),
        labels=st.sampled_from([None, None, (10, 3, 20), (5, 3, 105), (1, 2, 1)]),
        commissioned=st.sampled_from([True, True, False]),
    )
    def put_trunk(
        self, which: tuple[str, str], capacity: int | None, labels: tuple[int, int, int] | None, commissioned: bool
    ) -> None:
        """Change a trunk from what it was at the beginning (None)."""
        network, name = which
        trunk = evolve(next(t for t in TRUNKS[network] if t.name == name), commissioned=commissioned)
        if capacity is not None:
            trunk = evolve(trunk, upstream=capacity, downstream=capacity)
        if labels is not None:
            trunk = evolve(trunk, labels=(LabelRange(*labels),))
        self.replies.append(("put_trunk", self.here.network(network).put_trunk(trunk, SYSTEM)))

    @rule(
        quota=st.sampled_from([None, 0, 60, 200]), which=st.sampled_from([("wan", "t1"), ("west", "x2"), ("b1", "p1")])
    )
    def put_quota(self, quota: int | None, which: tuple[str, str]) -> None:
        network, name = which
        old = self.here.network(network).book.terminals[name]
        changed = Terminal(name, old.place, quota, quota, old.labels)
        self.replies.append(("put_terminal", self.here.network(network).put_terminal(changed, SYSTEM)))

    # -- what goes wrong

    @rule(switch=st.sampled_from(SWITCHES), fault=st.sampled_from(_DEVICE_FAULTS), count=st.integers(1, 3))
    def device_fault(self, switch: str, fault: dict[str, Any], count: int) -> None:
        self.here.device(switch).fault(**fault, count=count)

    @rule(switch=st.sampled_from(SWITCHES), what=st.sampled_from(["down", "up", "wipe", "port_down", "port_up"]))
    def device(self, switch: str, what: str) -> None:
        device = self.here.device(switch)
        if what.startswith("port"):
            getattr(device, what)("1")
        else:
            getattr(device, what)()

    @rule(
        name=st.sampled_from([*SWITCHES, "west", "west", "east", "east"]),
        modes=st.lists(st.sampled_from(MODES), min_size=1, max_size=6),
    )
    def link(self, name: str, modes: list[str]) -> None:
        self.here.broker.link(name).planned.extend(modes)

    @rule(name=st.sampled_from([*SWITCHES, "west", "east"]), down=st.booleans())
    def cut(self, name: str, down: bool) -> None:
        self.here.broker.link(name).down = down

    @rule(what=st.sampled_from(["slow", "quick", "fails once", "fails thrice"]))
    def store(self, what: str) -> None:
        store = self.here.store
        if what.startswith("fails"):
            store.failing = 1 if what == "fails once" else 3
        else:
            store.hold(what == "slow")

    # -- the scheduler, time, and death

    @rule(picks=st.lists(st.integers(0, 9), min_size=1, max_size=12))
    def run(self, picks: list[int]) -> None:
        """Run some tasks in an order of the scheduler's choice."""
        self.picks = picks[::-1]
        for _ in range(len(picks)):
            self.here.runtime.step()
        self.picks = []

    @rule(picks=st.lists(st.integers(0, 9), max_size=12), seconds=st.sampled_from([0, 0, 0, 1, 6, 11, 70]))
    def advance(self, picks: list[int], seconds: int) -> None:
        """Run all that is ready, and let time pass."""
        self.picks = picks[::-1]
        self.here.runtime.advance(seconds, limit=20_000)
        self.picks = []

    @rule(survivors=st.integers(0, 4))
    def crash(self, survivors: int) -> None:
        self.here.crash(survivors)
        self._lose_replies()
        self.here.start()
        self._check_promises()

    @rule()
    def restart(self) -> None:
        self.here.stop()
        self._lose_replies()
        self.here.start()
        self._check_promises()

    def _lose_replies(self) -> None:
        self._take_up_replies()
        self.replies.clear()
        for client, _ in self.creating:
            self._may_have_been_defined(client)
            self.lost.append(client)
        self.creating.clear()
        for client in self.clients:
            client.crashed()

    @rule()
    def rest(self) -> None:
        self.here.rest()
        self._check()
        over = all(client.gone for client in self.clients)
        waiting = [n for n, r in self.replies if not r.settled and (over or not n.startswith("wait for ever"))]
        assert not waiting, f"never answered: {waiting}"
        invariants.at_rest(self.here)

    # -- what must hold

    def _take_up_replies(self) -> None:
        for entry in [entry for entry in self.creating if entry[1].settled]:
            self.creating.remove(entry)
            self._created(*entry)
        self.replies = [entry for entry in self.replies if not entry[1].settled]
        for client in self.clients:
            client.settle(self._service(client))

    def _created(self, client: Client, reply: Reply[Service]) -> None:
        if reply.error is not None:
            self._may_have_been_defined(client)
            return
        client.id = reply.value.id
        twins = [c for c in self.clients if (c.network, c.id) == (client.network, client.id)]
        if twins:
            assert client.handle is not None, f"id {client.id} of {client.network} was given twice"
            assert twins[0].handle == client.handle, f"id {client.id} of {client.network} was given twice"
            twins[0].created_again(client)
            return
        for lost in self.lost:
            if client.handle is not None and (lost.network, lost.handle) == (client.network, client.handle):
                client.may_be_defined(lost)
        client.created_again(client)
        self.clients.append(client)

    def _may_have_been_defined(self, client: Client) -> None:
        for twin in self.clients:
            if client.handle is not None and (twin.network, twin.handle) == (client.network, client.handle):
                twin.may_be_defined(client)

    def _check_promises(self) -> None:
        busy = {(c.network, c.handle) for c, _ in self.creating if c.handle is not None}
        for client in self.clients:
            if (client.network, client.handle) not in busy:
                client.check(self._found(client))

    def _found(self, client: Client) -> Any:
        try:
            return self.here.network(client.network).service(client.id)
        except ServiceGone:
            return None
        except ServiceUnknown:
            raise AssertionError(f"id {client.id} of {client.network} was issued and is unknown") from None

    @invariant()
    def check(self) -> None:
        if self.rig is not None:
            self._check()

    def _check(self) -> None:
        self.broken = True
        invariants.always(self.here)
        self._take_up_replies()
        self._check_promises()
        self.broken = False

    def teardown(self) -> None:
        if self.rig is None:
            return
        try:
            if not self.broken:
                self._end()
        finally:
            self.rig.dismantle()

    def _end(self) -> None:
        """All comes to rest, and all is given back."""
        self.rest()
        for network in AGGREGATORS:
            self._release_all(network)
        for network in SWITCHES:
            self._release_all(network)
        self.rest()
        invariants.as_at_the_beginning(self.here)

    def _release_all(self, network: str) -> None:
        prefixes = [self.here.network(name).prefix for name in AGGREGATORS]
        for service in self.here.network(network).services():
            if service.handle is None or not any(service.handle.startswith(p) for p in prefixes):
                self.replies.append((f"the last release in {network}", service.release(USER)))
        for client in self.clients:
            if client.network == network:
                client.possible = [s.after("release", None) for s in client.possible]


TestBrokerMachine = BrokerMachine.TestCase
TestBrokerMachine.settings = settings(
    max_examples=2000 if SOAK else 50,
    stateful_step_count=50,
    deadline=None,
    derandomize=not SOAK,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
