"""What becomes of many orders that were given at once: a line of JSON for each, as soon as there is one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from attrs import frozen

from dpb_framework.contracts import Service
from dpb_framework.errors import DpbError, ServiceGone
from dpb_framework.model import Segment
from dpb_framework.reply import Reply, bring
from dpb_nbi import codec, render
from dpb_nbi.access import orders
from dpb_nbi.access.desk import Given
from dpb_nbi.jsontext import write
from dpb_nbi.mirror import Copies
from dpb_nbi.problems import Problem, in_segment, internal

_log = logging.getLogger("dpb_nbi")


@frozen
class Understood:
    """An order that can be given, and what its answer tells of."""

    given: Given
    service: Service | None = None
    segment: Segment | None = None
    alone: bool = False
    """Whether carrying it out may take a while, so that others are not to stand behind it."""


class Answers:
    """What has become of the orders of one request. Belongs to the event loop."""

    def __init__(self, count: int, copies: Copies) -> None:
        self._copies = copies
        self.left = count
        """How many have not been told yet."""
        self._loop = asyncio.get_running_loop()
        self._lines: list[bytes] = []
        self._wake: asyncio.Future[None] | None = None

    def expect(self, at: int, found: Understood, begun: Reply[None] | None, reply: Reply[Any]) -> None:
        """Answer order number *at* when *reply* is there, or *begun* before."""
        if begun is not None:
            reply.then(begun.follow)
        first: Reply[Any] = reply if begun is None else begun

        def tell() -> None:
            self._tell(at, found, reply if reply.settled else first)

        if first.settled:
            tell()
        else:
            bring(first, tell)

    def _tell(self, at: int, found: Understood, reply: Reply[Any]) -> None:
        try:
            if reply.error is not None:
                released = found.given.order.kind is orders.RELEASE
                self.refuse(at, reply.error, found.segment, released=released)
            elif found.service is None:
                service, new = reply.value
                self._show(at, 201 if new else 200, service)
            else:
                self._show(at, 200, found.service)
        except Exception as error:  # noqa: BLE001  # each order has its line, whatever a network tells of its service
            self.refuse(at, error)

    def _show(self, at: int, status: int, service: Service) -> None:
        moment, view = render.moment(), service.view()  # in this order: what changes in between is the newer
        plain = write(render.service(view))
        self._answer(at, status, moment, b"service", plain)
        self._copies.answered(view, b'{"moment":%d,' % moment + plain[1:])

    def refuse(self, at: int, error: BaseException, segment: Segment | None = None, *, released: bool = False) -> None:
        """Answer order number *at* with a problem; what is to be *released* and is gone already is as it should be."""
        if released and isinstance(error, ServiceGone):
            self._answer(at, 200, render.moment(), b"service", write(render.gone(error.network, error.service)))
            return
        if isinstance(error, DpbError):
            problem = Problem.of(error) if segment is None else in_segment(error, segment, codec.V1)
        elif isinstance(error, Problem):
            problem = error
        else:
            _log.error("an order failed", exc_info=error)
            problem = internal()
        self._answer(at, problem.status, render.moment(), b"problem", problem.body())

    def _answer(self, at: int, status: int, moment: int, what: bytes, text: bytes) -> None:
        line = b'{"order":%d,"status":%d,"moment":%d,"%b":%b}\n' % (at, status, moment, what, text)
        self._lines.append(line)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def take(self) -> bytes:
        """Return the lines of what has been answered meanwhile, at least one."""
        if not self._lines:
            self._wake = self._loop.create_future()
            await self._wake
        taken, self._lines = self._lines, []
        self.left -= len(taken)
        return b"".join(taken)

    async def rest(self, first: bytes) -> AsyncIterator[bytes]:
        """Yield *first*, and then the lines of all that is left."""
        yield first
        while self.left:
            yield await self.take()
