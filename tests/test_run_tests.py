"""`tools/run_tests.py`: what measures frames runs beside others and before them; no failure is overlooked."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parent.parent / "tools" / "run_tests.py"

# Each waits for the other: they run at the same time.
AT_ONCE = """
import os, pathlib, subprocess, sys, time, pytest

def meet(mine, other):
    pathlib.Path(mine).write_text("here")
    until = time.monotonic() + 60
    while not pathlib.Path(other).exists():
        assert time.monotonic() < until
        time.sleep(0.01)

@pytest.mark.alone
def test_alone():
    meet("alone", "beside")
    assert os.sched_getscheduler(0) == os.SCHED_RR
    assert subprocess.check_output([sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]) == b"2\\n"
    raise AssertionError("as told")

def test_beside():
    meet("beside", "alone")
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
"""


IN_TURN = """
import pathlib, pytest

@pytest.mark.alone
def test_alone():
    assert pathlib.Path("over").exists()

def test_beside():
    pathlib.Path("over").touch()
"""
ALLOWED = runpy.run_path(str(TOOL))["may_go_first"]()


@pytest.mark.skipif(not ALLOWED, reason="real-time priority is not to be had: one run comes after the other")
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


def test_without_real_time_priority_one_run_comes_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "test_them.py").write_text(IN_TURN)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    code = "import os, runpy, sys; os.sched_setscheduler = refuse = lambda *_: (_ for _ in ()).throw(PermissionError())"
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(runpy.run_path(sys.argv[1])['main']('1'))", str(TOOL)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(" 1 passed") == 2


@pytest.mark.parametrize(
    ("statuses", "status"), [((0, 0), 0), ((1, 0), 1), ((0, 1), 1), ((0, 5), 0), ((5, 0), 0), ((5, 5), 5), ((5, 2), 2)]
)
def test_the_exit_status_tells_of_all(statuses: tuple[int, int], status: int) -> None:
    assert runpy.run_path(str(TOOL))["outcome"](*statuses) == status
