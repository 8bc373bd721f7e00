"""Slices to tables, groups and meters: the pure translation. README.md draws it, docs/adr says why five tables.

OUTER  by port and outer tag: which circuit a frame comes in by (ingress meter), tags off
INNER  the same for double-tagged circuits, by the inner tag
SOURCE E-Line: the other circuit. E-LAN: is the sender known at this circuit? DHCP blocked here
TARGET E-LAN: the circuit of the destination address, or the flood group
EXIT   by the circuit that was chosen: egress meter, tags on, out
COPY   takes one copy of a flood to EXIT, so that a meter that drops it there drops no other

The metadata is the slice's number (24 bits), the index of the circuit of entry (16) and of exit (16).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from dpb_slicer import cookies
from dpb_slicer.circuits import Circuit, End, Slice
from dpb_slicer.model import (
    CONTROLLER,
    FULL,
    IN_PORT,
    UNTAGGED,
    Action,
    Apart,
    Entry,
    Flow,
    Group,
    Match,
    Meter,
    Output,
    PopVlan,
    PushVlan,
    Resubmit,
    SetExit,
    SetVlan,
    ToGroup,
)

OUTER, INNER, SOURCE, TARGET, EXIT, COPY = range(6)
TABLES = 6

SLICE = 0xFFFFFF << 32
ENTRY = 0xFFFF << 16
LEAVE = 0xFFFF
MAX_NUMBER = 2**20 - 2
C_TAG, S_TAG = 0x8100, 0x88A8
LLDP = 0x88CC
GROUP_ADDRESS = "01:00:00:00:00:00/01:00:00:00:00:00"

# Priorities of each table, highest first.
P_LLDP, P_TAGGED, P_PORT = 400, 200, 100
P_DHCP, P_LINE, P_GROUP_SOURCE, P_KNOWN, P_QUIET, P_LEARN = 400, 300, 250, 200, 150, 100
P_LEARNED, P_FLOOD = 200, 100
P_OWN, P_HAIRPIN, P_EXIT = 300, 200, 100
P_COPY = 100


@frozen
class Seat:
    """What a circuit has within its slice on the switch: its index, and its meters where it is metered."""

    index: int
    ingress: int | None = None
    egress: int | None = None


@frozen
class Place:
    """What a slice has on the switch: its number and its circuits' seats."""

    number: int
    seats: Mapping[Circuit, Seat]


def metadata(number: int, entry: int = 0, leave: int = 0) -> int:
    """The metadata of a frame of slice *number* between two circuits."""
    return number << 32 | entry << 16 | leave


def burst_of(rate: int) -> int:
    """The burst in kbit for a rate in kbit/s: 50 ms of it, and never less than a jumbo frame."""
    return max(rate // 20, 80)


def base() -> tuple[Flow, ...]:
    """What every switch has, with slices or without."""
    return (
        Flow(OUTER, P_LLDP, Match(vlan=UNTAGGED, eth_type=LLDP), cookies.BASE),
        Flow(SOURCE, P_GROUP_SOURCE, Match(eth_src=GROUP_ADDRESS), cookies.BASE, goto=TARGET),
        Flow(COPY, P_COPY, Match(), cookies.BASE, actions=(Apart(EXIT),)),
    )


def translate(slice_: Slice, place: Place, cookie: int) -> tuple[Entry, ...]:
    """All that *slice_* needs on a switch. Flows with the cookie `BASE` are shared by slices."""
    if len(slice_.ends) < 2:
        return ()
    return tuple(_entries(slice_, place, cookie))


def _entries(slice_: Slice, place: Place, cookie: int) -> Iterator[Entry]:
    for end in slice_.ends:
        seat = place.seats[end.circuit]
        for meter, rate in ((seat.ingress, end.ingress), (seat.egress, end.egress)):
            if meter is not None and rate is not None:
                yield Meter(meter, rate, burst_of(rate))
        yield from _entry_flows(end, seat, place.number, cookie)
        yield from _exit_flows(slice_, end, seat, place.number, cookie)
    if not slice_.dhcp:
        yield from _dhcp_flows(place.number, cookie)
    if len(slice_.ends) == 2:
        yield from _line(slice_, place, cookie)
    else:
        yield from _lan(slice_, place, cookie)


def _entry_flows(end: End, seat: Seat, number: int, cookie: int) -> Iterator[Flow]:
    port, *tags = end.circuit
    blocked = end.ingress == 0
    written = (metadata(number, seat.index), FULL)
    goto = None if blocked else SOURCE
    actions: tuple[Action, ...] = (PopVlan(),) if tags and not blocked else ()
    meter = None if blocked else seat.ingress
    match tags:
        case []:
            yield Flow(OUTER, P_PORT, Match(in_port=port), cookie, meter, actions, written, goto)
        case [outer]:
            yield Flow(OUTER, P_TAGGED, Match(in_port=port, vlan=outer), cookie, meter, actions, written, goto)
        case [outer, inner]:
            yield Flow(
                OUTER, P_TAGGED, Match(port, outer), cookies.BASE, None, (PopVlan(),), (outer, FULL), INNER
            )  # shared by the circuits with this outer tag
            yield Flow(INNER, P_TAGGED, Match(port, inner, (outer, FULL)), cookie, meter, actions, written, goto)


def _push(circuit: Circuit) -> tuple[Action, ...]:
    match circuit[1:]:
        case (outer,):
            return PushVlan(C_TAG), SetVlan(outer)
        case (outer, inner):
            return PushVlan(C_TAG), SetVlan(inner), PushVlan(S_TAG), SetVlan(outer)
        case _:
            return ()


def _shares_port(slice_: Slice, circuit: Circuit) -> bool:
    return sum(other[0] == circuit[0] for other in slice_.circuits) > 1


def _exit_flows(slice_: Slice, end: End, seat: Seat, number: int, cookie: int) -> Iterator[Flow]:
    port = end.circuit[0]
    leaving = (metadata(number, leave=seat.index), SLICE | LEAVE)
    blocked = end.egress == 0
    meter = None if blocked else seat.egress
    tags = _push(end.circuit)
    actions = () if blocked else (*tags, Output(port))
    yield Flow(EXIT, P_EXIT, Match(metadata=leaving), cookie, meter, actions)
    if _shares_port(slice_, end.circuit) and not blocked:
        # A switch never sends a frame out of the port that it came in by, unless asked to by name.
        yield Flow(EXIT, P_HAIRPIN, Match(in_port=port, metadata=leaving), cookie, meter, (*tags, Output(IN_PORT)))
    if len(slice_.ends) > 2:
        own = (metadata(number, seat.index, seat.index), FULL)
        yield Flow(EXIT, P_OWN, Match(metadata=own), cookie)


def _dhcp_flows(number: int, cookie: int) -> Iterator[Flow]:
    within = (metadata(number), SLICE)
    for ethertype, ports in ((0x0800, (67, 68)), (0x86DD, (546, 547))):
        for port in ports:
            yield Flow(SOURCE, P_DHCP, Match(metadata=within, eth_type=ethertype, ip_proto=17, udp_dst=port), cookie)


def _line(slice_: Slice, place: Place, cookie: int) -> Iterator[Flow]:
    here, there = (place.seats[circuit].index for circuit in slice_.circuits)
    for entry, leave in ((here, there), (there, here)):
        coming = (metadata(place.number, entry), SLICE | ENTRY)
        yield Flow(SOURCE, P_LINE, Match(metadata=coming), cookie, metadata=(leave, LEAVE), goto=EXIT)


def _lan(slice_: Slice, place: Place, cookie: int) -> Iterator[Entry]:
    within = (metadata(place.number), SLICE)
    buckets: list[tuple[Action, ...]] = []
    for end in sorted(slice_.ends, key=lambda end: place.seats[end.circuit].index):
        seat = place.seats[end.circuit]
        if end.egress == 0:
            continue
        if seat.egress is not None:
            buckets.append((SetExit(seat.index), Resubmit(COPY)))
        elif len(end.circuit) > 2 or _shares_port(slice_, end.circuit):
            # A bucket can push one tag, and cannot tell which circuit of its port a frame came in by.
            buckets.append((SetExit(seat.index), Resubmit(EXIT)))
        else:
            buckets.append((*_push(end.circuit), Output(end.circuit[0])))
    yield Group(place.number, "all", tuple(buckets))
    yield Flow(SOURCE, P_LEARN, Match(metadata=within), cookie, None, (Output(CONTROLLER),), None, TARGET)
    yield Flow(TARGET, P_FLOOD, Match(metadata=within), cookie, None, (ToGroup(place.number),))


def known_source(number: int, index: int, address: str, idle: int) -> Flow:
    """The flow that says: this sender is known here. The switch removes it after *idle* seconds of silence."""
    match = Match(metadata=(metadata(number, index), SLICE | ENTRY), eth_src=address)
    return Flow(SOURCE, P_KNOWN, match, cookies.learned(number, index), goto=TARGET, idle=idle, notify=True)


def known_target(number: int, index: int, address: str) -> Flow:
    """The flow that sends frames for this address to this circuit; it goes when its `known_source` has gone."""
    match = Match(metadata=(metadata(number), SLICE), eth_dst=address)
    return Flow(TARGET, P_LEARNED, match, cookies.learned(number, index), metadata=(index, LEAVE), goto=EXIT)


def quiet(number: int, index: int, seconds: int) -> Flow:
    """The flow that spares the controller unknown senders at this circuit for a while; they are forwarded as ever."""
    match = Match(metadata=(metadata(number, index), SLICE | ENTRY))
    return Flow(SOURCE, P_QUIET, match, cookies.learned(number, index), goto=TARGET, hard=seconds)
