"""Calls on tunnels: from one state to the next."""

from __future__ import annotations

import re
from typing import Any

from attrs import evolve

from dpb_corsa_emulator.bodies import bad, fields, flag, rate, replacements, required, text, whole
from dpb_corsa_emulator.bridges import bridge_of, put
from dpb_corsa_emulator.values import Limits, Meter, Refused, State, Tunnel

_FIELDS = {
    "ofport", "port", "vlan-id", "inner-vlan-id", "traffic-class", "is-shaped", "shaped-rate", "queue-profile",
    "ifdescr",
}  # fmt: skip
_READ_ONLY = {"type", "tpid", "oper-state", "meter"}
_PAIRS = (("cir", "cbs"), ("eir", "ebs"))
_PATCHABLE = {"/ifdescr", *(f"/meter/{name}" for pair in _PAIRS for name in pair)}
_PORT = re.compile(r"(lag)?([1-9][0-9]{0,3})")
MAX_RATE = 2**32 - 1


def tunnel_of(state: State, name: str, ofport: str) -> tuple[int, Tunnel]:
    """The tunnel and its ofport, or 404."""
    bridge = bridge_of(state, name)
    number = int(ofport) if re.fullmatch(r"[1-9][0-9]{0,9}", ofport) else 0
    found = bridge.tunnels.get(number)
    if found is None:
        raise Refused(404, f"no tunnel at ofport {ofport} of {name}")
    return number, found


def attach(state: State, limits: Limits, name: str, body: object) -> State:
    """`POST bridges/brN/tunnels`."""
    bridge = bridge_of(state, name)
    taken = fields(body, _FIELDS, _READ_ONLY)
    ofport = whole(required(taken, "ofport"), 1, limits.max_ofport, "ofport")
    vlan, inner = _tags(taken)
    tunnel = Tunnel(
        port=port_of(limits, required(taken, "port")),
        vlan=vlan,
        inner=inner,
        traffic_class=whole(taken.get("traffic-class", 0), 0, 7, "traffic-class"),
        shaped=_shaped(taken),
        queue_profile=text(taken.get("queue-profile", "default"), "queue-profile"),
        descr=text(taken.get("ifdescr", ""), "ifdescr"),
    )
    if ofport in bridge.tunnels:
        raise Refused(409, f"ofport {ofport} of {name} is in use")
    for other_name, other_bridge in state.bridges.items():
        for other_ofport, other in other_bridge.tunnels.items():
            if tunnel.collides(other):
                raise Refused(
                    409, f"port {tunnel.port}, {_said(tunnel)}: in use by ofport {other_ofport} of {other_name}"
                )
    return put(state, name, evolve(bridge, tunnels={**bridge.tunnels, ofport: tunnel}))


def change(state: State, name: str, ofport: str, body: object) -> State:
    """`PATCH bridges/brN/tunnels/OFPORT`."""
    number, tunnel = tunnel_of(state, name, ofport)
    wanted = replacements(body, _PATCHABLE)
    if "/ifdescr" in wanted:
        tunnel = evolve(tunnel, descr=text(wanted["/ifdescr"], "ifdescr"))
    tunnel = evolve(tunnel, meter=_metered(tunnel.meter, wanted))
    bridge = bridge_of(state, name)
    return put(state, name, evolve(bridge, tunnels={**bridge.tunnels, number: tunnel}))


def detach(state: State, name: str, ofport: str) -> State:
    """`DELETE bridges/brN/tunnels/OFPORT`."""
    number, _ = tunnel_of(state, name, ofport)
    bridge = bridge_of(state, name)
    left = {other: tunnel for other, tunnel in bridge.tunnels.items() if other != number}
    return put(state, name, evolve(bridge, tunnels=left))


def _metered(meter: Meter, wanted: dict[str, Any]) -> Meter:
    for rate_name, burst_name in _PAIRS:
        told = [f"/meter/{name}" in wanted for name in (rate_name, burst_name)]
        if not any(told):
            continue
        if not all(told):
            raise bad(f"/meter/{rate_name} and /meter/{burst_name} are replaced together")
        limit = whole(wanted[f"/meter/{rate_name}"], 0, MAX_RATE, f"/meter/{rate_name}")
        burst = whole(wanted[f"/meter/{burst_name}"], 0, MAX_RATE, f"/meter/{burst_name}")
        if limit and not burst:
            raise bad(f"/meter/{burst_name}: 0 kB would let nothing pass; with a rate of 0 it may be 0")
        meter = evolve(meter, **{rate_name: limit, burst_name: burst})
    return meter


def port_of(limits: Limits, value: object) -> str:
    """Take the name of a physical port or LAG that there is."""
    match = _PORT.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[2]) > (limits.lags if match[1] else limits.ports):
        raise bad(f"port: a text from 1 to {limits.ports}, or from lag1 to lag{limits.lags}, is wanted")
    return match[0]


def _tags(taken: dict[str, Any]) -> tuple[int | None, int | None]:
    vlan = whole(taken["vlan-id"], 0, 4094, "vlan-id") if "vlan-id" in taken else None
    if "inner-vlan-id" not in taken:
        return vlan, None
    if not vlan:
        raise bad("inner-vlan-id: needs a vlan-id above 0")
    return vlan, whole(taken["inner-vlan-id"], 1, 4094, "inner-vlan-id")


def _shaped(taken: dict[str, Any]) -> int | float | None:
    shaped = flag(taken.get("is-shaped", False), "is-shaped")
    if shaped != ("shaped-rate" in taken):
        raise bad("is-shaped and shaped-rate: a shaped-rate goes with is-shaped true, and only with that")
    return rate(taken["shaped-rate"], "shaped-rate") if shaped else None


def _said(tunnel: Tunnel) -> str:
    tags = ".".join(str(tag) for tag in (tunnel.vlan, tunnel.inner) if tag)
    return f"{tunnel.kind} {tags}".strip()
