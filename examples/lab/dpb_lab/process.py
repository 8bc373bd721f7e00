"""Child processes that end with the lab, whatever becomes of it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

PATIENCE = 30.0
"""Seconds to wait for what takes a moment on an idle machine."""

GENTLE = 5.0
"""Seconds that a process has to end in good order."""


class LabError(Exception):
    """The lab cannot do what was asked of it; the text says what, where and why, in one line."""


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until *condition* holds, asking again and again; `LabError` with *what* when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"{what} (waited {seconds:g} s)")
        time.sleep(0.005)


def run(command: Sequence[str], *, env: Mapping[str, str] | None = None, given: str | None = None) -> str:
    """Run a command to its end and return what it printed; `LabError` when it fails."""
    done = subprocess.run(command, env=env, input=given, capture_output=True, text=True, check=False, timeout=PATIENCE)
    if done.returncode != 0:
        said = " ".join((done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").split())
        raise LabError(f"{' '.join(command)}: {said[-300:]}")
    return done.stdout


def bound(command: Sequence[str]) -> list[str]:
    """The command, to be started so that the kernel kills the process when the thread that started it ends."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *command]


def sooner(command: Sequence[str]) -> list[str]:
    """The command, to be scheduled before others where that is allowed: for what carries or measures frames."""
    return ["nice", "-n", "-10", *command]


class Child:
    """A process of the lab's. It has a session of its own: Ctrl-C is for the lab, which then ends it in good order."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        name: str = "",
        pipes: bool = False,
    ) -> None:
        self.name = name or Path(command[0]).name
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                bound(command),
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else out,
                stderr=out,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe to it (with `pipes`)."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe from it (with `pipes`)."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def said(self) -> str:
        """What it logged."""
        return self.log.read_text("utf-8", "replace")

    def expect(self, condition: Callable[[], object], what: str) -> None:
        """Wait until *condition* holds; `LabError` with its last words when the process ends before."""
        until(lambda: condition() or not self.alive, f"{self.name}: {what}; see {self.log}")
        if not self.alive:
            lines = self.said.strip().splitlines()
            raise LabError(f"{self.name} ended: {lines[-1] if lines else 'without a word'}")

    def signal(self, number: int) -> None:
        """Send it a signal; nothing where it has ended."""
        if self.alive:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a loss of power does, and wait until it is gone. Repeatable."""
        self.signal(signal.SIGKILL)
        self._gone(None)

    def terminate(self, patience: float = GENTLE) -> int:
        """End it in good order, or else by force; return its exit status. Repeatable."""
        self.signal(signal.SIGTERM)
        try:
            self._gone(patience)
        except subprocess.TimeoutExpired:
            self.kill()
        return self._process.returncode

    def _gone(self, patience: float | None) -> None:
        self._process.wait(patience)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
