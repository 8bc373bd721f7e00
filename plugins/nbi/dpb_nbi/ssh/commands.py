"""The commands of `dpb` for whoever has logged in: each a process of its own, bounded in number and time.

What it may reach is REST of this broker, with a token that stands for the user while the command runs. No secret is in
its arguments, and nothing of the broker's environment in its own but what a program needs to run at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from dpb_nbi.access import Access
from dpb_nbi.ssh import limits

if TYPE_CHECKING:
    from dpb_nbi.ssh.channel import Channel

_ENVIRONMENT: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
_PIECE: Final = 1 << 15
_PATIENCE: Final = 2.0
"""Seconds for a command to end when it is told to."""
TOO_MANY: Final = 75
"""The exit status when too many commands run: try again later (EX_TEMPFAIL)."""
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def local(url: str) -> str:
    """Return *url* with an address to which one can connect where it names all of this machine's."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host not in _ANY:
        return url
    there = _ANY[host]
    return urlunsplit(parts._replace(netloc=f"[{there}]:{parts.port}" if ":" in there else f"{there}:{parts.port}"))


class Commands:
    """Which commands run, for whom, and where they find REST."""

    def __init__(self, access: Access, url: str, authority: str) -> None:
        self._access = access
        self._url = url
        self._authority = authority
        self._running: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """Where REST answers; empty when there is none."""
        return self._url or next((local(url) for url in self._access.rest), "")

    def take(self, user: str) -> bool:
        """Count one more command; False when there are too many."""
        if self._running.total() >= limits.COMMANDS or self._running[user] >= limits.COMMANDS_EACH:
            return False
        self._running[user] += 1
        return True

    def give_back(self, user: str) -> None:
        """One has ended."""
        self._running[user] -= 1
        if not self._running[user]:
            del self._running[user]

    def environment(self, token: str, width: int) -> dict[str, str]:
        """Return the environment of a command."""
        found = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        found |= {"DPB_URL": self.url, "DPB_TOKEN": token, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        if self._authority:
            found["DPB_CA"] = self._authority
        if width:
            found["COLUMNS"] = str(width)
        return found


async def run_line(channel: Channel, line: str) -> int:
    """Run a line such as `dpb service list`, `dpb` left out or not; return the exit status."""
    if len(line) > limits.MAX_COMMAND or "\0" in line:
        await channel.tell("dpb: the command is too long, or holds what no command does")
        return 2
    try:
        words = shlex.split(line)
    except ValueError as error:
        await channel.tell(f"dpb: the command cannot be understood: {str(error).lower()}")
        return 2
    return await _run(channel, words[1:] if words[:1] == ["dpb"] else words)


async def _run(channel: Channel, words: list[str]) -> int:
    house, who = channel.house, channel.who
    if not house.commands.url:
        await channel.tell('dpb: the commands need REST, and this broker has none: give it [[nbi]] kind = "rest"')
        return 1
    if not who.alive():
        await channel.tell("dpb: the credential of this connection holds no more; connect again")
        return 1
    if not house.commands.take(who.name):
        await channel.tell("dpb: too many commands run at once; try again in a moment")
        return TOO_MANY
    channel.interrupted.clear()
    token = house.access.login.lend(who)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "dpb_nbi.ssh.shell",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=house.commands.environment(token, channel.width),
            cwd="/",
            start_new_session=True,
        )
        return await _follow(channel, process)
    finally:
        house.access.login.take_back(token)
        house.commands.give_back(who.name)


async def _follow(channel: Channel, process: asyncio.subprocess.Process) -> int:
    """Pass on what it says, end it when it is interrupted or its time is over, and return its exit status."""
    assert process.stdout is not None
    assert process.stderr is not None
    pumps = [
        asyncio.ensure_future(_pump(process.stdout, channel)),
        asyncio.ensure_future(_pump(process.stderr, channel, error=True)),
    ]
    ended = asyncio.ensure_future(_ended(pumps, process))
    told = [asyncio.ensure_future(event.wait()) for event in (channel.interrupted, channel.stopping)]
    try:
        limit = limits.COMMAND_SECONDS
        done, _ = await asyncio.wait([ended, *told], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            await channel.tell(f"dpb: the command took longer than {limit:g} s")
        if ended not in done:
            _signal(process, signal.SIGINT)
            await asyncio.wait([ended], timeout=_PATIENCE)
        if ended.done():
            ended.result()  # a client that is gone
        status = process.returncode
        return 130 if status is None else 128 - status if status < 0 else status
    finally:
        for future in (ended, *told, *pumps):
            future.cancel()
        _signal(process, signal.SIGKILL)
        await asyncio.shield(process.wait())


async def _ended(pumps: list[asyncio.Task[None]], process: asyncio.subprocess.Process) -> None:
    await asyncio.gather(*pumps)
    await process.wait()


async def _pump(stream: asyncio.StreamReader, channel: Channel, *, error: bool = False) -> None:
    while piece := await stream.read(_PIECE):
        await channel.write(piece.replace(b"\n", b"\r\n") if channel.width else piece, error=error)


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
