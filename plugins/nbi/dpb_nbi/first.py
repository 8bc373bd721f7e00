"""The interface of the first DataPlane Broker: `/network/{network}/...`, answer for answer."""

from __future__ import annotations

from typing import ClassVar, Final

from dpb_framework.errors import ServiceGone
from dpb_framework.model import Status
from dpb_nbi import codec, jsontext, operations
from dpb_nbi.access import orders
from dpb_nbi.access.orders import Kind
from dpb_nbi.resource import Resource
from dpb_nbi.wire import Request, Response, answer, answer_text

COMMANDS: Final = (orders.ACTIVATE, orders.DEACTIVATE, orders.RESET, orders.RELEASE)
"""Those of `operations.COMMANDS` that the first broker knew."""

_DONE: Final = b"{}"


class Services(Resource):
    """`/services`."""

    async def on_get(self, request: Request, response: Response, network: str) -> None:
        """List the ids of the services."""
        found = self.network(request, network).services()
        answer(response, {"service-ids": [service.id for service in found]})


class Creation(Resource):
    """`/create-service`."""

    kinds: ClassVar = {"POST": orders.CREATE}

    async def on_post(self, request: Request, response: Response, network: str) -> None:
        """Make a service."""
        service, _ = await operations.create(self.asking(request, network), self.network(request, network))
        answer(response, {"service-id": service.id})


class Definition(Resource):
    """`/service/{id}/define`."""

    kinds: ClassVar = {"POST": orders.DEFINE, "PUT": orders.DEFINE}

    async def on_post(self, request: Request, response: Response, network: str, id: str) -> None:
        """Define the service and wait until it is established."""
        service = operations.find(self.network(request, network), id)
        segment = codec.definition(await request.json(), codec.FIRST)
        await operations.define(self.asking(request, network), service, segment, codec.FIRST)
        answer_text(response, _DONE)

    on_put = on_post


def command(kind: Kind) -> type[Resource]:
    """Return the resource that gives commands of *kind*, one of `COMMANDS`."""

    class Command(Resource):
        """`/service/{id}/activate` and the like."""

        kinds: ClassVar = {"POST": kind}

        async def on_post(self, request: Request, response: Response, network: str, id: str) -> None:
            """Give the command; a body is ignored."""
            try:
                service = operations.find(self.network(request, network), id)
                await operations.command(self.asking(request, network), service, kind)
            except ServiceGone:
                if kind is not orders.RELEASE:
                    raise
            answer_text(response, _DONE)

    return Command


class Awaiting(Resource):
    """`/service/{id}/await-status`."""

    kinds: ClassVar = {"POST": orders.AWAIT, "GET": orders.AWAIT}

    async def on_get(self, request: Request, response: Response, network: str, id: str) -> None:
        """Wait for what the query asks."""
        wish = codec.awaited_query(request.params, "acceptable")
        await self._answer(request, response, network, id, wish)

    async def on_post(self, request: Request, response: Response, network: str, id: str) -> None:
        """Wait for what the body asks, or without a body the query."""
        body = await request.body()
        if body or "acceptable" not in request.params:
            wish = codec.awaited(jsontext.read(body))
        else:
            wish = codec.awaited_query(request.params, "acceptable")
        await self._answer(request, response, network, id, wish)

    async def _answer(
        self,
        request: Request,
        response: Response,
        network: str,
        id_: str,
        wish: tuple[frozenset[Status], float],
    ) -> None:
        try:
            service = operations.find(self.network(request, network), id_)
            status = await operations.await_status(self.calls, service, *wish, request)
        except ServiceGone:
            status = Status.RELEASED
        answer(response, {"status": status.value})
