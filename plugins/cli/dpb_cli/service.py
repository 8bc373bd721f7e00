"""`dpb service`: what the broker is there for."""

from __future__ import annotations

import json
import re
from typing import Any

import click

from dpb_cli import show
from dpb_cli.client import BrokerAway
from dpb_cli.ends import parse_end, segment
from dpb_cli.establish import Services, conditions
from dpb_cli.events import Told, follow
from dpb_cli.session import Session, networked
from dpb_cli.way import constrained
from dpb_framework.model import kbps


def _id(text: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", text):
        raise click.BadParameter(f"expected a service's id, a number, got {text[:80]!r}")
    return int(text)


_ENDS = click.argument("ends", nargs=-1, required=True, metavar="END...")
_ID = click.argument("service", type=_id, metavar="ID")
_RATE = click.option("--mbps", "rate", metavar="MBPS", help="Rate of the ends that say none, Mbit/s, both ways.")
_TIMEOUT = click.option(
    "--timeout", type=click.FloatRange(0, 3600), default=30.0, show_default=True, help="How long to wait, in seconds."
)
_NO_WAIT = click.option("--no-wait", is_flag=True, help="Only give the command.")


@click.group()
def service() -> None:
    """Make, change and show services.

    An END is terminal[:label][@mbps] or terminal[:label][@in/out], rates in Mbit/s; the network chooses a label where
    none is given.
    """


@service.command("list")
@click.option("--status", help="Only services with that status.")
@click.option("--handle-prefix", metavar="TEXT", help="Only services whose handle begins so.")
@networked
def list_services(session: Session, status: str | None, handle_prefix: str | None) -> None:
    """List the services."""
    found = session.client.get(
        "networks",
        session.network,
        "services",
        status=status.upper() if status else None,
        handle_prefix=handle_prefix,
    )
    if session.as_json:
        show.as_json(found)
        return
    rows = [
        (s["id"], s["handle"], s["status"], s["owner"], [_end(end) for end in s["segment"] or ()], _note(s))
        for s in found["services"]
    ]
    show.table(("id", "handle", "status", "owner", "ends", "note"), rows)


@service.command("show")
@_ID
@networked
def show_service(session: Session, service: int) -> None:
    """Show one service and the tree of trunks that it takes."""
    _answer(session, Services(session.client, session.network).get(service))


@service.command("create")
@click.option("--handle", help="A name of your own for it; with a name that is known, you get that service.")
@networked
def create(session: Session, handle: str | None) -> None:
    """Create a service that connects nothing yet."""
    body = {} if handle is None else {"handle": handle}
    _answer(session, session.client.request("POST", "networks", session.network, "services", body=body).body)


@service.command("define")
@_ID
@_ENDS
@_RATE
@constrained
@networked
def define(
    session: Session, service: int, ends: tuple[str, ...], rate: str | None, constraints: dict[str, Any] | None
) -> None:
    """Say what a service connects, and take what it needs."""
    body = {"segment": segment([parse_end(end) for end in ends], _rate(rate)), "constraints": constraints}
    _answer(session, Services(session.client, session.network).command(service, "define", body))


def _command(verb: str, reaches: str, text: str) -> None:
    @service.command(verb, help=text)
    @_ID
    @_NO_WAIT
    @_TIMEOUT
    @networked
    def run(session: Session, service: int, no_wait: bool, timeout: float) -> None:
        services = Services(session.client, session.network)
        found = services.command(service, verb)
        if not no_wait and found["status"] != reaches:
            found = services.wait(service, reaches, timeout)
        _answer(session, found)


_command("activate", "ACTIVE", "Let traffic pass.")
_command("deactivate", "INACTIVE", "Stop traffic and keep what the service holds.")
_command("reset", "DORMANT", "Give back what the service holds; it can be defined again.")
_command("release", "RELEASED", "Give everything back and end the service; its id is never used again.")


@service.command("connect")
@_ENDS
@_RATE
@click.option("--handle", help="A name of your own for it: doing it twice is doing it once.")
@click.option("--no-activate", is_flag=True, help="Only take what it needs; let no traffic pass yet.")
@click.option("--keep", is_flag=True, help="Keep the service when something is refused, instead of releasing it.")
@_TIMEOUT
@constrained
@networked
def connect(
    session: Session,
    ends: tuple[str, ...],
    rate: str | None,
    handle: str | None,
    no_activate: bool,
    keep: bool,
    timeout: float,
    constraints: dict[str, Any] | None,
) -> None:
    """Create, define and activate a service in one go."""
    asked = [parse_end(end) for end in ends]
    services = Services(session.client, session.network)
    done = services.connect(
        asked,
        _rate(rate),
        constraints,
        handle=handle,
        activate=not no_activate,
        keep=keep,
        seconds=timeout,
    )
    _answer(session, done)


@service.command("change")
@_ID
@_ENDS
@_RATE
@_TIMEOUT
@click.option("--unconstrained", is_flag=True, help="Drop the constraints that it has.")
@constrained
@networked
def change(
    session: Session,
    service: int,
    ends: tuple[str, ...],
    rate: str | None,
    timeout: float,
    unconstrained: bool,
    constraints: dict[str, Any] | None,
) -> None:
    """Change what a service connects, without interruption.

    Name all its ends. Those that it has already keep their label and rates where you say nothing else; so do its
    constraints, all together.
    """
    asked = [parse_end(end) for end in ends]
    way = {} if unconstrained else constraints
    _answer(session, Services(session.client, session.network).change(service, asked, _rate(rate), way, timeout))


@service.command("watch")
@click.argument("service", type=_id, metavar="[ID]", required=False)
@click.option("--after", type=click.IntRange(0), help="Begin after the event of that number.")
@networked
def watch(session: Session, service: int | None, after: int | None) -> None:
    """Follow the events of a network, or of one service until it is released. Ctrl-C ends it."""
    network = session.network
    last = session.client.get("networks", network)["last-event"] if after is None else after
    if service is not None and after is None:
        found = Services(session.client, network).get(service)
        data = {key: found.get(key) for key in ("id", "status", "desired", "change", "error")}
        _tell(session, Told(None, "service", data))
        if found["status"] == "RELEASED":
            return
    try:
        for event in follow(session.client, network, last, _lost):
            data = event.data if isinstance(event.data, dict) else {}
            if service is not None and event.kind != "resync" and (event.kind, data.get("id")) != ("service", service):
                continue
            _tell(session, event)
            if service is not None and data.get("status") == "RELEASED":
                return
    except KeyboardInterrupt:
        return


def _lost(error: BrokerAway) -> None:
    show.progress(f"dpb: {error}; trying again")


def _tell(session: Session, event: Told) -> None:
    if session.as_json:
        click.echo(json.dumps({"id": event.number, "event": event.kind, "data": event.data}, ensure_ascii=False))
        return
    number = "now" if event.number is None else str(event.number)
    click.echo(f"{number:>8}  {event.kind:8}  {_told(event)}")


def _told(event: Told) -> str:
    data = event.data
    if not isinstance(data, dict):
        return str(data)
    if event.kind == "resync":
        return f"events were lost; the stream goes on after {data.get('last')}"
    if event.kind == "service":
        return f"{data.get('id')}  {data.get('status')}" + (f"  {_note(data)}" if _note(data) else "")
    if "present" in data:
        return f"{data.get('name')}  {'made or changed' if data['present'] else 'removed'}"
    return json.dumps(data, ensure_ascii=False)


def _rate(text: str | None) -> int | None:
    return None if text is None else kbps(text, "--mbps")


def _end(end: dict[str, Any]) -> str:
    label = "" if end.get("label") is None else f":{end['label']}"
    rates = str(end["ingress"]) if end["ingress"] == end["egress"] else f"{end['ingress']}/{end['egress']}"
    return f"{end['terminal']}{label}@{rates}"


def _note(service: dict[str, Any]) -> str:
    error = service.get("error")
    told = [str(error.get("text") or error.get("code")) if isinstance(error, dict) else str(error)] if error else []
    told += conditions(service)
    if service.get("change") not in (None, "none"):
        told.append(f"change {service['change']}")
    return "; ".join(told)


def _way(constraints: dict[str, Any] | None) -> str | None:
    if not constraints:
        return None
    told = [
        f"{name.replace('-', ' ')}: {', '.join(value) if isinstance(value, list) else f'{value} ms'}"
        for name, value in constraints.items()
    ]
    return "; ".join(told)


def _answer(session: Session, found: dict[str, Any]) -> None:
    if session.as_json:
        show.as_json(found)
        return
    show.facts(
        [
            ("service", f"{found['id']} of {found['network']}"),
            ("handle", found.get("handle")),
            ("owner", found.get("owner")),
            ("status", found["status"]),
            ("desired", found["desired"] if found.get("desired") != found["status"] else None),
            ("constraints", _way(found.get("constraints"))),
            ("note", _note(found)),
        ]
    )
    if found.get("segment"):
        rows = [(e["terminal"], e.get("label"), e["ingress"], e["egress"]) for e in found["segment"]]
        show.table(("terminal", "label", "ingress Mbit/s", "egress Mbit/s"), rows, "ends")
    if found.get("tree"):
        rows = [(t["trunk"], t["label"], t["upstream"], t["downstream"]) for t in found["tree"]]
        show.table(("trunk", "label", "upstream Mbit/s", "downstream Mbit/s"), rows, "tree")
