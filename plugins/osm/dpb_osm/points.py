"""From RO's connection points to the broker's segment. Pure.

An end point without a VLAN leaves the label to the broker; what the broker chose is kept in `conn_info`, so that a
later edit asks for the same circuit and its traffic is not touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dpb_osm.account import DEFAULT_MBPS, Account, EndPoint, rate
from dpb_osm.base import fault

LEAST = {"ELINE": 2, "ELAN": 2}
MOST = {"ELINE": 2}


def check_type(service_type: Any) -> str:
    """Return the type in its usual spelling. Raises RO's error (400) for what is no layer-2 service of the broker."""
    found = str(service_type).upper().replace("-", "").replace("_", "")
    if found not in LEAST:
        raise fault(f"service_type: the broker offers ELINE and ELAN, not {service_type!r}", 400)
    return found


def segment(
    account: Account, service_type: str, points: Any, bandwidth: Any, before: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return the segment that joins *points*, in their order, each with the keys of `/api/v1`.

    *bandwidth* (Mbit/s) is for ends for which the port mapping has none. *before* are the ends as `ends` gave them:
    where a point has no VLAN, the label that its end point had is asked for again.
    """
    if not isinstance(points, (list, tuple)):
        raise fault("connection_points: expected a list", 400)
    if len(points) < LEAST[service_type] or len(points) > MOST.get(service_type, len(points)):
        wanted = "exactly two" if service_type in MOST else "at least two"
        raise fault(f"connection_points: {service_type} joins {wanted} end points, {len(points)} given", 400)
    common = None if bandwidth is None else rate(bandwidth, "bandwidth")
    kept = [dict(end) for end in before]
    read = [_point(point, i) for i, point in enumerate(points)]
    for name, vlan in read:
        if vlan is not None:  # what is named is not to be had by an end that leaves it open
            _kept_label(kept, name, vlan)
    made = []
    for name, vlan in read:
        end = account.end_points.get(name, EndPoint(name))
        if vlan is None:
            vlan = _kept_label(kept, name)
        made.append(
            {
                "terminal": end.terminal,
                "label": vlan,
                "ingress": _first(end.ingress, common, account.ingress),
                "egress": _first(end.egress, common, account.egress),
            }
        )
    return made


def ends(
    points: Sequence[dict[str, Any]], wanted: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return what is kept of each point: its name, terminal and label; open labels are those of *found*."""
    free = [dict(end) for end in found]
    for end in wanted:
        if end["label"] is not None:
            _take(free, end["terminal"], end["label"])
    kept = []
    for i, end in enumerate(wanted):
        label = end["label"]
        if label is None:
            label = _take(free, end["terminal"], None)
        kept.append(
            {"service_endpoint_id": str(points[i]["service_endpoint_id"]), "terminal": end["terminal"], "label": label}
        )
    return kept


def _take(free: list[dict[str, Any]], terminal: str, label: int | None) -> int | None:
    for i, end in enumerate(free):
        if end.get("terminal") == terminal and label in (None, end.get("label")):
            taken: int | None = free.pop(i).get("label")
            return taken
    return None


def _point(point: Any, i: int) -> tuple[str, int | None]:
    if not isinstance(point, Mapping) or not point.get("service_endpoint_id"):
        raise fault(f"connection_points[{i}].service_endpoint_id: an end point has no name", 400)
    path = f"connection_points[{i}].service_endpoint_encapsulation_info"
    info = point.get("service_endpoint_encapsulation_info") or {}
    if not isinstance(info, Mapping):
        raise fault(f"{path}: expected a table, got {type(info).__name__}", 400)
    kind = point.get("service_endpoint_encapsulation_type")
    if str(kind or "none").lower() not in ("dot1q", "none"):
        raise fault(f"connection_points[{i}].service_endpoint_encapsulation_type: {kind!r}; the broker has dot1q", 400)
    return str(point["service_endpoint_id"]), _vlan(info.get("vlan"), path)


def _vlan(value: Any, path: str) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and re.fullmatch("[0-9]{1,8}", value):  # `int` itself takes more than anybody means
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 24:
        raise fault(f"{path}.vlan: expected a VLAN id, got {value!r}", 400)
    return value


def _kept_label(kept: list[dict[str, Any]], name: str, label: int | None = None) -> int | None:
    """Take an end of that name (and label, if given) out of *kept* and return its label."""
    for i, end in enumerate(kept):
        if end.get("service_endpoint_id") == name and label in (None, end.get("label")):
            found: int | None = kept.pop(i).get("label")
            return found
    return None


def _first(*rates: float | None) -> float:
    return next((found for found in rates if found is not None), DEFAULT_MBPS)


def plain(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what counts of connection points, as plain data."""
    return [
        {
            "service_endpoint_id": str(point["service_endpoint_id"]),
            "service_endpoint_encapsulation_type": point.get("service_endpoint_encapsulation_type"),
            "service_endpoint_encapsulation_info": {
                "vlan": (point.get("service_endpoint_encapsulation_info") or {}).get("vlan")
            },
        }
        for point in points
    ]
