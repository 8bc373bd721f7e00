"""Tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table


def service(handle: str, found: Mapping[str, Any], trunks: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a service's tree: each trunk with its label, and the Mbit/s reserved each way. *trunks* are by name."""
    ends = ", ".join(f"{end['terminal']}:{end['label']} ({end['ingress']}/{end['egress']})" for end in found["segment"])
    table = Table(title=f"service {found['id']}, {handle}: {ends}", title_justify="left", title_style="bold")
    table.add_column("trunk")
    for column in ("label", "up, Mbit/s", "down, Mbit/s", "delay, ms"):
        table.add_column(column, justify="right")
    for tunnel in found["tree"]:
        delay = trunks[tunnel["trunk"]]["delay"]
        row = (tunnel["label"], tunnel["upstream"], tunnel["downstream"], delay)
        table.add_row(tunnel["trunk"], *map(str, row))
    return table


def use(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return what is left of each trunk that carries a service, before and after."""
    table = Table(title="trunks: Mbit/s left, up / down", title_justify="left", title_style="bold")
    table.add_column("trunk")
    for column in ("capacity", "before", "after", "services"):
        table.add_column(column, justify="right")
    for name, trunk in after.items():
        if trunk["services"]:
            table.add_row(
                name,
                f"{trunk['upstream']} / {trunk['downstream']}",
                f"{before[name]['upstream-left']} / {before[name]['downstream-left']}",
                f"{trunk['upstream-left']} / {trunk['downstream-left']}",
                ", ".join(map(str, trunk["services"])),
            )
    return table


def times(steps: Mapping[str, Sequence[tuple[str, float]]]) -> Table:
    """Return the states that each service reached, with how long each took, in milliseconds."""
    table = Table(title="states reached", title_justify="left", title_style="bold")
    table.add_column("service")
    table.add_column("states, with the time that each took")
    table.add_column("in all, ms", justify="right")
    for handle, reached in steps.items():
        told = " -> ".join(f"{status} ({took:.1f} ms)" for status, took in reached)
        table.add_row(handle, told, f"{sum(took for _, took in reached):.1f}")
    return table
