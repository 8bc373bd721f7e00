"""What a trunk costs: by hops, by delay, by what is left of it, or by how much of it is used. Integers only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isqrt
from typing import TypeAlias

from attrs import frozen

Weigh: TypeAlias = Callable[[int, int, int, int, int], int]
"""(delay in microseconds, least left of both directions, capacity of both directions (0: unknown), kbit/s) to weight"""


@frozen
class Cost:
    """A way to weigh trunks. The cost of a trunk is its weight, an int of at least 1, times its load if `by_load`.

    The load is what the request takes of the trunk, both directions added, kbit/s; a trunk that carries nothing counts
    as carrying 1.
    """

    name: str
    heaviest: int
    """No weight is more; 0 where that depends on the network."""
    by_load: bool
    by_residual: bool
    weigh: Weigh


def _hops(delay: int, up: int, down: int, up_capacity: int, down_capacity: int) -> int:
    return 1


def _delay(delay: int, up: int, down: int, up_capacity: int, down_capacity: int) -> int:
    return delay if delay > 1 else 1


def _load(delay: int, up: int, down: int, up_capacity: int, down_capacity: int) -> int:
    """1 + 64000 / residual in Mbit/s, of the direction with less left; below 1 Mbit/s as for 1."""
    least = (up if up < down else down) // 1000
    return 1 + 64000 // (least if least > 1 else 1)


STEPS = 64


def _exponentials() -> tuple[int, ...]:
    """64 x 1024^(step/64), rounded down: integer roots of integer powers."""
    out = []
    for step in range(STEPS + 1):
        value = (1 << 5 * step) * 64**32  # its 32nd root is 64 x 2^(10 x step / 64)
        for _ in range(5):
            value = isqrt(value)
        out.append(value)
    return tuple(out)


EXPONENTIALS: Sequence[int] = _exponentials()
"""The weight of a trunk by its utilisation in 64ths, from 64 to 65536."""


def _exponential(delay: int, up: int, down: int, up_capacity: int, down_capacity: int) -> int:
    """Of the direction that is used more; a trunk whose capacity is not known counts as unused."""
    used = 0
    if up_capacity > 0:
        used = STEPS - min(STEPS, max(0, up) * STEPS // up_capacity)
    if down_capacity > 0:
        used = max(used, STEPS - min(STEPS, max(0, down) * STEPS // down_capacity))
    return EXPONENTIALS[used]


COSTS = {
    cost.name: cost
    for cost in (
        Cost("hops", 1, False, False, _hops),
        Cost("delay", 0, False, False, _delay),
        Cost("load", 64_001, True, True, _load),
        Cost("exponential", 65_536, True, True, _exponential),
    )
}
