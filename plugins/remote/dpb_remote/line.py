"""The line to another broker: one set of connections for all its networks here, on one event loop for the process.

Calls are made from the kernel's threads and never block them; a slow broker holds connections of its own line and
nothing else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar, Final

import aiohttp
from attrs import frozen
from yarl import URL

from dpb_framework.errors import DpbError, NetworkUnknown, Refused, Remembered, Stopped, Unreachable
from dpb_framework.reply import Reply
from dpb_framework.runtime import Runtime, Strand
from dpb_remote import codec
from dpb_remote.loop import Loop
from dpb_remote.settings import Door

CONNECTIONS: Final = 256
"""Calls to one broker that are under way at the most; what comes then waits for one. Streams are not counted."""
IDLE: Final = 30.0
"""Seconds after which an idle connection is closed: less than the server's, so that seldom a request meets its end."""


@frozen
class Answer:
    """What the other broker answered: HTTP's status, the body, and the moment at which what it tells was so."""

    status: int
    body: bytes
    moment: int = 0


class Line:
    """Calls to one broker. `take` it, `leave` it; its last user closes the connections."""

    _lock: ClassVar = threading.Lock()
    _lines: ClassVar[dict[Door, Line]] = {}

    def __init__(self, door: Door) -> None:
        self.door = door
        self._users = 0
        self._loop = Loop.take()
        self._sessions: dict[int, aiohttp.ClientSession] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

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

    async def _close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for session in self._sessions.values():
            await session.close()
        await asyncio.sleep(0)

    def spawn(self, task: Coroutine[Any, Any, None]) -> Future[None]:
        """Run *task* in the line's loop; it is cancelled when the line is closed."""
        return self._loop.spawn(self._tracked(task))

    async def _tracked(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await coroutine

    def call(
        self,
        then: Callable[[Reply[Answer]], object],
        where: str,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        seconds: float,
        repeatable: bool = True,
    ) -> None:
        """Send a request; *then* gets the reply once it is settled, always in the loop.

        Its errors are what the other broker refused with, or `Unreachable` (of *where*) when the outcome is unknown.
        What is *repeatable* is sent once more when a connection ends without an answer, as idle ones do.
        """
        reply: Reply[Answer] = Reply()
        reply.then(then)  # before anything can settle it: else it would be called here, in whatever thread this is
        self._loop.soon(partial(self._begin, reply, where, method, path, body, seconds, repeatable))

    def _begin(self, reply: Reply[Answer], *asked: Any) -> None:
        if self._closed:
            reply.fail(Stopped())
            return
        task = asyncio.ensure_future(self._call(reply, *asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def deliver(self, runtime: Runtime, strand: Strand, task: Callable[[], None]) -> None:
        """Run *task* on *strand* in a worker, in its order. Called in the loop."""
        self._loop.deliver(runtime, strand, task)

    async def _call(
        self,
        reply: Reply[Answer],
        where: str,
        method: str,
        path: str,
        body: bytes | None,
        seconds: float,
        repeatable: bool,
    ) -> None:
        tries = 2 if repeatable else 1
        try:
            async with asyncio.timeout(seconds):
                while True:
                    tries -= 1
                    try:
                        answer = await self._send(method, path, body)
                        break
                    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                        if not tries or isinstance(error, aiohttp.ClientConnectorError):
                            raise
            refusal = refused(where, answer, self.door)
        except TimeoutError:
            refusal = Unreachable(where, f"no answer within {seconds:g} s")
        except asyncio.CancelledError:
            reply.fail(Stopped())
            raise
        except Exception as error:  # noqa: BLE001  # whatever a connection ends with, somebody waits to be told
            refusal = Unreachable(where, shortly(error))
        if refusal is None:
            reply.resolve(answer)
        else:
            reply.fail(refusal)

    async def _send(self, method: str, path: str, body: bytes | None) -> Answer:
        headers = {} if body is None else {"Content-Type": "application/json"}
        async with self._open(CONNECTIONS).request(
            method, self._url(path), data=body, headers=headers, allow_redirects=False
        ) as answer:
            moment = answer.headers.get("DPB-Moment", "")
            return Answer(answer.status, await answer.read(), int(moment) if moment.isdecimal() else 0)

    def _url(self, path: str) -> URL:
        return URL(f"{self.door.url}/api/v1{path}", encoded=True)

    def _open(self, limit: int) -> aiohttp.ClientSession:
        """The connections of one kind, at most *limit* (0: as many as are needed)."""
        session = self._sessions.get(limit)
        if session is None:
            headers = {"Accept": "application/json", "User-Agent": "dpb-remote"}
            if self.door.authorization is not None:
                headers["Authorization"] = self.door.authorization
            tls = self.door.tls()
            session = self._sessions[limit] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=limit, keepalive_timeout=IDLE, ssl=tls),
                timeout=aiohttp.ClientTimeout(total=None),
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=1024 * 1024,
            )
        return session

    @asynccontextmanager
    async def stream(
        self, where: str, path: str, seen: int | None, seconds: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Open an event stream, in the loop; *seconds* until its head is there. Errors as of `call`."""
        headers = {"Accept": "text/event-stream"}
        if seen is not None:
            headers["Last-Event-ID"] = str(seen)
        async with asyncio.timeout(seconds) as patience:
            async with self._open(0).get(self._url(path), headers=headers, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise refused(where, Answer(answer.status, await answer.read()), self.door) or Unreachable(
                        where, f"it answers {answer.status}, but not as a broker does; is the URL right?"
                    )
                if not answer.content_type == "text/event-stream":
                    raise Unreachable(where, "it answers, but not as a broker does; is the URL right?")
                patience.reschedule(None)
                yield answer.content


def shortly(error: BaseException) -> str:
    """What is told of a fault of a connection: one line, without addresses of objects."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to {error.host}:{error.port} ({error.strerror or error.os_error})"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the connection ended in the middle"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the connection ended without an answer"
    return " ".join(str(error).split())[:200] or type(error).__name__


def refused(where: str, answer: Answer, door: Door) -> DpbError | None:
    """What *answer* refuses with, or None where it does not refuse."""
    status = answer.status
    if 200 <= status < 300:
        return None
    if status == 401:
        how = "the credentials are not accepted" if door.authorization else "it asks for credentials, and none are set"
        return Unreachable(where, f"{how} (401); see token, user and password")
    if status == 403:
        return Refused(f"{where}: the credentials do not allow it (403)")
    try:
        found = codec.problem(codec.read(answer.body))
    except codec.Garbled:
        found = None
    if found is None or status == 500:
        detail = f": {found}" if found is not None else ", but not as a broker does; is the URL right?"
        return Unreachable(where, f"it answers {status}{detail}")
    if found.code == NetworkUnknown.code:
        return Unreachable(where, f"{found} there; see the setting network")
    if isinstance(found, Remembered) and found.code in ("no-route", "wrong-method", "bad-request"):
        return Unreachable(where, f"it answers {status}: {found}; its version may be older than ours")
    return found
