"""How long is waited for what."""

from __future__ import annotations

from attrs import frozen


@frozen
class Timing:
    """Seconds: for a barrier, between quick audits (a count of flows), between full ones (everything is read).

    `settle` is what a switch is given after a barrier until its cached decisions are those of its tables. One that
    answers that barrier later than it has before is given `sluggish` times its delay, at most `settle_most`.
    """

    command: float = 5.0
    quick: float = 2.0
    full: float = 30.0
    settle: float = 0.015
    sluggish: float = 4.0
    settle_most: float = 0.5
