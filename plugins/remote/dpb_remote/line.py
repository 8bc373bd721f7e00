"""The line to another broker: one set of connections for all its networks here, on one event loop for the process.

Calls are made from the kernel's threads and never block them; a slow broker holds connections of its own line and
nothing else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

import aiohttp
from yarl import URL

from dpb_framework.errors import Stopped, Unreachable
from dpb_framework.reply import Reply
from dpb_framework.runtime import Runtime, Strand
from dpb_framework.turns import at_last
from dpb_remote import bodies, codec
from dpb_remote.answers import Answer, late, refused, said, shortly
from dpb_remote.loop import Loop
from dpb_remote.orders import Given, Pile, body, fail_once, requests
from dpb_remote.pool import Pool
from dpb_remote.settings import Door

T = TypeVar("T")

CONNECTIONS: Final = 256
"""Calls to one broker that are under way at the most; what comes then waits for one. Streams are not counted."""
_ONE_S_FAULT: Final = frozenset({400, 413, 422})
"""With what a request is refused where one of its orders may be to blame."""


class Line:
    """Calls to one broker. `take` it, `leave` it; its last user closes the connections."""

    _lock: ClassVar = threading.Lock()
    _lines: ClassVar[dict[Door, Line]] = {}

    def __init__(self, door: Door) -> None:
        self.door = door
        self._users = 0
        self._loop = Loop.take()
        self._pool = Pool(door)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._pile = Pile()

    @classmethod
    def take(cls, door: Door) -> Line:
        """The line through *door*, shared by all who use it."""
        with cls._lock:
            found = cls._lines.get(door)
            if found is None:
                found = cls._lines[door] = cls(door)
            found._users += 1
            return found

    @property
    def closed(self) -> bool:
        """Whether its last user has left."""
        return self._closed

    def leave(self) -> None:
        """Use it no longer. Calls that are under way then end with `Stopped`. Not to be called in its loop."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            del self._lines[self.door]
            self._closed = True
        self._loop.run(self._close())
        self._loop.leave()
        if self._loop.ended:
            self._drop_orders()  # given so late that it did not look any more

    async def _close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.close()

    def spawn(self, task: Coroutine[Any, Any, None]) -> Future[None]:
        """Run *task* in the line's loop; it is cancelled when the line is closed."""
        return self._loop.spawn(self._tracked(task))

    async def _tracked(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await coroutine

    def look(self, then: Callable[[Reply[Answer]], object], where: str, path: str, *, seconds: float) -> None:
        """Ask for what is at *path*; *then* gets the reply once it is settled, in the loop, or after its end.

        Its errors are what the other broker refused with, or `Unreachable` (of *where*) when there is no answer.
        """
        reply: Reply[Answer] = Reply()
        reply.then(then)  # before anything can settle it: else it would be called here, in whatever thread this is
        try:
            self._loop.soon(lambda: self._start(self._look(reply, where, path, seconds), [reply]))
        except RuntimeError:  # it has ended meanwhile
            reply.fail(Stopped())

    def order(
        self,
        then: Callable[[Reply[Answer]], object],
        where: str,
        order: codec.Plain,
        *,
        seconds: float,
        repeatable: bool = True,
    ) -> None:
        """Give an order about a service; *then* gets the reply once it is settled, in the loop, or after its end.

        Orders that are given together travel together, and each is answered as soon as it can be. Errors are as of
        `look`; `Unreachable` where the outcome is unknown. What is *repeatable* is sent once more when a connection
        ends without an answer, as idle ones do.
        """
        reply: Reply[Answer] = Reply()
        reply.then(then)
        self._pile.put(Given(reply, where, codec.write(order), seconds, repeatable))
        at_last(self._call_for)

    def _call_for(self) -> None:
        """Let the loop send what was given."""
        try:
            self._loop.soon(self._send_orders)
        except RuntimeError:  # it has ended meanwhile
            self._drop_orders()

    def _drop_orders(self) -> None:
        for given in self._pile.take():
            given.reply.fail(Stopped())

    def _send_orders(self) -> None:
        for some in requests(self._pile.take()):
            self._start(self._carry(dict(enumerate(some)), some[0].seconds), [given.reply for given in some])

    def _start(self, work: Coroutine[Any, Any, None], replies: Sequence[Reply[Answer]]) -> None:
        if self._closed:
            work.close()
            for reply in replies:
                reply.fail(Stopped())
            return
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def deliver(self, runtime: Runtime, strand: Strand, task: Callable[[], None]) -> None:
        """Run *task* on *strand* in a worker, in its order. Called in the loop."""
        self._loop.deliver(runtime, strand, task)

    async def _look(self, reply: Reply[Answer], where: str, path: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                answer = await _twice(partial(self._get, path))
            refusal = refused(where, answer, self.door)
        except TimeoutError:
            refusal = Unreachable(where, late(seconds))
        except asyncio.CancelledError:
            reply.fail(Stopped())
            raise
        except Exception as error:  # noqa: BLE001  # whatever a connection ends with, somebody waits to be told
            refusal = Unreachable(where, shortly(error))
        if refusal is None:
            reply.resolve(answer)
        else:
            reply.fail(refusal)

    async def _get(self, path: str) -> Answer:
        async with self._pool.session(CONNECTIONS).get(self._url(path), allow_redirects=False) as answer:
            moment = answer.headers.get("DPB-Moment", "")
            read = await (bodies.whole if answer.status == 200 else bodies.error)(answer)
            return Answer(answer.status, said(read), int(moment) if moment.isdecimal() else 0)

    async def _carry(self, waiting: dict[int, Given], seconds: float) -> None:
        """Send the orders that wait, and settle each one's reply; what is answered waits no more."""

        async def send() -> None:
            await self._post(waiting)

        problem = "it left the order without an answer"
        try:
            async with asyncio.timeout(seconds):
                await _twice(send, partial(fail_once, waiting))
        except TimeoutError:
            problem = late(seconds)
        except asyncio.CancelledError:
            for given in waiting.values():
                given.reply.fail(Stopped())
            raise
        except Exception as error:  # noqa: BLE001  # whatever a connection ends with, somebody waits to be told
            problem = shortly(error)
        for given in waiting.values():
            given.reply.fail(Unreachable(given.where, problem))

    async def _post(self, waiting: dict[int, Given]) -> None:
        sent = list(waiting)
        if not sent:
            return
        headers = {"Content-Type": "application/json"}
        async with self._pool.session(CONNECTIONS).post(
            self._url("/orders"), data=body(waiting.values()), headers=headers, allow_redirects=False
        ) as answer:
            if answer.status != 200:
                self._refused_all(waiting, Answer(answer.status, said(await bodies.error(answer))))
                return
            async for line in bodies.lines(answer):
                number, told = codec.answer(line)
                if not 0 <= number < len(sent) or (given := waiting.pop(sent[number], None)) is None:
                    raise codec.Garbled("it answers what was not asked")
                self._settle(given, Answer(*told))

    def _refused_all(self, waiting: dict[int, Given], answer: Answer) -> None:
        """The request was refused as a whole: what may be one order's fault is not the others'."""
        given = list(waiting.values())
        waiting.clear()
        for one in given:
            if answer.status in _ONE_S_FAULT and len(given) > 1:
                self._start(self._carry({0: one}, one.seconds), [one.reply])
            else:
                self._settle(one, answer)

    def _settle(self, given: Given, answer: Answer) -> None:
        try:
            refusal = refused(given.where, answer, self.door)
        except Exception as error:  # noqa: BLE001  # whatever it says, somebody waits to be told
            refusal = Unreachable(given.where, f"it answers what is not understood: {shortly(error)}")
        if refusal is None:
            given.reply.resolve(answer)
        else:
            given.reply.fail(refusal)

    def _url(self, path: str) -> URL:
        return URL(f"{self.door.url}/api/v1{path}", encoded=True)

    @asynccontextmanager
    async def stream(
        self, where: str, path: str, seen: int | None, seconds: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Open an event stream, in the loop; *seconds* until its head is there. Errors as of `look`."""
        headers = {"Accept": "text/event-stream"}
        if seen is not None:
            headers["Last-Event-ID"] = str(seen)
        async with asyncio.timeout(seconds) as patience:
            async with self._pool.session(0).get(self._url(path), headers=headers, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise refused(
                        where, Answer(answer.status, said(await bodies.error(answer))), self.door
                    ) or Unreachable(where, f"it answers {answer.status}, but not as a broker does; is the URL right?")
                if not answer.content_type == "text/event-stream":
                    raise Unreachable(where, "it answers, but not as a broker does; is the URL right?")
                bodies.check(answer)
                patience.reschedule(None)
                yield answer.content


async def _twice(send: Callable[[], Awaitable[T]], between: Callable[[BaseException], None] = lambda _: None) -> T:
    """Await what *send* makes; once more where the connection was one that had ended, as idle ones do."""
    try:
        return await send()
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        if isinstance(error, aiohttp.ClientConnectorError):
            raise
        between(error)
    return await send()
