"""Threads, timers and strands: how the kernel runs without ever blocking on others.

A `Strand` runs tasks one after the other in whatever thread brings them; who finds it busy leaves the task
there and goes on, so nobody ever waits for a strand, and networks that are nested in one process cannot exhaust a
pool. Only leaves (fabrics, remote brokers) block, each in a small executor of its own.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import zip_longest
from typing import TypeVar

from dpb_framework.errors import Stopped
from dpb_framework.precedence import begin_step, end_step, expect_step, step_over
from dpb_framework.reply import Reply
from dpb_framework.turns import THREAD, at_last, begin_turn, do_last, end_turn, together

T = TypeVar("T")
Task = Callable[[], None]
Cancel = Callable[[], None]

MANY = 64
"""Tasks of one strand, one after the other, after which the thread does what it has left to the end of its turn."""

_logger = logging.getLogger("dpb.runtime")


def nothing() -> None:
    """Do nothing: the cancel of what cannot be cancelled any more."""


class Strand:
    """Tasks that run one at a time, in the order in which they came."""

    __slots__ = ("_busy", "_tasks")

    def __init__(self) -> None:
        self._tasks: deque[Task] = deque()
        self._busy = threading.Lock()

    def post(self, task: Task) -> None:
        """Run *task* in this thread, with whatever else waits; or leave it to the thread that runs the strand now."""
        self._tasks.append(task)
        # Who finds the strand busy has queued the task before: the other thread looks again after it lets go.
        if not self._busy.locked():
            self._drain()

    def hand_over(self, task: Task, runtime: Runtime) -> None:
        """Queue *task* now and let a worker run it: for threads that must not do the kernel's work."""
        self._tasks.append(task)
        runtime.soon(self._drain)

    @staticmethod
    def hand_over_together(tasks: Sequence[tuple[Strand, Task]], runtime: Runtime, *, alone: bool = False) -> None:
        """As `hand_over` for each; in one worker, strand after strand, where nothing else waits on any of them.

        That worker has also what is handed over so in the same turn, but for what may take long: that is to be *alone*.
        """
        free = True
        for strand, task in tasks:
            free = free and not strand._tasks
            strand._tasks.append(task)
        strands = [strand for strand, _ in tasks]
        if not free:
            for strand in strands:
                runtime.soon(strand._drain)
        elif alone:
            runtime.soon(partial(_drain_all, [strands]))
        else:
            together(runtime._drain_soon, strands)

    def post_last(self, task: Task) -> None:
        """As `post`, but at the end of this thread's turn, after all that it does meanwhile on whatever strands."""
        at_last(partial(self.post, task))

    def _drain(self) -> None:
        tasks, busy = self._tasks, self._busy
        first = not THREAD.forbidden  # else this is part of another strand's turn
        begun = False
        if first:
            THREAD.forbidden = True
            begun = begin_turn()
        try:
            # Who finds the strand busy has queued the task before: it is looked for again after each release.
            while tasks and busy.acquire(False):
                done = 0
                try:
                    while tasks:
                        task = tasks.popleft()
                        try:
                            task()
                        except Exception:  # the strand must outlive a faulty task; the log tells of it
                            _logger.exception("a task of the kernel failed")
                        if tasks:
                            done += 1
                            if done % MANY == 0:
                                do_last()
                finally:
                    busy.release()
        finally:
            if begun:
                end_turn()
            if first:
                THREAD.forbidden = False


def _drain_all(lists: Sequence[Sequence[Strand]]) -> None:
    """Run the first strand of each list, then the second of each: what others wait for comes before what is told."""
    for strands in zip_longest(*lists):
        for strand in strands:
            if strand is not None:
                strand._drain()


def tune_interpreter() -> None:
    """Set the interpreter for a process that is a broker.

    A thread that plans keeps the interpreter until another has asked for it so long. A define on another network asks
    some fifteen times (each statement of the store's, each hand-over between threads): with the default of five
    milliseconds it would take nearly a tenth of a second. And a define makes hundreds of objects that live as long as
    their service: the collector's default of a search every 700 costs more than the cycles that it finds. Every fourth
    search looks at older ones, too: at so many that they fit into a cache, and take 5 ms instead of 30.
    """
    sys.setswitchinterval(0.0002)
    gc.set_threshold(10_000, 3, 40)


def spare_collector() -> None:
    """Take what is there now, such as modules, for what stays: the collector does not look at it again."""
    gc.collect()
    gc.freeze()


class Leaf:
    """A small executor of its own for calls that block."""

    def __init__(self, name: str, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"dpb-{name}")

    def submit(self, call: Callable[[], T]) -> Reply[T]:
        """Run *call* in one of its threads; the reply settles there."""
        reply: Reply[T] = Reply()

        def run() -> None:
            try:
                value = call()
            except BaseException as error:  # noqa: BLE001  # told to whoever waits, whatever it is
                reply.fail(error)
            else:
                reply.resolve(value)

        try:
            self._pool.submit(run)
        except RuntimeError:
            reply.fail(Stopped())
        return reply

    def stop(self) -> None:
        """Take no more calls; those that wait are dropped (their replies fail), those that run end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Runtime:
    """Worker threads, one timer thread, and the leaves' executors."""

    def __init__(self, workers: int = 4, leaf_threads: int = 2) -> None:
        self._leaf_threads = leaf_threads
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="dpb-worker")
        self._timers = _Timers(self.soon)
        self._leaves: list[Leaf] = []
        self._stopped = False

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""
        return time.monotonic()

    def soon(self, task: Task) -> None:
        """Run *task* in a worker. After `stop` it is dropped."""
        expect_step()
        try:
            self._workers.submit(_guarded, task)
        except RuntimeError:
            step_over()
            if not self._stopped:  # pragma: no cover  # only the interpreter's own end brings this about
                raise

    def _drain_soon(self, lists: list[list[Strand]]) -> None:
        self.soon(partial(_drain_all, lists))

    def work(self, call: Callable[[], T]) -> Reply[T]:
        """Run *call* in a worker; the reply has what it returns or raises."""
        reply: Reply[T] = Reply()

        def run() -> None:
            begin_step()
            try:
                value = call()
            except Exception as error:  # noqa: BLE001  # told to whoever waits
                reply.fail(error)
            else:
                reply.resolve(value)
            finally:
                end_step()

        expect_step()
        try:
            self._workers.submit(run)
        except RuntimeError:
            step_over()
            reply.fail(Stopped())
        return reply

    def later(self, seconds: float, task: Task) -> Cancel:
        """Run *task* in a worker after that time, unless the answer is called before."""
        return self._timers.add(self.now() + seconds, task)

    def leaf(self, name: str) -> Leaf:
        """Make an executor for one leaf."""
        leaf = Leaf(name, self._leaf_threads)
        self._leaves.append(leaf)
        return leaf

    def stop(self) -> None:
        """End all threads; tasks that wait are dropped."""
        self._stopped = True
        self._timers.stop()
        for leaf in self._leaves:
            leaf.stop()
        self._workers.shutdown(wait=True, cancel_futures=True)


def _guarded(task: Task) -> None:
    begin_step()
    try:
        task()
    except Exception:
        _logger.exception("a task of the kernel failed")
    finally:
        end_step()


class _Timers:
    """One thread and a heap of dates; cancelled entries stay in it while they are less than half."""

    def __init__(self, run: Callable[[Task], None]) -> None:
        self._run = run
        self._heap: list[tuple[float, int, list[Task | None]]] = []
        self._count = itertools.count()
        self._wake = threading.Condition()
        self._cancelled = 0
        self._ended = False
        self._thread: threading.Thread | None = None

    def add(self, at: float, task: Task) -> Cancel:
        cell: list[Task | None] = [task]
        with self._wake:
            if self._ended:
                return nothing
            heapq.heappush(self._heap, (at, next(self._count), cell))
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="dpb-timers", daemon=True)
                self._thread.start()
            elif self._heap[0][2] is cell:
                self._wake.notify()

        def cancel() -> None:
            with self._wake:
                if cell[0] is not None:
                    cell[0] = None
                    self._forget_one()

        return cancel

    def _forget_one(self) -> None:
        self._cancelled += 1
        if self._cancelled > 64 and self._cancelled > len(self._heap) // 2:
            self._heap = [entry for entry in self._heap if entry[2][0] is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not self._ended and (not self._heap or self._heap[0][0] > time.monotonic()):
                    self._wake.wait(self._heap[0][0] - time.monotonic() if self._heap else None)
                if self._ended:
                    return
                cell = heapq.heappop(self._heap)[2]
                task, cell[0] = cell[0], None
                if task is None:
                    self._cancelled -= 1
            if task is not None:
                self._run(task)

    def stop(self) -> None:
        with self._wake:
            self._ended = True
            self._wake.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)
