"""Who asks by HTTP: the one place that knows. It stands before every resource, so that none can be forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dpb_nbi import listening
from dpb_nbi.access import EVERYBODY, NOBODY, Desk, Identity
from dpb_nbi.access.credentials import LENT, public
from dpb_nbi.access.faults import Unauthenticated
from dpb_nbi.access.login import Login
from dpb_nbi.access.orders import Order
from dpb_nbi.access.roles import EVERYWHERE, Role
from dpb_nbi.problems import Problem
from dpb_nbi.values import digits
from dpb_nbi.wire import ACQUAINTED, CERTIFICATE, Request, Response

if TYPE_CHECKING:
    from dpb_nbi.resource import Resource

_BY_NAME: Final = (
    "access is not controlled here: ask by an address, localhost or what the setting host says, or set access = true"
)
_SUBJECTS: Final = ("terminal", "trunk", "vpn", "user", "key")


class Gate:
    """Middleware of falcon: finds out who asks, and lets nobody near a resource who may not do there what is asked.

    Where access is not *controlled* it is everybody, but for those who came in by another interface, and for pages of
    elsewhere; where only this machine asks, it must do so by one of its *names*. What is in *public* answers also
    without a credential; one that does not hold is refused there, too.
    """

    def __init__(
        self, desk: Desk, login: Login, public: frozenset[str], *, controlled: bool, names: frozenset[str] | None
    ) -> None:
        self._desk = desk
        self._login = login
        self._controlled = controlled
        self._names = names
        self._public = public

    async def process_request(self, request: Request, response: Response) -> None:
        """Put the identity into the request. `Unauthenticated`, `Busy`; `Problem` for a page of elsewhere."""
        client = request.scope.get("client")
        address, port = client or ("", 0)
        source = f"{address}:{port}" if client else ""
        scheme, _, text = (request.get_header("Authorization") or "").partition(" ")
        if scheme.lower() == "bearer" and LENT.fullmatch(text.strip()):
            request.who = self._login.by_lent(text.strip())
        elif self._controlled:
            request.who = (await self._identify(request, address)).at(source)
        else:
            self._refuse_foreign(request)
            request.who = EVERYBODY.at(source)
        acquainted = request.scope.get(ACQUAINTED)
        if acquainted is not None and request.who.name:
            acquainted()

    async def _identify(self, request: Request, address: str) -> Identity:
        header = request.get_header("Authorization")
        certificate = request.scope.get(CERTIFICATE)
        try:
            if header is not None:
                return await self._login.by_header(header, address)
            if certificate is not None:
                return self._login.by_certificate(certificate)
        except Unauthenticated:
            self._desk.stranger(NOBODY.at(address))
            raise
        if request.path in self._public:
            return NOBODY
        raise Unauthenticated

    def _refuse_foreign(self, request: Request) -> None:
        """Refuse what a page of elsewhere asks in somebody's browser: it is no user of this machine.

        A page whose name is made to stand for an address of this machine has that name for its `Host`, too.
        """
        host, origin = request.get_header("Host"), request.get_header("Origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise Problem(403, "foreign-origin", "access is not controlled here: pages of elsewhere may not ask")
        if self._names is not None and host is not None and not listening.is_own(host, self._names):
            raise Problem(403, "foreign-origin", _BY_NAME)

    async def process_resource(
        self, request: Request, response: Response, resource: Resource, params: dict[str, Any]
    ) -> None:
        """Check the role, before anything of the body is read. `NetworkUnknown`, `RoleMissing`."""
        kind = resource.kinds.get(request.method)
        if kind is None:
            return
        network = resource.about(params)
        if request.who.may(network, kind.role) or (network == EVERYWHERE and kind.role is Role.READ):
            return
        subject: dict[str, Any] = {name: params[name] for name in _SUBJECTS if name in params}
        if "token" in params:
            subject["token"] = public(params["token"])
        if "id" in params:
            subject["service"] = digits(params["id"])
        self._desk.check(request.who, Order(kind, network, **subject))
