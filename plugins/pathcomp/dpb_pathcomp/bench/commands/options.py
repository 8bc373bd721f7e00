"""Options that several commands share, and what becomes of their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import frozen

from dpb_framework.errors import BadArgument, ConfigInvalid
from dpb_framework.model import kbps
from dpb_pathcomp.bench.contestants import contestant
from dpb_pathcomp.bench.extra import needed
from dpb_pathcomp.bench.plots import Panel, draw
from dpb_pathcomp.bench.results import Results, write

F = TypeVar("F", bound=Callable[..., Any])

KINDS = ("png", "svg")


class Algorithms(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """The name of an installed algorithm, with settings perhaps; it is made once to see whether it can be."""

    name = "NAME[:SETTING=VALUE,...]"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is; errors of `contestant`."""
        if value:
            contestant(value)
        return value


class Range(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """Two whole numbers joined by a hyphen, `2-4`, or one."""

    name = "LEAST-MOST"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return both."""
        if isinstance(value, tuple):
            return value
        low, hyphen, high = value.partition("-")
        ends = (low, high if hyphen else low)
        if not all(end.isascii() and end.isdigit() for end in ends):
            self.fail(f"{value!r} is no range such as 2-4", param, ctx)
        least, most = map(int, ends)
        if not self._least <= least <= most:
            self.fail(f"{value!r} is no range of numbers from {self._least} up", param, ctx)
        return least, most


class Rate(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """Mbit/s on the command line, kbit/s inside."""

    name = "MBPS"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return kbit/s."""
        if isinstance(value, int):
            return value
        try:
            rate = kbps(value, "rate")
        except BadArgument as error:
            self.fail(error.problem, param, ctx)
        if not rate:
            self.fail("a request has a rate above zero", param, ctx)
        return rate


def topologies(function: F) -> F:
    """Which networks."""
    return click.option(
        "--topology", "topologies", multiple=True, default=("ba:54",), show_default=True, metavar="TOPOLOGY",
        help="ba:NODES, topohub:COLLECTION/NAME or a workload's FILE, with options as in ba:54,m=2,seed=1,delay=equal."
        " May be given several times.",
    )(function)  # fmt: skip


def algorithms(function: F) -> F:
    """Which algorithms."""
    return click.option(
        "--algorithm", "algorithms", multiple=True, default=("bast",), show_default=True, type=Algorithms(),
        help="An installed algorithm. May be given several times: all have the same requests.",
    )(function)  # fmt: skip


def seeds(default: int) -> Callable[[F], F]:
    """How many runs, and from which seed."""
    return _all(
        click.option(
            "--runs", type=click.IntRange(min=1), default=default, show_default=True, help="Runs, each with its seed."
        ),
        click.option(
            "--seed", type=int, default=1, show_default=True, help="The seed of the first run; the others follow."
        ),
    )


def rates(default: str) -> Callable[[F], F]:
    """How much of how many terminals is asked for."""
    return _all(
        click.option("--terminals", type=Range(2), default="2-4", show_default=True, help="How many a request joins."),
        click.option("--rate", type=Rate(), default=default, show_default=True, help="Of each terminal, in and out."),
    )


def mixes(default: str) -> Callable[[F], F]:
    """What is asked for: all that `Mix` takes."""
    return _all(
        rates(default),
        click.option(
            "--unequal", is_flag=True, help="Each rate of each terminal lies between a tenth of the rate and it."
        ),
        click.option(
            "--traffic", is_flag=True, help="Choose nodes in proportion to the traffic that SNDlib has for them."
        ),
    )


def jobs(function: F) -> F:
    """How many processes."""
    return click.option(
        "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that work at once."
    )(function)


def outputs(function: F) -> F:
    """Where results go: the arguments of `Output.of`."""
    file = click.Path(dir_okay=False, path_type=Path)
    return _all(
        click.option("--csv", type=file, help="Write the table as CSV."),
        click.option("--json", type=file, help="Write everything, with the single runs, as JSON."),
        click.option("--plot", "plots", multiple=True, type=file, help="Draw it: a name ending in .png or .svg."),
        click.option(
            "--out", type=click.Path(file_okay=False, path_type=Path), help="Write all of these into a folder."
        ),
    )(function)


def _all(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


@frozen
class Output:
    """Where results go."""

    csv: Path | None
    json: Path | None
    plots: tuple[Path, ...]
    folder: Path | None
    name: str

    @classmethod
    def of(cls, name: str, csv: Path | None, json: Path | None, plots: tuple[Path, ...], out: Path | None) -> Output:
        """Check before anything is measured that plots can be drawn; `ConfigInvalid`."""
        for path in plots:
            if path.suffix[1:] not in KINDS:
                raise ConfigInvalid(f"--plot {path}", f"the name ends in none of {', '.join(KINDS)}")
        if plots or out:
            needed("matplotlib", "--plot" if plots else "--out")
        return cls(csv, json, plots, out, name)

    def put(self, results: Results, panels: Sequence[Panel]) -> None:
        """Print the table, and write the files that were asked for."""
        click.echo(results.table())
        files: dict[Path, str | bytes] = {}
        if self.csv:
            files[self.csv] = results.csv()
        if self.json:
            files[self.json] = results.json()
        for path in self.plots:
            files[path] = draw(panels, path.suffix[1:])
        if self.folder:
            base = self.folder / self.name
            files[base.with_suffix(".csv")] = results.csv()
            files[base.with_suffix(".json")] = results.json()
            files |= {base.with_suffix(f".{kind}"): draw(panels, kind) for kind in KINDS}
        for path, content in files.items():
            write(path, content)
