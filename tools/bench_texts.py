"""What docs/results.md says of the results of `dpb bench`: a function for each command, from its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Rows = list[dict[str, Any]]


def table(heading: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table of Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def figure(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits."""
    return "-" if value is None else f"{value:.{digits}g}" if abs(value) < 1000 else f"{value:.0f}"


def within(mean: float, half: float | None) -> str:
    """Return a mean with its interval."""
    return figure(mean) if half is None else f"{figure(mean)} ± {figure(half, 2)}"


def verdict(held: bool) -> str:
    """Return whether an aim is reached."""
    return "held" if held else "**missed**"


# -- what the page says -------------------------------------------------------------------------


def latency(found: dict[str, Any]) -> Iterator[str]:
    """Figures 5 and 6 of the paper, and what it says of them."""
    yield table(
        ["topology", "algorithm", "establishment, us", "in Dijkstras", "planning alone, us", "in Dijkstras"],
        [
            [
                row["topology"], row["algorithm"],
                f"{figure(row['cpu_median_us'])} / {figure(row['cpu_p95_us'])}",
                f"{figure(row['cpu_median_dijkstras'])} / {figure(row['cpu_p95_dijkstras'])}",
                f"{figure(row['plan_median_us'])} / {figure(row['plan_p95_us'])}",
                f"{figure(row['plan_median_dijkstras'])} / {figure(row['plan_p95_dijkstras'])}",
            ]
            for row in found["summary"]
        ],
    )  # fmt: skip
    yield "CPU time, median / 95th percentile."
    if found["summary"][0]["algorithm"] == "bast":
        yield _statements(found)


def _statements(found: dict[str, Any]) -> str:
    """The paper's statements, beside the default algorithm's figures, by size."""
    default = found["summary"]
    small, large = default[0], default[-1]
    establishing = ", ".join(f"{_growth(found['rows'], row, 'cpu_mean_ms')} ({row['topology']})" for row in default)
    planning = ", ".join(f"{_growth(found['rows'], row, 'plan_mean_us')} ({row['topology']})" for row in default)
    by_size = {
        key: figure(large[key] / small[key]) for key in ("cpu_median_us", "plan_median_us", "dijkstra_median_us")
    }
    rest = figure(
        (large["cpu_median_us"] - large["plan_median_us"]) / (small["cpu_median_us"] - small["plan_median_us"])
    )
    took = large["cpu_median_dijkstras"]
    return f"""\
The paper's statements, beside these figures:

* *Execution time is bounded, and the bound depends on the size of the network.* From the first third of the services
  to the last, the mean of an establishment changed by a factor of {establishing}.
  From {small["switches"]} to {large["switches"]} switches its median grew by a factor of {by_size["cpu_median_us"]},
  planning alone by {by_size["plan_median_us"]}, one Dijkstra by {by_size["dijkstra_median_us"]}.
* *The major component is asking the switches one after the other.* Here an aggregator keeps its inferiors' models and
  asks only those that the tree touches, all at once: what is not planning grew by a factor of {rest}.
* *Prior services double the time where the network is lightly used, and lower it where it is full.* Planning alone
  changed, from the first third of the services to the last, by a factor of {planning}.
* The aim for the whole at {large["switches"]} switches, create to ACTIVE, is at most 8 Dijkstras in the median. It
  takes {figure(took)}: {verdict(took <= 8)}. The Java broker takes about 20."""


def _growth(rows: Rows, of: dict[str, Any], key: str) -> str:
    """By which factor the last third of the services took longer than the first third."""
    means = [
        row[key]
        for row in rows
        if row["against"] == "services" and all(row[same] == of[same] for same in ("topology", "algorithm"))
    ]
    third = max(1, len(means) // 3)
    return figure(sum(means[-third:]) / sum(means[:third]))


def blocking(found: dict[str, Any]) -> Iterator[str]:
    """Curves against the load."""
    judged = found["parameters"]["oracle"] is not None
    first = found["rows"][0]["algorithm"]
    heading = ["topology", "load", "algorithm", "blocking, %", "difference", "volume blocking, %", "Mbit/s for each"]
    yield table(
        [*heading, *(["false refusals"] if judged else [])],
        [
            [
                row["topology"], row["load"], row["algorithm"],
                within(row["blocking_percent"], row["blocking_ci"]),
                within(row["difference"], row["difference_ci"]) if row["algorithm"] != first else "",
                within(row["volume_blocking_percent"], row["volume_blocking_ci"]),
                figure(row["reserved_mbps_each"], 4),
                *([f"{row['false']} of {row['refused']}"] if judged else []),
            ]
            for row in found["rows"]
        ],
    )  # fmt: skip
    yield (
        "Means over the runs, with half the width of their 95 % confidence intervals. The difference is to the first"
        f" algorithm (`{first}`), in percentage points, run by run: all have the same requests. Mbit/s are what trunks"
        " hold for a request, both directions added."
    )
    if judged:
        yield "False are refusals of requests for which a complete planner (the oracle) has a tree at that moment."


def fill(found: dict[str, Any]) -> Iterator[str]:
    """Requests until the first refusal, and until the network is full."""
    yield table(
        ["topology", "algorithm", "before the first refusal", "until full", "of", "reserved for each, Mbit/s"],
        [
            [
                row["topology"], row["algorithm"],
                figure(row["first_refusal"], 4), within(row["accepted"], row["accepted_ci"]),
                figure(row["offered"], 4), figure(row["reserved_mbps_each"], 4),
            ]
            for row in found["rows"]
        ],
    )  # fmt: skip


def gap(found: dict[str, Any]) -> Iterator[str]:
    """How far from what any algorithm could do."""
    runs = found["parameters"]["runs"]
    yield table(
        ["topology", "algorithm", "requests", "accepted", "no algorithm more than", "gap, %"],
        [
            [
                row["topology"], row["algorithm"], row["requests"], figure(row["accepted"], 4),
                figure(row["bound"], 4) + ("" if row["settled"] == runs else " (not settled)"),
                within(row["gap_percent"], row["gap_ci"]),
            ]
            for row in found["rows"]
        ],
    )  # fmt: skip
    yield (
        "Whoever knows all requests beforehand picks those that take least: a good part of the gap is foresight, which"
        " no broker has. What can be compared are the algorithms with each other."
    )


def scaling(found: dict[str, Any]) -> Iterator[str]:
    """Planning CPU by size."""
    yield table(
        ["switches", "terminals", "algorithm", "median / p95, us", "in Dijkstras"],
        [
            [
                row["switches"], row["terminals"], row["algorithm"],
                f"{figure(row['plan_median_us'])} / {figure(row['plan_p95_us'])}",
                f"{figure(row['plan_median_dijkstras'])} / {figure(row['plan_p95_dijkstras'])}",
            ]
            for row in found["rows"]
        ],
    )  # fmt: skip
