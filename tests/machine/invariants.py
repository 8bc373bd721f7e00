"""What may never be, and what holds when all has come to rest: recomputed from the store, the devices, the frames."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from dpb_framework.contracts import AttemptRecord, Bridge, Channel, Contents, Record, Role, SegmentRecord, ServiceRecord
from dpb_framework.model import Change, Circuit, Desired, Status, Trunk

from .rig import AGGREGATORS, NETWORKS, SWITCHES, Rig

_AT = {Desired.DORMANT: Status.DORMANT, Desired.INACTIVE: Status.INACTIVE, Desired.ACTIVE: Status.ACTIVE}
Wire = tuple[str, str, int]
"""A switch, one of its interfaces, and a label there."""


class _View:
    """Records of one kind: what is durable, and what waits to be."""

    def __init__(self, rig: Rig) -> None:
        self.contents: Contents = rig.store.load()
        self.waiting: list[Record] = [record for batch, _ in rig.store.queue for record in batch.puts]

    def attempts(self) -> Iterator[AttemptRecord]:
        for record in (*self.contents.tables.get(AttemptRecord, ()), *self.waiting):
            if isinstance(record, AttemptRecord):
                yield record

    def segments(self) -> Iterator[SegmentRecord]:
        for record in (*self.contents.tables.get(SegmentRecord, ()), *self.waiting):
            if isinstance(record, SegmentRecord):
                yield record


def always(rig: Rig) -> None:
    """Raise `AssertionError` for what may never be, whatever is under way."""
    assert not rig.faults.seen, rig.faults.seen[0]
    assert not rig.store.refusals, f"the kernel made a batch that cannot be stored: {rig.store.refusals[0]}"
    view = _View(rig)
    _nothing_is_sold_twice(rig, view)
    _no_circuit_twice(rig, view)
    _handles_are_unique(rig)
    _events_in_order(rig)
    if rig.idle:
        _ledgers(rig, view)


def _holds(view: _View) -> dict[tuple[str, str], dict[tuple[int, int], tuple[int, int]]]:
    """For each trunk what each service holds of each label: of several attempts the larger."""
    holds: dict[tuple[str, str], dict[tuple[int, int], tuple[int, int]]] = defaultdict(dict)
    for attempt in view.attempts():
        for tunnel in attempt.tunnels:
            of_trunk = holds[attempt.network, tunnel.trunk]
            up, down = of_trunk.get((attempt.service, tunnel.label), (0, 0))
            of_trunk[attempt.service, tunnel.label] = (max(up, tunnel.upstream), max(down, tunnel.downstream))
    return holds


def _nothing_is_sold_twice(rig: Rig, view: _View) -> None:
    holds = _holds(view)
    for name in AGGREGATORS:
        for use in rig.network(name).trunks():
            trunk = use.trunk
            assert use.upstream_left >= 0, f"trunk {trunk.name} of {name} is oversold upstream: {use}"
            assert use.downstream_left >= 0, f"trunk {trunk.name} of {name} is oversold downstream: {use}"
            of_trunk = holds[name, trunk.name]
            assert sum(up for up, _ in of_trunk.values()) <= trunk.upstream, f"{trunk}: {dict(of_trunk)}"
            assert sum(down for _, down in of_trunk.values()) <= trunk.downstream, f"{trunk}: {dict(of_trunk)}"
            labels = Counter(label for _, label in of_trunk)
            assert not labels or max(labels.values()) == 1, f"a label of {name}:{trunk.name} twice: {dict(of_trunk)}"


def _no_circuit_twice(rig: Rig, view: _View) -> None:
    holders: dict[tuple[str, Circuit], int] = {}
    pairs = [(r.network, r.service, r.chosen) for r in view.segments()]
    pairs += [(n, s.id, s.segment) for n in NETWORKS for s in rig.network(n).services() if s.segment is not None]
    for network, service, segment in pairs:
        for end in segment.ends:
            other = holders.setdefault((network, end.circuit), service)
            assert other == service, f"circuit {end.circuit} of {network} is in services {other} and {service}"


def _handles_are_unique(rig: Rig) -> None:
    for network in NETWORKS:
        services = rig.network(network).services()
        handles = Counter(s.handle for s in services if s.handle is not None)
        assert not handles or max(handles.values()) == 1, f"a handle of {network} is used twice: {handles}"


def _events_in_order(rig: Rig) -> None:
    for network, numbers in rig.events.items():
        for before, after in pairwise(numbers):
            # Only a commit that failed may leave a gap, which streams tell as `resync`.
            gap = [n for n in range(before + 1, after) if (network, n) not in rig.store.lost_events]
            assert before < after, f"events of {network}: {after} came after {before}"
            assert not gap, f"events of {network}: {after} came after {before}"
        numbers[:-1] = []


def _ledgers(rig: Rig, view: _View) -> None:
    """Nothing is under way: what is held is just what the store says."""
    holds = _holds(view)
    for name in AGGREGATORS:
        for use in rig.network(name).trunks():
            trunk, of_trunk = use.trunk, holds[name, use.trunk.name]
            found = (use.upstream_left, use.downstream_left, use.labels_left, use.services)
            wanted = (
                trunk.upstream - sum(up for up, _ in of_trunk.values()),
                trunk.downstream - sum(down for _, down in of_trunk.values()),
                sum(r.count for r in trunk.labels) - len(of_trunk),
                tuple(sorted({service for service, _ in of_trunk})),
            )
            assert found == wanted, f"trunk {trunk.name} of {name} has {found} left, should have {wanted}"
    for name in NETWORKS:
        book = rig.network(name).book
        held: dict[Circuit, int] = {}
        for record in view.segments():
            if record.network == name:
                held.update({end.circuit: record.service for end in record.chosen.ends})
        missing = {c: s for c, s in held.items() if book.holders.get(c) != s}
        assert not missing, f"{name} does not hold {missing}"
        known = {s.id for s in rig.network(name).services()}
        stray = {c: s for c, s in book.holders.items() if s not in known}
        assert not stray, f"{name} holds {stray} for nobody"


def at_rest(rig: Rig) -> None:
    """Raise `AssertionError` for what may not be once all is healed and time has passed."""
    assert rig.idle
    view = _View(rig)
    for name in NETWORKS:
        for service in rig.network(name).services():
            where = f"service {service.id} of {name}"
            assert service.status is _AT.get(service.desired), f"{where} did not come to rest: {service.view()}"
            assert service.change in (Change.NONE, Change.PREPARED), f"{where} did not end its change: {service.view()}"
            bad = [c for c in service.conditions if c.kind in ("unconfirmed", "port-down")]
            assert not bad, f"{where} still has conditions: {bad}"
    _books_are_exact(rig, view)
    _store_is_current(rig, view)
    _devices(rig)
    _subservices(rig, view)
    _frames(rig)
    _events_are_numbered(rig)


def _books_are_exact(rig: Rig, view: _View) -> None:
    for name in NETWORKS:
        held: dict[Circuit, int] = {}
        for record in view.segments():
            if record.network == name:
                held.update({end.circuit: record.service for end in record.chosen.ends})
        book = rig.network(name).book
        assert dict(book.holders) == held, f"{name} holds {dict(book.holders)}, its services are {held}"


def _store_is_current(rig: Rig, view: _View) -> None:
    stored: dict[tuple[str, int], tuple[object, ...]] = {
        (r.network, r.id): (r.desired, r.status, r.change)
        for r in view.contents.tables.get(ServiceRecord, ())
        if isinstance(r, ServiceRecord)
    }
    seen: dict[tuple[str, int], tuple[object, ...]] = {
        (name, s.id): (s.desired, s.status, s.change.value) for name in NETWORKS for s in rig.network(name).services()
    }
    if rig.store.lost_events:  # what was only seen is stored behind, and not again when that failed
        stored = {key: told[:1] for key, told in stored.items()}
        seen = {key: told[:1] for key, told in seen.items()}
    assert stored == seen, f"the store does not tell what is: {stored} and {seen}"
    for attempt in view.attempts():
        assert attempt.role is not Role.RETIRED, f"not given back: {attempt}"


def _devices(rig: Rig) -> None:
    for name in SWITCHES:
        switch = rig.network(name)
        wanted: dict[str, Bridge] = {}
        for service in switch.services():
            if service.status is Status.ACTIVE:
                channels = {switch.channel(end.circuit): end.flow for end in service.segment.ends}
                wanted[service.key] = Bridge(service.key, channels)
        found = rig.device(name).holds()
        assert found == wanted, f"device {name} has {found}, should have {wanted}"


def _subservices(rig: Rig, view: _View) -> None:
    for name, inferiors in AGGREGATORS.items():
        network = rig.network(name)
        wanted = {
            part.handle: (part.inferior, part.segment, attempt)
            for attempt in view.attempts()
            if attempt.network == name
            for part in attempt.parts
            if attempt.role is Role.CURRENT
        }
        ahead = {
            part.handle: part.inferior
            for attempt in view.attempts()
            if attempt.network == name and attempt.role is Role.NEXT
            for part in attempt.parts
        }
        found = {s.handle: (i, s) for i in inferiors for s in rig.network(i).services(network.prefix)}
        assert found.keys() == wanted.keys() | ahead.keys(), (
            f"inferiors of {name} have {sorted(found)}, should have {sorted(wanted.keys() | ahead.keys())}"
        )
        for handle, (inferior, segment, attempt) in wanted.items():
            where, service = found[handle]
            owner = network.service(attempt.service)
            assert where == inferior, f"{handle} is in {where}, not in {inferior}"
            assert segment.same_as(service.segment), f"{handle} has {service.segment}, should have {segment}"
            assert service.desired is owner.desired, f"{handle} is {service.desired}, should be {owner.desired}"


# -- where a frame goes


def _place(rig: Rig, network: str, terminal: str) -> tuple[str, str]:
    """The switch and the interface to which a terminal leads."""
    while network in AGGREGATORS:
        network, terminal = rig.network(network).book.terminals[terminal].subterminal
    return network, rig.network(network).book.terminals[terminal].place


def _wires(rig: Rig) -> dict[Wire, Wire]:
    wires: dict[Wire, Wire] = {}
    for name in AGGREGATORS:
        for use in rig.network(name).trunks():
            trunk: Trunk = use.trunk
            start, end = _place(rig, *trunk.start), _place(rig, *trunk.end)
            for labels in trunk.labels:
                for offset in range(labels.count):
                    one, other = (*start, labels.start + offset), (*end, labels.end + offset)
                    wires[one], wires[other] = other, one
    return wires


def _flood(rig: Rig, wires: dict[Wire, Wire], source: Wire) -> set[Wire]:
    """The places outside all trunks at which a frame comes out that enters at *source*."""
    reached: set[Wire] = set()
    todo, seen = [source], set()
    while todo:
        switch, interface, label = here = todo.pop()
        assert here not in seen, f"a frame from {source} comes to {here} twice"
        seen.add(here)
        for channel in rig.device(switch).carries(Channel(interface, label)):
            out = (switch, channel.interface, channel.label)
            if out in wires:
                todo.append(wires[out])
            else:
                reached.add(out)
    return reached


def _frames(rig: Rig) -> None:
    wires = _wires(rig)
    for name in AGGREGATORS:
        for service in rig.network(name).services():
            if service.segment is None:
                continue
            ends = {(*_place(rig, name, e.circuit.terminal), e.circuit.label) for e in service.segment.ends}
            if service.handle is not None and service.handle.count("/") > 1:
                continue  # a part: the frames of the whole are followed
            if any(end in wires for end in ends):
                continue
            for end in ends:
                reached = _flood(rig, wires, end)
                wanted = ends - {end} if service.status is Status.ACTIVE else set()
                assert reached == wanted, f"frames from {end} come to {reached}, not to {wanted}: {service.view()}"


def _events_are_numbered(rig: Rig) -> None:
    for name in NETWORKS:
        events = rig.store.events(name, 0, 100_000)
        assert events is not None
        numbers = [event.number for event in events]
        last = rig.network(name).last_event
        gaps = {n for n in range(1, last + 1) if (name, n) not in rig.store.lost_events} - set(numbers)
        assert not gaps, f"events of {name} have gaps: {numbers}"
        assert numbers == sorted(set(numbers)), f"events of {name} are in disorder: {numbers}"
        assert not numbers or numbers[-1] == last, f"the last event of {name} should be {last}: {numbers}"
        shown = [event.number for event in rig.network(name).events(0, 100_000) or ()]
        assert shown == numbers, f"{name} shows other events than it stored"


def as_at_the_beginning(rig: Rig) -> None:
    """Raise `AssertionError` unless nothing is held by anybody."""
    for name in NETWORKS:
        network = rig.network(name)
        assert not network.services(), f"{name} still has {[s.view() for s in network.services()]}"
        assert not network.book.holders
        assert all(network.book.used(t) == (0, 0) for t in network.terminals()), f"quotas of {name} are not given back"
    for name in AGGREGATORS:
        for use in rig.network(name).trunks():
            total = sum(r.count for r in use.trunk.labels)
            left = (use.upstream_left, use.downstream_left, use.labels_left)
            assert left == (use.trunk.upstream, use.trunk.downstream, total), f"trunk {use.trunk.name} has only {left}"
    contents = rig.store.load()
    for table in (ServiceRecord, SegmentRecord, AttemptRecord):
        assert not contents.tables.get(table), f"the store still has {contents.tables[table]}"
