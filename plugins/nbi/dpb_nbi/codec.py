"""Plain JSON data -> model. Pure: no HTTP, no network; every fault is a `BadArgument` that names its field."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from attrs import evolve, frozen

from dpb_framework.errors import BadArgument, SegmentInvalid
from dpb_framework.model import (
    DEFAULT_LABELS,
    MAX_LABEL,
    Circuit,
    End,
    LabelRange,
    Segment,
    Status,
    Terminal,
    TrafficFlow,
    Trunk,
    check_name,
    kbps,
)

MAX_DELAY: Final = 3_600_000
"""The longest delay that is believed, in milliseconds: an hour."""
MAX_WAIT: Final = 3_600_000
"""The longest time that a call waits, in milliseconds."""
DEFAULT_WAIT: Final = 30_000
"""How long a call waits that does not say how long, in milliseconds."""
MAX_HANDLE: Final = 256
MAX_RANGES: Final = 4096
"""How many label ranges a terminal or trunk may have."""

_DECIMALS: Final = 60
"""How many digits before and after the point a number may have."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DIGITS = re.compile(r"[0-9]{1,18}")


@frozen
class Names:
    """What the fields of an end are called in one of the interfaces."""

    terminal: str
    ingress: str
    egress: str
    label: str = "label"
    label_as_text: bool = False


FIRST: Final = Names("terminal-name", "ingress-bw", "egress-bw", label_as_text=True)
"""The interface of the first broker."""
V1: Final = Names("terminal", "ingress", "egress")


def translate(path: str, names: Names) -> str:
    """Return a path of the kernel (`segment[1].ingress-bw`) in the words of an interface."""
    before, dot, last = path.rpartition(".")
    word = {"terminal-name": names.terminal, "ingress-bw": names.ingress, "egress-bw": names.egress}.get(last, last)
    return f"{before}{dot}{word}"


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


def digits(value: str) -> int | None:
    """Return the id that *value* (of a URL) is, or None where it is none: 1 to 18 ASCII digits."""
    return int(value) if _DIGITS.fullmatch(value) else None


def _label(value: Any, path: str, as_text: bool) -> int | None:
    if value is None:
        return None
    if as_text and isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    return integer(value, path, 0, MAX_LABEL)


def segment(value: Any, names: Names, path: str = "segment") -> Segment:
    """Return the segment that an array of ends describes, checked as far as it can be without its network."""
    known = (names.terminal, names.label, names.ingress, names.egress)
    needed = (names.terminal, names.ingress, names.egress)
    ends = []
    for i, item in enumerate(array(value, path)):
        where = f"{path}[{i}]"
        end = table(item, where, known, needed)
        name = text(end[names.terminal], f"{where}.{names.terminal}")
        label = _label(end.get(names.label), f"{where}.{names.label}", names.label_as_text)
        ingress = rate(end[names.ingress], f"{where}.{names.ingress}")
        egress = rate(end[names.egress], f"{where}.{names.egress}")
        ends.append(End(Circuit(name, label), TrafficFlow(ingress, egress)))
    found = Segment(ends)
    try:
        found.check(path)
    except SegmentInvalid as error:
        raise evolve(error, path=translate(error.path, names)) from None
    return found


def definition(value: Any, names: Names) -> Segment:
    """Return the segment of the body `{"segment": [...]}`."""
    return segment(table(value, "", ("segment",), ("segment",))["segment"], names)


@frozen
class Wanted:
    """What the body of a new service asks for."""

    handle: str | None
    segment: Segment | None
    activate: bool


def wanted(value: Any) -> Wanted:
    """Return what `{"handle"?, "segment"?, "activate"?}` asks for; a field that is null counts as left out."""
    body = table(value, "", ("handle", "segment", "activate"))
    handle, ends, activate = body.get("handle"), body.get("segment"), body.get("activate")
    if handle is not None and (not 1 <= len(text(handle, "handle")) <= MAX_HANDLE or _CONTROL.search(handle)):
        raise BadArgument(
            "handle", f"expected a text of 1 to {MAX_HANDLE} characters, none of them a control character"
        )
    return Wanted(
        handle,
        None if ends is None else segment(ends, V1),
        False if activate is None else truth(activate, "activate"),
    )


def statuses(values: Collection[Any], path: str) -> frozenset[Status]:
    """Return the statuses of these names; at least one."""
    if not values:
        raise BadArgument(path, f"expected at least one of {', '.join(Status.__members__)}")
    found = set()
    for i, value in enumerate(values):
        if not isinstance(value, str) or value not in Status.__members__:
            raise BadArgument(f"{path}[{i}]", f"expected one of {', '.join(Status.__members__)}, got {kind(value)}")
        found.add(Status[value])
    return frozenset(found)


def awaited(value: Any) -> tuple[frozenset[Status], float]:
    """Return the statuses and the seconds of the body `{"acceptable": [...], "timeout-millis": n}`."""
    body = table(value, "", ("acceptable", "timeout-millis"), ("acceptable",))
    millis = integer(body.get("timeout-millis", DEFAULT_WAIT), "timeout-millis", 0, MAX_WAIT)
    return statuses(array(body["acceptable"], "acceptable"), "acceptable"), millis / 1000


def listed(query: Mapping[str, str | list[str]], name: str) -> list[str]:
    """Return the values of a query parameter that may be repeated, and be a list with commas."""
    found = query.get(name, [])
    return [part for item in ([found] if isinstance(found, str) else found) for part in item.split(",")]


def single(query: Mapping[str, str | list[str]], name: str) -> str | None:
    """Return the value of a query parameter that is there at most once."""
    found = query.get(name)
    if isinstance(found, list):
        raise BadArgument(name, "the parameter is there more than once")
    return found


def awaited_query(query: Mapping[str, str | list[str]], name: str) -> tuple[frozenset[Status], float]:
    """Return the statuses (parameter *name*) and the seconds that a query asks to wait for."""
    millis = single(query, "timeout-millis")
    number_of = DEFAULT_WAIT if millis is None else digits(millis)
    if number_of is None or number_of > MAX_WAIT:
        raise BadArgument("timeout-millis", f"expected a whole number from 0 to {MAX_WAIT}, got {kind(millis)}")
    return statuses(listed(query, name), name), number_of / 1000


def _place(value: Any, path: str) -> str:
    place = text(value, path)
    if not 1 <= len(place) <= 256 or _CONTROL.search(place):
        raise BadArgument(path, "expected a text of 1 to 256 characters, none of them a control character")
    return place


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
        _place(body["place"], "place"),
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
