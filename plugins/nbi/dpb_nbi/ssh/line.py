"""A line that somebody types at a terminal: what is typed, and what the terminal is to show. Pure."""

from __future__ import annotations

import codecs
from typing import Final

from attrs import define, field

from dpb_nbi.ssh import limits

_ERASE: Final = "\b \b"


@define
class Line:
    """Keys, one after the other. No history, no moving about: a prompt for a command now and then."""

    _typed: list[str] = field(factory=list)
    _decoder: codecs.IncrementalDecoder = field(factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))
    _escape: str = ""

    def keys(self, data: bytes) -> tuple[str, list[str | None]]:
        """Take what was typed; return what to show, and the lines that are whole. None among them is the end (^D)."""
        shown, lines = [], []  # type: tuple[list[str], list[str | None]]
        for key in self._decoder.decode(data):
            if self._escape or key == "\x1b":
                self._skip(key)
            elif key in "\r\n":
                lines.append("".join(self._typed))
                self._typed.clear()
                shown.append("\r\n")
            elif key == "\x04" and not self._typed:
                lines.append(None)
            elif key == "\x03":
                self._typed.clear()
                shown.append("^C\r\n")
                lines.append("")
            elif key in "\b\x7f":
                shown.append(_ERASE if self._typed and self._typed.pop() else "")
            elif key == "\x15":
                shown.append(_ERASE * len(self._typed))
                self._typed.clear()
            elif key.isprintable() and len(self._typed) < limits.MAX_COMMAND:
                self._typed.append(key)
                shown.append(key)
        return "".join(shown), lines

    def _skip(self, key: str) -> None:
        """Pass over the keys that terminals send as ESC [ ... letter, and ESC key."""
        self._escape += key
        if len(self._escape) > 1 and (self._escape[1] not in "[O" or (len(self._escape) > 2 and key.isalpha())):
            self._escape = ""
        if self._escape.endswith("~") or len(self._escape) > 16:
            self._escape = ""
