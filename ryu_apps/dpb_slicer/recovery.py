"""Tables to slices: the inverse of the translation, for what a switch reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from attrs import define, field, frozen

from dpb_slicer import cookies, pipeline
from dpb_slicer.circuits import Circuit, End, Slice
from dpb_slicer.model import Entry, Flow, Group, Meter, Output, SetVlan, Tables
from dpb_slicer.pipeline import Place, Seat


@frozen
class Found:
    """A slice as a switch holds it, with the numbers that it has there."""

    cookie: int
    slice: Slice
    place: Place


@define
class _Traces:
    """What the flows with one cookie tell, by index."""

    numbers: set[int] = field(factory=set)
    entries: dict[int, tuple[Circuit, Flow]] = field(factory=dict)
    exits: dict[int, Flow] = field(factory=dict)
    dhcp: bool = True


def find(tables: Tables) -> dict[int, Found]:
    """The slices that these tables make, by cookie.

    A circuit counts when frames come in by it and leave by it; a slice with fewer than two of them is none.
    """
    found = {}
    for cookie, traces in _gather(tables.flows.values()).items():
        if len(traces.numbers) != 1:
            continue
        ends, seats = [], {}
        for index, (circuit, flow) in sorted(traces.entries.items()):
            leaving = traces.exits.get(index)
            if leaving is None or not _same(circuit, leaving):
                continue
            ends.append(
                End(circuit, _rate(flow, flow.goto is None, tables), _rate(leaving, not leaving.actions, tables))
            )
            seats[circuit] = Seat(index, flow.meter, leaving.meter)
        if len(ends) >= 2:
            found[cookie] = Found(cookie, Slice(tuple(ends), traces.dhcp), Place(traces.numbers.pop(), seats))
    return found


def taken(entries: Iterable[Entry]) -> tuple[set[int], set[int]]:
    """The numbers of slices and of meters that these have, whether they make slices or not."""
    numbers, meters = set(), set()
    for entry in entries:
        match entry:
            case Group(number):
                numbers.add(number)
            case Meter(number):
                meters.add(number)
            case Flow(cookie=cookie) if cookies.is_learned(cookie):
                numbers.add(cookies.learned_at(cookie)[0])
            case Flow(cookie=cookie, metadata=written, match=match) if cookies.is_slice(cookie):
                numbers.update(value >> 32 for value, _ in filter(None, (written, match.metadata)))
    return numbers, meters


def _gather(flows: Iterable[Flow]) -> dict[int, _Traces]:
    gathered: dict[int, _Traces] = defaultdict(_Traces)
    for flow in flows:
        if not cookies.is_slice(flow.cookie):
            continue
        traces = gathered[flow.cookie]
        if flow.table in (pipeline.OUTER, pipeline.INNER) and flow.metadata is not None:
            circuit = _entry_circuit(flow)
            if circuit is not None:
                value = flow.metadata[0]
                traces.numbers.add(value >> 32)
                traces.entries[value >> 16 & 0xFFFF] = circuit, flow
        elif flow.match.metadata is not None:
            value = flow.match.metadata[0]
            traces.numbers.add(value >> 32)
            if flow.table == pipeline.EXIT and flow.priority == pipeline.P_EXIT:
                traces.exits[value & 0xFFFF] = flow
            elif flow.table == pipeline.SOURCE and flow.priority == pipeline.P_DHCP:
                traces.dhcp = False
    return gathered


def _entry_circuit(flow: Flow) -> Circuit | None:
    port, tag, before = flow.match.in_port, flow.match.vlan, flow.match.metadata
    if port is None:
        return None
    if flow.table == pipeline.INNER:
        return (port, before[0], tag) if before is not None and tag else None
    return (port, tag) if tag else (port,)


def _same(circuit: Circuit, leaving: Flow) -> bool:
    """Whether an exit is that of *circuit*; an exit that is blocked tells no circuit."""
    if not leaving.actions:
        return True
    port = [action.port for action in leaving.actions if isinstance(action, Output)]
    tags = [action.vlan for action in leaving.actions if isinstance(action, SetVlan)]
    return (*port, *reversed(tags)) == circuit


def _rate(flow: Flow, blocked: bool, tables: Tables) -> int | None:
    if blocked:
        return 0
    if flow.meter is None:
        return None
    meter: Meter | None = tables.meters.get(flow.meter)
    return meter.rate if meter is not None else None


def learned_addresses(flows: Iterable[Flow]) -> dict[int, dict[str, int]]:
    """Which address was learned at which index, by slice number: what has both its flows."""
    sources: dict[tuple[int, str], int] = {}
    targets: dict[tuple[int, str], int] = {}
    for flow in flows:
        if not cookies.is_learned(flow.cookie):
            continue
        number, index = cookies.learned_at(flow.cookie)
        if flow.priority == pipeline.P_KNOWN and flow.table == pipeline.SOURCE and flow.match.eth_src:
            sources[number, flow.match.eth_src] = index
        elif flow.table == pipeline.TARGET and flow.match.eth_dst:
            targets[number, flow.match.eth_dst] = index
    known: dict[int, dict[str, int]] = defaultdict(dict)
    for (number, address), index in sources.items():
        if targets.get((number, address)) == index:
            known[number][address] = index
    return known
