"""Circuits and the segments that join them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import field

from dpb_framework.errors import BadArgument, SegmentInvalid
from dpb_framework.model.bandwidth import MAX_KBPS, TrafficFlow
from dpb_framework.model.constraints import FREE, Constraints
from dpb_framework.model.value import value

MAX_LABEL = (1 << 24) - 1
"""The greatest label: 12 bits of S-tag and 12 of C-tag."""

_NAME = re.compile(r"[^\s/:\x00-\x1f\x7f]{1,128}")


def check_name(name: object, path: str) -> str:
    """Return *name* if networks, terminals and trunks may be called so; `BadArgument` otherwise.

    1 to 128 characters, none of them white space, a slash, a colon or a control character: names stand in
    URLs and in `terminal:label`.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not name.isprintable() or name in {".", ".."}:
        raise BadArgument(
            path, f"expected a name of 1 to 128 characters without spaces, '/' and ':', got {name!r}"[:200]
        )
    return name


@value(order=True, cache_hash=True)
class Circuit:
    """A terminal of a network and a label on it. Label None in a request: the network chooses a free one."""

    terminal: str
    label: int | None

    def __str__(self) -> str:
        return self.terminal if self.label is None else f"{self.terminal}:{self.label}"


@value
class End:
    """One end of a segment: a circuit and its rates (kbit/s)."""

    circuit: Circuit
    flow: TrafficFlow


def _tuple(ends: Iterable[End]) -> tuple[End, ...]:
    return tuple(ends)


@value
class Segment:
    """What a service connects: its ends, in the order in which they were given, and what is asked of the way."""

    ends: tuple[End, ...] = field(converter=_tuple)
    constraints: Constraints = FREE

    @classmethod
    def of(cls, *ends: tuple[str, int | None, int, int]) -> Segment:
        """Build one from (terminal, label, ingress kbit/s, egress kbit/s) tuples."""
        return cls(End(Circuit(t, label), TrafficFlow(i, e)) for t, label, i, e in ends)

    def same_as(self, other: Segment | None) -> bool:
        """Whether both ask for the same, in whatever order."""
        if other is None or len(self.ends) != len(other.ends) or self.constraints != other.constraints:
            return False
        return self.ends == other.ends or sorted(map(_key, self.ends)) == sorted(map(_key, other.ends))

    def check(self, path: str = "segment") -> None:
        """Raise `SegmentInvalid` unless it could be a service's in some network.

        At least two ends, no circuit twice, rates between 0 and `MAX_KBPS` and not both zero, labels of
        at most 24 bits. *path* is how the error's path begins.
        """
        if len(self.ends) < 2:
            raise SegmentInvalid(path, f"a service joins at least two circuits, {len(self.ends)} given")
        seen: dict[tuple[str, int], int] = {}
        ingress = egress = 0
        for i, end in enumerate(self.ends):
            flow, circuit = end.flow, end.circuit
            ingress += flow.ingress
            egress += flow.egress
            if not (0 <= flow.ingress <= MAX_KBPS and 0 <= flow.egress <= MAX_KBPS):
                raise SegmentInvalid(f"{path}[{i}]", f"a rate lies outside 0 to {MAX_KBPS} kbit/s")
            if not flow.ingress and not flow.egress:
                raise SegmentInvalid(f"{path}[{i}].ingress-bw", "ingress and egress are both zero")
            label = circuit.label
            if label is None:
                continue
            if not 0 <= label <= MAX_LABEL:
                raise SegmentInvalid(f"{path}[{i}].label", f"a label lies between 0 and {MAX_LABEL}, got {label}")
            other = seen.setdefault((circuit.terminal, label), i)
            if other != i:
                raise SegmentInvalid(f"{path}[{i}]", f"circuit {circuit} is there twice (also {path}[{other}])")
        if not ingress or not egress:
            name = "egress" if ingress else "ingress"
            raise SegmentInvalid(f"{path}[0].{name}-bw", f"every end has zero {name}: no frame could cross the service")
        if self.constraints is not FREE:
            self.constraints.check()


def _key(end: End) -> tuple[str, int, int, int]:
    label = end.circuit.label
    return end.circuit.terminal, -1 if label is None else label, end.flow.ingress, end.flow.egress
