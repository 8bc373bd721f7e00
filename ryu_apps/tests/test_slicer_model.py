"""The pure translation: where does a frame go? Asked of every circuit and tags of systematically made slices."""

import itertools

import pytest
from attrs import evolve
from dpb_slicer import cookies, pipeline, recovery
from dpb_slicer.books import Books, Wish
from dpb_slicer.circuits import End, Slice, overlaps
from dpb_slicer.model import Tables
from dpb_slicer.seating import Seating

from .fake_switch import FakeSwitch, Frame
from .slicer_lab import Ovs, Slicer, eventually, frame, mac, tags_of

PORTS = (1, 2, 3)
VLANS = (10, 20)
CIRCUITS = [
    *((port,) for port in PORTS),
    *((port, outer) for port in PORTS for outer in VLANS),
    *((port, outer, inner) for port in PORTS for outer in VLANS for inner in VLANS),
]
TAGS = [(), *itertools.chain(*(itertools.product((10, 20, 30), repeat=count) for count in (1, 2, 3)))]
RATES = {0: (None, None), 1: (1000, 2000), 2: (None, 3000), 3: (4000, None), 4: (0, None), 5: (None, 0)}


def disjoint(circuits):
    return not any(overlaps(one, other) for one, other in itertools.combinations(circuits, 2))


def slices_of_size(size):
    """Every set of this many disjoint circuits, with rates that go round."""
    turn = itertools.count()
    for circuits in itertools.combinations(CIRCUITS, size):
        if disjoint(circuits):
            kinds = itertools.cycle([next(turn) % 6, 0, 1, 2])
            yield Slice(tuple(End(c, *RATES[next(kinds)]) for c in circuits), dhcp=next(turn) % 5 != 0)


def made(*slices, max_meters=1000):
    """A fake switch with these slices."""
    books = Books(Seating.of(max_meters))
    wishes = {cookies.cookie_of(f"ns/{place}"): Wish(f"ns/{place}", each) for place, each in enumerate(slices)}
    plan = books.plan(wishes)
    assert not plan.refused
    books.put(plan.after)
    return FakeSwitch(books.wanted()), books


def entry_of(slices, port, tags):
    """By which end of which slice a frame comes in, and which tags are inside."""
    for slice_ in slices:
        for end in slice_.ends:
            here, *outer = end.circuit
            if here == port and tags[: len(outer)] == tuple(outer):
                return slice_, end, tags[len(outer) :]
    return None


def expected(slices, port, frame_):
    entry = entry_of(slices, port, frame_.tags)
    if entry is None or (not frame_.tags and frame_.ethertype == 0x88CC):
        return []
    slice_, came, inner = entry
    if came.ingress == 0 or (frame_.udp in (67, 68) and not slice_.dhcp):
        return []
    return in_order(
        (end.circuit[0], evolve(frame_, tags=(*end.circuit[1:], *inner)))
        for end in slice_.ends
        if end is not came and end.egress != 0
    )


def in_order(frames):
    return sorted(frames, key=repr)


def check_everywhere(switch, slices, **more):
    for port, tags in itertools.product(PORTS, TAGS):
        for sent in (
            Frame(tags, **more),
            Frame(tags, ethertype=0x88CC),
            Frame(tags, ethertype=0x0800, udp=67),
        ):
            assert in_order(switch.carry(port, sent)) == expected(slices, port, sent), (slices, port, sent)


@pytest.mark.parametrize("size", [2, 3])
def test_every_frame_of_every_slice_goes_where_it_should_and_nowhere_else(size):
    step = 1 if size == 2 else 11
    for slice_ in itertools.islice(slices_of_size(size), 0, None, step):
        switch, _ = made(slice_)
        check_everywhere(switch, [slice_])


def test_slices_beside_each_other_never_meet():
    pairs = list(itertools.islice(slices_of_size(2), 0, None, 4))
    triples = list(itertools.islice(slices_of_size(3), 0, None, 29))
    fours = list(itertools.islice(slices_of_size(4), 0, None, 401))
    tried = 0
    for one, other in itertools.product(triples + fours[:40], pairs):
        if disjoint(one.circuits + other.circuits):
            tried += 1
            if tried % 3 == 0:
                switch, _ = made(one, other)
                check_everywhere(switch, [one, other], source="02:00:00:00:00:02", target="02:00:00:00:00:03")
    assert tried > 100


def test_what_is_learned_decides_within_its_slice_and_never_beyond():
    lan = Slice(tuple(End(c) for c in [(1, 10), (1, 20, 10), (2,), (3, 20)]))
    other = Slice(tuple(End(c) for c in [(1, 20, 20), (3, 10), (3, 30)]))
    target = "02:00:00:00:00:99"
    for learned in lan.circuits:
        switch, books = made(lan, other)
        place = next(h.place for h in books.holdings.values() if h.slice == lan)
        switch.tables.put(pipeline.known_target(place.number, place.seats[learned].index, target))
        for circuit in lan.circuits:
            sent = Frame(circuit[1:], target=target)
            back = [] if circuit == learned else [(learned[0], evolve(sent, tags=learned[1:]))]
            assert switch.carry(circuit[0], sent) == back
        for circuit in other.circuits:
            sent = Frame(circuit[1:], target=target)
            assert in_order(switch.carry(circuit[0], sent)) == expected([lan, other], circuit[0], sent)


def test_unknown_senders_are_told_to_the_controller_and_known_or_group_ones_are_not():
    lan = Slice(tuple(End(c) for c in [(1,), (2, 10), (3, 10, 20)]))
    switch, books = made(lan)
    (holding,) = books.holdings.values()
    number = holding.place.number
    for circuit, seat in holding.place.seats.items():
        switch.carry(circuit[0], Frame(circuit[1:]))
        assert switch.copies == [(pipeline.metadata(number, seat.index), "02:00:00:00:00:01")]
        switch.carry(circuit[0], Frame(circuit[1:], source="03:00:00:00:00:01"))
        assert switch.copies == []
        switch.tables.put(pipeline.known_source(number, seat.index, "02:00:00:00:00:05", 9))
    for circuit in lan.circuits:
        switch.carry(circuit[0], Frame(circuit[1:], source="02:00:00:00:00:05"))
        assert switch.copies == []


def test_a_meter_that_drops_drops_what_leaves_there_and_nothing_else():
    lan = Slice(tuple(End(c, 1000, 1000) for c in [(1,), (2, 10), (2, 20, 10), (3, 10)]))
    switch, books = made(lan)
    (holding,) = books.holdings.values()
    assert len(switch.tables.meters) == 8
    for dropping in lan.circuits:
        switch.dropping = frozenset([holding.place.seats[dropping].egress])
        for circuit in lan.circuits:
            got = {(port, f.tags) for port, f in switch.carry(circuit[0], Frame(circuit[1:]))}
            assert got == {(c[0], c[1:]) for c in lan.circuits if c not in (circuit, dropping)}
        switch.dropping = frozenset([holding.place.seats[dropping].ingress])
        for circuit in lan.circuits:
            assert bool(switch.carry(circuit[0], Frame(circuit[1:]))) == (circuit != dropping)


@pytest.mark.parametrize("size", [2, 3])
def test_slices_are_found_again_in_what_they_became(size):
    for slice_ in itertools.islice(slices_of_size(size), 0, None, 1 if size == 2 else 5):
        _, books = made(slice_)
        (holding,) = books.holdings.values()
        found = recovery.find(books.wanted())
        assert set(found) == {holding.cookie}
        assert sorted(found[holding.cookie].slice.ends, key=lambda end: end.circuit) == sorted(
            slice_.ends, key=lambda end: end.circuit
        )
        assert found[holding.cookie].slice.dhcp == slice_.dhcp
        assert found[holding.cookie].place == holding.place


def test_a_switch_without_meters_carries_unmetered():
    slice_ = Slice((End((1,), 1000, 1000), End((2, 10), 5, 5), End((3,), None, 7)))
    switch, _ = made(slice_, max_meters=0)
    assert switch.tables.meters == {}
    check_everywhere(switch, [slice_])


def test_the_order_of_slices_and_of_circuits_changes_nothing():
    slice_ = Slice((End((1,)), End((2, 10), 5, 5), End((3,), None, 7)))
    other = Slice(tuple(reversed(slice_.ends)))
    for each in (slice_, other):
        switch, _ = made(each)
        check_everywhere(switch, [slice_])


def test_bursts_are_a_jumbo_frame_at_least():
    assert [pipeline.burst_of(rate) for rate in (1, 1000, 1600, 100_000)] == [80, 80, 80, 5000]


@pytest.mark.dataplane
@pytest.mark.xdist_group("slicer_model")
def test_the_fake_switch_is_like_the_real_one(tmp_path):
    """A sample of slice sets, all frames: what Open vSwitch does is what the model says."""
    lans = [
        [End((1,), 90_000, 80_000), End((2, 10)), End((2, 20, 10), None, 70_000), End((3, 20))],
        [End((1, 10, 20), None, 60_000), End((1, 10, 10)), End((3, 10), 50_000, None)],
        [End((2,), None, 50_000), End((3, 10)), End((3, 20, 20), None, 0), End((1, 20, 10), 0, None)],
        [End((1, 10)), End((1, 20), None, 90_000)],
        [End((3, 20, 10)), End((3, 20, 20))],
    ]
    ovs, slicer = Ovs(tmp_path / "o"), Slicer(tmp_path / "s")
    try:
        for number, ends in enumerate(lans):
            slice_ = Slice(tuple(ends), dhcp=number % 2 == 0)
            dpid, name = f"{number + 1:016x}", f"b{number}"
            ovs.bridge(name, dpid, PORTS, slicer.target)
            slicer.connected(dpid)
            told = [{"circuit": list(e.circuit), "ingress": e.ingress, "egress": e.egress} for e in ends]
            assert slicer.put(dpid, "ns/a", *told, dhcp=slice_.dhcp)[0] == 200
            fake, _ = made(slice_)
            for place, (port, tags) in enumerate(itertools.product(PORTS, TAGS)):
                sent = Frame(tags[:2], f"02:00:00:00:{number:02x}:{place:02x}")
                data = frame(mac(number << 8 | place), b"\xff" * 6, *sent.tags)
                ovs.wires[name, port].send(data)
                # Open vSwitch keeps two tags, and drops the innermost of three.
                wanted = sorted((p, f.tags[:2]) for p, f in fake.carry(port, sent))
                got = []

                def came(got=got, name=name, wanted=wanted):
                    for out in PORTS:
                        got += [(out, tags_of(each)[0][:2]) for each in ovs.wires[name, out].drain()]
                    return len(got) >= len(wanted)

                eventually(came, (slice_, port, sent, wanted, got), 5)
                assert sorted(got) == wanted, (slice_, port, sent)
    finally:
        slicer.stop()
        ovs.stop()


def test_tables_hold_one_entry_for_a_key():
    flows = pipeline.base()
    assert Tables.of([*flows, *flows]).entries() == list(flows)
