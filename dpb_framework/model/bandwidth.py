"""Rates: int kbit/s inside, Mbit/s with at most three decimals at the edges."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from dpb_framework.errors import BadArgument
from dpb_framework.model.value import value

MAX_KBPS = 10**12
"""The greatest rate that is believed, in kbit/s (a petabit a second): more is a slip of the pen."""

_PLAIN = re.compile(r"[0-9]{1,12}(\.[0-9]{1,30})?")


@value
class TrafficFlow:
    """The rates of one circuit, int kbit/s: ingress is into the network, egress out of it."""

    ingress: int
    egress: int


def kbps(mbps: object, path: str = "rate") -> int:
    """Return the rate *mbps* (Mbit/s: int, Decimal or text of digits) in kbit/s.

    `BadArgument` names *path* when it is not a number, negative, beyond `MAX_KBPS`, or no whole kbit/s. A
    float is taken by its shortest text, so 0.1 means 100 kbit/s.
    """
    if isinstance(mbps, bool) or not isinstance(mbps, int | float | Decimal | str):
        raise BadArgument(path, f"expected a rate in Mbit/s, got a value of type {type(mbps).__name__}")
    if isinstance(mbps, str) and not _PLAIN.fullmatch(mbps):
        raise BadArgument(path, f"expected a rate in Mbit/s such as 10 or 0.25, got {mbps!r}"[:200])
    try:
        rate = Decimal(str(mbps)) if isinstance(mbps, float | str) else Decimal(mbps)
    except InvalidOperation:  # pragma: no cover  # str of a float is always understood
        raise BadArgument(path, f"expected a rate in Mbit/s, got {mbps!r}"[:200]) from None
    if not rate.is_finite():
        raise BadArgument(path, f"expected a finite rate in Mbit/s, got {rate}")
    if rate < 0:
        raise BadArgument(path, f"a rate is not negative: {rate} Mbit/s"[:200])
    if rate.adjusted() > 12 or rate * 1000 > MAX_KBPS:
        raise BadArgument(path, f"a rate is at most {MAX_KBPS // 1000} Mbit/s")
    # Finite: its exponent is a number.
    if rate.as_tuple().exponent < -30 or (scaled := rate * 1000) != scaled.to_integral_value():  # type: ignore[operator]
        raise BadArgument(path, "a rate is a whole number of kbit/s: at most three decimals of Mbit/s")
    return int(scaled)


def mbps(rate: int) -> int | float:
    """Return *rate* (kbit/s) in Mbit/s: an int where it is one, else the float whose text is exact."""
    return rate / 1000 if rate % 1000 else rate // 1000
