"""What would be: a scenario, and what a network says to a segment in it. Nothing of it is reserved."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field

from dpb_framework.model.service import Fault
from dpb_framework.model.topology import Trunk
from dpb_framework.model.value import value


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _trunks(values: Iterable[Trunk]) -> tuple[Trunk, ...]:
    return tuple(values)


@value
class Scenario:
    """In what the network differs from how it is now; by default in nothing.

    `failed` trunks are gone, and with them all that the services which use them hold anywhere: those are planned anew
    first. `drained` trunks keep the services that they have and take no more. `added` trunks are new and empty.
    """

    failed: tuple[str, ...] = field(converter=_names, default=())
    drained: tuple[str, ...] = field(converter=_names, default=())
    added: tuple[Trunk, ...] = field(converter=_trunks, default=())


@value
class Share:
    """What a service would take of a trunk, and what would be left of that then. Rates are kbit/s."""

    trunk: str
    upstream: int
    downstream: int
    upstream_left: int
    downstream_left: int
    labels_left: int


@value
class Proposal:
    """What the network says to one segment.

    With `fault` it would be refused, and for this reason. Else `shares` are its tree's trunks, `chords` and `networks`
    the ways through inferior networks, and those networks; `cost` is in the algorithm's own unit, `note` its remark.
    `service` is the service that would be planned anew; None for a segment that was asked about.
    """

    service: int | None = None
    fault: Fault | None = None
    shares: tuple[Share, ...] = ()
    chords: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    cost: int = 0
    note: str = ""


__all__ = ["Proposal", "Scenario", "Share"]
