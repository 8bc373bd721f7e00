"""The label ranges of a trunk, as they are defined and revoked piece by piece. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from dpb_framework.model import LabelRange

Ranges = tuple[LabelRange, ...]


def defined(ranges: Ranges, start: int, count: int, end: int) -> Ranges:
    """Return *ranges* with one more; neighbours that continue each other at both ends become one."""
    return _joined((*ranges, LabelRange(start, count, end)))


def revoked_at_start(ranges: Ranges, first: int, count: int) -> Ranges:
    """Return *ranges* without the labels *first* and the *count* - 1 after it at the trunk's start."""
    return _joined(part for found in ranges for part in _without(found, first - found.start, count))


def revoked_at_end(ranges: Ranges, first: int, count: int) -> Ranges:
    """Return *ranges* without the labels *first* and the *count* - 1 after it at the trunk's end."""
    return _joined(part for found in ranges for part in _without(found, first - found.end, count))


def _without(found: LabelRange, at: int, count: int) -> list[LabelRange]:
    """What is left of a range when *count* labels from its *at*-th on are taken out, which may lie anywhere."""
    low, high = max(at, 0), min(at + count, found.count)
    if low >= high:
        return [found]
    before = LabelRange(found.start, low, found.end)
    after = LabelRange(found.start + high, found.count - high, found.end + high)
    return [part for part in (before, after) if part.count]


def _joined(ranges: Iterable[LabelRange]) -> Ranges:
    found: list[LabelRange] = []
    for part in sorted(ranges, key=lambda one: one.start):
        last = found[-1] if found else None
        if last is not None and (last.start + last.count, last.end + last.count) == (part.start, part.end):
            found[-1] = LabelRange(last.start, last.count + part.count, last.end)
        else:
            found.append(part)
    return tuple(found)
