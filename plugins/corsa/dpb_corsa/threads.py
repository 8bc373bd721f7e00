"""What threads of a fabric share: work in parallel, one command at a time for each key, OpenFlow ports in use."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TypeVar

from dpb_framework.errors import DpbError, Unreachable

WORKERS = 8

_T = TypeVar("_T")
_R = TypeVar("_R")


class Crew:
    """Workers that do things of a command in parallel, while the fabric runs."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Be ready."""
        self._pool = ThreadPoolExecutor(WORKERS, "corsa")

    def stop(self) -> None:
        """End when what is under way is done."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()

    def each(self, work: Callable[[_T], _R], items: Iterable[_T], where: str) -> list[_R]:
        """Do *work* with each item, and wait for all of it.

        When some fails the error is raised: an `Unreachable` rather than another, as it says less of what was done.
        """
        listed = list(items)
        pool = self._pool
        if pool is None:
            raise Unreachable(where, "the fabric is not started")
        if len(listed) == 1:
            return [work(listed[0])]
        try:
            futures = [pool.submit(work, item) for item in listed]
        except RuntimeError:
            raise Unreachable(where, "the fabric is stopped") from None
        results: list[_R] = []
        errors: list[DpbError] = []
        for future in futures:
            try:
                results.append(future.result())
            except DpbError as error:
                errors.append(error)
        errors.sort(key=lambda error: not isinstance(error, Unreachable))
        if errors:
            raise errors[0]
        return results


class KeyLocks:
    """A lock for each key, while somebody wants it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextlib.contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """While one command works on a key others wait."""
        with self._guard:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks[key]
                if users == 1:
                    del self._locks[key]
                else:
                    self._locks[key] = (lock, users - 1)


class Ofports:
    """Whose the OpenFlow ports of each VFC are, as commands of ours know better than lists that they read before."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._owners: dict[str, dict[int, str]] = {}

    def assign(self, dpid: str, owner: str, ofports: Collection[int]) -> None:
        """Let these be the owner's, and no others."""
        with self._guard:
            left = {n: other for n, other in self._owners.get(dpid, {}).items() if other != owner}
            self._owners[dpid] = left | dict.fromkeys(ofports, owner)
            if not self._owners[dpid]:
                del self._owners[dpid]

    def take(self, dpid: str, owner: str, taken: Collection[int]) -> int:
        """Give the owner one more, the first that is nobody's and not among *taken*."""
        with self._guard:
            owners = self._owners.setdefault(dpid, {})
            ofport = next(number for number in count(1) if number not in taken and number not in owners)
            owners[ofport] = owner
            return ofport
