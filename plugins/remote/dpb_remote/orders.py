"""Orders on their way to the line: given in any thread, taken together, cut into requests."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from attrs import frozen

from dpb_framework.errors import Unreachable
from dpb_framework.reply import Reply
from dpb_remote.answers import Answer, shortly

MOST: Final = 64
"""Orders in one request at the most: what is more goes on its way beside."""
MOST_BYTES: Final = 500_000
"""The length of such orders: half of what a broker reads."""


@frozen(eq=False)
class Given:
    """An order that waits for its answer."""

    reply: Reply[Answer]
    where: str
    text: bytes
    seconds: float
    repeatable: bool


class Pile:
    """Orders that have not been sent yet. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: list[Given] = []

    def put(self, given: Given) -> None:
        """Add one."""
        with self._lock:
            self._given.append(given)

    def take(self) -> list[Given]:
        """Return all, and have none."""
        with self._lock:
            taken, self._given = self._given, []
        return taken


def requests(given: Sequence[Given]) -> Iterator[list[Given]]:
    """Cut orders into as many as go by one request, and wait equally long for their answers."""
    for seconds in dict.fromkeys(one.seconds for one in given):
        yield from _cut(one for one in given if one.seconds == seconds)


def _cut(given: Iterable[Given]) -> Iterator[list[Given]]:
    some: list[Given] = []
    size = 0
    for one in given:
        if some and (len(some) == MOST or size + len(one.text) > MOST_BYTES):
            yield some
            some, size = [], 0
        some.append(one)
        size += len(one.text)
    if some:
        yield some


def body(orders: Iterable[Given]) -> bytes:
    """What a request with these says."""
    return b'{"orders":[' + b",".join(one.text for one in orders) + b"]}"


def fail_once(waiting: dict[int, Given], error: BaseException) -> None:
    """Give up what must not be sent twice."""
    for number, given in list(waiting.items()):
        if not given.repeatable:
            waiting.pop(number).reply.fail(Unreachable(given.where, shortly(error)))
