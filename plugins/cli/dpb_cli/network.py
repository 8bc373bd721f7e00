"""`dpb network`: what networks the broker has, and what they show of themselves."""

from __future__ import annotations

from typing import Any

import click

from dpb_cli import show
from dpb_cli.session import Session, networked, reaching


@click.group()
def network() -> None:
    """Show the broker's networks."""


@network.command("list")
@reaching
def list_networks(session: Session) -> None:
    """List the networks."""
    answer = session.client.get("networks")
    if session.as_json:
        show.as_json(answer)
        return
    rows = [
        (n["name"], n["kind"], len(n.get("terminals") or ()), n.get("inferiors"), n.get("services"))
        for n in answer["networks"]
    ]
    show.table(("name", "kind", "terminals", "inferiors", "services"), rows)


@network.command("show")
@click.argument("name", required=False)
@networked
def show_network(session: Session, name: str | None) -> None:
    """Show one network: its kind, terminals and inferior networks."""
    answer = session.client.get("networks", name or session.network)
    if session.as_json:
        show.as_json(answer)
        return
    show.facts([(key, value) for key, value in answer.items() if not isinstance(value, dict)])


@network.command("model")
@click.argument("name", required=False)
@networked
def show_model(session: Session, name: str | None) -> None:
    """Show what a superior network sees: fragments, and the chords between terminals."""
    answer = session.client.get("networks", name or session.network, "model")
    if session.as_json:
        show.as_json(answer)
        return
    for number, fragment in enumerate(answer["fragments"], 1):
        _fragment(number, fragment)


def _fragment(number: int, fragment: dict[str, Any]) -> None:
    chords = fragment.get("chords")
    if chords is None:
        show.facts([(f"fragment {number}", f"{' '.join(fragment['terminals'])} (joined without limit)")])
        return
    rows = [(c["a"], c["b"], c["upstream"], c["downstream"], c["delay"]) for c in chords]
    title = f"fragment {number}: {' '.join(fragment['terminals'])}"
    show.table(("a", "b", "Mbit/s a to b", "Mbit/s b to a", "delay ms"), rows, title)
