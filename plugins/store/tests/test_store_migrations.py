"""The migrations make exactly the tables that the statements are written for."""

import sqlite3
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from dpb_store import SqlStore
from dpb_store.migrate import NEWEST
from dpb_store.tables import metadata
from dpb_store.upgrading import SCRIPTS, upgrade
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from dpb_framework.contracts.store import Batch, NetworkRecord, Role, SegmentRecord, ServiceRecord
from dpb_framework.errors import StoreInvalid
from dpb_framework.model import Constraints, Desired, Segment, Status

DRIVER = "postgresql+psycopg"
_DORMANT = (Desired.DORMANT, Status.DORMANT)
SHAPES = {
    "sqlite": ["SELECT name, sql FROM sqlite_master ORDER BY name"],
    "postgresql": [
        "SELECT table_name, column_name, ordinal_position, data_type, is_nullable, collation_name"
        " FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY 1, 3",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
    ],
}


def _engine(url):
    return create_engine(url.replace("postgresql", DRIVER), poolclass=NullPool)


def _shape(engine):
    with engine.connect() as connection:
        return [connection.execute(text(query)).all() for query in SHAPES[engine.dialect.name]]


def _made(url):
    """A database that was made by all migrations, one after the other."""
    engine = _engine(url)
    with engine.begin() as connection:
        upgrade(connection)
    return engine


def test_the_newest_revision_is_known_without_alembic():
    assert ScriptDirectory(SCRIPTS).get_heads() == [NEWEST]


@pytest.mark.parametrize("made", [False, True], ids=["empty", "up to date"])
def test_alembic_is_not_needed_where_nothing_is_to_be_changed(tmp_path, made):
    url = f"sqlite:///{tmp_path}/dpb.sqlite"
    if made:
        _made(url)
    code = (
        "import sys; from dpb_store import SqlStore; store = SqlStore(url=sys.argv[1]); store.open(); store.close();"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, url], check=False).returncode == 0


def test_the_migrations_make_what_the_metadata_says(url):
    with _made(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_migrations_make_the_same_as_the_metadata_to_the_letter(url, tmp_path, request):
    migrated = _shape(_made(url))
    other = (
        f"sqlite:///{tmp_path / 'other'}" if url.startswith("sqlite") else request.getfixturevalue("postgres_urls")()
    )
    created = _engine(other)
    store = SqlStore(url=other)  # it is empty: its tables come from the metadata
    store.open()
    store.close()
    assert migrated == _shape(created)
    assert len(migrated[0]) >= len(metadata.tables)


def test_a_database_of_a_newer_version_is_refused_and_left_alone(url):
    engine = _made(url)
    store = SqlStore(url=url)
    store.open()
    store.close()
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        before = connection.execute(text("SELECT * FROM meta ORDER BY name")).all()
    with pytest.raises(StoreInvalid, match=r"written by a newer version \(its revision is 9999.*upgrade dpb-store"):
        SqlStore(url=url).open()
    with engine.begin() as connection:
        assert connection.execute(text("SELECT * FROM meta ORDER BY name")).all() == before
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    store = SqlStore(url=url)
    store.open()
    store.close()


def test_somebody_elses_database_is_refused(url):
    with _engine(url).begin() as connection:
        connection.execute(text("CREATE TABLE recipe (name TEXT)"))
    with pytest.raises(StoreInvalid, match=r"tables that are not ours \(recipe\)"):
        SqlStore(url=url).open()


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    """Also the tables that were made before the fault: they are one transaction."""
    monkeypatch.setattr("dpb_store.backend.Backend._claim", lambda *_: 1 / 0)
    store = SqlStore(url=str(tmp_path / "x"))
    with pytest.raises(ZeroDivisionError):
        store.open()
    with sqlite3.connect(tmp_path / "x") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()
    monkeypatch.undo()
    store.open()
    store.close()


def test_a_store_of_the_first_version_is_upgraded_and_keeps_all(tmp_path):
    """Made by hand as version 0001 left it: what came later is not there yet."""
    store = SqlStore(url=str(tmp_path / "x"))
    store.open()
    store.submit(Batch([NetworkRecord("wan", "switch", 1), ServiceRecord("wan", 1, None, "ann", *_DORMANT)])).result()
    store.close()
    with sqlite3.connect(tmp_path / "x") as connection:
        connection.execute("DROP TABLE segment_constraints")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.close()
    store.open()
    asked = Segment(Segment.of(("a", 1, 1, 1), ("b", 1, 1, 1)).ends, Constraints(avoid_trunks=["t"], max_delay=7))
    store.submit(Batch([SegmentRecord("wan", 1, Role.CURRENT, asked, asked)])).result()
    assert [record.id for record in store.load().tables[ServiceRecord]] == [1]
    assert [record.asked for record in store.load().tables[SegmentRecord]] == [asked]
    store.close()
