"""Names of interfaces against frames: two channels overlap exactly if there is a frame that belongs to both."""

from __future__ import annotations

import itertools

import pytest
from dpb_openflow import OpenFlowFabric
from dpb_openflow.names import MAX_PORT, Names, parse
from dpb_openflow.slices import MAX_RATE, fault, from_slice, to_slice

from dpb_framework.contracts import Bridge, Channel
from dpb_framework.errors import InterfaceInvalid
from dpb_framework.model import MAX_LABEL, TrafficFlow
from dpb_framework.model.bandwidth import MAX_KBPS

PORTS = (3, 4, 30)
TAGS = (1, 3, 20, 100, 4094)
FLOW = TrafficFlow(1_000, 2_000)

Frame = tuple[int, ...]
"""The port that it came in at, then its tags, the outer one first."""


def fabric() -> OpenFlowFabric:
    return OpenFlowFabric(url="http://127.0.0.1:1", dpid="1")


def frames() -> list[Frame]:
    """Every frame of these ports with up to three of these tags, and one that is in no name."""
    tags = (*TAGS, 7)
    return [(port, *stack) for port in PORTS for depth in range(4) for stack in itertools.product(tags, repeat=depth)]


def belongs(frame: Frame, channel: Channel) -> bool:
    """Whether a frame belongs to a channel, said without the plugin's own words."""
    name, label = channel.interface, channel.label
    port, tags = frame[0], frame[1:]
    if name == "phys":
        return port == label
    if name.endswith("x2"):
        return f"{port}x2" == name and len(tags) >= 2 and tags[0] * 4096 + tags[1] == label
    if "." in name:
        number, outer = map(int, name.split("."))
        return port == number and len(tags) >= 2 and tags[:2] == (outer, label)
    return port == int(name) and tags[:1] == (label,)


def channels() -> list[Channel]:
    found = [Channel("phys", port) for port in PORTS]
    for port in PORTS:
        found += [Channel(str(port), tag) for tag in TAGS]
        found += [Channel(f"{port}x2", outer * 4096 + inner) for outer in TAGS for inner in TAGS]
        found += [Channel(f"{port}.{outer}", inner) for outer in TAGS for inner in TAGS]
    return found


def test_channels_overlap_exactly_if_some_frame_belongs_to_both() -> None:
    one = fabric()
    member = {c: frozenset(i for i, frame in enumerate(frames()) if belongs(frame, c)) for c in channels()}
    assert all(member.values())
    for a, b in itertools.product(member, repeat=2):
        shared = bool(member[a] & member[b])
        assert one.overlaps(a, b) is shared, (a, b)
        domains = one.domain(a.interface), one.domain(b.interface)
        if shared:
            assert domains[0] == domains[1] or "" in domains, (a, b)
            assert one.port(a) == one.port(b)
            assert a.interface != b.interface or a.label == b.label


def test_all_are_within_their_labels_and_ports() -> None:
    one = fabric()
    for channel in channels():
        assert one.interface(channel.interface) == channel.interface
        low, high = one.labels(channel.interface) or (0, 0)
        assert low <= channel.label <= high
        assert one.port(channel) in map(str, PORTS)


@pytest.mark.parametrize(
    ("one", "other", "overlaps"),
    [
        (("phys", 6), ("6", 60), True),
        (("phys", 6), ("6x2", 60 << 12 | 600), True),
        (("6", 60), ("6x2", 60 << 12 | 600), True),
        (("6", 60), ("6.60", 600), True),
        (("3x2", 409620), ("3.100", 20), True),
        (("3x2", 409621), ("3.100", 20), False),
        (("6", 600), ("6.60", 600), False),
        (("phys", 3), ("phys", 4), False),
        (("phys", 3), ("30", 3), False),
    ],
)
def test_overlaps_that_were_told(one: tuple[str, int], other: tuple[str, int], overlaps: bool) -> None:
    assert fabric().overlaps(Channel(*one), Channel(*other)) is overlaps


@pytest.mark.parametrize(
    ("text", "name", "labels", "domain"),
    [
        ("3", "3", (1, 4094), "3"),
        ("phys3", "3", (1, 4094), "3"),
        ("phys.3", "3", (1, 4094), "3"),
        (" phys.003 ", "3", (1, 4094), "3"),
        ("3x2", "3x2", (4097, 16773118), "3"),
        ("phys.3x2", "3x2", (4097, 16773118), "3"),
        ("3.100", "3.100", (1, 4094), "3"),
        ("phys3.0100", "3.100", (1, 4094), "3"),
        ("phys", "phys", (1, MAX_LABEL), ""),
        (str(MAX_PORT), str(MAX_PORT), (1, 4094), str(MAX_PORT)),
    ],
)
def test_forms_of_names(text: str, name: str, labels: tuple[int, int], domain: str) -> None:
    one = fabric()
    assert one.interface(text) == name
    assert (one.labels(name), one.domain(name)) == (labels, domain)


def test_what_is_wrong_with_a_name_is_told() -> None:
    for text, problem in (("lag4", "expected a port"), ("0", "lies between 1 and"), ("3.4095", "between 1 and 4094")):
        with pytest.raises(InterfaceInvalid, match=problem):
            parse(text, "the test")
    with pytest.raises(InterfaceInvalid, match="a name is text"):
        parse(7, "the test")  # type: ignore[arg-type]


# -- bridges and slices -----------------------------------------------------------------------------


def bridge(*ends: Channel, flow: TrafficFlow = FLOW) -> Bridge:
    return Bridge("k/1", dict.fromkeys(ends, flow))


@pytest.mark.parametrize("channel", channels(), ids=str)
def test_a_bridge_is_the_same_again_after_its_translation(channel: Channel) -> None:
    names = Names("the test")
    given = Bridge("k/1", {channel: FLOW, Channel("99", 9): TrafficFlow(0, MAX_RATE)})
    assert fault(given, names, metered=True) is None
    plain = to_slice(given, names, metered=True, dhcp=True)
    assert from_slice("k/1", plain, names) == given
    assert plain["circuits"][1] == {"circuit": [99, 9], "ingress": 0, "egress": MAX_RATE}
    # Another process knows which interfaces there are, not which was used; its name is one of the same circuit.
    later = Names("the test")
    later.parse(channel.interface)
    (told, _) = from_slice("k/1", plain, later).channels
    assert later.circuit(told) == later.circuit(channel)
    assert told == channel or channel.interface.endswith("x2")


def test_two_names_of_one_circuit_are_kept_apart() -> None:
    names = Names("the test")
    names.parse("3.100")
    double = bridge(Channel("3x2", 409620), Channel("4", 1))
    inner = bridge(Channel("3.100", 20), Channel("4", 1))
    for given in (double, inner, double):
        assert from_slice("k/1", to_slice(given, names, metered=True, dhcp=True), names) == given
    names.keep_only(set())
    assert from_slice("k/1", to_slice(inner, Names("other"), metered=True, dhcp=True), names) == inner


def test_without_meters_no_rates_are_sent_and_none_are_told() -> None:
    names = Names("the test")
    plain = to_slice(bridge(Channel("3", 1), Channel("phys", 4)), names, metered=False, dhcp=False)
    assert plain == {"circuits": [{"circuit": [3, 1]}, {"circuit": [4]}], "dhcp": False}
    assert set(from_slice("k/1", plain, names).channels.values()) == {TrafficFlow(MAX_KBPS, MAX_KBPS)}


@pytest.mark.parametrize(
    ("channel", "flow", "problem"),
    [
        (Channel("3", 0), FLOW, "lies outside 1 to 4094"),
        (Channel("3", 4095), FLOW, "lies outside 1 to 4094"),
        (Channel("3x2", 8192), FLOW, "outer tag 2, inner tag 0"),
        (Channel("3x2", 8191), FLOW, "outer tag 1, inner tag 4095"),
        (Channel("3x2", 20), FLOW, "lies outside"),
        (Channel("3.100", 4095), FLOW, "lies outside"),
        (Channel("phys", 0), FLOW, "lies outside"),
        (Channel("3", 1), TrafficFlow(1, MAX_RATE + 1), "more than an OpenFlow meter can count"),
    ],
)
def test_what_no_switch_can_have_is_told(channel: Channel, flow: TrafficFlow, problem: str) -> None:
    told = fault(bridge(channel, flow=flow), Names("the test"), metered=True)
    assert told is not None
    assert problem in told


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"circuits": 7},
        {"circuits": [7]},
        {"circuits": [{"circuit": 7}]},
        *(
            {"circuits": [{"circuit": circuit}]}
            for circuit in ([], [0], [3, 0], [3, 4095], [1, 2, 3, 4], [True], ["3"])
        ),
        *({"circuits": [{"circuit": [3], "ingress": rate}]} for rate in (-1, 1.5, "7", True, 2**32)),
    ],
    ids=str,
)
def test_what_is_no_slice_is_not_understood(plain: object) -> None:
    with pytest.raises((KeyError, ValueError, TypeError, AttributeError)):
        from_slice("k/1", plain, Names("the test"))
