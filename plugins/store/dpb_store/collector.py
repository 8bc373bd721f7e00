"""Holding the garbage collector back while a great many lasting objects are made."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()


@contextmanager
def paused() -> Iterator[None]:
    """Collect nothing within; nested and parallel use wait for each other only to begin and to end."""
    global _users
    with _lock:
        if _users == 0:
            _state.append(gc.isenabled())
            gc.disable()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _state.pop():
                gc.enable()


_users = 0
_state: list[bool] = []
