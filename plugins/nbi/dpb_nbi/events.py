"""Events as server-sent events: a network is watched once, an event is encoded once, for however many streams.

The kernel's watcher only puts an event on a list and, if it is the first, asks the loop to come. The loop waits a
moment, so that what happens together is sent together, encodes all that came, and gives every stream the same bytes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Final

from dpb_framework.contracts import Cancel, Network
from dpb_framework.errors import DpbError
from dpb_framework.model import Event
from dpb_nbi.calls import Calls
from dpb_nbi.jsontext import write
from dpb_nbi.shares import Shares
from dpb_nbi.wire import Request

_log = logging.getLogger("dpb_nbi")

GATHER: Final = 0.02
"""Seconds for which events are gathered, at the least, before they are sent."""
GATHER_EACH: Final = 0.0005
"""Seconds more for each stream: sending to one takes some 25 microseconds, and all may cost others a twentieth."""
GATHER_MOST: Final = 0.25
"""Seconds for which events are gathered at the most."""
QUIET: Final = 15.0
"""Seconds between comment lines; so often it is also seen whether a stream's credential still holds."""
MAX_PENDING: Final = 1024 * 1024
"""Bytes that wait for one reader, before it is told to begin anew. The streams of a network share them."""
PAGE: Final = 1000
"""Stored events that are read at once."""

_COMMENT: Final = b":\n\n"
_Encoded = list[tuple[int, bytes]]


def encode(event: Event) -> bytes:
    """Return *event* as it goes to clients; one without a number (a hint) has no `id` line."""
    head = f"id: {event.number}\n" if event.number else ""
    return f"{head}event: {event.kind.value}\ndata: ".encode("ascii") + write(dict(event.data)) + b"\n\n"


def resync(last: int) -> bytes:
    """Tell a client that events are missing, and that the stream goes on after number *last*."""
    return b"id: %d\nevent: resync\ndata: %s\n\n" % (last, write({"last": last}))


class Stream:
    """One reader's share: what waits for it, within a bound. Belongs to the event loop."""

    def __init__(self, position: int, alive: Callable[[], bool]) -> None:
        self.position = position
        self.alive = alive
        self._newest = position
        self._held: list[tuple[_Encoded, bytes]] | None = None
        self._pending: list[bytes] = []
        self._size = 0
        self._lost = False
        self._closed = False
        self._wake: asyncio.Future[None] | None = None

    def hold(self) -> None:
        """Put live events aside until `resume`, while stored ones are sent."""
        self._held = []

    def resume(self, position: int) -> None:
        """Go on with the live events after *position*, those that were put aside first."""
        held, self._held = self._held or [], None
        self._size = 0
        self.position = max(position, self._newest) if self._lost else position
        for events, joined in held:
            self.feed(events, joined)

    def feed(self, events: _Encoded, joined: bytes) -> None:
        """Take *events* (together they are *joined*), but for those that the reader has already."""
        if self._closed:  # else whoever is fed without a pause would never end
            return
        numbers = [number for number, _ in events if number]
        if numbers:
            self._newest = max(self._newest, numbers[-1])
        if self._held is not None:
            self._held.append((events, joined))
            self._grow(len(joined))
            return
        if numbers and numbers[0] <= self.position:
            joined = b"".join(text for number, text in events if not number or number > self.position)
        self.position = max(self.position, self._newest)
        if joined and not self._lost:
            self._pending.append(joined)
            self._grow(len(joined))
            self._rouse()

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MAX_PENDING:
            self._lost = True
            self._pending.clear()
            if self._held is not None:
                self._held.clear()
            self._size = 0

    def comment(self) -> None:
        """Show the reader that the stream lives, unless something waits for it anyway."""
        if not self._pending and not self._lost:
            self._pending.append(_COMMENT)
            self._rouse()

    def close(self) -> None:
        """End the stream; what waits is still sent."""
        self._closed = True
        self._rouse()

    @property
    def closed(self) -> bool:
        """Whether it has ended: nobody reads it, or the server stops."""
        return self._closed

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def take(self) -> bytes:
        """Return all that waits, once something does; nothing once the stream is closed."""
        while not self._pending and not self._lost and not self._closed:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        if self._lost:
            self._lost = False
            self._pending.append(resync(self.position))
        taken = b"".join(self._pending)
        self._pending.clear()
        self._size = 0
        return taken


class Channel:
    """The streams of one network, and the one watch that serves them all."""

    def __init__(self, network: Network, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._arrived: list[Event] = []
        self.streams: set[Stream] = set()
        self._cancel: Cancel = network.watch(self._heard)

    def _heard(self, event: Event) -> None:
        """Called in the kernel's threads."""
        with self._lock:
            self._arrived.append(event)
            first = len(self._arrived) == 1
        if first:
            try:
                self._loop.call_soon_threadsafe(self._loop.call_later, self._patience(), self._send)
            except RuntimeError:
                if not self._loop.is_closed():
                    raise

    def _patience(self) -> float:
        return min(GATHER_MOST, GATHER + GATHER_EACH * len(self.streams))

    def _send(self) -> None:
        with self._lock:
            arrived, self._arrived = self._arrived, []
        if not self.streams:
            return
        events = [(event.number, encode(event)) for event in arrived]
        joined = b"".join(text for _, text in events)
        for stream in self.streams:
            stream.feed(events, joined)

    def close(self) -> None:
        """Watch no more."""
        self._cancel()


class Streams:
    """All event streams of an application. Belongs to the event loop."""

    def __init__(self, calls: Calls, most: int | None = None) -> None:
        self._calls = calls
        self._shares = Shares("event streams", most)
        self._channels: dict[str, Channel] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._all: set[Stream] = set()
        self._stopped = False

    def __len__(self) -> int:
        return len(self._all)

    def open(self, network: Network, after: int | None, request: Request) -> AsyncIterator[bytes]:
        """Return what a client of *network* gets that has seen the events up to *after*; None: what comes from now on.

        It ends when the client goes or the server stops.
        """
        name = request.who.name
        self._shares.take(name)
        stream = Stream(after or 0, request.who.alive)
        self._all.add(stream)
        if after is None:
            self._join(network, stream)
            stream.position = network.last_event
        if self._stopped:
            stream.close()
        self._tick(arm=True)
        watcher = asyncio.ensure_future(request.disconnected())
        watcher.add_done_callback(lambda _: self._leave(network, stream, name))
        return self._texts(network, stream, watcher, replay=after is not None)

    async def _texts(
        self, network: Network, stream: Stream, watcher: asyncio.Future[None], *, replay: bool
    ) -> AsyncIterator[bytes]:
        try:
            yield _COMMENT
            if replay:
                async for text in self._missed(network, stream):
                    yield text
            while text := await stream.take():
                yield text
        except DpbError as error:
            # The head of the answer is sent: all that can be told is its end. The client resumes with what it saw last.
            _log.warning("an event stream of network %r ended: %s", network.name, error)
        finally:
            watcher.cancel()

    async def _missed(self, network: Network, stream: Stream) -> AsyncIterator[bytes]:
        """Yield the stored events after the stream's position; leave it joined, without a gap or a repetition."""
        position = stream.position
        # Whoever names a number that was never told has seen the events of another network, or of another store.
        known = position <= network.last_event
        joined = False
        while known and not stream.closed:
            after = position
            # Mypy knows no type of a default of a lambda.
            found = await self._calls.work(lambda after=after: network.events(after, PAGE))  # type: ignore[misc]
            if found is None:
                known = False
                break
            if found:
                position = found[-1].number
                yield b"".join(map(encode, found))
            if len(found) < PAGE:
                if joined:
                    break
                # What is stored by now is read once more; what is told from now on comes by itself.
                stream.hold()
                self._join(network, stream)
                joined = True
        if not known:
            if not joined:
                self._join(network, stream)
            position = network.last_event
            yield resync(position)
        stream.resume(position)

    def _join(self, network: Network, stream: Stream) -> None:
        if stream.closed:
            return
        channel = self._channels.get(network.name)
        if channel is None:
            channel = self._channels[network.name] = Channel(network, asyncio.get_running_loop())
        channel.streams.add(stream)

    def _leave(self, network: Network, stream: Stream, name: str) -> None:
        self._shares.give_back(name)
        stream.close()
        self._all.discard(stream)
        channel = self._channels.get(network.name)
        if channel is not None:
            channel.streams.discard(stream)
            if not channel.streams:
                del self._channels[network.name]
                channel.close()

    def _tick(self, *, arm: bool = False) -> None:
        """One timer for the comment lines of all streams; there is none while there are no streams."""
        if arm and self._timer is not None:
            return
        self._timer = None
        if not arm:
            for stream in self._all:
                # A credential that does not hold any more ends what was opened with it.
                stream.comment() if stream.alive() else stream.close()
        if self._all:
            self._timer = asyncio.get_running_loop().call_later(QUIET, self._tick)

    def stop(self) -> None:
        """End all streams."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for stream in list(self._all):
            stream.close()
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
