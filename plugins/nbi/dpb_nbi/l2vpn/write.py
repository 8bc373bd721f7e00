"""VPNs -> RESTCONF documents. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dpb_nbi.l2vpn.read import MODULE
from dpb_nbi.l2vpn.vpn import Access, Vpn


def vpn_services(vpns: Iterable[Vpn]) -> dict[str, Any]:
    """Return the container of all VPNs."""
    return {f"{MODULE}vpn-services": {"vpn-service": [_vpn(vpn) for vpn in vpns]}}


def vpn_service(vpn: Vpn, status: str) -> dict[str, Any]:
    """Return one VPN. `status` is the broker's word for its service, which RFC 8466 has no place for."""
    return {f"{MODULE}vpn-service": [{**_vpn(vpn), "status": status}]}


def _vpn(vpn: Vpn) -> dict[str, Any]:
    return {
        "vpn-id": vpn.id,
        "vpn-svc-type": vpn.type.value,
        "svc-topo": "any-to-any",
        "customer-name": vpn.customer,
    }


def site_network_accesses(pairs: Iterable[tuple[Vpn, Access]]) -> dict[str, Any]:
    """Return the container of accesses, each with the VPN that it is attached to."""
    return {f"{MODULE}site-network-accesses": {"site-network-access": [_access(*pair) for pair in pairs]}}


def _access(vpn: Vpn, access: Access) -> dict[str, Any]:
    label = access.asked if access.label is None else access.label
    connection: dict[str, Any] = {}
    if label is not None and label <= 4094:
        connection = {"encapsulation-type": "dot1q-vlan-tagged"}
        connection["tagged-interface"] = {"dot1q-vlan-tagged": {"cvlan-id": label}}
    elif label is not None:
        connection = {"encapsulation-type": "qinq"}
        connection["tagged-interface"] = {"qinq": {"svlan-id": label >> 12, "cvlan-id": label & 0xFFF}}
    return {
        "network-access-id": access.id,
        "connection": connection,
        "vpn-attachment": {"vpn-id": vpn.id, "site-role": "any-to-any-role"},
        "bearer": {"bearer-reference": access.terminal if access.bearer is None else access.bearer},
        "service": {
            "svc-input-bandwidth": str(access.egress * 1000),
            "svc-output-bandwidth": str(access.ingress * 1000),
        },
    }
