"""What calls answer: the state in the words of the API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import asdict, frozen

from dpb_corsa_emulator.values import Bridge, Controller, Limits, State, Tunnel, number_of

_ROOTS = (
    "users", "datapath", "bridges", "stats", "system", "equipment", "containers", "queue-profiles", "netns", "ports",
    "tunnels",
)  # fmt: skip
PROTOCOLS = ["OpenFlow13"]


@frozen
class Connection:
    """How a bridge stands with a controller."""

    connected: bool = False
    message: str = "not connected"
    role: str = "nochange"


def links(base: str, names: Iterable[str]) -> dict[str, Any]:
    """Names and where they are; *base* ends without a slash."""
    return {"links": {name: {"href": f"{base}/{name}"} for name in names}}


def root(base: str) -> dict[str, Any]:
    """`GET ""`."""
    return links(base, _ROOTS)


def bridges(base: str, limits: Limits, state: State) -> dict[str, Any]:
    """`GET bridges`."""
    return {"supported-subtypes": list(limits.subtypes), **links(f"{base}/bridges", ordered(state))}


def ordered(state: State) -> list[str]:
    """The bridges' names in the order of their numbers."""
    return sorted(state.bridges, key=number_of)


def bridge(base: str, name: str, held: Bridge) -> dict[str, Any]:
    """BRIDGE."""
    return {
        "bridge": name,
        "dpid": held.dpid,
        "subtype": held.subtype,
        "resources": str(held.resources),
        "traffic-class": held.traffic_class,
        "netns": held.netns,
        "bridge-descr": held.descr,
        "protocols": PROTOCOLS,
        **links(f"{base}/bridges/{name}", ("controllers", "tunnels")),
    }


def controller(identity: str, held: Controller, connection: Connection) -> dict[str, Any]:
    """What is told of a controller."""
    return {"controller": identity, **asdict(held), **asdict(connection)}


def tunnel(ofport: int, held: Tunnel, up: bool = True) -> dict[str, Any]:
    """TUNNEL."""
    told: dict[str, Any] = {"ofport": ofport, "port": held.port, "type": held.kind}
    if held.vlan is not None:
        told["vlan-id"] = held.vlan
    if held.inner is not None:
        told |= {"inner-vlan-id": held.inner, "tpid": "0x88a8"}
    told |= {"traffic-class": held.traffic_class, "is-shaped": held.shaped is not None}
    if held.shaped is not None:
        told["shaped-rate"] = held.shaped
    return told | {
        "queue-profile": held.queue_profile,
        "ifdescr": held.descr,
        "oper-state": "up" if up else "down",
        "meter": {rate: value for rate, value in asdict(held.meter).items() if value is not None},
    }
