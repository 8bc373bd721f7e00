"""One channel: its bytes both ways with back-pressure, and which of the three ways to talk it is for."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import asyncssh

from dpb_nbi.access import Identity
from dpb_nbi.ssh import commands, prompt
from dpb_nbi.ssh.conversation import Conversation
from dpb_nbi.ssh.inlet import Inlet

if TYPE_CHECKING:
    from dpb_nbi.ssh.door import Door
    from dpb_nbi.ssh.house import House

_log = logging.getLogger("dpb_nbi")


class Channel(asyncssh.SSHServerSession[bytes]):
    """asyncssh's session: one command, or a prompt where there is none."""

    def __init__(self, house: House, door: Door, who: Identity) -> None:
        self.house = house
        self.who = who
        self._door = door
        self._chan: asyncssh.SSHServerChannel[bytes] | None = None
        self._command: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._turn = asyncio.Lock()
        self.inlet = Inlet()
        self.width = 0
        """The width of the client's terminal in characters; 0 when it has none."""
        self.interrupted = asyncio.Event()
        self.stopping = asyncio.Event()

    # -- asyncssh

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """It is open."""
        self._chan = chan
        self.inlet.pause, self.inlet.resume = chan.pause_reading, chan.resume_reading
        self._door.channels += 1
        self.house.channels.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone: whatever was done for it ends."""
        self._chan = None
        self._door.channels -= 1
        self.house.channels.discard(self)
        self._writable.set()
        self.eof_received()
        if self._task is not None:
            self._task.cancel()

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        """A terminal is on the other side."""
        self.width = min(max(int(term_size[0]) or 80, 20), 1000)
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """It counts for the next command."""
        self.width = min(max(width or 80, 20), 1000)

    def shell_requested(self) -> bool:
        """No command: a prompt."""
        return True

    def exec_requested(self, command: str) -> bool:
        """A command: the name of a network, or one of `dpb`."""
        self._command = command
        return True

    def session_started(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """What the client sends."""
        self.inlet.feed(data)

    def eof_received(self) -> bool:
        """The client sends no more; what it has asked for it still gets."""
        self.inlet.end()
        return True

    def break_received(self, msec: int) -> bool:
        """Interrupt the command that runs."""
        self.interrupted.set()
        return True

    def signal_received(self, signal: str) -> None:
        """Interrupt the command that runs, whatever signal it is."""
        self.interrupted.set()

    def pause_writing(self) -> None:
        """The client does not read as fast as is written."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It does again."""
        self._writable.set()

    # -- for those who talk through it

    async def write(self, data: bytes, *, error: bool = False) -> None:
        """Send *data*, as the standard error if *error*; waits while the client does not read. ConnectionError."""
        async with self._turn:  # one at a time, so that a client that reads again is not sent everything at once
            await self._writable.wait()
            if self._chan is None or self._chan.is_closing():
                raise ConnectionResetError("the channel is closed")
            if error:
                self._chan.write_stderr(data)
            else:
                self._chan.write(data)

    async def writable(self) -> None:
        """Wait until the client reads what it was sent."""
        await self._writable.wait()

    async def tell(self, line: str) -> None:
        """Send a line for people, as the standard error."""
        await self.write(f"{line}\r\n".encode() if self.width else f"{line}\n".encode(), error=True)

    def stop(self) -> asyncio.Task[None] | None:
        """Take no more; return what is still under way."""
        self.stopping.set()
        self.eof_received()
        return self._task

    async def _serve(self) -> None:
        status = 1
        try:
            status = await self._talk()
        except (OSError, asyncssh.Error):
            pass  # the client went away
        except Exception:  # noqa: BLE001  # one channel's fault is no other's
            _log.exception("a channel of SSH failed")
        finally:
            if self._chan is not None:
                self._chan.exit(status)

    async def _talk(self) -> int:
        if self._command is None:
            return await prompt.run(self)
        if self._command.split(None, 1)[:1] == ["dpb"]:
            return await commands.run_line(self, self._command)
        return await Conversation(self, self._command.strip()).run()
