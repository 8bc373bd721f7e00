"""Ends of a service as they are typed: `terminal[:label][@mbps]` or `terminal[:label][@in/out]`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from dpb_framework.errors import BadArgument
from dpb_framework.model import Segment, kbps, mbps

_END = re.compile(r"(?P<terminal>[^\s:/]+?)(:(?P<label>[0-9]+))?(@(?P<ingress>[0-9.]+)(/(?P<egress>[0-9.]+))?)?")


@frozen
class AskedEnd:
    """One end as it was typed; rates in kbit/s, None for what was left out."""

    terminal: str
    label: int | None = None
    ingress: int | None = None
    egress: int | None = None


def parse_end(text: str) -> AskedEnd:
    """Return the end that *text* stands for. `BadArgument` quotes it when it is none."""
    match = _END.fullmatch(text)
    if match is None:
        raise BadArgument(
            text[:80], "expected terminal[:label][@mbps] or terminal[:label][@in/out], such as lon:100@10"
        )
    label = None if match["label"] is None else int(match["label"][:12])
    if match["ingress"] is None:
        return AskedEnd(match["terminal"], label)
    ingress = kbps(match["ingress"], text)
    return AskedEnd(
        match["terminal"], label, ingress, ingress if match["egress"] is None else kbps(match["egress"], text)
    )


def segment(ends: Sequence[AskedEnd], rate: int | None, present: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return *ends* as REST's segment; *rate* (kbit/s) is for those that say none.

    *present* is the segment that the service has (REST's): an end that is there already keeps its label and rates where
    nothing else is said. `BadArgument` for an end without a rate, `SegmentInvalid` for what cannot be a service's.
    """
    left = list(present)
    asked = []
    for end in ends:
        before = _same(end, left)
        if before is not None:
            left.remove(before)
        label = end.label if end.label is not None or before is None else before["label"]
        ingress, egress = end.ingress, end.egress
        if ingress is None or egress is None:
            if rate is not None:
                ingress = egress = rate
            elif before is not None:
                ingress, egress = kbps(before["ingress"]), kbps(before["egress"])
            else:
                raise BadArgument(end.terminal, "no rate: give --mbps for all ends, or @mbps for this one")
        asked.append((end.terminal, label, ingress, egress))
    Segment.of(*asked).check("ends")
    return [
        {"terminal": terminal, "label": label, "ingress": mbps(ingress), "egress": mbps(egress)}
        for terminal, label, ingress, egress in asked
    ]


def _same(end: AskedEnd, present: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    there = [one for one in present if one["terminal"] == end.terminal]
    if end.label is not None:
        there = [one for one in there if one["label"] == end.label]
    return there[0] if len(there) == 1 else None
