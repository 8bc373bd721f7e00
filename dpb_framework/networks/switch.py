"""A switch: a network over one fabric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from attrs import evolve

from dpb_framework.contracts import (
    Capability,
    Channel,
    Contents,
    Fabric,
    FabricEvent,
    SwitchManagement,
    TerminalRecord,
    Workshop,
)
from dpb_framework.errors import BadArgument, ConfigInvalid, SegmentInvalid, TerminalExists, TerminalUnknown
from dpb_framework.model import (
    DEFAULT_LABELS,
    MAX_LABEL,
    Caller,
    Circuit,
    EventKind,
    Fragment,
    NetworkModel,
    Segment,
    Terminal,
    check_name,
)
from dpb_framework.networks.base import BaseNetwork
from dpb_framework.networks.contact import Contact
from dpb_framework.networks.switchservice import SwitchService
from dpb_framework.networks.topologychange import TopologyChange, idle_terminal, narrower_terminal
from dpb_framework.reply import Reply
from dpb_framework.runtime import nothing


class Switch(BaseNetwork[SwitchService], SwitchManagement):
    """A network over one fabric: its terminals are the fabric's interfaces, its services the fabric's bridges."""

    kind = "switch"
    service_class = SwitchService

    def __init__(
        self,
        workshop: Workshop,
        fabric: Fabric,
        *,
        fails_on_port_down: bool = False,
        refuses_unenforced: bool = False,
        audit_interval: float = 60.0,
    ) -> None:
        super().__init__(workshop)
        self.fabric = fabric
        self.fails_on_port_down = fails_on_port_down
        self.refuses_unenforced = refuses_unenforced
        self.down: set[str] = set()
        self.contact = Contact(self, audit_interval)
        self._around: dict[str, dict[str, str]] = {}
        """For each domain its interfaces, each with its terminal."""
        self._domains: dict[str, str] = {}
        self._crowded = False
        self._model: NetworkModel | None = None
        self._capabilities: frozenset[Capability] | None = None
        self._unenforced: tuple[str, ...] = ()

    @classmethod
    def build(cls, workshop: Workshop) -> Switch:
        """Make one: settings `fabric`, `fabric-settings`, `on-port-down`, `unenforced`, `audit-interval`."""
        settings = dict(workshop.settings)
        fabric = workshop.make(
            "dpb.fabrics",
            settings.pop("fabric", "emulated"),
            Fabric,  # type: ignore[type-abstract]  # a contract to check against, not to make
            settings.pop("fabric-settings", {}),
            "fabric-settings",
        )
        port_down = _choice(workshop, settings, "on-port-down", ("keep", "fail"))
        unenforced = _choice(workshop, settings, "unenforced", ("flag", "refuse"))
        audit = settings.pop("audit-interval", 60)
        if isinstance(audit, bool) or not isinstance(audit, int | float) or audit < 0:
            raise ConfigInvalid(f"{workshop.path}.audit-interval", f"expected seconds, 0 for never, got {audit!r}")
        for key in settings:
            raise ConfigInvalid(f"{workshop.path}.{key}", "a switch has no such setting")
        return cls(
            workshop,
            fabric,
            fails_on_port_down=port_down == "fail",
            refuses_unenforced=unenforced == "refuse",
            audit_interval=float(audit),
        )

    # -- life

    def restore(self, contents: Contents) -> None:
        """Take up terminals and services."""
        for record in contents.tables.get(TerminalRecord, ()):
            if isinstance(record, TerminalRecord) and record.network == self.name:
                self._put(record.terminal)
        self.restore_base(contents)

    def start(self) -> None:
        """Begin to keep contact with the device."""
        self.resume()
        self.contact.start()

    def stop(self) -> None:
        """End contact."""
        if not self.stopped:
            self.stopped = True
            self.contact.stop()

    def model(self) -> NetworkModel:
        """One vertex; the same value until a terminal comes or goes."""
        model = self._model
        if model is None:
            model = self._model = NetworkModel((Fragment(self.terminals()),))
        return model

    def health(self) -> Mapping[str, Any]:
        """The usual, and whether the device is reached."""
        return {**super().health(), "contact": self.contact.state, "ports-down": sorted(self.down.copy())}

    # -- circuits and channels

    def channel(self, circuit: Circuit) -> Channel:
        """The fabric's name of a circuit (with its label chosen)."""
        if circuit.label is None:
            raise RuntimeError(f"circuit {circuit} has no label yet")
        return Channel(self.book.terminals[circuit.terminal].place, circuit.label)

    def port(self, circuit: Circuit) -> str:
        """The fabric's name of the port that a circuit (with its label chosen) is on."""
        return self.fabric.port(self.channel(circuit))

    def resolve(self, service: int, segment: Segment) -> Segment:
        """Check a segment for a service and choose its open labels."""
        if segment.constraints and segment.constraints.names:
            problem = f"network {self.name!r} is a switch: it has no trunks and no inferior networks"
            raise SegmentInvalid("constraints", problem)
        return self.book.resolve(service, segment, also=partial(self._overlapped, service) if self._crowded else None)

    def _overlapped(self, service: int, circuit: Circuit) -> int | None:
        """Another service that holds a channel which overlaps the circuit's, on another interface."""
        place = self.book.terminals[circuit.terminal].place
        mine = self.channel(circuit)
        domain = self._domains[place]
        domains = ({domain, ""} & self._around.keys()) if domain else self._around.keys()
        around = [(i, t) for near in domains for i, t in self._around[near].items() if i != place]
        for interface, terminal in around:
            for label, holder in self.book.labels_held(terminal).items():
                if holder != service and self.fabric.overlaps(mine, Channel(interface, label)):
                    return holder
        return None

    def unenforced(self) -> Sequence[str]:
        """Which rates the fabric cannot enforce: `ingress`, `egress`."""
        capabilities = self.fabric.capabilities
        if capabilities is not self._capabilities:
            needs = (("ingress", Capability.METERING), ("egress", Capability.SHAPING))
            self._unenforced = tuple(name for name, capability in needs if capability not in capabilities)
            self._capabilities = capabilities
        return self._unenforced

    # -- management

    def list_terminals(self) -> Sequence[Terminal]:
        """The terminals, by name."""
        return [t for _, t in sorted(self.book.terminals.copy().items())]

    def put_terminal(self, terminal: Terminal, caller: Caller, *, new: bool = False) -> Reply[Terminal]:
        """Make or change a terminal."""
        reply: Reply[Terminal] = Reply()

        def check() -> TopologyChange:
            checked = self._checked(terminal)
            old = self.book.terminals.get(terminal.name)
            if old is not None and new:
                raise TerminalExists(self.name, terminal.name)
            if old == checked:
                return TopologyChange(checked)
            if old is not None:
                if old.place != checked.place:
                    self.book.check_idle(old.name)
                self.book.check_change(old, checked)
            self.ask_topology(checked, caller)
            event = self.event(EventKind.TERMINAL, {"name": checked.name, "present": True})
            return TopologyChange(
                checked,
                [self.record(), TerminalRecord(self.name, checked), event],
                until=nothing if old is None else partial(self._put, narrower_terminal(old, checked)),
                after=lambda: self._put(checked, tells=True),
                back=nothing if old is None else partial(self._put, old),
            )

        self.topology.make(reply, check)
        return reply

    def _checked(self, terminal: Terminal) -> Terminal:
        check_name(terminal.name, "name")
        place = self.fabric.interface(terminal.place)
        for other in self.book.terminals.values():
            if other.place == place and other.name != terminal.name:
                raise BadArgument("place", f"interface {place!r} belongs to terminal {other.name!r} already")
        first, last = self.fabric.labels(place) or (0, MAX_LABEL)
        labels = terminal.labels
        if labels == DEFAULT_LABELS:
            low, high = max(first, labels[0][0]), min(last, labels[0][1])
            labels = ((low, high),) if low <= high else ((first, last),)
        check_labels(labels, first, last)
        check_quotas(terminal)
        return evolve(terminal, place=place, labels=labels)

    def _put(self, terminal: Terminal, *, tells: bool = False) -> None:
        place, old = terminal.place, self.book.terminals.get(terminal.name)
        if old is not None and old.place != place:
            self._leave(old.place)
        domain = self._domains[place] = self.fabric.domain(place)
        around = self._around.setdefault(domain, {})
        around[place] = terminal.name
        # An interface of the empty domain may overlap any other.
        self._crowded = self._crowded or len(around) > 1 or ("" in self._around and len(self._domains) > 1)
        self.book.put(terminal)
        self._model = None
        if tells:
            self.hint()

    def _leave(self, place: str) -> None:
        self._around[self._domains.pop(place)].pop(place)

    def remove_terminal(self, name: str, caller: Caller) -> Reply[None]:
        """Remove a terminal that no service uses."""
        reply: Reply[None] = Reply()

        def check() -> TopologyChange:
            old = self.book.terminals.get(name)
            if old is None:
                raise TerminalUnknown(self.name, name)
            self.book.check_idle(name)

            def gone() -> None:
                self.book.remove(name)
                self._leave(old.place)
                self._model = None
                self.hint()

            return TopologyChange(
                None,
                [self.event(EventKind.TERMINAL, {"name": name, "present": False})],
                [(TerminalRecord, (self.name, name))],
                until=partial(self._put, idle_terminal(old)),
                after=gone,
                back=partial(self._put, old),
            )

        self.topology.make(reply, check)
        return reply

    # -- what the device tells

    def heard(self, event: FabricEvent, port: str) -> None:
        """Take up an event of the fabric, on the strand."""
        if event is FabricEvent.UP:
            self.down.clear()  # ports may have come back meanwhile; those that are dead are told next
            self.contact.reconcile()
        elif event is FabricEvent.DOWN:
            self.contact.lost("the device reported the loss of contact")
        else:
            if event is FabricEvent.PORT_DOWN:
                self.down.add(port)
            else:
                self.down.discard(port)
            for service in list(self._services.values()):
                if service.uses(port):
                    service.advance()


def _choice(workshop: Workshop, settings: dict[str, Any], key: str, choices: tuple[str, ...]) -> str:
    value = settings.pop(key, choices[0])
    if value not in choices:
        raise ConfigInvalid(f"{workshop.path}.{key}", f"expected one of {', '.join(choices)}, got {value!r}")
    return str(value)


def check_labels(labels: Sequence[tuple[int, int]], first: int = 0, last: int = MAX_LABEL) -> None:
    """Raise `BadArgument` unless *labels* are ranges within first to last that do not overlap."""
    for i, (low, high) in enumerate(labels):
        if not first <= low <= high <= last:
            raise BadArgument(
                f"labels[{i}]", f"expected first and last label between {first} and {last}, got {low} to {high}"
            )
    ordered = sorted((low, high, i) for i, (low, high) in enumerate(labels))
    for (_, high, _), (low, _, i) in pairwise(ordered):
        if low <= high:
            raise BadArgument(f"labels[{i}]", "overlaps another range")


def check_quotas(terminal: Terminal) -> None:
    """Raise `BadArgument` for a quota below zero."""
    for name, quota in (("ingress-quota", terminal.ingress_quota), ("egress-quota", terminal.egress_quota)):
        if quota is not None and quota < 0:
            raise BadArgument(name, f"a quota is not negative, got {quota} kbit/s")
