"""Line charts as PNG and SVG, by matplotlib (the extra `bench`)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from dpb_pathcomp.bench.extra import needed

_MARKS = "os^Dv<>P*X"
_FEW = 12
"""Lines with more points have no marks."""

_STYLE = {
    "svg.fonttype": "none",  # text stays text: small files, and searchable
    "svg.hashsalt": "dpb",  # the same figures make the same file
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


@frozen
class Series:
    """One line: places, values, and half the width of each value's interval (empty: none)."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    half: Sequence[float] = ()


@frozen
class Panel:
    """One pair of axes."""

    title: str
    x: str
    y: str
    series: Sequence[Series]
    log_x: bool = False
    log_y: bool = False


def draw(panels: Sequence[Panel], kind: str) -> bytes:
    """Return *panels*, side by side and two or three in a row, as a `png` or `svg` file."""
    matplotlib = needed("matplotlib", "a plot")
    figures = needed("matplotlib.figure", "a plot")
    columns = 2 if len(panels) == 4 else min(3, len(panels))
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(_STYLE):
        figure = figures.Figure(figsize=(max(5.2, 4.0 * columns), 3.4 * rows), layout="constrained")
        for place, panel in enumerate(panels, 1):
            _panel(figure.add_subplot(rows, columns, place), panel)
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return content.getvalue()


def _panel(axes: Any, panel: Panel) -> None:
    for place, line in enumerate(panel.series):
        style: dict[str, Any] = {"label": line.name, "linewidth": 1.2}
        if len(line.x) <= _FEW:
            style |= {"marker": _MARKS[place % len(_MARKS)], "markersize": 3.5}
        (drawn,) = axes.plot(line.x, line.y, **style)
        if line.half:
            low = [value - half for value, half in zip(line.y, line.half, strict=True)]
            high = [value + half for value, half in zip(line.y, line.half, strict=True)]
            axes.fill_between(line.x, low, high, color=drawn.get_color(), alpha=0.15, linewidth=0)
    axes.set(title=panel.title, xlabel=panel.x, ylabel=panel.y)
    if panel.log_x:
        axes.set_xscale("log")
    if panel.log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.legend()
