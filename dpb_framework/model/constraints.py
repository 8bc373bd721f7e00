"""Constraints on the way that a service takes."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field

from dpb_framework.errors import SegmentInvalid
from dpb_framework.model.value import value

MAX_DELAY = 3_600_000_000
"""The greatest delay that may be asked for, in microseconds: an hour."""


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


@value
class Constraints:
    """What a request asks of the tree that carries it; by default nothing.

    Names are those of an aggregator's trunks and inferior networks. `max_delay` is the greatest delay between any two
    ends, in microseconds, as far as the aggregator knows of it: the sum over the trunks (and chords) on the way.
    A switch is one point: there only the names are refused, as it has none.
    """

    avoid_trunks: tuple[str, ...] = field(converter=_names, default=())
    avoid_networks: tuple[str, ...] = field(converter=_names, default=())
    pass_trunks: tuple[str, ...] = field(converter=_names, default=())
    pass_networks: tuple[str, ...] = field(converter=_names, default=())
    max_delay: int | None = None

    def __bool__(self) -> bool:
        return self is not FREE and self != FREE

    @property
    def names(self) -> tuple[str, ...]:
        """Every trunk and network that it names."""
        return self.avoid_trunks + self.avoid_networks + self.pass_trunks + self.pass_networks

    def check(self, path: str = "constraints") -> None:
        """Raise `SegmentInvalid` for what no network could keep. *path* is how the error's path begins."""
        for kind, avoid, wanted in (
            ("trunks", self.avoid_trunks, self.pass_trunks),
            ("networks", self.avoid_networks, self.pass_networks),
        ):
            both = sorted(set(avoid) & set(wanted))
            if both:
                raise SegmentInvalid(f"{path}.pass-{kind}", f"{both[0]!r} is to be avoided and passed")
        if self.max_delay is not None and not 0 <= self.max_delay <= MAX_DELAY:
            raise SegmentInvalid(f"{path}.max-delay", f"a delay lies between 0 and {MAX_DELAY // 1000} ms")


FREE = Constraints()
"""No constraint at all."""
