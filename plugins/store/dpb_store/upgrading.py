"""Bringing a database up to date, by Alembic, in one transaction."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, inspect

from dpb_store.migrate import VersionUnknown

SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection) -> None:
    """Make or upgrade the tables, in the transaction that *connection* is in.

    `VersionUnknown` when the database is newer than we are, or when its tables are not ours.
    """
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    current = MigrationContext.configure(connection).get_current_heads()
    unknown = sorted(set(current) - known)
    if unknown:
        raise VersionUnknown(
            f"it was written by a newer version (its revision is {', '.join(unknown)}, the newest known here is"
            f" {scripts.get_current_head()}); upgrade dpb-store"
        )
    if set(current) == set(scripts.get_heads()):
        return
    if not current and (foreign := inspect(connection).get_table_names()):
        raise VersionUnknown(
            f"it holds tables that are not ours ({', '.join(foreign[:5])}); give the store a database of its own"
        )
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise VersionUnknown(str(error)) from error
