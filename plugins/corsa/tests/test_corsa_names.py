"""Names of interfaces against frames, and bridges against tunnels, without a switch."""

from __future__ import annotations

import itertools

import pytest
from dpb_corsa.names import MAX_PORT, Circuit, Form, Interface, channel_of, parse
from dpb_corsa.tags import LIMIT, Tag, digest_of_prefix, namespace_of
from dpb_corsa.tunnels import Tunnel, Wanted, bridge_of, deviation, difference, fault, missing, overlapping, wanted_of

from dpb_framework.contracts import Bridge, Channel
from dpb_framework.errors import InterfaceInvalid
from dpb_framework.model import MAX_LABEL, TrafficFlow
from dpb_framework.model.bandwidth import MAX_KBPS

PORTS = ("3", "4", "30", "lag3")
TAGS = (1, 3, 20, 100, 4094)
FLOW = TrafficFlow(1_000, 2_000)
KEY = "0b4bd1a5-5b3a-4b4e-8a0e-0f4d8e7c1234/london/17"

Frame = tuple[str, tuple[int, ...]]
"""The port that it came in at, and its tags, the outer one first."""


def frames() -> list[Frame]:
    """Every frame of these ports with up to three of these tags, and one that is in no name."""
    tags = (*TAGS, 7)
    return [(port, stack) for port in PORTS for depth in range(4) for stack in itertools.product(tags, repeat=depth)]


def belongs(frame: Frame, channel: Channel) -> bool:
    """Whether a frame belongs to a channel, said without the plugin's own words."""
    name, label = channel.interface, channel.label
    port, tags = frame
    if name in ("phys", "lag"):
        return port == f"{'' if name == 'phys' else 'lag'}{label}"
    if name.endswith("x2"):
        return f"{port}x2" == name and len(tags) >= 2 and tags[0] * 4096 + tags[1] == label
    if "." in name:
        start, outer = name.split(".")
        return port == start and len(tags) >= 2 and tags[:2] == (int(outer), label)
    return port == name and tags[:1] == (label,)


def channels() -> list[Channel]:
    found = [Channel("phys", 3), Channel("phys", 4), Channel("phys", 30), Channel("lag", 3)]
    for port in PORTS:
        found += [Channel(port, tag) for tag in TAGS]
        found += [Channel(f"{port}x2", outer * 4096 + inner) for outer in TAGS for inner in TAGS]
        found += [Channel(f"{port}.{outer}", inner) for outer in TAGS for inner in TAGS]
    return found


def interface(name: str) -> Interface:
    return parse(name, "the test")


def circuit(channel: Channel) -> Circuit:
    return interface(channel.interface).circuit(channel.label)


# -- names ------------------------------------------------------------------------------------------


def test_channels_overlap_exactly_if_some_frame_belongs_to_both() -> None:
    member = {c: frozenset(i for i, frame in enumerate(frames()) if belongs(frame, c)) for c in channels()}
    assert all(member.values())
    for a, b in itertools.product(member, repeat=2):
        shared = bool(member[a] & member[b])
        assert circuit(a).overlaps(circuit(b)) is shared, (a, b)
        domains = interface(a.interface).domain, interface(b.interface).domain
        if shared:
            assert domains[0] == domains[1] or "" in domains, (a, b)
            assert circuit(a).port == circuit(b).port
            assert a.interface != b.interface or a.label == b.label


@pytest.mark.parametrize("channel", channels(), ids=str)
def test_a_channel_is_found_again_from_circuit_and_form(channel: Channel) -> None:
    known = interface(channel.interface)
    assert known.name == channel.interface
    assert known.fault(channel.label) is None
    assert known.labels[0] <= channel.label <= known.labels[1] <= MAX_LABEL
    assert channel_of(known.circuit(channel.label), known.form) == channel


def test_two_names_can_mean_one_circuit() -> None:
    assert circuit(Channel("3x2", 409620)) == circuit(Channel("3.100", 20)) == Circuit("3", (100, 20))
    assert circuit(Channel("3x2", 409620)) != circuit(Channel("lag3.100", 20))


@pytest.mark.parametrize(
    ("texts", "name", "labels", "domain"),
    [
        (["phys"], "phys", (1, MAX_PORT), ""),
        (["lag", " lag "], "lag", (1, MAX_PORT), ""),
        (["3", "phys3", "phys.3", " phys.003 "], "3", (1, 4094), "3"),
        (["lag4", "lag.4", "lag04"], "lag4", (1, 4094), "lag4"),
        (["3x2", "phys3x2", "phys.3x2"], "3x2", (4097, 16773118), "3"),
        (["lag4x2", "lag.4x2"], "lag4x2", (4097, 16773118), "lag4"),
        (["3.100", "phys.3.100", "phys3.0100"], "3.100", (1, 4094), "3"),
        (["lag.4.200", "lag4.200"], "lag4.200", (1, 4094), "lag4"),
    ],
)
def test_forms_of_names(texts: list[str], name: str, labels: tuple[int, int], domain: str) -> None:
    for text in [*texts, name]:
        known = interface(text)
        assert (known.name, known.labels, known.domain) == (name, labels, domain)


@pytest.mark.parametrize(
    ("text", "problem"),
    [("eth0", "expected a port"), ("lag0", "lies between 1 and"), ("3.4095", "between 1 and 4094"), (7, "is text")],
)
def test_what_is_wrong_with_a_name_is_told(text: str, problem: str) -> None:
    with pytest.raises(InterfaceInvalid, match=problem):
        parse(text, "the test")


# -- descriptions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [KEY, "k/1", "k", "", "x" * 500 + "/1", "grün/ü/1", "a/b c\t/1"])
@pytest.mark.parametrize("form", Form)
def test_a_description_is_short_plain_and_read_again(key: str, form: Form) -> None:
    tag = Tag.of(key, form)
    text = str(tag)
    assert len(text) <= LIMIT
    assert text.isascii()
    assert text.isprintable()
    read = Tag.read(text)
    assert read is not None
    assert (read.namespace, read.key, read.form) == (tag.namespace, tag.key, form)
    assert read.namespace == digest_of_prefix(namespace_of(key))


def test_descriptions_of_different_keys_differ() -> None:
    keys = [f"{store}/{network}/{service}" for store in "ab" for network in "ab" for service in (1, 11)]
    assert len({Tag.of(key, Form.SINGLE).key for key in keys}) == len(keys)
    assert len({Tag.of(key, Form.SINGLE).namespace for key in keys}) == 4


@pytest.mark.parametrize("text", [None, 7, "", "uplink to Leeds", "dpb1:", "dpb2" + str(Tag.of(KEY, Form.SINGLE))[4:]])
def test_somebody_elses_description_is_none(text: object) -> None:
    assert Tag.read(text) is None


# -- bridges and tunnels ----------------------------------------------------------------------------


def wanted(*ends: Channel, flow: TrafficFlow = FLOW) -> tuple[Wanted, ...]:
    bridge = Bridge(KEY, dict.fromkeys(ends, flow))
    interfaces = {end.interface: interface(end.interface) for end in ends}
    assert fault(bridge, interfaces) is None
    return wanted_of(bridge, interfaces)


def as_told(ofport: int, one: Wanted) -> dict[str, object]:
    """What a switch tells after the calls for a tunnel."""
    plain = {**one.attachment(ofport), "oper-state": "up", "type": "ctag", "tpid": "0x88a8"}
    plain["meter"] = {patch["path"].removeprefix("/meter/"): patch["value"] for patch in one.metering()}
    return plain


def tunnels(*all_wanted: Wanted) -> list[Tunnel]:
    return [Tunnel.of(as_told(ofport, one)) for ofport, one in enumerate(all_wanted, 1)]


@pytest.mark.parametrize("channel", channels(), ids=str)
def test_a_bridge_is_the_same_again_after_its_translation(channel: Channel) -> None:
    rates = TrafficFlow(1, MAX_KBPS)
    ends = wanted(channel, Channel("31", 9), flow=rates)
    assert bridge_of(KEY, tunnels(*ends)) == Bridge(KEY, {channel: rates, Channel("31", 9): rates})
    assert not difference(ends, tunnels(*ends)).changes
    assert deviation(ends, tunnels(*ends)) is None


def test_what_is_sent_for_a_tunnel() -> None:
    (one, _) = wanted(Channel("3x2", 409620), Channel("phys", 4), flow=TrafficFlow(5_000, 2_500))
    assert one.attachment(7) == {
        "ofport": 7, "port": "3", "vlan-id": 100, "inner-vlan-id": 20, "is-shaped": True, "shaped-rate": 2.5,
        "ifdescr": str(Tag.of(KEY, Form.DOUBLE)),
    }  # fmt: skip
    assert [(patch["path"], patch["value"]) for patch in one.metering()] == [
        ("/meter/cir", 5000), ("/meter/cbs", 32), ("/meter/eir", 0), ("/meter/ebs", 0),
    ]  # fmt: skip
    assert "vlan-id" not in wanted(Channel("lag", 4), Channel("phys", 4))[0].attachment(1)


@pytest.mark.parametrize(("ingress", "burst"), [(0, 0), (1, 10), (1_600, 10), (1_601, 11), (10_000_000, 62_500)])
def test_a_burst_is_fifty_milliseconds_and_at_least_a_jumbo_frame(ingress: int, burst: int) -> None:
    (one, _) = wanted(Channel("3", 1), Channel("4", 1), flow=TrafficFlow(ingress, 1))
    assert one.metering()[1] == {"op": "replace", "path": "/meter/cbs", "value": burst}


def test_rates_that_a_switch_does_not_have_are_no_limit() -> None:
    (one, _) = wanted(Channel("3", 1), Channel("4", 1))
    plain = as_told(1, one)
    del plain["shaped-rate"], plain["is-shaped"]
    plain["meter"] = {}
    tunnel = Tunnel.of(plain)
    assert (tunnel.ingress, tunnel.egress) == (None, None)
    assert bridge_of(KEY, [tunnel]).channels[Channel("3", 1)] == TrafficFlow(MAX_KBPS, MAX_KBPS)


def test_each_difference_takes_the_gentlest_way() -> None:
    a, b, c, d, e = (Channel("3", tag) for tag in range(1, 6))
    double, inner = Channel("4x2", 409620), Channel("4.100", 20)
    there = tunnels(*wanted(a, b, c, d, double))
    target = (
        *wanted(a),
        *wanted(b, flow=TrafficFlow(9_000, 2_000)),
        *wanted(c, flow=TrafficFlow(1_000, 9_000)),
        *wanted(inner),
        *wanted(e),
    )
    plan = difference(target, there)
    assert plan.keep == (there[0],)
    assert plan.meter == ((there[1], target[1]),)
    assert plan.reattach == ((there[2], target[2]),)
    assert plan.detach == (there[3],)
    assert plan.describe == ((there[4], target[3]),)
    assert plan.attach == (target[4],)
    assert plan.stay == {1, 2, 3, 5}


def test_of_two_tunnels_of_one_circuit_one_goes() -> None:
    (one, other) = wanted(Channel("3", 1), Channel("4", 1))
    first, second, third = (Tunnel.of(as_told(n, w)) for n, w in ((1, one), (2, one), (3, other)))
    plan = difference((one, other), [first, second, third])
    assert (len(plan.keep), len(plan.detach)) == (2, 1)
    assert {*plan.keep, *plan.detach} == {first, second, third}


def test_every_change_of_channels_ends_where_it_shall() -> None:
    """All pairs of sets of up to three of these channels: what stays, goes and comes is what sets say."""
    pool = [Channel("3", 1), Channel("3.2", 3), Channel("4x2", 409620), Channel("phys", 5)]
    sets = [frozenset(found) for size in range(1, 4) for found in itertools.combinations(pool, size)]
    for before, after in itertools.product(sets, repeat=2):
        there = tunnels(*wanted(*sorted(before)))
        plan = difference(wanted(*sorted(after)), there)
        assert {tunnel.circuit for tunnel in plan.keep} == {circuit(channel) for channel in before & after}
        assert {tunnel.circuit for tunnel in plan.detach} == {circuit(channel) for channel in before - after}
        assert {one.circuit for one in plan.attach} == {circuit(channel) for channel in after - before}
        assert plan.changes is (before != after)


def test_overlaps_with_others_are_told_and_with_oneself_are_none() -> None:
    mine = wanted(Channel("3", 1), Channel("4", 1))
    assert overlapping(mine, tunnels(*mine)) is None
    theirs = Tunnel.of({**as_told(9, mine[0]), "vlan-id": None, "ifdescr": "Leeds"})
    assert overlapping(mine, [theirs]) == "port 3 VLAN 1 overlaps port 3 at ofport 9"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"shaped-rate": 3}, "2 Mbit/s out of it are asked for, shaped is 3 Mbit/s"),
        ({"shaped-rate": None}, "shaped is nothing"),
        ({"meter": {"cir": 2000}}, "1 Mbit/s into it are asked for, metered is 2 Mbit/s"),
        ({"meter": {"cir": 1000, "eir": 1}}, "metered is 1.001 Mbit/s"),
        ({"ifdescr": "dpb1"}, "is not kept"),
    ],
)
def test_what_the_switch_keeps_otherwise_is_told(change: dict[str, object], problem: str) -> None:
    ends = wanted(Channel("3", 1), Channel("4", 1))
    told = [Tunnel.of({**as_told(1, ends[0]), **change}), Tunnel.of(as_told(2, ends[1]))]
    found = deviation(ends, told)
    assert found is not None
    assert problem in found


def test_a_tunnel_that_is_gone_is_told() -> None:
    ends = wanted(Channel("3", 1), Channel("4", 1))
    assert missing(ends, tunnels(*ends)) is None
    assert missing(ends, tunnels(*ends)[:1]) == "port 4 VLAN 1 was attached and is gone"


@pytest.mark.parametrize(
    ("ends", "problem"),
    [
        ([Channel("3", 0), Channel("4", 1)], "lies outside 1 to 4094"),
        ([Channel("3x2", 8192), Channel("4", 1)], "S-tag 2, C-tag 0"),
        ([Channel("phys", 0), Channel("4", 1)], "lies outside"),
        ([Channel("3x2", 409620), Channel("3.100", 20)], "are the same circuit"),
        ([], "has channels"),
    ],
)
def test_what_no_switch_can_have_is_told(ends: list[Channel], problem: str) -> None:
    told = fault(Bridge(KEY, dict.fromkeys(ends, FLOW)), {end.interface: interface(end.interface) for end in ends})
    assert told is not None
    assert problem in told


@pytest.mark.parametrize("port", ["", "lag", "x3", "³"])
def test_a_port_that_is_none_is_no_channel(port: str) -> None:
    with pytest.raises(ValueError, match="no port"):
        channel_of(Circuit(port), Form.WHOLE)


@pytest.mark.parametrize(
    ("tags", "form"), [((1,), Form.WHOLE), ((), Form.SINGLE), ((1,), Form.DOUBLE), ((1,), Form.INNER)]
)
def test_a_circuit_that_does_not_fit_its_form_is_no_channel(tags: tuple[int, ...], form: Form) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        channel_of(Circuit("3", tags), form)
