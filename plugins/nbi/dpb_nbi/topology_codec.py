"""Plain JSON data -> terminals and trunks. Pure: every fault is a `BadArgument` that names its field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dpb_framework.errors import BadArgument
from dpb_framework.model import DEFAULT_LABELS, MAX_LABEL, LabelRange, Terminal, Trunk, check_name
from dpb_nbi.values import CONTROL, array, delay, integer, kind, quota, rate, table, text, truth

MAX_RANGES: Final = 4096
"""How many label ranges a terminal or trunk may have."""


def place(value: Any, path: str) -> str:
    """Return where a terminal leads: the fabric's name of an interface, or an inferior network's terminal."""
    found = text(value, path)
    if not 1 <= len(found) <= 256 or CONTROL.search(found):
        raise BadArgument(path, "expected a text of 1 to 256 characters, none of them a control character")
    return found


def _pair(value: Any, path: str) -> tuple[int, int]:
    bounds = array(value, path)
    if len(bounds) != 2:
        raise BadArgument(path, f"expected a first and a last label, got {len(bounds)} items")
    first = integer(bounds[0], f"{path}[0]", 0, MAX_LABEL)
    last = integer(bounds[1], f"{path}[1]", 0, MAX_LABEL)
    if last < first:
        raise BadArgument(path, f"the last label is before the first: {last} < {first}")
    return first, last


def terminal(value: Any, name: str | None = None) -> Terminal:
    """Return the terminal that TERMINAL describes; with *name*, from the URL, it may only repeat it."""
    known = ("name", "place", "ingress-quota", "egress-quota", "labels")
    body = table(value, "", known, ("place",) if name is not None else ("name", "place"))
    called = _called(body, name)
    ranges: tuple[tuple[int, int], ...] = DEFAULT_LABELS
    if body.get("labels") is not None:
        items = _ranges(body["labels"])
        ranges = tuple(_pair(item, f"labels[{i}]") for i, item in enumerate(items))
    return Terminal(
        called,
        place(body["place"], "place"),
        quota(body.get("ingress-quota"), "ingress-quota"),
        quota(body.get("egress-quota"), "egress-quota"),
        ranges,
    )


def _ranges(value: Any) -> list[Any]:
    items = array(value, "labels")
    if not 1 <= len(items) <= MAX_RANGES:
        raise BadArgument("labels", f"expected 1 to {MAX_RANGES} ranges, got {len(items)}")
    return items


def _called(body: Mapping[str, Any], name: str | None) -> str:
    """Return the name of what is described: the URL's, which the body may only repeat, or else the body's."""
    if name is None:
        return check_name(text(body["name"], "name"), "name")
    if "name" in body and text(body["name"], "name") != name:
        raise BadArgument("name", f"the URL says {name!r}; a name cannot be changed"[:200])
    return check_name(name, "name")


def _half(value: Any, path: str) -> tuple[str, str]:
    network, colon, name = text(value, path).partition(":")
    if not colon:
        raise BadArgument(path, f"expected 'inferior network:its terminal', got {kind(value)}")
    return check_name(network, path), check_name(name, path)


def _label_range(value: Any, path: str) -> LabelRange:
    body = table(value, path, ("start", "count", "end"), ("start", "count"))
    start = integer(body["start"], f"{path}.start", 0, MAX_LABEL)
    end = start if body.get("end") is None else integer(body["end"], f"{path}.end", 0, MAX_LABEL)
    count = integer(body["count"], f"{path}.count", 1, MAX_LABEL + 1)
    if max(start, end) + count - 1 > MAX_LABEL:
        raise BadArgument(f"{path}.count", f"labels lie between 0 and {MAX_LABEL}")
    return LabelRange(start, count, end)


def trunks(value: Any, path: str) -> list[Trunk]:
    """Return the trunks of a list of TRUNK; faults have their place in it."""
    found = []
    for i, item in enumerate(array(value, path)):
        try:
            found.append(trunk(item))
        except BadArgument as error:
            raise BadArgument(f"{path}[{i}].{error.path}", error.problem) from None
    return found


_TRUNK = ("name", "start", "end", "upstream", "downstream", "delay", "labels", "commissioned")


def trunk(value: Any, name: str | None = None, before: Trunk | None = None) -> Trunk:
    """Return the trunk that TRUNK describes.

    With *name* it is called as the URL says; without one and without a field `name`, its ends give it its name. With
    *before*, fields that are left out stay as they are there.
    """
    body = table(value, "", _TRUNK, ("start", "end", "upstream") if before is None else ())
    start = before.start if before is not None and "start" not in body else _half(body["start"], "start")
    end = before.end if before is not None and "end" not in body else _half(body["end"], "end")
    if start == end:
        raise BadArgument("end", "a trunk joins two different terminals")
    if name is None and body.get("name") is None:
        called = check_name(Trunk.default_name(start, end), "name")
    else:
        called = _called(body, name)
    upstream = before.upstream if before is not None and "upstream" not in body else rate(body["upstream"], "upstream")
    if body.get("downstream") is not None:
        downstream = rate(body["downstream"], "downstream")
    else:
        downstream = upstream if before is None else before.downstream
    made = Trunk(called, start, end, upstream, downstream) if before is None else before
    return Trunk(
        called,
        start,
        end,
        upstream,
        downstream,
        made.delay if body.get("delay") is None else delay(body["delay"], "delay"),
        made.labels
        if body.get("labels") is None
        else tuple(_label_range(item, f"labels[{i}]") for i, item in enumerate(_ranges(body["labels"]))),
        made.commissioned if body.get("commissioned") is None else truth(body["commissioned"], "commissioned"),
    )
