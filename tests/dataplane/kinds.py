"""On what kinds of switches a test runs: each kind is a laboratory of its own, made once for all tests in a row."""

from __future__ import annotations

import os

import pytest
from dpb_lab import wan

SOAK = os.environ.get("DPB_SOAK") == "1"

OPENFLOW, SHARED, PER_SERVICE = ((kind,) for kind in wan.KINDS)
MIXED = wan.KINDS
"""A kind for each of the three sites: each trunk joins two."""
ALL = (OPENFLOW, SHARED, PER_SERVICE)
CORSA = (SHARED, PER_SERVICE)
KINDS = (*ALL, MIXED)


def named(kinds: tuple[str, ...]) -> str:
    """What tests on these kinds are called."""
    return kinds[0] if len(kinds) == 1 else "mixed"


def on(*kinds: tuple[str, ...], soak: tuple[tuple[str, ...], ...] = ()) -> pytest.MarkDecorator:
    """Mark a test to run on switches of these *kinds*, and in `make soak` on more; those of a kind run in a row."""
    chosen = dict.fromkeys((*kinds, *soak) if SOAK else kinds)
    each = [pytest.param(kind, marks=pytest.mark.xdist_group(f"dataplane-{named(kind)}")) for kind in chosen]
    return pytest.mark.parametrize("standing", each, ids=named, indirect=True, scope="package")
