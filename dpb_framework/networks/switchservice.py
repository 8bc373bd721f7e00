"""A service of a switch: its driver brings one bridge of the fabric where it is wanted."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from dpb_framework.contracts import Bridge, Capability, Key, Record, Role, ServiceRecord
from dpb_framework.errors import DpbError, FabricRefused, PortDown, Refused, Unreachable, internal_fault
from dpb_framework.model import Caller, Change, Condition, Desired, Fault, Segment, Status, Step, TrafficFlow
from dpb_framework.networks.driver import DrivenService
from dpb_framework.reply import Reply
from dpb_framework.runtime import Cancel

if TYPE_CHECKING:
    from dpb_framework.networks.switch import Switch

# A define makes a service in each switch on its way, and Python 3.11 calls a function to look a member up.
_WANTED_ACTIVE, _WANTED_INACTIVE = Desired.ACTIVE, Desired.INACTIVE
_RELEASED, _ESTABLISHING, _INACTIVE, _DORMANT = Status.RELEASED, Status.ESTABLISHING, Status.INACTIVE, Status.DORMANT
_NO_CHANGE, _COMMITTING = Change.NONE, Change.COMMITTING
_LEFT_ACTIVE = frozenset({Status.DEACTIVATING, Status.FAILED})

RETRY = (0.5, 1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds before each further try of what a device refused."""


class SwitchService(DrivenService["Switch"]):
    """A service of a switch. Defining it takes circuits and quotas; activating it makes the bridge."""

    _landing = Status.INACTIVE
    _applied: Bridge | None = None
    _sure = True
    _calling = False
    _retrying = False
    _refused: BaseException | None = None
    """What the device answered, until no command is being committed and it can be told."""
    _tries = 0
    _cancel: Cancel | None = None
    _leaving: Segment | None = None

    def __init__(self, network: Switch, id: int, handle: str | None, owner: str) -> None:
        super().__init__(network, id, handle, owner)
        self.key = f"{network.prefix}{id}"

    # -- what is held

    def _held(self) -> list[Segment]:
        held = super()._held()
        return held if self._leaving is None else [*held, self._leaving]

    def restore(self, stored: ServiceRecord) -> None:
        """What is on the device is not known until it was asked."""
        super().restore(stored)
        self._sure = False

    def uses(self, port: str) -> bool:
        """Whether a channel of its bridge is on *port*."""
        network, chosen = self.network, self._chosen
        return chosen is not None and any(network.port(end.circuit) == port for end in chosen.ends)

    # -- admission

    def _admit(self, segment: Segment, caller: Caller) -> list[Record]:
        network = self.network
        chosen = network.resolve(self._id, segment)
        self._check_enforced()
        network.ask_segment(self, chosen, caller)
        self._asked, self._chosen, self._error = segment, chosen, None
        self.rehold()
        if self._remembered:
            self._remembered, self._desired, self._landing = False, _WANTED_ACTIVE, Status.ACTIVATING
        else:
            self._desired, self._landing = _WANTED_INACTIVE, _INACTIVE
        self._status = _ESTABLISHING  # nothing but the commit is still to come
        return [self.record(self._landing), self._segment_record(), self._event(self._landing)]

    def _check_enforced(self) -> None:
        missing = self.network.unenforced()
        if missing and self.network.refuses_unenforced:
            raise Refused(f"the fabric of network {self.network.name!r} cannot enforce {' and '.join(missing)} rates")

    def _drop_admission(self) -> None:
        self._asked = self._chosen = None
        self.rehold()

    def _retire(self) -> tuple[list[Record], list[tuple[type[Record], Key]]]:
        drops: list[tuple[type[Record], Key]] = []
        if self._next_asked is not None:
            drops.append(self._segment_key(Role.NEXT))
            self._leaving, self._next_asked, self._next_chosen = self._next_chosen, None, None
        return [], drops

    # -- change without interruption

    def _admit_change(self, segment: Segment, caller: Caller, reply: Reply[None]) -> None:
        chosen = self.network.resolve(self._id, segment)
        self._check_enforced()
        self.network.ask_segment(self, chosen, caller)
        undo = self._snapshot()
        self._next_asked, self._next_chosen, self._change = segment, chosen, Change.PREPARED
        self.rehold()
        self._keep(
            [self.record(), self._segment_record(Role.NEXT), self._event()],
            (),
            reply,
            undo,
        )

    def _once_prepared(self, reply: Reply[None]) -> None:
        reply.resolve(None)

    def _decide(self, reply: Reply[None]) -> None:
        undo = self._snapshot()
        self._leaving = self._chosen
        self._asked, self._chosen = self._next_asked, self._next_chosen
        self._next_asked = self._next_chosen = None
        self._change = Change.COMMITTING
        self._succeeded()
        self._keep([self.record(), self._segment_record(), self._event()], [self._segment_key(Role.NEXT)], reply, undo)

    def _withdraw(self, reply: Reply[None]) -> None:
        before = self._snapshot()
        self._next_asked = self._next_chosen = None
        self._change = Change.NONE
        kept: Reply[None] = Reply()
        kept.then(partial(self._withdrawn, reply))
        self._keep([self.record(), self._event()], [self._segment_key(Role.NEXT)], kept, before)

    def _withdrawn(self, reply: Reply[None], kept: Reply[None]) -> None:
        """The device never had the change: what it held is free as soon as that is durable."""
        self.rehold()
        if kept.error is None:
            reply.resolve(None)
        else:
            reply.fail(kept.error)

    # -- the driver

    def really(self, found: Bridge | None) -> None:
        """Take up what the device was found to have of this service."""
        if found is not None and self.network.unenforced():
            found = self._as_enforced(found)
        self._applied, self._sure = found, True

    def _as_enforced(self, found: Bridge) -> Bridge:
        """The bridge as it was found, but with the wanted rates where the device has none to tell of."""
        wanted = self._wanted()
        if wanted is None:
            return found
        missing = self.network.unenforced()
        flows = {}
        for channel, flow in found.channels.items():
            given = wanted.channels.get(channel, flow)
            ingress, egress = (getattr(given if name in missing else flow, name) for name in ("ingress", "egress"))
            flows[channel] = TrafficFlow(ingress, egress)
        return Bridge(found.key, flows)

    @property
    def keeps_bridge(self) -> bool:
        """Whether its bridge is to stay on the device: it is wanted, or nothing else is durably decided yet."""
        return self._desired is _WANTED_ACTIVE or self._committing or self._applied is not None

    def _wanted(self) -> Bridge | None:
        if self._desired is not _WANTED_ACTIVE or self._chosen is None:
            return None
        channel = self.network.channel
        return Bridge(self.key, {channel(end.circuit): end.flow for end in self._chosen.ends})

    def advance(self) -> None:
        """Bring the bridge where it is wanted."""
        if self._committing or self._finishing or self._status is _RELEASED:
            return
        if self._status is _ESTABLISHING:
            self._status = self._landing
        if self._refused is not None:
            refused, self._refused = self._refused, None
            self._refuse(refused)
        contact = self.network.contact
        wanted = self._wanted()
        differs = not self._sure or self._applied != wanted
        self._tell_conditions(wanted, differs)
        if self._calling:
            return
        if not differs:
            self._settle(wanted)
        elif contact.ready and not self._retrying:
            self._calling = True
            then = partial(self._called, wanted)
            if wanted is None:
                contact.call(partial(self.network.fabric.remove, self.key), then)
            else:
                contact.ensure(wanted, then)

    def _called(self, wanted: Bridge | None, error: BaseException | None) -> None:
        self._calling = False
        if error is None:
            self._applied, self._sure, self._tries = wanted, True, 0
        elif isinstance(error, Unreachable):
            self._sure = False
        else:
            self._sure = False
            self._refused = error
        self.advance()

    def _refuse(self, error: BaseException) -> None:
        if not isinstance(error, DpbError):
            error = FabricRefused(f"the fabric of {self.network.name!r}", internal_fault(error))
        self._retrying = True
        wait = RETRY[min(self._tries, len(RETRY) - 1)]
        self._tries += 1
        self._cancel = self.network.runtime.later(wait, lambda: self.network.strand.post(self._retry))
        # What is being reset is on its way out for good, as in a release: it only tells why it is not there yet.
        leaving = self._desired is Desired.DORMANT
        self._note(Step.REFUSED if leaving else Step.FAIL, Fault.of(error))

    def _retry(self) -> None:
        self._retrying = False
        self.advance()

    def _kept(self, *args: Any) -> None:
        """A new command is a new reason to try at once."""
        if self._cancel is not None:
            self._cancel()
        self._retrying = False
        super()._kept(*args)

    def _settle(self, wanted: Bridge | None) -> None:
        """What is wanted is there: tell so, and give back what is not needed any more."""
        if self._desired is _WANTED_ACTIVE:
            self._settle_active()
        elif self._desired is _WANTED_INACTIVE:
            if self._status in _LEFT_ACTIVE:
                self._note(Step.DEACTIVATED)
        elif self._status is not _DORMANT:
            self._finish()
            return
        if self._change is _COMMITTING:
            self._change, self._leaving = _NO_CHANGE, None
            self.rehold()
            self.network.commit([self.record(), self._event()])
            self._changed()
        elif self._leaving is not None and self._change is _NO_CHANGE:
            self._leaving = None
            self.rehold()

    def _settle_active(self) -> None:
        network = self.network
        if network.fails_on_port_down and self._chosen is not None:
            for end in self._chosen.ends:
                if network.port(end.circuit) in network.down:
                    place = network.channel(end.circuit).interface
                    self._note(Step.FAIL, Fault.of(PortDown(f"network {network.name!r}", place)))
                    return
        if self._status is not Status.ACTIVE:
            self._note(Step.ACTIVATED)

    def _finish(self) -> None:
        """Nothing is on the device any more: forget the segment, or the service; free what it held after the commit."""
        self._finishing = True
        releasing = self._desired is Desired.RELEASED
        if releasing:
            puts: list[Record] = [self._event(Status.RELEASED)]
            drops: list[tuple[type[Record], Key]] = [(ServiceRecord, (self.network.name, self._id))]
        else:
            self._error = None
            puts, drops = [self.record(_DORMANT), self._event(_DORMANT)], [self._segment_key()]
        self.network.commit(puts, drops, partial(self._finished, releasing))

    def _finished(self, releasing: bool, error: BaseException | None) -> None:
        self._finishing = False
        if error is not None:
            self._retrying = True
            self.network.runtime.later(RETRY[0], lambda: self.network.strand.post(self._retry))
            self._perform_waiting()
            return
        self._leaving = None
        self._end(releasing)

    def _tell_conditions(self, wanted: Bridge | None, differs: bool) -> None:
        network = self.network
        if (
            network.contact.ready
            and not network.down
            and not self._conditions
            and len(network.fabric.capabilities) == _ALL
        ):
            return
        conditions = []
        if not network.contact.ready and (wanted is not None or differs) and network.contact.state != "up":
            problem = network.contact.problem or "not tried yet"
            conditions.append(Condition("unconfirmed", network.name, f"the device is not reached: {problem}"))
        if wanted is not None:
            for channel in wanted.channels:
                if network.fabric.port(channel) in network.down:
                    conditions.append(Condition("port-down", network.name, f"interface {channel.interface} is down"))
        if self._chosen is not None:
            missing = network.unenforced()
            if missing:
                conditions.append(
                    Condition("unenforced", network.name, f"{' and '.join(missing)} rates are not enforced here")
                )
        self._set_conditions(conditions)


_ALL = len(Capability)
"""How many capabilities there are: a fabric that has them all leaves nothing to tell."""
