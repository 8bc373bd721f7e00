"""Helpers of the tests here."""

from __future__ import annotations

import time


def eventually(condition, seconds=10.0):
    """Wait until *condition* holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be in time"
        time.sleep(0.005)
