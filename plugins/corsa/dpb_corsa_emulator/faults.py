"""Faults that are switched on: which of them a call meets."""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import Any

from attrs import asdict, define, field, frozen

from dpb_corsa_emulator.bodies import bad, fields, flag, whole

KINDS = ("latency", "race", "error", "html", "lost", "restart")
_STATUS = {"error": 500, "html": 200}
_LOGGED = 10_000


@frozen
class Fault:
    """One kind of fault, and the calls that meet it.

    `path` is a regular expression for the whole path below /api/v1/. `after` calls that match are left alone, then
    `times` calls meet the fault (None: all). `done` says whether the call is carried out all the same; `seconds` is a
    latency, or how long a restart takes; `keep` whether the configuration survives it.
    """

    kind: str
    method: str | None = None
    path: str | None = None
    after: int = 0
    times: int | None = 1
    done: bool = False
    status: int | None = None
    seconds: float = 0.0
    keep: bool = True

    def concerns(self, method: str, path: str) -> bool:
        """Whether a call is one that this is for."""
        if self.kind == "race" and method not in ("POST", "DELETE"):
            return False
        if self.method not in (None, method):
            return False
        return self.path is None or re.fullmatch(self.path, path) is not None


def fault_of(body: object) -> Fault:
    """Take a fault as an object."""
    told = fields(body, {"kind", "method", "path", "after", "times", "done", "status", "seconds", "keep"})
    kind = told.get("kind")
    if kind not in KINDS:
        raise bad(f"kind: one of {', '.join(KINDS)} is wanted")
    times = told.get("times", 1)
    return Fault(
        kind=kind,
        method=_method(told.get("method")),
        path=_path(told.get("path")),
        after=whole(told.get("after", 0), 0, 10**9, "after"),
        times=None if times is None else whole(times, 1, 10**9, "times"),
        done=flag(told.get("done", False), "done"),
        status=whole(told["status"], 200, 599, "status") if "status" in told else _STATUS.get(kind),
        seconds=seconds_of(told.get("seconds", 0)),
        keep=flag(told.get("keep", True), "keep"),
    )


def seconds_of(value: object) -> float:
    """Take a number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 3600:
        raise bad("seconds: a number from 0 to 3600 is wanted")
    return float(value)


def _method(value: object) -> str | None:
    if value is not None and value not in ("GET", "POST", "PATCH", "DELETE"):
        raise bad("method: GET, POST, PATCH or DELETE is wanted")
    return value


def _path(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise bad("path: a regular expression is wanted")
    try:
        re.compile(value)
    except re.error as fault:
        raise bad(f"path: no regular expression: {fault}") from None
    return value


@define
class _Armed:
    fault: Fault
    seen: int = 0
    met: int = 0


@define
class Call:
    """One call that was made; `status` is None where the answer was lost."""

    method: str
    path: str
    status: int | None = None
    fault: str | None = None


@define
class Faults:
    """The faults that are switched on, in order, and the calls that were made. Safe to use from several threads."""

    _armed: list[_Armed] = field(factory=list)
    _calls: deque[Call] = field(factory=lambda: deque(maxlen=_LOGGED))
    _lock: threading.Lock = field(factory=threading.Lock)

    def add(self, faults: list[Fault]) -> None:
        """Switch on."""
        with self._lock:
            self._armed.extend(_Armed(fault) for fault in faults)

    def clear(self) -> None:
        """Switch all off."""
        with self._lock:
            self._armed.clear()

    def listed(self) -> list[dict[str, Any]]:
        """All that were switched on, and how many calls met them."""
        with self._lock:
            return [{**asdict(armed.fault), "met": armed.met} for armed in self._armed]

    def take(self, method: str, path: str) -> tuple[Call, Fault | None]:
        """Note a call; gives the fault that it meets: the first that is due."""
        with self._lock:
            call = Call(method, path)
            self._calls.append(call)
            chosen = None
            for armed in self._armed:
                if not armed.fault.concerns(method, path):
                    continue
                armed.seen += 1
                over = armed.fault.times is not None and armed.met >= armed.fault.times
                if chosen is None and not over and armed.seen > armed.fault.after:
                    armed.met += 1
                    chosen = armed.fault
                    call.fault = chosen.kind
            return call, chosen

    def calls(self) -> list[dict[str, Any]]:
        """The calls, oldest first."""
        with self._lock:
            return [asdict(call) for call in self._calls]

    def forget_calls(self) -> None:
        """Begin to note calls anew."""
        with self._lock:
            self._calls.clear()
