"""`dpb user`: who may ask the broker, and what."""

from __future__ import annotations

import sys
from typing import Any

import click

from dpb_cli import show
from dpb_cli.session import Session, reaching


@click.group()
def user() -> None:
    """Make, change and show users. For those who manage all networks.

    A role is read, control (services) or manage (topology, and others' services), each with those before it.
    """


@user.command("set")
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    metavar="ROLE@NETWORK",
    help="A role in a network, or in all (*); repeated for several. They replace those before.",
)
@reaching
def set_user(session: Session, name: str, roles: tuple[str, ...]) -> None:
    """Make a user, or give one other roles."""
    _answer(session, session.client.request("PUT", "users", name, body={"roles": roles}).body)


@user.command("set-password")
@click.argument("name")
@reaching
def set_password(session: Session, name: str) -> None:
    """Give a user a password: asked for on a terminal, else the first line of the standard input."""
    if sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    _answer(session, session.client.request("PUT", "users", name, body={"password": password}).body)


@user.command("list")
@reaching
def list_users(session: Session) -> None:
    """List the users with their roles."""
    found = session.client.get("users")
    if session.as_json:
        show.as_json(found)
        return
    show.table(("name", "roles", "password"), [(u["name"], u["roles"], u["password"]) for u in found["users"]])


@user.command("remove")
@click.argument("name")
@reaching
def remove(session: Session, name: str) -> None:
    """Remove a user with all tokens; its services stay."""
    session.client.request("DELETE", "users", name)


def _answer(session: Session, found: dict[str, Any]) -> None:
    if session.as_json:
        show.as_json(found)
        return
    show.facts(list(found.items()))
