"""Where every order passes, from whatever interface: here it is checked and written down."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from attrs import frozen

from dpb_framework.contracts import BrokerApi, Network
from dpb_framework.errors import NetworkUnknown
from dpb_framework.model import Caller
from dpb_framework.reply import Reply
from dpb_framework.turns import turn
from dpb_nbi.access.audit import Audit
from dpb_nbi.access.faults import RoleMissing, Unauthenticated
from dpb_nbi.access.identity import Identity
from dpb_nbi.access.orders import AUTHENTICATE, Order
from dpb_nbi.access.roles import EVERYWHERE, Role

T = TypeVar("T")

STRANGERS: Final = 20
"""How many wrong credentials are written down at once, and then as many each ten seconds."""
_PAUSE: Final = 10.0 / STRANGERS


@frozen
class Given:
    """An order, and the call that carries it out; *made* tells of what came into being its name."""

    order: Order
    call: Callable[[Caller], Reply[Any]]
    made: Callable[[Any], Mapping[str, Any]] | None = None


@frozen
class _Entered:
    """An order under way: how to begin it, what becomes of it, and the same for whoever waits.

    These two differ where the outcome is written down, also when nobody waits any more.
    """

    call: Callable[[], Reply[Any]]
    outcome: Reply[Any]
    answer: Reply[Any]


class Desk:
    """What a broker does for those who may ask it. Nothing here blocks.

    A network in which somebody has no role at all is, to that one, not there.
    """

    def __init__(self, broker: BrokerApi, audit: Audit | None = None) -> None:
        self._broker = broker
        self._audit = audit
        self._stranger = 0.0

    def network(self, who: Identity, name: str) -> Network:
        """Return the network, for reading. `NetworkUnknown`."""
        if not who.may(name, Role.READ):
            raise NetworkUnknown(name)
        return self._broker.network(name)

    def networks(self, who: Identity) -> list[Network]:
        """Those that *who* may see, in the order of the configuration."""
        return [network for network in self._broker.networks() if who.may(network.name, Role.READ)]

    def health(self, who: Identity) -> Mapping[str, Any]:
        """How the broker is: all of it for whoever sees every network, else without the others' names."""
        found = dict(self._broker.health())
        if who.may(EVERYWHERE, Role.READ):
            return found
        seen = {name: facts for name, facts in found["networks"].items() if who.may(name, Role.READ)}
        told = {"status": found["status"], "version": found["version"]}
        return {**told, "store": found["store"], "networks": seen} if seen else told

    def stranger(self, who: Identity) -> None:
        """Write down that somebody showed a credential that does not hold; of a flood of these only some."""
        at = time.monotonic()
        due = max(self._stranger, at - STRANGERS * _PAUSE) + _PAUSE
        if self._audit is not None and due <= at:
            self._stranger = due
            self._audit.begin(who, Order(AUTHENTICATE)).end(Unauthenticated())

    def check(self, who: Identity, order: Order) -> None:
        """Refuse what *who* may not order: `NetworkUnknown`, `RoleMissing`. A refused change is written down."""
        if who.may(order.network, order.kind.role):  # which includes that it may read
            return
        error: NetworkUnknown | RoleMissing
        if order.network != EVERYWHERE and not who.may(order.network, Role.READ):
            error = NetworkUnknown(order.network)
        else:
            error = RoleMissing(who.name, order.network, order.kind.role.word)
        audit = self._audit or who.audit
        if audit is not None and order.kind.changes:
            audit.begin(who, order).end(error)
        raise error

    def give(
        self,
        who: Identity,
        order: Order,
        call: Callable[[Caller], Reply[T]],
        made: Callable[[T], Mapping[str, Any]] | None = None,
    ) -> Reply[T]:
        """Check *order*, run *call* in a worker thread with the caller as the kernel knows it, write down the outcome.

        It is written down also when nobody waits for the reply any more. *made* tells of what came into being its name.
        """
        self.check(who, order)
        return self.give_all(who, [Given(order, call, made)])[0]

    def give_all(self, who: Identity, given: Sequence[Given]) -> list[Reply[Any]]:
        """As `give` for each of them, in their order and in one worker thread; `check` has let each of them pass."""
        return self._begin([self._enter(who, one) for one in given])

    def _enter(self, who: Identity, given: Given) -> _Entered:
        """Let the outcome be written down."""
        outcome: Reply[Any] = Reply()
        answer, audit = outcome, self._audit or who.audit
        if audit is not None:
            entry, made = audit.begin(who, given.order), given.made

            def end(settled: Reply[Any]) -> None:
                entry.end(settled.error, {} if settled.error or made is None else made(settled.value))

            outcome.then(end)
            answer = Reply()
            outcome.then(answer.follow)
        return _Entered(partial(given.call, who.caller(given.order.network)), outcome, answer)

    def _begin(self, entered: Sequence[_Entered]) -> list[Reply[Any]]:
        def begin() -> None:
            with turn():
                for one in entered:
                    try:
                        one.call().then(one.outcome.follow)
                    except Exception as error:  # noqa: BLE001  # told to whoever waits for this one
                        one.outcome.fail(error)

        def begun(reply: Reply[None]) -> None:
            if reply.error is not None:
                for one in entered:
                    one.outcome.fail(reply.error)

        self._broker.work(begin).then(begun)
        return [one.answer for one in entered]
