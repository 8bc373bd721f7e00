"""Bodies of calls, checked: exact types, no unknown field, and a line that says which field is wrong and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dpb_corsa_emulator.values import Refused

MAX_TEXT = 4096


def bad(message: str) -> Refused:
    """A 400."""
    return Refused(400, message)


def fields(body: object, known: Iterable[str], read_only: Iterable[str] = ()) -> dict[str, Any]:
    """Take a body as an object with known fields only."""
    if not isinstance(body, dict):
        raise bad("the body is not an object")
    refused, taken = set(read_only), set(known)
    for name in body:
        if name in refused:
            raise bad(f"{name}: cannot be set in this call")
        if name not in taken:
            raise bad(f"{name}: no such field; known are {', '.join(sorted(taken))}")
    return body


def required(body: Mapping[str, Any], name: str) -> Any:
    """Take a field that must be there."""
    if name not in body:
        raise bad(f"{name}: required")
    return body[name]


def whole(value: object, low: int, high: int, name: str) -> int:
    """Take a whole number."""
    if type(value) is not int or not low <= value <= high:
        raise bad(f"{name}: a whole number from {low} to {high} is wanted")
    return value


def text(value: object, name: str) -> str:
    """Take a text."""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise bad(f"{name}: a text of at most {MAX_TEXT} characters is wanted")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise bad(f"{name}: half of a surrogate pair is no character") from None
    return value


def flag(value: object, name: str) -> bool:
    """Take true or false."""
    if type(value) is not bool:
        raise bad(f"{name}: true or false is wanted")
    return value


def rate(value: object, name: str) -> int | float:
    """Take a rate in Mbit/s, above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1_000_000:
        raise bad(f"{name}: a number of Mbit/s above 0, at most 1000000, is wanted")
    return value


def replacements(body: object, known: Iterable[str]) -> dict[str, Any]:
    """Take a PATCH: `[{"op": "replace", "path": "/x", "value": …}]`; gives the values by path."""
    if not isinstance(body, list) or not body:
        raise bad("an array of replacements is wanted")
    paths, taken = set(known), {}
    for place, item in enumerate(body):
        change = fields(item, {"op", "path", "value"})
        if required(change, "op") != "replace":
            raise bad(f"[{place}].op: only replace is there")
        path = required(change, "path")
        if not isinstance(path, str) or path not in paths:
            raise bad(f"[{place}].path: {path!r} cannot be replaced; {', '.join(sorted(paths))} can")
        if path in taken:
            raise bad(f"[{place}].path: {path} is there twice")
        taken[path] = required(change, "value")
    return taken
