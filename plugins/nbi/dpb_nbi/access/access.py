"""Access of one broker: the registry, the logins and the thread that changes them, shared by all its interfaces."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakKeyDictionary

from dpb_framework.contracts import BrokerApi
from dpb_framework.errors import Stopped
from dpb_framework.reply import Reply
from dpb_nbi.access.login import Login
from dpb_nbi.access.registry import Registry

T = TypeVar("T")

_lock = threading.Lock()
_open: WeakKeyDictionary[BrokerApi, Access] = WeakKeyDictionary()


class Access:
    """Users, tokens and logins of one broker. Made by `enter`, so that what one interface changes holds for all."""

    def __init__(self, broker: BrokerApi) -> None:
        self.registry = Registry(broker.store)
        self.login = Login(self.registry)
        self._clerk = ThreadPoolExecutor(1, "dpb-access")
        self._users = 0
        self.rest: list[str] = []
        """The URLs at which REST answers; a list of those that are started."""

    @classmethod
    def enter(cls, broker: BrokerApi) -> Access:
        """Return the one of *broker*, whose store is open; `leave` it in the end. Blocks while it is read."""
        with _lock:
            found = _open.get(broker)
            if found is None:
                found = _open[broker] = cls(broker)
            found._users += 1
            return found

    def leave(self) -> None:
        """Be done with it; the last one to leave ends its threads."""
        with _lock:
            self._users -= 1
            if self._users:
                return
            for broker, access in list(_open.items()):
                if access is self:
                    del _open[broker]
        self.login.close()
        self._clerk.shutdown(wait=False)

    def change(self, call: Callable[[Registry], T]) -> Reply[T]:
        """Let the one thread that changes the registry do it, one change after the other."""
        reply: Reply[T] = Reply()

        def done(future: Future[T]) -> None:
            error = future.exception()
            if error is not None:
                reply.fail(error)
            else:
                reply.resolve(future.result())

        try:
            self._clerk.submit(call, self.registry).add_done_callback(done)
        except RuntimeError:
            return Reply.failed(Stopped("the interface"))
        return reply
