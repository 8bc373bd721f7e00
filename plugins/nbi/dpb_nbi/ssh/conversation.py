"""JSON frames over one channel: the greeting, then sessions side by side, each answered in order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

from dpb_framework.contracts import Network
from dpb_framework.errors import BadArgument, DpbError, NetworkUnknown
from dpb_nbi import jsontext
from dpb_nbi.access import Identity, Role
from dpb_nbi.access.faults import Busy, Unauthenticated
from dpb_nbi.operations import Asking
from dpb_nbi.problems import Problem, internal
from dpb_nbi.ssh import faults, frames, limits
from dpb_nbi.ssh.asking import Ask
from dpb_nbi.ssh.types import is_reading, perform
from dpb_nbi.ssh.watching import Watch
from dpb_nbi.values import integer, kind

if TYPE_CHECKING:
    from dpb_nbi.ssh.channel import Channel

_log = logging.getLogger("dpb_nbi")

_MOST: Final = (1 << 63) - 1
"""The greatest number of a session."""
_KINDS: Final = frozenset({"switch", "aggregator"})


class Session:
    """Requests with one number: answered one after the other. It is forgotten when nothing is left of it."""

    def __init__(self, conversation: Conversation, number: int) -> None:
        self._conversation = conversation
        self.number = number
        self.queue: deque[tuple[Any, int]] = deque()
        self.working = False
        self.watches: dict[Watch, asyncio.Task[None]] = {}
        self.begun: list[Watch] = []
        """Watches whose first answer is still to be sent."""
        self._ended = asyncio.Event()

    @property
    def who(self) -> Identity:
        """Who asks."""
        return self._conversation.who

    async def disconnected(self) -> None:
        """Return once it is closed: what waits for its sake need not wait any longer."""
        await self._ended.wait()

    def begin_watch(self, watch: Watch) -> None:
        """Let *watch* tell its changes once its request is answered."""
        self.begun.append(watch)

    def go_on(self) -> None:
        """Start the watches of the request that was answered."""
        for watch in self.begun:
            task = asyncio.get_running_loop().create_task(self._watch(watch))
            self.watches[watch] = task
        self.begun.clear()

    async def _watch(self, watch: Watch) -> None:
        try:
            while not self._ended.is_set():
                status = await watch.next()
                await self._conversation.send(self.number, {"status": status.value})
                if watch.is_over:
                    break
        except ConnectionError:
            pass
        finally:
            watch.close()
            self.watches.pop(watch, None)
            self._conversation.forget(self)

    def close(self) -> None:
        """End its waits and watches; requests that are under way are carried out and answered."""
        self._ended.set()
        for task in list(self.watches.values()):
            task.cancel()
        for watch in self.begun:
            watch.close()
        self.begun.clear()


class Conversation:
    """What is said over one channel about one network."""

    def __init__(self, channel: Channel, network: str) -> None:
        self._channel = channel
        self._house = channel.house
        self._name = network
        self._network: Network
        self._sessions: dict[int, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending = 0
        self._bytes = 0
        self._room = asyncio.Event()
        self._reading = asyncio.Semaphore(limits.READING)
        self.waiting = 0
        """Waits and watches that last."""

    @property
    def who(self) -> Identity:
        """Who asks."""
        return self._channel.who

    async def run(self) -> int:
        """Greet, answer until the client has no more to ask, and return the exit status."""
        refused = self._enter()
        if refused is not None:
            await self._channel.write(frames.pack(refused))
            return 1
        await self._channel.write(frames.pack(self._greeting()))
        status = 0
        try:
            try:
                await self._listen()
            except DpbError as error:
                # Where the next frame begins is not known: what came before is answered, then it is over.
                status = 1
                await self._channel.write(frames.pack(faults.content(error)))
            self._end_sessions()
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            self._end_sessions()
            for task in self._tasks:
                task.cancel()
        return status

    def _enter(self) -> dict[str, Any] | None:
        who = self._channel.who
        try:
            self._house.calls.broker.network(self._name)
            if not who.may(self._name, Role.READ) or not who.alive():
                return {"error": "unauthorized", "network": self._name}
            self._network = self._house.desk.network(who, self._name)
        except NetworkUnknown:
            return {"error": "no-network", "network-name": self._name[:200]}
        return None

    def _greeting(self) -> dict[str, Any]:
        word = self._network.kind if self._network.kind in _KINDS else "network"
        return {"network-name": self._name, word: True}

    # -- what comes in

    async def _listen(self) -> None:
        while (body := await frames.read(self._channel.inlet)) is not None:
            while self._pending >= limits.PENDING or self._bytes >= limits.PENDING_BYTES:
                self._room.clear()
                await self._room.wait()
            if not self._channel.who.alive():
                raise Unauthenticated("the credential holds no more")
            try:
                frame = jsontext.read(body)
                if not isinstance(frame, dict):
                    raise BadArgument("frame", f"expected an object, got {kind(frame)}")
                number = integer(frame.get("session"), "session", -_MOST, _MOST)
            except DpbError as error:
                # It says of no session that it is its own, so it cannot be answered in one.
                await self._channel.write(frames.pack(faults.content(error)))
                continue
            self._take(number, frame.get("content"), len(body))

    def _take(self, number: int, content: Any, size: int) -> None:
        if content is None:
            session = self._sessions.pop(number, None)
            if session is not None:
                session.close()
            return
        session = self._sessions.get(number)
        if session is None:
            session = self._sessions[number] = Session(self, number)
        session.queue.append((content, size))
        self._pending += 1
        self._bytes += size
        if not session.working:
            session.working = True
            task = asyncio.get_running_loop().create_task(self._work(session))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, session: Session) -> None:
        try:
            while session.queue:
                content, size = session.queue.popleft()
                try:
                    async with self._reading if is_reading(content) else nullcontext():
                        await self._channel.writable()
                        await self.send(session.number, await self._answer(session, content))
                    session.go_on()
                finally:
                    self._pending -= 1
                    self._bytes -= size
                    self._room.set()
        except ConnectionError:
            session.close()  # nobody is there any more
        finally:
            session.working = False
            self.forget(session)

    def forget(self, session: Session) -> None:
        """Keep nothing of a session in which nothing is under way: clients never close theirs."""
        if not session.working and not session.watches and self._sessions.get(session.number) is session:
            del self._sessions[session.number]

    def _end_sessions(self) -> None:
        for session in list(self._sessions.values()):
            session.close()

    # -- what goes out

    async def send(self, number: int, content: dict[str, Any]) -> None:
        """Send an answer in the session of that number."""
        frame = frames.pack({"session": number, "content": content})
        if len(frame) > limits.MAX_ANSWER:
            error = BadArgument("type", f"the answer would have {len(frame)} bytes; ask for less, or ask REST")
            frame = frames.pack({"session": number, "content": faults.content(error)})
        await self._channel.write(frame)

    async def _answer(self, session: Session, content: Any) -> dict[str, Any]:
        try:
            if not isinstance(content, dict):
                raise BadArgument("content", f"expected an object, got {kind(content)}")
            asking = Asking(self._house.desk, self._house.calls, self._channel.who, self._name)
            lock, changes = self._house.locks[self._name], self._house.changes(self._network)
            ask = Ask(self._network, content, asking, session, lock, self._last, changes)
            return await perform(ask)
        except (DpbError, Problem) as error:
            return faults.content(error)
        except Exception as error:  # noqa: BLE001  # every request gets an answer
            _log.error("a request over SSH failed", exc_info=error)
            return faults.content(internal())

    def _last(self, by: int) -> None:
        """Count what lasts. `Busy` when there is too much of it."""
        if by > 0 and self.waiting >= limits.WAITING:
            raise Busy("too many requests of this channel wait for services")
        self.waiting += by
