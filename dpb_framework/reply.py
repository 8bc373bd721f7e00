"""A reply that comes later: how the kernel waits without holding a thread.

Lighter than `concurrent.futures.Future` (no condition variable until somebody blocks), which matters
because a define makes several for each inferior network. `to_asyncio` is the adapter for event loops.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from dpb_framework.errors import Stopped, TimedOut
from dpb_framework.inbox import Inbox
from dpb_framework.precedence import expect_step, step_over
from dpb_framework.turns import THREAD

T = TypeVar("T")

_logger = logging.getLogger("dpb.runtime")
_lock = threading.Lock()


class Reply(Generic[T]):
    """The outcome of a command: a value or an error, now or later, exactly once."""

    __slots__ = ("_callbacks", "_error", "_settled", "_value")

    def __init__(self) -> None:
        self._settled = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Reply[T]], object]] | None = None

    @classmethod
    def of(cls, value: T) -> Reply[T]:
        """Return a reply that has come already."""
        reply = cls()
        reply._value = value
        reply._settled = True
        return reply

    @classmethod
    def failed(cls, error: BaseException) -> Reply[T]:
        """Return a reply that is an error already."""
        reply = cls()
        reply._error = error
        reply._settled = True
        return reply

    @property
    def settled(self) -> bool:
        """Whether the outcome is known."""
        return self._settled

    @property
    def error(self) -> BaseException | None:
        """The error, or None when there is none (or none yet)."""
        return self._error

    @property
    def value(self) -> T:
        """The value of a settled reply; its error is raised."""
        if not self._settled:
            raise RuntimeError("the reply has not come yet")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]  # kept as Any: None until it settles

    def resolve(self, value: T) -> bool:
        """Settle with a value. False when it was settled before: the first outcome holds."""
        return self._settle(value, None)

    def fail(self, error: BaseException) -> bool:
        """Settle with an error. False when it was settled before."""
        return self._settle(None, error)

    def follow(self, other: Reply[T]) -> None:
        """Settle as *other* did: a callback for its `then`."""
        self._settle(other._value, other._error)

    def abandon(self) -> None:
        """Tell that nobody waits for it any more: whoever would settle it may forget it."""
        self.fail(Stopped("whoever waited"))

    def _settle(self, value: Any, error: BaseException | None) -> bool:
        with _lock:
            if self._settled:
                return False
            self._value = value
            self._error = error
            self._settled = True
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            try:
                callback(self)
            except Exception:  # whoever waits beside must not be forgotten for it
                _logger.exception("a callback of a reply failed")
        return True

    def then(self, callback: Callable[[Reply[T]], object]) -> None:
        """Call *callback* with this reply once it is settled: at once if it is, else in the settling thread."""
        if not self._settled:  # once it is, it stays so: no need of the lock then
            with _lock:
                if not self._settled:
                    if self._callbacks is None:
                        self._callbacks = [callback]
                    else:
                        self._callbacks.append(callback)
                    return
        callback(self)

    def result(self, timeout: float | None = 30.0) -> T:
        """Block until the reply is there and return its value or raise its error.

        For people, scripts and tests; `timeout` in seconds. A kernel thread must not call it.
        """
        if not self._settled:
            if THREAD.forbidden:
                raise RuntimeError("a kernel thread must not block on a reply: use then()")
            arrived = threading.Event()
            self.then(lambda _: arrived.set())
            if not arrived.wait(timeout):
                raise TimedOut("the reply", timeout or 0.0)
        return self.value


def to_asyncio(reply: Reply[T]) -> asyncio.Future[Reply[T]]:
    """Return a future of the running loop that is done with *reply* itself once that is settled.

    The outcome travels inside, so that one which nobody awaits any more is no unhandled exception. After the loop was
    closed nothing happens any more.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Reply[T]] = loop.create_future()
    if reply.settled:
        future.set_result(reply)
        return future

    def arrive() -> None:
        if not future.done():
            future.set_result(reply)

    bring(reply, arrive)
    return future


def bring(reply: Reply[Any], call: Callable[[], object]) -> None:
    """Make *call* in the running loop, in a turn of its own, once *reply* is settled; before searches go on.

    After the loop was closed nothing happens any more.
    """
    loop = asyncio.get_running_loop()
    inbox = Inbox.of(loop)

    def arrive() -> None:
        try:
            call()
        finally:
            inbox.afterwards(step_over)  # whoever awaits what it did goes on before

    def post(_: Reply[Any]) -> None:
        expect_step()
        try:
            inbox.put(arrive)
        except RuntimeError:
            step_over()
            if not loop.is_closed():
                raise

    reply.then(post)
