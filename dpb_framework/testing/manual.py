"""A runtime without threads: what is to run waits until a test lets it, and time passes when a test says so."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import TypeVar

from dpb_framework.errors import Stopped
from dpb_framework.reply import Reply
from dpb_framework.runtime import Cancel, Leaf, Runtime, Task

T = TypeVar("T")


class ManualLeaf(Leaf):
    """A leaf whose calls wait in the queue of its runtime."""

    def __init__(self, runtime: ManualRuntime) -> None:
        self._runtime = runtime
        self._stopped = False

    def submit(self, call: Callable[[], T]) -> Reply[T]:
        """Queue *call*."""
        if self._stopped:
            return Reply.failed(Stopped())
        return self._runtime.work(call)

    def stop(self) -> None:
        """Take no more calls."""
        self._stopped = True


class ManualRuntime(Runtime):
    """Runs tasks in the thread that calls `run`, one at a time; `choose` may reorder them (a scheduler's freedom).

    *choose* is given how many tasks are ready and tells which is next; by default the oldest.
    """

    def __init__(self, choose: Callable[[int], int] | None = None) -> None:
        self._choose = choose or (lambda _: 0)
        self._ready: list[Task] = []
        self._dated: list[tuple[float, int, list[Task | None]]] = []
        self._count = itertools.count()
        self._time = 0.0
        self._ended = False

    def now(self) -> float:
        """Seconds that have passed by `advance`."""
        return self._time

    def soon(self, task: Task) -> None:
        """Queue *task*."""
        if not self._ended:
            self._ready.append(task)

    def work(self, call: Callable[[], T]) -> Reply[T]:
        """Queue *call*."""
        reply: Reply[T] = Reply()

        def act() -> None:
            try:
                value = call()
            except Exception as error:  # noqa: BLE001  # told to whoever waits
                reply.fail(error)
            else:
                reply.resolve(value)

        if self._ended:
            return Reply.failed(Stopped())
        self.soon(act)
        return reply

    def later(self, seconds: float, task: Task) -> Cancel:
        """Run *task* when that much time has passed."""
        cell: list[Task | None] = [task]
        heapq.heappush(self._dated, (self._time + seconds, next(self._count), cell))

        def cancel() -> None:
            cell[0] = None

        return cancel

    def leaf(self, name: str) -> Leaf:
        """Make a leaf that shares this queue."""
        return ManualLeaf(self)

    def stop(self) -> None:
        """Drop everything: as if the process had ended."""
        self._ended = True
        self._ready.clear()
        self._dated.clear()

    def step(self) -> bool:
        """Run one task; False when none was ready."""
        if not self._ready:
            return False
        self._ready.pop(self._choose(len(self._ready)))()
        return True

    def run(self, limit: int = 100_000) -> None:
        """Run until nothing is ready. `RuntimeError` after *limit* tasks: something never comes to rest."""
        for _ in range(limit):
            if not self.step():
                return
        raise RuntimeError(f"no rest after {limit} tasks")

    def advance(self, seconds: float, limit: int = 100_000) -> None:
        """Let time pass, running what is due at its date."""
        until = self._time + seconds
        self.run(limit)
        while self._dated and self._dated[0][0] <= until:
            date, _, cell = heapq.heappop(self._dated)
            self._time = max(self._time, date)
            if cell[0] is not None:
                self.soon(cell[0])
            self.run(limit)
        self._time = until
