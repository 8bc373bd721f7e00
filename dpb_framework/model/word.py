"""Words of the field of which there are only so many: enumerations whose members are text."""

from __future__ import annotations

from enum import Enum


class Word(str, Enum):
    """A member is equal to its text, and hashed like it: either finds what was put under the other."""

    __hash__ = str.__hash__
