"""From a service of the broker to RO's words for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dpb_osm.base import fault

STATUSES = {
    "DORMANT": "INACTIVE",
    "ESTABLISHING": "BUILD",
    "INACTIVE": "INACTIVE",
    "ACTIVATING": "BUILD",
    "ACTIVE": "ACTIVE",
    "DEACTIVATING": "INACTIVE",
    "FAILED": "DOWN",
}
"""RO's status for each of the broker's; RELEASING and RELEASED are a service that is not there."""


def told(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service's status as RO has it: of the current interface and, by the other names, of release 5.

    A define that failed is ERROR; a dead port is DOWN even while the broker keeps the service. Contact lost with a
    device is told in `error_msg` only: a switch without its controller still forwards. Raises RO's error (404) for one
    that is being released or is gone.
    """
    status = STATUSES.get(service["status"])
    if status is None:
        raise fault(f"the connectivity service has been released (service {service['id']})", 404)
    conditions = service.get("conditions") or ()
    if service["status"] == "DORMANT" and service.get("error"):
        status = "ERROR"
    elif status == "ACTIVE" and any(condition["kind"] == "port-down" for condition in conditions):
        status = "DOWN"
    info = {
        key: service.get(key) for key in ("id", "network", "status", "change", "tree") if service.get(key) is not None
    }
    answer = {"sdn_status": status, "wim_status": status, "sdn_info": info, "wim_info": info}
    reason = _reasons(service)
    if reason:
        answer["error_msg"] = reason
    return answer


def explain(service: Mapping[str, Any]) -> str:
    """Return why a service is not where it was wanted, in one line."""
    return _reasons(service) or f"service {service['id']} is {service['status']}"


def _reasons(service: Mapping[str, Any]) -> str:
    error = service.get("error")
    reasons = [str(error.get("text") or error.get("code"))] if error else []
    reasons += [f"{c['kind']} at {c['where']}: {c['text']}" for c in service.get("conditions") or ()]
    return "; ".join(reasons)
