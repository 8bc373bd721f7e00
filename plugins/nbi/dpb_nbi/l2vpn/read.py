"""RESTCONF documents -> VPNs and accesses. Pure; every fault is a `BadArgument` with its path.

Documents may hold more of RFC 8466's model than the broker can honour (locations, devices, OAM); that is passed over.
Names of the module may stand before a member's name (`ietf-l2vpn-svc:vpn-service`) or not, as JSON of YANG allows at
most places and as clients do everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any, Final

from attrs import frozen

from dpb_framework.errors import BadArgument
from dpb_framework.model import MAX_KBPS
from dpb_nbi.l2vpn.vpn import Access, VpnType
from dpb_nbi.values import CONTROL, DIGITS, array, integer, kind, number, table

MODULE: Final = "ietf-l2vpn-svc:"
_MAX_ID: Final = 200
_NO_PATH: Final = re.compile("[/?#%]")
_INPUT: Final = "svc-input-bandwidth"
_OUTPUT: Final = "svc-output-bandwidth"


@frozen
class VpnAsked:
    """A VPN that is asked for, without accesses."""

    id: str
    type: VpnType
    customer: str


@frozen
class AccessAsked:
    """An access that is asked for, and the VPN that it is attached to. `rated`: it names a rate."""

    vpn: str
    access: Access
    path: str
    rated: bool


@frozen
class Document:
    """A whole `l2vpn-svc`."""

    vpns: tuple[VpnAsked, ...]
    accesses: tuple[AccessAsked, ...]


def is_document(value: Any) -> bool:
    """Whether *value* is a whole `l2vpn-svc`, not one of its lists."""
    return isinstance(value, dict) and _member(value, "l2vpn-svc") is not None


def document(value: Any, default: int) -> Document:
    """Return what a whole `l2vpn-svc` asks for. *default* is the rate of accesses that name none, kbit/s."""
    whole = _object(_member(_object(value, "body"), "l2vpn-svc"), "l2vpn-svc")
    vpns: list[VpnAsked] = []
    accesses: list[AccessAsked] = []
    services = _member(whole, "vpn-services")
    if services is not None:
        vpns += vpn_services(services, "l2vpn-svc.vpn-services")
    listed = _member(_object(_member(whole, "sites") or {}, "l2vpn-svc.sites"), "site") or []
    for i, entry in enumerate(array(listed, "l2vpn-svc.sites.site")):
        path = f"l2vpn-svc.sites.site[{i}]"
        site = _object(entry, path)
        name = _key(_needed(site, "site-id", path), f"{path}.site-id")
        found = _member(site, "site-network-accesses")
        if found is not None:
            accesses += site_network_accesses(found, name, default, f"{path}.site-network-accesses")
    return Document(tuple(vpns), tuple(accesses))


def vpn_services(value: Any, path: str = "body") -> list[VpnAsked]:
    """Return the VPNs of `{"vpn-service": [...]}`."""
    found = []
    for i, entry in enumerate(_list(value, "vpn-service", path)):
        where = f"vpn-service[{i}]"
        vpn = _object(entry, where)
        id_ = _key(_needed(vpn, "vpn-id", where), f"{where}.vpn-id")
        # A client of OSM's release 5 writes it the other way.
        named = _member(vpn, "vpn-svc-type") or _member(vpn, "vpn-scv-type") or VpnType.VPWS.value
        topology = _identity(_member(vpn, "svc-topo") or "any-to-any")
        if topology != "any-to-any":
            raise BadArgument(f"{where}.svc-topo", f"the broker offers any-to-any, not {kind(topology)}")
        try:
            type_ = VpnType(_identity(named))
        except ValueError:
            problem = f"the broker offers {', '.join(type_.value for type_ in VpnType)}, not {kind(named)}"
            raise BadArgument(f"{where}.vpn-svc-type", problem) from None
        customer = _member(vpn, "customer-name") or ""
        found.append(VpnAsked(id_, type_, customer if isinstance(customer, str) else ""))
    return found


def site_network_accesses(value: Any, site: str, default: int, path: str = "body") -> list[AccessAsked]:
    """Return the accesses of `{"site-network-access": [...]}` at *site*; *default* is kbit/s."""
    found = []
    for i, entry in enumerate(_list(value, "site-network-access", path)):
        where = f"site-network-access[{i}]"
        access = _object(entry, where)
        name = "network-access-id" if _member(access, "network-access-id") else "site-network-access-id"
        id_ = _key(_needed(access, name, where), f"{where}.{name}")
        attachment = _object(_needed(access, "vpn-attachment", where), f"{where}.vpn-attachment")
        vpn = _id(_needed(attachment, "vpn-id", f"{where}.vpn-attachment"), f"{where}.vpn-attachment.vpn-id")
        bearer = _object(_member(access, "bearer") or {}, f"{where}.bearer")
        terminal = _member(bearer, "bearer-reference")
        label = _label(_object(_member(access, "connection") or {}, f"{where}.connection"), f"{where}.connection")
        to_site, from_site = _rates(_object(_member(access, "service") or {}, f"{where}.service"), f"{where}.service")
        either = to_site if from_site is None else from_site
        rate = default if either is None else either
        found.append(
            AccessAsked(
                vpn,
                Access(
                    site,
                    id_,
                    site if terminal is None else _id(terminal, f"{where}.bearer.bearer-reference"),
                    label,
                    rate if from_site is None else from_site,
                    rate if to_site is None else to_site,
                ),
                where,
                either is not None,
            )
        )
    return found


def _label(connection: dict[str, Any], path: str) -> int | None:
    """Return the label of a connection: a VLAN id, two of them in 24 bits, or None where it names none."""
    encapsulation = _identity(_member(connection, "encapsulation-type") or "")
    tagged = _member(connection, "tagged-interface")
    if tagged is None:
        if encapsulation in ("dot1q-vlan-tagged", "dot1q", "vlan", "qinq"):
            raise BadArgument(f"{path}.tagged-interface", "the field is missing")
        return None
    tagged = _object(tagged, f"{path}.tagged-interface")
    path = f"{path}.tagged-interface"
    for name in ("dot1q-vlan-tagged", "dot1q"):
        found = _member(tagged, name)
        if found is not None:
            where = f"{path}.{name}"
            return _vlan(_needed(_object(found, where), "cvlan-id", where), f"{where}.cvlan-id")
    found = _member(tagged, "qinq")
    if found is not None:
        where = f"{path}.qinq"
        both = _object(found, where)
        outer = _vlan(_needed(both, "svlan-id", where), f"{where}.svlan-id")
        return outer << 12 | _vlan(_needed(both, "cvlan-id", where), f"{where}.cvlan-id")
    raise BadArgument(path, "the broker has dot1q-vlan-tagged and qinq")


def _vlan(value: Any, path: str) -> int:
    if isinstance(value, str) and DIGITS.fullmatch(value):
        value = int(value)
    return integer(value, path, 1, 4094)


def _rates(service: dict[str, Any], path: str) -> tuple[int | None, int | None]:
    """Return the rates to the site and from it, kbit/s; None where none is named.

    RFC 8466, section 5.10.2.1, takes the site as point of reference: input is what the site downloads.
    """
    to_site, from_site = (
        _member(service, name) and _bits(_member(service, name), f"{path}.{name}") for name in (_INPUT, _OUTPUT)
    )
    listed = _member(_object(_member(service, "svc-bandwidth") or {}, f"{path}.svc-bandwidth"), "bandwidth") or []
    for i, entry in enumerate(array(listed, f"{path}.svc-bandwidth.bandwidth")):
        where = f"{path}.svc-bandwidth.bandwidth[{i}]"
        bandwidth = _object(entry, where)
        direction = _identity(_needed(bandwidth, "direction", where))
        rate = _bits(_needed(bandwidth, "cir", where), f"{where}.cir")
        if direction == "input-bw":
            to_site = rate
        elif direction == "output-bw":
            from_site = rate
        else:
            raise BadArgument(f"{where}.direction", f"expected input-bw or output-bw, got {kind(direction)}")
    return to_site, from_site


def _bits(value: Any, path: str) -> int:
    """Return bit/s as kbit/s, rounded up: what is promised is never less than what was asked for."""
    if isinstance(value, str) and DIGITS.fullmatch(value):  # 64-bit numbers of YANG are texts in JSON
        value = int(value)
    found: int | Decimal = number(value, path, "a rate in bit/s (a number)")
    if not 0 <= found <= MAX_KBPS * 1000:
        raise BadArgument(path, f"a rate lies between 0 and {MAX_KBPS * 1000} bit/s")
    return ceil(Fraction(found) / 1000)


def _list(value: Any, name: str, path: str) -> Sequence[Any]:
    holder = _object(value, path)
    return array(_needed(holder, name, ""), name)


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadArgument(path, f"expected an object, got {kind(value)}")
    return table(value, path, value.keys())


def _member(value: dict[str, Any], name: str) -> Any:
    found = value.get(name)
    return value.get(MODULE + name) if found is None else found


def _needed(value: dict[str, Any], name: str, path: str) -> Any:
    found = _member(value, name)
    if found is None:
        raise BadArgument(f"{path}.{name}" if path else name, "the field is missing")
    return found


def _key(value: Any, path: str) -> str:
    """Return an id that is to stand in a path, where clients write it as it is."""
    found = _id(value, path)
    if _NO_PATH.search(found):
        raise BadArgument(path, f"expected an id without /, ?, # and %, got {kind(found)}")
    return found


def _id(value: Any, path: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_ID or CONTROL.search(value):
        raise BadArgument(path, f"expected a text of 1 to {_MAX_ID} characters, none of them a control character")
    return value


def _identity(value: Any) -> str:
    """Return an identity's name without its module's."""
    return value.removeprefix(MODULE) if isinstance(value, str) else ""
