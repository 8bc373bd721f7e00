"""The listener `webhook`: tells a URL what becomes of services. The pattern of a listener that talks to others.

`tell_event` runs in a worker of the kernel, so it only puts the event into a queue; a thread of the listener's own
sends, in order, and tries again while the receiver is away. The queue is bounded: what does not fit is counted and
told in the next message, and the receiver finds it in the broker's own events by their numbers.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from itertools import chain, repeat
from typing import Any
from urllib.parse import urlsplit

import requests

from dpb_framework.errors import ConfigInvalid
from dpb_framework.hookspecs import hookimpl
from dpb_framework.model import Event, EventKind, Status

_log = logging.getLogger("dpb_policy.webhook")

_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds before each further try."""


class Webhook:
    """Posts each change of a service's status as JSON: `{"network", "number", "service", "status", "error", "missed"}`.

    `url` gets the posts; `token`, if given, goes along as bearer token (take it from a file: `{ file = "…" }`).
    `statuses` restricts it to some. `timeout` is seconds for one post, `queue` how many events wait at the most.
    Delivery is at least once and in order while the broker runs; any answer below 300 counts as delivered, 4xx but
    408 and 429 as refused, which is logged and not tried again.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        statuses: list[str] | None = None,
        timeout: int | float = 5,
        queue: int = 10_000,
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ConfigInvalid("url", "expected a URL that begins with http:// or https://")
        for status in statuses or ():
            if status not in Status.__members__:
                raise ConfigInvalid("statuses", f"{status!r} is no status; there are {', '.join(Status.__members__)}")
        if queue < 1 or timeout <= 0:
            raise ConfigInvalid("queue" if queue < 1 else "timeout", "expected a number above 0")
        self._url, self._token, self._timeout, self._most = url, token, timeout, queue
        self._statuses = frozenset(statuses or Status.__members__)
        self._last: dict[tuple[str, int], str] = {}
        self._waiting: deque[dict[str, Any]] = deque()
        self._missed = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None

    @hookimpl
    def tell_event(self, network: str, event: Event) -> None:
        """Queue a change of status; never blocks."""
        if event.kind is not EventKind.SERVICE:
            return
        key, status = (network, event.data["id"]), event.data["status"]
        with self._changed:
            if self._last.get(key) == status:
                return  # something else of the service changed
            self._last[key] = status
            if status == Status.RELEASED.value:
                del self._last[key]
            if status not in self._statuses or self._stopped:
                return
            if len(self._waiting) >= self._most:
                self._waiting.popleft()
                self._missed += 1
            facts = {"service": event.data["id"], "status": status, "error": event.data.get("error")}
            self._waiting.append({"network": network, "number": event.number, **facts})
            if self._thread is None:
                self._thread = threading.Thread(target=self._send_all, name="dpb-webhook", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """Send what can be sent within one time-out, and end. Called when the broker stops; repeatable."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
            thread = self._thread
        if thread is not None:
            thread.join(self._timeout + 1)

    def _send_all(self) -> None:
        with requests.Session() as session:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._stopped)
                    if not self._waiting:
                        return
                    facts = self._waiting.popleft()
                if not self._deliver(session, facts):
                    _log.warning("%d events were not delivered", len(self._waiting) + 1)
                    return

    def _deliver(self, session: requests.Session, facts: dict[str, Any]) -> bool:
        """Send until it is dealt with; False when the listener is stopped before."""
        for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
            missed = self._missed
            if self._send(session, {**facts, "missed": missed}):
                with self._changed:
                    self._missed -= missed
                return True
            with self._changed:
                if self._changed.wait_for(lambda: self._stopped, pause):
                    return False
        raise AssertionError("pauses never end")

    def _send(self, session: requests.Session, message: dict[str, Any]) -> bool:
        """Whether the message is dealt with."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            answer = session.post(self._url, json=message, headers=headers, timeout=self._timeout)
        except requests.RequestException as error:
            _log.warning("the webhook's receiver is away: %s; it is tried again", type(error).__name__)
            return False
        if answer.status_code in (408, 429) or answer.status_code >= 500:
            _log.warning("the webhook's receiver answers %d; it is tried again", answer.status_code)
            return False
        if answer.status_code >= 300:
            _log.error("the webhook's receiver refuses an event with %d: it is not sent again", answer.status_code)
        return True
