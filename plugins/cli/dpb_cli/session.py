"""What every command has: the options that say which broker and which network, and how to show the answer."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from attrs import define, field

from dpb_cli.client import Client
from dpb_cli.faults import check_authorities
from dpb_framework.errors import BadArgument

DEFAULT_URL = "http://127.0.0.1:4753"


@define
class Session:
    """One run of a command: the broker it talks to, and what its options say."""

    client: Client
    as_json: bool = False
    chosen: str | None = None
    _network: str | None = field(default=None, init=False)

    @property
    def network(self) -> str:
        """The network that is meant: the one chosen, else the broker's only aggregator that is nobody's inferior.

        `BadArgument` names those there are when it is not clear.
        """
        if self.chosen:
            return self.chosen
        if self._network is None:
            self._network = top(self.client.get("networks")["networks"])
        return self._network


def top(networks: list[dict[str, Any]]) -> str:
    """Return the name of the network that is meant when nobody says which. `BadArgument` when it is not clear."""
    inferior = {name for network in networks for name in network.get("inferiors") or ()}
    above = [network["name"] for network in networks if network["name"] not in inferior]
    candidates = [n["name"] for n in networks if n["kind"] == "aggregator" and n["name"] in above] or above
    if len(candidates) == 1:
        return str(candidates[0])
    names = ", ".join(network["name"] for network in networks)
    problem = f"say which network: {names}" if names else "the broker has no networks; its configuration names none"
    raise BadArgument("--network", problem)


def reaching(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give *command* the options that say how to reach the broker, `--json`, and a `Session` as its first argument.

    There is no option for a token itself: the list of processes would show it to everybody.
    """

    @click.option("--url", envvar="DPB_URL", default=DEFAULT_URL, show_default=True, help="The broker (DPB_URL).")
    @click.option(
        "--token-file",
        envvar="DPB_TOKEN_FILE",
        type=click.Path(path_type=Path),
        help="A file with the token (DPB_TOKEN_FILE); else DPB_TOKEN is the token.",
    )
    @click.option(
        "--ca", envvar="DPB_CA", help="A file of authorities that the broker's certificate may be of (DPB_CA)."
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
    @functools.wraps(command)
    def run(
        *args: Any,
        url: str,
        token_file: Path | None,
        ca: str | None,
        as_json: bool,
        network: str | None = None,
        **options: Any,
    ) -> Any:
        if ca:
            check_authorities(ca, "--ca")
        client = Client(url, token=_token(token_file), ca=ca or None)
        try:
            return command(Session(client, as_json, network), *args, **options)
        finally:
            client.close()

    return run


def _token(file: Path | None) -> str | None:
    if file is None:
        text, where = os.environ.get("DPB_TOKEN", "").strip(), "DPB_TOKEN"
    else:
        where = "--token-file"
        try:
            text = file.read_text("ascii").strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise BadArgument(where, f"{file} cannot be read: {reason}") from error
    # What is no token must not end up in a header, and is not shown: it may be a secret all the same.
    if text and not (text.isascii() and text.isprintable() and " " not in text):
        raise BadArgument(where, "that is no token")
    return text or None


def networked(command: Callable[..., Any]) -> Callable[..., Any]:
    """As `reaching`, with the option `--network` too."""
    option = click.option(
        "-n", "--network", envvar="DPB_NETWORK", help="The network (DPB_NETWORK); needed if it is not clear."
    )
    return option(reaching(command))
