"""What a network is made of, and what it shows of itself to a superior."""

from __future__ import annotations

from attrs import field

from dpb_framework.errors import BadArgument
from dpb_framework.model.circuit import MAX_LABEL
from dpb_framework.model.value import value

DEFAULT_LABELS: tuple[tuple[int, int], ...] = ((1, 4094),)
"""The labels of a terminal that does not say otherwise: first and last, both included."""


@value
class Terminal:
    """A place where traffic enters a network.

    `place` is where it leads: in a switch the fabric's interface in canonical form, in an aggregator
    `inferior network:its terminal`. Quotas are kbit/s, None for no limit. `labels` are ranges, first and last
    included, of the labels that its circuits may have.
    """

    name: str
    place: str
    ingress_quota: int | None = None
    egress_quota: int | None = None
    labels: tuple[tuple[int, int], ...] = DEFAULT_LABELS

    @property
    def subterminal(self) -> tuple[str, str]:
        """The inferior network and its terminal that an aggregator's terminal is mapped to."""
        network, _, terminal = self.place.partition(":")
        return network, terminal


@value
class LabelRange:
    """`count` labels of a trunk: start, start+1, ... at its start are end, end+1, ... at its end."""

    start: int
    count: int
    end: int

    def check(self, path: str) -> None:
        """Raise `BadArgument` unless all labels of both sides lie within 24 bits."""
        if self.count < 1:
            raise BadArgument(f"{path}.label-count", f"a range has at least one label, got {self.count}")
        for name, first in (("start-label", self.start), ("end-label", self.end)):
            if first < 0 or first + self.count - 1 > MAX_LABEL:
                raise BadArgument(f"{path}.{name}", f"labels lie between 0 and {MAX_LABEL}")


@value
class Trunk:
    """A link between terminals of two inferior networks.

    Upstream is from start to end. Capacities are kbit/s, the delay is in microseconds. A trunk that is not
    commissioned keeps the services it has and takes no more.
    """

    name: str
    start: tuple[str, str]
    end: tuple[str, str]
    upstream: int
    downstream: int
    delay: int = 0
    labels: tuple[LabelRange, ...] = (LabelRange(1, 4094, 1),)
    commissioned: bool = True

    @staticmethod
    def default_name(start: tuple[str, str], end: tuple[str, str]) -> str:
        """The name of a trunk whose operator gave it none."""
        return f"{start[0]}.{start[1]}-{end[0]}.{end[1]}"


@value
class TrunkUse:
    """A trunk and what is left of it: rates in kbit/s, how many labels are free, which services it carries."""

    trunk: Trunk
    upstream_left: int
    downstream_left: int
    labels_left: int
    services: tuple[int, ...] = ()


@value
class Chord:
    """What lies between two terminals of a network, as a superior may use it.

    Rates in kbit/s: upstream is from `a` to `b`. Delay in microseconds.
    """

    a: str
    b: str
    upstream: int
    downstream: int
    delay: int


@value
class Fragment:
    """Terminals that a network can join with each other.

    `chords` None: without limit, as a switch does, so that a superior sees one vertex. Else what lies between
    each pair.
    """

    terminals: tuple[str, ...]
    chords: tuple[Chord, ...] | None = None


@value
class NetworkModel:
    """A network as its superior sees it: fragments that are not connected with each other."""

    fragments: tuple[Fragment, ...] = field(default=())


@value
class Tunnel:
    """A service's share of a trunk: the label at the trunk's start, and kbit/s each way."""

    trunk: str
    label: int
    upstream: int
    downstream: int


__all__ = [
    "DEFAULT_LABELS",
    "Chord",
    "Fragment",
    "LabelRange",
    "NetworkModel",
    "Terminal",
    "Trunk",
    "TrunkUse",
    "Tunnel",
]
