"""What computes for long stands aside for what is short: `precedence/cases.py`, in a process without other steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CASES = Path(__file__).parent / "precedence" / "cases.py"


def test_who_goes_first() -> None:
    """Steps are counted for the whole process: others' threads would count along, and lose count of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(CASES)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]
    assert " passed" in ran.stdout
