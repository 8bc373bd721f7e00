"""The event loop of the process for all remote networks, and the ways into it and out of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from dpb_framework.inbox import Inbox
from dpb_framework.runtime import Runtime, Strand


class Loop:
    """An event loop in a thread of its own, there while somebody uses it."""

    _lock: ClassVar = threading.Lock()
    _current: ClassVar[Loop | None] = None

    def __init__(self) -> None:
        self._users = 0
        self._loop = asyncio.new_event_loop()
        self._inbox = Inbox.of(self._loop)
        self._arrived: dict[Runtime, list[tuple[Strand, Callable[[], None]]]] = {}
        self._deliveries: WeakKeyDictionary[Runtime, Strand] = WeakKeyDictionary()
        self._thread = threading.Thread(target=self._run, name="dpb-remote", daemon=True)
        self._thread.start()

    @classmethod
    def take(cls) -> Loop:
        """The loop of the process; `leave` it when it is used no longer."""
        with cls._lock:
            if cls._current is None:
                cls._current = cls()
            cls._current._users += 1
            return cls._current

    def leave(self) -> None:
        """Use it no longer; the last one ends it."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            Loop._current = None
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(_rest())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    @property
    def ended(self) -> bool:
        """Whether it is closed, and nothing runs in it any more."""
        return self._loop.is_closed()

    def spawn(self, task: Coroutine[Any, Any, None]) -> Future[None]:
        """Run *task* in the loop; may be called in any thread, as may the `cancel` of what is returned."""
        return asyncio.run_coroutine_threadsafe(task, self._loop)

    def soon(self, call: Callable[[], None]) -> None:
        """Make *call* in the loop; may be called in any thread. What comes together wakes the loop once."""
        self._inbox.put(call)

    def deliver(self, runtime: Runtime, strand: Strand, task: Callable[[], None]) -> None:
        """Run *task* on *strand*, in a worker and in the order in which tasks are delivered.

        Called in the loop, or after its end. What arrives in one turn of the loop is one job for the workers, whatever
        networks it is for.
        """
        if self.ended:
            strand.hand_over(task, runtime)
            return
        if not self._arrived:
            self._loop.call_soon(self._hand_over)
        self._arrived.setdefault(runtime, []).append((strand, task))

    def _hand_over(self) -> None:
        arrived, self._arrived = self._arrived, {}
        for runtime, tasks in arrived.items():
            delivery = self._deliveries.setdefault(runtime, Strand())
            delivery.hand_over(partial(_post_all, tasks), runtime)

    def run(self, task: Coroutine[Any, Any, None], seconds: float = 5.0) -> None:
        """Run *task* in the loop and wait until it is done. Never in the loop itself."""
        future = self.spawn(task)
        try:
            future.result(seconds)
        except TimeoutError:
            future.cancel()


async def _rest() -> None:
    """End what a library has begun and nobody waits for, such as connecting; a closed transport needs a turn, too."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(3):
        await asyncio.sleep(0)


def _post_all(tasks: list[tuple[Strand, Callable[[], None]]]) -> None:
    for strand, task in tasks:
        strand.post(task)
