"""Answers for people: tables in a terminal, plain columns in a pipe, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click


def as_json(data: Any) -> None:
    """Print *data* as JSON."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """Print a table: drawn by rich in a terminal, else in plain columns that programs can cut."""
    cells = [[_text(value) for value in row] for row in rows]
    if sys.stdout.isatty():
        _drawn(columns, cells, title)
    else:
        _plain(columns, cells, title)


def facts(pairs: Sequence[tuple[str, object]]) -> None:
    """Print names and values, one pair in a line; those without a value are left out."""
    shown = [(name, _text(value)) for name, value in pairs if value not in (None, "", [])]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name.ljust(width)}  {value}")


def progress(text: str) -> None:
    """Say on the standard error what is being done."""
    click.echo(text, err=True)


def labels(ranges: Sequence[Sequence[int]] | None) -> str:
    """Return ranges of labels as people write them, such as `1-99,200`."""
    return ",".join(f"{first}-{last}" if first != last else str(first) for first, last in ranges or ())


def trunk_labels(ranges: Sequence[dict[str, int]] | None) -> str:
    """Return a trunk's ranges as `first-last`, with `=first at the end` where the two sides differ."""
    parts = []
    for one in ranges or ():
        text = labels([[one["start"], one["start"] + one["count"] - 1]])
        parts.append(text if one.get("end", one["start"]) == one["start"] else f"{text}={one['end']}")
    return ",".join(parts)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value)) or "-"
    # What others named must not move the cursor.
    return "".join(c if c.isprintable() else "?" for c in str(value))


def _plain(columns: Sequence[str], cells: Sequence[Sequence[str]], title: str) -> None:
    if title:
        click.echo(f"{title}:")
    lines = [[column.upper() for column in columns], *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _drawn(columns: Sequence[str], cells: Sequence[Sequence[str]], title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in cells:
        drawn.add_row(*map(Text, row))
    Console(file=sys.stdout).print(drawn)
