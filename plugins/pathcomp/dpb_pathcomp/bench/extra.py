"""What only some of the bench needs: the extra `dpb-pathcomp[bench]`."""

from __future__ import annotations

import importlib
from typing import Any

from dpb_framework.errors import ConfigInvalid


def needed(module: str, what_for: str) -> Any:
    """Return the *module*, or raise `ConfigInvalid`, one line that tells how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        problem = f"needs {module.partition('.')[0]}, which is not installed: pip install 'dpb-pathcomp[bench]'"
        raise ConfigInvalid(what_for, problem) from error
