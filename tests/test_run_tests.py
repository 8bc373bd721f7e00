"""`tools/run_tests.py`: what measures frames runs beside others, which keep off a core; no failure is overlooked."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from .crash.serving import until

TOOL = Path(__file__).resolve().parent.parent / "tools" / "run_tests.py"

# Each waits for the other: they run at the same time.
AT_ONCE = """
import pathlib, time, pytest

def meet(mine, other):
    pathlib.Path(mine).write_text("here")
    until = time.monotonic() + 60
    while not pathlib.Path(other).exists():
        assert time.monotonic() < until
        time.sleep(0.01)

@pytest.mark.alone
def test_alone():
    meet("alone", "beside")
    raise AssertionError("as told")

def test_beside():
    meet("beside", "alone")
"""
# A process and its child, which say so and end with their input.
TWO = "import os; pid = os.fork(); os.write(1, b'.'); os.read(0, 1); pid and os.waitpid(pid, 0)"


def test_the_others_run_meanwhile_and_a_failure_of_either_counts(tmp_path: Path) -> None:
    (tmp_path / "test_them.py").write_text(AT_ONCE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    ran = subprocess.run(
        [sys.executable, str(TOOL), "1", "-p", "no:cacheprovider"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
    )  # fmt: skip
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert " 1 passed in" in ran.stdout
    assert "as told" in ran.stdout
    assert ran.stdout.index(" 1 passed in") < ran.stdout.index(" 1 failed, ")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody is kept to cores")
def test_a_process_is_kept_to_its_cores_with_all_that_came_of_it() -> None:
    tool = runpy.run_path(str(TOOL))
    with subprocess.Popen([sys.executable, "-c", TWO], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as two:
        assert two.stdin is not None
        assert two.stdout is not None
        assert two.stdout.read(2) == b".."
        both = tool["descendants"](two.pid)
        assert len(both) == 2
        core = {max(os.sched_getaffinity(0))}

        def kept() -> bool:
            # These tests are kept to cores themselves, and let go: whoever does that may be in between.
            tool["keep_to"](core, two.pid)
            return all(os.sched_getaffinity(process) == core for process in both)

        until(kept, "they are not kept to a core")
        two.stdin.close()


@pytest.mark.parametrize(
    ("statuses", "status"), [((0, 0), 0), ((1, 0), 1), ((0, 1), 1), ((0, 5), 0), ((5, 0), 0), ((5, 5), 5), ((5, 2), 2)]
)
def test_the_exit_status_tells_of_all(statuses: tuple[int, int], status: int) -> None:
    assert runpy.run_path(str(TOOL))["outcome"](*statuses) == status
