"""One lab for all tests that leave it as they found it: three sites in a row, without services after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dpb_lab.lab import Lab
from dpb_lab.testing import needed
from dpb_lab.wan import Wan

from .sites import Sites


@pytest.fixture(scope="session")
def standing() -> Iterator[Sites]:
    """The sites as they stand for the whole session."""
    needed()
    with Lab() as lab, Wan(lab, audit=1) as wan:
        yield Sites(wan)


@pytest.fixture
def sites(standing: Sites) -> Iterator[Sites]:
    """The sites without any service, and left so: on no switch anything stays behind."""
    yield standing
    standing.release_all()
    standing.nothing_is_left()
