"""`dpb apply`: makes the broker's topology what a file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dpb_cli import show
from dpb_cli.client import Client
from dpb_cli.difference import ADD, CHANGE, REMOVE, Present, Step, difference
from dpb_cli.document import TRUNK, load
from dpb_cli.session import Session, reaching
from dpb_framework.errors import ConfigInvalid, DpbError


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@click.option("--prune", is_flag=True, help="Remove what the file's networks have and the file does not name.")
@reaching
def apply(session: Session, file: Path, dry_run: bool, prune: bool) -> None:
    """Make terminals and trunks what the topology FILE says.

    Doing it twice is doing it once. What the file does not say of a thing that is there stays as it is. On an error it
    stops, tells what was done and what not, and ends with status 1; the next run goes on from there.
    """
    try:
        document = load(file)
        steps, surplus = difference(document, present(session.client))
    except ConfigInvalid as error:
        if error.path.startswith("$"):
            raise ConfigInvalid(f"{file}: {error.path}", error.problem) from error
        raise
    steps += surplus if prune else []
    kept = [] if prune else surplus
    if dry_run:
        _dry(session, steps, kept)
        return
    done: list[Step] = []
    for step in steps:
        try:
            changed = make(session.client, step)
        except (DpbError, KeyboardInterrupt) as error:
            _stopped(session, steps, done, step, error)
            raise
        if changed:
            done.append(step)
            if not session.as_json:
                click.echo(str(step))
    if session.as_json:
        show.as_json({"done": _data(done), "failed": None, "left": [], "not-in-file": _data(kept)})
        return
    _sum(done, "done")
    _kept(kept)


def present(client: Client) -> dict[str, Present]:
    """Return the networks as the broker has them now."""
    networks = {}
    for network in client.get("networks")["networks"]:
        name, kind = network["name"], network["kind"]
        terminals = client.get("networks", name, "terminals")["terminals"] if kind in _MANAGED else []
        trunks = client.get("networks", name, "trunks")["trunks"] if kind == "aggregator" else []
        networks[name] = Present(
            kind,
            tuple(network.get("inferiors") or ()),
            {terminal["name"]: terminal for terminal in terminals},
            {trunk["name"]: trunk for trunk in trunks},
        )
    return networks


def make(client: Client, step: Step) -> bool:
    """Do one step. False when the broker has just that already, under another spelling (of an interface)."""
    where = ("networks", step.network, f"{step.kind}s", step.name)
    if step.action == REMOVE:
        client.request("DELETE", *where)
        return True
    if step.action == ADD:
        client.request("POST", *where[:-1], body={"name": step.name, **step.fields})
        return True
    if step.kind == TRUNK:
        client.request("PATCH", *where, body=dict(step.fields))
        return True
    before = client.get(*where)
    body = {key: value for key, value in before.items() if key in _TERMINAL_FIELDS} | dict(step.fields)
    return bool(client.request("PUT", *where, body=body).body != before)


_MANAGED = ("switch", "aggregator")
_TERMINAL_FIELDS = ("place", "ingress-quota", "egress-quota", "labels")


def _dry(session: Session, steps: list[Step], kept: list[Step]) -> None:
    if session.as_json:
        show.as_json({"steps": _data(steps), "not-in-file": _data(kept)})
        return
    for step in steps:
        click.echo(str(step))
    _sum(steps, "to do")
    _kept(kept)


def _stopped(session: Session, steps: list[Step], done: list[Step], failed: Step, error: BaseException) -> None:
    left = steps[steps.index(failed) + 1 :]
    if session.as_json:
        problem = str(error) if isinstance(error, DpbError) else "interrupted"
        show.as_json(
            {"done": _data(done), "failed": {**failed.as_data(), "problem": problem}, "left": _data(left)},
        )
        return
    click.echo(f"failed:   {failed}")
    for step in left:
        click.echo(f"not done: {step}")
    click.echo(f"{len(done)} done, 1 failed, {len(left)} not done")


def _sum(steps: list[Step], word: str) -> None:
    if not steps:
        click.echo("nothing to do")
        return
    counts = {action: sum(step.action == action for step in steps) for action in (ADD, CHANGE, REMOVE)}
    told = [f"{count} to {action}" for action, count in counts.items() if count]
    if word == "done":
        past = {ADD: "added", CHANGE: "changed", REMOVE: "removed"}
        told = [f"{count} {past[action]}" for action, count in counts.items() if count]
    click.echo(", ".join(told))


def _kept(kept: list[Step]) -> None:
    if kept:
        things = ", ".join(f"{step.kind} {step.network}/{step.name}" for step in kept[:5])
        more = ", ..." if len(kept) > 5 else ""
        click.echo(f"not in the file ({len(kept)}; --prune removes them): {things}{more}", err=True)


def _data(steps: list[Step]) -> list[Any]:
    return [step.as_data() for step in steps]
