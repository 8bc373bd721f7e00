"""Quotas, delays and labels as they are typed or written, in the form in which REST takes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation

from dpb_framework.errors import BadArgument
from dpb_framework.model import MAX_LABEL, kbps, mbps

NONE = "none"
"""How a quota is written that is no limit."""

_RANGE = re.compile(r"([0-9]{1,8})(?:-([0-9]{1,8}))?")
_TRUNK_RANGE = re.compile(r"([0-9]{1,8})(?:-([0-9]{1,8}))?(?:=([0-9]{1,8}))?")


def rate(value: object, path: str) -> int | float:
    """Return a rate in Mbit/s in its one form: an int where it is whole. `BadArgument` names *path*."""
    return mbps(kbps(value, path))


def parse_quota(value: object, path: str) -> int | float | None:
    """Return a quota in Mbit/s, None for `none`."""
    return None if value == NONE else rate(value, path)


def milliseconds(value: object, path: str) -> int | float:
    """Return a delay in milliseconds in its one form; `BadArgument` beyond three decimals or below zero."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise BadArgument(path, "expected a delay in milliseconds, such as 4.5")
    try:
        delay = Decimal(str(value))
    except InvalidOperation:
        raise BadArgument(path, f"expected a delay in milliseconds, such as 4.5, got {value!r}"[:200]) from None
    if not delay.is_finite() or not 0 <= delay <= 10**9:
        raise BadArgument(path, "a delay lies between 0 and 1000000000 ms")
    if delay * 1000 % 1:
        raise BadArgument(path, "a delay is a whole number of microseconds: at most three decimals of a millisecond")
    return int(delay) if not delay % 1 else float(delay)


def parse_labels(text: str, path: str) -> list[list[int]]:
    """Return ranges such as `1-99,200` as first and last labels."""
    ranges = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise BadArgument(path, f"expected labels such as 1-99,200, got {part.strip()!r}"[:200])
        first = int(match[1])
        ranges.append([first, int(match[2] or first)])
    return merged_labels(ranges, path)


def merged_labels(ranges: Iterable[Sequence[int]], path: str) -> list[list[int]]:
    """Return ranges in their one form: sorted, and joined where they touch or overlap."""
    merged: list[list[int]] = []
    for first, last in sorted(map(tuple, ranges)):
        if not 0 <= first <= last <= MAX_LABEL:
            raise BadArgument(path, f"labels run upwards within 0 to {MAX_LABEL}, got {first}-{last}")
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return merged


def parse_trunk_labels(text: str, path: str) -> list[dict[str, int]]:
    """Return a trunk's ranges such as `1-300,400-499=1400`: start labels, and the first end label where it differs."""
    ranges = []
    for part in text.split(","):
        match = _TRUNK_RANGE.fullmatch(part.strip())
        if match is None:
            raise BadArgument(path, f"expected labels such as 1-300 or 400-499=1400, got {part.strip()!r}"[:200])
        first = int(match[1])
        count = int(match[2] or first) - first + 1
        ranges.append({"start": first, "count": count, "end": int(match[3] or first)})
    return merged_trunk_labels(ranges, path)


def merged_trunk_labels(ranges: Iterable[dict[str, int]], path: str) -> list[dict[str, int]]:
    """Return a trunk's ranges in their one form: sorted by start, joined where both sides go on."""
    merged: list[dict[str, int]] = []
    for one in sorted(ranges, key=lambda one: one["start"]):
        start, count, end = one["start"], one["count"], one.get("end", one["start"])
        if count < 1 or min(start, end) < 0 or max(start, end) + count - 1 > MAX_LABEL:
            raise BadArgument(path, f"a range has at least one label, all within 0 to {MAX_LABEL}")
        last = merged[-1] if merged else None
        if last and last["start"] + last["count"] == start and last["end"] + last["count"] == end:
            last["count"] += count
        else:
            merged.append({"start": start, "count": count, "end": end})
    return merged
