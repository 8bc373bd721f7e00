"""`dpb token`: credentials for programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from dpb_cli import show
from dpb_cli.session import Session, reaching


@click.group()
def token() -> None:
    """Make, show and revoke tokens. For those who manage all networks."""


@token.command("create")
@click.argument("user")
@click.option("--name", help="What it is for, to find it again.")
@click.option(
    "--role", "roles", multiple=True, metavar="ROLE@NETWORK", help="Let it do no more than this, of what USER may."
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True, max=36500), help="After how many days it expires.")
@reaching
def create(session: Session, user: str, name: str | None, roles: tuple[str, ...], days: float | None) -> None:
    """Make a token for USER and print it; it is not told again."""
    expires = None if days is None else datetime.now(UTC) + timedelta(days=days)
    body = {"user": user, "name": name, "roles": roles or None, "expires": expires and expires.isoformat()}
    made = session.client.request("POST", "tokens", body=body).body
    if session.as_json:
        show.as_json(made)
        return
    show.progress(f"token {made['id']} of user {user!r}; it is not told again:")
    click.echo(made["token"])


@token.command("list")
@reaching
def list_tokens(session: Session) -> None:
    """List the tokens, the oldest first."""
    found = session.client.get("tokens")
    if session.as_json:
        show.as_json(found)
        return
    rows = [
        (t["id"], t["user"], t["name"], "as the user" if t["roles"] is None else t["roles"], t["created"], t["expires"])
        for t in found["tokens"]
    ]
    show.table(("id", "user", "name", "roles", "created", "expires"), rows)


@token.command("revoke")
@click.argument("token", metavar="ID")
@reaching
def revoke(session: Session, token: str) -> None:
    """Revoke a token: from now on it lets nobody in."""
    session.client.request("DELETE", "tokens", token)
