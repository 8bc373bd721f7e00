"""A store whose commits settle later, may fail, and are lost in a crash: what a disk does to a broker."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from dpb_framework.contracts import Batch, Contents, EventRecord, Item, Store
from dpb_framework.errors import CommitFailed, Stopped
from dpb_framework.memory import MemoryStore
from dpb_framework.model import Event
from dpb_framework.reply import Reply
from dpb_framework.runtime import Runtime


class LateStore(Store):
    """A memory store with a queue before it; the runtime decides when the oldest batch takes effect."""

    durable = False

    def __init__(self) -> None:
        self.kept = MemoryStore()
        self.queue: deque[tuple[Batch, Reply[None]]] = deque()
        self.runtime: Runtime | None = None
        self.failing = 0
        self.held = False
        self.refusals: list[str] = []
        """What the memory store itself refused: batches that the kernel should not have made."""
        self.lost_events: set[tuple[str, int]] = set()
        """(network, number) of events whose batch failed."""

    def open(self) -> None:
        """Take the lease."""
        self.kept.open()

    def close(self) -> None:
        """Keep what waits, then give up the lease."""
        while self.queue:
            self.settle_one()
        self.kept.close()

    @property
    def uuid(self) -> str:
        """The id."""
        return self.kept.uuid

    def load(self) -> Contents:
        """What is durable."""
        return self.kept.load()

    def submit(self, batch: Batch) -> Reply[None]:
        """Queue a batch."""
        reply: Reply[None] = Reply()
        self.queue.append((batch, reply))
        if not self.held:
            self._soon()
        return reply

    def _soon(self) -> None:
        if self.runtime is None:
            raise Stopped("the store")
        self.runtime.soon(self.settle_one)

    def hold(self, held: bool) -> None:
        """Let no batch take effect from now on, or let them again."""
        if self.held and not held:
            for _ in self.queue:
                self._soon()
        self.held = held

    def settle_one(self) -> None:
        """Let the oldest batch take effect, or fail."""
        if not self.queue or self.held:
            return
        batch, reply = self.queue.popleft()
        if self.failing:
            self.failing -= 1
            events = [record.event for record in batch.puts if isinstance(record, EventRecord)]
            self.lost_events |= {(event.network, event.number) for event in events}
            reply.fail(CommitFailed("the disk is full"))
            return
        self._keep(batch, reply)

    def _keep(self, batch: Batch, reply: Reply[None]) -> None:
        error = self.kept.submit(batch).error
        if error is None:
            reply.resolve(None)
        else:
            self.refusals.append(f"{error} ({[type(p).__name__ for p in batch.puts]})")
            reply.fail(error)

    def crash(self, survivors: int) -> None:
        """The process ends: the oldest *survivors* of what waits were durable, nobody was told; the rest is lost."""
        for batch, _ in list(self.queue)[:survivors]:
            self.kept.submit(batch)
        self.queue.clear()
        self.held, self.failing, self.runtime = False, 0, None
        self.kept.close()

    def events(self, network: str, after: int, limit: int) -> Sequence[Event] | None:
        """The durable events."""
        return self.kept.events(network, after, limit)

    def items(self, namespace: str) -> Mapping[str, Item]:
        """The durable items."""
        return self.kept.items(namespace)
