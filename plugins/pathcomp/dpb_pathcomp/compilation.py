"""Compiling the searches with numba: once for a process, in the background, kept in the user's cache folder.

Nobody waits for it: until it is done, and where numba is missing or fails, plain Python serves.
"""

from __future__ import annotations

import logging
import os
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

from attrs import frozen

_log = logging.getLogger("dpb.pathcomp")


@frozen
class Compiled:
    """The searches as machine code, with numpy."""

    np: Any
    grow: Any
    distances: Any
    gather: Any


class _Ends(Exception):
    """The process ends: there is nobody left to compile for."""


class Compilation:
    """The compilation of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._done = threading.Event()
        self.compiled: Compiled | None = None
        """None until it is done, and for ever when it failed."""

    def start(self) -> None:
        """Begin in a thread, unless that was done before. Returns at once."""
        with self._lock:
            if self._thread is None:
                # No daemon: an interpreter that ends in the middle of a compilation might crash.
                self._thread = threading.Thread(target=self._run, name="dpb-pathcomp-compilation")
                self._thread.start()

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended one way or the other; whether there is machine code. For tests and measurements."""
        if self._thread is not None:
            self._done.wait(timeout)
        return self.compiled is not None

    def _run(self) -> None:
        try:
            self.compiled = compile_searches()
        except _Ends:
            pass
        except ImportError as error:
            _log.info("path computation stays in plain Python: %s (pip install dpb-pathcomp[fast])", error)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a compiler, the service goes on without
            _log.warning("path computation stays in plain Python: numba failed: %s: %s", type(error).__name__, error)
        finally:
            self._done.set()


COMPILATION = Compilation()
"""That of this process."""


def cache_folder() -> Path:
    """Where compiled code is kept: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dpb-pathcomp"


def compile_searches() -> Compiled:
    """Return the searches compiled, from the cache where they are there; `ImportError` without numba."""
    numba = import_module("numba")
    np = import_module("numpy")
    source: Any = import_module("dpb_pathcomp.compilable")
    config: Any = import_module("numba.core.config")
    # numba asks for its folder when it makes a function, and other users of numba keep theirs.
    before = config.CACHE_DIR
    if not before:
        config.CACHE_DIR = str(cache_folder())
    try:
        source._tour_of = numba.njit(cache=True)(source._tour)
        # Without the interpreter's lock: other networks, and the event loop, go on while one plans.
        compiler = numba.njit(cache=True, nogil=True)
        compiled = Compiled(np, *map(compiler, (source.grow, source.distances, source.gather)))
    finally:
        config.CACHE_DIR = before
    _rehearse(compiled)
    return compiled


def _rehearse(compiled: Compiled) -> None:
    """Call each function once, so that it is compiled for the types with which it will be called."""
    from dpb_framework.contracts.algorithm import Demand, Residual, Topology
    from dpb_pathcomp.fast import FastSearches
    from dpb_pathcomp.loads import Ends, Loads
    from dpb_pathcomp.mirror import Mirror
    from dpb_pathcomp.problem import Problem, Rules, Work
    from dpb_pathcomp.weights import COSTS

    mirror = Mirror(Topology(3, [0, 1], [1, 2], [1, 1], ["a", "b"]), COSTS["hops"])
    mirror.follow(Residual([9, 9], [9, 9]))
    loads = Loads(Ends.of(Demand((0, 1, 2), (1, 1, 1), (1, 1, 1))), False)
    problem = Problem.of(mirror, loads, frozenset())
    fast = FastSearches(mirror, compiled)
    for search in (
        lambda: fast.grow(problem, ()),
        lambda: fast.distances(problem, 9, 100),
        lambda: fast.gather(problem, Rules.of(loads), fast.unbounded(problem), Work(1000)),
    ):
        if not threading.main_thread().is_alive():
            raise _Ends
        search()
