"""What this plugin needs of HTTP beside falcon: bodies with a bound, answers, the end of a connection."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import falcon.asgi

from dpb_nbi.access import Identity
from dpb_nbi.jsontext import read, write
from dpb_nbi.problems import CONTENT_TYPE, Problem

MAX_BODY: Final = 1_000_000
"""The longest body that is read, in bytes."""
_DIGITS: Final = len(str(MAX_BODY))

CERTIFICATE: Final = "dpb.certificate"
"""Where in ASGI's scope the name stands that a client's certificate proves."""

ACQUAINTED: Final = "dpb.acquainted"
"""Where in ASGI's scope stands what is to be called once it is known who asks; not there when it was called before."""

_NUMBER = re.compile(r"0*([0-9]+)")

Response = falcon.asgi.Response


class Request(falcon.asgi.Request):
    """A request that knows when its client goes away."""

    __slots__ = ("_next_event", "who")

    who: Identity
    """Who asks; the gate puts it there before any resource sees the request."""

    def __init__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        first_event: Any = None,
        options: Any = None,
    ) -> None:
        super().__init__(scope, receive, first_event=first_event, options=options)
        self._next_event = receive

    async def disconnected(self) -> None:
        """Return when the client is gone; only once nothing reads the body any more."""
        while (await self._next_event())["type"] != "http.disconnect":
            pass

    async def body(self) -> bytes:
        """Return the whole body; `Problem` 413 when it is longer than `MAX_BODY`, and the rest is not read."""
        length = self.get_header("Content-Length")
        number = None if length is None else _NUMBER.fullmatch(length)
        if number is not None and (len(number[1]) > _DIGITS or int(number[1]) > MAX_BODY):
            raise too_long()
        found: bytes = await self.stream.read(MAX_BODY + 1)
        if len(found) > MAX_BODY:
            raise too_long()
        return found

    async def json(self) -> Any:
        """Return what the body says, strictly read; `JsonInvalid`."""
        return read(await self.body())


def too_long() -> Problem:
    """Return what whoever sends too long a body is told."""
    return Problem(413, "too-large", f"the body is longer than {MAX_BODY} bytes")


def answer(response: Response, plain: Any, status: int = 200) -> None:
    """Make *plain* the JSON body of *response*."""
    answer_text(response, write(plain), status)


def answer_text(response: Response, body: bytes, status: int = 200) -> None:
    """Make *body*, a JSON text, the body of *response*."""
    response.status = status
    response.content_type = "application/json"
    response.data = body


def answer_problem(response: Response, problem: Problem) -> None:
    """Make *problem* the answer, whatever was prepared before."""
    response.status = problem.status
    response.text = None
    response.media = None
    response.stream = None
    response.content_type = CONTENT_TYPE
    response.data = problem.body()
    for name, value in problem.headers.items():
        response.set_header(name, value)
