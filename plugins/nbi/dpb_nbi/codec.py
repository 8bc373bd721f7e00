"""Plain JSON data and queries -> what services are asked. Pure: every fault is a `BadArgument` that names its field."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from attrs import evolve, frozen

from dpb_framework.errors import BadArgument, SegmentInvalid
from dpb_framework.model import FREE, MAX_KBPS, MAX_LABEL, Circuit, Constraints, End, Segment, Status, TrafficFlow
from dpb_nbi.values import CONTROL, DIGITS, array, delay, digits, integer, kind, rate, table, text, truth

MAX_WAIT: Final = 3_600_000
"""The longest time that a call waits, in milliseconds."""
DEFAULT_WAIT: Final = 30_000
"""How long a call waits that does not say how long, in milliseconds."""
MAX_HANDLE: Final = 256
DEFAULT_QUIET: Final = 15_000
"""Milliseconds between the comment lines of a mirror whose reader asks for no other interval."""
MIN_QUIET: Final = 100
MAX_QUIET: Final = 60_000
MAX_ENDS: Final = 1000
"""How many ends a segment may have."""
MAX_SEGMENTS: Final = 1000
"""How many segments one question may have."""
MAX_ORDERS: Final = 256
"""How many orders one request may have."""
MAX_ID: Final = 10**18 - 1
"""The greatest id of a service that is understood."""
_MOST: Final = MAX_KBPS // 1000
_NAMED: Final = ("avoid-trunks", "avoid-networks", "pass-trunks", "pass-networks")


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


def _label(value: Any, path: str, as_text: bool) -> int | None:
    if value is None:
        return None
    if as_text and isinstance(value, str) and DIGITS.fullmatch(value):
        value = int(value)
    return integer(value, path, 0, MAX_LABEL)


def _plain_end(item: Any, names: Names) -> End | None:
    """An end as nearly every one is: all four fields, of the usual types; None for one to be looked at closely."""
    if type(item) is not dict or len(item) != 4:
        return None
    name, label = item.get(names.terminal), item.get(names.label)
    ingress, egress = item.get(names.ingress), item.get(names.egress)
    if type(name) is not str or type(label) is not int or type(ingress) is not int or type(egress) is not int:
        return None
    if not 0 <= label <= MAX_LABEL or not 0 <= ingress <= _MOST or not 0 <= egress <= _MOST:
        return None
    return End(Circuit(name, label), TrafficFlow(ingress * 1000, egress * 1000))


def segment(value: Any, names: Names, path: str = "segment") -> Segment:
    """Return the segment that an array of ends describes, checked as far as it can be without its network."""
    known = (names.terminal, names.label, names.ingress, names.egress)
    needed = (names.terminal, names.ingress, names.egress)
    listed = array(value, path)
    if len(listed) > MAX_ENDS:
        raise BadArgument(path, f"a segment has {MAX_ENDS} ends at most, {len(listed)} given")
    ends = []
    for i, item in enumerate(listed):
        end = _plain_end(item, names)
        if end is None:
            where = f"{path}[{i}]"
            told = table(item, where, known, needed)
            name = text(told[names.terminal], f"{where}.{names.terminal}")
            label = _label(told.get(names.label), f"{where}.{names.label}", names.label_as_text)
            ingress = rate(told[names.ingress], f"{where}.{names.ingress}")
            egress = rate(told[names.egress], f"{where}.{names.egress}")
            end = End(Circuit(name, label), TrafficFlow(ingress, egress))
        ends.append(end)
    found = Segment(ends)
    try:
        found.check(path)
    except SegmentInvalid as error:
        raise evolve(error, path=translate(error.path, names)) from None
    return found


def constraints(value: Any, path: str = "constraints") -> Constraints:
    """Return what `{"avoid-trunks", "avoid-networks", "pass-trunks", "pass-networks", "max-delay"}` asks for, or null.

    Names in lists; the delay is in milliseconds.
    """
    if value is None:
        return FREE
    asked = table(value, path, (*_NAMED, "max-delay"))
    named = {
        name.replace("-", "_"): [
            text(item, f"{path}.{name}[{i}]") for i, item in enumerate(array(asked[name], f"{path}.{name}"))
        ]
        for name in _NAMED
        if asked.get(name) is not None
    }
    greatest = asked.get("max-delay")
    return Constraints(**named, max_delay=None if greatest is None else delay(greatest, f"{path}.max-delay"))


def definition(value: Any, names: Names) -> Segment:
    """Return the segment of the body `{"segment": [...]}`; `/api/v1` also has `"constraints"`."""
    known = ("segment", "constraints") if names is V1 else ("segment",)
    body = table(value, "", known, ("segment",))
    return _constrained(segment(body["segment"], names), body.get("constraints"))


def _constrained(found: Segment, value: Any) -> Segment:
    if value is None:
        return found
    way = constraints(value)
    way.check()
    return evolve(found, constraints=way)


@frozen
class Asked:
    """What the body of a define or prepare asks for; without *wait* the answer is given as soon as the wish is kept."""

    segment: Segment
    wait: bool


def asked(value: Any) -> Asked:
    """Return what `{"segment": [...], "constraints"?, "wait"?}` asks for."""
    body = table(value, "", ("segment", "constraints", "wait"), ("segment",))
    wait = body.get("wait")
    found = _constrained(segment(body["segment"], V1), body.get("constraints"))
    return Asked(found, True if wait is None else truth(wait, "wait"))


@frozen
class Wanted:
    """What the body of a new service asks for."""

    handle: str | None
    segment: Segment | None
    activate: bool


def handle_of(value: Any) -> str | None:
    """Return a service's handle, or None for null."""
    if value is not None and (not 1 <= len(text(value, "handle")) <= MAX_HANDLE or CONTROL.search(value)):
        raise BadArgument(
            "handle", f"expected a text of 1 to {MAX_HANDLE} characters, none of them a control character"
        )
    return None if value is None else str(value)


def wanted(value: Any) -> Wanted:
    """Return what `{"handle"?, "segment"?, "constraints"?, "activate"?}` asks for; null counts as left out."""
    body = table(value, "", ("handle", "segment", "constraints", "activate"))
    handle, ends, activate = body.get("handle"), body.get("segment"), body.get("activate")
    if ends is None and body.get("constraints") is not None:
        raise BadArgument("segment", "the field is missing: there are constraints on it")
    return Wanted(
        handle_of(handle),
        None if ends is None else _constrained(segment(ends, V1), body.get("constraints")),
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


def quiet(query: Mapping[str, str | list[str]]) -> int:
    """Return the milliseconds between comment lines that a query asks for."""
    millis = single(query, "quiet-millis")
    found = DEFAULT_QUIET if millis is None else digits(millis)
    if found is None or not MIN_QUIET <= found <= MAX_QUIET:
        raise BadArgument(
            "quiet-millis", f"expected a whole number from {MIN_QUIET} to {MAX_QUIET}, got {kind(millis)}"
        )
    return found
