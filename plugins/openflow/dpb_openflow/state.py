"""What the application tells of a switch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen


@frozen
class SwitchState:
    """A switch at one moment: whether it can be used (else `reason`), what it has, which ports are dead."""

    connected: bool
    reason: str
    meters: bool
    capacity: Mapping[str, Any]
    ports: int
    dead: tuple[str, ...]

    @classmethod
    def of(cls, plain: Any) -> SwitchState:
        """Read what the application tells; `KeyError`, `TypeError` or `ValueError` when it is something else."""
        ports = plain["ports"]
        meters = bool(plain["meters"])
        left: dict[str, Any] = {"ports": len(ports), "flows": plain.get("flows")}
        for name in ("meters", "groups"):
            most, used = plain.get(f"max-{name}"), plain.get(f"{name}-used")
            if isinstance(most, int) and isinstance(used, int) and (meters or name == "groups"):
                left[f"{name}-left"] = max(0, most - used)
        return cls(
            connected=plain["connected"] is True,
            reason=str(plain.get("reason") or ""),
            meters=meters,
            capacity=left,
            ports=len(ports),
            dead=tuple(number for number, port in ports.items() if not port["up"]),
        )
