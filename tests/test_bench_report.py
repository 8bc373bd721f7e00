"""`make bench-report`, at a size that only shows that it works: a page, its figures, and the commands of each."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def report(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = ["--docs", str(base / "docs"), "--work", str(base / "work")]
    command = [sys.executable, str(ROOT / "tools" / "bench_report.py"), "--quick", "--jobs", "1", *where, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.xdist_group("bench")
def test_the_report_is_a_page_with_figures_and_made_again_from_what_is_there(tmp_path: Path) -> None:
    ran = report(tmp_path)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    page = (tmp_path / "docs" / "results.md").read_text("utf-8")
    for name in re.findall(r"\]\((results/[^)]+)\)", page):
        assert (tmp_path / "docs" / name).read_bytes().startswith(b"<?xml")
    assert {path.stem for path in (tmp_path / "docs" / "results").iterdir()} == set(re.findall(r"/([\w-]+)\.svg", page))
    commands = re.findall(r"^    dpb bench (\w+) ", page, re.MULTILINE)
    assert set(commands) == {"blocking", "fill", "gap", "latency", "scaling"}
    again = report(tmp_path, "--keep")
    assert again.returncode == 0, again.stderr[-4000:]
    assert again.stderr == ""  # nothing was run
    assert (tmp_path / "docs" / "results.md").read_text("utf-8") == page
