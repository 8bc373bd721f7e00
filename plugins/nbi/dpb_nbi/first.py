"""The interface of the first DataPlane Broker: `/network/{network}/...`, answer for answer."""

from __future__ import annotations

from typing import Final

from dpb_framework.errors import ServiceGone
from dpb_framework.model import Status
from dpb_nbi import codec, jsontext, operations
from dpb_nbi.caller import identify
from dpb_nbi.resource import Resource
from dpb_nbi.wire import Request, Response, answer, answer_text

_DONE: Final = b"{}"


class Services(Resource):
    """`/services`."""

    async def on_get(self, request: Request, response: Response, network: str) -> None:
        """List the ids of the services."""
        found = self.broker.network(network).services()
        answer(response, {"service-ids": [service.id for service in found]})


class Creation(Resource):
    """`/create-service`."""

    async def on_post(self, request: Request, response: Response, network: str) -> None:
        """Make a service."""
        found, caller = self.broker.network(network), identify(request)
        service = await self.calls.command(lambda: found.create(caller))
        answer(response, {"service-id": service.id})


class Definition(Resource):
    """`/service/{id}/define`."""

    async def on_post(self, request: Request, response: Response, network: str, id: str) -> None:
        """Define the service and wait until it is established."""
        service = operations.find(self.broker, network, id)
        segment = codec.definition(await request.json(), codec.FIRST)
        await operations.define(self.calls, service, segment, codec.FIRST, identify(request))
        answer_text(response, _DONE)

    on_put = on_post


class Command(Resource):
    """`/service/{id}/activate` and the like."""

    name: str

    async def on_post(self, request: Request, response: Response, network: str, id: str) -> None:
        """Give the command; a body is ignored."""
        try:
            service = operations.find(self.broker, network, id)
            await operations.command(self.calls, service, self.name, identify(request))
        except ServiceGone:
            if self.name != "release":
                raise
        answer_text(response, _DONE)


class Activation(Command):
    """`/service/{id}/activate`."""

    name = "activate"


class Deactivation(Command):
    """`/service/{id}/deactivate`."""

    name = "deactivate"


class Reset(Command):
    """`/service/{id}/reset`."""

    name = "reset"


class Release(Command):
    """`/service/{id}/release`."""

    name = "release"


class Awaiting(Resource):
    """`/service/{id}/await-status`."""

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
            service = operations.find(self.broker, network, id_)
            status = await operations.await_status(self.calls, service, *wish, request)
        except ServiceGone:
            status = Status.RELEASED
        answer(response, {"status": status.value})
