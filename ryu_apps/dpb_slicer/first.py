"""The first interface: sets of circuits without keys, which evict each other's circuits.

A set's cookie is of a namespace of its own, made from the circuits that the set began with, so that the sets are found
on the switch after a restart. It never takes a circuit from a slice of the second interface.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from attrs import evolve

from dpb_slicer import cookies
from dpb_slicer.books import Wish
from dpb_slicer.circuits import Circuit, Slice, check_disjoint, overlaps, whole
from dpb_slicer.errors import BadArgument
from dpb_slicer.switch import Switch, always
from dpb_slicer.words import Words


def sets(switch: Switch, words: Words) -> list[list[Any]]:
    """The circuit sets of a switch."""
    return [
        [words.circuit_data(circuit) for circuit in slice_.circuits] for slice_ in held(switch).values() if slice_.ends
    ]


def held(switch: Switch) -> dict[int, Slice]:
    """The sets by cookie."""
    return {holding.cookie: holding.slice for holding in switch.holdings() if holding.kind == "v1"}


def change(switch: Switch, words: Words, body: Any, wanted: Callable[[], bool] = always) -> None:
    """Do what a POST asks."""
    if not isinstance(body, dict):
        raise BadArgument("$", "an object is wanted")
    disused = [words.circuit_of(told, f"$.disused[{place}]") for place, told in enumerate(_array(body, "disused"))]
    slices = [_set_of(words, told, f"$.slices[{place}]") for place, told in enumerate(_array(body, "slices"))]
    dhcp = body.get("dhcp")
    if "dhcp" in body and type(dhcp) is not bool:
        raise BadArgument("$.dhcp", "true or false is wanted")

    def wishes() -> dict[int, Wish]:
        before = held(switch)
        after = _after(before, disused, slices, dhcp)
        return {
            cookie: Wish(None, slice_ if slice_.ends else None, "v1")
            for cookie, slice_ in after.items()
            if slice_ != before.get(cookie)
        }

    for error in switch.revise(wishes, wanted).values():
        if error is not None:
            raise error
    if "learn" in body:
        _learn(switch, words, body["learn"])


def _after(
    before: dict[int, Slice], disused: list[Circuit], slices: list[Slice], dhcp: bool | None
) -> dict[int, Slice]:
    """The sets by cookie as a POST would have them; a set without ends is gone."""
    after = dict(before)
    for circuit in disused:
        _evict(after, circuit, None)
    for slice_ in slices:
        cookie = _cookie(after, slice_)
        for end in slice_.ends:
            _evict(after, end.circuit, cookie)
        old = after.get(cookie)
        after[cookie] = evolve(slice_, dhcp=_dhcp(before) if old is None else old.dhcp)
        if old is not None and (left := _without(old, slice_)).ends:
            after[_new_cookie(after, left)] = left
    return after if dhcp is None else {cookie: evolve(slice_, dhcp=dhcp) for cookie, slice_ in after.items()}


def _array(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name, [])
    if not isinstance(value, list):
        raise BadArgument(f"$.{name}", "an array is wanted")
    return value


def _dhcp(before: dict[int, Slice]) -> bool:
    """What new sets are told, as the word is for the whole switch: what the others have; without any, it passes."""
    return all(slice_.dhcp for slice_ in before.values())


def _evict(after: dict[int, Slice], circuit: Circuit, keeper: int | None) -> None:
    for cookie, slice_ in after.items():
        if cookie != keeper:
            kept = tuple(end for end in slice_.ends if not overlaps(end.circuit, circuit))
            if len(kept) != len(slice_.ends):
                after[cookie] = evolve(slice_, ends=kept)


def _cookie(after: dict[int, Slice], slice_: Slice) -> int:
    """The set to change in place: one of which this takes half or more, most of all; or a new one."""
    wanted = set(slice_.circuits)
    shared = {cookie: len(wanted & set(other.circuits)) for cookie, other in after.items()}
    best = max(shared, key=lambda cookie: shared[cookie], default=None)
    if best is not None and shared[best] and 2 * shared[best] >= len(after[best].ends):
        return best
    return _new_cookie(after, slice_)


def _new_cookie(after: dict[int, Slice], slice_: Slice) -> int:
    text = json.dumps(sorted(slice_.circuits))
    cookie = cookies.cookie_of(text, "v1")
    while cookie in after:
        text += "'"
        cookie = cookies.cookie_of(text, "v1")
    return cookie


def _without(slice_: Slice, taken: Slice) -> Slice:
    """What is left of a set when another has taken its circuits."""
    left = (end for end in slice_.ends if not any(overlaps(end.circuit, circuit) for circuit in taken.circuits))
    return evolve(slice_, ends=tuple(left))


def _set_of(words: Words, told: Any, name: str) -> Slice:
    if not isinstance(told, list):
        raise BadArgument(name, "an array of circuits is wanted")
    ends = [words.end_of(item, f"{name}[{place}]") for place, item in enumerate(told)]
    check_disjoint(tuple(end.circuit for end in ends), name)
    return Slice(tuple(ends))


def _learn(switch: Switch, words: Words, told: Any) -> None:
    """For debugging: believe that an address is at a circuit."""
    if not isinstance(told, dict) or not isinstance(told.get("mac"), str):
        raise BadArgument("$.learn", 'an object with "mac", "tuple" and "timeout" is wanted')
    address = told["mac"].lower()
    octets = address.split(":")
    if len(octets) != 6 or any(len(o) != 2 or not set(o) <= set("0123456789abcdef") for o in octets):
        raise BadArgument("$.learn.mac", "six pairs of hexadecimal digits with colons are wanted")
    circuit = words.circuit_of(told.get("tuple"), "$.learn.tuple")
    idle = whole(told.get("timeout", 30), 1, 65535, "$.learn.timeout")
    for holding in switch.holdings():
        if holding.kind == "v1" and circuit in holding.place.seats and holding.learns:
            switch.learning.seen(holding.place.number, holding.place.seats[circuit].index, address, idle)
            return
    raise BadArgument("$.learn.tuple", "no set of three or more has this circuit")
