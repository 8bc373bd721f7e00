"""The interface itself under `/api/v1`: health, its own description, and the event streams."""

from __future__ import annotations

from typing import ClassVar

from dpb_framework.errors import BadArgument
from dpb_nbi import codec, jsontext
from dpb_nbi.openapi import document
from dpb_nbi.resource import Context, Resource
from dpb_nbi.values import digits
from dpb_nbi.wire import Request, Response, answer, answer_text


class Health(Resource):
    """`/health`."""

    async def on_get(self, request: Request, response: Response) -> None:
        """Tell how the broker is."""
        answer(response, dict(self.desk.health(request.who)))


class Description(Resource):
    """`/openapi.json`."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._text = jsontext.write(document(controlled=context.controlled))

    async def on_get(self, request: Request, response: Response) -> None:
        """Describe the interface."""
        answer_text(response, self._text)


class Events(Resource):
    """`/networks/{network}/events`."""

    queries: ClassVar = {"GET": ("after",)}

    async def on_get(self, request: Request, response: Response, network: str) -> None:
        """Stream what happens, from now or after the event that the client saw last."""
        found = self.network(request, network)
        seen = after(request)
        self._head(response)
        response.stream = self.streams.open(found, seen, request)

    async def on_head(self, request: Request, response: Response, network: str) -> None:
        """Answer as for GET, without a stream."""
        self.network(request, network)
        after(request)
        self._head(response)

    def _head(self, response: Response) -> None:
        response.content_type = "text/event-stream"
        response.set_header("Cache-Control", "no-store")


def after(request: Request) -> int | None:
    """Return the number of the event that the client of a stream saw last, if it tells one."""
    # A client that reconnects keeps the URL with its old `after`; its header is the newer word.
    for name, text in (
        ("Last-Event-ID", request.get_header("Last-Event-ID")),
        ("after", codec.single(request.params, "after")),
    ):
        if text:
            number = digits(text)
            if number is None:
                raise BadArgument(name, "expected the number of an event")
            return number
    return None
