"""Our plain values to the library's OpenFlow 1.3 messages, and back."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from dpb_slicer.difference import Change, Forget, Step
from dpb_slicer.model import (
    CONTROLLER,
    FULL,
    Action,
    Apart,
    Flow,
    Group,
    Match,
    Meter,
    Other,
    Output,
    PopVlan,
    PushVlan,
    Resubmit,
    SetExit,
    SetVlan,
    ToGroup,
)

PRESENT = 0x1000
EXIT_BITS = 15  # how Nicira's extension writes "16 bits from bit 0"
CLONE = 42  # Nicira's action "clone", for which the library has no class
KINDS = {"all": 0, "select": 1, "indirect": 2, "failover": 3}
KIND_NAMES = {number: name for name, number in KINDS.items()}


def _clone(table: int) -> bytes:
    """The body of a clone action: look the copy up in *table*; and send, cut at 64 KiB, to a port that never exists.

    The second half does nothing. But as a cut cannot be undone, Open vSwitch then really makes a copy; without it, all
    clones were one datapath action list, which a meter's drop ends for all.
    """
    header = 0xFFFF, 16, 0x2320
    return (
        bytes(6)
        + struct.pack("!HHIHHB3x", *header, 14, 0xFFF8, table)  # resubmit
        + struct.pack("!HHIHHI", *header, 39, 0xFEFF, 0xFFFF)  # output, truncated
    )


class Encoder:
    """Makes messages for one datapath."""

    def __init__(self, datapath: Any) -> None:
        self._datapath = datapath
        self._parser = datapath.ofproto_parser
        self._proto = datapath.ofproto

    def step(self, step: Step) -> Any:
        """The message that does *step*."""
        match step:
            case Forget(cookie, mask):
                return self._flow_mod(self._proto.OFPFC_DELETE, Flow(self._proto.OFPTT_ALL, 0, Match(), cookie), mask)
            case Change("delete", Flow() as flow):
                return self._flow_mod(self._proto.OFPFC_DELETE_STRICT, flow)
            case Change(_, Flow() as flow):
                return self._flow_mod(self._proto.OFPFC_ADD, flow)
            case Change(verb, Group() as group):
                return self._group_mod(verb, group)
            case Change(verb, Meter() as meter):
                return self._meter_mod(verb, meter)
        raise AssertionError(step)

    def _flow_mod(self, command: int, flow: Flow, mask: int = 0) -> Any:
        proto = self._proto
        return self._parser.OFPFlowMod(
            self._datapath,
            cookie=flow.cookie,
            cookie_mask=mask,
            table_id=flow.table,
            command=command,
            idle_timeout=flow.idle,
            hard_timeout=flow.hard,
            priority=flow.priority,
            buffer_id=proto.OFP_NO_BUFFER,
            out_port=proto.OFPP_ANY,
            out_group=proto.OFPG_ANY,
            flags=proto.OFPFF_SEND_FLOW_REM if flow.notify else 0,
            match=self.match(flow.match),
            instructions=self._instructions(flow),
        )

    def match(self, match: Match) -> Any:
        """The library's match."""
        if match.raw is not None:
            return match.raw
        fields: dict[str, Any] = {}
        if match.in_port is not None:
            fields["in_port"] = match.in_port
        if match.vlan is not None:
            fields["vlan_vid"] = match.vlan | PRESENT if match.vlan else 0
        if match.metadata is not None:
            fields["metadata"] = match.metadata[0] if match.metadata[1] == FULL else match.metadata
        if match.eth_src is not None:
            address, _, mask = match.eth_src.partition("/")
            fields["eth_src"] = (address, mask) if mask else address
        for name in ("eth_dst", "eth_type", "ip_proto", "udp_dst"):
            value = getattr(match, name)
            if value is not None:
                fields[name] = value
        return self._parser.OFPMatch(**fields)

    def _instructions(self, flow: Flow) -> list[Any]:
        parser = self._parser
        made = []
        if flow.meter is not None:
            made.append(parser.OFPInstructionMeter(flow.meter))
        if flow.actions:
            made.append(parser.OFPInstructionActions(self._proto.OFPIT_APPLY_ACTIONS, self._actions(flow.actions)))
        if flow.metadata is not None:
            made.append(parser.OFPInstructionWriteMetadata(*flow.metadata))
        if flow.goto is not None:
            made.append(parser.OFPInstructionGotoTable(flow.goto))
        return made

    def _actions(self, actions: Iterable[Action]) -> list[Any]:
        return [self._action(action) for action in actions]

    def _action(self, action: Action) -> Any:
        parser = self._parser
        match action:
            case PopVlan():
                return parser.OFPActionPopVlan()
            case PushVlan(tpid):
                return parser.OFPActionPushVlan(tpid)
            case SetVlan(vlan):
                return parser.OFPActionSetField(vlan_vid=vlan | PRESENT)
            case Output(port):
                return parser.OFPActionOutput(port, 128 if port == CONTROLLER else 0)
            case ToGroup(group):
                return parser.OFPActionGroup(group)
            case SetExit(index):
                return parser.NXActionRegLoad(ofs_nbits=EXIT_BITS, dst="metadata", value=index)
            case Apart(table):
                return parser.NXActionUnknown(CLONE, _clone(table))
            case Resubmit(table):
                return parser.NXActionResubmitTable(in_port=0xFFF8, table_id=table)
        raise AssertionError(action)

    def _group_mod(self, verb: str, group: Group) -> Any:
        proto, parser = self._proto, self._parser
        command = {"add": proto.OFPGC_ADD, "modify": proto.OFPGC_MODIFY, "delete": proto.OFPGC_DELETE}[verb]
        weight = 1 if group.kind == "select" else 0
        buckets = [
            parser.OFPBucket(weight, proto.OFPP_ANY, proto.OFPG_ANY, self._actions(bucket))
            for bucket in (group.buckets if verb != "delete" else ())
        ]
        return parser.OFPGroupMod(self._datapath, command, KINDS.get(group.kind, 0), group.id, buckets)

    def _meter_mod(self, verb: str, meter: Meter) -> Any:
        proto, parser = self._proto, self._parser
        command = {"add": proto.OFPMC_ADD, "modify": proto.OFPMC_MODIFY, "delete": proto.OFPMC_DELETE}[verb]
        bands = [] if verb == "delete" else [parser.OFPMeterBandDrop(rate=meter.rate, burst_size=meter.burst)]
        flags = proto.OFPMF_KBPS | proto.OFPMF_BURST
        return parser.OFPMeterMod(self._datapath, command, flags, meter.id, bands)


def flow_of(stats: Any) -> Flow:
    """Take an entry of a flow statistics reply."""
    meter = metadata = goto = None
    actions: tuple[Action, ...] = ()
    for instruction in stats.instructions:
        match type(instruction).__name__:
            case "OFPInstructionMeter":
                meter = instruction.meter_id
            case "OFPInstructionWriteMetadata":
                metadata = instruction.metadata, instruction.metadata_mask
            case "OFPInstructionGotoTable":
                goto = instruction.table_id
            case "OFPInstructionActions" if instruction.type == 4:
                actions = _actions_of(instruction.actions)
            case _:
                actions = (*actions, Other(repr(instruction)))
    return Flow(
        stats.table_id,
        stats.priority,
        match_of(stats.match),
        stats.cookie,
        meter,
        actions,
        metadata,
        goto,
        stats.idle_timeout,
        stats.hard_timeout,
        bool(stats.flags & 1),
    )


_MATCHED = {"in_port", "vlan_vid", "metadata", "eth_src", "eth_dst", "eth_type", "ip_proto", "udp_dst"}


def match_of(match: Any) -> Match:
    """Take the library's match."""
    fields = dict(match.items())
    if not fields.keys() <= _MATCHED or type(fields.get("vlan_vid", 0)) is tuple:
        return Match(strange=repr(match), raw=match)
    metadata = fields.get("metadata")
    source = fields.get("eth_src")
    vlan = fields.get("vlan_vid")
    if metadata is not None and type(metadata) is not tuple:
        metadata = metadata, FULL
    if type(source) is tuple:
        source = "/".join(source)
    if type(fields.get("eth_dst")) is tuple or vlan == PRESENT:
        return Match(strange=repr(match), raw=match)
    return Match(
        fields.get("in_port"),
        None if vlan is None else vlan & 0xFFF,
        metadata,
        source,
        fields.get("eth_dst"),
        fields.get("eth_type"),
        fields.get("ip_proto"),
        fields.get("udp_dst"),
    )


def _actions_of(actions: Iterable[Any]) -> tuple[Action, ...]:
    return tuple(_action_of(action) for action in actions)


def _action_of(action: Any) -> Action:
    match type(action).__name__:
        case "OFPActionPopVlan":
            return PopVlan()
        case "OFPActionPushVlan":
            return PushVlan(action.ethertype)
        case "OFPActionSetField" if action.key == "vlan_vid":
            return SetVlan(action.value & 0xFFF)
        case "OFPActionOutput":
            return Output(action.port)
        case "OFPActionGroup":
            return ToGroup(action.group_id)
        case "NXActionRegLoad" if action.dst == "metadata" and action.ofs_nbits == EXIT_BITS:
            return SetExit(action.value)
        case "NXActionUnknown" if action.subtype == CLONE:
            return next((Apart(t) for t in range(8) if _clone(t) == bytes(action.data)), Other(repr(action)))
        case "NXActionResubmitTable":
            return Resubmit(action.table_id)
    return Other(repr(action))


def group_of(stats: Any) -> Group:
    """Take an entry of a group description reply."""
    buckets = tuple(_actions_of(bucket.actions) for bucket in stats.buckets)
    return Group(stats.group_id, KIND_NAMES.get(stats.type, str(stats.type)), buckets)


def meter_of(stats: Any) -> Meter:
    """Take an entry of a meter configuration reply."""
    match [(type(band).__name__, band) for band in stats.bands]:
        case [("OFPMeterBandDrop", band)] if stats.flags & 15 == 5:
            return Meter(stats.meter_id, band.rate, band.burst_size)
    return Meter(stats.meter_id, 0, 0)  # none of ours: a rate of 0 is never metered
