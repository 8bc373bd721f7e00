"""For tests in a lab, or on switches without one: `needed` skips or fails where there can be none."""

from __future__ import annotations

import os
from functools import cache

import pytest

from dpb_lab import dummy
from dpb_lab.lab import missing

REQUIRE = "DPB_REQUIRE_DATAPLANE"
"""The environment variable that, when it is 1, makes a machine without a lab a failure instead of a skip."""

MARKS = [pytest.mark.dataplane, pytest.mark.alone, pytest.mark.xdist_group("dataplane")]
"""For `pytestmark`: tests in labs are told apart, and run one after the other, so that none disturbs another."""

BESIDE = [pytest.mark.dataplane, pytest.mark.xdist_group("dataplane")]
"""For tests on `dpb_lab.dummy`, which measure nothing: one after the other, with others beside them."""

_missing = cache(missing)


def needed() -> None:
    """Skip the test, with the reason, where there can be no lab; fail where that is required."""
    _needed(_missing())


def needed_without_lab() -> None:
    """The same for switches of `dpb_lab.dummy`."""
    _needed(dummy.missing())


def _needed(reason: str | None) -> None:
    if reason is None:
        return
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but {reason}", pytrace=False)
    pytest.skip(f"NO DATA PLANE: {reason}")
