"""Contact with a switch and its controller application: both are asked every few seconds, listeners are told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from attrs import frozen

from dpb_framework.contracts import FabricEvent
from dpb_framework.errors import DpbError
from dpb_framework.watchers import Watchers

_log = logging.getLogger("dpb.corsa")

_SOON = 0.1


@frozen
class Look:
    """What one look found: which run of the application it is, ports without a signal, whether something was lost."""

    instance: str
    dead: frozenset[str]
    lost: bool


class Contact:
    """A thread that calls *look* every *interval* seconds. What *look* raises is that contact is lost."""

    def __init__(self, look: Callable[[], Look], interval: float, where: str) -> None:
        self._look = look
        self._interval = interval
        self._where = where
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"contact with {where}", daemon=True)
        self.watchers = Watchers(up=False)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Tell nobody anything more, and end when a look under way is over."""
        self.watchers.clear()
        self._ended.set()
        self._wake.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def soon(self) -> None:
        """Look again at once: a command found that something is not as it was."""
        self._wake.set()

    def _run(self) -> None:
        instance: str | None = None
        problem = ""
        while not self._ended.is_set():
            self._wake.clear()
            watchers = self.watchers
            try:
                look = self._look()
            except Exception as error:  # noqa: BLE001  # nobody else would tell of the switch any more
                if self._ended.is_set():
                    return
                if repr(error) != problem:
                    if isinstance(error, DpbError):
                        _log.warning("%s", error)
                    else:
                        _log.exception("%s: contact is lost", self._where)
                problem = repr(error)
                if watchers.up:
                    watchers.post(FabricEvent.DOWN)
            else:
                problem = ""
                if not watchers.up or look.lost or instance != look.instance:
                    watchers.replace_dead(sorted(look.dead))
                    watchers.post(FabricEvent.UP)
                else:
                    self._tell_ports(look.dead)
                instance = look.instance
            if not self._ended.is_set():
                watchers.drain()
            # Whoever asks for a look at once, again and again, must not keep the switch busy.
            self._ended.wait(_SOON)
            self._wake.wait(self._interval)

    def _tell_ports(self, dead: frozenset[str]) -> None:
        known = set(self.watchers.dead)
        for port in sorted(dead - known):
            self.watchers.post(FabricEvent.PORT_DOWN, port)
        for port in sorted(known - dead):
            self.watchers.post(FabricEvent.PORT_UP, port)
