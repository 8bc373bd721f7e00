"""Errors as this wire tells them: one table of codes, one shape. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dpb_framework.errors import DpbError
from dpb_nbi.problems import Problem

CODES: Final[Mapping[str, str]] = {
    # The kernel's code, and this wire's.
    "no-network": "no-network",
    "service-unknown": "service-unknown",
    "service-gone": "service-gone",
    "service-logic": "service-logic",
    "not-owner": "not-owner",
    "segment-invalid": "segment-invalid",
    "circuit-taken": "circuit-taken",
    "labels-unavailable": "labels-unavailable",
    "labels-in-use": "labels-in-use",
    "quota": "quota",
    "no-capacity": "no-capacity",
    "bw-unavailable": "bw-unavailable",
    "refused": "refused",
    "plan-invalid": "plan-invalid",
    "terminal-unknown": "terminal-unknown",
    "terminal-exists": "terminal-exists",
    "terminal-busy": "terminal-busy",
    "subnetwork-unknown": "subnetwork-unknown",
    "subterminal-busy": "subterminal-busy",
    "trunk-unknown": "trunk-unknown",
    "trunk-exists": "trunk-exists",
    "trunk-busy": "trunk-busy",
    "interface-invalid": "terminal-config",
    "inferior-failed": "inferior-failed",
    "inferior-cycle": "bad-argument",
    "fabric-refused": "fabric-refused",
    "port-down": "port-down",
    "unreachable": "unreachable",
    "timed-out": "timed-out",
    "stopped": "stopped",
    "bad-argument": "bad-argument",
    "config-invalid": "bad-argument",
    "bad-json": "bad-json",
    "bad-frame": "bad-frame",
    "role-missing": "unauthorized",
    "unauthenticated": "unauthorized",
    "user-unknown": "bad-argument",
    "token-unknown": "bad-argument",
    "key-unknown": "bad-argument",
    "busy": "busy",
    "store-locked": "store",
    "store-invalid": "store",
    "commit-failed": "store",
    "version-stale": "store",
    "plugin-missing": "internal",
    "plugin-broken": "internal",
    "internal": "internal",
}
"""Every code of the kernel and of this distribution; another's (by another broker, say) goes out as it is."""

_FACTS: Final[Mapping[str, str]] = {
    "network": "network-name",
    "terminal": "terminal-name",
    "service": "service-id",
    "subnetwork": "subnetwork-name",
    "subterminal": "subterminal-name",
}
"""What facts are called on this wire."""


def content(error: DpbError | Problem) -> dict[str, Any]:
    """Return what an answer says of *error*: `error`, `msg`, the field if one is wrong, and what else is known."""
    problem = error if isinstance(error, Problem) else Problem.of(error)
    told: dict[str, Any] = {_FACTS.get(name, name.replace("_", "-")): value for name, value in problem.facts.items()}
    if problem.field is not None:
        told["field"] = problem.field
    return {**told, "error": CODES.get(problem.code, problem.code), "msg": problem.detail}
