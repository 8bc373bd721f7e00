"""Settings: where their values come from, and whether they are what their reader takes.

Shared by the configuration file and by the plugins that it names.

Keys are written with hyphens in files and with underscores in Python; both are understood. A value is never
shown in a fault, only its type: it may be a secret.
"""

from __future__ import annotations

import difflib
import inspect
import os
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from dpb_framework.errors import ConfigInvalid

_WORDS: dict[type, str] = {
    str: "text",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    type(None): "nothing",
}


def nearest(name: str, known: Collection[str]) -> str:
    """Return a hint for somebody who wrote *name*: `; did you mean 'x'?`, or what there is."""
    close = difflib.get_close_matches(name, known, 1, 0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(sorted(known))}" if known else ""


def check_keys(table: Mapping[str, Any], known: Collection[str], path: str) -> None:
    """Raise `ConfigInvalid` at the first key of *table* that is not *known*, naming the nearest one."""
    for key in table:
        if key not in known:
            raise ConfigInvalid(f"{path}.{key}", f"unknown key{nearest(key, known)}")


def check_type(value: object, wanted: Any, path: str) -> None:
    """Raise `ConfigInvalid` at *path* unless *value* is of the annotated type *wanted*; nothing is coerced.

    Understood are str, int, float (an integer will do), bool, list, dict, lists and tables of these, `Literal`, and
    unions of all that; of other annotations nothing is demanded.
    """
    if _fits(value, wanted):
        return
    choices = _choices(wanted)
    if any(type(value) is type(choice) for choice in choices):
        known = [str(choice) for choice in choices]
        raise ConfigInvalid(path, f"{str(value)[:60]!r} is not one of the choices{nearest(str(value), known)}")
    raise ConfigInvalid(path, f"expected {_describe(wanted)}, got {_word(type(value))}")


def check_call(call: Callable[..., Any], settings: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return *settings* as keyword arguments for *call*, or raise `ConfigInvalid` at `path.key`.

    Faults are a key that *call* has no parameter for, a parameter without default that has no key, and a value that
    is not of the parameter's annotated type.
    """
    parameters = list(inspect.signature(call).parameters.values())
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    known = [name.replace("_", "-") for name in named]
    hints = _hints(call)
    arguments: dict[str, Any] = {}
    for key, value in settings.items():
        name = key.replace("-", "_")
        if name not in named and not takes_any:
            raise ConfigInvalid(f"{path}.{key}", f"unknown setting{nearest(key, known) or '; it takes none'}")
        if name in arguments:
            raise ConfigInvalid(f"{path}.{key}", "given twice, with a hyphen and with an underscore")
        if name in hints:
            check_type(value, hints[name], f"{path}.{key}")
        arguments[name] = value
    for name, parameter in named.items():
        if parameter.default is parameter.empty and name not in arguments:
            raise ConfigInvalid(f"{path}.{name.replace('_', '-')}", "this setting is needed and not there")
    return arguments


def resolve(value: Any, path: str, folder: Path) -> Any:
    """Replace what *value* holds elsewhere: in a file, in the environment, beside the configuration.

    `{ file = "…" }` becomes the file's text without the white space around it, `{ env = "NAME" }` the variable's value,
    `{ path = "…" }` an absolute path; relative ones begin in *folder*. `ConfigInvalid` at *path* when it is not there.
    """
    if isinstance(value, list):
        return [resolve(item, f"{path}[{i}]", folder) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (key, name), *_ = value.items()
        if key in _SOURCES and isinstance(name, str):
            return _SOURCES[key](name, path, folder)
    elif value and value.keys() <= _SOURCES.keys():
        raise ConfigInvalid(path, f"expected one of {', '.join(_SOURCES)}, got {' and '.join(value)}")
    return {key: resolve(item, f"{path}.{key}", folder) for key, item in value.items()}


def _from_file(name: str, path: str, folder: Path) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigInvalid(path, f"file {name!r} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigInvalid(path, f"file {name!r} is no UTF-8 text, or no name of a file") from error


def _from_environment(name: str, path: str, _: Path) -> str:
    if name not in os.environ:
        raise ConfigInvalid(path, f"the environment has no variable {name!r}")
    return os.environ[name]


def _absolute(name: str, _: str, folder: Path) -> str:
    return str(folder / name)


_SOURCES = {"file": _from_file, "env": _from_environment, "path": _absolute}


def _hints(call: Callable[..., Any]) -> dict[str, Any]:
    # The constructor, for its signature only.
    target = call.__init__ if isinstance(call, type) else call  # type: ignore[misc]
    try:
        return typing.get_type_hints(target)
    except (NameError, TypeError, AttributeError):
        # Annotations that only a type checker can resolve: then the constructor's own checks must do.
        return {}


def _fits(value: object, wanted: Any) -> bool:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, choice) for choice in arguments)
    if origin is typing.Literal:
        return any(type(value) is type(choice) and value == choice for choice in arguments)
    if wanted is float:
        return type(value) in (int, float)
    if wanted in (str, int, bool, type(None)):
        return type(value) is wanted
    kind = origin or wanted
    if kind in (list, tuple, Sequence):
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value if arguments)
    if kind in (dict, Mapping):
        return isinstance(value, dict) and all(_fits(item, arguments[-1]) for item in value.values() if arguments)
    return True


def _choices(wanted: Any) -> tuple[Any, ...]:
    if typing.get_origin(wanted) is typing.Literal:
        return typing.get_args(wanted)
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return tuple(choice for part in typing.get_args(wanted) for choice in _choices(part))
    return ()


def _describe(wanted: Any) -> str:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        # TOML has no null: whoever writes a file cannot give None, so it is not offered.
        return " or ".join(_describe(choice) for choice in arguments if choice is not type(None))
    if origin is typing.Literal:
        return "one of " + ", ".join(map(repr, arguments))
    kind = origin or wanted
    if kind in (list, tuple, Sequence):
        return f"a list, each item {_describe(arguments[0])}" if arguments else "a list"
    if kind in (dict, Mapping):
        return "a table"
    return _word(kind)


def _word(kind: Any) -> str:
    return _WORDS.get(kind) or f"a {getattr(kind, '__name__', kind)}"
