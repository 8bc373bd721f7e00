"""Run the evaluation and write docs/results.md with its figures: `make bench-report`.

Each section is one `dpb bench` command. Its JSON goes to a working folder, its plot to docs/results/. With --keep what
is in the working folder already is not run again; --quick runs everything at a size that only shows that it works.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from bench_texts import blocking, fill, gap, latency, scaling, table, within

ROOT = Path(__file__).resolve().parent.parent

PAPER = "bast:complete=false"
"""The paper's rule, as it is: it refuses when it has found nothing."""

ALL = (PAPER, "bast", "exact:cost=hops", "adaptive")

ENGINED = ("exact:cost=hops", "adaptive:cost=load")

ORACLE = "exact"

QUICK_TABLE = (("BA 8", ("ba:8", "--load", "0.9", "--requests", "50", "--runs", "2"), (0, 0, 0, 0)),)

INTRODUCTION = """\
What the [bench](../plugins/pathcomp/README.md#dpb-bench-how-algorithms-are-judged) says of the algorithms, on the
paper's graphs and on real topologies. Made by `make bench-report`. Each section ends with its command, which finds the
same again wherever it is run, but for times. Times were taken with Python {python} on {cores} cores that others used
too: compare the multiples of one Dijkstra of networkx over the same graph, which was measured in the same run."""

EARLIER = """\
Before this bench the paper's rule, by hops, was compared with a complete planner that weighs trunks by hops, by
1/residual x demand, and exponentially by utilisation x demand: the four values in the second column, blocking in %.
What load meant then was not written down. So that both definitions can be compared, the load of each workload is the
one, by the definition of `dpb bench blocking`, at which the paper's rule (the first algorithm here) blocks about as
much as it did then. What is to be compared is `adaptive` with the best of the four.

Nor were the capacities of the real topologies, nor how many terminals a request on ta2 had, nor how SNDlib's demands
became requests. With 2 Gbit/s on every trunk, two to six terminals on ta2, and terminals chosen in proportion to those
demands (two to eight, with unequal rates, as in the row above), not only the values but also their ratios are found
again, the loads are near those that were noted (but for TataNld), and as many of the paper's rule's refusals are false:
then 46 % on germany50 with unequal rates, and 40 to 47 % on ta2."""

MANY = ("--requests", "1500", "--runs", "5")
ALIKE = "delay=equal,capacity=2000"

COMPARED = (PAPER, "exact:cost=hops", "exact:cost=load", "exact:cost=exponential", "adaptive")

TABLE = (
    ("BA 54, 100 Mbit/s, load 0.9", ("ba:54,delay=equal", "--load", "0.91", *MANY), (8.55, 8.65, 5.26, 6.03)),
    ("BA 128, 100 Mbit/s, 0.9", ("ba:128,delay=equal", "--load", "0.82", *MANY), (2.65, 2.92, 0.05, 0.38)),
    (
        "germany50, unequal, k 2-8, 0.7",
        (f"topohub:sndlib/germany50,{ALIKE}", "--load", "0.75", "--unequal", "--terminals", "2-8", *MANY),
        (3.55, 3.00, 0.47, 0.17),
    ),
    (
        "germany50, SNDlib's demands, 0.7",
        (f"topohub:sndlib/germany50,{ALIKE}", "--load", "0.74", "--unequal", "--terminals", "2-8", "--traffic", *MANY),
        (10.7, 8.15, 3.35, 3.00),
    ),
    (
        "ta2, unequal, 0.9",
        (f"topohub:sndlib/ta2,{ALIKE}", "--load", "0.88", "--unequal", "--terminals", "2-6", *MANY),
        (13.7, 14.3, 12.0, 11.3),
    ),
    (
        "TataNld, 200 Mbit/s, 0.7",
        (f"topohub:topozoo/TataNld,{ALIKE}", "--load", "0.48", "--rate", "200", *MANY),
        (8.47, 8.40, 6.22, 6.65),
    ),
)
"""Workloads, and what was measured before this bench, in %: the paper's rule, a complete planner by three weights."""


@frozen
class Section:
    """One command, and what the page says of its results."""

    name: str
    heading: str
    command: tuple[str, ...]
    quick: tuple[str, ...]
    text: Callable[[dict[str, Any]], Iterator[str]]
    algorithms: tuple[str, ...] = ALL


SECTIONS = (
    Section(
        "latency",
        "Establishment latency (the paper's figures 5 and 6)",
        ("latency", "--runs", "10"),
        ("latency", "--topology", "ba:6", "--topology", "ba:8", "--runs", "1", "--services", "30"),
        latency,
        ("bast",),
    ),
    Section(
        "latency-adaptive",
        "The same with the recommended algorithm",
        ("latency", "--runs", "10"),
        ("latency", "--topology", "ba:6", "--topology", "ba:8", "--runs", "1", "--services", "30"),
        latency,
        ("adaptive:engine=python",),
    ),
    Section(
        "blocking",
        "Blocking against load",
        (
            "blocking", "--topology", "ba:54", "--topology", "topohub:sndlib/germany50",
            "--load", "0.7", "--load", "0.8", "--load", "0.9", "--load", "1.0",
            "--requests", "1000", "--runs", "5",
        ),
        ("blocking", "--topology", "ba:8", "--load", "0.8", "--load", "1.0", "--requests", "50", "--runs", "2"),
        blocking,
    ),
    Section(
        "fill",
        "Until the network is full",
        ("fill", "--topology", "ba:54", "--topology", "topohub:sndlib/germany50", "--runs", "5"),
        ("fill", "--topology", "ba:8", "--runs", "2"),
        fill,
    ),
    Section(
        "gap",
        "How far from what any algorithm could do",
        ("gap", "--topology", "ba:54", "--topology", "topohub:sndlib/germany50", "--runs", "3"),
        ("gap", "--topology", "ba:8", "--requests", "40", "--runs", "2"),
        gap,
    ),
    Section(
        "scaling",
        "Planning by the number of switches",
        ("scaling", "--requests", "40", "--terminals", "2", "--terminals", "4", "--terminals", "6"),
        ("scaling", "--topology", "ba:8", "--topology", "ba:12", "--requests", "5"),
        scaling,
        ("bast", *(f"{name},engine={engine}" for name in ENGINED for engine in ("python", "numba"))),
    ),
)  # fmt: skip


# -- running ------------------------------------------------------------------------------------


class Report:
    """Runs commands and gathers the page."""

    def __init__(self, work: Path, figures: Path, *, keep: bool, quick: bool, jobs: int) -> None:
        self._work = work
        self._figures = figures
        self._keep = keep
        self._quick = quick
        self._jobs = jobs
        self.page: list[str] = []

    def section(self, section: Section) -> None:
        """Run a command and say what it found."""
        command = _with_algorithms(section.quick if self._quick else section.command, section.algorithms)
        found = self._run(section.name, command, plot=True)
        self.page += [
            f"## {section.heading}",
            f"![{section.heading}](results/{section.name}.svg)",
            *section.text(found),
        ]
        self.page += [_shown(command)]

    def earlier(self) -> None:
        """Run the workloads of the earlier table and put both beside each other."""
        rows, shown = [], []
        for number, (name, options, values) in enumerate(QUICK_TABLE if self._quick else TABLE):
            command = _with_algorithms(("blocking", "--topology", *options), COMPARED)
            found = self._run(f"table-{number}", command, plot=False)["rows"]
            shown.append(_shown(command))
            false = next(f"{row['false']} of {row['refused']}" for row in found if row["algorithm"] == PAPER)
            rows.append(
                [
                    name, " / ".join(map(str, values)), options[options.index("--load") + 1],
                    *[within(row["blocking_percent"], row["blocking_ci"]) for row in found], false,
                ]
            )  # fmt: skip
        self.page += [
            "## Beside earlier measurements",
            EARLIER,
            table(["workload", "then", "load here", *COMPARED, f"false refusals of {PAPER}"], rows),
            "\n".join(shown),
        ]

    def _run(self, name: str, command: Sequence[str], *, plot: bool) -> dict[str, Any]:
        path = self._work / f"{name}.json"
        picture = self._figures / f"{name}.svg"
        if not (self._keep and path.exists() and (picture.exists() or not plot)):
            jobs = [] if command[0] in ("latency", "scaling") else ["--jobs", str(self._jobs)]
            drawn = ["--plot", str(picture)] if plot else []
            asked = ["bench", *command, *jobs, "--json", str(path), *drawn]
            print(shlex.join(["dpb", *asked]), file=sys.stderr, flush=True)
            environment = os.environ | {"PYTHONUNBUFFERED": "1"}
            dpb = ["-P", "-c", "from dpb_framework.cli import main; main(prog_name='dpb')"]
            subprocess.run([sys.executable, *dpb, *asked], check=True, env=environment)
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found


def _with_algorithms(command: Sequence[str], algorithms: Sequence[str]) -> list[str]:
    asked = [part for name in algorithms for part in ("--algorithm", name)]
    oracle = ["--oracle", ORACLE] if command[0] == "blocking" else []
    return [command[0], *asked, *oracle, *command[1:]]


def _shown(command: Sequence[str]) -> str:
    return f"    {shlex.join(['dpb', 'bench', *command])}"


def main() -> None:
    """Run everything and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where results.md and results/ go")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "bench-report", help="where the JSON goes")
    parser.add_argument("--keep", action="store_true", help="do not run again what is in the working folder")
    parser.add_argument("--quick", action="store_true", help="only show that it works")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    for folder in (asked.work, asked.docs / "results"):
        folder.mkdir(parents=True, exist_ok=True)
    report = Report(asked.work, asked.docs / "results", keep=asked.keep, quick=asked.quick, jobs=asked.jobs)
    report.page += [
        "# Results",
        INTRODUCTION.format(python=platform.python_version(), cores=os.cpu_count()),
    ]
    for section in SECTIONS[:3]:
        report.section(section)
    report.earlier()
    for section in SECTIONS[3:]:
        report.section(section)
    (asked.docs / "results.md").write_text("\n\n".join(report.page) + "\n", "utf-8")


if __name__ == "__main__":
    main()
