"""tools/run_tests.py WORKERS [ARGUMENT...]: all tests, by two runs of pytest at once.

One has those that may share the machine, in so many workers. The other has those that measure frames in time (marker
`alone`), one after the other: a neighbour that takes a core would be measured along, so until they have ended no other
test runs on the first core. Their report comes after the others' report.
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


def descendants(of: int) -> set[int]:
    """A process and all that came of it and is still there."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
    found, more = {of}, {of}
    while more:
        more = {process for process, parent in parents.items() if parent in more} - found
        found |= more
    return found


def cores() -> set[int]:
    """Those that we may run on; none are told where the data plane cannot be, either."""
    return os.sched_getaffinity(0) if sys.platform == "linux" else set()


def keep_to(these: set[int], of: int) -> None:
    """Let a process, with all that came of it, run on these cores only; what comes of them later inherits that."""
    if not these or sys.platform != "linux":
        return
    for process in descendants(of):
        for task in Path(f"/proc/{process}/task").glob("*"):
            try:
                os.sched_setaffinity(int(task.name), these)
            except OSError:
                continue


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
    every = cores()
    others = every - set(sorted(every)[:1]) or every
    with tempfile.TemporaryDirectory(prefix="dpb-test-") as folder:
        report = Path(folder) / "alone"
        with report.open("wb") as output:
            alone = subprocess.Popen(
                [*pytest, "-m", "alone", *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
            )  # fmt: skip
        beside = subprocess.Popen(
            [*pytest, "-n", workers, "--dist", "loadgroup", "-m", "not alone", *arguments], env=environment
        )
        keep_to(others, beside.pid)
        try:
            while beside.poll() is None and alone.poll() is None:
                time.sleep(0.05)
            if beside.poll() is None:
                keep_to(every, beside.pid)
            statuses = [beside.wait(), follow(alone, report)]
        except KeyboardInterrupt:
            # Both have had it from the terminal, too, and clean up.
            beside.wait()
            follow(alone, report)
            return 128 + signal.SIGINT
    return outcome(*statuses)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
