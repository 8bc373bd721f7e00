"""Clocks, and a wrapper that times a planner."""

from __future__ import annotations

import time
from types import TracebackType

from dpb_framework.contracts.algorithm import Algorithm, Demand, Outcome, Planner, Residual, Topology
from dpb_pathcomp.bench.figures import Samples
from dpb_pathcomp.compilation import COMPILATION

COMPILING = 120.0
"""Seconds after which a compilation is not waited for any more."""


def settle() -> None:
    """Wait until the searches are compiled, where they can be: it would go on beside what is timed."""
    COMPILATION.start()
    COMPILATION.wait(COMPILING)


class Stopwatch:
    """Collects times; a context manager around what is to be timed. Not for nested use."""

    def __init__(self) -> None:
        self._thread: list[int] = []
        self._process: list[int] = []
        self._wall: list[int] = []
        self._started = (0, 0, 0)

    def __enter__(self) -> Stopwatch:
        # The innermost clock is the one that counts most: this thread's CPU.
        self._started = (time.perf_counter_ns(), time.process_time_ns(), time.thread_time_ns())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread, process, wall = time.thread_time_ns(), time.process_time_ns(), time.perf_counter_ns()
        started_wall, started_process, started_thread = self._started
        self._thread.append(thread - started_thread)
        self._process.append(process - started_process)
        self._wall.append(wall - started_wall)

    @property
    def samples(self) -> Samples:
        """What was timed so far."""
        return Samples(tuple(self._thread), tuple(self._process), tuple(self._wall))

    def __len__(self) -> int:
        return len(self._thread)

    def since(self, number: int) -> Samples:
        """What was timed after so many."""
        return Samples(self._thread[number:], self._process[number:], self._wall[number:])


class Timed(Algorithm):
    """Another algorithm, each of whose plans is timed."""

    def __init__(self, real: Algorithm, watch: Stopwatch) -> None:
        self._real = real
        self._watch = watch

    def planner(self, topology: Topology) -> Planner:
        """Return the real algorithm's planner, timed; making it is not."""
        return timed(self._real.planner(topology), self._watch)


def timed(planner: Planner, watch: Stopwatch) -> Planner:
    """Return a planner that answers as *planner*, each of whose plans is timed."""
    return _TimedPlanner(planner, watch)


class _TimedPlanner(Planner):
    def __init__(self, real: Planner, watch: Stopwatch) -> None:
        self._real = real
        self._watch = watch

    def plan(self, demand: Demand, residual: Residual) -> Outcome:
        with self._watch:
            return self._real.plan(demand, residual)
