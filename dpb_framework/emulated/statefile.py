"""The file in which a device process keeps its devices: written whole, atomically, durably."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dpb_framework.errors import DpbError, StoreInvalid, StoreLocked

VERSION = 1


class StateFile:
    """One file, held by one process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = -1

    def claim(self) -> None:
        """Take the file for this process; `StoreLocked` when another one has it, `StoreInvalid` when it cannot be."""
        beside = self._path.with_name(self._path.name + ".lock")
        try:
            self._lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreLocked(str(self._path), "another device process") from None
        except OSError as error:
            raise StoreInvalid(
                str(self._path), f"{error.strerror}; name a file in a folder that can be written"
            ) from None

    def load(self, restore: Callable[[dict[str, Any]], None]) -> None:
        """Hand what is kept to *restore*, if there is a file. `StoreInvalid` when it is not understood."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreInvalid(str(self._path), str(error.strerror)) from None
        try:
            kept = json.loads(text)
            if kept["version"] != VERSION:
                raise ValueError("another version wrote it")
            restore(kept["devices"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, DpbError) as error:
            problem = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise StoreInvalid(
                str(self._path), f"it is damaged ({problem}); move it away to start with empty devices"
            ) from None

    def save(self, devices: dict[str, Any]) -> None:
        """Keep *devices*; it is on the disk when this returns. Blocks. `OSError`."""
        beside = self._path.with_name(self._path.name + ".new")
        with open(beside, "wb") as file:
            file.write(json.dumps({"version": VERSION, "devices": devices}, separators=(",", ":")).encode())
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Keeper:
    """Keeps changes in groups: those that come while one write goes on share the next one."""

    def __init__(self, file: StateFile | None, snapshot: Callable[[], dict[str, Any]]) -> None:
        self._file = file
        self._snapshot = snapshot
        self._changes = 0
        self._kept = 0
        self._writing = asyncio.Lock()

    @property
    def idle(self) -> bool:
        """Whether all that changed is kept."""
        return self._file is None or self._kept >= self._changes

    def changed(self) -> None:
        """Note that something changed."""
        self._changes += 1

    async def kept(self) -> None:
        """Wait until all that has changed so far is kept. `OSError` when it cannot be."""
        wanted = self._changes
        while self._file is not None and self._kept < wanted:
            async with self._writing:
                if self._kept >= wanted:
                    return
                upto = self._changes
                await asyncio.to_thread(self._file.save, self._snapshot())
                self._kept = upto
