"""A switch that executes flows, groups and meters of the model on a frame, as OpenFlow and Open vSwitch do.

What it does is compared with a real Open vSwitch in test_slicer_model.py.
"""

from __future__ import annotations

from contextlib import suppress

from attrs import evolve, field, frozen, mutable
from dpb_slicer.difference import Change, Forget
from dpb_slicer.link import Failure, Features
from dpb_slicer.model import (
    CONTROLLER,
    IN_PORT,
    Apart,
    Flow,
    Group,
    Meter,
    Output,
    PopVlan,
    PushVlan,
    Resubmit,
    SetExit,
    SetVlan,
    Tables,
    ToGroup,
)


@frozen
class Frame:
    """A frame; tags are VLAN ids, outermost first."""

    tags: tuple[int, ...] = ()
    source: str = "02:00:00:00:00:01"
    target: str = "ff:ff:ff:ff:ff:ff"
    ethertype: int = 0x88B5
    udp: int | None = None


class Dropped(Exception):
    """A meter dropped the frame, and with it all that would have been done with it yet."""


@mutable
class Passage:
    """A frame on its way: where it came in, and what the tables have made of it."""

    port: int
    frame: Frame
    metadata: int = 0


@mutable
class FakeSwitch:
    """Tables, and what comes out when a frame goes in."""

    tables: Tables = field(factory=Tables)
    dropping: frozenset[int] = frozenset()
    """Meters that are over their rate."""
    out: list[tuple[int, Frame]] = field(factory=list)
    copies: list[tuple[int, str]] = field(factory=list)

    def carry(self, port: int, frame: Frame) -> list[tuple[int, Frame]]:
        """What comes out where."""
        self.out, self.copies = [], []
        with suppress(Dropped):
            self._table(0, Passage(port, frame))
        return self.out

    def _table(self, table: int, passage: Passage) -> None:
        fitting = [f for f in self.tables.flows.values() if f.table == table and _fits(f.match, passage)]
        if not fitting:
            return
        flow = max(fitting, key=lambda f: f.priority)
        rivals = [f for f in fitting if f.priority == flow.priority]
        assert len(rivals) == 1, f"two flows of one priority: {rivals}"
        if flow.meter is not None:
            assert flow.meter in self.tables.meters
            if flow.meter in self.dropping:
                raise Dropped
        for action in flow.actions:
            self._act(action, passage)
        if flow.metadata is not None:
            value, mask = flow.metadata
            passage.metadata = passage.metadata & ~mask | value
        if flow.goto is not None:
            assert flow.goto > table
            self._table(flow.goto, passage)

    def _act(self, action, passage: Passage) -> None:
        frame = passage.frame
        match action:
            case PopVlan():
                passage.frame = evolve(frame, tags=frame.tags[1:])
            case PushVlan():
                passage.frame = evolve(frame, tags=(frame.tags[:1] or (0,)) + frame.tags)
            case SetVlan(vlan):
                passage.frame = evolve(frame, tags=(vlan, *frame.tags[1:]))
            case Output(port) if port == CONTROLLER:
                self.copies.append((passage.metadata, frame.source))
            case Output(port) if port == IN_PORT:
                self.out.append((passage.port, frame))
            case Output(port):
                if port != passage.port:
                    self.out.append((port, frame))
            case SetExit(index):
                passage.metadata = passage.metadata & ~0xFFFF | index
            case Resubmit(table):
                self._table(table, passage)
            case Apart(table):
                with suppress(Dropped):
                    self._table(table, Passage(passage.port, frame, passage.metadata))
            case ToGroup(number):
                for bucket in self.tables.groups[number].buckets:
                    copy = Passage(passage.port, passage.frame, passage.metadata)
                    for each in sorted(bucket, key=_set_order):
                        self._act(each, copy)
            case _:
                raise AssertionError(action)


def _set_order(action) -> int:
    """The order in which a switch executes the actions of a bucket, whatever the order in which they are told."""
    return [PopVlan, PushVlan, SetVlan, SetExit, ToGroup, Output, Resubmit].index(type(action))


def _fits(match, passage: Passage) -> bool:
    frame = passage.frame
    assert match.strange is None
    if match.in_port is not None and match.in_port != passage.port:
        return False
    if match.vlan is not None and match.vlan != (frame.tags[0] if frame.tags else 0):
        return False
    if match.metadata is not None and passage.metadata & match.metadata[1] != match.metadata[0]:
        return False
    if match.eth_src is not None:
        address, _, mask = match.eth_src.partition("/")
        if mask:
            if not int(frame.source[:2], 16) & 1:
                return False
        elif address != frame.source:
            return False
    if match.eth_dst not in (None, frame.target) or match.eth_type not in (None, frame.ethertype):
        return False
    return match.udp_dst is None or (match.ip_proto == 17 and match.udp_dst == frame.udp)


class FakeLink:
    """A link to a fake switch. `watch` is called after every single step; `refuses` says what the switch refuses.

    `gives_up` is after how many steps it ends with which error.
    """

    def __init__(self, switch, features=None, watch=lambda: None, refuses=lambda step: None):
        self.switch, self.told = switch, features or Features(1000, None)
        self.watch, self.refuses = watch, refuses
        self.gives_up = None
        self.steps = []

    def transact(self, steps, timeout):
        failures = []
        for step in steps:
            if self.gives_up is not None:
                left, error = self.gives_up
                if left == 0:
                    raise error
                self.gives_up = left - 1, error
            self.steps.append(step)
            error = self.refuses(step) or apply(self.switch.tables, step)
            if error:
                failures.append(Failure(step, error))
            self.watch()
        return failures

    def send(self, steps):
        self.transact(steps, 0)

    def read(self, timeout):
        tables = self.switch.tables
        return Tables(dict(tables.flows), dict(tables.groups), dict(tables.meters))

    def count(self, cookie, mask, timeout):
        return sum(flow.cookie & mask == cookie for flow in self.switch.tables.flows.values())

    def features(self, timeout):
        return self.told

    def close(self):
        pass


def apply(tables, step):
    """Do a step as a switch does; gives the error's name where it refuses."""
    match step:
        case Forget(cookie, mask):
            for key in [key for key, flow in tables.flows.items() if flow.cookie & mask == cookie]:
                del tables.flows[key]
        case Change("delete", Flow() as flow):
            tables.flows.pop(flow.key, None)
        case Change("delete", Group() as group):
            tables.groups.pop(group.id, None)
            _cascade(tables, lambda flow: ToGroup(group.id) in flow.actions)
        case Change("delete", Meter() as meter):
            tables.meters.pop(meter.id, None)
            _cascade(tables, lambda flow: flow.meter == meter.id)
        case Change(_, Flow() as flow):
            if flow.meter is not None and flow.meter not in tables.meters:
                return "OFPET_METER_MOD_FAILED OFPMMFC_INVALID_METER"
            if any(isinstance(a, ToGroup) and a.group not in tables.groups for a in flow.actions):
                return "OFPET_BAD_ACTION OFPBAC_BAD_OUT_GROUP"
            tables.put(flow)
        case Change(verb, entry):
            held = tables.groups if isinstance(entry, Group) else tables.meters
            if (entry.id in held) != (verb == "modify"):
                return "OFPET_GROUP_MOD_FAILED OFPGMFC_GROUP_EXISTS" if verb == "add" else "OFPET_X OFPX_UNKNOWN"
            tables.put(entry)
    return None


def _cascade(tables, refers):
    for key in [key for key, flow in tables.flows.items() if refers(flow)]:
        del tables.flows[key]
