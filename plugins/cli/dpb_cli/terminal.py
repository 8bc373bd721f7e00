"""`dpb terminal`: the places where traffic enters a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from dpb_cli import show
from dpb_cli.amounts import parse_labels, parse_quota
from dpb_cli.session import Session, networked


@click.group()
def terminal() -> None:
    """Show and change the terminals of a network."""


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--ingress-quota", metavar="MBPS", help="Greatest sum of ingress, Mbit/s, or 'none'."),
        click.option("--egress-quota", metavar="MBPS", help="Greatest sum of egress, Mbit/s, or 'none'."),
        click.option("--labels", metavar="RANGES", help="Labels that circuits may have, such as 1-99,200."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _body(ingress_quota: str | None, egress_quota: str | None, labels: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if ingress_quota is not None:
        body["ingress-quota"] = parse_quota(ingress_quota, "--ingress-quota")
    if egress_quota is not None:
        body["egress-quota"] = parse_quota(egress_quota, "--egress-quota")
    if labels is not None:
        body["labels"] = parse_labels(labels, "--labels")
    return body


@terminal.command("list")
@networked
def list_terminals(session: Session) -> None:
    """List the terminals with their quotas and labels."""
    answer = session.client.get("networks", session.network, "terminals")
    if session.as_json:
        show.as_json(answer)
        return
    _table(answer["terminals"])


@terminal.command("show")
@click.argument("name")
@networked
def show_terminal(session: Session, name: str) -> None:
    """Show one terminal."""
    _answer(session, session.client.get("networks", session.network, "terminals", name))


@terminal.command("add")
@click.argument("name")
@click.argument("place")
@_settings
@networked
def add_terminal(session: Session, name: str, place: str, **options: str | None) -> None:
    """Make terminal NAME at PLACE.

    PLACE is an interface of a switch, or inferior:terminal in an aggregator.
    """
    body = {"name": name, "place": place, **_body(**options)}
    _answer(session, session.client.request("POST", "networks", session.network, "terminals", body=body).body)


@terminal.command("set")
@click.argument("name")
@click.option("--place", help="Where it leads from now on.")
@_settings
@networked
def set_terminal(session: Session, name: str, place: str | None, **options: str | None) -> None:
    """Change a terminal; what is not named stays as it is."""
    where = ("networks", session.network, "terminals", name)
    body = {key: value for key, value in session.client.get(*where).items() if key in _FIELDS}
    body |= _body(**options) | ({"place": place} if place is not None else {})
    _answer(session, session.client.request("PUT", *where, body=body).body)


@terminal.command("remove")
@click.argument("name")
@networked
def remove_terminal(session: Session, name: str) -> None:
    """Remove a terminal that no service uses."""
    session.client.request("DELETE", "networks", session.network, "terminals", name)
    if session.as_json:
        show.as_json({"removed": name})


_FIELDS = ("place", "ingress-quota", "egress-quota", "labels")


def _answer(session: Session, answer: dict[str, Any]) -> None:
    if session.as_json:
        show.as_json(answer)
    else:
        _table([answer])


def _table(terminals: list[dict[str, Any]]) -> None:
    rows = [
        (t["name"], t["place"], t.get("ingress-quota"), t.get("egress-quota"), show.labels(t.get("labels")))
        for t in terminals
    ]
    show.table(("name", "place", "ingress quota", "egress quota", "labels"), rows)
