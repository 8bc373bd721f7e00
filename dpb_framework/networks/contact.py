"""Contact between a switch and its fabric: calls, and the comparison of what is wanted with what is there.

Whenever the device comes (back), and now and then, calls are held back until those under way have ended; then
the device is told which bridges to keep and asked what it has. After that every service knows what is really
there of it, and makes only what is missing or different.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from dpb_framework.contracts import Bridge
from dpb_framework.errors import DpbError, Unreachable, internal_fault
from dpb_framework.reply import Reply
from dpb_framework.runtime import Cancel, Leaf, nothing

if TYPE_CHECKING:
    from dpb_framework.contracts import FabricEvent
    from dpb_framework.networks.switch import Switch

_logger = logging.getLogger("dpb.switch")

Then = Callable[[BaseException | None], None]

RETRY = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before each further try to reach a device."""


def _problem(error: BaseException) -> str:
    """What is told of an error of a fabric's."""
    if isinstance(error, Unreachable):
        return f"{error.where}: {error.problem}"
    return str(error) if isinstance(error, DpbError) else internal_fault(error)


class Contact:
    """Keeps a switch and its device in step. Lives on the switch's strand."""

    def __init__(self, switch: Switch, audit_interval: float) -> None:
        self._switch = switch
        self._audit_interval = audit_interval
        self._leaf: Leaf | None = None
        self._calls = 0
        self._wanted = True
        self._comparing = False
        self._tries = 0
        self._cancel: Cancel = nothing
        self._cancel_audit: Cancel = nothing
        self._unwatch: Callable[[], None] = nothing
        self._gathered: list[tuple[Bridge, Then]] = []
        self._gathering = False
        self.ready = False
        self.state = "starting"
        self.problem = ""
        """Why the device is not reached, while `state` is `lost`."""

    def start(self) -> None:
        """Start the fabric and compare for the first time."""
        switch = self._switch
        if not switch.fabric.inline:
            self._leaf = switch.runtime.leaf(switch.name)
        self._run(self._begin).then(lambda begun: self._later(partial(self._begun, begun)))

    def _begin(self) -> None:
        fabric = self._switch.fabric
        fabric.start()
        if any(c.value == "events" for c in fabric.capabilities):
            self._unwatch = fabric.watch(self._hear)

    def _begun(self, begun: Reply[None]) -> None:
        if begun.error is not None:
            _logger.error("%s: the fabric does not start: %s", self._switch.name, _problem(begun.error))
            self._log_fault(begun.error)
            self.lost(_problem(begun.error))
            return
        self.reconcile()
        if self._audit_interval:
            self._audit()

    def _audit(self) -> None:
        self._cancel_audit = self._switch.runtime.later(self._audit_interval, lambda: self._later(self._audit_due))

    def _audit_due(self) -> None:
        if self.ready:
            self.reconcile()
        self._audit()

    def _hear(self, event: FabricEvent, port: str) -> None:
        switch = self._switch
        switch.strand.hand_over(partial(switch.heard, event, port), switch.runtime)

    def stop(self) -> None:
        """End contact; nothing changes on the device."""
        self._cancel()
        self._cancel_audit()
        self._unwatch()
        if self._leaf is not None:
            self._leaf.stop()
        self._switch.fabric.stop()

    def _run(self, call: Callable[[], object]) -> Reply[None]:
        """Make a call that may block, in the leaf's threads; at once where the fabric never blocks."""
        if self._leaf is not None:
            return self._leaf.submit(call)  # type: ignore[arg-type]  # what a call returns is of no interest
        reply: Reply[None] = Reply()
        try:
            call()
        except Exception as error:  # noqa: BLE001  # whatever a plugin raises is told to the service
            reply.fail(error)
        else:
            reply.resolve(None)
        return reply

    def _later(self, task: Callable[[], None]) -> None:
        if not self._switch.stopped:
            self._switch.strand.post(task)

    def ensure(self, bridge: Bridge, then: Then) -> None:
        """Let a bridge be there, as by `call`; where the fabric gathers, together with others that come meanwhile."""
        fabric = self._switch.fabric
        if self._leaf is None or not fabric.gathers:
            self.call(partial(fabric.ensure, bridge), then)
            return
        self._calls += 1
        self._gathered.append((bridge, then))
        if not self._gathering:
            self._gather()

    def _gather(self) -> None:
        batch, self._gathered = self._gathered, []
        self._gathering = True
        errors: dict[str, BaseException] = {}
        fabric = self._switch.fabric

        def make() -> None:
            errors.update(fabric.ensure_all([bridge for bridge, _ in batch]))

        self._run(make).then(lambda done: self._later(partial(self._made, batch, errors, done)))

    def _made(self, batch: list[tuple[Bridge, Then]], errors: dict[str, BaseException], done: Reply[None]) -> None:
        for bridge, then in batch:
            self._done(then, done.error or errors.get(bridge.key))
        self._gathering = False
        if self._gathered:
            self._gather()

    def call(self, call: Callable[[], object], then: Then) -> None:
        """Make a call for a service; *then* gets its error, on the strand. Only while `ready`."""
        self._calls += 1
        self._run(call).then(lambda done: self._later(partial(self._done, then, done.error)))

    def _done(self, then: Then, error: BaseException | None) -> None:
        self._calls -= 1
        if isinstance(error, Unreachable) and self.ready:
            self.lost(_problem(error))
        if error is not None:
            self._log_fault(error)
        then(error)
        if self._wanted and not self._calls:
            self._compare()

    def _log_fault(self, error: BaseException) -> None:
        """What is no error of ours is a fault within the adaptor: its author will want to see where."""
        if not isinstance(error, DpbError):
            _logger.error("%s: a fault within the fabric", self._switch.name, exc_info=error)

    def lost(self, problem: str) -> None:
        """Contact is lost: hold calls back and try to compare again."""
        switch = self._switch
        was, self.ready, self.state = self.state, False, "lost"
        told, self.problem = self.problem, problem
        if was != "lost" or told != problem:
            again = "contact lost" if was != "lost" else "still not reached"
            _logger.warning("%s: %s: %s", switch.name, again, problem)
            for service in list(switch._services.values()):
                service.advance()
        self._cancel()
        wait = RETRY[min(self._tries, len(RETRY) - 1)]
        self._tries += 1
        self._cancel = switch.runtime.later(wait, lambda: self._later(self.reconcile))

    def reconcile(self) -> None:
        """Compare what is wanted with what is there, as soon as no call is under way."""
        self._wanted = True
        self.ready = False
        if not self._calls and not self._comparing:
            self._compare()

    def _compare(self) -> None:
        switch = self._switch
        self._cancel()
        self._wanted, self._comparing, self.ready = False, True, False
        keys = frozenset(s.key for s in switch._services.values() if s.keeps_bridge)
        found: list[Bridge] = []

        def compare() -> None:
            switch.fabric.retain(keys, switch.prefix)
            found.extend(b for b in switch.fabric.bridges() if b.key.startswith(switch.prefix))

        self._run(compare).then(lambda done: self._later(partial(self._compared, done, found)))

    def _compared(self, done: Reply[None], found: list[Bridge]) -> None:
        self._comparing = False
        if done.error is not None:
            problem = _problem(done.error)
            if problem != self.problem:  # not at each further try
                self._log_fault(done.error)
            self.lost(problem)
            return
        if self._wanted:
            self._compare()
            return
        if self.state == "lost":
            _logger.info("%s: contact is back", self._switch.name)
        self._tries, self.ready, self.state, self.problem = 0, True, "up", ""
        there = {bridge.key: bridge for bridge in found}
        for service in list(self._switch._services.values()):
            service.really(there.get(service.key))
            service.advance()
