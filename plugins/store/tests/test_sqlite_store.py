"""The store in an SQLite file: the contract, and what is SQLite's own."""

import pytest
from dpb_store import SqlStore

from dpb_framework.testing.store import Maker, StoreContract


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def make_store(self, tmp_path) -> Maker:
        return lambda: SqlStore(url=str(tmp_path / "dpb.sqlite"))
