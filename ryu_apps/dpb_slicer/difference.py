"""What must be sent so that a switch holds what is wanted: make before break.

Phases, in this order; nothing that is right is touched, and whatever refers to something comes after it:
meters, groups, flows from the exit back to the entry; then what is left over goes, entry first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from attrs import frozen

from dpb_slicer.model import Entry, Flow, Group, Meter, Tables


@frozen
class Change:
    """One message to a switch: `add`, `modify` or `delete` an entry."""

    verb: str
    entry: Entry


@frozen
class Forget:
    """Delete every flow whose cookie, under the mask, is this."""

    cookie: int
    mask: int


Step = Change | Forget


def difference(there: Tables, wanted: Tables) -> list[Step]:
    """The steps from *there* to *wanted*, ordered."""
    return list(ordered([*_made(there, wanted), *_removed(there, wanted)]))


def _made(there: Tables, wanted: Tables) -> Iterator[Step]:
    for number, meter in wanted.meters.items():
        if there.meters.get(number) != meter:
            yield Change("modify" if number in there.meters else "add", meter)
    for number, group in wanted.groups.items():
        if there.groups.get(number) != group:
            yield Change("modify" if number in there.groups else "add", group)
    for key, flow in wanted.flows.items():
        if there.flows.get(key) != flow:
            yield Change("add", flow)  # adding a flow puts it in the place of one with the same match, atomically


def _removed(there: Tables, wanted: Tables) -> Iterator[Step]:
    for key, flow in there.flows.items():
        if key not in wanted.flows:
            yield Change("delete", flow)
    for number, group in there.groups.items():
        if number not in wanted.groups:
            yield Change("delete", group)
    for number, meter in there.meters.items():
        if number not in wanted.meters:
            yield Change("delete", meter)


def phase(step: Step) -> int:
    """Where a step stands in the order; steps of one phase do not depend on each other."""
    match step:
        case Forget():
            return 20
        case Change("delete", Flow() as flow):
            return 21 + flow.table
        case Change("delete", Group()):
            return 280
        case Change("delete"):
            return 290
        case Change(_, Meter()):
            return 0
        case Change(_, Group()):
            return 1
        case Change(_, Flow() as flow):
            return 10 - min(flow.table, 8)
    raise AssertionError(step)


def ordered(steps: Iterable[Step]) -> list[Step]:
    """The same steps, make before break."""
    return sorted(steps, key=phase)


def additions_first(steps: Iterable[Step], there: Tables) -> tuple[list[Step], list[Step]]:
    """Divide ordered steps: what only adds, and what changes or removes something that is *there*.

    The second part is for when the switch has confirmed the first: when it refuses, nothing was interrupted yet.
    """
    first: list[Step] = []
    second: list[Step] = []
    for step in steps:
        (first if _only_adds(step, there) else second).append(step)
    return first, second


def _only_adds(step: Step, there: Tables) -> bool:
    if isinstance(step, Forget) or step.verb != "add":
        return False
    return not isinstance(step.entry, Flow) or there.flows.get(step.entry.key, step.entry) == step.entry


def phases(steps: Iterable[Step]) -> list[list[Step]]:
    """Ordered steps, divided where a switch that reorders messages must be told to wait.

    Only between making and breaking, and between kinds of entry: tables need no order among themselves when they are
    made, as nothing leads to a later one before the earlier one's flow is there.
    """
    return [list(steps) for _, steps in groupby(steps, phase)]
