"""The translation between the kernel's bridges and the application's slices. Pure.

A slice is `{"circuits": [{"circuit": [port, outer, inner], "ingress": kbit/s, "egress": kbit/s}, …], "dhcp": bool}`;
a rate that is null or missing means no limit, and is told to the kernel as the greatest that there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dpb_framework.contracts import Bridge, Channel
from dpb_framework.model import TrafficFlow
from dpb_framework.model.bandwidth import MAX_KBPS
from dpb_openflow.names import MAX_PORT, MAX_TAG, Names, OfCircuit

MAX_RATE = 0xFFFFFFFF
"""The greatest rate of an OpenFlow meter, in kbit/s."""


MAX_CIRCUITS = 10_000
"""How many circuits one request has at most, so that it stays well below the application's 4 MB."""


def fault(bridge: Bridge, names: Names, *, metered: bool) -> str | None:
    """Return why no switch can have the bridge, or None. With *metered* its rates must be those of a meter."""
    for channel, flow in bridge.channels.items():
        problem = names.parse(channel.interface).fault(channel.label)
        if problem:
            return problem
        rate = max(flow.ingress, flow.egress)
        if metered and rate > MAX_RATE:
            return f"{rate} kbit/s at {channel} is more than an OpenFlow meter can count ({MAX_RATE} kbit/s)"
    return None


def to_slice(bridge: Bridge, names: Names, *, metered: bool, dhcp: bool) -> dict[str, Any]:
    """Return the bridge as a slice; its rates only with *metered*."""
    circuits = []
    for channel, flow in bridge.channels.items():
        entry: dict[str, Any] = {"circuit": list(names.give(channel))}
        if metered:
            entry |= {"ingress": flow.ingress, "egress": flow.egress}
        circuits.append(entry)
    return {"circuits": circuits, "dhcp": dhcp}


def from_slice(key: str, plain: Any, names: Names) -> Bridge:
    """Return the slice as a bridge. `ValueError`, `TypeError` or `KeyError` when it is none."""
    channels: dict[Channel, TrafficFlow] = {}
    for entry in plain["circuits"]:
        channels[names.channel(circuit_of(entry["circuit"]))] = TrafficFlow(
            _rate(entry.get("ingress")), _rate(entry.get("egress"))
        )
    return Bridge(key, channels)


def batches(slices: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Divide slices, by key, into parts that fit into one request each."""
    batch: dict[str, Any] = {}
    circuits = 0
    for key, plain in slices.items():
        more = len(plain["circuits"])
        if batch and circuits + more > MAX_CIRCUITS:
            yield batch
            batch, circuits = {}, 0
        batch[key] = plain
        circuits += more
    if batch:
        yield batch


def circuit_of(plain: Any) -> OfCircuit:
    """Return the circuit that a list of numbers is; `ValueError`."""
    if not isinstance(plain, list) or not 1 <= len(plain) <= 3:
        raise ValueError(f"{plain!r} is no circuit"[:100])
    for number, greatest in zip(plain, (MAX_PORT, MAX_TAG, MAX_TAG), strict=False):
        if type(number) is not int or not 1 <= number <= greatest:
            raise ValueError(f"{plain!r} is no circuit"[:100])
    return tuple(plain)


def _rate(plain: Any) -> int:
    if plain is None:
        return MAX_KBPS
    if type(plain) is not int or not 0 <= plain <= MAX_RATE:
        raise ValueError(f"{plain!r} is no rate"[:100])
    return plain
