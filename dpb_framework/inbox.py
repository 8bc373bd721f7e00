"""What other threads bring to an event loop: however much comes together, it wakes the loop once.

Waking a loop is a call of the system on either side, dearer than most of what is brought.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary, ref

_inboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Inbox] = WeakKeyDictionary()


class Inbox:
    """Calls for one loop, made there in the order in which they were put."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = ref(loop)  # which has it as long as it lives, and no longer
        self._calls: deque[Callable[[], object]] = deque()
        self._woken = False
        self._after: list[Callable[[], object]] = []

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Inbox:
        """The inbox of *loop*, which all who bring it something share."""
        found = _inboxes.get(loop)
        return _inboxes.setdefault(loop, cls(loop)) if found is None else found

    def put(self, call: Callable[[], object]) -> None:
        """Let the loop make *call* soon; from any thread. `RuntimeError` once the loop is closed."""
        # Whoever finds the loop woken has put its call before, and the loop takes the mark away before it looks.
        self._calls.append(call)
        if self._woken:
            return
        self._woken = True
        loop = self._loop()
        try:
            if loop is None:
                raise RuntimeError("the event loop is gone")
            loop.call_soon_threadsafe(self._take)
        except RuntimeError:
            self._woken = False
            self._calls.clear()
            raise

    def afterwards(self, call: Callable[[], object]) -> None:
        """Make *call* when the loop has done what the calls of this turn have queued. In a call that was put."""
        self._after.append(call)

    def _go_after(self) -> None:
        calls, self._after = self._after, []
        for call in calls:
            _make(call)

    def _take(self) -> None:
        self._woken = False
        calls = self._calls
        for _ in range(len(calls)):
            _make(calls.popleft())
        if self._after:
            asyncio.get_running_loop().call_soon(self._go_after)


def _make(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception as error:  # noqa: BLE001  # the loop's own handler tells, as of any call; the others go on
        asyncio.get_running_loop().call_exception_handler({"message": f"{call!r} failed", "exception": error})
