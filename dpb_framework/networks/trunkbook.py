"""What is left of each trunk, and who holds the rest: capacity and labels.

A service holds a label of a trunk once, however many of its attempts use it: of their loads the larger counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from attrs import define, field

from dpb_framework.contracts import Residual
from dpb_framework.model import Trunk, TrunkUse, Tunnel
from dpb_framework.networks.labels import LabelPool


@define(slots=True, eq=False)
class _Hold:
    """A label that a service holds, with the load of each of its attempts."""

    loads: dict[int, tuple[int, int]] = field(factory=dict)
    upstream: int = 0
    downstream: int = 0


@define(slots=True, eq=False)
class TrunkAccount:
    """One trunk: its facts, its labels, and the sums of what is held."""

    trunk: Trunk
    labels: LabelPool
    upstream_held: int = 0
    downstream_held: int = 0
    holds: dict[tuple[int, int], _Hold] = field(factory=dict)
    """(service, label) -> hold"""
    edge: int = -1

    def services(self) -> tuple[int, ...]:
        """Who holds something of it."""
        return tuple(sorted({service for service, _ in self.holds.copy()}))

    def use(self) -> TrunkUse:
        """Describe it and what is left of it. May be asked by any thread."""
        trunk = self.trunk
        return TrunkUse(
            trunk,
            trunk.upstream - self.upstream_held,
            trunk.downstream - self.downstream_held,
            self.labels.free,
            self.services(),
        )


class TrunkBook:
    """All trunks of an aggregator. Its methods are called on the aggregator's strand only."""

    def __init__(self) -> None:
        self.accounts: dict[str, TrunkAccount] = {}
        self.residual = Residual([], [])

    def copy(self) -> TrunkBook:
        """Return a book that says the same, attached to nothing, and shares nothing with this one."""
        other = TrunkBook()
        for name, account in self.accounts.items():
            other.accounts[name] = TrunkAccount(
                account.trunk,
                account.labels.copy(),
                account.upstream_held,
                account.downstream_held,
                {key: _Hold(hold.loads.copy(), hold.upstream, hold.downstream) for key, hold in account.holds.items()},
            )
        return other

    def put(self, trunk: Trunk) -> TrunkAccount:
        """Add a trunk, or change one; the caller has checked that what is held stays possible."""
        account = self.accounts.get(trunk.name)
        if account is None:
            account = self.accounts[trunk.name] = TrunkAccount(trunk, LabelPool(trunk.labels))
        else:
            if account.trunk.labels != trunk.labels:
                account.labels.redefine(trunk.labels)
            account.trunk = trunk
        self._show(account)
        return account

    def remove(self, name: str) -> None:
        """Forget a trunk that nobody holds."""
        del self.accounts[name]

    def attach(self, residual: Residual, edges: dict[str, int]) -> None:
        """Show what is left in *residual* from now on; *edges* tells the index of each trunk's edge."""
        self.residual = residual
        for name, account in self.accounts.items():
            account.edge = edges.get(name, -1)
            self._show(account)

    def _show(self, account: TrunkAccount) -> None:
        edge, trunk = account.edge, account.trunk
        if edge < 0:
            return
        usable = trunk.commissioned and account.labels.free > 0
        self.residual.upstream[edge] = max(0, trunk.upstream - account.upstream_held) if usable else 0
        self.residual.downstream[edge] = max(0, trunk.downstream - account.downstream_held) if usable else 0
        if self.residual.upstream_capacity:
            self.residual.upstream_capacity[edge] = trunk.upstream
            self.residual.downstream_capacity[edge] = trunk.downstream

    def take(self, service: int, attempt: int, tunnels: Iterable[Tunnel]) -> None:
        """Let an attempt of a service hold *tunnels*."""
        for tunnel in tunnels:
            account = self.accounts[tunnel.trunk]
            key = (service, tunnel.label)
            hold = account.holds.get(key)
            if hold is None:
                hold = account.holds[key] = _Hold()
                account.labels.take(tunnel.label)
            hold.loads[attempt] = (tunnel.upstream, tunnel.downstream)
            self._weigh(account, hold)

    def credit(self, service: int, attempt: int, tunnels: Iterable[Tunnel]) -> None:
        """Give back what an attempt of a service holds."""
        for tunnel in tunnels:
            account = self.accounts[tunnel.trunk]
            key = (service, tunnel.label)
            hold = account.holds.get(key)
            if hold is None or hold.loads.pop(attempt, None) is None:
                continue
            if not hold.loads:
                del account.holds[key]
                account.labels.give_back(tunnel.label)
            self._weigh(account, hold)

    def _weigh(self, account: TrunkAccount, hold: _Hold) -> None:
        if len(hold.loads) == 1:
            ((upstream, downstream),) = hold.loads.values()
        else:
            upstream = max((load[0] for load in hold.loads.values()), default=0)
            downstream = max((load[1] for load in hold.loads.values()), default=0)
        account.upstream_held += upstream - hold.upstream
        account.downstream_held += downstream - hold.downstream
        hold.upstream, hold.downstream = upstream, downstream
        self._show(account)

    def held(self, service: int, name: str) -> dict[int, tuple[int, int]]:
        """The labels of a trunk that a service holds, with what each holds (kbit/s up, down)."""
        holds = self.accounts[name].holds.items()
        return {label: (hold.upstream, hold.downstream) for (holder, label), hold in holds if holder == service}

    def left(self, name: str) -> tuple[int, int]:
        """What a trunk can still take each way (kbit/s): nothing where it is not commissioned."""
        account = self.accounts[name]
        trunk = account.trunk
        if not trunk.commissioned:
            return 0, 0
        return trunk.upstream - account.upstream_held, trunk.downstream - account.downstream_held

    def free_label(self, name: str, avoid: Collection[int] = ()) -> int | None:
        """A free label of a trunk."""
        return self.accounts[name].labels.peek(avoid)
