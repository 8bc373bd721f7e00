"""Names of the emulated device's interfaces, and the frames that their channels match.

| name | label of a channel | frames |
|---|---|---|
| `3` | C-tag, 1 to 4094 | of port 3 with that C-tag |
| `3x2` | 24 bits: S-tag above, C-tag below | of port 3 with both tags |
| `3.100` | C-tag, 1 to 4094 | of port 3 with S-tag 100 and that C-tag |
| `phys` | a port's number | of that port, without a tag |
| `eth0` and other text | C-tag, 1 to 4094 | of port `eth0` with that C-tag |
"""

from __future__ import annotations

import re
from enum import Enum

from attrs import frozen

from dpb_framework.contracts import Channel
from dpb_framework.errors import InterfaceInvalid
from dpb_framework.model import MAX_LABEL

Frame = tuple[str, int, int]
"""What a frame looks like at a device: port, S-tag, C-tag; -1 where it has no such tag."""

MAX_TAG = 4094
"""The greatest VLAN id."""

_NUMBERED = re.compile(r"([0-9]+)(?:(x2)|\.([0-9]+))?")
_FREE = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class Tagging(Enum):
    """What the label of a channel stands for."""

    SINGLE = "single"
    DOUBLE = "double"
    INNER = "inner"
    NONE = "none"


@frozen
class Interface:
    """An interface that was understood: canonical name, port (empty for `phys`), S-tag of an inner one, label range."""

    name: str
    port: str
    tagging: Tagging
    outer: int
    first: int
    last: int

    def frame(self, label: int) -> Frame:
        """Return the frames that a channel with this label matches; the label is not checked."""
        if self.tagging is Tagging.SINGLE:
            return self.port, -1, label
        if self.tagging is Tagging.DOUBLE:
            return self.port, label >> 12, label & 0xFFF
        if self.tagging is Tagging.INNER:
            return self.port, self.outer, label
        return str(label), -1, -1


class Names:
    """Understands the names of one device. With *ports*, only the numbers 1 to *ports* exist. Thread-safe."""

    def __init__(self, where: str, ports: int | None = None) -> None:
        self._where = where
        self._ports = ports
        self._known: dict[str, Interface] = {}

    @property
    def ports(self) -> int | None:
        """How many ports there are; None when any name exists."""
        return self._ports

    def parse(self, text: str) -> Interface:
        """Return the interface called *text*; `InterfaceInvalid` tells what is wrong with it."""
        known = self._known.get(text)
        if known is not None:
            return known
        parsed = self._parse(text)
        return self._known.setdefault(parsed.name, parsed)

    def frame(self, channel: Channel) -> Frame:
        """Return the frames that *channel* matches; the label is not checked."""
        name = channel.interface
        return (self._known.get(name) or self.parse(name)).frame(channel.label)

    def overlaps(self, one: Channel, other: Channel) -> bool:
        """Whether some frame belongs to both."""
        if one.interface == other.interface:
            return one.label == other.label
        return self.frame(one) == self.frame(other)

    def _parse(self, text: str) -> Interface:
        if not isinstance(text, str):
            raise InterfaceInvalid(self._where, repr(text)[:100], "a name is text")
        stripped = text.strip()
        if not stripped:
            raise InterfaceInvalid(self._where, text[:100], "the name is empty; give a port such as 3, or phys")
        if stripped == "phys":
            return Interface("phys", "", Tagging.NONE, -1, 1, self._ports or MAX_LABEL)
        if numbered := _NUMBERED.fullmatch(stripped):
            return self._numbered(text, *numbered.groups())
        if not _FREE.fullmatch(stripped):
            raise InterfaceInvalid(
                self._where,
                text[:100],
                "expected 1 to 128 letters, digits, '_', '.' and '-', such as 3, 3x2, 3.100, eth0",
            )
        if self._ports is not None:
            raise InterfaceInvalid(
                self._where, text[:100], f"the device has ports 1 to {self._ports}; write 3, 3x2, 3.100 or phys"
            )
        return Interface(stripped, stripped, Tagging.SINGLE, -1, 1, MAX_TAG)

    def _numbered(self, text: str, digits: str, double: str | None, tag: str | None) -> Interface:
        number = digits.lstrip("0")
        greatest = self._ports or MAX_LABEL
        if not number or len(number) > 8 or int(number) > greatest:
            raise InterfaceInvalid(self._where, text[:100], f"a port's number lies between 1 and {greatest}")
        if double:
            return Interface(f"{number}x2", number, Tagging.DOUBLE, -1, 0, MAX_LABEL)
        if tag is None:
            return Interface(number, number, Tagging.SINGLE, -1, 1, MAX_TAG)
        outer = tag.lstrip("0")
        if not outer or len(outer) > 4 or int(outer) > MAX_TAG:
            raise InterfaceInvalid(self._where, text[:100], f"an S-tag lies between 1 and {MAX_TAG}")
        return Interface(f"{number}.{outer}", number, Tagging.INNER, int(outer), 1, MAX_TAG)
