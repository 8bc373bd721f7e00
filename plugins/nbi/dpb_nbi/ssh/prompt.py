"""A plain prompt for people: one line, one command of `dpb`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from dpb_nbi.ssh import commands, limits
from dpb_nbi.ssh.line import Line
from dpb_nbi.ssh.shell import ALLOWED

if TYPE_CHECKING:
    from dpb_nbi.ssh.channel import Channel

_PROMPT: Final = b"dpb> "
_WELCOME: Final = f"DataPlane Broker. Commands: {', '.join(ALLOWED)}; help; exit."
_END: Final = frozenset({"exit", "quit", "logout"})


async def run(channel: Channel) -> int:
    """Run the lines that the client sends, until it has enough; return the last one's exit status."""
    status = 0
    if channel.width:
        await channel.tell(_WELCOME)
        await channel.write(_PROMPT)
    async for line in _typed(channel) if channel.width else _piped(channel):
        words = line.split()
        if words[:1] and words[0] in _END:
            break
        if words and not words[0].startswith("#"):
            status = await commands.run_line(channel, "--help" if words == ["help"] else line)
        if channel.width:
            await channel.write(_PROMPT)
    return status


async def _piped(channel: Channel) -> AsyncIterator[str]:
    while line := await channel.inlet.line(limits.MAX_COMMAND):
        yield line.decode("utf-8", "replace").strip()
    if line is None:
        await channel.tell("dpb: the line is too long")


async def _typed(channel: Channel) -> AsyncIterator[str]:
    typing = Line()
    while True:
        try:
            async with asyncio.timeout(limits.PROMPT_SECONDS):
                data = await channel.inlet.some(4096)
        except TimeoutError:
            await channel.tell("")
            await channel.tell("dpb: nothing was typed for a long time")
            return
        if not data:
            return
        shown, lines = typing.keys(data)
        if shown:
            await channel.write(shown.encode())
        for line in lines:
            if line is None:
                await channel.tell("")
                return
            yield line
