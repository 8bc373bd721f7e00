"""The audit log: one line of JSON for each order, written by a thread of its own, whatever became of the order."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dpb_framework.errors import ConfigInvalid, DpbError
from dpb_nbi.access.identity import Identity
from dpb_nbi.access.orders import Order
from dpb_nbi.access.registry import now

_log = logging.getLogger("dpb_nbi")
_lines = logging.getLogger("dpb.audit")

_AT_ONCE: Final = 1000
"""How many lines are written at once, at the most."""
_JOIN: Final = 2.5
_SUBJECTS: Final = ("service", "terminal", "trunk", "vpn", "user", "token", "key")


class Entry:
    """An order that is under way; `end` tells what became of it."""

    def __init__(self, audit: Audit, plain: dict[str, Any]) -> None:
        self._audit = audit
        self.plain = plain

    def end(self, error: BaseException | None, made: Mapping[str, Any] | None = None) -> None:
        """It was refused or failed with *error*, or was done; *made* names what it made."""
        self.plain.update(made or {})
        code = "ok" if error is None else error.code if isinstance(error, DpbError) else "internal"
        self._audit.write(self, code)


class Audit:
    """Where the lines go: the file at *path*, else the log `dpb.audit`. Nothing here blocks but `close`.

    A file that is moved away (as logrotate does) is made anew. Lines that cannot be written to it go to the log.
    """

    def __init__(self, path: str = "", via: str = "rest") -> None:
        self._path = Path(path) if path else None
        self._via = via
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._open: dict[Entry, None] = {}
        self._closed = False
        self._file = -1
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="dpb-audit", daemon=True)

    def start(self) -> None:
        """Open the file and begin. `ConfigInvalid` when it cannot be written."""
        if self._path is not None:
            try:
                self._reopen(self._path)
            except OSError as error:
                raise ConfigInvalid("audit", f"{self._path} cannot be written: {error.strerror}") from error
        self._thread.start()

    def begin(self, who: Identity, order: Order) -> Entry:
        """Write down that *who* gave *order*; it is told once it ended."""
        plain: dict[str, Any] = {
            "at": now().isoformat(timespec="milliseconds"),
            "who": who.name,
            "credential": who.credential,
            "from": who.source,
            "via": who.via or self._via,
            "command": order.kind.name,
            "network": order.network,
        }
        plain.update((name, value) for name in _SUBJECTS if (value := getattr(order, name)) is not None)
        entry = Entry(self, plain)
        with self._lock:
            self._open[entry] = None
        return entry

    def write(self, entry: Entry, result: str) -> None:
        """Write *entry* with its *result*; once."""
        with self._lock:
            if entry not in self._open:
                return
            del self._open[entry]
        self._queue.put(json.dumps({**entry.plain, "result": result}, ensure_ascii=True, separators=(",", ":")))

    def close(self) -> None:
        """Write all that is still to be written, and end. What is under way is told as `unsettled`."""
        for entry in list(self._open):
            self.write(entry, "unsettled")
        if self._closed or not self._thread.is_alive():
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join(_JOIN)
        if self._thread.is_alive():
            _log.error("the audit log was not written to its end within %g s", _JOIN)

    # -- the thread

    def _run(self) -> None:
        more = True
        while more:
            lines, more = self._taken()
            if self._path is None or not self._written(self._path, lines):
                for line in lines:
                    _lines.info("%s", line)
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.fsync(self._file)
            os.close(self._file)

    def _taken(self) -> tuple[list[str], bool]:
        """Wait for lines and take those that are there; False when they are the last."""
        lines: list[str] = []
        line = self._queue.get()
        while line is not None:
            lines.append(line)
            if len(lines) >= _AT_ONCE:
                return lines, True
            try:
                line = self._queue.get_nowait()
            except queue.Empty:
                return lines, True
        return lines, False

    def _written(self, path: Path, lines: list[str]) -> bool:
        rest = "".join(f"{line}\n" for line in lines).encode("ascii")
        try:
            if self._is_moved(path):
                self._reopen(path)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            if not self._failing:
                _log.error("the audit log %s cannot be written, its lines go to this log: %s", path, error.strerror)
            self._failing = True
            return False
        self._failing = False
        return True

    def _is_moved(self, path: Path) -> bool:
        try:
            here = path.stat()
        except FileNotFoundError:
            return True
        there = os.fstat(self._file)
        return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)

    def _reopen(self, path: Path) -> None:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file = file
