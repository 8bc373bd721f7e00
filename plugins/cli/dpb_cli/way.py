"""Constraints on the way of a service, as options of a command."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

_NAMED = (
    ("--avoid-trunk", "avoid-trunks", "TRUNK", "A trunk that it must not use."),
    ("--avoid-network", "avoid-networks", "NETWORK", "An inferior network that it must not touch."),
    ("--via-trunk", "pass-trunks", "TRUNK", "A trunk that it must use."),
    ("--via-network", "pass-networks", "NETWORK", "An inferior network that it must pass."),
)


def constrained(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options, and REST's `constraints` (None when there are none) as argument `constraints`."""

    @functools.wraps(command)
    def run(*args: Any, max_delay: float | None, **options: Any) -> Any:
        found: dict[str, Any] = {}
        for _, name, _, _ in _NAMED:
            given = options.pop(name.replace("-", "_"))
            if given:
                found[name] = list(given)
        if max_delay is not None:
            found["max-delay"] = max_delay
        return command(*args, constraints=found or None, **options)

    for option, name, metavar, text in reversed(_NAMED):
        run = click.option(option, name.replace("-", "_"), multiple=True, metavar=metavar, help=f"{text} Repeatable.")(
            run
        )
    delay = click.option(
        "--max-delay", type=click.FloatRange(0), metavar="MS", help="The greatest delay between two ends, milliseconds."
    )
    return delay(run)
