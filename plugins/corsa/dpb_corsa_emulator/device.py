"""The switch: one state, changed by one call at a time, made true in the backend, kept in the file."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dpb_corsa_emulator import statefile
from dpb_corsa_emulator.documents import Connection
from dpb_corsa_emulator.values import Limits, State


class BackendFault(Exception):
    """The backend cannot do what is asked; one line."""


class Backend(Protocol):
    """What carries frames. Raises `BackendFault`."""

    def become(self, before: State, after: State) -> None:
        """Go from one state to the next; on a fault all is as before."""

    def begin(self, state: State) -> None:
        """Start anew with *state*, whatever was there."""

    def connection(self, name: str, identity: str) -> Connection:
        """How a bridge stands with a controller."""

    def set_port(self, port: str, up: bool) -> None:
        """Take a port's cable out, or put it back."""

    def end(self) -> None:
        """Remove everything: the emulator ends."""


class NoBackend:
    """Carries nothing, and never reaches a controller."""

    def become(self, before: State, after: State) -> None:
        """Nothing is to be done."""

    def begin(self, state: State) -> None:
        """Nothing is to be done."""

    def connection(self, name: str, identity: str) -> Connection:
        """Not connected."""
        return Connection()

    def set_port(self, port: str, up: bool) -> None:
        """Nothing is to be done."""

    def end(self) -> None:
        """Nothing is to be done."""


class Device:
    """One emulated switch. Safe to use from several threads."""

    def __init__(self, limits: Limits, file: Path, backend: Backend | None = None) -> None:
        self.limits = limits
        self.backend = backend or NoBackend()
        self._file = file
        self._lock = threading.Lock()
        self._state = statefile.load(file)
        self._down: frozenset[str] = frozenset()
        self.backend.begin(self._state)

    @property
    def state(self) -> State:
        """What it holds now."""
        return self._state

    def change(self, step: Callable[[State], State]) -> State:
        """Go to the state that *step* gives; where it, or the backend, fails, nothing has changed."""
        with self._lock:
            before = self._state
            after = step(before)
            self.backend.become(before, after)
            statefile.save(self._file, after)
            self._state = after
            return after

    def restart(self, keep: bool) -> None:
        """As after a loss of power: with the configuration that it had, or without any."""
        with self._lock:
            if not keep:
                self._state = State()
                statefile.save(self._file, self._state)
            self.backend.begin(self._state)

    def set_port(self, port: str, up: bool) -> None:
        """Take a port's cable out, or put it back."""
        with self._lock:
            self.backend.set_port(port, up)
            self._down = self._down - {port} if up else self._down | {port}

    def is_up(self, port: str) -> bool:
        """Whether a port has its cable."""
        return port not in self._down

    def end(self) -> None:
        """Take everything out of the backend."""
        with self._lock:
            self.backend.end()
