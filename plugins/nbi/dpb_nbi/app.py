"""The Falcon application: which resource answers which route, and how errors become answers."""

from __future__ import annotations

import logging
from typing import Any, Final

import falcon
import falcon.asgi
from falcon.constants import COMBINED_METHODS

from dpb_framework.contracts import BrokerApi
from dpb_framework.errors import DpbError
from dpb_framework.precedence import expect_in_loop
from dpb_nbi import accounts, batch, first, limits, mirror, plans, services, system, topology
from dpb_nbi.access import Access, Audit, Desk
from dpb_nbi.caller import Gate
from dpb_nbi.calls import Calls
from dpb_nbi.events import Streams
from dpb_nbi.l2vpn import resources as l2vpn
from dpb_nbi.operations import COMMANDS
from dpb_nbi.problems import Problem, internal
from dpb_nbi.queries import Queries
from dpb_nbi.resource import Context, Resource
from dpb_nbi.wire import Request, Response, answer_problem

_log = logging.getLogger("dpb_nbi")

_FIRST: Final = "/network/{network}"
_V1: Final = "/api/v1"
_NETWORK: Final = f"{_V1}/networks/{{network}}"

ROUTES: Final[dict[str, type[Resource]]] = {
    f"{_FIRST}/services": first.Services,
    f"{_FIRST}/create-service": first.Creation,
    f"{_FIRST}/service/{{id}}/define": first.Definition,
    **{f"{_FIRST}/service/{{id}}/{kind.name}": first.command(kind) for kind in first.COMMANDS},
    f"{_FIRST}/service/{{id}}/await-status": first.Awaiting,
    f"{_V1}/health": system.Health,
    f"{_V1}/openapi.json": system.Description,
    f"{_V1}/users": accounts.Users,
    f"{_V1}/users/{{user}}": accounts.OneUser,
    f"{_V1}/users/{{user}}/keys": accounts.Keys,
    f"{_V1}/users/{{user}}/keys/{{key}}": accounts.OneKey,
    f"{_V1}/tokens": accounts.Tokens,
    f"{_V1}/tokens/{{token}}": accounts.OneToken,
    f"{_V1}/orders": batch.Batch,
    f"{_V1}/networks": topology.Networks,
    _NETWORK: topology.OneNetwork,
    f"{_NETWORK}/model": topology.Model,
    f"{_NETWORK}/terminals": topology.Terminals,
    f"{_NETWORK}/terminals/{{terminal}}": topology.OneTerminal,
    f"{_NETWORK}/trunks": topology.Trunks,
    f"{_NETWORK}/trunks/{{trunk}}": topology.OneTrunk,
    f"{_NETWORK}/plans": plans.Plans,
    f"{_NETWORK}/services": services.Services,
    f"{_NETWORK}/services/{{id}}": services.OneService,
    f"{_NETWORK}/services/{{id}}/define": services.Definition,
    **{f"{_NETWORK}/services/{{id}}/{kind.name}": services.command(kind) for kind in COMMANDS},
    f"{_NETWORK}/services/{{id}}/prepare": services.Preparation,
    f"{_NETWORK}/services/{{id}}/await": services.Awaiting,
    f"{_NETWORK}/events": system.Events,
    f"{_NETWORK}/mirror": mirror.Mirror,
}
"""Every route of the broker's own interfaces; those of RFC 8466 are `l2vpn.ROUTES`."""

_ALL: Final = ROUTES | l2vpn.ROUTES

PUBLIC: Final = frozenset({f"{_V1}/health"})
"""What answers without a credential."""


class Application(falcon.asgi.App[Request, Response]):
    """The ASGI application; what is open in it can be ended."""

    def __init__(
        self,
        broker: BrokerApi,
        access: Access,
        audit: Audit | None,
        *,
        controlled: bool,
        names: frozenset[str] | None = None,
    ) -> None:
        desk = Desk(broker, audit)
        gate = Gate(desk, access.login, PUBLIC, controlled=controlled, names=names)
        super().__init__(request_type=Request, middleware=[gate, Queries()])
        # Where everybody is the same caller there is nobody to be fair to.
        calls = Calls(broker, limits.WAITS_EACH if controlled else None)
        streams = Streams(calls, limits.STREAMS_EACH if controlled else None)
        copies = mirror.Copies(broker, calls, limits.MIRRORS_EACH if controlled else None)
        self.context = Context(access, desk, calls, streams, copies, controlled)

    # As in falcon.asgi.App: what the types name as its superclass is for WSGI.
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # type: ignore[override]
        """Answer a request. What is done with it at once comes before searches for trees."""
        expect_in_loop()
        await super().__call__(scope, receive, send)

    def stop(self) -> None:
        """End event streams and waiting calls; to be called in the event loop."""
        self.context.streams.stop()
        self.context.copies.stop()
        self.context.calls.stop()


def create_app(
    broker: BrokerApi,
    access: Access,
    audit: Audit | None = None,
    *,
    controlled: bool = False,
    names: frozenset[str] | None = None,
) -> Application:
    """Return the application that serves *broker*: to anybody, or *controlled* to those whom *access* knows.

    With *names* only this machine asks, and by an address or one of these, see `listening.is_own`.
    """
    app = Application(broker, access, audit, controlled=controlled, names=names)
    app.req_options.auto_parse_qs_csv = False
    app.req_options.keep_blank_qs_values = True
    app.add_error_handler(Exception, _unforeseen)
    app.add_error_handler(falcon.HTTPError, _of_http)
    app.add_error_handler(DpbError, _of_broker)
    app.add_error_handler(Problem, _as_it_is)
    for template, resource in _ALL.items():
        app.add_route(template, resource(app.context))
    return app


async def _as_it_is(request: Request, response: Response, error: Problem, params: dict[str, Any]) -> None:
    answer_problem(response, l2vpn.in_restconf(error) if request.uri_template in l2vpn.ROUTES else error)


async def _of_broker(request: Request, response: Response, error: DpbError, params: dict[str, Any]) -> None:
    await _as_it_is(request, response, Problem.of(error), params)


async def _of_http(request: Request, response: Response, error: falcon.HTTPError, params: dict[str, Any]) -> None:
    status = error.status_code
    allow = dict(error.headers or {}).get("Allow", "")
    if request.method not in COMBINED_METHODS and request.uri_template in _ALL:
        # Falcon takes a method that it does not know for a bad request.
        status, allow = 405, ", ".join((*_ALL[request.uri_template].methods(), "OPTIONS"))
    if status == 404:
        problem = Problem(404, "no-route", f"there is nothing at {request.path[:200]!r}")
    elif status == 405:
        problem = Problem(
            405, "wrong-method", f"{request.method} is not for this; {allow} are", headers={"Allow": allow}
        )
    else:
        problem = Problem(status, "bad-request", error.description or error.title or "the request cannot be understood")
    answer_problem(response, problem)


async def _unforeseen(request: Request, response: Response, error: Exception, params: dict[str, Any]) -> None:
    _log.error("%s %s failed", request.method, request.path, exc_info=error)
    answer_problem(response, internal())
