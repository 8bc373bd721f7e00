"""Calls on bridges and their controllers: from one state to the next."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from attrs import evolve

from dpb_corsa_emulator import bodies
from dpb_corsa_emulator.bodies import bad, fields, replacements, required, text, whole
from dpb_corsa_emulator.values import Bridge, Controller, Limits, Refused, State

_SETTABLE = {"/bridge-descr", "/dpid", "/resources", "/traffic-class", "/netns"}
_NAME = re.compile(r"br([1-9][0-9]?)")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_DPID = re.compile(r"(?:0x)?([0-9a-fA-F]{1,16})")


def bridge_of(state: State, name: str) -> Bridge:
    """The bridge, or 404."""
    found = state.bridges.get(name)
    if found is None:
        raise Refused(404, f"no bridge {name}")
    return found


def put(state: State, name: str, bridge: Bridge) -> State:
    """The state with this bridge in it."""
    return evolve(state, bridges={**state.bridges, name: bridge})


def create(state: State, limits: Limits, body: object) -> State:
    """`POST bridges`."""
    taken = fields(
        body,
        {"bridge", "dpid", "subtype", "resources", "traffic-class", "netns", "bridge-descr"},
        {"protocols", "links"},
    )
    name = required(taken, "bridge")
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    if match is None or int(match[1]) > limits.bridges:
        raise bad(f"bridge: br1 to br{limits.bridges} are wanted")
    subtype = required(taken, "subtype")
    if subtype not in limits.subtypes:
        raise bad(f"subtype: {subtype!r} is not supported; {', '.join(limits.subtypes)} are")
    bridge = Bridge(dpid=_free_dpid(state, int(match[1])), subtype=subtype, resources=0)
    wanted = {f"/{field}": value for field, value in taken.items() if f"/{field}" in _SETTABLE}
    wanted["/resources"] = required(taken, "resources")
    made = _changed(limits, bridge, wanted)
    if name in state.bridges:
        raise Refused(409, f"bridge {name} is there already")
    return _affordable(put(state, name, made))


def change(state: State, limits: Limits, name: str, body: object) -> State:
    """`PATCH bridges/brN`."""
    bridge = bridge_of(state, name)
    return _affordable(put(state, name, _changed(limits, bridge, replacements(body, _SETTABLE))))


def delete(state: State, name: str) -> State:
    """`DELETE bridges/brN`: its tunnels and controllers go with it."""
    bridge_of(state, name)
    return evolve(state, bridges={other: bridge for other, bridge in state.bridges.items() if other != name})


def attach_controller(state: State, name: str, body: object) -> State:
    """`POST bridges/brN/controllers`."""
    bridge = bridge_of(state, name)
    taken = fields(body, {"controller", "ip", "port", "tls"}, {"connected", "message", "role"})
    identity = _word(required(taken, "controller"), "controller")
    controller = Controller(
        _address(required(taken, "ip")),
        whole(required(taken, "port"), 1, 65535, "port"),
        bodies.flag(taken.get("tls", False), "tls"),
    )
    if identity in bridge.controllers:
        raise Refused(409, f"controller {identity} is attached to {name} already")
    return put(state, name, evolve(bridge, controllers={**bridge.controllers, identity: controller}))


def controller_of(state: State, name: str, identity: str) -> Controller:
    """The controller, or 404."""
    found = bridge_of(state, name).controllers.get(identity)
    if found is None:
        raise Refused(404, f"no controller {identity} is attached to {name}")
    return found


def detach_controller(state: State, name: str, identity: str) -> State:
    """`DELETE bridges/brN/controllers/ID`."""
    controller_of(state, name, identity)
    bridge = bridge_of(state, name)
    left = {other: controller for other, controller in bridge.controllers.items() if other != identity}
    return put(state, name, evolve(bridge, controllers=left))


def _changed(limits: Limits, bridge: Bridge, wanted: dict[str, Any]) -> Bridge:
    for path, value in wanted.items():
        name = path[1:]
        match name:
            case "bridge-descr":
                bridge = evolve(bridge, descr=text(value, name))
            case "dpid":
                bridge = evolve(bridge, dpid=_dpid(value))
            case "resources":
                bridge = evolve(bridge, resources=whole(value, 1, 100, name))
            case "traffic-class":
                bridge = evolve(bridge, traffic_class=whole(value, 0, 7, name))
            case "netns":
                bridge = evolve(bridge, netns=_netns(limits, value))
    return bridge


def _affordable(state: State) -> State:
    used = sum(bridge.resources for bridge in state.bridges.values())
    if used > 100:
        raise bad(f"resources: {used} percent would be in use")
    return state


def _netns(limits: Limits, value: object) -> str:
    name = _word(value, "netns")
    if limits.netns and name not in limits.netns:
        raise bad(f"netns: no {name}; there are {', '.join(limits.netns)}")
    return name


def _word(value: object, name: str) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise bad(f"{name}: a name of letters, digits, '_', '.' and '-' is wanted")
    return value


def _address(value: object) -> str:
    try:
        return str(ipaddress.ip_address(value)) if isinstance(value, str) else _no_address()
    except ValueError:
        return _no_address()


def _no_address() -> str:
    raise bad("ip: an IP address is wanted")


def _dpid(value: object) -> str:
    match = _DPID.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1], 16) == 0:
        raise bad("dpid: 0x and up to 16 hex digits, not all 0, are wanted")
    return match[1].lower().zfill(16)


def _free_dpid(state: State, number: int) -> str:
    """What the switch chooses: its own 48 bits, and the bridge's number."""
    taken = {bridge.dpid for bridge in state.bridges.values()}
    chosen = number
    while f"0000c0de0000{chosen:04x}" in taken:
        chosen += 64
    return f"0000c0de0000{chosen:04x}"
