"""Tests that say that they belong together run in one worker: data planes and servers depend on it."""

from __future__ import annotations

import os

import pytest


@pytest.mark.xdist_group("together")
def test_the_tests_of_a_group_are_told_apart_for_the_workers(request: pytest.FixtureRequest) -> None:
    workers = os.environ.get("PYTEST_XDIST_WORKER")
    if workers is None or not request.config.getoption("loadgroup"):
        pytest.skip("only with -n and --dist loadgroup, as in `make test`")
    # What pytest-xdist tells groups by; some versions of pytest no longer take it up, in silence.
    assert request.node.nodeid.endswith("@together")
