"""Services under `/api/v1/networks/{network}/services`."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from dpb_framework.contracts import AggregatorManagement, Network, Service
from dpb_framework.errors import DpbError, ServiceGone
from dpb_framework.model import Status
from dpb_nbi import codec, jsontext, operations, render
from dpb_nbi.caller import identify
from dpb_nbi.problems import in_segment
from dpb_nbi.resource import Resource
from dpb_nbi.wire import Request, Response, answer, answer_text

_LONG: Final = 100
"""From how many services on a list is written in a worker thread: a loop that writes it lets all others wait."""


class Services(Resource):
    """`.../services`."""

    async def on_get(self, request: Request, response: Response, network: str) -> None:
        """List the services, by handle prefix and status if asked for."""
        prefix = codec.single(request.params, "handle-prefix") or ""
        wanted = frozenset(Status)
        if "status" in request.params:
            wanted = codec.statuses(codec.listed(request.params, "status"), "status")
        found = self.broker.network(network).services(prefix)

        def written() -> bytes:
            views = (service.view() for service in found)
            return jsontext.write({"services": [render.service(view) for view in views if view.status in wanted]})

        answer_text(response, written() if len(found) < _LONG else await self.calls.work(written))

    async def on_post(self, request: Request, response: Response, network: str) -> None:
        """Make a service; with a segment define it, too, without waiting until it is established."""
        found, caller = self.broker.network(network), identify(request)
        body = await request.body()
        wanted = codec.wanted(jsontext.read(body) if body else {})
        known = (
            wanted.handle is not None and await self.calls.command(lambda: found.find(wanted.handle or "")) is not None
        )
        try:
            service = await self.calls.command(lambda: found.create(caller, wanted.handle, wanted.segment))
        except DpbError as error:
            if wanted.segment is None:
                raise
            raise in_segment(error, wanted.segment, codec.V1) from error
        if wanted.activate:
            await operations.command(self.calls, service, "activate", caller)
        if not known:
            response.set_header("Location", f"{quote(request.path)}/{service.id}")
        answer(response, render.service(service.view()), 200 if known else 201)


class OneService(Resource):
    """`.../services/{id}`."""

    async def on_get(self, request: Request, response: Response, network: str, id: str) -> None:
        """Show the service, in an aggregator with the trunks that it uses."""
        service = operations.find(self.broker, network, id)
        answer(response, _with_tree(self.broker.network(network), service))

    async def on_delete(self, request: Request, response: Response, network: str, id: str) -> None:
        """Release it."""
        await _command(self, "release", request, response, network, id)


def _with_tree(network: Network, service: Service) -> dict[str, Any]:
    plain = render.service(service.view())
    if isinstance(network, AggregatorManagement):
        plain["tree"] = render.tree(network.tree(service.id))
    return plain


async def _command(resource: Resource, name: str, request: Request, response: Response, network: str, id_: str) -> None:
    try:
        service = operations.find(resource.broker, network, id_)
        await operations.command(resource.calls, service, name, identify(request))
    except ServiceGone as error:
        if name != "release":
            raise
        answer(response, render.gone(error.network, error.service))
        return
    answer(response, render.service(service.view()))


class Definition(Resource):
    """`.../services/{id}/define`."""

    async def on_post(self, request: Request, response: Response, network: str, id: str) -> None:
        """Define the service and wait until it is established."""
        service = operations.find(self.broker, network, id)
        asked, caller = codec.asked(await request.json()), identify(request)
        view = await operations.define(self.calls, service, asked.segment, codec.V1, caller, wait=asked.wait)
        answer(response, render.service(view))


class Preparation(Resource):
    """`.../services/{id}/prepare`."""

    async def on_post(self, request: Request, response: Response, network: str, id: str) -> None:
        """Prepare a change without interruption and wait until it is prepared."""
        service = operations.find(self.broker, network, id)
        asked, caller = codec.asked(await request.json()), identify(request)
        view = await operations.prepare(self.calls, service, asked.segment, codec.V1, caller, wait=asked.wait)
        answer(response, render.service(view))


class Command(Resource):
    """`.../services/{id}/activate` and the like."""

    name: str

    async def on_post(self, request: Request, response: Response, network: str, id: str) -> None:
        """Give the command; a body is ignored."""
        await _command(self, self.name, request, response, network, id)


class Activation(Command):
    """`.../services/{id}/activate`."""

    name = "activate"


class Deactivation(Command):
    """`.../services/{id}/deactivate`."""

    name = "deactivate"


class Reset(Command):
    """`.../services/{id}/reset`."""

    name = "reset"


class Release(Command):
    """`.../services/{id}/release`."""

    name = "release"


class Commit(Command):
    """`.../services/{id}/commit`."""

    name = "commit"


class Abort(Command):
    """`.../services/{id}/abort`."""

    name = "abort"


class Awaiting(Resource):
    """`.../services/{id}/await`."""

    async def on_get(self, request: Request, response: Response, network: str, id: str) -> None:
        """Wait for one of the statuses that the query names."""
        statuses, seconds = codec.awaited_query(request.params, "status")
        try:
            service = operations.find(self.broker, network, id)
        except ServiceGone as error:
            answer(response, render.gone(error.network, error.service))
            return
        await operations.await_status(self.calls, service, statuses, seconds, request)
        answer(response, render.service(service.view()))
