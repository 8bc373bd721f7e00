"""The switch: one state, changed by one call after the other, made true in the backend, kept in the file."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from attrs import field, frozen

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

    def settle(self) -> None:
        """Wait until frames go as was told last. Called by several threads at once."""

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

    def settle(self) -> None:
        """Nothing is to be done."""

    def end(self) -> None:
        """Nothing is to be done."""


Step = Callable[[State], State]
"""A change: pure, and refused by what it raises."""


@frozen(eq=False)
class _Asked:
    """A change that waits for its turn, and what becomes of it."""

    step: Step
    done: Future[State] = field(factory=Future)


class Device:
    """One emulated switch. Safe to use from several threads.

    Changes that wait while another is carried out are carried out together after it: a backend takes about as long for
    many as for one.
    """

    def __init__(self, limits: Limits, file: Path, backend: Backend | None = None) -> None:
        self.limits = limits
        self.backend = backend or NoBackend()
        self._file = file
        self._lock = threading.Lock()
        self._asked: deque[_Asked] = deque()
        self._state = statefile.load(file)
        self._down: frozenset[str] = frozenset()
        self.backend.begin(self._state)

    @property
    def state(self) -> State:
        """What it holds now."""
        return self._state

    def change(self, step: Step) -> State:
        """Go to the state that *step* gives, and return it; where it, or the backend, fails, nothing has changed."""
        asked = _Asked(step)
        self._asked.append(asked)
        with self._lock:
            while not asked.done.done():
                self._carry_out(self._together())
        self.backend.settle()
        return asked.done.result()

    def _together(self) -> list[tuple[_Asked, State]]:
        """Take from those that wait, in order, as many as one change of the backend can be, and where each leads to."""
        taken: list[tuple[_Asked, State]] = []
        before, gone = self._state, frozenset[object]()
        while self._asked:
            try:
                after = self._asked[0].step(before)
            except Exception as refusal:  # noqa: BLE001  # told to whom it concerns, in its own thread
                self._asked.popleft().done.set_exception(refusal)
                continue
            # What was taken away and is there again is a new one: the backend has to see it gone.
            if gone & _parts(after):
                break
            taken.append((self._asked.popleft(), after))
            before, gone = after, gone | _parts(before) - _parts(after)
        return taken

    def _carry_out(self, together: list[tuple[_Asked, State]]) -> None:
        if not together:
            return
        first, after = together[0][0], together[-1][1]
        try:
            self.backend.become(self._state, after)
            statefile.save(self._file, after)
        except (BackendFault, OSError) as fault:
            if len(together) == 1:
                first.done.set_exception(fault)
                return
            # One of them cannot be, and the others are not to suffer for it: the first by itself, the rest in its turn.
            self._asked.extendleft(asked for asked, _ in reversed(together[1:]))
            self._carry_out(together[:1])
            return
        self._state = after
        for asked, state in together:
            asked.done.set_result(state)

    def restart(self, keep: bool) -> None:
        """As after a loss of power: with the configuration that it had, or without any."""
        with self._lock:
            if not keep:
                self._state = State()
                statefile.save(self._file, self._state)
            self.backend.begin(self._state)
        self.backend.settle()

    def set_port(self, port: str, up: bool) -> None:
        """Take a port's cable out, or put it back."""
        with self._lock:
            self.backend.set_port(port, up)
            self._down = self._down - {port} if up else self._down | {port}
        self.backend.settle()

    def is_up(self, port: str) -> bool:
        """Whether a port has its cable."""
        return port not in self._down

    def end(self) -> None:
        """Take everything out of the backend."""
        with self._lock:
            self.backend.end()


def _parts(state: State) -> frozenset[object]:
    """The names of bridges, and the places of tunnels."""
    places = ((name, ofport) for name, bridge in state.bridges.items() for ofport in bridge.tunnels)
    return frozenset(state.bridges).union(places)
