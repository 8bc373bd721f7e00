"""A proxy between a broker and another one: loses answers, delays, cuts, falls silent, and counts what is asked."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable

_HEAD = re.compile(rb"^(GET|POST|DELETE|PUT) (/\S*) HTTP/1\.1\r\n", re.MULTILINE)

FAULTS = ("refuse", "cut", "lose", "silent", "deaf")
"""`refuse`: connections are not taken. `cut`: they end as soon as something is asked. `lose`: what is asked is
carried out, and the connection ends instead of the answer. `silent`: it is carried out, and no answer comes. `deaf`:
nothing arrives and nothing comes."""


class Proxy:
    """In front of one port of 127.0.0.1. `calls` and `stream` say how each kind of connection is treated."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.calls = "pass"
        self.stream = "pass"
        self.delay = 0.0
        """Seconds by which each answer of a call is late."""
        self._stuck: list[bytes] = []
        self.asked: list[tuple[str, str]] = []
        """(method, path) of each request, in the order in which they came."""
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._started: threading.Event = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set(self, mode: str) -> None:
        """Treat everything so from now on; what is open ends, but where the fault is that nothing does."""
        self.calls = self.stream = mode
        if mode in ("refuse", "cut"):
            self.drop()

    def drop(self) -> None:
        """End every connection."""
        self._wait(self._drop())

    def deliver_stuck(self) -> int:
        """Deliver what was held back (`calls = "stuck"`), though nobody waits for its answer any more."""
        stuck, self._stuck = self._stuck, []

        async def deliver() -> None:
            for piece in stuck:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(piece)
                await reader.read(1)
                writer.transport.abort()

        self._wait(deliver())
        return len(stuck)

    def close(self) -> None:
        self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def count(self, matches: Callable[[str, str], bool] = lambda method, path: "/mirror" not in path) -> int:
        return sum(1 for one in list(self.asked) if matches(*one))

    def _wait(self, task) -> None:  # type: ignore[no-untyped-def]
        asyncio.run_coroutine_threadsafe(task, self._loop).result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def start() -> None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]
            self._started.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()
        self._loop.close()

    async def _drop(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _end(self) -> None:
        self._server.close()
        for _ in range(3):  # a connection that has just come gets the turns in which it is known, and so ended
            await asyncio.sleep(0)
        await self._drop()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        back: asyncio.Task[None] | None = None
        there: asyncio.StreamWriter | None = None
        stream = False
        try:
            if "refuse" in (self.calls, self.stream):
                return
            from_there, there = await asyncio.open_connection("127.0.0.1", self._port)
            self._open.add(there)
            is_stream: list[bool] = []
            back = asyncio.ensure_future(self._back(from_there, writer, is_stream))
            while piece := await reader.read(65536):
                for head in _HEAD.finditer(piece):
                    self.asked.append((head[1].decode(), head[2].decode()))
                    stream = b"/mirror" in head[2]
                    is_stream[:] = [stream]
                mode = self.stream if stream else self.calls
                if mode in ("cut", "refuse"):
                    return
                if mode == "stuck":
                    self._stuck.append(piece)
                    continue
                if mode == "deaf":
                    continue
                there.write(piece)
                await there.drain()
        except OSError:
            pass
        finally:
            for one in (writer, there):
                if one is not None:
                    self._open.discard(one)
                    one.transport.abort()
            if back is not None:
                back.cancel()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_stream: list[bool]) -> None:
        try:
            while piece := await reader.read(65536):
                stream = bool(is_stream and is_stream[0])
                mode = self.stream if stream else self.calls
                if mode in ("silent", "deaf"):
                    continue
                if mode in ("lose", "cut", "refuse"):
                    break
                if self.delay and not stream:
                    await asyncio.sleep(self.delay)
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()
