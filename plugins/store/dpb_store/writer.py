"""The one thread that writes: takes all that is queued, commits it as a group, tells each batch's reply."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from queue import Empty, SimpleQueue
from typing import TypeAlias

from dpb_framework.contracts.store import Batch, EventRecord, NetworkRecord
from dpb_framework.errors import CommitFailed, DpbError, Stopped, VersionStale
from dpb_framework.reply import Reply
from dpb_framework.turns import THREAD, at_last, turn
from dpb_store.backend import Backend, Lost
from dpb_store.encode import Group, work
from dpb_store.statements import Work

KEEP = 10_000
"""So many of each network's last events are kept at least."""

SLACK = 500
"""So many more may be there before the oldest are deleted: a few at a time, so that no commit waits long for it."""

LINGER = 0.005
"""Seconds for which what nobody waits for is kept back at the most."""

_MOST = 1000  # batches in a group: bounds what one group's failure costs
Job: TypeAlias = tuple[Batch, Reply[None]]
_log = logging.getLogger(__name__)


class Writer:
    """Owns the backend's writing connection from `start` to `stop`."""

    def __init__(self, backend: Backend, bounds: dict[str, tuple[int, int]]) -> None:
        """*bounds*: for each network with events the numbers of the first and the last."""
        self._backend = backend
        self._bounds = bounds
        self._pile: deque[Job] = deque()
        self._calls: SimpleQueue[bool] = SimpleQueue()
        """Each tells that there is something on the pile, or (False) that nothing comes any more."""
        self._lock = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="dpb-store-writer", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def submit(self, batch: Batch) -> Reply[None]:
        """Queue a batch, and call the writer to it at the end of the turn. Its reply fails with `Stopped` after `stop`.

        So what is decided together is stored together: the batches of a dozen networks in one transaction.
        """
        reply: Reply[None] = Reply()
        with self._lock:
            if self._stopped:
                return Reply.failed(Stopped("the store"))
            self._pile.append((batch, reply))
        at_last(self._call)
        return reply

    def _call(self) -> None:
        if self._pile:  # else it came by, and took all that there was
            self._calls.put(True)

    def stop(self) -> None:
        """Finish what was submitted, then end the thread. Blocks, repeatable."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._calls.put(False)
        self._thread.join()

    def _run(self) -> None:
        # A callback that blocked on another reply would wait for this very thread.
        THREAD.forbidden = True
        more = True
        while more:
            jobs, more = self._gather()
            if jobs:
                self._settle(jobs)

    def _gather(self) -> tuple[list[Job], bool]:
        """Take all that is queued, and tell whether more may come.

        What nobody waits for waits a moment itself, so that it shares the transaction of what comes next.
        """
        jobs: list[Job] = []
        until: float | None = None
        more = self._calls.get()
        while True:
            while self._pile:
                jobs.append(self._pile.popleft())
                if len(jobs) == _MOST:
                    self._calls.put(more)  # what is left may have been called to with the first of them
                    return jobs, True
            if not more or not all(batch.lazy for batch, _ in jobs):
                return jobs, more
            now = time.monotonic()
            until = until or now + LINGER
            try:
                more = self._calls.get(timeout=max(0.0, until - now))
            except Empty:
                return jobs, True

    def _settle(self, jobs: list[Job]) -> None:
        try:
            outcomes = self._commit([batch for batch, _ in jobs])
        except Exception as error:  # noqa: BLE001  # a reply that never comes would be worse than any fault of ours
            _log.exception("internal fault of the store")
            outcomes = [CommitFailed(f"internal fault, please report it: {error!r}") for _ in jobs]
        with turn():
            for (_, reply), fault in zip(jobs, outcomes, strict=True):
                if fault is None:
                    reply.resolve(None)
                else:
                    reply.fail(fault)

    def _commit(self, batches: list[Batch]) -> list[DpbError | None]:
        """Store what can be stored of *batches*; return for each the fault, or None."""
        group = Group()
        outcomes: list[DpbError | None] = []
        try:
            for batch in batches:
                stale = self._stale(batch, group) if batch.expects else None
                outcomes.append(stale)
                if stale is None:
                    group.add(batch)
            todo = work(group, self._backend.statements)
            bounds = self._prune(group, todo)
            if todo:
                self._backend.transact(todo)
            self._bounds = bounds
        except Lost as error:
            return [CommitFailed(str(error)) for _ in batches]
        except Exception as error:  # noqa: BLE001  # the driver's, or a record that cannot be kept: the batch is told
            if len(batches) == 1:
                return [CommitFailed(self._backend.problem(error))]
            # One of them is to blame: each on its own, in order, so that only that one fails.
            return [fault for batch in batches for fault in self._commit([batch])]
        return outcomes

    def _stale(self, batch: Batch, group: Group) -> VersionStale | None:
        for key, expected in batch.expects.items():
            found = group.version(key)
            if found is None:
                rows = self._backend.fetch(self._backend.statements.version, key)
                found = rows[0][0] if rows else 0
            if found != expected:
                return VersionStale(*key, expected, found)
        return None

    def _prune(self, group: Group, todo: Work) -> dict[str, tuple[int, int]]:
        """Add to *todo* the deletion of events that are too old; return the bounds that then hold."""
        events = group.puts.get(EventRecord)
        gone = group.drops.get(NetworkRecord)
        if not events and not gone:
            return self._bounds
        bounds = dict(self._bounds)
        for (network,) in gone or ():
            bounds.pop(network, None)
        for network, number in events or ():
            first, last = bounds.get(network, (number, number))
            bounds[network] = (min(first, number), max(last, number))
        for network in {key[0] for key in events or ()}:
            first, last = bounds[network]
            if last - first >= KEEP + SLACK:
                todo.append((self._backend.statements.prune, [(network, last - KEEP)]))
                bounds[network] = (last - KEEP + 1, last)
        return bounds
