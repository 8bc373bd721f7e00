"""The decorator of the kernel's values: attrs classes with slots, hashable, and frozen.

Frozen for the type checker always; at run time where `DPB_GUARD_VALUES` is set, as in all tests. A class that guards
itself at run time stores each attribute by a call, and a define makes some two hundred values: that was an eighth of
all that a define does (ADR 0020).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import attr
import attrs

T = TypeVar("T", bound=type)

GUARDED = bool(os.environ.get("DPB_GUARD_VALUES"))
"""Whether an assignment to a value's attribute is an error at run time, too."""

if TYPE_CHECKING:
    from attrs import frozen as value
else:

    def value(maybe: T | None = None, **options: Any) -> T | Callable[[T], T]:
        """Make a value of a class; takes what `attrs.frozen` takes, and means the same."""

        def decorate(cls: T) -> T:
            if GUARDED:
                return attrs.frozen(cls, **options)
            unguarded = {"order": False, "unsafe_hash": True, "on_setattr": attrs.setters.NO_OP, **options}
            return attr.s(cls, slots=True, auto_attribs=True, auto_detect=True, collect_by_mro=True, **unguarded)

        return decorate if maybe is None else decorate(maybe)


__all__ = ["GUARDED", "value"]
