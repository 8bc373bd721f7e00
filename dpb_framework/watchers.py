"""Telling listeners of a device's comings and goings: in order, one at a time, under no lock. For any fabric."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable

from dpb_framework.contracts import FabricEvent

Listener = Callable[[FabricEvent, str], None]

_log = logging.getLogger(__name__)


class Watchers:
    """The listeners of one device, and what a newcomer is told first.

    `post` may be called under a lock of the caller's; `drain` delivers and must not. While one thread delivers, what
    others post is delivered by it.
    """

    def __init__(self, *, up: bool) -> None:
        self._lock = threading.Lock()
        self._up = up
        self._dead: dict[str, None] = {}
        self._listeners: dict[int, Listener] = {}
        self._queue: deque[tuple[tuple[int, ...], FabricEvent, str]] = deque()
        self._delivering = False
        self._token = 0

    @property
    def up(self) -> bool:
        """Whether the last that was posted says that the device is reached."""
        return self._up

    @property
    def dead(self) -> tuple[str, ...]:
        """The ports that were posted as down."""
        with self._lock:
            return tuple(self._dead)

    def add(self, listener: Listener) -> Callable[[], None]:
        """Tell *listener* from now on; the answer ends it.

        It is told UP at once if the device is reached, and the ports that are down.
        """
        with self._lock:
            self._token += 1
            token = self._token
            self._listeners[token] = listener
            if self._up:
                self._queue.append(((token,), FabricEvent.UP, ""))
                self._queue.extend(((token,), FabricEvent.PORT_DOWN, port) for port in self._dead)
        self.drain()

        def end() -> None:
            with self._lock:
                self._listeners.pop(token, None)

        return end

    def post(self, event: FabricEvent, port: str = "") -> None:
        """Queue an event for all listeners of this moment."""
        with self._lock:
            if event is FabricEvent.PORT_DOWN:
                self._dead[port] = None
            elif event is FabricEvent.PORT_UP:
                self._dead.pop(port, None)
            else:
                self._up = event is FabricEvent.UP
            # While the device is away its ports are only remembered: the next UP tells them.
            if self._up or event is FabricEvent.DOWN:
                self._queue.append((tuple(self._listeners), event, port))
                if event is FabricEvent.UP:
                    self._queue.extend((tuple(self._listeners), FabricEvent.PORT_DOWN, dead) for dead in self._dead)

    def replace_dead(self, ports: Iterable[str]) -> None:
        """Correct what is remembered of dead ports, before UP is posted."""
        with self._lock:
            self._dead = dict.fromkeys(ports)

    def clear(self) -> None:
        """Tell nobody anything more."""
        with self._lock:
            self._listeners.clear()
            self._queue.clear()

    def drain(self) -> None:
        """Deliver what is queued."""
        while True:
            with self._lock:
                if self._delivering or not self._queue:
                    return
                self._delivering = True
                tokens, event, port = self._queue.popleft()
            try:
                self._deliver(tokens, event, port)
            finally:
                with self._lock:
                    self._delivering = False

    def _deliver(self, tokens: tuple[int, ...], event: FabricEvent, port: str) -> None:
        for token in tokens:
            listener = self._listeners.get(token)
            if listener is None:
                continue
            try:
                listener(event, port)
            except Exception:  # noqa: BLE001  # somebody else's code: it is logged, and the others are told
                _log.exception("a listener failed at %s of %r; the others are told", event.value, port)
