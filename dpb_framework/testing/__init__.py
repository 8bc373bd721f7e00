"""Conformance suites for the authors of plugins: each contract's tests, run by overriding one fixture.

Assertion rewriting is registered here, before a suite is imported: a suite lives in an installed package, and
without it a failing test would show a bare `AssertionError`.
"""

import pytest

pytest.register_assert_rewrite(
    "dpb_framework.testing.store",
    "dpb_framework.testing.store_machine",
    "dpb_framework.testing.fabric",
    "dpb_framework.testing.fabric_fixtures",
    "dpb_framework.testing.algorithm",
    "dpb_framework.testing.instances",
    "dpb_framework.testing.network",
    "dpb_framework.testing.nbi",
)
