"""`dpb serve` as a process that ends with the test, whatever becomes of that."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

PATIENCE = 60.0
"""Seconds to wait for what takes one or two on an idle machine."""

LAUNCH = Path(__file__).with_name("launch.py")


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until *condition* holds, asking again and again; fail with *what* when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


class Serving:
    """One life of a broker. It is loaded at once and begins at `go`, so that the next life can stand ready."""

    def __init__(self, folder: Path, config: Path, life: int = 0) -> None:
        self.where = folder / f"addresses-{life}"
        self.log = folder / f"log-{life}"
        command = [sys.executable, str(LAUNCH), "serve", str(config), "--port-file", str(self.where)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder, start_new_session=True
            )

    def __enter__(self) -> Serving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def go(self) -> Serving:
        """Begin to serve; returns at once."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(b"go\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise AssertionError(f"the broker did not start: {self.said}") from error
        return self

    def ready(self) -> str:
        """Wait until it answers and return the URL of its first interface."""
        until(lambda: self.where.exists() or self.process.poll() is not None, "the broker does not come up")
        assert self.process.poll() is None, f"the broker ended with {self.process.returncode}: {self.said}"
        _, url, *_ = self.where.read_text().split()
        return url

    @property
    def said(self) -> str:
        """What it logged."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End it as a loss of power does, and wait until it is gone. Repeatable."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        if self.process.stdin is not None:
            self.process.stdin.close()

    def terminate(self) -> int:
        """End it in good order; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.kill()
