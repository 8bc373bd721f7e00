"""Whether a database is up to date: mostly it is, and Alembic, which takes its time to load, is not needed."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

NEWEST = "0002"
"""The last of the revisions in `migrations`."""
_TABLE = "alembic_version"


class VersionUnknown(Exception):
    """The database is at a revision that this version of the store does not have."""


def migrate(connection: Connection) -> None:
    """Make or upgrade the tables where they are not up to date, in the transaction that *connection* is in.

    `VersionUnknown` when the database is newer than we are, or when its tables are not ours.
    """
    if inspect(connection).has_table(_TABLE):
        found = connection.execute(text(f"SELECT version_num FROM {_TABLE}")).scalars().all()
        if found == [NEWEST]:
            return
    from dpb_store.upgrading import upgrade

    upgrade(connection)
