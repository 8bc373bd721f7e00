"""Names of a Corsa switch's interfaces, and the circuits that their channels are. Pure.

| name | also written | label of a channel | circuit |
|---|---|---|---|
| `3` | `phys3`, `phys.3` | C-tag, 1 to 4094 | port 3, tag |
| `3x2` | `phys3x2`, `phys.3x2` | 24 bits: S-tag above, C-tag below, each 1 to 4094 | port 3, S-tag, C-tag |
| `3.100` | `phys3.100`, `phys.3.100` | C-tag inside S-tag 100, 1 to 4094 | port 3, S-tag 100, C-tag |
| `phys` | | the port's number | the port as a whole |

`lag4`, `lag.4`, `lag4x2`, `lag4.200` and `lag` are the same of link aggregation groups. Of two circuits that overlap
one is the beginning of the other: an attachment without a tag takes all frames of its port, and one with a C-tag cannot
be told from one whose outer tag that is (the switch knows pairs of two C-tags, too).
"""

from __future__ import annotations

import re
from enum import Enum

from attrs import frozen

from dpb_framework.contracts import Channel
from dpb_framework.errors import InterfaceInvalid

MAX_PORT = 999
"""The greatest number of a port or link aggregation group that is believed."""

MAX_TAG = 4094
"""The greatest VLAN id."""

_FIRST_DOUBLE = 1 << 12 | 1
_LAST_DOUBLE = MAX_TAG << 12 | MAX_TAG

_NAME = re.compile(r"(phys\.?|lag\.?)?([0-9]+)(?:(x2)|\.([0-9]+))?", re.ASCII)


@frozen(order=True)
class Circuit:
    """A port as the switch calls it (`3`, `lag4`), then at most two VLAN ids, the outer one first."""

    port: str
    tags: tuple[int, ...] = ()

    def overlaps(self, other: Circuit) -> bool:
        """Whether some frame could belong to both."""
        shared = min(len(self.tags), len(other.tags))
        return self.port == other.port and self.tags[:shared] == other.tags[:shared]


class Form(Enum):
    """What the label of a channel stands for; the value is how it is written in a tunnel's description."""

    WHOLE = "p"
    SINGLE = "c"
    DOUBLE = "d"
    INNER = "i"


@frozen
class Interface:
    """An interface that was understood. `kind` is empty or `lag`; `port` is 0 for `phys` and `lag` themselves."""

    name: str
    form: Form
    kind: str
    port: int = 0
    outer: int = 0

    @property
    def labels(self) -> tuple[int, int]:
        """The first and last label. Of two tags some between them are none: those with a tag of 0 or 4095."""
        if self.form is Form.WHOLE:
            return 1, MAX_PORT
        return (_FIRST_DOUBLE, _LAST_DOUBLE) if self.form is Form.DOUBLE else (1, MAX_TAG)

    @property
    def domain(self) -> str:
        """The port; empty for `phys` and `lag`, which reach over all of them."""
        return f"{self.kind}{self.port}" if self.port else ""

    def circuit(self, label: int) -> Circuit:
        """Return the circuit of a channel. The label is not checked."""
        if self.form is Form.WHOLE:
            return Circuit(f"{self.kind}{label}")
        if self.form is Form.SINGLE:
            return Circuit(self.domain, (label,))
        if self.form is Form.DOUBLE:
            return Circuit(self.domain, (label >> 12, label & 0xFFF))
        return Circuit(self.domain, (self.outer, label))

    def fault(self, label: int) -> str | None:
        """Return what is wrong with a label, or None."""
        first, last = self.labels
        if not first <= label <= last:
            return f"label {label} of interface {self.name!r} lies outside {first} to {last}"
        if self.form is Form.DOUBLE and not 1 <= label & 0xFFF <= MAX_TAG:
            tags = f"S-tag {label >> 12}, C-tag {label & 0xFFF}"
            return f"label {label} of interface {self.name!r} is {tags}; a tag lies between 1 and {MAX_TAG}"
        return None


_WHOLE = {"phys": Interface("phys", Form.WHOLE, ""), "lag": Interface("lag", Form.WHOLE, "lag")}


def parse(text: str, where: str) -> Interface:
    """Return the interface called *text*; `InterfaceInvalid` (of fabric *where*) tells what is wrong with it."""
    if not isinstance(text, str):
        raise InterfaceInvalid(where, repr(text)[:100], "a name is text")
    stripped = text.strip()
    if stripped in _WHOLE:
        return _WHOLE[stripped]
    match = _NAME.fullmatch(stripped)
    if match is None:
        problem = (
            "expected a port such as 3 or lag4, or 3x2 (S-tag and C-tag), 3.100 (inside S-tag 100), phys or lag"
            " (whole ports)"
        )
        raise InterfaceInvalid(where, text[:100], problem)
    word, digits, double, tag = match.groups()
    kind = "lag" if word and word.startswith("lag") else ""
    port = _number(digits, MAX_PORT)
    if port is None:
        raise InterfaceInvalid(where, text[:100], f"a port's number lies between 1 and {MAX_PORT}")
    if double:
        return Interface(f"{kind}{port}x2", Form.DOUBLE, kind, port)
    if tag is None:
        return Interface(f"{kind}{port}", Form.SINGLE, kind, port)
    outer = _number(tag, MAX_TAG)
    if outer is None:
        raise InterfaceInvalid(where, text[:100], f"a VLAN id lies between 1 and {MAX_TAG}")
    return Interface(f"{kind}{port}.{outer}", Form.INNER, kind, port, outer)


def _number(digits: str, greatest: int) -> int | None:
    digits = digits.lstrip("0")
    # Digits are counted first: a number of a million digits takes its time.
    if not digits or len(digits) > len(str(greatest)) or int(digits) > greatest:
        return None
    return int(digits)


def channel_of(circuit: Circuit, form: Form) -> Channel:
    """Return the channel that a circuit was given as; `ValueError` when it cannot have been."""
    port, tags = circuit.port, circuit.tags
    kind = "lag" if port.startswith("lag") else ""
    number = port.removeprefix("lag")
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f"{port!r} is no port"[:100])
    if form is Form.WHOLE and not tags:
        return Channel(kind or "phys", int(number))
    if form is Form.SINGLE and len(tags) == 1:
        return Channel(port, tags[0])
    if form is Form.DOUBLE and len(tags) == 2:
        return Channel(f"{port}x2", tags[0] << 12 | tags[1])
    if form is Form.INNER and len(tags) == 2:
        return Channel(f"{port}.{tags[0]}", tags[1])
    raise ValueError(f"{len(tags)} tags do not fit the form {form.value}")
