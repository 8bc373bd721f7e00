"""For tests in a lab: `requires_lab` marks them, `needed` skips or fails where there can be none."""

from __future__ import annotations

import os
from functools import cache

import pytest

from dpb_lab.lab import missing

REQUIRE = "DPB_REQUIRE_DATAPLANE"
"""The environment variable that, when it is 1, makes a machine without a lab a failure instead of a skip."""

MARKS = [pytest.mark.dataplane, pytest.mark.alone, pytest.mark.xdist_group("dataplane")]
"""For `pytestmark`: tests in labs are told apart, and run one after the other, so that none disturbs another."""

_missing = cache(missing)


def needed() -> None:
    """Skip the test, with the reason, where there can be no lab; fail where that is required."""
    reason = _missing()
    if reason is None:
        return
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but {reason}", pytrace=False)
    pytest.skip(f"NO DATA PLANE: {reason}")
