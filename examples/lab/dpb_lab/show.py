"""Tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen
from rich.table import Table

TOLERANCE = 0.05
"""How far a measured rate may be from what was promised, as a part of that."""


@frozen
class Measurement:
    """A promised rate and what was measured in each window, in Mbit/s."""

    service: str
    where: str
    offered: float
    promised: float
    windows: Sequence[float]

    @property
    def median(self) -> float:
        """The measured rate."""
        return sorted(self.windows)[len(self.windows) // 2]

    @property
    def held(self) -> bool:
        """Whether the promise was kept."""
        return abs(self.median - self.promised) <= TOLERANCE * self.promised


@frozen
class Ping:
    """A ping between two hosts of a service: milliseconds, None when it was not answered."""

    service: str
    source: str
    destination: str
    ms: float | None
    wanted: bool = True

    @property
    def held(self) -> bool:
        """Whether it was answered as it should be, or not."""
        return (self.ms is not None) == self.wanted


def _word(held: bool) -> str:
    return "[green]held[/]" if held else "[red]NOT HELD[/]"


def services(found: Mapping[str, Mapping[str, Any]], took: Mapping[str, float]) -> Table:
    """Return the services: ends with rates, trunks with labels, and the milliseconds until each was ACTIVE."""
    table = Table(title="services", title_justify="left", title_style="bold")
    for column in ("service", "ends: label, Mbit/s in / out", "trunks: label, Mbit/s up / down"):
        table.add_column(column)
    table.add_column("ACTIVE after, ms", justify="right")
    for name, service in found.items():
        ends = "\n".join(f"{e['terminal']}:{e['label']} {e['ingress']:g} / {e['egress']:g}" for e in service["segment"])
        tree = "\n".join(f"{t['trunk']}: {t['label']} {t['upstream']:g} / {t['downstream']:g}" for t in service["tree"])
        table.add_row(name, ends, tree, f"{took[name]:.0f}", end_section=True)
    return table


def pings(done: Sequence[Ping]) -> Table:
    """Return all pings."""
    table = Table(title="pings", title_justify="left", title_style="bold")
    for column in ("service", "from", "to"):
        table.add_column(column)
    table.add_column("answered after, ms", justify="right")
    table.add_column("")
    for ping in done:
        answer = "not answered" if ping.ms is None else f"{ping.ms:.2f}"
        table.add_row(ping.service, ping.source, ping.destination, answer, _word(ping.held))
    return table


def rates(done: Sequence[Measurement]) -> Table:
    """Return all measured rates."""
    table = Table(title="rates, Mbit/s: UDP at twice the rate", title_justify="left", title_style="bold")
    for column in ("service", "measured at"):
        table.add_column(column)
    for column in ("offered", "promised", "measured", "difference"):
        table.add_column(column, justify="right")
    table.add_column("")
    for each in done:
        difference = f"{100 * (each.median / each.promised - 1):+.1f} %"
        numbers = (f"{each.offered:g}", f"{each.promised:g}", f"{each.median:.2f}", difference)
        table.add_row(each.service, each.where, *numbers, _word(each.held))
    return table
