"""Whether a database is up to date: mostly it is, or empty, and Alembic, which takes long to load, is not needed."""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select

from dpb_store.tables import metadata

NEWEST = "0002"
"""The last of the revisions in `migrations`."""
REVISION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Where Alembic keeps the revision."""


class VersionUnknown(Exception):
    """The database is at a revision that this version of the store does not have."""


def migrate(connection: Connection) -> None:
    """Make or upgrade the tables where they are not up to date, in the transaction that *connection* is in.

    `VersionUnknown` when the database is newer than we are, or when its tables are not ours.
    """
    there = inspect(connection).get_table_names()
    if not there:
        # The same to the letter as what all migrations make; the tests compare them.
        for tables in (metadata, REVISION.metadata):
            tables.create_all(connection)
        connection.execute(insert(REVISION).values(version_num=NEWEST))
        return
    if REVISION.name in there and connection.execute(select(REVISION.c.version_num)).scalars().all() == [NEWEST]:
        return
    from dpb_store.upgrading import upgrade

    upgrade(connection)
