"""Signatures: whether a class can be called as its contract says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def mismatches(found: type, contract: type) -> list[str]:
    """Return in what *found* cannot be called as *contract* says: a line for each fault, none when it can stand in."""
    problems = []
    for name, promised in inspect.getmembers_static(contract):
        if name.startswith("_") or (given := inspect.getattr_static(found, name)) is promised:
            continue
        if isinstance(promised, property):
            if inspect.isfunction(given):
                problems.append(f"{name} is a method, the contract has a property")
            continue
        promised, given = (m.__func__ if isinstance(m, classmethod) else m for m in (promised, given))
        if inspect.isfunction(promised):
            problems += _mismatch(name, promised, given)
    return problems


def _mismatch(name: str, promised: Callable[..., Any], given: Any) -> list[str]:
    if isinstance(given, property) or not (callable(given) or isinstance(given, staticmethod)):
        return [f"{name} is no method, the contract has one"]
    if not inspect.isfunction(given):
        # Made by something else than a def (a partial, a descriptor): no signature to compare before it is bound.
        return []
    if inspect.iscoroutinefunction(given):
        return [f"{name} is a coroutine, the contract has an ordinary method"]
    wanted, has = inspect.signature(promised).parameters, inspect.signature(given).parameters
    any_place = any(p.kind is p.VAR_POSITIONAL for p in has.values())
    any_name = any(p.kind is p.VAR_KEYWORD for p in has.values())
    problems = []
    places = [p.name for p in has.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    for place, parameter in enumerate(list(wanted.values())[1:], 1):
        own = has.get(parameter.name)
        if own is None or own.kind in (own.VAR_POSITIONAL, own.VAR_KEYWORD):
            if not (any_name and (any_place or parameter.kind is parameter.KEYWORD_ONLY)):
                problems.append(f"{name} does not take {parameter.name!r}")
        elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD and places[place : place + 1] != [parameter.name]:
            problems.append(f"{name} takes {parameter.name!r} at another place")
        elif parameter.default is not parameter.empty and own.default is own.empty:
            problems.append(f"{name} demands {parameter.name!r}, which the contract lets callers leave out")
    for own in list(has.values())[1:]:
        optional = own.default is not own.empty or own.kind in (own.VAR_POSITIONAL, own.VAR_KEYWORD)
        if own.name not in wanted and not optional:
            problems.append(f"{name} demands {own.name!r}, which the contract does not have")
    return problems
