"""Contact with a remote network: its mirror stream, kept open, and opened again when it ends or falls silent."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp

from dpb_framework.errors import DpbError, Unreachable
from dpb_remote.answers import shortly
from dpb_remote.backlog import Backlog
from dpb_remote.bodies import PIECE
from dpb_remote.codec import Garbled
from dpb_remote.line import Line
from dpb_remote.settings import Settings
from dpb_remote.sse import Parser

if TYPE_CHECKING:
    from dpb_remote.network import Remote

_logger = logging.getLogger("dpb.remote")

RETRY: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before each further try to reach the other broker, more or less a fifth."""

EACH: Final = 256
"""Bytes that a text counts for beside its own."""


class Contact:
    """Lives in the line's loop; what it hears is the network's, whose strand it hands everything to."""

    def __init__(self, network: Remote, line: Line, settings: Settings) -> None:
        self._network = network
        self._line = line
        self._settings = settings
        self._path = f"/networks/{quote(settings.network, safe='')}/mirror"
        self._task: Future[None] | None = None
        self._heard = False
        self.garbled: str | None = None
        """What the network could not understand: the stream is given up."""

    def start(self) -> None:
        """Begin."""
        self._task = self._line.spawn(self._keep())

    def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()

    async def _keep(self) -> None:
        tries, told = 0, ""
        while True:
            self._heard, self.garbled = False, None
            try:
                await self._follow()
                continue
            except DpbError as error:
                problem = error.problem if isinstance(error, Unreachable) else str(error)
            except TimeoutError:
                problem = "it is silent; where it is only slow, see the settings keep-alive and timeout"
            except (aiohttp.ClientError, OSError, ValueError, Garbled) as error:
                problem = shortly(error)
            except Exception as error:  # whatever it is, contact must be tried again
                problem = f"internal fault, please report it with the log: {type(error).__name__}: {shortly(error)}"
                if problem != told:  # of what fails at each try the log has one
                    _logger.exception("%s: its stream cannot be followed", self._network.where)
            tries = 1 if self._heard and self.garbled is None else tries + 1
            told = problem
            self._network.tell_lost(problem)
            await asyncio.sleep(RETRY[min(tries, len(RETRY)) - 1] * random.uniform(0.8, 1.2))

    async def _follow(self) -> None:
        """Read the stream until it is time to compare everything anew: then a new one begins at once."""
        settings, network, loop = self._settings, self._network, asyncio.get_running_loop()
        silence = 2 * settings.keep_alive
        compare = loop.time() + settings.audit_interval if settings.audit_interval else float("inf")
        path = f"{self._path}?quiet-millis={round(settings.keep_alive * 1000)}"
        async with self._line.stream(network.where, path, network.seen, settings.timeout) as content:
            parser, backlog, wholes = Parser(), Backlog(), 0
            async with _Listening(max(silence, settings.timeout)) as listening:
                while loop.time() < compare:
                    piece = await content.read(PIECE)
                    listening.heard()
                    if not piece:
                        raise Unreachable(network.where, "it ended the stream")
                    if self.garbled is not None:
                        raise Unreachable(network.where, self.garbled)
                    if said := list(parser.feed(piece)):
                        self._heard = True
                        listening.be_patient(silence)
                        size = 0
                        for one in said:
                            wholes += one.event == "whole"
                            size += EACH + len(one.data)
                        if wholes > 1:
                            self.garbled = "it tells the whole again in one stream, which no broker does"
                            raise Unreachable(network.where, self.garbled)
                        backlog.give(size)
                        network.hear(said, partial(backlog.take, size))
                    if backlog.full:
                        with listening.busy():
                            await backlog.room()
                    elif len(piece) == PIECE:  # there may be more at once: others in this loop come first
                        await asyncio.sleep(0)


class _Listening:
    """A scope that ends with `TimeoutError` when nothing was heard for *patience* seconds.

    As `asyncio.timeout` for each piece would, which costs more than reading it.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._busy = False
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._scope = asyncio.timeout(None)
        self._timer = self._loop.call_later(patience, self._look)

    def heard(self) -> None:
        """Something was heard."""
        self._last = self._loop.time()

    def be_patient(self, patience: float) -> None:
        """From now on for so many seconds."""
        if patience != self._patience:
            self._patience = patience
            self._timer.cancel()
            self._look()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Meanwhile nobody listens, so that silence is none of the other side's."""
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            self.heard()

    def _look(self) -> None:
        if self._busy:
            self.heard()
        left = self._last + self._patience - self._loop.time()
        if left <= 0:
            self._scope.reschedule(self._loop.time())
        else:
            self._timer = self._loop.call_later(left, self._look)

    async def __aenter__(self) -> _Listening:
        await self._scope.__aenter__()
        return self

    async def __aexit__(self, *caught: Any) -> None:
        self._timer.cancel()
        await self._scope.__aexit__(*caught)
