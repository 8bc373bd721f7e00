"""The command line `dpb`: a shell whose commands come by entry points, and two commands of its own.

A command is imported when it is used, not before: listing them costs little, and a broken one harms no other.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

import click

from dpb_framework import __version__, config, contracts
from dpb_framework import plugins as found
from dpb_framework.errors import ConfigInvalid, DpbError, PluginBroken
from dpb_framework.runtime import spare_collector, tune_interpreter
from dpb_framework.settings import nearest

if TYPE_CHECKING:
    from dpb_framework.broker import Broker


class Failure(click.ClickException):
    """An error that is told in one line, with exit status 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it as `dpb: text`, on the standard error unless *file* is given."""
        click.echo(f"dpb: {' '.join(self.message.split())}", file=file or sys.stderr)


class Commands(click.Group):
    """A group of commands that distributions offer in the entry point group `dpb.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, sorted; nothing is imported."""
        return list(found.installed(found.COMMANDS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command and return it; None when there is none of that name. `PluginBroken`."""
        if cmd_name not in found.installed(found.COMMANDS):
            return None
        return load_command(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but with the nearest name when there is no such command."""
        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}{nearest(args[0], names)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with the first sentence of each one's help, read without importing it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(name)) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever the broker refuses is told in one line."""
        try:
            return super().invoke(ctx)
        except DpbError as error:
            raise Failure(str(error)) from error


def load_command(name: str) -> click.Command:
    """Import the command *name* and return it. `PluginMissing`, `PluginBroken`."""
    command = found.load_object(found.COMMANDS, name)
    if not isinstance(command, click.Command):
        raise PluginBroken(found.COMMANDS, name, f"{found.target(found.COMMANDS, name)} is no command of click")
    return command


def summary(name: str) -> str:
    """Return the first sentence of a command's help, taken from its source; what is wrong if there is none."""
    owner = found.installed(found.COMMANDS)[name]
    if " and " in owner:
        return f"broken: {owner} both offer it"
    module, _, function = found.target(found.COMMANDS, name).partition(":")
    top, *below = module.split(".")
    package = importlib.util.find_spec(top)  # of a top-level name: nothing is imported
    folders = list(package.submodule_search_locations or ()) if package else []
    files = [Path(folder, *below) for folder in folders]
    candidates = [file.with_suffix(".py") for file in files] + [file / "__init__.py" for file in files]
    if package and package.origin and not below:
        candidates = [Path(package.origin)]
    source = next((file for file in candidates if file.is_file()), None)
    if source is None:
        return f"broken: {owner} has no module {module}"
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError) as error:
        return f"broken: {module} of {owner} is no Python: {error}"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return (ast.get_docstring(node) or "").split("\n")[0].rstrip(".")
    return f"from {owner}"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="dpb")
def main() -> None:
    """DataPlane Broker: layer-2 services over networks of switches.

    `dpb serve` runs a broker; the other commands are clients of one, at DPB_URL (http://127.0.0.1:4753 when not set).
    """


# -- dpb serve ----------------------------------------------------------------------------------


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Only check the configuration and the plugins that it names.")
@click.option(
    "--port-file",
    type=click.Path(path_type=Path),
    help="Once it answers, write there where: a line for each interface, its kind and its address.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def serve(file: Path | None, check: bool, port_file: Path | None, verbose: bool) -> None:
    """Run a broker, as the configuration FILE says.

    Without FILE: a database in the user's data folder, REST on 127.0.0.1:4753, no networks. Logs go to the standard
    error. SIGTERM and SIGINT end it; a second one ends it at once.
    """
    tune_interpreter()
    with _logging(verbose), _naming(file):
        settings = config.load(file) if file else config.default()
        from dpb_framework.broker import Broker

        broker = Broker(settings)
        if check:
            broker.stop()
            click.echo(f"OK: {file or 'the built-in configuration'}")
            return
        _run(broker, port_file)


def _run(broker: Broker, port_file: Path | None) -> None:
    if port_file:
        _remove(port_file)  # left by a broker that was killed: it would be believed
    spare_collector()  # before services are restored, which go again
    with _signals() as wait:
        broker.start()
        try:
            addresses = broker.addresses()
            if port_file:
                _write(port_file, "".join(f"{kind} {address}\n" for kind, address in addresses.items()))
            for kind, address in addresses.items():
                click.echo(f"{kind}: {address}")
            name = wait()
            logging.getLogger("dpb").info("%s: stopping; once more to end at once", name)
        finally:
            broker.stop()
            if port_file:
                _remove(port_file)


def _remove(file: Path) -> None:
    with contextlib.suppress(OSError):
        file.unlink()


def _write(file: Path, text: str) -> None:
    """Make the file appear with all its text: somebody is waiting for it."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise ConfigInvalid("--port-file", f"{file} cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[], str]]:
    """Catch SIGTERM and SIGINT; the value waits for one and returns its name.

    By a pipe: an Event set by a handler could wait for the very thread that the handler interrupted.
    """
    reader, writer = os.pipe()

    def caught(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        os.write(writer, bytes([number]))

    before = {number: signal.signal(number, caught) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: signal.Signals(os.read(reader, 1)[0]).name
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


@contextlib.contextmanager
def _logging(verbose: bool) -> Iterator[None]:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    if not verbose:
        # The broker's own business, and what libraries warn of.
        handler.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.startswith("dpb"))
    root, level, loud = logging.getLogger(), logging.getLogger().level, logging.raiseExceptions
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.raiseExceptions = False  # a reader of the log that went away is no reason for tracebacks
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        logging.raiseExceptions = loud


@contextlib.contextmanager
def _naming(file: Path | None) -> Iterator[None]:
    """Tell faults of the configuration with the file's name."""
    try:
        yield
    except ConfigInvalid as error:
        if file is None or not error.path.startswith("$"):
            raise
        raise ConfigInvalid(f"{file}: {error.path}", error.problem) from error


# -- dpb plugins --------------------------------------------------------------------------------

_CONTRACTS: dict[str, type] = {
    found.FABRICS: contracts.Fabric,
    found.ALGORITHMS: contracts.Algorithm,
    found.STORES: contracts.Store,
    found.NBIS: contracts.Nbi,
    found.NETWORKS: contracts.NetworkKind,
    found.LISTENERS: object,
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plugins(as_json: bool) -> None:
    """Show what is installed, by whom it is offered, and whether it loads."""
    rows = [_examined(group, name, owner) for group in found.GROUPS for name, owner in found.installed(group).items()]
    stale = {group: list(wrong) for group in found.GROUPS if (wrong := found.stale(group))}
    if as_json:
        click.echo(json.dumps({"plugins": rows, "stale": stale}, indent=2))
        return
    lines = [["GROUP", "NAME", "FROM", "STATE"]]
    lines += [[row["group"], row["name"], row["from"], row["problem"] or "ok"] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    for *cells, state in lines:
        click.echo("  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), state]))
    for group, names in stale.items():
        click.echo(
            f"dpb: stevedore's cache is out of date about {', '.join(names)} in {group}; what is really installed is"
            " used; delete the folder python-entrypoints in your cache folder (~/.cache)",
            err=True,
        )


def _examined(group: str, name: str, owner: str) -> dict[str, str]:
    problem = ""
    try:
        if group == found.COMMANDS:
            load_command(name)
        else:
            found.load(group, name, _CONTRACTS[group])
    except PluginBroken as error:
        problem = f"broken: {error.problem}"
    return {"group": group, "name": name, "from": owner, "problem": problem}


if __name__ == "__main__":
    main()
