"""Everything that can go wrong, as facts.

One base class, one suffix-free name for each fault. An error keeps what it knows as attributes; its
text is derived from them, in one line that says what, where and what to do. `code` is the name that
programs use (it goes over every wire); statuses of HTTP and the like belong to the northbound plugins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from attrs import Factory, asdict, field, frozen


class DpbError(Exception):
    """The base of all errors that the broker raises on purpose."""

    code: ClassVar[str] = "error"

    @property
    def facts(self) -> dict[str, Any]:
        """What the error knows, as plain JSON data."""
        known = asdict(self)  # type: ignore[arg-type]  # every subclass is an attrs class
        return {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}


def _plain(value: Iterable[str]) -> tuple[str, ...]:
    return tuple(value)


def _listing(names: tuple[str, ...], nothing: str = "none") -> str:
    return ", ".join(names) or nothing


def internal_fault(error: BaseException) -> str:
    """Tell of what was not raised on purpose: a fault of ours, or of a plugin's."""
    return f"internal fault: {type(error).__name__}: {error}"


# -- configuration and plugins ------------------------------------------------------------------


@frozen
class ConfigInvalid(DpbError):
    """The configuration (or another document) has a fault at `path`, such as `$.network[2].fabric`."""

    code = "config-invalid"
    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@frozen
class PluginMissing(DpbError):
    """No installed distribution offers the plugin that was asked for."""

    code = "plugin-missing"
    group: str
    name: str
    installed: tuple[str, ...] = field(converter=_plain)

    def __str__(self) -> str:
        return (
            f"no plugin {self.name!r} in {self.group}; installed: {_listing(self.installed)};"
            f" install the distribution that has it, or correct the name"
        )


@frozen
class PluginBroken(DpbError):
    """A plugin is installed but cannot be used."""

    code = "plugin-broken"
    group: str
    name: str
    problem: str

    def __str__(self) -> str:
        return f"plugin {self.name!r} of {self.group} cannot be used: {self.problem}"


@frozen
class InferiorCycle(DpbError):
    """Networks are, directly or through others, their own inferiors."""

    code = "inferior-cycle"
    networks: tuple[str, ...] = field(converter=_plain)

    def __str__(self) -> str:
        return f"networks are inferior to themselves: {' -> '.join(self.networks)}; break the circle"


# -- things that are not there, or there already ------------------------------------------------


@frozen
class NetworkUnknown(DpbError):
    """There is no network of that name."""

    code = "no-network"
    network: str

    def __str__(self) -> str:
        return f"there is no network {self.network!r}"


@frozen
class ServiceUnknown(DpbError):
    """The network never issued that service id."""

    code = "service-unknown"
    network: str
    service: int

    def __str__(self) -> str:
        return f"network {self.network!r} has no service {self.service}"


@frozen
class ServiceGone(DpbError):
    """The service existed and was released; its id is never used again."""

    code = "service-gone"
    network: str
    service: int

    def __str__(self) -> str:
        return f"service {self.service} of network {self.network!r} has been released"


@frozen
class TerminalUnknown(DpbError):
    """The network has no terminal of that name."""

    code = "terminal-unknown"
    network: str
    terminal: str
    path: str = "terminal-name"

    def __str__(self) -> str:
        return f"network {self.network!r} has no terminal {self.terminal!r}"


@frozen
class TerminalExists(DpbError):
    """The network has a terminal of that name already."""

    code = "terminal-exists"
    network: str
    terminal: str

    def __str__(self) -> str:
        return f"network {self.network!r} already has a terminal {self.terminal!r}"


@frozen
class TerminalBusy(DpbError):
    """The terminal cannot be removed or remapped while something uses it."""

    code = "terminal-busy"
    network: str
    terminal: str
    user: str

    def __str__(self) -> str:
        return f"terminal {self.terminal!r} of network {self.network!r} is in use by {self.user}; release that first"


@frozen
class SubnetworkUnknown(DpbError):
    """The aggregator has no inferior network of that name."""

    code = "subnetwork-unknown"
    network: str
    subnetwork: str

    def __str__(self) -> str:
        return f"network {self.network!r} has no inferior network {self.subnetwork!r}"


@frozen
class SubterminalBusy(DpbError):
    """An inferior network's terminal already serves a terminal or a trunk of the aggregator."""

    code = "subterminal-busy"
    network: str
    subnetwork: str
    subterminal: str
    user: str

    def __str__(self) -> str:
        return (
            f"terminal {self.subterminal!r} of inferior network {self.subnetwork!r} is already used in network"
            f" {self.network!r} by {self.user}"
        )


@frozen
class TrunkUnknown(DpbError):
    """The aggregator has no such trunk."""

    code = "trunk-unknown"
    network: str
    trunk: str

    def __str__(self) -> str:
        return f"network {self.network!r} has no trunk {self.trunk!r}"


@frozen
class TrunkExists(DpbError):
    """The aggregator has a trunk of that name already."""

    code = "trunk-exists"
    network: str
    trunk: str

    def __str__(self) -> str:
        return f"network {self.network!r} already has a trunk {self.trunk!r}"


@frozen
class TrunkBusy(DpbError):
    """The trunk carries services."""

    code = "trunk-busy"
    network: str
    trunk: str
    services: tuple[int, ...]

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.services[:8])) + (", ..." if len(self.services) > 8 else "")
        return (
            f"trunk {self.trunk!r} of network {self.network!r} carries services {shown}; decommission it and"
            f" release or change them first"
        )


# -- refusals of a service ----------------------------------------------------------------------


@frozen
class BadArgument(DpbError):
    """A value is of the wrong type or out of its range; `path` names the field."""

    code = "bad-argument"
    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@frozen
class SegmentInvalid(DpbError):
    """The segment cannot be a service's, whatever the state of the network."""

    code = "segment-invalid"
    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@frozen
class CircuitTaken(DpbError):
    """A circuit is part of another service, or overlaps one that is."""

    code = "circuit-taken"
    network: str
    terminal: str
    label: int
    service: int

    def __str__(self) -> str:
        return f"circuit {self.terminal}:{self.label} of network {self.network!r} is taken by service {self.service}"


@frozen
class LabelsUnavailable(DpbError):
    """A terminal does not offer the label that was asked for; or none is free (`label` None) to be chosen."""

    code = "labels-unavailable"
    network: str
    terminal: str
    label: int | None = None
    offers: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        where = f"terminal {self.terminal!r} of network {self.network!r}"
        if self.label is None:
            return f"{where} has no free label; release a service there, or give the terminal more labels"
        spans = ", ".join(f"{first} to {last}" for first, last in self.offers) or "others"
        return f"{where} does not offer label {self.label}; it offers {spans}"


@frozen
class LabelsInUse(DpbError):
    """Labels cannot be taken away (or defined again) while they are in use."""

    code = "labels-in-use"
    network: str
    trunk: str
    labels: tuple[int, ...]

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.labels[:8])) + (", ..." if len(self.labels) > 8 else "")
        return f"labels {shown} of trunk {self.trunk!r} in network {self.network!r} are in use"


@frozen
class QuotaExceeded(DpbError):
    """A terminal's quota has not enough left. Rates are kbit/s."""

    code = "quota"
    network: str
    terminal: str
    direction: str
    asked: int
    left: int

    def __str__(self) -> str:
        return (
            f"terminal {self.terminal!r} of network {self.network!r} has {self.left} kbit/s of {self.direction} left,"
            f" {self.asked} kbit/s are asked for"
        )


@frozen
class NoCapacity(DpbError):
    """No tree with the bandwidth and labels asked for joins the terminals.

    `proved`: none exists, not only none was found. `certificate` is the algorithm's, plain data: why, in terms of
    terminals and trunks, so that it can be checked.
    """

    code = "no-capacity"
    network: str
    reason: str
    proved: bool = False
    certificate: dict[str, Any] = field(factory=dict)

    def __str__(self) -> str:
        return f"network {self.network!r} cannot carry the segment: {self.reason}"


@frozen
class BandwidthUnavailable(DpbError):
    """A trunk's capacity cannot be lowered below what is allocated. Rates are kbit/s."""

    code = "bw-unavailable"
    network: str
    trunk: str
    direction: str
    asked: int
    allocated: int

    def __str__(self) -> str:
        return (
            f"trunk {self.trunk!r} of network {self.network!r} has {self.allocated} kbit/s {self.direction} allocated;"
            f" its capacity cannot become {self.asked} kbit/s"
        )


@frozen
class ServiceLogic(DpbError):
    """The command does not fit the state that the service is in."""

    code = "service-logic"
    network: str
    service: int
    command: str
    problem: str

    def __str__(self) -> str:
        return f"cannot {self.command} service {self.service} of network {self.network!r}: {self.problem}"


@frozen
class Refused(DpbError):
    """A listener's policy refuses the change."""

    code = "refused"
    reason: str
    listener: str = ""

    def __str__(self) -> str:
        return f"refused by {self.listener}: {self.reason}" if self.listener else f"refused: {self.reason}"


@frozen
class NotOwner(DpbError):
    """The caller may change what it made itself, and this is another's."""

    code = "not-owner"
    network: str
    service: int
    owner: str

    def __str__(self) -> str:
        return (
            f"service {self.service} of network {self.network!r} belongs to {self.owner!r}: only its owner or a manager"
            f" of the network changes it"
        )


@frozen
class PlanInvalid(DpbError):
    """An algorithm proposed what is not a tree, or does not fit: a fault of the algorithm."""

    code = "plan-invalid"
    algorithm: str
    problem: str

    def __str__(self) -> str:
        return (
            f"algorithm {self.algorithm!r} has a fault, there is no plan that holds: {self.problem}; report it to its"
            f" author"
        )


# -- the world outside --------------------------------------------------------------------------


@frozen
class InterfaceInvalid(DpbError):
    """A fabric does not understand the name of an interface."""

    code = "interface-invalid"
    fabric: str
    interface: str
    problem: str

    def __str__(self) -> str:
        return f"interface {self.interface!r} of fabric {self.fabric!r}: {self.problem}"


@frozen
class FabricRefused(DpbError):
    """The device was reached and said no."""

    code = "fabric-refused"
    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where} refused: {self.reason}"


@frozen
class Unreachable(DpbError):
    """Contact is lost: whether the last command was carried out is not known."""

    code = "unreachable"
    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where} cannot be reached: {self.problem}; its services keep their reservations until it is back"


@frozen
class PortDown(DpbError):
    """A port that the service uses is dead."""

    code = "port-down"
    where: str
    interface: str

    def __str__(self) -> str:
        return f"interface {self.interface!r} of {self.where} is down"


@frozen
class InferiorFailed(DpbError):
    """An inferior network could not do its part."""

    code = "inferior-failed"
    subnetwork: str
    reason: str

    def __str__(self) -> str:
        return f"inferior network {self.subnetwork!r}: {self.reason}"


@frozen
class StoreLocked(DpbError):
    """Another broker holds the store's lease."""

    code = "store-locked"
    store: str
    holder: str

    def __str__(self) -> str:
        return f"store {self.store} is in use by {self.holder}; stop that broker, or give this one a store of its own"


@frozen
class StoreInvalid(DpbError):
    """The store cannot be opened, or holds what this version does not understand."""

    code = "store-invalid"
    store: str
    problem: str

    def __str__(self) -> str:
        return f"store {self.store} cannot be used: {self.problem}"


@frozen
class CommitFailed(DpbError):
    """The store could not keep a change; nothing of it was done."""

    code = "commit-failed"
    problem: str

    def __str__(self) -> str:
        return f"the change was not stored and not made: {self.problem}; try again when the store works"


@frozen
class VersionStale(DpbError):
    """An item of a plugin's table was changed by somebody else in between."""

    code = "version-stale"
    namespace: str
    key: str
    expected: int
    found: int

    def __str__(self) -> str:
        return f"item {self.key!r} of {self.namespace!r} is at version {self.found}, not {self.expected}; read it again"


@frozen
class TimedOut(DpbError):
    """An answer did not come in time. `seconds` is how long was waited."""

    code = "timed-out"
    what: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.what} did not answer within {self.seconds:g} s"


@frozen
class Stopped(DpbError):
    """The broker is stopping and takes no more commands."""

    code = "stopped"
    what: str = "the broker"

    def __str__(self) -> str:
        return f"{self.what} is stopping; ask again when it is back"


@frozen
class Remembered(DpbError):
    """A fault that is only known as data any more (from the store, from another network), raised again."""

    kind: str
    text: str
    known: dict[str, Any] = Factory(dict)

    @property
    def code(self) -> str:  # type: ignore[override]  # one class for all kinds
        """The code of the fault that it was."""
        return self.kind

    @property
    def facts(self) -> dict[str, Any]:
        """What was known of it."""
        return dict(self.known)

    def __str__(self) -> str:
        return self.text
