"""The contract Network: anything that offers services between terminals.

The same for a switch, an aggregator and another broker's network, so that hierarchies are built of anything.
Clauses N1 to N16; `dpb_framework.testing.network` tests them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence

from dpb_framework.model import (
    Caller,
    Change,
    Condition,
    Desired,
    Event,
    EventKind,
    Fault,
    NetworkModel,
    Proposal,
    Scenario,
    Segment,
    ServiceView,
    Status,
    Terminal,
    Trunk,
    TrunkUse,
    Tunnel,
)
from dpb_framework.reply import Reply

Cancel = Callable[[], None]
"""Ends what it was given for; calling it twice does nothing."""


class Service(ABC):
    """One service of a network, as its users see it.

    N1. No method blocks. A command's reply settles when the command is refused (with a `DpbError`) or its wish
        is kept durably; it does not wait for the service to get there (`wait` does).
    N2. Commands of one service take effect in the order in which they were given.
    N3. A change that does not fit the status is refused with `ServiceLogic` or `StepImpossible`, one that the caller
        may not make (`Caller.may_change`) with `NotOwner`; it changes nothing. Every command on a released
        service but `release` is refused with `ServiceGone`.
    """

    @property
    @abstractmethod
    def id(self) -> int:
        """The id, unique in the network for ever."""

    @property
    @abstractmethod
    def handle(self) -> str | None:
        """The name that its user gave it, if any; unique in the network among the services that are there."""

    @property
    @abstractmethod
    def status(self) -> Status:
        """The status at this moment."""

    @property
    @abstractmethod
    def desired(self) -> Desired:
        """Where its user wants it to be."""

    @property
    @abstractmethod
    def change(self) -> Change:
        """Where a change without interruption is."""

    @property
    @abstractmethod
    def segment(self) -> Segment | None:
        """What it connects, chosen labels filled in; None while it is not defined."""

    @property
    @abstractmethod
    def error(self) -> Fault | None:
        """Why the last define, activation or change did not succeed; None once one did."""

    @property
    @abstractmethod
    def conditions(self) -> tuple[Condition, ...]:
        """What holds beside the status, sorted."""

    @abstractmethod
    def view(self) -> ServiceView:
        """All of the above at one moment."""

    @abstractmethod
    def define(self, segment: Segment, caller: Caller) -> Reply[None]:
        """Ask for *segment*: DORMANT -> ESTABLISHING -> INACTIVE, or DORMANT again with `error`.

        N4. Repeatable: the same segment again is accepted and changes nothing; another is `ServiceLogic`.
        N5. Refused at once, with the service still DORMANT: `SegmentInvalid`, `TerminalUnknown`, `CircuitTaken`,
            `LabelsUnavailable`, `QuotaExceeded`, `Refused`, `NoCapacity`. A failed define clears a remembered activate.
        N6. A label None is chosen by the network, atomically, and is in `segment` afterwards.
        """

    @abstractmethod
    def activate(self, caller: Caller) -> Reply[None]:
        """Let traffic pass. Repeatable.

        N7. Before the service is established it is remembered, and carried out then. ACTIVE is told only when
            every device has confirmed.
        """

    @abstractmethod
    def deactivate(self, caller: Caller) -> Reply[None]:
        """Stop traffic and keep the resources: -> INACTIVE, told when no frame passes any more. Repeatable."""

    @abstractmethod
    def reset(self, caller: Caller) -> Reply[None]:
        """Give everything back and become DORMANT, from any state but RELEASING and RELEASED. Repeatable."""

    @abstractmethod
    def release(self, caller: Caller) -> Reply[None]:
        """Give everything back and cease to exist. Repeatable, also on a service that is gone.

        N8. RELEASED is told when all resources are free again, here and in all inferior networks.
        """

    @abstractmethod
    def prepare(self, segment: Segment, caller: Caller) -> Reply[None]:
        """Make ready to become *segment* without interruption; only in INACTIVE and ACTIVE.

        N9. Holds the larger of old and new; touches no traffic. Settles when everything is prepared (then `change` is
            PREPARED), or refused: then the service is as it was. Repeatable with the same segment.
        """

    @abstractmethod
    def commit(self, caller: Caller) -> Reply[None]:
        """Become what was prepared. Settles when the decision is durable; `change` is NONE when all is done.

        N10. From then on the new segment is what `segment` tells; ends that both have are not interrupted.
            Repeatable: when nothing is prepared any more because it was committed, it does nothing. When `change`
            is NONE again, what the change left behind is free.
        """

    @abstractmethod
    def abort(self, caller: Caller) -> Reply[None]:
        """Forget what was prepared. Repeatable: does nothing when nothing is prepared."""

    @abstractmethod
    def wait(self, statuses: Collection[Status], timeout: float | None = None) -> Reply[Status]:
        """Wait until the status is one of *statuses*; `timeout` in seconds, None for ever.

        N11. The reply never fails. It tells the status when one of them is reached, when the time is over, when
            the service is RELEASED, or as soon as none of them can be reached without a new command. Whoever
            does not wait any longer says so by `abandon`.
        """

    @abstractmethod
    def watch(self, listener: Callable[[Service], None]) -> Cancel:
        """Call *listener* after each change of what this class tells, in some thread; it must not block."""


class Network(ABC):
    """A network: terminals, and services between them."""

    kind: str
    """`switch`, `aggregator` or another kind's name."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Its name in this broker."""

    @abstractmethod
    def terminals(self) -> tuple[str, ...]:
        """The names of its terminals, sorted. Does not block."""

    @abstractmethod
    def model(self) -> NetworkModel:
        """What it shows to a superior, as last known; does not block.

        N12. Each terminal is in exactly one fragment. A switch is one fragment without chords. An aggregator tells
            chords with delay and the bandwidth available each way; they are advice: its own answer decides.
        """

    @abstractmethod
    def create(self, caller: Caller, handle: str | None = None, segment: Segment | None = None) -> Reply[Service]:
        """Make a service, and with *segment* also define it, in one go.

        N13. With a handle that a service has, the reply is that service (and *segment* is defined on it): doing it
            twice is doing it once (`ServiceLogic` while that service is being released); `NotOwner` where the caller
            may not change it. N14. Ids are never used again. When the define part is refused, the reply fails with its
            reason; a service that this call made is gone again, one that was there stays.
        """

    @abstractmethod
    def find(self, handle: str) -> Reply[Service | None]:
        """Return the service with that handle, or None. `Unreachable` when that cannot be known now."""

    @abstractmethod
    def service(self, id: int) -> Service:
        """Return the service. `ServiceGone` if it was released, `ServiceUnknown` if the id was never issued."""

    @abstractmethod
    def services(self, handle_prefix: str = "") -> Sequence[Service]:
        """The services there are, by id; with a prefix those whose handle begins so. Does not block."""

    @abstractmethod
    def watch(self, listener: Callable[[Event], None], kinds: Collection[EventKind] | None = None) -> Cancel:
        """Call *listener* with each event (of *kinds*, if given), after it is stored, in order; it must not block.

        N15. Numbers grow by one; one is left out only where its commit failed. N16. MODEL events (number 0) come
        when what `model` or `terminals` tell has changed; with `{"contact": true}` when contact with the network was
        lost and is back.
        """

    @abstractmethod
    def events(self, after: int, limit: int = 1000) -> Sequence[Event] | None:
        """The stored events with numbers above *after*, at most *limit*; None when some of them are not kept any more.

        May read the store: not for an event loop.
        """

    @property
    @abstractmethod
    def last_event(self) -> int:
        """The number of the last event that watchers were told; 0 if there was none."""

    def elsewhere(self) -> Collection[str]:
        """The networks of other brokers that it stands on, as `store/network`: how circles across brokers are noticed.

        For kinds of network that are elsewhere; others have none.
        """
        return ()


class SwitchManagement(ABC):
    """The management of a switch. Commands settle when they are durable; none is interrupted by services."""

    @abstractmethod
    def list_terminals(self) -> Sequence[Terminal]:
        """The terminals with mapping, quotas and labels, by name."""

    @abstractmethod
    def put_terminal(self, terminal: Terminal, caller: Caller, *, new: bool = False) -> Reply[Terminal]:
        """Make or change a terminal; the reply has its interface in canonical form.

        `TerminalExists` with *new* when it is there; `InterfaceInvalid`; `TerminalBusy` when its interface changes
        while a service uses it; `QuotaExceeded` or `LabelsInUse` when less is left than services hold.
        """

    @abstractmethod
    def remove_terminal(self, name: str, caller: Caller) -> Reply[None]:
        """Remove it. `TerminalUnknown`; `TerminalBusy` while a service uses it."""


class AggregatorManagement(SwitchManagement):
    """The management of an aggregator: terminals (mapped to `inferior:terminal`) and trunks.

    `put_terminal` refuses with `SubnetworkUnknown`, `TerminalUnknown` or `SubterminalBusy` what it cannot map.
    """

    @abstractmethod
    def inferiors(self) -> Sequence[str]:
        """The names of the inferior networks, sorted."""

    @abstractmethod
    def trunks(self) -> Sequence[TrunkUse]:
        """The trunks with what is left of each, by name."""

    @abstractmethod
    def trunk(self, name: str) -> TrunkUse:
        """One of them. `TrunkUnknown`."""

    @abstractmethod
    def put_trunk(self, trunk: Trunk, caller: Caller, *, new: bool = False) -> Reply[None]:
        """Make or change a trunk: capacity, delay, labels, commissioning; its ends are fixed while it carries services.

        `TrunkExists` with *new* when it is there; `SubnetworkUnknown`, `TerminalUnknown`, `SubterminalBusy`;
        `BandwidthUnavailable` below what is allocated; `LabelsInUse`; `BadArgument` for label ranges that overlap.
        """

    @abstractmethod
    def remove_trunk(self, name: str, caller: Caller) -> Reply[None]:
        """Remove it. `TrunkUnknown`; `TrunkBusy` while it carries services."""

    @abstractmethod
    def tree(self, service: int) -> Sequence[Tunnel]:
        """The tunnels of a service, by trunk. `ServiceUnknown`, `ServiceGone`."""

    @abstractmethod
    def plan(self, segments: Sequence[Segment], scenario: Scenario) -> Reply[Sequence[Proposal]]:
        """What would become of *segments*, one after the other, if the network were as *scenario* says.

        On a snapshot of this moment: nothing is reserved, no inferior network and no listener is asked, and what an
        inferior would answer is not known. First come the services that use a failed trunk, by id, planned anew; then
        the segments in their order; each counts on what those before it would take. `TrunkUnknown`, `TrunkExists`,
        and what `put_trunk` refuses, for the scenario; what a segment would be refused for is in its proposal.
        """


__all__ = [
    "AggregatorManagement",
    "Cancel",
    "Network",
    "Service",
    "SwitchManagement",
]
