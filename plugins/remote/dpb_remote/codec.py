"""The other broker's JSON -> values of the model, and back. Pure: what does not fit is a `Garbled`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final, TypeVar

import attrs

from dpb_framework import errors
from dpb_framework.errors import BadArgument, DpbError, Remembered
from dpb_framework.model import (
    FREE,
    Change,
    Chord,
    Circuit,
    Condition,
    Constraints,
    Desired,
    End,
    Fault,
    Fragment,
    NetworkModel,
    Segment,
    ServiceView,
    Status,
    Step,
    StepImpossible,
    TrafficFlow,
    check_name,
    kbps,
    mbps,
)

T = TypeVar("T")
Plain = dict[str, Any]

_KINDS: Final[Mapping[str, type[DpbError]]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DpbError) and kind not in (DpbError, Remembered)
}
# Members are found like their texts, and quicker than by a call of the class.
_STATUSES: Final = {status: status for status in Status}
_DESIRED: Final = {desired: desired for desired in Desired}
_CHANGES: Final = {change: change for change in Change}
_WORDS: Final = {"terminal": "terminal-name", "ingress": "ingress-bw", "egress": "egress-bw"}
_NAMED: Final = ("avoid_trunks", "avoid_networks", "pass_trunks", "pass_networks")
_LARGEST: Final = 10**18
"""What a rate or delay of a chord is at the most: a thousand times what stands for no bound."""
_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_SHAPE: Final = frozenset({"type", "title", "status", "code", "detail", "field"})


class Garbled(Exception):
    """The other side answers, but not as a broker does."""


def read(written: bytes) -> Any:
    """Return what a JSON text says. Floats have the shortest text that means them, which `kbps` takes exactly."""
    try:
        told = written.decode()
        try:
            found, end = _decoder.raw_decode(told)
        except ValueError:
            end = -1
        if end != len(told):  # white space around it, or no JSON
            found = _decoder.decode(told)
        if b"\\u" in written and _HALF.search(written):
            write(found)  # half a character, which JSON can name, is no text: it could be neither kept nor told
        return found
    except (ValueError, RecursionError) as error:
        raise Garbled("it is no JSON") from error


def write(plain: Any) -> bytes:
    """Return plain data as JSON."""
    return _encode(plain).encode()


# Made once: the functions of `json` look at the coding of each text, and make an encoder for each.
_decoder: Final = json.JSONDecoder()
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def understood(make: Callable[..., T], *data: Any) -> T:
    """Return what *make* makes of *data*; `Garbled` when that is not what was expected."""
    try:
        return make(*data)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, BadArgument) as error:
        told = " ".join(str(error).split())[:100]
        raise Garbled(f"it says what is not understood ({type(error).__name__}: {told})") from error


def whole(found: Any) -> int:
    """*found*, which must be a whole number: text, a float or true would pass for one, and be none where it is used."""
    if type(found) is not int:
        raise TypeError(f"expected a whole number, got a value of type {type(found).__name__}")
    return found


def text(found: Any) -> str:
    """*found*, which must be text."""
    if type(found) is not str:
        raise TypeError(f"expected text, got a value of type {type(found).__name__}")
    return found


def texts(found: Any) -> tuple[str, ...]:
    """*found*, which must be a list of texts: a text is none, though its letters are."""
    return tuple(map(text, listed(found)))


def names(found: Any) -> tuple[str, ...]:
    """*found*, which must be a list of what terminals may be called."""
    return tuple(check_name(name, "terminals") for name in listed(found))


def listed(found: Any) -> list[Any]:
    """*found*, which must be a list."""
    if type(found) is not list:
        raise TypeError(f"expected a list, got a value of type {type(found).__name__}")
    return found


def segment(found: list[Plain] | None, way: Plain | None = None) -> Segment | None:
    """SEGMENT, rates in Mbit/s, with its CONSTRAINTS."""
    if found is None:
        return None
    ends = (
        End(
            Circuit(text(end["terminal"]), _label(end["label"])),
            TrafficFlow(_rate(end["ingress"]), _rate(end["egress"])),
        )
        for end in found
    )
    return Segment(ends, constraints(way))


def _tells(found: list[Plain], known: Segment) -> bool:
    """Whether SEGMENT, without constraints, is the *known* one: services are told often, and seldom with another."""
    if known.constraints is not FREE or len(found) != len(known.ends):
        return False
    for told, end in zip(found, known.ends, strict=True):
        circuit, flow, into, out = end.circuit, end.flow, told["ingress"], told["egress"]
        if (
            told["terminal"] != circuit.terminal
            or told["label"] != circuit.label
            or (into * 1000 if type(into) is int else _rate(into)) != flow.ingress
            or (out * 1000 if type(out) is int else _rate(out)) != flow.egress
        ):
            return False
    return True


def _label(found: Any) -> int | None:
    return None if found is None else whole(found)


def _rate(found: Any) -> int:
    return found * 1000 if type(found) is int else kbps(found)


def constraints(found: Plain | None) -> Constraints:
    """What is asked of the way."""
    if not found:
        return FREE
    named = {name: texts(found.get(name.replace("_", "-")) or []) for name in _NAMED}
    greatest = found.get("max-delay")
    return Constraints(**named, max_delay=None if greatest is None else _thousandths(greatest))


def plain_definition(found: Segment) -> Plain:
    """A segment and its constraints. `BadArgument` for a rate that the other side could not even read."""
    plain: Plain = {
        "segment": [
            {
                "terminal": end.circuit.terminal,
                "label": end.circuit.label,
                "ingress": mbps(end.flow.ingress),
                "egress": mbps(end.flow.egress),
            }
            for end in found.ends
        ]
    }
    way = found.constraints
    if way:
        asked: Plain = {name.replace("_", "-"): list(getattr(way, name)) for name in _NAMED}
        plain["constraints"] = asked | {"max-delay": None if way.max_delay is None else mbps(way.max_delay)}
    return plain


def answer(line: bytes) -> tuple[int, tuple[int, Any, int]]:
    """What a line of answers says: which order it is about; status, SERVICE or problem, and moment."""
    return understood(_answer, read(line))


def _answer(found: Plain) -> tuple[int, tuple[int, Any, int]]:
    told = found["service"] if "service" in found else found["problem"]
    order, status, moment = found["order"], found["status"], found["moment"]
    if type(order) is not int or type(status) is not int or type(moment) is not int:
        raise TypeError("order, status and moment are whole numbers")
    return order, (status, told, moment)


def identity(found: Any) -> int:
    """Which service SERVICE tells of."""
    if type(found) is not dict:
        raise Garbled("it tells no service")
    if type(id_ := found.get("id")) is int:
        return id_
    return understood(lambda: whole(found["id"]))


def view(found: Plain, network: str, before: Segment | None = None) -> ServiceView:
    """SERVICE, as one of *network*; the segment that it had, or was to have, *before* is not made again."""
    fault, ends, way, conditions = found["error"], found["segment"], found.get("constraints"), found["conditions"]
    same = before is not None and way is None and ends is not None and _tells(ends, before)
    return ServiceView(
        network,
        whole(found["id"]),
        None if found["handle"] is None else text(found["handle"]),
        text(found["owner"]),
        _STATUSES[found["status"]],
        _DESIRED[found["desired"]],
        _CHANGES[found["change"]],
        before if same else segment(ends, way),
        None if fault is None else Fault(text(fault["code"]), text(fault["text"]), dict(fault["facts"])),
        () if conditions == [] else tuple(map(_condition, listed(conditions))),
    )


def _condition(found: Plain) -> Condition:
    return Condition(text(found["kind"]), text(found["where"]), text(found["text"]))


def model(found: Plain) -> NetworkModel:
    """What the network shows to a superior, who keeps it: of it nothing may be such as no network has."""
    return NetworkModel(tuple(map(_fragment, listed(found["fragments"]))))


def _fragment(found: Plain) -> Fragment:
    terminals, chords = names(found["terminals"]), found["chords"]
    there = frozenset(terminals)
    return Fragment(terminals, None if chords is None else tuple(_chord(chord, there) for chord in listed(chords)))


def _chord(found: Plain, terminals: Collection[str]) -> Chord:
    a, b = found["a"], found["b"]
    if a not in terminals or b not in terminals:
        raise ValueError("a chord joins two terminals of its fragment")
    return Chord(a, b, _thousandths(found["upstream"]), _thousandths(found["downstream"]), _thousandths(found["delay"]))


def _thousandths(found: object) -> int:
    """A rate or delay of a chord: within a switch there is no bound, so it may be beyond any that a service has."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise TypeError("no number")
    made = int(Decimal(str(found)) * 1000)
    if not 0 <= made <= _LARGEST:
        raise ValueError("a rate or delay is not negative, nor without end")
    return made


def problem(found: Any) -> DpbError | None:
    """The error that an `application/problem+json` tells of, of its own class where that can be; None for another."""
    if not isinstance(found, dict) or not isinstance(found.get("code"), str):
        return None
    facts = {name.removeprefix("fact-"): value for name, value in found.items() if name not in _SHAPE}
    field = found.get("field")
    if isinstance(field, str):
        before, dot, last = field.rpartition(".")
        facts.setdefault("path", f"{before}{dot}{_WORDS.get(last, last)}")
    return error(Fault(found["code"], str(found.get("detail") or found["code"]), facts))


def error(fault: Fault) -> DpbError:
    """The error that *fault* was; `Remembered` where this broker has none that tells just the same."""
    kind = _KINDS.get(fault.code)
    if fault.code == StepImpossible.code and {"status", "step"} == fault.facts.keys():
        with suppress(ValueError, TypeError):  # words of a newer broker
            return StepImpossible(Status(fault.facts["status"]), Step(fault.facts["step"]))
    if kind is not None:
        known = {field.name for field in attrs.fields(kind)}  # type: ignore[arg-type]  # every subclass is an attrs class
        try:
            made = kind(**{name: _frozen(value) for name, value in fault.facts.items() if name in known})
            if str(made) == fault.text:
                return made
        except Exception:  # noqa: BLE001  # facts may be of any kind: those that make no such error are only kept
            pass
    return Remembered(fault.code, fault.text, dict(fault.facts))


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
