"""JSON text, strictly read and plainly written. No HTTP here."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from attrs import frozen

from dpb_framework.errors import DpbError

_LONG: Final = 40
"""Digits of an integer from which one too long for Python is kept as a Decimal: out of every range, cheap to hold."""


@frozen
class JsonInvalid(DpbError):
    """A body is no JSON text, or missing where one is needed."""

    code = "bad-json"
    problem: str

    def __str__(self) -> str:
        return f"the body is no JSON: {self.problem}"


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond what Decimal holds: a number all the same, and in no range
        return Decimal("-Infinity" if text.startswith("-") else "Infinity")


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _LONG else _number(text)


def _constant(text: str) -> Decimal:
    """Keep what many clients write for a number that is none: it is in no range, and refused with its field's name."""
    return Decimal(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"name {name!r} is there twice in one object"[:200])
            seen.add(name)
    return found


_DECODER: Final = json.JSONDecoder(parse_float=_number, parse_constant=_constant, object_pairs_hook=_object)
_PATIENT: Final = json.JSONDecoder(
    parse_float=_number, parse_int=_integer, parse_constant=_constant, object_pairs_hook=_object
)
"""Takes integers of more digits than Python does, by a call for each integer."""
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=str)


def read(body: bytes) -> Any:
    """Return what the JSON text *body* says; numbers with a point or an exponent are Decimal, never float.

    `JsonInvalid` for bytes that are no UTF-8, text that is no JSON, a name that is twice in
    one object, half a surrogate pair, and nesting that is too deep.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise JsonInvalid(f"byte {error.start} is not UTF-8") from None
    if not text.strip(" \t\r\n"):
        raise JsonInvalid("it is empty; send a JSON object")
    try:
        try:
            value, end = _DECODER.raw_decode(text, _skip(text, 0))
        except json.JSONDecodeError:
            raise
        except ValueError:  # perhaps for an integer that is too long
            value, end = _PATIENT.raw_decode(text, _skip(text, 0))
        if _skip(text, end) != len(text):
            raise ValueError(f"something follows the value at character {end}")
        if "\\u" in text:
            # An escape can name half of a pair, which no text holds and nothing could store.
            _ENCODER_RAW.encode(value).encode()
    except json.JSONDecodeError as error:
        raise JsonInvalid(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except UnicodeEncodeError:
        raise JsonInvalid("an escape names half of a surrogate pair") from None
    except RecursionError:
        raise JsonInvalid("it is nested too deeply") from None
    except ValueError as error:
        raise JsonInvalid(str(error)) from None
    return value


_ENCODER_RAW: Final = json.JSONEncoder(ensure_ascii=False, default=str)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def write(value: Any) -> bytes:
    """Return plain data as JSON text, ASCII only; what is not plain is written as its text."""
    return _ENCODER.encode(value).encode("ascii")
