"""What a bench found, as CSV, as JSON, and as a table for people."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from dpb_framework import plugins
from dpb_framework.errors import ConfigInvalid

Row = Mapping[str, Any]


@frozen
class Results:
    """Rows of figures, each with the same keys, and the parameters that they follow from.

    Keys name their unit; those that end in `_us`, `_ms` or `_dijkstras` hold times, all others are the same whenever
    the command is the same. `runs` are the single runs where a row sums several up. A value may be None: not known.
    People are shown the `summary` instead where there are too many rows.
    """

    command: str
    parameters: Mapping[str, Any]
    rows: Sequence[Row]
    runs: Sequence[Row] = ()
    summary: Sequence[Row] = ()

    def csv(self) -> str:
        """Return the rows as CSV with a heading."""
        text = io.StringIO()
        if self.rows:
            writer = csv.DictWriter(text, list(self.rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        return text.getvalue()

    def json(self) -> str:
        """Return everything as JSON, with the versions that made it."""
        document = {
            "command": self.command,
            "parameters": self.parameters,
            "made_by": {"python": platform.python_version(), **plugins.installed(plugins.ALGORITHMS)},
            "summary": self.summary,
            "rows": self.rows,
            "runs": self.runs,
        }
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    def table(self) -> str:
        """Return the rows for people, in columns; what is the same in all of several rows stands above them."""
        rows = self.summary or self.rows
        if not rows:
            return "nothing was measured"
        keys = list(rows[0])
        alike = [key for key in keys if len(rows) > 1 and len({str(row[key]) for row in rows}) == 1]
        shown = [key for key in keys if key not in alike]
        lines = [", ".join(f"{key} {shorten(rows[0][key])}" for key in alike)] if alike else []
        cells = [shown, *[[shorten(row[key]) for key in shown] for row in rows]]
        widths = [max(len(line[place]) for line in cells) for place in range(len(shown))]
        left = [isinstance(rows[0][key], str) for key in shown]
        for line in cells:
            aligned = (
                cell.ljust(width) if is_text else cell.rjust(width)
                for cell, width, is_text in zip(line, widths, left, strict=True)
            )
            lines.append("  ".join(aligned).rstrip())
        return "\n".join(lines)


def rounded(value: float, digits: int = 6) -> float | None:
    """Return *value* with so many significant digits; None for what is no number."""
    if not math.isfinite(value):
        return None
    return 0.0 if not value else round(value, digits - 1 - math.floor(math.log10(abs(value))))


def shorten(value: object) -> str:
    """Return a cell's text."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
    return str(value)


def write(path: Path, text: str | bytes) -> None:
    """Write a file, and its folder if need be; `ConfigInvalid` tells why it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    except OSError as error:
        raise ConfigInvalid(str(path), f"cannot be written: {error.strerror or error}") from error
