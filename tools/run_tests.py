"""tools/run_tests.py WORKERS [ARGUMENT...]: all tests, by two runs of pytest at once.

One has those that may share the machine, in so many workers. The other has those that measure frames in time (marker
`alone`), one after the other: a neighbour that takes a core would be measured along, so they, and all that they start,
have real-time priority: whatever else runs gives way at once. They mostly wait, so the others lose little by it. Where
real-time priority is not to be had they run when the others have ended. Their report comes after the others' report.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NONE = 5
"""pytest's exit status where nothing was chosen, as with the name of one file."""


def may_go_first() -> bool:
    """Whether a process of ours may have real-time priority; asked by having it for a moment."""
    if sys.platform != "linux":
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


def go_first() -> None:
    """Let this process, and all that comes of it, run before all others."""
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def follow(run: subprocess.Popen[bytes], report: Path) -> int:
    """Show what a run has reported, and what it reports until its end; returns its exit status."""
    with report.open("rb") as text:
        while True:
            over = run.poll()
            shutil.copyfileobj(text, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            if over is not None:
                return over
            time.sleep(0.05)


def outcome(*statuses: int) -> int:
    """The exit status of all, of the statuses of each."""
    return next((status for status in statuses if status not in (0, NONE)), min(statuses))


def main(workers: str, *arguments: str) -> int:
    """Run all; returns the exit status."""
    # Hundreds of processes are started: they need not compile the same again.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    pytest = [sys.executable, "-m", "pytest"]
    apart = [*pytest, "-m", "alone", *arguments]
    beside = [*pytest, "-n", workers, "--dist", "loadgroup", "-m", "not alone", *arguments]
    if not may_go_first():
        return outcome(*(subprocess.run(run, env=environment, check=False).returncode for run in (beside, apart)))
    with tempfile.TemporaryDirectory(prefix="dpb-test-") as folder:
        report = Path(folder) / "alone"
        with report.open("wb") as output:
            alone = subprocess.Popen(
                apart, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, preexec_fn=go_first
            )
        others = subprocess.Popen(beside, env=environment)
        try:
            statuses = [others.wait(), follow(alone, report)]
        except KeyboardInterrupt:
            # Both have had it from the terminal, too, and clean up.
            others.wait()
            follow(alone, report)
            return 128 + signal.SIGINT
    return outcome(*statuses)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
