"""Model and plain data: the one converter.

`plain` turns a frozen value into what JSON knows (dict, list, str, int, float, bool, None), `build` makes the value
again. Nothing is coerced and nothing is lost: what `plain` gives, `build` understands, as an equal value; what either
does not understand is a fault with its path. Understood are attrs classes (an object with all fields by name),
enumerations (by value), `str`, `int`, `float`, `bool`, `X | None`, tuples (lists), mappings with text as keys, and
`Any` for plain data.
"""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, overload

import attrs
from cattrs import AttributeValidationNote, ClassValidationError, Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from dpb_framework.errors import BadArgument, ConfigInvalid, DpbError
from dpb_framework.settings import nearest

T = TypeVar("T")
_SCALARS = frozenset({str, int, bool})
Reader: typing.TypeAlias = Callable[[Any, Any], Any]
Writer: typing.TypeAlias = Callable[[Any], Any]

_WORDS: dict[Any, str] = {str: "text", int: "an integer", float: "a number with a point", bool: "true or false"}
_PLAIN_STEP = re.compile(r"[^\W\d][\w-]*")


def plain(value: object) -> Any:
    """Return *value* as plain data that shares nothing with it.

    `BadArgument` at its path for what could not be read again: a scalar of another type than its field's, an object of
    a subclass where its parent is declared (its own fields would be lost), what is no plain data in a field of such.
    `TypeError` for a class with fields of kinds that are not understood.
    """
    try:
        return _converter().unstructure(value)
    except _Wrong as wrong:
        raise BadArgument("$" + wrong.path, wrong.problem) from None
    except RecursionError:
        raise BadArgument("$", "nested too deeply") from None


@overload
def build(kind: type[T], data: object, path: str = "$") -> T: ...
@overload
def build(kind: Any, data: object, path: str = "$") -> Any: ...
def build(kind: Any, data: object, path: str = "$") -> Any:
    """Return the value of *kind* (a class, or an annotation such as `tuple[int, ...]`) that *data* describes.

    *path* is where *data* stands in its document, and how the paths of faults begin. `ConfigInvalid` for the first
    fault: a missing or unknown key, a value of another type, and whatever the class itself refuses. Fields with
    defaults may not be left out either: half an object is a damaged one. `TypeError` as with `plain`.
    """
    try:
        return _converter().structure(data, kind)
    except _Wrong as wrong:
        raise ConfigInvalid(path + wrong.path, wrong.problem) from None
    except RecursionError:
        raise ConfigInvalid(path, "nested too deeply") from None


class _Wrong(Exception):
    """A fault, and the way to it from where it is caught."""

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(problem, path)
        self.problem = problem
        self.path = path

    def within(self, step: str | int) -> _Wrong:
        """The same fault, seen from outside of *step*."""
        if isinstance(step, int):
            return _Wrong(self.problem, f"[{step}]{self.path}")
        return _Wrong(self.problem, (f".{step}" if _PLAIN_STEP.fullmatch(step) else f"[{step!r}]") + self.path)


@cache
def _converter() -> Converter:
    """Make the converter, when it is first needed.

    Hooks are made for each class when it is first met, so that classes of plugins loaded later are known as well as
    ours.
    """
    converter = Converter()
    # One factory each for everything: cattrs' own hooks coerce, and let through what they do not know.
    converter.register_structure_hook_factory(lambda _: True, lambda kind: _reader(kind, converter))
    converter.register_unstructure_hook_factory(lambda _: True, lambda kind: _writer(kind, converter))
    # For these and their subclasses (enumerations of text among them) cattrs looks at its own hooks first.
    for kind in (str, bytes, int, float, Path):
        converter.register_structure_hook(kind, lambda data, kind: _scalar_reader(kind)(data, kind))
    converter.register_unstructure_hook(
        str, lambda value: value.value if isinstance(value, Enum) else _exact(value, str)
    )
    converter.register_unstructure_hook(bytes, lambda value: _scalar_writer(bytes)(value))
    converter.register_unstructure_hook(Path, lambda value: _scalar_writer(Path)(value))
    return converter


# -- plain data to values -----------------------------------------------------------------------


def _reader(kind: Any, converter: Converter) -> Reader:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return lambda data, _: _data(data)
    if attrs.has(kind):
        return _class_reader(kind, converter)
    if (inner := _optional(kind)) is not None:
        return lambda data, _: None if data is None else converter.structure(data, inner)
    if origin is tuple and parts[1:] == (Ellipsis,):
        return lambda data, _: tuple(_each(enumerate(_list(data)), lambda item: converter.structure(item, parts[0])))
    if origin is tuple:
        return lambda data, _: _row(data, parts, converter)
    if _is_table(kind):
        return lambda data, _: _table(data, lambda item: converter.structure(item, parts[1]))
    return _scalar_reader(kind)


@cache
def _scalar_reader(kind: Any) -> Reader:
    if kind in _WORDS:
        return lambda data, _: _exact(data, kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        members = {(type(member.value), member.value): member for member in kind}
        choices = ", ".join(repr(member.value) for member in kind)

        def read(data: Any, _: Any) -> Any:
            member = members.get((type(data), data)) if type(data) in _WORDS else None
            if member is None:
                raise _Wrong(f"expected one of {choices}, got {_shown(data)}")
            return member

        return read
    raise TypeError(f"the converter does not understand {kind!r}; give the field a kind that it does")


def _class_reader(kind: Any, converter: Converter) -> Reader:
    attrs.resolve_types(kind)
    names = tuple(field.name for field in attrs.fields(kind) if field.init)
    try:
        make = make_dict_structure_fn(kind, converter, _cattrs_detailed_validation=True)
    except TypeError as error:
        raise TypeError(f"{kind.__qualname__}: {error}") from None

    def read(data: Any, _: Any) -> Any:
        if type(data) is not dict:
            raise _Wrong(f"expected an object, got {_shown(data)}")
        if data.keys() != set(names):
            _refuse_keys(data, names)
        try:
            return make(data, kind)
        except ClassValidationError as group:
            error = group.exceptions[0]
            notes = getattr(error, "__notes__", ())
            name = next((note.name for note in notes if isinstance(note, AttributeValidationNote)), None)
            if name is not None and isinstance(error, _Wrong):
                raise error.within(name) from None
            if name is None and isinstance(error, ValueError | TypeError | DpbError):
                raise _Wrong(f"{kind.__name__} refuses it: {' '.join(str(error).split())[:300]}") from error
            raise error from None

    return read


def _refuse_keys(data: Mapping[Any, Any], names: tuple[str, ...]) -> None:
    for key in data:
        if key not in names:
            raise _Wrong(f"unknown key{nearest(str(key), names)}").within(str(key))
    raise _Wrong("this key is needed and not there").within(next(name for name in names if name not in data))


def _row(data: Any, kinds: tuple[Any, ...], converter: Converter) -> tuple[Any, ...]:
    if _are_scalars(_list(data), kinds):
        return tuple(data)
    if len(data) != len(kinds):
        raise _Wrong(f"expected a list of {len(kinds)}, got {len(data)}")
    pairs = ((i, (item, kind)) for i, (item, kind) in enumerate(zip(data, kinds, strict=True)))
    return tuple(_each(pairs, lambda pair: converter.structure(*pair)))


def _list(data: Any) -> list[Any]:
    if type(data) is not list:
        raise _Wrong(f"expected a list, got {_shown(data)}")
    return data


# -- values to plain data -----------------------------------------------------------------------


def _writer(kind: Any, converter: Converter) -> Writer:
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind in (dict, list, tuple, types.NoneType):
        return _data
    if attrs.has(kind):
        return _class_writer(kind, converter)
    if (inner := _optional(kind)) is not None:
        return lambda value: None if value is None else converter.unstructure(value, inner)
    if origin is tuple and parts[1:] == (Ellipsis,):
        return lambda value: _each(enumerate(_tuple(value)), lambda item: converter.unstructure(item, parts[0]))
    if origin is tuple:
        return lambda value: _write_row(value, parts, converter)
    if _is_table(kind):
        return lambda value: _table(value, lambda item: converter.unstructure(item, parts[1]))
    return _scalar_writer(kind)


@cache
def _scalar_writer(kind: Any) -> Writer:
    if kind in _WORDS:
        return lambda value: _exact(value, kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return lambda value: _instance(value, kind).value
    raise TypeError(f"the converter does not understand {kind!r}; give the field a kind that it does")


def _class_writer(kind: Any, converter: Converter) -> Writer:
    attrs.resolve_types(kind)
    for field in attrs.fields(kind):
        _know_enumerations(field.type, converter)
    try:
        write = make_dict_unstructure_fn(kind, converter)
    except TypeError as error:
        raise TypeError(f"{kind.__qualname__}: {error}") from None

    def checked(value: Any) -> Any:
        _instance(value, kind)
        try:
            return write(value)
        except _Wrong:
            # What cattrs generates does not tell where it was.
            for field in attrs.fields(kind):
                try:
                    converter.unstructure(getattr(value, field.name), field.type)
                except _Wrong as wrong:
                    raise wrong.within(field.name) from None
            raise

    return checked


def _know_enumerations(kind: Any, converter: Converter) -> None:
    """Give each enumeration its own hook: to cattrs one of texts is a text, and any text would do in its place."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        converter.register_unstructure_hook(kind, _scalar_writer(kind))
    for part in typing.get_args(kind):
        _know_enumerations(part, converter)


def _write_row(value: Any, kinds: tuple[Any, ...], converter: Converter) -> list[Any]:
    if _are_scalars(_tuple(value), kinds):
        return [*value]
    if len(value) != len(kinds):
        raise _Wrong(f"expected a tuple of {len(kinds)}, got {len(value)}")
    pairs = ((i, (item, kind)) for i, (item, kind) in enumerate(zip(value, kinds, strict=True)))
    return _each(pairs, lambda pair: converter.unstructure(*pair))


def _tuple(value: Any) -> Any:
    # A list in a tuple's place is as good: either comes back as a tuple.
    if not isinstance(value, tuple | list):
        raise _Wrong(f"expected a tuple, got {_shown(value)}")
    return value


def _instance(value: Any, kind: Any) -> Any:
    if type(value) is kind:
        return value
    if isinstance(value, kind):
        # Its parent's hook knows nothing of its fields; it would come back as a parent, and nobody would have noticed.
        raise _Wrong(f"{type(value).__name__} is a subclass of {kind.__name__}, whose place cannot hold its fields")
    raise _Wrong(f"expected {kind.__name__}, got {_shown(value)}")


# -- both ways ----------------------------------------------------------------------------------


def _each(steps: Iterable[tuple[str | int, Any]], convert: Callable[[Any], Any]) -> list[Any]:
    converted = []
    for step, item in steps:
        try:
            converted.append(convert(item))
        except _Wrong as wrong:
            raise wrong.within(step) from None
    return converted


def _are_scalars(values: Iterable[Any], kinds: tuple[Any, ...]) -> bool:
    """Whether nothing is to be done to a row but to copy it: rows of scalars come by the thousand."""
    return _SCALARS.issuperset(kinds) and tuple(map(type, values)) == kinds


def _table(value: Any, convert: Callable[[Any], Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _Wrong(f"expected an object, got {_shown(value)}")
    for key in value:
        if type(key) is not str:
            raise _Wrong(f"expected text as a key, got {_shown(key)}")
    return dict(zip(value, _each(value.items(), convert), strict=True))


def _data(value: Any) -> Any:
    """Return a copy of plain data; tuples become lists, enumerations their values, as they would in JSON."""
    if value is None or type(value) in _SCALARS:
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise _Wrong(f"expected a finite number, got {value}")
        return value
    if isinstance(value, Enum):
        return _data(value.value)
    if isinstance(value, list | tuple):
        return _each(enumerate(value), _data)
    if isinstance(value, Mapping):
        return _table(value, _data)
    raise _Wrong(f"{type(value).__name__} is no plain data")


def _exact(value: Any, kind: Any) -> Any:
    if type(value) is not kind:
        raise _Wrong(f"expected {_WORDS[kind]}, got {_shown(value)}")
    if kind is float and not math.isfinite(value):
        raise _Wrong(f"expected a finite number, got {value}")
    return value


def _is_table(kind: Any) -> bool:
    origin = typing.get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping) and typing.get_args(kind)[0] is str


def _optional(kind: Any) -> Any:
    """Return X of `X | None`; None for everything else."""
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return None
    choices = [choice for choice in typing.get_args(kind) if choice is not types.NoneType]
    return choices[0] if len(choices) == 1 else None


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}..."
