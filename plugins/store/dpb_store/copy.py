"""Copying a store into an empty database of another kind: `python -m dpb_store.copy FROM TO`."""

from __future__ import annotations

import sys

from dpb_framework.errors import DpbError, StoreInvalid
from dpb_store import tables
from dpb_store.backend import Lost
from dpb_store.store import SqlStore


def copy(source: str, target: str) -> int:
    """Copy every row of the store at the URL *source* to that at *target*; return how many there were.

    Takes the lease of both. `StoreInvalid` when there is something in *target*; then, and with any other fault,
    *target* is left as it was.
    """
    old, new = SqlStore(url=source), SqlStore(url=target)
    old.open()
    try:
        new.open()
        try:
            return _copy(old, new)
        finally:
            new.close()
    finally:
        old.close()


def _copy(old: SqlStore, new: SqlStore) -> int:
    reader, writer = old.backend, new.backend
    work = []
    with writer.read() as query:
        for table in tables.metadata.sorted_tables:
            if table is not tables.meta and query(writer.statements.all[table], ()):
                raise StoreInvalid(
                    writer.name, f"there is something in its table {table.name}; copy into an empty database"
                )
    with reader.read() as query:
        for table in tables.metadata.sorted_tables:
            rows = query(reader.statements.all[table], ()) if table is not tables.meta else []
            if table is tables.trunk:
                rows = [(*row[:-1], bool(row[-1])) for row in rows]
            elif table is tables.service:
                rows = [(*row[:6], bool(row[6]), *row[7:]) for row in rows]
            if rows:
                work.append((writer.statements.put[table], rows))
    try:
        writer.rename(old.uuid, work)
    except (Lost, writer.driver_error) as error:
        raise StoreInvalid(writer.name, f"nothing was copied: {writer.problem(error)}") from error
    return sum(len(rows) for _, rows in work)


def main() -> int:
    """Run from the command line; the exit status is 0, 1 for an error told in one line, 2 for wrong arguments."""
    if len(sys.argv) != 3:
        print("usage: python -m dpb_store.copy FROM TO   (each a file or a postgresql: URL)", file=sys.stderr)
        return 2
    try:
        print(f"{copy(sys.argv[1], sys.argv[2])} rows copied")
    except DpbError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
