"""An aggregator: a network over inferior networks and the trunks between them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from dpb_framework.contracts import (
    Algorithm,
    AttemptRecord,
    Contents,
    ModelRecord,
    Network,
    Planner,
    Record,
    Workshop,
)
from dpb_framework.errors import (
    ConfigInvalid,
    DpbError,
    SegmentInvalid,
    SubnetworkUnknown,
)
from dpb_framework.model import (
    SYSTEM,
    Chord,
    Constraints,
    Event,
    EventKind,
    NetworkModel,
    Proposal,
    Scenario,
    Segment,
    Tunnel,
)
from dpb_framework.networks.admission import Planning
from dpb_framework.networks.aggregatorservice import AggregatorService
from dpb_framework.networks.aggregatortopology import AggregatorTopology
from dpb_framework.networks.base import Drops
from dpb_framework.networks.chords import show
from dpb_framework.networks.deadlines import Deadlines
from dpb_framework.networks.foresight import Foresight, take_snapshot
from dpb_framework.networks.shape import Shape, build_shape, chord_name, same_shape
from dpb_framework.reply import Reply
from dpb_framework.runtime import nothing
from dpb_framework.settings import nearest

_logger = logging.getLogger("dpb.networks")

SWEEP = 10.0
"""Seconds until orphans are looked for again after some were found."""

SWEEP_IDLE = 60.0
"""Seconds until they are looked for again after none was: an inferior may have been away."""


class Aggregator(AggregatorTopology):
    """A network over inferior networks; plans trees, reserves trunks, and divides services among the inferiors."""

    kind = "aggregator"
    service_class = AggregatorService
    plans = True

    def __init__(
        self,
        workshop: Workshop,
        inferiors: Sequence[Network],
        algorithm: Algorithm,
        algorithm_name: str,
        *,
        inferior_timeout: float = 10.0,
        replans: int = 8,
    ) -> None:
        super().__init__(workshop)
        self._inferiors = {inferior.name: inferior for inferior in inferiors}
        self._algorithm = algorithm
        self._algorithm_name = algorithm_name
        self.inferior_timeout = inferior_timeout
        self._foresight = Foresight(self.name, algorithm, algorithm_name, self.runtime)
        self.deadlines = Deadlines(self.runtime, self.strand, inferior_timeout)
        self.replans = replans
        self._models: dict[str, NetworkModel] = {}
        self._stored_models: dict[str, NetworkModel] = {}
        self._unsaved: dict[str, NetworkModel] = {}
        self._cancel_sweep: Callable[[], None] = nothing
        self._chorded: list[str] = []
        self._shape: Shape | None = None
        self._planner: Planner | None = None
        self._planning: Planning | None = None
        self._version = 0
        self._shown: tuple[object, NetworkModel, object] | None = None
        self._cancels: list[Callable[[], None]] = []

    @classmethod
    def build(cls, workshop: Workshop) -> Aggregator:
        """Make one: settings `inferiors`, `algorithm`, `algorithm-settings`, `inferior-timeout`, `replans`."""
        settings = dict(workshop.settings)
        names = settings.pop("inferiors", [])
        name = settings.pop("algorithm", "bast")
        algorithm = workshop.make(
            "dpb.algorithms",
            name,
            Algorithm,  # type: ignore[type-abstract]  # a contract to check against, not to make
            settings.pop("algorithm-settings", {}),
            "algorithm-settings",
        )
        timeout = settings.pop("inferior-timeout", workshop.tuning.get("inferior-timeout", 10))
        replans = settings.pop("replans", workshop.tuning.get("replans", 8))
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
            raise ConfigInvalid(f"{workshop.path}.inferior-timeout", f"expected seconds above zero, got {timeout!r}")
        if isinstance(replans, bool) or not isinstance(replans, int) or replans < 0:
            raise ConfigInvalid(f"{workshop.path}.replans", f"expected a number of tries, got {replans!r}")
        for key in settings:
            raise ConfigInvalid(f"{workshop.path}.{key}", "an aggregator has no such setting")
        inferiors = [workshop.inferior(inferior) for inferior in names]
        return cls(workshop, inferiors, algorithm, name, inferior_timeout=float(timeout), replans=replans)

    # -- life

    def restore(self, contents: Contents) -> None:
        """Take up terminals, trunks, services and attempts."""
        self.restore_topology(contents)
        self._version += 1
        for known in contents.tables.get(ModelRecord, ()):
            if isinstance(known, ModelRecord) and known.network == self.name and known.inferior in self._inferiors:
                self._models[known.inferior] = self._stored_models[known.inferior] = known.model
        self.restore_base(contents)
        places = {terminal.subterminal: name for name, terminal in self.book.terminals.items()}
        for attempt in contents.tables.get(AttemptRecord, ()):
            if isinstance(attempt, AttemptRecord) and attempt.network == self.name:
                self._services[attempt.service].restore_attempt(attempt, places)

    def start(self) -> None:
        """Begin to work with the inferiors."""
        try:
            self._algorithm.warm_up()
        except Exception:
            _logger.exception("network %s: algorithm %s failed to warm up", self.name, self._algorithm_name)
        for name, inferior in self._inferiors.items():
            self._cancels.append(inferior.watch(partial(self._heard, name), (EventKind.MODEL,)))
        self.resume()
        self.strand.post(self._sweep)

    def _heard(self, inferior: str, event: Event) -> None:
        self.strand.post(partial(self._refresh, inferior))
        if event.data.get("contact"):
            self.strand.post(partial(self._regained, inferior))

    def _regained(self, inferior: str) -> None:
        """Contact with an inferior is back: whatever waits to ask it again does so now, and orphans are looked for."""
        for service in list(self._services.values()):
            service.at_once(inferior)
        self._cancel_sweep()
        self._sweep()

    def _sweep(self) -> None:
        """Release subservices under our handles that no attempt knows; again later where that did not succeed."""
        if self.stopped:
            return
        found = False
        try:
            found = self._release_orphans()
        finally:  # it is done again whatever happens
            self._cancel_sweep = self.runtime.later(
                SWEEP if found else SWEEP_IDLE, partial(self.strand.post, self._sweep)
            )

    def _release_orphans(self) -> bool:
        """Whether there were any. What fails with one inferior is told, and is not the others' matter."""
        known: set[tuple[str, str]] = set()
        for service in self._services.values():
            known |= service.handles()
        found = False
        for name, inferior in self._inferiors.items():
            try:
                orphans = [o for o in inferior.services(self.prefix) if (name, o.handle) not in known]
                for orphan in orphans:
                    orphan.release(SYSTEM)
            except Exception:  # whatever it is, the other inferiors' orphans are looked for
                _logger.exception("network %s: what is left over at %s cannot be released", self.name, name)
            else:
                found = found or bool(orphans)
        return found

    def stop(self) -> None:
        """Let the inferiors be."""
        self.stopped = True
        self._foresight.stop()
        self._cancel_sweep()
        for cancel in self._cancels:
            cancel()
        self._cancels = []

    # -- inferiors and the graph

    def inferior(self, name: str) -> Network:
        """One of the inferior networks. `SubnetworkUnknown`."""
        try:
            return self._inferiors[name]
        except KeyError:
            raise SubnetworkUnknown(self.name, name) from None

    def inferiors(self) -> Sequence[str]:
        """The names of the inferior networks, sorted."""
        return sorted(self._inferiors)

    @property
    def shape(self) -> Shape:
        """The graph as of the last `planning`."""
        assert self._shape is not None, "planning makes it"
        return self._shape

    def models(self) -> Mapping[str, NetworkModel]:
        """The inferiors' models, as last known."""
        return self._models

    def its_services(self) -> Sequence[AggregatorService]:
        """All services, in no order."""
        return list(self._services.values())

    def resolve(self, service: int, segment: Segment) -> Segment:
        """Check a segment for a service and choose its open labels."""
        if segment.constraints:
            self._check_names(segment.constraints)
        return self.book.resolve(service, segment)

    def _check_names(self, way: Constraints) -> None:
        for path, names, known, what in (
            ("avoid-trunks", way.avoid_trunks, self.trunkbook.accounts, "trunk"),
            ("pass-trunks", way.pass_trunks, self.trunkbook.accounts, "trunk"),
            ("avoid-networks", way.avoid_networks, self._inferiors, "inferior network"),
            ("pass-networks", way.pass_networks, self._inferiors, "inferior network"),
        ):
            for name in names:
                if name not in known:
                    problem = f"network {self.name!r} has no {what} {name!r}{nearest(name, known.keys())}"
                    raise SegmentInvalid(f"constraints.{path}", problem)

    def plan(self, segments: Sequence[Segment], scenario: Scenario) -> Reply[Sequence[Proposal]]:
        """Tell what an admission of the segments would come to."""
        reply: Reply[Sequence[Proposal]] = Reply()

        def begin() -> None:
            try:
                snapshot = take_snapshot(self, segments, scenario)
            except DpbError as error:
                reply.fail(error)
                return
            self._foresight.answer(snapshot, scenario, reply)

        self.strand.post(begin)
        return reply

    def chords_at(self, inferior: str, terminal: str) -> dict[str, Chord]:
        """The chords of an inferior that begin or end at one of its terminals, by their names in the graph."""
        model = self._models.get(inferior)
        fragments = () if model is None else model.fragments
        chords = [c for fragment in fragments for c in fragment.chords or () if terminal in (c.a, c.b)]
        return {chord_name(inferior, chord): chord for chord in chords}

    def touched(self) -> None:
        """What is left of the trunks has changed."""
        self._version += 1
        self.hint()

    def reshape(self) -> None:
        """The graph has other edges than before: make it again when it is needed."""
        self._shape = self._planning = None
        self.touched()

    def _refresh(self, name: str) -> None:
        """Look at an inferior's model again."""
        model = self._inferiors[name].model()
        before = self._models.get(name)
        if model is before or (before is not None and not model.fragments):
            return
        self._models[name] = model
        shape = self._shape
        if shape is None or before is None or not same_shape(before, model):
            self.reshape()
            return
        for fragment in model.fragments:
            for chord in fragment.chords or ():
                edge = shape.chord_edges.get((name, chord.a, chord.b))
                if edge is not None:
                    shape.residual.upstream[edge] = chord.upstream
                    shape.residual.downstream[edge] = chord.downstream
        self.touched()

    def planning(self) -> Planning:
        """The graph with its planner, as of now."""
        for name in self._chorded:
            self._refresh(name)
        planning = self._planning
        if planning is None:
            self._look_at_all()
            self._chorded = [n for n, m in self._models.items() if any(f.chords is not None for f in m.fragments)]
            shape = self._shape = build_shape(self._models, (a.trunk for a in self.trunkbook.accounts.values()))
            self.trunkbook.attach(shape.residual, dict(shape.trunk_edges))
            planner = self._algorithm.planner(shape.topology)
            planning = self._planning = Planning(
                self.name, self._algorithm_name, shape, planner, self.book.terminals, self.trunkbook
            )
        return planning

    def _look_at_all(self) -> None:
        """Take up the inferiors' models; what is new of their shapes is kept with the next decision."""
        for name, inferior in self._inferiors.items():
            model = inferior.model()
            if name in self._models and not model.fragments:
                continue  # it is not reached yet: what was last known of it holds
            stored = self._stored_models.get(name)
            if stored is None or not same_shape(stored, model):
                self._unsaved[name] = model
            self._models[name] = model

    def commit(
        self,
        puts: Sequence[Record],
        drops: Drops = (),
        then: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        """Queue a batch; one that somebody waits for takes along what is new of the inferiors' models."""
        if then is None or not self._unsaved:
            super().commit(puts, drops, then)
            return
        unsaved, self._unsaved = self._unsaved, {}
        self._stored_models.update(unsaved)

        def kept(error: BaseException | None) -> None:
            if error is not None:
                self._unsaved = unsaved | self._unsaved
            then(error)

        super().commit([*puts, *(ModelRecord(self.name, name, model) for name, model in unsaved.items())], drops, kept)

    def model(self) -> NetworkModel:
        """Chords between the terminals, with what is available on them; computed again when something changed."""
        models = {name: inferior.model() for name, inferior in self._inferiors.items()}
        for name, model in models.items():
            if not model.fragments:  # it is not reached yet: what was last known of it holds
                models[name] = self._models.get(name, model)
        state = (self._version, *map(id, models.values()))
        shown = self._shown
        if shown is not None and shown[0] == state:
            return shown[1]
        accounts = list(self.trunkbook.accounts.values())
        shape = build_shape(models, [account.trunk for account in accounts])
        for account in accounts:
            edge = shape.trunk_edges.get(account.trunk.name)
            if edge is not None and account.trunk.commissioned and account.labels.free > 0:
                shape.residual.upstream[edge] = max(0, account.trunk.upstream - account.upstream_held)
                shape.residual.downstream[edge] = max(0, account.trunk.downstream - account.downstream_held)
        terminals = self.book.terminals.copy()
        places = {name: shape.vertex_of.get(t.subterminal) for name, t in terminals.items()}
        model = show(shape.topology, shape.residual, places)
        self._shown = (state, model, models)  # with the models, so that their ids are not used again
        return model

    def tree(self, service: int) -> Sequence[Tunnel]:
        """The tunnels of a service."""
        return self.service(service).tunnels()

    def health(self) -> Mapping[str, Any]:
        """The usual, and what there is to work with."""
        return {**super().health(), "inferiors": len(self._inferiors), "trunks": len(self.trunkbook.accounts)}
