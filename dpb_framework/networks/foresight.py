"""What-if: plans on a snapshot of an aggregator's books, in a scenario. Nothing is reserved, nobody is asked.

The snapshot is taken on the strand, and is all that is done there; planning runs beside the network's own, with a
planner and books of its own. So the answers come by the same rules as in an admission, to the label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from dpb_framework.contracts import Algorithm, Planner, Topology
from dpb_framework.contracts.store import Role
from dpb_framework.errors import DpbError, Stopped, TrunkExists, TrunkUnknown
from dpb_framework.model import Fault, NetworkModel, Proposal, Scenario, Segment, Share, Terminal, Trunk
from dpb_framework.model.value import value
from dpb_framework.networks.admission import NOTHING, Plan, Planning
from dpb_framework.networks.shape import Shape, build_shape
from dpb_framework.networks.trunkbook import TrunkBook
from dpb_framework.reply import Reply
from dpb_framework.runtime import Runtime, Strand, nothing

if TYPE_CHECKING:
    from dpb_framework.networks.aggregator import Aggregator


@value
class Snapshot:
    """All that planning needs, as it was at one moment; nobody else changes it.

    `asked` has for each segment what an admission would make of it, or why it would be refused at once; `hit` are the
    services that use a failed trunk, with their segments.
    """

    shape: Shape
    models: Mapping[str, NetworkModel]
    terminals: Mapping[str, Terminal]
    book: TrunkBook
    asked: Sequence[Segment | Fault]
    hit: Sequence[tuple[int, Segment]]


def check_scenario(scenario: Scenario, network: str, trunks: Iterable[str], check: Callable[[Trunk], object]) -> None:
    """Raise `TrunkUnknown`, `TrunkExists`, or what *check* raises for a trunk that could not be added."""
    known = set(trunks)
    for name in (*scenario.failed, *scenario.drained):
        if name not in known:
            raise TrunkUnknown(network, name)
    for trunk in scenario.added:
        if trunk.name in known:
            raise TrunkExists(network, trunk.name)
        known.add(trunk.name)
        check(trunk)


def take_snapshot(network: Aggregator, segments: Sequence[Segment], scenario: Scenario) -> Snapshot:
    """Copy what is needed; on the strand. `TrunkUnknown`, `TrunkExists`, and faults of trunks to be added."""
    check_scenario(scenario, network.name, network.trunkbook.accounts, network.check_new_trunk)
    network.planning()
    shape = network.shape
    shape = evolve(shape, residual=shape.residual.copy())
    asked: list[Segment | Fault] = []
    for segment in segments:
        try:
            asked.append(network.resolve(0, segment))
        except DpbError as error:
            asked.append(Fault.of(error))
    book = network.trunkbook.copy()
    failed = set(scenario.failed)
    hit: list[tuple[int, Segment]] = []
    for service in sorted(network.its_services(), key=lambda s: s.id) if failed else ():
        attempts = service.attempts()
        if any(tunnel.trunk in failed for attempt in attempts for tunnel in attempt.tunnels):
            for attempt in attempts:
                book.credit(service.id, attempt.number, attempt.tunnels)
            # One that is only being retired is on its way out, and not planned anew.
            if any(attempt.role is Role.CURRENT for attempt in attempts) and service.segment is not None:
                hit.append((service.id, service.segment))
    for name in failed:
        book.remove(name)
    for name in scenario.drained:
        book.put(evolve(book.accounts[name].trunk, commissioned=False))
    for trunk in scenario.added:
        book.put(trunk)
    return Snapshot(shape, dict(network.models()), dict(network.book.terminals), book, asked, hit)


class Foresight:
    """Answers what-if questions of one aggregator, one at a time; its planner is made once for each shape."""

    def __init__(self, network: str, algorithm: Algorithm, algorithm_name: str, runtime: Runtime) -> None:
        self._network = network
        self._algorithm = algorithm
        self._algorithm_name = algorithm_name
        self._runtime = runtime
        # A6: a planner is one thread's at a time. Questions that wait hold no worker: all of them could ask at once.
        self._strand = Strand()
        self._stopped = False
        self._planner: tuple[Topology, Planner] | None = None

    def answer(self, snapshot: Snapshot, scenario: Scenario, reply: Reply[Sequence[Proposal]]) -> None:
        """Settle *reply* with a proposal for each service that is hit, by id, and then for each segment, in order.

        Each counts on what those before it have taken. Planning is a worker's; it is left out where nobody waits any
        more. `Stopped` after `stop`.
        """

        def plan() -> None:
            if reply.settled:
                return
            if self._stopped:
                reply.fail(Stopped())
                return
            try:
                found = self._propose_all(snapshot, scenario)
            except Exception as error:  # noqa: BLE001  # told to whoever waits
                reply.fail(error)
            else:
                reply.resolve(found)

        self._strand.hand_over(plan, self._runtime)
        if self._stopped:
            self._strand.post(nothing)  # no worker may take it any more

    def stop(self) -> None:
        """Plan no more: questions that wait fail."""
        self._stopped = True
        self._strand.post(nothing)  # here, or where one is being answered, those that wait are told

    def _propose_all(self, snapshot: Snapshot, scenario: Scenario) -> list[Proposal]:
        planning = self._planning(snapshot, scenario)
        book = snapshot.book
        proposals = [self._propose(planning, book, -n, segment, id) for n, (id, segment) in enumerate(snapshot.hit, 1)]
        for n, asked in enumerate(snapshot.asked, len(proposals) + 1):
            if isinstance(asked, Fault):
                proposals.append(Proposal(fault=asked))
            else:
                proposals.append(self._propose(planning, book, -n, asked, None))
        return proposals

    def _planning(self, snapshot: Snapshot, scenario: Scenario) -> Planning:
        shape = snapshot.shape
        if scenario.added:
            trunks = [account.trunk for account in snapshot.book.accounts.values()]
            shape = build_shape(snapshot.models, trunks)
            planner = self._algorithm.planner(shape.topology)
        else:
            for name in scenario.failed:  # they are edges still, but none that anything could use
                edge = shape.trunk_edges.get(name)
                if edge is not None:
                    shape.residual.upstream[edge] = shape.residual.downstream[edge] = 0
            if self._planner is None or self._planner[0] is not shape.topology:
                self._planner = (shape.topology, self._algorithm.planner(shape.topology))
            planner = self._planner[1]
        edges = {name: edge for name, edge in shape.trunk_edges.items() if name in snapshot.book.accounts}
        snapshot.book.attach(shape.residual, edges)
        return Planning(self._network, self._algorithm_name, shape, planner, snapshot.terminals, snapshot.book)

    def _propose(
        self, planning: Planning, book: TrunkBook, holder: int, segment: Segment, service: int | None
    ) -> Proposal:
        try:
            plan = planning.plan(segment, NOTHING)
        except DpbError as error:
            return Proposal(service, Fault.of(error))
        book.take(holder, 0, plan.tunnels)
        return Proposal(service, None, _shares(plan, book), _chords(plan), _networks(plan), plan.cost, plan.note)


def _shares(plan: Plan, book: TrunkBook) -> tuple[Share, ...]:
    shares = []
    for tunnel in sorted(plan.tunnels, key=lambda t: t.trunk):
        use = book.accounts[tunnel.trunk].use()
        shares.append(
            Share(
                tunnel.trunk,
                tunnel.upstream,
                tunnel.downstream,
                use.upstream_left,
                use.downstream_left,
                use.labels_left,
            )
        )
    return tuple(shares)


def _chords(plan: Plan) -> tuple[str, ...]:
    return tuple(sorted(chord for part in plan.parts for chord in part.chords))


def _networks(plan: Plan) -> tuple[str, ...]:
    return tuple(sorted({part.inferior for part in plan.parts}))
