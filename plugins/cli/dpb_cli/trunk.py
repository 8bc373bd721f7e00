"""`dpb trunk`: the links between the inferior networks of an aggregator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from dpb_cli import show
from dpb_cli.amounts import milliseconds, parse_trunk_labels, rate
from dpb_cli.session import Session, networked


@click.group()
def trunk() -> None:
    """Show and change the trunks of an aggregator."""


def _settings(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--upstream", metavar="MBPS", help="Capacity from start to end, Mbit/s."),
        click.option("--downstream", metavar="MBPS", help="Capacity from end to start; as upstream when left out."),
        click.option("--delay", metavar="MS", help="Delay in milliseconds."),
        click.option("--labels", metavar="RANGES", help="Labels, such as 1-300 or 400-499=1400 (first at the end)."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _body(upstream: str | None, downstream: str | None, delay: str | None, labels: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if upstream is not None:
        body["upstream"] = rate(upstream, "--upstream")
    if downstream is not None:
        body["downstream"] = rate(downstream, "--downstream")
    if delay is not None:
        body["delay"] = milliseconds(delay, "--delay")
    if labels is not None:
        body["labels"] = parse_trunk_labels(labels, "--labels")
    return body


@trunk.command("list")
@networked
def list_trunks(session: Session) -> None:
    """List the trunks with what is left of each."""
    answer = session.client.get("networks", session.network, "trunks")
    if session.as_json:
        show.as_json(answer)
        return
    _table(answer["trunks"])


@trunk.command("show")
@click.argument("name")
@networked
def show_trunk(session: Session, name: str) -> None:
    """Show one trunk and the services that it carries."""
    answer = session.client.get("networks", session.network, "trunks", name)
    if session.as_json:
        show.as_json(answer)
        return
    show.facts(
        [
            ("name", answer["name"]),
            ("start", answer["start"]),
            ("end", answer["end"]),
            ("upstream", f"{answer['upstream']} Mbit/s, {answer.get('upstream-left', '?')} left"),
            ("downstream", f"{answer['downstream']} Mbit/s, {answer.get('downstream-left', '?')} left"),
            ("delay", f"{answer['delay']} ms"),
            ("labels", f"{show.trunk_labels(answer['labels'])}, {answer.get('labels-left', '?')} left"),
            ("commissioned", answer["commissioned"]),
            ("services", answer.get("services")),
        ]
    )


@trunk.command("add")
@click.argument("start")
@click.argument("end")
@click.option("--name", help="Its name; made from its ends when left out.")
@_settings
@networked
def add_trunk(session: Session, start: str, end: str, name: str | None, **options: str | None) -> None:
    """Make a trunk from START to END, each inferior:terminal; --upstream is needed."""
    if options["upstream"] is None:
        raise click.UsageError("a trunk needs --upstream, its capacity in Mbit/s")
    body = {"start": start, "end": end, **_body(**options)} | ({"name": name} if name else {})
    _answer(session, session.client.request("POST", "networks", session.network, "trunks", body=body).body)


@trunk.command("set")
@click.argument("name")
@_settings
@networked
def set_trunk(session: Session, name: str, **options: str | None) -> None:
    """Change a trunk; what is not named stays as it is."""
    _patch(session, name, _body(**options))


@trunk.command("decommission")
@click.argument("name")
@networked
def decommission(session: Session, name: str) -> None:
    """Let a trunk take no more services; those that it has stay."""
    _patch(session, name, {"commissioned": False})


@trunk.command("recommission")
@click.argument("name")
@networked
def recommission(session: Session, name: str) -> None:
    """Let a trunk take services again."""
    _patch(session, name, {"commissioned": True})


@trunk.command("remove")
@click.argument("name")
@networked
def remove_trunk(session: Session, name: str) -> None:
    """Remove a trunk that carries no services."""
    session.client.request("DELETE", "networks", session.network, "trunks", name)
    if session.as_json:
        show.as_json({"removed": name})


def _patch(session: Session, name: str, body: dict[str, Any]) -> None:
    _answer(session, session.client.request("PATCH", "networks", session.network, "trunks", name, body=body).body)


def _answer(session: Session, answer: dict[str, Any]) -> None:
    if session.as_json:
        show.as_json(answer)
    else:
        _table([answer])


def _table(trunks: list[dict[str, Any]]) -> None:
    columns = (
        "name",
        "start",
        "end",
        "upstream left/all",
        "downstream",
        "delay ms",
        "labels left",
        "state",
        "services",
    )
    rows = [
        (
            t["name"],
            t["start"],
            t["end"],
            f"{t.get('upstream-left', '?')}/{t['upstream']}",
            f"{t.get('downstream-left', '?')}/{t['downstream']}",
            t["delay"],
            t.get("labels-left"),
            "commissioned" if t["commissioned"] else "decommissioned",
            len(t.get("services") or ()),
        )
        for t in trunks
    ]
    show.table(columns, rows)
