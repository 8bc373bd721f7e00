"""An aggregator: a network over inferior networks and the trunks between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from dpb_framework.contracts import (
    AggregatorManagement,
    Algorithm,
    AttemptRecord,
    Contents,
    ModelRecord,
    Network,
    Planner,
    Record,
    TerminalRecord,
    TrunkRecord,
    Workshop,
)
from dpb_framework.errors import (
    BadArgument,
    BandwidthUnavailable,
    ConfigInvalid,
    LabelsInUse,
    SubnetworkUnknown,
    SubterminalBusy,
    TerminalExists,
    TerminalUnknown,
    TrunkBusy,
    TrunkExists,
    TrunkUnknown,
)
from dpb_framework.model import (
    MAX_KBPS,
    SYSTEM,
    Caller,
    Chord,
    Event,
    EventKind,
    NetworkModel,
    Terminal,
    Trunk,
    TrunkUse,
    Tunnel,
    check_name,
)
from dpb_framework.networks.admission import Planning
from dpb_framework.networks.aggregatorservice import AggregatorService
from dpb_framework.networks.base import BaseNetwork
from dpb_framework.networks.chords import show
from dpb_framework.networks.deadlines import Deadlines
from dpb_framework.networks.labels import check_ranges
from dpb_framework.networks.shape import Shape, build_shape, chord_name, same_shape
from dpb_framework.networks.switch import check_labels, check_quotas
from dpb_framework.networks.trunkbook import TrunkBook
from dpb_framework.reply import Reply

MAX_DELAY = 10**9
"""The greatest delay of a trunk, in microseconds (a thousand seconds)."""


class Aggregator(BaseNetwork[AggregatorService], AggregatorManagement):
    """A network over inferior networks; plans trees, reserves trunks, and divides services among the inferiors."""

    kind = "aggregator"
    service_class = AggregatorService

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
        self.deadlines = Deadlines(self.runtime, self.strand, inferior_timeout)
        self.replans = replans
        self.trunkbook = TrunkBook()
        self._users: dict[tuple[str, str], str] = {}
        self._models: dict[str, NetworkModel] = {}
        self._chorded: list[str] = []
        self._shape: Shape | None = None
        self._planner: Planner | None = None
        self._planning: Planning | None = None
        self._version = 0
        self._shown: tuple[object, NetworkModel] | None = None
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
            Algorithm,  # type: ignore[type-abstract]
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
        for record in contents.tables.get(TerminalRecord, ()):
            if isinstance(record, TerminalRecord) and record.network == self.name:
                self.book.put(record.terminal)
                self._users[record.terminal.subterminal] = f"terminal {record.terminal.name!r}"
        for stored in contents.tables.get(TrunkRecord, ()):
            if isinstance(stored, TrunkRecord) and stored.network == self.name:
                self._use_trunk(stored.trunk)
                self.trunkbook.put(stored.trunk)
        for known in contents.tables.get(ModelRecord, ()):
            if isinstance(known, ModelRecord) and known.network == self.name and known.inferior in self._inferiors:
                self._models[known.inferior] = known.model
        self.restore_base(contents)
        for attempt in contents.tables.get(AttemptRecord, ()):
            if isinstance(attempt, AttemptRecord) and attempt.network == self.name:
                self._services[attempt.service].restore_attempt(attempt)

    def start(self) -> None:
        """Begin to work with the inferiors."""
        for name, inferior in self._inferiors.items():
            self._cancels.append(inferior.watch(partial(self._heard, name), (EventKind.MODEL,)))
        self.resume()
        self.strand.post(self._sweep)

    def _heard(self, inferior: str, event: Event) -> None:
        self.strand.post(partial(self._refresh, inferior))

    def _sweep(self) -> None:
        """Release subservices under our handles that no attempt knows."""
        known: set[str] = set()
        for service in self._services.values():
            known |= service.handles()
        for inferior in self._inferiors.values():
            for orphan in inferior.services(self.prefix):
                if orphan.handle not in known:
                    orphan.release(SYSTEM)

    def stop(self) -> None:
        """Let the inferiors be."""
        self.stopped = True
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

    def _reshape(self) -> None:
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
            self._reshape()
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
        """Take up the inferiors' models, and keep for a restart what is new of their shapes."""
        puts: list[Record] = []
        for name, inferior in self._inferiors.items():
            model = inferior.model()
            before = self._models.get(name)
            if before is not None and not model.fragments:
                continue  # it is not reached yet: what was last known of it holds
            if before is None or not same_shape(before, model):
                puts.append(ModelRecord(self.name, name, model))
            self._models[name] = model
        if puts:
            self.commit([self.record(), *puts])

    def model(self) -> NetworkModel:
        """Chords between the terminals, with what is available on them; computed again when something changed."""
        models = {name: inferior.model() for name, inferior in self._inferiors.items()}
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
        self._shown = (state, model)
        self._shown_models = models  # keeps the ids in `state` from being used again
        return model

    # -- terminals

    def list_terminals(self) -> Sequence[Terminal]:
        """The terminals, by name."""
        return [t for _, t in sorted(self.book.terminals.copy().items())]

    def put_terminal(self, terminal: Terminal, caller: Caller, *, new: bool = False) -> Reply[Terminal]:
        """Make or change a terminal; its place is `inferior:terminal`."""
        reply: Reply[Terminal] = Reply()

        def act() -> None:
            check_name(terminal.name, "name")
            check_labels(terminal.labels)
            check_quotas(terminal)
            old = self.book.terminals.get(terminal.name)
            if old is not None and new:
                raise TerminalExists(self.name, terminal.name)
            if old == terminal:
                reply.resolve(terminal)
                return
            moved = old is None or old.place != terminal.place
            if old is not None:
                if moved:
                    self.book.check_idle(old.name)
                self.book.check_change(old, terminal)
            if moved:
                self._check_place(terminal.subterminal, "place")
            self.ask_topology(terminal, caller)
            self._place_terminal(old, terminal)

            def kept(error: BaseException | None) -> None:
                if error is None:
                    reply.resolve(terminal)
                    return
                self._place_terminal(terminal, old)
                reply.fail(error)

            event = self.event(EventKind.TERMINAL, {"name": terminal.name, "present": True})
            self.commit([self.record(), TerminalRecord(self.name, terminal), event], (), kept)

        self.on_strand(reply, act)
        return reply

    def _place_terminal(self, old: Terminal | None, new: Terminal | None) -> None:
        if old is not None:
            self._users.pop(old.subterminal, None)
        if new is not None:
            self._users[new.subterminal] = f"terminal {new.name!r}"
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

        def act() -> None:
            old = self.book.terminals.get(name)
            if old is None:
                raise TerminalUnknown(self.name, name)
            self.book.check_idle(name)
            self._place_terminal(old, None)

            def kept(error: BaseException | None) -> None:
                if error is None:
                    reply.resolve(None)
                    return
                self._place_terminal(None, old)
                reply.fail(error)

            event = self.event(EventKind.TERMINAL, {"name": name, "present": False})
            self.commit([event], [(TerminalRecord, (self.name, name))], kept)

        self.on_strand(reply, act)
        return reply

    # -- trunks

    def trunks(self) -> Sequence[TrunkUse]:
        """The trunks, by name."""
        return [self.trunkbook.use(name) for name in sorted(self.trunkbook.accounts.copy())]

    def trunk(self, name: str) -> TrunkUse:
        """One trunk. `TrunkUnknown`."""
        if name not in self.trunkbook.accounts:
            raise TrunkUnknown(self.name, name)
        return self.trunkbook.use(name)

    def put_trunk(self, trunk: Trunk, caller: Caller, *, new: bool = False) -> Reply[None]:
        """Make or change a trunk."""
        reply: Reply[None] = Reply()

        def act() -> None:
            self._check_trunk(trunk)
            account = self.trunkbook.accounts.get(trunk.name)
            old = None if account is None else account.trunk
            if old is not None and new:
                raise TrunkExists(self.name, trunk.name)
            if old == trunk:
                reply.resolve(None)
                return
            me = f"trunk {trunk.name!r}"
            if old is None or (old.start, old.end) != (trunk.start, trunk.end):
                if account is not None and account.holds:
                    raise TrunkBusy(self.name, trunk.name, account.services())
                self._check_place(trunk.start, "start", me)
                self._check_place(trunk.end, "end", me)
            if account is not None:
                self._check_held(trunk)
            self.ask_topology(trunk, caller)
            self._place_trunk(old, trunk)

            def kept(error: BaseException | None) -> None:
                if error is None:
                    reply.resolve(None)
                    return
                self._place_trunk(trunk, old)
                reply.fail(error)

            event = self.event(EventKind.TRUNK, {"name": trunk.name, "present": True})
            self.commit([self.record(), TrunkRecord(self.name, trunk), event], (), kept)

        self.on_strand(reply, act)
        return reply

    def _check_trunk(self, trunk: Trunk) -> None:
        check_name(trunk.name, "name")
        if trunk.start == trunk.end:
            raise BadArgument("end", "a trunk's ends are different terminals")
        for field, rate in (("upstream", trunk.upstream), ("downstream", trunk.downstream)):
            if not 0 <= rate <= MAX_KBPS:
                raise BadArgument(field, f"a capacity lies between 0 and {MAX_KBPS} kbit/s")
        if not 0 <= trunk.delay <= MAX_DELAY:
            raise BadArgument("delay", f"a delay lies between 0 and {MAX_DELAY // 1000} ms")
        check_ranges(trunk.labels)

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

    def _place_trunk(self, old: Trunk | None, new: Trunk | None) -> None:
        if old is not None:
            self._users.pop(old.start, None)
            self._users.pop(old.end, None)
        if new is None and old is not None:
            self.trunkbook.remove(old.name)
        elif new is not None:
            self._use_trunk(new)
            self.trunkbook.put(new)
        if old is None or new is None or (old.start, old.end, old.delay) != (new.start, new.end, new.delay):
            self._reshape()
        else:
            self.touched()

    def remove_trunk(self, name: str, caller: Caller) -> Reply[None]:
        """Remove a trunk that carries nothing."""
        reply: Reply[None] = Reply()

        def act() -> None:
            account = self.trunkbook.accounts.get(name)
            if account is None:
                raise TrunkUnknown(self.name, name)
            if account.holds:
                raise TrunkBusy(self.name, name, account.services())
            old = account.trunk
            self._place_trunk(old, None)

            def kept(error: BaseException | None) -> None:
                if error is None:
                    reply.resolve(None)
                    return
                self._place_trunk(None, old)
                reply.fail(error)

            event = self.event(EventKind.TRUNK, {"name": name, "present": False})
            self.commit([event], [(TrunkRecord, (self.name, name))], kept)

        self.on_strand(reply, act)
        return reply

    def tree(self, service: int) -> Sequence[Tunnel]:
        """The tunnels of a service."""
        return self.service(service).tunnels()

    def health(self) -> Mapping[str, Any]:
        """The usual, and what there is to work with."""
        return {**super().health(), "inferiors": len(self._inferiors), "trunks": len(self.trunkbook.accounts)}
