"""What a topology file would change, and in which order it can be done. Pure: nothing is asked or sent here."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from dpb_cli import show
from dpb_cli.amounts import NONE, merged_labels, merged_trunk_labels, milliseconds, parse_quota, rate
from dpb_cli.document import TERMINAL, TRUNK, Document, Wanted
from dpb_framework.errors import ConfigInvalid
from dpb_framework.model import Trunk
from dpb_framework.settings import nearest

ADD, CHANGE, REMOVE = "add", "change", "remove"
_SIGNS = {ADD: "+", CHANGE: "~", REMOVE: "-"}


@frozen
class Present:
    """A network as the broker has it: its kind, its inferior networks, its terminals and trunks by name (REST's)."""

    kind: str
    inferiors: tuple[str, ...] = ()
    terminals: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    trunks: Mapping[str, Mapping[str, Any]] = field(factory=dict)

    def things(self, kind: str) -> Mapping[str, Mapping[str, Any]]:
        """The terminals or the trunks."""
        return self.terminals if kind == TERMINAL else self.trunks


@frozen
class Step:
    """One request: add, change or remove a terminal or trunk. `fields` are new values, `before` what they replace."""

    action: str
    network: str
    kind: str
    name: str
    fields: Mapping[str, Any] = field(factory=dict)
    before: Mapping[str, Any] = field(factory=dict)

    def __str__(self) -> str:
        what = f"{_SIGNS[self.action]} {self.kind} {self.network}/{self.name}"
        if self.action == CHANGE:
            pairs = (f"{k} {_shown(k, self.before.get(k))} -> {_shown(k, v)}" for k, v in self.fields.items())
        elif self.action == ADD:
            pairs = (f"{k} {_shown(k, v)}" for k, v in self.fields.items())
        else:
            return what
        return f"{what}  {', '.join(pairs)}"

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "action": self.action,
            "network": self.network,
            "kind": self.kind,
            "name": self.name,
            "fields": dict(self.fields),
            "before": dict(self.before),
        }


def difference(document: Document, present: Mapping[str, Present]) -> tuple[list[Step], list[Step]]:
    """Return the steps that make *present* what *document* wants, in a workable order, and what it does not name.

    The second are removals, in order too; whether they are made is the caller's choice. Networks that the document
    does not name are left alone. `ConfigInvalid` for a network that is not there, or of a kind that cannot have what
    is wanted.
    """
    for name, path in document.networks.items():
        if name not in present:
            raise ConfigInvalid(f"{path}.name", f"the broker has no network {name!r}{nearest(name, list(present))}")
    steps, named = [], set()
    for wanted in document.wanted:
        found = present[wanted.network]
        fields = _fields(wanted, found.kind)
        name = wanted.name or _name_of_trunk(fields, found.trunks)
        named.add((wanted.network, wanted.kind, name))
        there = found.things(wanted.kind).get(name)
        if there is None:
            steps.append(Step(ADD, wanted.network, wanted.kind, name, fields))
            continue
        before = {key: _one_form(wanted.kind, key, there.get(key)) for key in fields}
        changed = {key: value for key, value in fields.items() if before[key] != value}
        if changed:
            replaced = {key: before[key] for key in changed}
            steps.append(Step(CHANGE, wanted.network, wanted.kind, name, changed, replaced))
    surplus = [
        Step(REMOVE, network, kind, name)
        for network in document.networks
        for kind in (TERMINAL, TRUNK)
        for name in present[network].things(kind)
        if (network, kind, name) not in named
    ]
    return ordered(steps, present), ordered(surplus, present)


def ordered(steps: Iterable[Step], present: Mapping[str, Present]) -> list[Step]:
    """Return *steps* in an order in which the broker can accept them.

    Inferior networks' terminals come before those mapped to them, terminals before trunks, removals the other way
    round at the end; but what gives a terminal free comes before what takes it.
    """
    heights = _heights(present)

    def rank(step: Step) -> tuple[int, int, int]:
        trunk = step.kind == TRUNK
        if step.action == REMOVE:
            return (1, not trunk, -heights[step.network])
        return (0, trunk, heights[step.network])

    sequence = sorted(steps, key=rank)
    after = _constraints(sequence, present)
    waits = [0] * len(sequence)
    for followers in after:
        for follower in followers:
            waits[follower] += 1
    ready = [index for index, count in enumerate(waits) if not count]
    done: list[int] = []
    left = set(range(len(sequence)))
    while left:
        # In a circle (two terminals that swap their places) somebody has to begin; the broker may refuse it.
        index = heapq.heappop(ready) if ready else min(left)
        if index not in left:
            continue
        left.remove(index)
        done.append(index)
        for follower in after[index]:
            waits[follower] -= 1
            if not waits[follower]:
                heapq.heappush(ready, follower)
    return [sequence[index] for index in done]


def _constraints(steps: Sequence[Step], present: Mapping[str, Present]) -> list[set[int]]:
    """For each step the indices of those that have to come after it, because of a terminal that both are about."""
    makers: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, step in enumerate(steps):
        for terminal in _frees(step, present):
            makers[terminal].append(index)
        if step.kind == TERMINAL and step.action == ADD:
            makers[step.network, step.name].append(index)
    after: list[set[int]] = [set() for _ in steps]
    for index, step in enumerate(steps):
        needs = _takes(step)
        if step.kind == TERMINAL and step.action == REMOVE:
            needs.add((step.network, step.name))
        for terminal in needs:
            for maker in makers[terminal]:
                if maker != index:
                    after[maker].add(index)
    return after


def _takes(step: Step) -> set[tuple[str, ...]]:
    return _ends(step.fields) if step.action != REMOVE else set()


def _frees(step: Step, present: Mapping[str, Present]) -> set[tuple[str, ...]]:
    if step.action == ADD:
        return set()
    if step.action == CHANGE:
        return _ends(step.before)
    return _ends(present[step.network].things(step.kind).get(step.name, {}))


def _ends(fields: Mapping[str, Any]) -> set[tuple[str, ...]]:
    """The inferior networks' terminals that *fields* use."""
    places = (str(fields[key]) for key in ("place", "start", "end") if key in fields)
    return {tuple(place.split(":", 1)) for place in places if ":" in place}


def _heights(present: Mapping[str, Present]) -> dict[str, int]:
    """How many levels of inferior networks each network has below it."""
    heights = dict.fromkeys(present, 0)
    for _ in present:  # no chain of inferiors is longer
        higher = {
            name: 1 + max((heights.get(inferior, 0) for inferior in network.inferiors), default=-1)
            for name, network in present.items()
        }
        if higher == heights:
            break
        heights = higher
    return heights


def _fields(wanted: Wanted, kind: str) -> dict[str, Any]:
    """REST's fields for what the file wants in a network of this kind."""
    if wanted.kind == TRUNK:
        if kind != "aggregator":
            raise ConfigInvalid(wanted.path, f"network {wanted.network!r} is no aggregator, so it has no trunks")
        return dict(wanted.fields)
    fields = dict(wanted.fields)
    for key, other in (("interface", "maps"), ("maps", "interface")):
        if key not in fields:
            continue
        if (kind, key) in {("switch", "maps"), ("aggregator", "interface")}:
            raise ConfigInvalid(f"{wanted.path}.{key}", f"network {wanted.network!r} is a {kind}: use {other!r}")
        fields = {"place": fields.pop(key), **fields}
    return fields


def _name_of_trunk(fields: Mapping[str, Any], trunks: Mapping[str, Mapping[str, Any]]) -> str:
    """The name of a trunk that the file does not name: of the one with these ends, else made from them."""
    for name, trunk in trunks.items():
        if (trunk["start"], trunk["end"]) == (fields["start"], fields["end"]):
            return name
    start, end = (tuple(fields[side].split(":", 1)) for side in ("start", "end"))
    return Trunk.default_name((start[0], start[1]), (end[0], end[1]))


def _one_form(kind: str, key: str, value: Any) -> Any:
    """The broker's value in the form in which the file's values are."""
    if value is None:
        return None
    if key == "labels":
        return merged_labels(value, key) if kind == TERMINAL else merged_trunk_labels(value, key)
    if key in ("upstream", "downstream"):
        return rate(value, key)
    if key.endswith("-quota"):
        return parse_quota(value, key)
    return milliseconds(value, key) if key == "delay" else value


def _shown(key: str, value: Any) -> str:
    if value is None:
        return NONE
    if key == "labels":
        ranges: Sequence[Any] = value
        return show.trunk_labels(ranges) if ranges and isinstance(ranges[0], dict) else show.labels(ranges)
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
