"""`dpb plan`: would it fit?"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import click

from dpb_cli import show
from dpb_cli.ends import parse_end, segment
from dpb_cli.session import Session, networked
from dpb_cli.way import constrained
from dpb_framework.errors import ConfigInvalid
from dpb_framework.model import kbps

REFUSED = 1
"""The exit status when something does not fit."""


@click.command()
@click.argument("ends", nargs=-1, metavar="[END]...")
@click.option("--mbps", "rate", metavar="MBPS", help="Rate of the ends that say none, Mbit/s, both ways.")
@click.option(
    "--fail",
    "failed",
    multiple=True,
    metavar="TRUNK",
    help="As if it had failed: its services are planned anew first. Repeatable.",
)
@click.option("--drain", "drained", multiple=True, metavar="TRUNK", help="As if it took nothing new. Repeatable.")
@click.option(
    "--batch",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file (JSON or TOML) with the body of a question: segments, failed, drained, added.",
)
@constrained
@networked
def plan(
    session: Session,
    ends: tuple[str, ...],
    rate: str | None,
    failed: tuple[str, ...],
    drained: tuple[str, ...],
    batch: Path | None,
    constraints: dict[str, Any] | None,
) -> None:
    """Tell whether a service would fit, by which tree, and what would be left; nothing is reserved.

    An END is terminal[:label][@mbps] or terminal[:label][@in/out]. Without ends, --fail tells what would become of the
    services that use a trunk. The exit status is 1 when something does not fit.
    """
    body: dict[str, Any] = {} if batch is None else _read(batch)
    if ends:
        wanted = segment([parse_end(end) for end in ends], None if rate is None else kbps(rate, "--mbps"))
        body |= {"segment": wanted, "constraints": constraints}
    for name, trunks in (("failed", failed), ("drained", drained)):
        if trunks:
            body[name] = [*body.get(name, ()), *trunks]
    found = session.client.request("POST", "networks", session.network, "plans", body=body).body
    if session.as_json:
        show.as_json(found)
    else:
        for number, one in enumerate(found["plans"], 1):
            _tell(number, one)
        if not found["plans"]:
            click.echo("nothing to plan: no segment was given, and no service uses a trunk that fails")
    if not all(one["fits"] for one in found["plans"]):
        sys.exit(REFUSED)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigInvalid(str(path), f"cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ConfigInvalid(str(path), "expected an object")
    return found


def _tell(number: int, one: dict[str, Any]) -> None:
    what = f"service {one['service']}" if one["service"] is not None else f"segment {number}"
    error = one["error"]
    show.facts(
        [
            (what, "fits" if one["fits"] else "does not fit"),
            ("why", error["text"] if error else None),
            ("networks", ", ".join(one["networks"]) or None),
            ("inside", ", ".join(one["chords"]) or None),
            ("cost", one["cost"] if one["fits"] else None),
            ("note", one["note"] or None),
        ]
    )
    if one["tree"]:
        rows = [
            (t["trunk"], t["upstream"], t["downstream"], t["upstream-left"], t["downstream-left"], t["labels-left"])
            for t in one["tree"]
        ]
        names = ("trunk", "upstream Mbit/s", "downstream Mbit/s", "left up", "left down", "labels left")
        show.table(names, rows, "tree")
