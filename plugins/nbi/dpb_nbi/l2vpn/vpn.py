"""A VPN as RFC 8466 has it, and the segment that it asks for. Frozen values; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from attrs import evolve, field, frozen

from dpb_framework.model import Circuit, End, Segment, TrafficFlow


class VpnType(str, Enum):
    """What a VPN is, in the words of RFC 8466: E-Line joins two accesses, E-LAN any number.

    Which protocol would carry it is the client's word only: the broker does the same for all of a kind.
    """

    VPWS = "vpws"
    VPWS_EVPN = "vpws-evpn"
    PWE3 = "pwe3"
    VPLS = "vpls"
    BGP_VPLS = "bgp-vpls"
    LDP_L2TP_VPLS = "ldp-l2tp-vpls"

    @property
    def most(self) -> int | None:
        """How many accesses it has at the most; None for no limit."""
        return 2 if self in (VpnType.VPWS, VpnType.VPWS_EVPN, VpnType.PWE3) else None


@frozen
class Access:
    """A site network access: where a site meets the network.

    `asked` is the label that was asked for, None where the broker was left to choose; `label` is the one that it has.
    `bearer` is how the terminal was called, None where by its name.
    Rates are kbit/s as the network sees them: ingress is from the site into the network.
    """

    site: str
    id: str
    terminal: str
    asked: int | None
    ingress: int
    egress: int
    label: int | None = None
    bearer: str | None = None


def _accesses(values: Iterable[Access]) -> tuple[Access, ...]:
    return tuple(values)


@frozen
class Vpn:
    """A VPN and its accesses, in the order in which they came. `owner` is who made it."""

    id: str
    type: VpnType
    customer: str
    owner: str
    accesses: tuple[Access, ...] = field(converter=_accesses, default=())

    @property
    def handle(self) -> str:
        """The handle of its service."""
        return f"l2vpn-{self.id}"

    def access(self, id: str) -> Access | None:
        """The access of that id, if it has it."""
        return next((access for access in self.accesses if access.id == id), None)

    def segment(self) -> Segment:
        """What its service connects; labels that the broker once chose are kept."""
        return Segment(
            [
                End(
                    Circuit(access.terminal, access.asked if access.label is None else access.label),
                    TrafficFlow(access.ingress, access.egress),
                )
                for access in self.accesses
            ]
        )

    def with_labels(self, segment: Segment) -> Vpn:
        """Return it with the labels that its service has, as *segment* tells them."""
        free = [end.circuit for end in segment.ends]
        found: list[Access] = []
        for access in sorted(self.accesses, key=lambda a: a.asked is None and a.label is None):
            wanted = access.asked if access.label is None else access.label
            circuit = next(c for c in free if c.terminal == access.terminal and wanted in (None, c.label))
            free.remove(circuit)
            found.append(evolve(access, label=circuit.label))
        return evolve(self, accesses=_in_order(self.accesses, found))


def _in_order(like: Sequence[Access], found: Sequence[Access]) -> list[Access]:
    by_id = {access.id: access for access in found}
    return [by_id[access.id] for access in like]
