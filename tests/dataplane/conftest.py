"""A lab of each kind for all tests that leave it as they found it: three sites in a row, without services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dpb_lab.lab import Lab
from dpb_lab.testing import needed
from dpb_lab.wan import Wan

from .kinds import KINDS, OPENFLOW, on
from .sites import Sites


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that does not say on what kind of switches it runs, by `kinds.on`, runs on OpenFlow switches."""
    said = any("standing" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "standing" in metafunc.fixturenames and not said:
        metafunc.parametrize(*on(OPENFLOW).args, **on(OPENFLOW).kwargs)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let all tests on one kind of switches follow each other, so that its lab is made once."""
    places = [place for place, item in enumerate(items) if "standing" in getattr(item, "fixturenames", ())]
    ordered = sorted((items[place] for place in places), key=lambda item: KINDS.index(item.callspec.params["standing"]))
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


@pytest.fixture(scope="package")
def standing(request: pytest.FixtureRequest) -> Iterator[Sites]:
    """The sites as they stand while tests on switches of these kinds run: no longer, for other tests have the cores."""
    needed()
    with Lab() as lab, Wan(lab, kinds=request.param, audit=1) as wan:
        yield Sites(wan)


@pytest.fixture
def sites(standing: Sites) -> Iterator[Sites]:
    """The sites without any service, and left so: on no switch anything stays behind."""
    yield standing
    standing.release_all()
    standing.nothing_is_left()
