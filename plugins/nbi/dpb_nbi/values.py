"""Single values out of JSON: each is what it should be, or a `BadArgument` names its field. Pure."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from dpb_framework.errors import BadArgument
from dpb_framework.model import kbps

MAX_DELAY: Final = 3_600_000
"""The longest delay that is believed, in milliseconds: an hour."""
_DECIMALS: Final = 60
"""How many digits before and after the point a number may have."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What no text holds that goes into the store."""
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")
"""A time with its zone, as RFC 3339 writes it."""
DIGITS = re.compile(r"[0-9]{1,18}")
"""An id, a number of an event, or a label as text."""


def kind(value: object) -> str:
    """Say what *value* is, for an error's text; never its content, which may be of any size and depth."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 60 else "a long text"
    if isinstance(value, int | Decimal):
        return f"{value}" if len(str(value)) <= 60 else "a long number"
    return "an object" if isinstance(value, dict) else "an array"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def table(value: Any, path: str, known: Collection[str], needed: Collection[str] = ()) -> dict[str, Any]:
    """Return *value* if it is an object with fields of *known* only, among them all of *needed*."""
    if not isinstance(value, dict):
        raise BadArgument(path or "body", f"expected an object, got {kind(value)}")
    for name in value:
        if name not in known:
            shown = name if len(name) <= 60 and name.isprintable() else f"{name[:60]!r}"
            raise BadArgument(_join(path, shown), f"there is no such field; there are: {', '.join(sorted(known))}")
    for name in needed:
        if name not in value:
            raise BadArgument(_join(path, name), "the field is missing")
    return value


def array(value: Any, path: str) -> list[Any]:
    """Return *value* if it is an array."""
    if not isinstance(value, list):
        raise BadArgument(path, f"expected an array, got {kind(value)}")
    return value


def text(value: Any, path: str) -> str:
    """Return *value* if it is a text."""
    if not isinstance(value, str):
        raise BadArgument(path, f"expected a text, got {kind(value)}")
    return value


def truth(value: Any, path: str) -> bool:
    """Return *value* if it is true or false."""
    if not isinstance(value, bool):
        raise BadArgument(path, f"expected true or false, got {kind(value)}")
    return value


def number(value: Any, path: str, what: str) -> int | Decimal:
    """Return *value* if it is a finite number; `what` says what is expected, for the error's text."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BadArgument(path, f"expected {what}, got {kind(value)}")
    if isinstance(value, Decimal) and value.is_nan():
        raise BadArgument(path, f"expected {what}, got NaN")
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        # Written out, or made a Fraction, 1e-999999999 would be a gigabyte.
        if not isinstance(exponent, int) or not -_DECIMALS <= exponent <= _DECIMALS or value.adjusted() > _DECIMALS:
            raise BadArgument(
                path, f"expected {what}, got one with more than {_DECIMALS} digits before or after the point"
            )
    return value


def integer(value: Any, path: str, least: int, most: int) -> int:
    """Return *value* if it is a whole number from *least* to *most*; 320.0 is one, as in JSON Schema."""
    expected = f"a whole number from {least} to {most}"
    found = number(value, path, expected)
    if not least <= found <= most or found != int(found):
        raise BadArgument(path, f"expected {expected}, got {kind(found)}")
    return int(found)


def rate(value: Any, path: str) -> int:
    """Return a rate in Mbit/s as kbit/s."""
    return kbps(number(value, path, "a rate in Mbit/s (a number)"), path)


def quota(value: Any, path: str) -> int | None:
    """Return a rate in Mbit/s, or null for no limit, as kbit/s or None."""
    return None if value is None else rate(value, path)


def delay(value: Any, path: str) -> int:
    """Return a delay in milliseconds (at most three decimals) as microseconds."""
    found = number(value, path, "a delay in milliseconds (a number)")
    if not 0 <= found <= MAX_DELAY:
        raise BadArgument(path, f"a delay lies between 0 and {MAX_DELAY} ms")
    micros = Fraction(found) * 1000
    if micros.denominator != 1:
        raise BadArgument(path, "a delay is a whole number of microseconds: at most three decimals of a millisecond")
    return int(micros)


def moment(value: Any, path: str) -> datetime | None:
    """Return a time with its zone (RFC 3339), or None for null."""
    if value is None:
        return None
    if isinstance(value, str) and MOMENT.fullmatch(value):
        with contextlib.suppress(ValueError, OverflowError):
            return datetime.fromisoformat(value).astimezone(UTC)
    raise BadArgument(path, f"expected a time with its zone, such as 2030-01-31T12:00:00Z, got {kind(value)}")


def digits(value: str) -> int | None:
    """Return the id that *value* (of a URL) is, or None where it is none: 1 to 18 ASCII digits."""
    return int(value) if DIGITS.fullmatch(value) else None
