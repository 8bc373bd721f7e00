"""For tests in a lab, or on switches without one: `needed` skips or fails where there can be none."""

from __future__ import annotations

import os
from functools import cache

import pytest

from dpb_lab import dummy
from dpb_lab.lab import missing

REQUIRE = "DPB_REQUIRE_DATAPLANE"
"""The environment variable that, when it is 1, makes a machine without a lab a failure instead of a skip."""

ALONE = pytest.mark.alone
"""For what measures frames in time: it runs when all others have ended."""


def marks(group: str = "dataplane") -> list[pytest.MarkDecorator]:
    """For `pytestmark`: tests on switches are told apart; those of a *group* run one after the other, beside others."""
    return [pytest.mark.dataplane, pytest.mark.xdist_group(group)]


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
