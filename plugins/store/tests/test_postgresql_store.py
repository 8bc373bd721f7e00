"""The store in a PostgreSQL database: the contract, and what is PostgreSQL's own."""

import pytest
from dpb_store import SqlStore

from dpb_framework.testing.store import Maker, StoreContract


class TestPostgresStore(StoreContract):
    @pytest.fixture
    def make_store(self, postgres_urls) -> Maker:
        url = postgres_urls()
        return lambda: SqlStore(url=url)
