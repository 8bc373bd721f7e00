"""The broker's replies, awaited in an event loop: no thread is held, and the end of the server ends every wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from dpb_framework.contracts import BrokerApi
from dpb_framework.errors import Stopped
from dpb_framework.reply import Reply, to_asyncio
from dpb_nbi.access import Identity
from dpb_nbi.shares import Shares

T = TypeVar("T")


class Departing(Protocol):
    """A request, whose client may go away before there is an answer."""

    @property
    def who(self) -> Identity:
        """Who asks."""

    async def disconnected(self) -> None:
        """Return once the client is gone."""


class Calls:
    """All calls of an application that are under way; *most* waits of each caller. Belongs to the event loop."""

    def __init__(self, broker: BrokerApi, most: int | None = None) -> None:
        self.broker = broker
        self.waits = Shares("waiting calls", most)
        self._waiting: set[asyncio.Future[Reply[Any] | None]] = set()
        self._stopped = False

    async def reply(self, reply: Reply[T]) -> T:
        """Return the value of *reply*, once it is there, or raise its error."""
        return reply.value if reply.settled else (await to_asyncio(reply)).value

    async def work(self, call: Callable[[], T]) -> T:
        """Return what *call* returns, run in a worker thread."""
        return await self.reply(self.broker.work(call))

    async def command(self, call: Callable[[], Reply[T]]) -> T:
        """Run *call* in a worker thread and return the value of the reply that it returns.

        Back in the loop only once, when that reply is there.
        """
        return (await to_asyncio(self._begin(call))).value

    async def question(self, call: Callable[[], Reply[T]], request: Departing) -> T | None:
        """As `command`, for what takes long and changes nothing: None, and given up, once the client is gone."""
        return await self.wait(self._begin(call), request)

    def _begin(self, call: Callable[[], Reply[T]]) -> Reply[T]:
        outcome: Reply[T] = Reply()

        def begun(reply: Reply[Reply[T]]) -> None:
            if reply.error is not None:
                outcome.fail(reply.error)
                return
            answer = reply.value
            answer.then(outcome.follow)
            outcome.then(lambda _: answer.abandon())

        self.broker.work(call).then(begun)
        return outcome

    async def wait(self, reply: Reply[T], request: Departing | None = None, seconds: float | None = None) -> T | None:
        """Return the value of *reply*, or None when *seconds* are over or the client of *request* is gone.

        For replies that may take long: `Stopped` as soon as the server stops.
        """
        if reply.settled:
            return reply.value
        if self._stopped:
            raise Stopped("the interface")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = to_asyncio(reply)
        self._waiting.add(future)
        watcher = None if request is None else asyncio.ensure_future(request.disconnected())
        timer = None if seconds is None else loop.call_later(seconds, _settle, future, None)
        if watcher is not None:
            watcher.add_done_callback(lambda _: _settle(future, None))
        try:
            arrived = await future
        finally:
            self._waiting.discard(future)
            if watcher is not None:
                watcher.cancel()
            if timer is not None:
                timer.cancel()
            if not reply.settled:
                reply.abandon()
        return None if arrived is None else arrived.value

    def stop(self) -> None:
        """End every wait with `Stopped`; commands that are under way are not waits, and get their answers."""
        self._stopped = True
        ended: Reply[Any] = Reply.failed(Stopped("the interface"))
        for future in list(self._waiting):
            _settle(future, ended)


def _settle(future: asyncio.Future[Any], reply: Reply[Any] | None) -> None:
    if not future.done():
        future.set_result(reply)
