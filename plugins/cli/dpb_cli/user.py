"""`dpb user`: who may ask the broker, and what."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, Final, TextIO

import click

from dpb_cli import show
from dpb_cli.session import Session, reaching
from dpb_framework.errors import BadArgument, DpbError

EVERYWHERE: Final = "*"
"""What stands for all networks in a role."""

MAX_KEYS_FILE: Final = 65_536
"""How much of a file with a public key is read, in characters."""


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
    # A role may come before its network; more often the name is misspelt.
    with contextlib.suppress(DpbError):
        known = {network["name"] for network in session.client.get("networks")["networks"]}
        for network in dict.fromkeys(role.partition("@")[2] for role in roles):
            if network != EVERYWHERE and network not in known:
                show.progress(f"there is no network {network!r} yet; known: {', '.join(sorted(known))}")


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
    rows = [(u["name"], u["roles"], u["password"], [key["id"] for key in u["keys"]]) for u in found["users"]]
    show.table(("name", "roles", "password", "keys"), rows)


@user.command("remove")
@click.argument("name")
@reaching
def remove(session: Session, name: str) -> None:
    """Remove a user with all tokens; its services stay."""
    session.client.request("DELETE", "users", name)


@user.command("add-key")
@click.argument("name")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@reaching
def add_key(session: Session, name: str, file: TextIO) -> None:
    """Let a user in over SSH by the public key in FILE, such as `id_ed25519.pub`; `-` is the standard input."""
    try:
        lines = [line for line in file.read(MAX_KEYS_FILE).splitlines() if line.strip() and not line.startswith("#")]
    except UnicodeDecodeError as error:
        raise BadArgument("FILE", "it is no text") from error
    if any("PRIVATE KEY" in line for line in lines):
        raise BadArgument("FILE", f"that is a private key: keep it secret, and give {_public(file.name)}")
    if len(lines) != 1:
        raise BadArgument("FILE", f"expected one public key in it, found {len(lines)}")
    made = session.client.request("POST", "users", name, "keys", body={"key": lines[0]}).body
    _answer(session, made)


@user.command("remove-key")
@click.argument("name")
@click.argument("key")
@reaching
def remove_key(session: Session, name: str, key: str) -> None:
    """Let a user in by a public key no more. KEY is its id, or its fingerprint (SHA256:...)."""
    if key.startswith("SHA256:"):
        users = [user for user in session.client.get("users")["users"] if user["name"] == name]
        key = next((known["id"] for user in users for known in user["keys"] if known["fingerprint"] == key), key)
    session.client.request("DELETE", "users", name, "keys", key)


def _public(name: str) -> str:
    named = name not in {"-", "<stdin>"} and not name.endswith(".pub")
    return f"{name}.pub" if named else "the public one"


def _answer(session: Session, found: dict[str, Any]) -> None:
    if session.as_json:
        show.as_json(found)
        return
    show.facts(list(found.items()))
