"""Services under `/api/v1/networks/{network}/services`."""

from __future__ import annotations

from typing import Any, ClassVar, Final
from urllib.parse import quote

from dpb_framework.contracts import AggregatorManagement, Network, Service
from dpb_framework.errors import DpbError, ServiceGone
from dpb_framework.model import Status
from dpb_nbi import codec, jsontext, operations, render
from dpb_nbi.access import orders
from dpb_nbi.access.orders import Kind
from dpb_nbi.problems import in_segment
from dpb_nbi.resource import Resource
from dpb_nbi.wire import Request, Response, answer, answer_text

MOMENT: Final = "DPB-Moment"
"""The header with the moment at which what is told was so: it grows from answer to answer and in a mirror's stream."""

_LONG: Final = 100
"""From how many services on a list is written in a worker thread: a loop that writes it lets all others wait."""


class Services(Resource):
    """`.../services`."""

    kinds: ClassVar = {"POST": orders.CREATE}
    queries: ClassVar = {"GET": ("handle-prefix", "status")}

    async def on_get(self, request: Request, response: Response, network: str) -> None:
        """List the services, by handle prefix and status if asked for."""
        prefix = codec.single(request.params, "handle-prefix") or ""
        wanted = frozenset(Status)
        if "status" in request.params:
            wanted = codec.statuses(codec.listed(request.params, "status"), "status")
        found = self.network(request, network).services(prefix)

        response.set_header(MOMENT, str(render.moment()))

        def written() -> bytes:
            views = (service.view() for service in found)
            return jsontext.write({"services": [render.service(view) for view in views if view.status in wanted]})

        answer_text(response, written() if len(found) < _LONG else await self.calls.work(written))

    async def on_post(self, request: Request, response: Response, network: str) -> None:
        """Make a service; with a segment define it, too, without waiting until it is established."""
        found, asking = self.network(request, network), self.asking(request, network)
        body = await request.body()
        wanted = codec.wanted(jsontext.read(body) if body else {})
        try:
            service, new = await operations.create(asking, found, wanted.handle, wanted.segment)
        except DpbError as error:
            if wanted.segment is None:
                raise
            raise in_segment(error, wanted.segment, codec.V1) from error
        if wanted.activate:
            await operations.command(asking, service, orders.ACTIVATE)
        if new:
            response.set_header("Location", f"{quote(request.path)}/{service.id}")
        _answer(response, render.service(service.view()), 201 if new else 200)


class OneService(Resource):
    """`.../services/{id}`."""

    kinds: ClassVar = {"DELETE": orders.RELEASE}

    async def on_get(self, request: Request, response: Response, network: str, id: str) -> None:
        """Show the service, in an aggregator with the trunks that it uses."""
        found = self.network(request, network)
        _answer(response, _with_tree(found, operations.find(found, id)))

    async def on_delete(self, request: Request, response: Response, network: str, id: str) -> None:
        """Release it."""
        await _command(self, orders.RELEASE, request, response, network, id)


def _answer(response: Response, plain: dict[str, Any], status: int = 200) -> None:
    """Answer with a SERVICE as it is now."""
    response.set_header(MOMENT, str(render.moment()))
    answer(response, plain, status)


def _with_tree(network: Network, service: Service) -> dict[str, Any]:
    plain = render.service(service.view())
    if isinstance(network, AggregatorManagement):
        plain["tree"] = render.tree(network.tree(service.id))
    return plain


async def _command(
    resource: Resource, kind: Kind, request: Request, response: Response, network: str, id_: str
) -> None:
    try:
        service = operations.find(resource.network(request, network), id_)
        await operations.command(resource.asking(request, network), service, kind)
    except ServiceGone as error:
        if kind is not orders.RELEASE:
            raise
        _answer(response, render.gone(error.network, error.service))
        return
    _answer(response, render.service(service.view()))


class Definition(Resource):
    """`.../services/{id}/define`."""

    kinds: ClassVar = {"POST": orders.DEFINE}

    async def on_post(self, request: Request, response: Response, network: str, id: str) -> None:
        """Define the service and wait until it is established."""
        service = operations.find(self.network(request, network), id)
        asked, asking = codec.asked(await request.json()), self.asking(request, network)
        view = await operations.define(asking, service, asked.segment, codec.V1, wait=asked.wait)
        _answer(response, render.service(view))


class Preparation(Resource):
    """`.../services/{id}/prepare`."""

    kinds: ClassVar = {"POST": orders.PREPARE}

    async def on_post(self, request: Request, response: Response, network: str, id: str) -> None:
        """Prepare a change without interruption and wait until it is prepared."""
        service = operations.find(self.network(request, network), id)
        asked, asking = codec.asked(await request.json()), self.asking(request, network)
        view = await operations.prepare(asking, service, asked.segment, codec.V1, wait=asked.wait)
        _answer(response, render.service(view))


def command(kind: Kind) -> type[Resource]:
    """Return the resource that gives commands of *kind*, one of `operations.COMMANDS`."""

    class Command(Resource):
        """`.../services/{id}/activate` and the like."""

        kinds: ClassVar = {"POST": kind}

        async def on_post(self, request: Request, response: Response, network: str, id: str) -> None:
            """Give the command; a body is ignored."""
            await _command(self, kind, request, response, network, id)

    return Command


class Awaiting(Resource):
    """`.../services/{id}/await`."""

    kinds: ClassVar = {"GET": orders.AWAIT}
    queries: ClassVar = {"GET": ("status", "timeout-millis")}

    async def on_get(self, request: Request, response: Response, network: str, id: str) -> None:
        """Wait for one of the statuses that the query names."""
        statuses, seconds = codec.awaited_query(request.params, "status")
        try:
            service = operations.find(self.network(request, network), id)
        except ServiceGone as error:
            _answer(response, render.gone(error.network, error.service))
            return
        await operations.await_status(self.calls, service, statuses, seconds, request)
        _answer(response, render.service(service.view()))
