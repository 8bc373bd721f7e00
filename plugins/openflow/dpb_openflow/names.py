"""Names of an OpenFlow switch's interfaces, and the circuits that their channels are. Pure.

| name | also written | label of a channel | circuit |
|---|---|---|---|
| `3` | `phys3`, `phys.3` | VLAN id, 1 to 4094 | `[3, label]` |
| `3x2` | `phys.3x2` | 24 bits: outer tag above, inner tag below, each 1 to 4094 | `[3, outer, inner]` |
| `3.100` | `phys.3.100` | inner VLAN id, 1 to 4094 | `[3, 100, label]` |
| `phys` | | the port's number | `[label]`: the port as a whole |

A circuit is what the application calls so: a port, a port and an outer tag, or a port and two tags. It takes every
frame that begins like it, so of two circuits that overlap one is the beginning of the other. Label 0 is none: a port
without encapsulation takes tagged frames too, and would overlap every other label of its interface; it is written
`phys:3`.
"""

from __future__ import annotations

import re
from enum import Enum

from attrs import frozen

from dpb_framework.contracts import Channel
from dpb_framework.errors import InterfaceInvalid
from dpb_framework.model import MAX_LABEL

OfCircuit = tuple[int, ...]
"""A port's number, then at most two VLAN ids, the outer one first."""

MAX_PORT = 0xFFFFFF00
"""The greatest number of an OpenFlow port."""

MAX_TAG = 4094
"""The greatest VLAN id."""

_FIRST_DOUBLE = 1 << 12 | 1
_LAST_DOUBLE = MAX_TAG << 12 | MAX_TAG

_NAME = re.compile(r"(?:phys\.?)?([0-9]+)(?:(x2)|\.([0-9]+))?", re.ASCII)


class Tagging(Enum):
    """What the label of a channel stands for."""

    NONE = "none"
    SINGLE = "single"
    DOUBLE = "double"
    INNER = "inner"


@frozen
class Interface:
    """An interface that was understood. `port` is 0 for `phys`, `outer` is 0 but for an interface inside a tag."""

    name: str
    tagging: Tagging
    port: int = 0
    outer: int = 0

    @property
    def labels(self) -> tuple[int, int]:
        """The first and last label. Of two tags some between them are none: those with a tag of 0 or 4095."""
        if self.tagging is Tagging.NONE:
            return 1, MAX_LABEL
        return (_FIRST_DOUBLE, _LAST_DOUBLE) if self.tagging is Tagging.DOUBLE else (1, MAX_TAG)

    @property
    def domain(self) -> str:
        """The port's number; empty for `phys`, which reaches over all of them."""
        return str(self.port) if self.port else ""

    def circuit(self, label: int) -> OfCircuit:
        """Return the circuit of a channel. The label is not checked."""
        if self.tagging is Tagging.NONE:
            return (label,)
        if self.tagging is Tagging.SINGLE:
            return self.port, label
        if self.tagging is Tagging.DOUBLE:
            return self.port, label >> 12, label & 0xFFF
        return self.port, self.outer, label

    def fault(self, label: int) -> str | None:
        """Return what is wrong with a label, or None."""
        first, last = self.labels
        if not first <= label <= last:
            return f"label {label} of interface {self.name!r} lies outside {first} to {last}"
        if self.tagging is Tagging.DOUBLE and not 1 <= label & 0xFFF <= MAX_TAG:
            tags = f"outer tag {label >> 12}, inner tag {label & 0xFFF}"
            return f"label {label} of interface {self.name!r} is {tags}; a tag lies between 1 and {MAX_TAG}"
        return None


_PHYS = Interface("phys", Tagging.NONE)


def parse(text: str, where: str) -> Interface:
    """Return the interface called *text*; `InterfaceInvalid` (of fabric *where*) tells what is wrong with it."""
    if not isinstance(text, str):
        raise InterfaceInvalid(where, repr(text)[:100], "a name is text")
    stripped = text.strip()
    if stripped == "phys":
        return _PHYS
    match = _NAME.fullmatch(stripped)
    if match is None:
        problem = "expected a port's number such as 3, or 3x2 (two tags), 3.100 (inside tag 100), phys (whole ports)"
        raise InterfaceInvalid(where, text[:100], problem)
    digits, double, tag = match.groups()
    port = _number(digits, MAX_PORT)
    if port is None:
        raise InterfaceInvalid(where, text[:100], f"a port's number lies between 1 and {MAX_PORT}")
    if double:
        return Interface(f"{port}x2", Tagging.DOUBLE, port)
    if tag is None:
        return Interface(str(port), Tagging.SINGLE, port)
    outer = _number(tag, MAX_TAG)
    if outer is None:
        raise InterfaceInvalid(where, text[:100], f"a VLAN id lies between 1 and {MAX_TAG}")
    return Interface(f"{port}.{outer}", Tagging.INNER, port, outer)


def _number(digits: str, greatest: int) -> int | None:
    digits = digits.lstrip("0")
    # Digits are counted first: a number of a million digits takes its time.
    if not digits or len(digits) > len(str(greatest)) or int(digits) > greatest:
        return None
    return int(digits)


def overlap(one: OfCircuit, other: OfCircuit) -> bool:
    """Whether some frame belongs to both circuits."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


class Names:
    """The names of one switch: understood once, remembered, and found again for circuits. Thread-safe."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._known: dict[str, Interface] = {}
        self._given: dict[OfCircuit, Channel] = {}

    def parse(self, text: str) -> Interface:
        """Return the interface called *text*, in whatever form; `InterfaceInvalid`."""
        known = self._known.get(text)
        if known is not None:
            return known
        parsed = parse(text, self._where)
        return self._known.setdefault(parsed.name, parsed)

    def circuit(self, channel: Channel) -> OfCircuit:
        """Return the circuit of a channel. The label is not checked."""
        return self.parse(channel.interface).circuit(channel.label)

    def give(self, channel: Channel) -> OfCircuit:
        """Return the circuit of a channel that is about to be used, and remember by which name it goes."""
        circuit = self.circuit(channel)
        if len(circuit) == 3:
            self._given[circuit] = channel
        return circuit

    def channel(self, circuit: OfCircuit) -> Channel:
        """Return the channel of a circuit.

        Two tags have two names (`3x2` and `3.100`): the one that was used last, else `3.100` if there is an interface
        of that name, else `3x2`.
        """
        if len(circuit) == 1:
            return Channel("phys", circuit[0])
        if len(circuit) == 2:
            return Channel(str(circuit[0]), circuit[1])
        port, outer, inner = circuit
        given = self._given.get(circuit)
        if given is not None:
            return given
        inside = f"{port}.{outer}"
        return Channel(inside, inner) if inside in self._known else Channel(f"{port}x2", outer << 12 | inner)

    def keep_only(self, circuits: set[OfCircuit]) -> None:
        """Forget by which names other circuits went."""
        self._given = {circuit: channel for circuit, channel in self._given.copy().items() if circuit in circuits}
