"""`dpb admin-token`: the first way in, and the last where all tokens are lost."""

from __future__ import annotations

from pathlib import Path

import click

from dpb_framework import config
from dpb_framework.contracts import Store
from dpb_framework.errors import ConfigInvalid
from dpb_framework.plugins import STORES, make
from dpb_nbi.access.registry import Registry
from dpb_nbi.access.roles import ALL


@click.command("admin-token")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--user", default="admin", show_default=True, help="Whose token; the user is made if it is not there.")
def admin_token(file: Path | None, user: str) -> None:
    """Print a new token of a user who manages all networks, while the broker is stopped.

    FILE is the broker's configuration: the token goes into its store, which a broker that runs has to itself. Whoever
    may read and write the store may do this; run it as the broker's own user.
    """
    settings = (config.load(file) if file else config.default()).store
    store = make(STORES, settings.kind, Store, settings.settings, settings.path)
    if not store.durable:
        raise ConfigInvalid(f"{settings.path}.kind", f"{settings.kind!r} keeps nothing: there is no store to write to")
    store.open()
    try:
        registry = Registry(store)
        registry.set_user(user, ALL.texts())
        token, text = registry.create_token(user, "dpb admin-token")
        # Which one it was is not clear to who has no [store]: it is in whose data folder the command has run.
        made = f"token {token.id} of user {user!r} in store {store}"
        click.echo(f"{made}, for everything; it is not told again:", err=True)
    finally:
        store.close()
    click.echo(text)
