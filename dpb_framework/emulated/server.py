"""`dpb-emulated`: emulated devices in a process of its own, behind a socket; see docs/emulated.md.

It outlives the broker that uses it, keeps its devices in a file, and can be killed at any moment without losing what it
confirmed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dpb_framework.contracts import FabricEvent
from dpb_framework.emulated.protocol import MAX_LINE, Address, decode, encode
from dpb_framework.emulated.rack import Outcome, Rack
from dpb_framework.emulated.script import FaultKind
from dpb_framework.emulated.statefile import Keeper, StateFile
from dpb_framework.errors import BadArgument, DpbError

CRASHED = 70
"""The exit status of a process that a scripted fault ended, or that could not keep its state."""

_FORGOTTEN_LANES = 4096


class Connection:
    """One client's connection, as the server sees it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._watched: dict[str, Callable[[], None]] = {}
        self.lane = ""
        self.over = False

    def send(self, message: dict[str, Any]) -> None:
        """Send *message* unless the connection is over."""
        if not self.over:
            self._writer.write(encode(message))

    def end(self) -> None:
        """End it at once; what the client sent and was not read yet is thrown away."""
        self.over = True
        for end in self._watched.values():
            end()
        self._watched.clear()
        self._writer.transport.abort()

    def watch(self, name: str, watch: Callable[[Callable[[FabricEvent, str], None]], Callable[[], None]]) -> None:
        """Send the events of the device called *name*; losing contact with it ends the connection."""

        def tell(event: FabricEvent, port: str) -> None:
            if event is FabricEvent.DOWN:
                self.end()
            else:
                self.send({"event": event.value, "device": name, **({"interface": port} if port else {})})

        if name not in self._watched:
            self._watched[name] = watch(tell)


class Server:
    """Answers messages: applies them in the order of reading, tells their outcome once it is kept."""

    def __init__(self, rack: Rack, file: StateFile | None) -> None:
        self._rack = rack
        self._keeper = Keeper(file, rack.snapshot)
        self._lanes: dict[str, Connection] = {}
        self._dropped: dict[str, None] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._served: dict[Connection, asyncio.Task[None] | None] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends. Whatever is sent, the process goes on."""
        connection = Connection(writer)
        self._served[connection] = asyncio.current_task()
        try:
            while not connection.over:
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    break
                if not connection.over:
                    self._take(connection, line)
                    await writer.drain()
        except ValueError:
            connection.send({"error": f"a line has at most {MAX_LINE} octets"})
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            connection.end()
            del self._served[connection]
            if self._lanes.get(connection.lane) is connection:
                del self._lanes[connection.lane]

    async def close(self) -> None:
        """Wait until all that changed is kept, then end all connections."""
        await self._keeper.kept()
        served = dict(self._served)
        for connection in served:
            connection.end()
        await asyncio.gather(*filter(None, served.values()), return_exceptions=True)

    def _take(self, connection: Connection, line: bytes) -> None:
        if not line.strip():
            return
        try:
            message = decode(line)
            if not self._lane_lives(connection, message):
                connection.end()
                return
            watch = message.get("op") == "watch"
            outcome = self._watch(connection, message) if watch else self._rack.handle(message)
        except BadArgument as error:
            message, outcome = {}, Outcome({"error": str(error)})
        if outcome.lost:
            connection.end()
            return
        if outcome.fault is FaultKind.HANG:
            return
        if outcome.fault is FaultKind.CRASH_BEFORE:
            os._exit(CRASHED)
        if outcome.changed:
            self._keeper.changed()
        answer = {"id": message["id"], **outcome.answer} if "id" in message else outcome.answer
        if self._keeper.idle and not outcome.delay and outcome.fault is None:
            connection.send(answer)
            return
        task = asyncio.create_task(self._answer(connection, outcome, answer))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, connection: Connection, outcome: Outcome, answer: dict[str, Any]) -> None:
        try:
            await self._keeper.kept()
        except OSError as error:
            # A device that cannot keep what it does must not confirm anything more.
            print(f"the state cannot be kept: {error}", file=sys.stderr, flush=True)
            os._exit(CRASHED)
        if outcome.fault is FaultKind.CRASH_AFTER:
            os._exit(CRASHED)
        if outcome.delay:
            await asyncio.sleep(outcome.delay)
        connection.send(answer)

    def _watch(self, connection: Connection, message: dict[str, Any]) -> Outcome:
        device = self._rack.device(message.get("device", "0"))
        if not device.reachable:
            return Outcome(lost=True)
        connection.watch(device.name, device.watch)
        return Outcome({"ok": True})

    def _lane_lives(self, connection: Connection, message: dict[str, Any]) -> bool:
        """Obey `drop`, note `lane`; tell whether the lane was given up by its client.

        A client that gave a command up must be sure that it is not carried out after its next one.
        """
        dropped = message.get("drop", [])
        if not isinstance(dropped, list) or not all(isinstance(lane, str) for lane in dropped):
            raise BadArgument("drop", "expected a list of texts")
        for lane in dropped:
            self._dropped[lane] = None
            if lane in self._lanes:
                self._lanes.pop(lane).end()
        while len(self._dropped) > _FORGOTTEN_LANES:
            del self._dropped[next(iter(self._dropped))]
        lane = message.get("lane", "")
        if not isinstance(lane, str):
            raise BadArgument("lane", "expected text")
        if lane and not connection.lane:
            connection.lane = lane
            self._lanes[lane] = connection
        return connection.lane not in self._dropped


async def _parent_gone(pid: int) -> None:
    """Wait until the process *pid* is gone."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        # No such call on this system: look twice a second.
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            except PermissionError:
                pass
            await asyncio.sleep(0.5)
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _run(server: Server, address: Address, parent: int | None) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    if address.path:
        listener = await asyncio.start_unix_server(server.serve, address.path, limit=MAX_LINE)
        Path(address.path).chmod(0o600)
        told = address
    else:
        listener = await asyncio.start_server(server.serve, address.host, address.port, limit=MAX_LINE)
        told = Address(host=address.host, port=listener.sockets[0].getsockname()[1])
    waiting: list[asyncio.Task[Any]] = [asyncio.create_task(over.wait())]
    if parent is not None:
        waiting.append(asyncio.create_task(_parent_gone(parent)))
    with contextlib.suppress(BrokenPipeError):
        print(f"ready {told}", flush=True)
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    listener.close()
    await server.close()
    if address.path:
        Path(address.path).unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process until SIGTERM; return its exit status."""
    parser = argparse.ArgumentParser(prog="dpb-emulated", description="Emulated devices in a process of their own.")
    parser.add_argument("--state", type=Path, help="the file that keeps the devices (default: nothing is kept)")
    parser.add_argument("--listen", default="127.0.0.1:0", help="unix:PATH or 127.0.0.1:PORT (default: any free port)")
    parser.add_argument("--parent-pid", type=int, help="end when this process is gone")
    given = parser.parse_args(arguments)
    try:
        address = Address.parse(given.listen)
        address.claim()
        rack = Rack()
        file = StateFile(given.state) if given.state else None
        if file:
            file.claim()
            file.load(rack.restore)
        asyncio.run(_run(Server(rack, file), address, given.parent_pid))
    except (DpbError, OSError) as error:
        print(f"dpb-emulated: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
