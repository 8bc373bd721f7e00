"""What holds for every test of this repository: nothing of the user's own folders is read or written.

Here at the root, so that it holds for `pytest plugins/store` as well as for all tests at once.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile

import pytest
from hypothesis import settings

# Before anything imports stevedore: it keeps entry points in the user's cache, stale for up to two minutes.
# Workers of xdist inherit the environment, and with it the folder; who made it removes it.
_made: str | None = None
if "DPB_TESTS_FOLDER" not in os.environ:
    os.environ["DPB_TESTS_FOLDER"] = _made = tempfile.mkdtemp(prefix="dpb-tests-")
for _variable in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
    os.environ[_variable] = os.environ["DPB_TESTS_FOLDER"]

# Values are frozen at run time too, in every process of the tests: whoever changes one in place is found here.
os.environ.setdefault("DPB_GUARD_VALUES", "1")

settings.register_profile("soak", max_examples=2000, deadline=None)
settings.register_profile("quick", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays to the end: thousands of tests that were collected."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder, in the process that made it."""
    if _made is not None:
        shutil.rmtree(_made, ignore_errors=True)
