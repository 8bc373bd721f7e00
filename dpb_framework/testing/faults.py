"""A store that fails or is slow on demand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from dpb_framework.contracts import Batch, Contents, Item, Store
from dpb_framework.errors import CommitFailed
from dpb_framework.model import Event
from dpb_framework.reply import Reply
from dpb_framework.runtime import Runtime


class FaultyStore(Store):
    """A store around another one. `fail` lets commits fail; with a *runtime* each commit takes two of its tasks.

    In the first task the batch is kept, in the second one the reply tells of it: whoever stops between them has a
    broker that died after the commit and before it knew.
    """

    def __init__(self, inner: Store, runtime: Runtime | None = None) -> None:
        self.inner = inner
        self.runtime = runtime
        self.submitted = 0
        self._waiting: deque[tuple[Batch, Reply[None], bool]] = deque()
        self._fails: Callable[[Batch], bool] = lambda _: False

    def fail(self, when: Callable[[Batch], bool] | bool = True) -> None:
        """Let the commits fail of which *when* is true (True for all, False for none), from now on."""
        self._fails = when if callable(when) else lambda _: when

    def fail_next(self) -> None:
        """Let the next commit fail, and no other."""

        def once(_: Batch) -> bool:
            self.fail(False)
            return True

        self.fail(once)

    def forget_waiting(self) -> None:
        """Lose what was submitted and is not kept yet, as the death of the process does."""
        self._waiting.clear()

    def open(self) -> None:
        """Open the inner store."""
        self.inner.open()

    def close(self) -> None:
        """Keep what waits and close the inner store."""
        while self._waiting:
            self._write()
        self.inner.close()

    @property
    def uuid(self) -> str:
        """The inner store's id."""
        return self.inner.uuid

    def load(self) -> Contents:
        """What the inner store has."""
        return self.inner.load()

    def submit(self, batch: Batch) -> Reply[None]:
        """Pass the batch on, now or in a task; or fail it."""
        self.submitted += 1
        fails = self._fails(batch)
        if self.runtime is None:
            return Reply.failed(CommitFailed("the disk is full")) if fails else self.inner.submit(batch)
        reply: Reply[None] = Reply()
        self._waiting.append((batch, reply, fails))
        self.runtime.soon(self._write)
        return reply

    def _write(self) -> None:
        if not self._waiting:
            return
        batch, reply, fails = self._waiting.popleft()
        kept: Reply[None] = Reply.failed(CommitFailed("the disk is full")) if fails else self.inner.submit(batch)
        soon = partial(kept.then, reply.follow)
        if self.runtime is None:
            soon()
        else:
            self.runtime.soon(soon)

    def events(self, network: str, after: int, limit: int) -> Sequence[Event] | None:
        """The inner store's events."""
        return self.inner.events(network, after, limit)

    def items(self, namespace: str) -> Mapping[str, Item]:
        """The inner store's items."""
        return self.inner.items(namespace)


__all__ = ["FaultyStore"]
