"""The listener `owner-quota`: how much each owner may hold in each network. It only asks what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from attrs import frozen

from dpb_framework.errors import BadArgument, ConfigInvalid, Refused
from dpb_framework.hookspecs import hookimpl
from dpb_framework.model import Caller, Segment, Totals, kbps, mbps
from dpb_framework.settings import check_keys

_KEYS = ("services", "circuits", "ingress", "egress")


@frozen
class Limits:
    """What one owner may hold in one network; None: no limit. Rates are kbit/s, summed over the circuits."""

    services: int | None = None
    circuits: int | None = None
    ingress: int | None = None
    egress: int | None = None


class OwnerQuota:
    """Refuses a segment with which its owner would hold more in that network than is allowed.

    `services` and `circuits` are numbers, `ingress` and `egress` Mbit/s, for every owner; `owners` has a table of the
    same keys for some of them, which counts instead. `networks` restricts it to those; without it all count, each
    for itself. What the broker's own superiors make is theirs to limit, and passes.
    """

    def __init__(
        self,
        services: int | None = None,
        circuits: int | None = None,
        ingress: int | float | None = None,
        egress: int | float | None = None,
        owners: dict[str, dict[str, Any]] | None = None,
        networks: list[str] | None = None,
    ) -> None:
        everybody = {"services": services, "circuits": circuits, "ingress": ingress, "egress": egress}
        self._everybody = _limits(everybody, "")
        self._owners: dict[str, Limits] = {}
        for owner, table in (owners or {}).items():
            check_keys(table, _KEYS, f"owners.{owner}")
            self._owners[owner] = _limits({**everybody, **table}, f"owners.{owner}.")
        self._networks = None if networks is None else frozenset(networks)

    @hookimpl
    def ask_segment(self, network: str, segment: Segment, caller: Caller, owner: str, totals: Totals) -> None:
        """Compare what the owner would hold with what it may; nothing is stored here, the kernel has the totals."""
        if caller.system or (self._networks is not None and network not in self._networks):
            return
        may = self._owners.get(owner, self._everybody)
        ingress = totals.ingress + sum(end.flow.ingress for end in segment.ends)
        egress = totals.egress + sum(end.flow.egress for end in segment.ends)
        for what, would, limit, rate in (
            ("services", totals.services + 1, may.services, False),
            ("circuits", totals.circuits + len(segment.ends), may.circuits, False),
            ("of ingress", ingress, may.ingress, True),
            ("of egress", egress, may.egress, True),
        ):
            if limit is not None and would > limit:
                told = [f"{mbps(amount)} Mbit/s" if rate else str(amount) for amount in (would, limit)]
                raise Refused(f"{owner} would hold {told[0]} {what} in network {network!r}, {told[1]} are allowed")


def _limits(table: Mapping[str, Any], path: str) -> Limits:
    return Limits(*(_limit(table.get(key), f"{path}{key}", rate=key in _KEYS[2:]) for key in _KEYS))


def _limit(value: Any, path: str, *, rate: bool) -> int | None:
    if value is None:
        return None
    if rate and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return kbps(Decimal(str(value)), path)
        except BadArgument as error:
            raise ConfigInvalid(path, error.problem) from None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigInvalid(path, f"expected a number, not negative, got {value!r}")
    return value


__all__: Sequence[str] = ("Limits", "OwnerQuota")
