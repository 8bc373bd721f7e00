"""What a superior in another broker needs to keep a copy of a network: all of it once, then every change."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from typing import ClassVar

from dpb_framework.contracts import BrokerApi, Network
from dpb_framework.errors import DpbError
from dpb_framework.model import ServiceView
from dpb_nbi import codec
from dpb_nbi.calls import Calls
from dpb_nbi.events import PAGE
from dpb_nbi.following import Source, changed_to
from dpb_nbi.pending import Copy, Linger
from dpb_nbi.resource import Context, Resource
from dpb_nbi.shares import Shares
from dpb_nbi.system import after
from dpb_nbi.wire import Request, Response

_log = logging.getLogger("dpb_nbi")


class Copies:
    """All copies that others keep of networks of this broker. Belongs to the event loop."""

    def __init__(self, broker: BrokerApi, calls: Calls, most: int | None = None) -> None:
        self._broker = broker
        self._calls = calls
        self._shares = Shares("mirrors of this network", most)
        self._sources: dict[str, Source] = {}
        self._all: set[Copy] = set()
        self._instance = uuid.uuid4().hex
        self._linger = Linger()
        self._stopped = False

    def __len__(self) -> int:
        return len(self._all)

    def open(self, network: Network, seen: int | None, quiet: int, request: Request) -> AsyncIterator[bytes]:
        """Return what a reader gets: the whole, what happened after event *seen*, and from then on every change."""
        reader = request.who.name, network.name
        self._shares.take(reader)
        copy = Copy(quiet / 1000, request.who.alive)
        self._all.add(copy)
        source = self._sources.get(network.name)
        if source is None:
            source = self._sources[network.name] = Source(network, self._broker, self._calls, self._linger)
        source.copies.add(copy)
        if self._stopped:
            copy.close()
        watcher = asyncio.ensure_future(request.disconnected())
        watcher.add_done_callback(lambda _: self._leave(source, copy, reader))
        return self._texts(source, copy, seen, quiet, watcher)

    async def _texts(
        self, source: Source, copy: Copy, seen: int | None, quiet: int, watcher: asyncio.Future[None]
    ) -> AsyncIterator[bytes]:
        try:
            whole, last = await source.whole(self._instance, quiet)
            copy.bound(len(whole))
            yield whole
            while seen is not None and seen < last and not copy.closed:
                position = seen
                # It is awaited before the position changes.
                found = await self._calls.work(lambda: source.network.events(position, PAGE))  # noqa: B023
                missed = [event for event in found or () if event.number <= last]
                if not missed:
                    break  # they are not kept any more: the reader sees it by the numbers
                yield changed_to((), missed)
                seen = missed[-1].number
            while text := await copy.take():
                yield text
        except DpbError as error:
            _log.warning("a copy of network %r ended: %s", source.network.name, error)
        finally:
            watcher.cancel()

    def _leave(self, source: Source, copy: Copy, reader: tuple[str, str]) -> None:
        self._shares.give_back(reader)
        copy.close()
        self._all.discard(copy)
        source.copies.discard(copy)
        if not source.copies and self._sources.get(source.network.name) is source:
            del self._sources[source.network.name]
            source.close()

    def answered(self, view: ServiceView, text: bytes) -> None:
        """Take note that an answer tells a superior of a service; *text* is SERVICE with its moment, as JSON."""
        if (source := self._sources.get(view.network)) is not None:
            source.answered(view, text)

    def stop(self) -> None:
        """End all."""
        self._stopped = True
        for copy in self._all:
            copy.close()
        for source in self._sources.values():
            source.close()
        self._sources.clear()


class Mirror(Resource):
    """`/networks/{network}/mirror`."""

    queries: ClassVar = {"GET": ("after", "quiet-millis")}

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._copies = context.copies

    async def on_get(self, request: Request, response: Response, network: str) -> None:
        """Tell all that a superior needs to know of the network, and every change of it."""
        found = self.network(request, network)
        seen, quiet = after(request), codec.quiet(request.params)
        self._head(response)
        response.stream = self._copies.open(found, seen, quiet, request)

    async def on_head(self, request: Request, response: Response, network: str) -> None:
        """Answer as for GET, without a stream."""
        self.network(request, network)
        after(request)
        codec.quiet(request.params)
        self._head(response)

    def _head(self, response: Response) -> None:
        response.content_type = "text/event-stream"
        response.set_header("Cache-Control", "no-store")
