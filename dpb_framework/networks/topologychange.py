"""Changes of a network's terminals and trunks: one after the other, and never more given out than will be there.

Until a change is durable the smaller of old and new holds, so that whether its commit succeeds or fails, nothing
that was admitted meanwhile is too much.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from attrs import evolve

from dpb_framework.contracts import Key, Record
from dpb_framework.errors import DpbError
from dpb_framework.model import LabelRange, Terminal, Trunk
from dpb_framework.model.value import value
from dpb_framework.reply import Reply
from dpb_framework.runtime import nothing

if TYPE_CHECKING:
    from dpb_framework.networks.base import BaseNetwork

_logger = logging.getLogger("dpb.networks")


@value
class TopologyChange:
    """A change that was found possible: what is stored, and what holds until then, after it, or when it failed."""

    value: Any
    puts: Sequence[Record] = ()
    drops: Sequence[tuple[type[Record], Key]] = ()
    until: Callable[[], None] = nothing
    after: Callable[[], None] = nothing
    back: Callable[[], None] = nothing


class TopologyChanges:
    """The changes of one network, in the order in which they were asked for."""

    def __init__(self, network: BaseNetwork[Any]) -> None:
        self._network = network
        self._waiting: deque[tuple[Reply[Any], Callable[[], TopologyChange]]] = deque()
        self._committing = False

    def make(self, reply: Reply[Any], check: Callable[[], TopologyChange]) -> None:
        """Let *check* tell what is to be done, or raise why not, when its turn comes; then do it.

        A change that stores nothing is one that was made already.
        """

        def enter() -> None:
            self._waiting.append((reply, check))
            self._next()

        self._network.strand.post(enter)

    def _next(self) -> None:
        while self._waiting and not self._committing:
            reply, check = self._waiting.popleft()
            try:
                change = check()
            except DpbError as error:
                reply.fail(error)
            except Exception as error:
                _logger.exception("%s: a command failed", self._network.name)
                reply.fail(error)
            else:
                self._commit(reply, change)

    def _commit(self, reply: Reply[Any], change: TopologyChange) -> None:
        if not change.puts and not change.drops:
            reply.resolve(change.value)
            return
        self._committing = True
        change.until()

        def kept(error: BaseException | None) -> None:
            self._committing = False
            if error is None:
                change.after()
                reply.resolve(change.value)
            else:
                change.back()
                reply.fail(error)
            self._next()

        self._network.commit(change.puts, change.drops, kept)


def idle_terminal(terminal: Terminal) -> Terminal:
    """The terminal as it is while it is on its way out: nothing can be had there."""
    return evolve(terminal, labels=())


def idle_trunk(trunk: Trunk) -> Trunk:
    """The trunk as it is while it is on its way out: nothing goes through it."""
    return evolve(trunk, commissioned=False)


def narrower_terminal(old: Terminal, new: Terminal) -> Terminal:
    """The terminal that offers no more than either; none of its labels where the two lead to different places."""
    if old.place != new.place:
        return idle_terminal(old)
    return evolve(
        old,
        ingress_quota=_least(old.ingress_quota, new.ingress_quota),
        egress_quota=_least(old.egress_quota, new.egress_quota),
        labels=tuple(
            (max(first, other[0]), min(last, other[1]))
            for first, last in old.labels
            for other in new.labels
            if max(first, other[0]) <= min(last, other[1])
        ),
    )


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def narrower_trunk(old: Trunk, new: Trunk) -> Trunk:
    """The trunk that offers no more than either; nothing where the two have different ends."""
    if (old.start, old.end) != (new.start, new.end):
        return idle_trunk(old)
    return evolve(
        old,
        upstream=min(old.upstream, new.upstream),
        downstream=min(old.downstream, new.downstream),
        labels=old.labels if old.labels == new.labels else _common(old.labels, new.labels),
        commissioned=old.commissioned and new.commissioned,
    )


def _common(old: Sequence[LabelRange], new: Sequence[LabelRange]) -> tuple[LabelRange, ...]:
    """The labels that both have, with the same label at the end."""
    found = []
    for one in old:
        for other in new:
            start = max(one.start, other.start)
            count = min(one.start + one.count, other.start + other.count) - start
            if count > 0 and one.end - one.start == other.end - other.start:
                found.append(LabelRange(start, count, start + one.end - one.start))
    return tuple(found)
