"""What happened to switches and ports, numbered, for whoever asks and waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

KEPT = 4096


class Happenings:
    """The last `KEPT` events of this run of the application. Thread-safe."""

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self._changed = threading.Condition()
        self._events: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._last = 0
        self._closed = False

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self._last

    def add(self, dpid: str, event: str, **facts: Any) -> None:
        """Number an event and wake who waits."""
        with self._changed:
            self._last += 1
            self._events.append({"number": self._last, "dpid": dpid, "event": event, **facts})
            self._changed.notify_all()

    def after(self, number: int, wait: float) -> dict[str, Any]:
        """The events after *number*: at once when there are some, else after at most *wait* seconds."""
        until = time.monotonic() + wait
        with self._changed:
            while number == self._last and not self._closed and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            oldest = self._last - len(self._events)
            answer: dict[str, Any] = {
                "instance": self.instance,
                "events": [event for event in self._events if event["number"] > number],
                "last-event": self._last,
            }
            if number > self._last or number < oldest:
                answer["resync"] = True
                answer["events"] = []
            return answer

    def close(self) -> None:
        """Let everybody go who waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
