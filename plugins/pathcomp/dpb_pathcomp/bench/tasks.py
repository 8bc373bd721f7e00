"""Many runs, one after the other or in several processes, with a bar that shows how far they are."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

import click

T = TypeVar("T")
R = TypeVar("R")


def each(work: Callable[[T], R], tasks: Sequence[T], *, label: str, jobs: int = 1) -> list[R]:
    """Return what *work* makes of each task, in their order; with several *jobs*, in so many processes.

    Only a terminal is shown the bar, on the standard error. With several processes both must be picklable.
    """
    with click.progressbar(
        length=len(tasks), label=label, file=sys.stderr, hidden=not sys.stderr.isatty(), show_pos=True
    ) as bar:
        found = []
        for result in _results(work, tasks, min(jobs, len(tasks))):
            found.append(result)
            bar.update(1)
    return found


def _results(work: Callable[[T], R], tasks: Sequence[T], jobs: int) -> Iterator[R]:
    if jobs <= 1:
        yield from map(work, tasks)
        return
    # Not by fork: this process may have threads.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, tasks)
