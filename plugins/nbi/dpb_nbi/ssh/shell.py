"""`python -m dpb_nbi.ssh.shell`: the commands of `dpb` for those who are connected by SSH.

They are the same as on the user's own machine, found as the kernel finds them. What would reach this machine's files or
another broker is not for them: an option or argument that names a file, and those that say which broker it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

import click
from click.core import ParameterSource

from dpb_framework.cli import Commands, main

ALLOWED: Final = ("network", "plan", "service", "terminal", "trunk")
"""Commands that only ask the broker."""
_FIXED: Final = frozenset({"url", "token_file", "ca"})
"""Options that say which broker, and who asks it: that is settled here."""


class Shell(Commands):
    """The group of these commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Those of `ALLOWED` that are installed."""
        return [name for name in super().list_commands(ctx) if name in ALLOWED]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one of them, and take from it what is not for here."""
        if cmd_name not in ALLOWED:
            return None
        found = super().get_command(ctx, cmd_name)
        if found is not None:
            for command in _below(found):
                for parameter in command.params:
                    if parameter.name in _FIXED or isinstance(parameter.type, click.Path | click.File):
                        _close(parameter)
        return found


def _below(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            if below is not None:
                yield from _below(below)


def _close(parameter: click.Parameter) -> None:
    """Refuse *parameter* on the command line; what the environment says of it holds."""
    names = "/".join(parameter.opts)
    kept = parameter.callback

    def refuse(ctx: click.Context, given: click.Parameter, value: Any) -> Any:
        if ctx.get_parameter_source(str(given.name)) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{names} is not for commands over SSH: run dpb on your own machine for that", ctx)
        return value if kept is None else kept(ctx, given, value)

    parameter.callback = refuse
    # Before any other: a file is not even looked for.
    parameter.type = click.STRING
    if isinstance(parameter, click.Option):
        parameter.hidden = True
        parameter.show_default = False


shell = Shell(
    name="dpb",
    help="The commands of dpb for this broker. Those that need your own files or keyboard run on your own machine.",
    context_settings=main.context_settings,
)


def run() -> None:
    """Run the command that the arguments are."""
    shell.main(args=sys.argv[1:], prog_name="dpb")


if __name__ == "__main__":
    run()
