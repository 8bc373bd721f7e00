"""Another client of the switch, who is always faster by a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dpb_corsa_emulator import bridges, tunnels
from dpb_corsa_emulator.values import Limits, Refused, State

NAME = "somebody else's"
"""The description of what it makes."""


def rival(method: str, path: str, body: Any, limits: Limits) -> Callable[[State], State]:
    """What the other does just before a call: takes the name that it wants to use, or deletes what it would delete.

    Raises `Refused` where there is nothing to be faster in.
    """
    segments = path.split("/")
    told = body if isinstance(body, dict) else {}
    match method, segments:
        case "POST", ["bridges"]:
            bridge = {"bridge": told.get("bridge"), "subtype": limits.subtypes[0], "resources": 1, "bridge-descr": NAME}
            return lambda state: bridges.create(state, limits, bridge)
        case "POST", ["bridges", name, "controllers"]:
            controller = {"controller": told.get("controller"), "ip": "192.0.2.1", "port": 6653}
            return lambda state: bridges.attach_controller(state, name, controller)
        case "POST", ["bridges", name, "tunnels"]:
            return lambda state: _take_ofport(state, limits, name, told.get("ofport"))
        case "DELETE", ["bridges", name]:
            return lambda state: bridges.delete(state, name)
        case "DELETE", ["bridges", name, "controllers", identity]:
            return lambda state: bridges.detach_controller(state, name, identity)
        case "DELETE", ["bridges", name, "tunnels", ofport]:
            return lambda state: tunnels.detach(state, name, ofport)
    raise Refused(404, path)


def _take_ofport(state: State, limits: Limits, name: str, ofport: Any) -> State:
    """Attach the highest VLAN that is free on the last port."""
    wanted = {"ofport": ofport, "port": str(limits.ports), "ifdescr": NAME}
    for vlan in range(4094, 0, -1):
        try:
            return tunnels.attach(state, limits, name, {**wanted, "vlan-id": vlan})
        except Refused as refused:
            if "in use by" not in refused.message:
                raise
    raise Refused(409, f"no VLAN is free on port {limits.ports}")
