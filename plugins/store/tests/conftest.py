import pytest
from dpb_store.testing import postgres_urls

__all__ = ["postgres_urls"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of a fresh place, on each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'dpb.sqlite'}"
    return request.getfixturevalue("postgres_urls")()
