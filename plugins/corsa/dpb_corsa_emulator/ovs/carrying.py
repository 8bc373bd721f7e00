"""What the backplane holds, as a pure function of the state: flows and meters in the words of `ovs-ofctl`."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping

from attrs import frozen

from dpb_corsa_emulator.values import State, Tunnel

Place = tuple[str, int]
"""A tunnel's bridge and ofport."""

PATCHES = 30_000
LAGS = 20_000
NOWHERE = 0xFEFF
ARRIVED, INNER, LEAVING = 0, 1, 2

_DROP = "drop"
_LEAST_BURST = 80
"""kbit: a jumbo frame."""


@frozen
class Rate:
    """A meter that drops what exceeds `kbps` after a burst of `burst` kbit."""

    kbps: int
    burst: int


def places(state: State) -> list[Place]:
    """All tunnels."""
    return [(name, ofport) for name, bridge in state.bridges.items() for ofport in bridge.tunnels]


def slots(before: Mapping[Place, int], wanted: Iterable[Place]) -> dict[Place, int]:
    """Give each tunnel a number; who has one keeps it, and gaps are filled."""
    listed = list(dict.fromkeys(wanted))
    kept = {place: before[place] for place in listed if place in before}
    taken, number = set(kept.values()), 0
    for place in listed:
        if place not in kept:
            while number in taken:
                number += 1
            kept[place] = number
            taken.add(number)
    return kept


def physical(port: str) -> int:
    """The backplane's OpenFlow port of a physical port or LAG."""
    return LAGS + int(port[3:]) if port.startswith("lag") else int(port)


def patch(slot: int) -> int:
    """The backplane's OpenFlow port towards a tunnel's bridge."""
    return PATCHES + slot


def metered(tunnel: Tunnel) -> Rate | None:
    """The rate on the way in; what may exceed the committed rate is added to it."""
    meter = tunnel.meter
    if meter.cir is None and meter.eir is None:
        return None
    return Rate((meter.cir or 0) + (meter.eir or 0), 8 * ((meter.cbs or 0) + (meter.ebs or 0)))


def shaped(tunnel: Tunnel) -> Rate | None:
    """The rate on the way out. A shaper would delay; here there is but a meter, with a burst of 100 ms."""
    if tunnel.shaped is None:
        return None
    kbps = math.ceil(tunnel.shaped * 1000)
    return Rate(kbps, max(_LEAST_BURST, kbps // 10))


def meters(state: State, numbers: Mapping[Place, int]) -> dict[int, Rate]:
    """The meters by number: two for a tunnel at most. A rate of 0 needs none."""
    made = {}
    for bridge_name, bridge in state.bridges.items():
        for ofport, tunnel in bridge.tunnels.items():
            number = 2 * numbers[bridge_name, ofport] + 1
            for meter, rate in ((number, metered(tunnel)), (number + 1, shaped(tunnel))):
                if rate is not None and rate.kbps:
                    made[meter] = rate
    return made


def flows(state: State, numbers: Mapping[Place, int], down: Container[str] = ()) -> list[str]:
    """The flows, sorted; none for ports that are *down*."""
    made: set[str] = set()
    for bridge_name, bridge in state.bridges.items():
        for ofport, tunnel in bridge.tunnels.items():
            if tunnel.port not in down:
                slot = numbers[bridge_name, ofport]
                made |= _arriving(tunnel, physical(tunnel.port), patch(slot), 2 * slot + 1)
                made |= _leaving(tunnel, physical(tunnel.port), patch(slot), 2 * slot + 2)
    return sorted(made)


def _arriving(tunnel: Tunnel, port: int, to: int, meter: int) -> set[str]:
    """Take the tags off: the VFC sees the frame without them."""
    match tunnel.kind:
        case "passthrough":
            return {_flow(ARRIVED, 10, f"in_port={port}", _limited(metered(tunnel), meter, f"output:{to}"))}
        case "untagged":
            match = f"in_port={port},dl_vlan=0xffff"
            return {_flow(ARRIVED, 20, match, _limited(metered(tunnel), meter, f"output:{to}"))}
        case "ctag":
            match = f"in_port={port},dl_vlan={tunnel.vlan}"
            return {_flow(ARRIVED, 20, match, _limited(metered(tunnel), meter, f"pop_vlan,output:{to}"))}
    outer = f"in_port={port},dl_vlan={tunnel.vlan}"
    inner = f"in_port={port},metadata={tunnel.vlan},dl_vlan={tunnel.inner}"
    return {
        _flow(ARRIVED, 20, outer, f"pop_vlan,write_metadata:{tunnel.vlan},goto_table:{INNER}"),
        _flow(INNER, 20, inner, _limited(metered(tunnel), meter, f"pop_vlan,output:{to}")),
    }


def _leaving(tunnel: Tunnel, port: int, came: int, meter: int) -> set[str]:
    """Put the tags on."""
    rate = shaped(tunnel)
    match = f"in_port={came}" + (",dl_vlan=0xffff" if tunnel.kind == "untagged" else "")
    tags = [(0x8100, tunnel.vlan)] if tunnel.kind == "ctag" else []
    if tunnel.kind == "stag-ctag":
        tags = [(0x8100, tunnel.inner), (0x88A8, tunnel.vlan)]
    pushed = "".join(f"push_vlan:{tpid:#06x},set_field:{0x1000 | (vlan or 0)}->vlan_vid," for tpid, vlan in tags)
    send = f"{pushed}output:{port}"
    if rate is None:
        return {_flow(ARRIVED, 20, match, send)}
    # A meter that drops ends the whole list of the datapath's actions, and with it the copies of a flood for other
    # ports. In a clone that cannot be undone (as it contains a cut output) the drop is the copy's alone.
    apart = f"clone(resubmit(,{LEAVING}),output(port={NOWHERE},max_len=65535))"
    return {_flow(ARRIVED, 20, match, apart), _flow(LEAVING, 20, match, _limited(rate, meter, send))}


def _limited(rate: Rate | None, meter: int, actions: str) -> str:
    if rate is None:
        return actions
    return f"meter:{meter},{actions}" if rate.kbps else _DROP


def _flow(table: int, priority: int, match: str, actions: str) -> str:
    return f"table={table},priority={priority},{match},actions={actions}"
