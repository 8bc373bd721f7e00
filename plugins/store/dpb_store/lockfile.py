"""A lock file: held by whoever has it open and locked, however that process ends."""

from __future__ import annotations

import fcntl
import os
from datetime import datetime
from pathlib import Path


class Held(Exception):
    """Somebody else holds the lock; the text says who."""


class LockFile:
    """An flock on a file that says who holds it. Also excludes a second holder in the same process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the lock. `Held`, `OSError`."""
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever tidied the file away meanwhile would leave us with a lock that nobody else can see.
                if _same_file(fd, self.path):
                    os.truncate(fd, 0)
                    os.pwrite(fd, _myself().encode(), 0)
                    self._fd = fd
                    return
                os.close(fd)
            except BlockingIOError:
                holder = os.pread(fd, 200, 0).decode(errors="replace").strip()
                os.close(fd)
                raise Held(holder or "another process") from None
            except BaseException:
                os.close(fd)
                raise

    def release(self) -> None:
        """Give up the lock. Repeatable; the file stays, empty."""
        if self._fd is not None:
            os.truncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None


def _same_file(fd: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _myself() -> str:
    return f"process {os.getpid()} (since {datetime.now().astimezone().isoformat(sep=' ', timespec='seconds')})\n"
