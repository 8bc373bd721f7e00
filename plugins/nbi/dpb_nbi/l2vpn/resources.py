"""The resources of RESTCONF's data tree under `ietf-l2vpn-svc:l2vpn-svc`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

from dpb_framework.contracts import AggregatorManagement, Network
from dpb_framework.errors import DpbError
from dpb_framework.model import Status
from dpb_nbi.access import orders
from dpb_nbi.calls import Calls
from dpb_nbi.l2vpn import read, write
from dpb_nbi.l2vpn.vpns import Vpns, may_change
from dpb_nbi.operations import Asking
from dpb_nbi.problems import Problem
from dpb_nbi.resource import Resource
from dpb_nbi.wire import Request, Response, answer

PREFIX: Final = "/restconf/data/ietf-l2vpn-svc:l2vpn-svc"
DEFAULT_KBPS: Final = 10_000
"""The rate of an access that names none, kbit/s."""

_vpns: WeakKeyDictionary[Calls, dict[str, Vpns]] = WeakKeyDictionary()
"""For each application its VPNs by network."""


class L2vpn(Resource):
    """The base: which network's VPNs a request is about."""

    kinds: ClassVar[Mapping[str, orders.Kind]] = {
        "POST": orders.PUT_VPN,
        "PUT": orders.PUT_VPN,
        "DELETE": orders.REMOVE_VPN,
    }

    def about(self, params: Mapping[str, Any]) -> str:
        """The network of the path, or the one that is nobody's inferior."""
        return str(params.get("network") or self._top().name)

    def _asking(self, request: Request, network: str | None) -> Asking:
        return self.asking(request, self.about({"network": network}))

    def _of(self, request: Request, network: str | None) -> Vpns:
        found = self.network(request, self.about({"network": network}))
        known = _vpns.setdefault(self.calls, {})
        if found.name not in known:
            known[found.name] = Vpns(self.calls, found)
        return known[found.name]

    def _top(self) -> Network:
        """Return the network that is nobody's inferior."""
        networks = self.calls.broker.networks()
        inferior = {
            name for network in networks if isinstance(network, AggregatorManagement) for name in network.inferiors()
        }
        top = [network for network in networks if network.name not in inferior]
        if len(top) != 1:
            names = ", ".join(network.name for network in top) or "none"
            raise Problem(
                404, "no-network", f"networks that are nobody's inferior: {names}; name one: /network/NAME{PREFIX}/..."
            )
        return top[0]


class Root(L2vpn):
    """`ietf-l2vpn-svc:l2vpn-svc` itself."""

    async def on_post(self, request: Request, response: Response, network: str | None = None) -> None:
        """Make all VPNs and accesses of a whole document, or none of them."""
        vpns, body = self._of(request, network), await request.json()
        await vpns.make(read.document(body, DEFAULT_KBPS), self._asking(request, network))
        answer(response, {}, 201)


class VpnServices(L2vpn):
    """`.../vpn-services`."""

    async def on_get(self, request: Request, response: Response, network: str | None = None) -> None:
        """List the VPNs."""
        answer(response, write.vpn_services(await self._of(request, network).all()))

    async def on_post(self, request: Request, response: Response, network: str | None = None) -> None:
        """Make VPNs, or all of a whole document."""
        vpns, body, asking = self._of(request, network), await request.json(), self._asking(request, network)
        asked = (
            read.document(body, DEFAULT_KBPS)
            if read.is_document(body)
            else read.Document(tuple(read.vpn_services(body)), ())
        )
        await vpns.make(asked, asking)
        answer(response, {}, 201)

    async def on_delete(self, request: Request, response: Response, network: str | None = None) -> None:
        """Delete all VPNs that the caller may change."""
        vpns, asking = self._of(request, network), self._asking(request, network)
        for vpn in await vpns.all():
            if may_change(asking, vpn):
                await vpns.delete(vpn.id, asking)
        response.status = 204


class VpnService(L2vpn):
    """`.../vpn-services/vpn-service={vpn}`."""

    async def on_get(self, request: Request, response: Response, vpn: str, network: str | None = None) -> None:
        """Show a VPN: 200 once it is active, 504 before."""
        vpns = self._of(request, network)
        found = await vpns.get(vpn)
        status = await vpns.status(found)
        if status is not Status.ACTIVE:
            raise Problem(504, "not-active", f"VPN {vpn!r} is not active: {await vpns.why(found)}")
        answer(response, write.vpn_service(found, status.value))

    async def on_delete(self, request: Request, response: Response, vpn: str, network: str | None = None) -> None:
        """Release it."""
        await self._of(request, network).delete(vpn, self._asking(request, network))
        response.status = 204


class SiteNetworkAccesses(L2vpn):
    """`.../sites/site={site}/site-network-accesses`."""

    async def on_get(self, request: Request, response: Response, site: str, network: str | None = None) -> None:
        """List a site's accesses."""
        listed = await self._of(request, network).all()
        pairs = [(vpn, access) for vpn in listed for access in vpn.accesses if access.site == site]
        answer(response, write.site_network_accesses(pairs))

    async def on_post(self, request: Request, response: Response, site: str, network: str | None = None) -> None:
        """Attach accesses: with the second of a VPN its service is set up, with each further one it grows."""
        vpns, asking = self._of(request, network), self._asking(request, network)
        await vpns.add(read.site_network_accesses(await request.json(), site, DEFAULT_KBPS), asking)
        answer(response, {}, 201)

    async def on_put(self, request: Request, response: Response, site: str, network: str | None = None) -> None:
        """Change accesses that are there."""
        vpns, asking = self._of(request, network), self._asking(request, network)
        asked = read.site_network_accesses(await request.json(), site, DEFAULT_KBPS)
        try:
            await vpns.replace(asked, asking)
        except Problem as problem:
            # What its clients look at: 400 is "the service does not exist" here.
            if problem.code == "vpn-unknown":
                problem.status = 400
            raise
        response.status = 204


class SiteNetworkAccess(L2vpn):
    """`.../sites/site={site}/site-network-accesses/site-network-access={access}`."""

    async def on_put(
        self, request: Request, response: Response, site: str, access: str, network: str | None = None
    ) -> None:
        """Change an access that is there."""
        asked = read.site_network_accesses(await request.json(), site, DEFAULT_KBPS)
        if [one.access.id for one in asked] != [access]:
            raise Problem(400, "bad-argument", f"the body is not about access {access!r}", field="site-network-access")
        await self._of(request, network).replace(asked, self._asking(request, network))
        response.status = 204

    async def on_delete(
        self, request: Request, response: Response, site: str, access: str, network: str | None = None
    ) -> None:
        """Take it away; a VPN that is left with one access keeps it, and its service is released."""
        await self._of(request, network).remove_access(site, access, self._asking(request, network))
        response.status = 204


_TREE: Final[dict[str, type[L2vpn]]] = {
    "": Root,
    "/vpn-services": VpnServices,
    "/vpn-services/vpn-service={vpn}": VpnService,
    "/sites/site={site}/site-network-accesses": SiteNetworkAccesses,
    "/sites/site={site}/site-network-accesses/site-network-access={access}": SiteNetworkAccess,
}

ROUTES: Final[dict[str, type[Resource]]] = {
    f"{base}{PREFIX}{path}{slash}": resource
    for base in ("", "/network/{network}")
    for path, resource in _TREE.items()
    for slash in ("", "/")
}
"""Every route: for the one network that is nobody's inferior, and for each by name; clients send final slashes."""


def in_restconf(problem: Problem | DpbError) -> Problem:
    """Return the problem with the same as RFC 8040, section 7.1, has it, for clients that look there."""
    found = problem if isinstance(problem, Problem) else Problem.of(problem)
    tag = {400: "invalid-value", 403: "access-denied", 404: "invalid-value", 409: "data-exists", 422: "invalid-value"}
    error: dict[str, Any] = {
        "error-type": "application",
        "error-tag": tag.get(found.status, "operation-failed"),
        "error-message": found.detail,
    }
    found.facts.setdefault("ietf-restconf:errors", {"error": [error]})
    return found
