"""What a replay measured, and how it is shown: times in microseconds, rates in Mbit/s at this edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from dpb_framework.model import mbps

HUNDRED = 100


@frozen
class Quantiles:
    """Median and 95th percentile, microseconds; zero when nothing was measured."""

    median: float
    p95: float

    @classmethod
    def of(cls, nanoseconds: Sequence[int]) -> Quantiles:
        """Return those of times in nanoseconds; between two samples by straight line."""
        ordered = sorted(nanoseconds)
        return cls(_quantile(ordered, 0.5), _quantile(ordered, 0.95))

    def per(self, unit: float) -> dict[str, float]:
        """Return both as multiples of *unit* microseconds."""
        return {"median": _ratio(self.median, unit), "p95": _ratio(self.p95, unit)}

    def plain(self) -> dict[str, float]:
        """Return both as plain data."""
        return {"median": self.median, "p95": self.p95}


@frozen
class Samples:
    """Times of one kind, nanoseconds, in the order in which they were taken: this thread's CPU, all threads', wall."""

    thread: Sequence[int]
    process: Sequence[int]
    wall: Sequence[int]


@frozen
class Figures:
    """A replay's outcome. `reserved` is what trunks hold, both directions added, kbit/s."""

    algorithm: str
    store: str
    accepted: int
    refused: int
    reserved: int
    plan: Samples
    define: Samples
    dijkstra: Samples
    first_refusal: str = ""

    def plain(self) -> dict[str, Any]:
        """Return what `--json` prints.

        `..._cpu_us` is the time of the thread that asks, `..._process_cpu_us` that of all threads together (a store on
        disk works in a thread of its own), `..._dijkstras` are multiples of the median of one single-source Dijkstra.
        """
        data: dict[str, Any] = {
            "algorithm": self.algorithm,
            "store": self.store,
            "accepted": self.accepted,
            "refused": self.refused,
            "reserved_mbps": mbps(self.reserved),
            "first_refusal": self.first_refusal or None,
        }
        kinds = {"plan": self.plan, "define": self.define, "dijkstra": self.dijkstra}
        clocks = {"cpu": "thread", "wall": "wall", "process_cpu": "process"}
        for clock, attribute in clocks.items():
            unit = Quantiles.of(getattr(self.dijkstra, attribute)).median
            for kind, samples in kinds.items():
                if clock == "process_cpu" and kind != "define":
                    continue
                quantiles = Quantiles.of(getattr(samples, attribute))
                data[f"{kind}_{clock}_us"] = quantiles.plain()
                if kind != "dijkstra":
                    data[f"{kind}_{clock}_dijkstras"] = quantiles.per(unit)
        data["define_cpu_us_first_hundred"] = Quantiles.of(self.define.thread[:HUNDRED]).median
        data["define_cpu_us_last_hundred"] = Quantiles.of(self.define.thread[-HUNDRED:]).median
        data["define_wall_us_first_hundred"] = Quantiles.of(self.define.wall[:HUNDRED]).median
        data["define_wall_us_last_hundred"] = Quantiles.of(self.define.wall[-HUNDRED:]).median
        return data

    def table(self) -> str:
        """Return the same for people."""
        data = self.plain()
        lines = [
            f"algorithm {self.algorithm}, store {self.store}: {self.accepted} accepted, {self.refused} refused,"
            f" {mbps(self.reserved)} Mbit/s reserved",
            f"{'':24}{'median us':>12}{'p95 us':>12}{'x Dijkstra':>12}{'p95':>8}",
        ]
        rows = [
            ("planning, CPU", "plan_cpu"),
            ("planning, wall", "plan_wall"),
            ("define, CPU", "define_cpu"),
            ("define, CPU all threads", "define_process_cpu"),
            ("define, wall", "define_wall"),
            ("one Dijkstra, CPU", "dijkstra_cpu"),
            ("one Dijkstra, wall", "dijkstra_wall"),
        ]
        for title, key in rows:
            times, multiples = data[f"{key}_us"], data.get(f"{key}_dijkstras", {"median": 1, "p95": None})
            tail = "" if multiples["p95"] is None else f"{multiples['median']:>12.2f}{multiples['p95']:>8.2f}"
            lines.append(f"{title:<24}{times['median']:>12.1f}{times['p95']:>12.1f}{tail}")
        lines.append(
            f"define, CPU, median of the first hundred {data['define_cpu_us_first_hundred']:.1f} us,"
            f" of the last hundred {data['define_cpu_us_last_hundred']:.1f} us"
        )
        if self.first_refusal:
            lines.append(f"first refusal: {self.first_refusal}")
        return "\n".join(lines)


def _quantile(ordered: Sequence[int], share: float) -> float:
    if not ordered:
        return 0.0
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return round((ordered[low] + (ordered[high] - ordered[low]) * (place - low)) / 1000, 3)


def _ratio(value: float, unit: float) -> float:
    return round(value / unit, 3) if unit else 0.0
