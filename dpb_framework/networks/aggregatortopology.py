"""The management of an aggregator: its terminals, mapped to those of inferior networks, and its trunks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from dpb_framework.contracts import AggregatorManagement, Contents, Network, TerminalRecord, TrunkRecord, Workshop
from dpb_framework.errors import (
    BadArgument,
    BandwidthUnavailable,
    LabelsInUse,
    SubterminalBusy,
    TerminalExists,
    TerminalUnknown,
    TrunkBusy,
    TrunkExists,
    TrunkUnknown,
)
from dpb_framework.model import MAX_KBPS, Caller, EventKind, Terminal, Trunk, TrunkUse, check_name
from dpb_framework.networks.aggregatorservice import AggregatorService
from dpb_framework.networks.base import BaseNetwork
from dpb_framework.networks.labels import check_ranges
from dpb_framework.networks.switch import check_labels, check_quotas
from dpb_framework.networks.topologychange import (
    TopologyChange,
    idle_terminal,
    idle_trunk,
    narrower_terminal,
    narrower_trunk,
)
from dpb_framework.networks.trunkbook import TrunkBook
from dpb_framework.reply import Reply

MAX_DELAY = 10**9
"""The greatest delay of a trunk, in microseconds (a thousand seconds)."""


class AggregatorTopology(BaseNetwork[AggregatorService], AggregatorManagement):
    """What an aggregator is made of, as its operators change it."""

    def __init__(self, workshop: Workshop) -> None:
        super().__init__(workshop)
        self.trunkbook = TrunkBook()
        self._users: dict[tuple[str, str], str] = {}

    @abstractmethod
    def inferior(self, name: str) -> Network:
        """One of the inferior networks. `SubnetworkUnknown`."""

    @abstractmethod
    def touched(self) -> None:
        """What is left of the trunks has changed."""

    @abstractmethod
    def reshape(self) -> None:
        """The graph has other edges than before."""

    def restore_topology(self, contents: Contents) -> None:
        """Take up terminals and trunks."""
        for record in contents.tables.get(TerminalRecord, ()):
            if isinstance(record, TerminalRecord) and record.network == self.name:
                self.book.put(record.terminal)
                self._users[record.terminal.subterminal] = f"terminal {record.terminal.name!r}"
        for stored in contents.tables.get(TrunkRecord, ()):
            if isinstance(stored, TrunkRecord) and stored.network == self.name:
                self._use_trunk(stored.trunk)
                self.trunkbook.put(stored.trunk)

    # -- terminals

    def list_terminals(self) -> Sequence[Terminal]:
        """The terminals, by name."""
        return [t for _, t in sorted(self.book.terminals.copy().items())]

    def put_terminal(self, terminal: Terminal, caller: Caller, *, new: bool = False) -> Reply[Terminal]:
        """Make or change a terminal; its place is `inferior:terminal`."""
        reply: Reply[Terminal] = Reply()

        def check() -> TopologyChange:
            check_name(terminal.name, "name")
            check_labels(terminal.labels)
            check_quotas(terminal)
            old = self.book.terminals.get(terminal.name)
            if old is not None and new:
                raise TerminalExists(self.name, terminal.name)
            if old == terminal:
                return TopologyChange(terminal)
            if old is not None:
                if old.place != terminal.place:
                    self.book.check_idle(old.name)
                self.book.check_change(old, terminal)
            if old is None or old.place != terminal.place:
                self._check_place(terminal.subterminal, "place")
            self.ask_topology(terminal, caller)
            narrower = None if old is None else narrower_terminal(old, terminal)
            event = self.event(EventKind.TERMINAL, {"name": terminal.name, "present": True})
            return TopologyChange(
                terminal,
                [self.record(), TerminalRecord(self.name, terminal), event],
                until=lambda: self._place_terminal(old, narrower, reserved=terminal),
                after=lambda: self._place_terminal(narrower, terminal),
                back=lambda: self._place_terminal(narrower, old, unreserved=terminal),
            )

        self.topology.make(reply, check)
        return reply

    def _place_terminal(
        self,
        old: Terminal | None,
        new: Terminal | None,
        reserved: Terminal | None = None,
        unreserved: Terminal | None = None,
    ) -> None:
        for gone in (old, unreserved):
            if gone is not None:
                self._users.pop(gone.subterminal, None)
        for there in (new, reserved):
            if there is not None:
                self._users[there.subterminal] = f"terminal {there.name!r}"
        if new is not None:
            self.book.put(new)
        elif old is not None:
            self.book.remove(old.name)
        if old is None or new is None or old.place != new.place:
            self.touched()

    def _check_place(self, place: tuple[str, str], path: str, but: str = "") -> None:
        network, terminal = place
        if not network or not terminal:
            raise BadArgument(path, f"expected inferior:terminal, got {network or terminal!r}")
        if terminal not in self.inferior(network).terminals():
            raise TerminalUnknown(network, terminal, path)
        user = self._users.get(place)
        if user is not None and user != but:
            raise SubterminalBusy(self.name, network, terminal, user)

    def remove_terminal(self, name: str, caller: Caller) -> Reply[None]:
        """Remove a terminal that no service uses."""
        reply: Reply[None] = Reply()

        def check() -> TopologyChange:
            old = self.book.terminals.get(name)
            if old is None:
                raise TerminalUnknown(self.name, name)
            self.book.check_idle(name)
            idle = idle_terminal(old)
            return TopologyChange(
                None,
                [self.event(EventKind.TERMINAL, {"name": name, "present": False})],
                [(TerminalRecord, (self.name, name))],
                until=lambda: self._place_terminal(old, idle),
                after=lambda: self._place_terminal(idle, None),
                back=lambda: self._place_terminal(idle, old),
            )

        self.topology.make(reply, check)
        return reply

    # -- trunks

    def trunks(self) -> Sequence[TrunkUse]:
        """The trunks, by name."""
        return [account.use() for _, account in sorted(self.trunkbook.accounts.copy().items())]

    def trunk(self, name: str) -> TrunkUse:
        """One trunk. `TrunkUnknown`."""
        account = self.trunkbook.accounts.get(name)
        if account is None:
            raise TrunkUnknown(self.name, name)
        return account.use()

    def put_trunk(self, trunk: Trunk, caller: Caller, *, new: bool = False) -> Reply[None]:
        """Make or change a trunk."""
        reply: Reply[None] = Reply()

        def check() -> TopologyChange:
            _check_trunk(trunk)
            account = self.trunkbook.accounts.get(trunk.name)
            old = None if account is None else account.trunk
            if old is not None and new:
                raise TrunkExists(self.name, trunk.name)
            if old == trunk:
                return TopologyChange(None)
            me = f"trunk {trunk.name!r}"
            if old is None or (old.start, old.end) != (trunk.start, trunk.end):
                if account is not None and account.holds:
                    raise TrunkBusy(self.name, trunk.name, account.services())
                self._check_place(trunk.start, "start", me)
                self._check_place(trunk.end, "end", me)
            if account is not None:
                self._check_held(trunk)
            self.ask_topology(trunk, caller)
            narrower = None if old is None else narrower_trunk(old, trunk)
            return TopologyChange(
                None,
                [
                    self.record(),
                    TrunkRecord(self.name, trunk),
                    self.event(EventKind.TRUNK, {"name": trunk.name, "present": True}),
                ],
                until=lambda: self._place_trunk(old, narrower, reserved=trunk),
                after=lambda: self._place_trunk(narrower, trunk),
                back=lambda: self._place_trunk(narrower, old, unreserved=trunk),
            )

        self.topology.make(reply, check)
        return reply

    def check_new_trunk(self, trunk: Trunk) -> None:
        """Raise what `put_trunk` would raise for a trunk that is not there yet, but for a listener's refusal."""
        _check_trunk(trunk)
        me = f"trunk {trunk.name!r}"
        self._check_place(trunk.start, "start", me)
        self._check_place(trunk.end, "end", me)

    def _check_held(self, trunk: Trunk) -> None:
        account = self.trunkbook.accounts[trunk.name]
        for direction, asked, held in (
            ("upstream", trunk.upstream, account.upstream_held),
            ("downstream", trunk.downstream, account.downstream_held),
        ):
            if asked < held:
                raise BandwidthUnavailable(self.name, trunk.name, direction, asked, held)
        missing = account.labels.missing(trunk.labels)
        if missing:
            raise LabelsInUse(self.name, trunk.name, tuple(missing))

    def _use_trunk(self, trunk: Trunk) -> None:
        self._users[trunk.start] = self._users[trunk.end] = f"trunk {trunk.name!r}"

    def _place_trunk(
        self,
        old: Trunk | None,
        new: Trunk | None,
        reserved: Trunk | None = None,
        unreserved: Trunk | None = None,
    ) -> None:
        for gone in (old, unreserved):
            if gone is not None:
                self._users.pop(gone.start, None)
                self._users.pop(gone.end, None)
        for there in (new, reserved):
            if there is not None:
                self._use_trunk(there)
        if new is not None:
            self.trunkbook.put(new)
        elif old is not None:
            self.trunkbook.remove(old.name)
        if old is None or new is None or (old.start, old.end, old.delay) != (new.start, new.end, new.delay):
            self.reshape()
        else:
            self.touched()

    def remove_trunk(self, name: str, caller: Caller) -> Reply[None]:
        """Remove a trunk that carries nothing."""
        reply: Reply[None] = Reply()

        def check() -> TopologyChange:
            account = self.trunkbook.accounts.get(name)
            if account is None:
                raise TrunkUnknown(self.name, name)
            if account.holds:
                raise TrunkBusy(self.name, name, account.services())
            old = account.trunk
            idle = idle_trunk(old)
            return TopologyChange(
                None,
                [self.event(EventKind.TRUNK, {"name": name, "present": False})],
                [(TrunkRecord, (self.name, name))],
                until=lambda: self._place_trunk(old, idle),
                after=lambda: self._place_trunk(idle, None),
                back=lambda: self._place_trunk(idle, old),
            )

        self.topology.make(reply, check)
        return reply


def _check_trunk(trunk: Trunk) -> None:
    check_name(trunk.name, "name")
    if trunk.start == trunk.end:
        raise BadArgument("end", "a trunk's ends are different terminals")
    for field, rate in (("upstream", trunk.upstream), ("downstream", trunk.downstream)):
        if not 0 <= rate <= MAX_KBPS:
            raise BadArgument(field, f"a capacity lies between 0 and {MAX_KBPS} kbit/s")
    if not 0 <= trunk.delay <= MAX_DELAY:
        raise BadArgument("delay", f"a delay lies between 0 and {MAX_DELAY // 1000} ms")
    check_ranges(trunk.labels)
