"""One switch and its commands, against a fake switch: it always converges, and never interrupts what is right."""

import itertools
import os
import time

import pytest
from dpb_slicer import cookies, pipeline
from dpb_slicer.books import Wish
from dpb_slicer.circuits import End, Slice, overlaps
from dpb_slicer.difference import Change, Forget, difference
from dpb_slicer.errors import NotConnected, Overlap, Refused, TimedOut
from dpb_slicer.learning import Learning, Limits
from dpb_slicer.link import Features
from dpb_slicer.model import Flow, Group, Match, Meter, Output, Tables
from dpb_slicer.pipeline import Place, Seat
from dpb_slicer.switch import Port, Switch
from dpb_slicer.timing import Timing
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from .fake_switch import FakeLink, FakeSwitch, Frame, apply

FEATURES = Features(1000, None)
CIRCUITS = [(1,), (2,), (3, 10), (3, 20), (3, 30, 10), (3, 30, 20), (4, 10), (4, 20, 10)]
KEYS = ["ns/a", "ns/b", "other/c"]
RATES = st.sampled_from([None, 0, 1000, 2000])


def application(link):
    """An application that has just started, connected."""
    switch = Switch("00000000000000aa", Timing(1, 0, 0, 0), Limits())
    switch.ports = {number: Port(f"p{number}", True) for number in range(1, 9)}
    switch.arrived(link, FEATURES)
    return switch


def wish(switch, key, slice_):
    return switch.change({cookies.cookie_of(key): Wish(key, slice_)})[cookies.cookie_of(key)]


def passes(fake, one, other, source="02:00:00:00:00:07"):
    """Whether a frame from an end comes out at another."""
    return (other[0], other[1:]) in {
        (port, frame.tags) for port, frame in fake.carry(one[0], Frame(one[1:], source=source))
    }


def ways(slice_):
    """The pairs of ends between which frames pass."""
    return {
        (one.circuit, other.circuit)
        for one, other in itertools.permutations(slice_.ends, 2)
        if one.ingress != 0 and other.egress != 0
    }


class Machine(RuleBasedStateMachine):
    """Commands, losses, strays and restarts in any order, beside a dictionary of what is wanted."""

    @initialize()
    def start(self):
        self.fake = FakeSwitch()
        self.link = FakeLink(self.fake, watch=self.look)
        self.wanted = {}
        self.steady = set()
        self.switch = application(self.link)
        self.trusted = False
        self.spoilt = False
        self.strange = False  # something may be there that is not of what is wanted
        self.untidy = False  # groups and meters may be there that the application does not know

    def look(self):
        for one, other in self.steady:
            assert passes(self.fake, one, other), f"{one} to {other} is interrupted"

    def always(self, changed, slice_):
        """The ways that must be open at every step of a command: before it and after it."""
        self.steady = set()
        if self.spoilt:
            return
        for key, held in self.wanted.items():
            if key != changed:
                self.steady |= ways(held)
            elif slice_:
                self.steady |= ways(held) & ways(slice_)

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def put(self, key, data):
        circuits = data.draw(st.lists(st.sampled_from(CIRCUITS), min_size=2, max_size=5, unique=True))
        slice_ = Slice(tuple(End(c, data.draw(RATES), data.draw(RATES)) for c in circuits), data.draw(st.booleans()))
        taken = [c for k, held in self.wanted.items() if k != key for c in held.circuits]
        self.always(key, slice_)
        outcome = wish(self.switch, key, slice_)
        if any(overlaps(one, other) for one in circuits for other in taken):
            assert isinstance(outcome, Overlap)
        else:
            assert outcome is None
            self.wanted[key] = slice_

    @rule(key=st.sampled_from(KEYS))
    def delete(self, key):
        self.always(key, None)
        assert wish(self.switch, key, None) is None
        self.wanted.pop(key, None)

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def refused(self, key, data):
        """The switch refuses some of a new slice's entries: nothing of it is left, and the old one is as before."""
        free = [c for c in CIRCUITS if not any(overlaps(c, t) for h in self.wanted.values() for t in h.circuits)]
        if len(free) < 2 or self.spoilt:
            return
        held = self.wanted.get(key, Slice(()))
        slice_ = Slice((*held.ends, *(End(c, 500, data.draw(RATES)) for c in free)))
        kind = data.draw(st.sampled_from([Flow, Group, Meter]))
        mine = cookies.cookie_of(key)
        before = self.link.read(1)

        def refuses(step):
            if isinstance(step, Change) and step.verb != "delete" and isinstance(step.entry, kind):
                if kind is Flow and (step.entry.cookie != mine or step.entry.key in before.flows):
                    return None
                if kind is not Flow and step.entry.id in (before.groups if kind is Group else before.meters):
                    return None
                return "OFPET_X OFPX_NO"
            return None

        self.always(key, held)
        self.link.refuses = refuses
        outcome = wish(self.switch, key, slice_)
        self.link.refuses = lambda step: None
        if isinstance(outcome, Refused):
            assert difference(self.link.read(1), before) == []
        else:
            self.wanted[key] = slice_

    @rule(key=st.sampled_from(KEYS), data=st.data(), steps=st.integers(0, 12), away=st.booleans())
    def cut(self, key, data, steps, away):
        """The switch does not answer a command in time, or goes away: wanted is the new, or what was before."""
        circuits = data.draw(st.lists(st.sampled_from(CIRCUITS), max_size=5, unique=True))
        slice_ = Slice(tuple(End(c, data.draw(RATES), data.draw(RATES)) for c in circuits)) if circuits[1:] else None
        self.always(key, slice_)
        self.link.gives_up = steps, NotConnected("aa") if away else TimedOut("aa", "1 s")
        try:
            outcome = wish(self.switch, key, slice_)
        except TimedOut:
            outcome = None
            self.spoilt = self.strange = True
        except NotConnected as error:
            outcome = error
        self.link.gives_up = None
        if outcome is None:
            self.wanted |= {key: slice_} if slice_ else {}
            if slice_ is None:
                self.wanted.pop(key, None)
        elif isinstance(outcome, NotConnected):
            self.spoilt = True
            self.reconnect()

    @rule(data=st.data())
    def lose(self, data):
        """Something goes from the switch."""
        entries = self.fake.tables.entries()
        if entries:
            entry = data.draw(st.sampled_from(sorted(entries, key=repr)))
            self.fake_apply(Change("delete", entry))

    @precondition(lambda self: self.trusted)
    @rule(port=st.sampled_from([1, 2, 3]), priority=st.sampled_from([100, 200, 900]), meter=st.integers(1, 30))
    def stray(self, port, priority, meter):
        """Somebody puts something on the switch by hand."""
        for entry in (
            Flow(0, priority, Match(in_port=port), 0, actions=(Output(9),)),
            Meter(meter, 7, 80),
            Group(meter, "all", ()),
        ):
            self.fake.tables.put(entry)
        self.spoilt = self.strange = True

    def fake_apply(self, step):
        apply(self.fake.tables, step)
        self.spoilt = True

    @rule()
    def audit(self):
        self.always(None, None)
        self.switch.audits.suspect = True
        self.switch.audit()
        self.spoilt = self.strange = False

    @precondition(lambda self: not self.spoilt)
    @rule()
    def restart(self):
        """The application is started anew, and told the keys, one namespace after the other."""
        self.always(None, None)
        before = self.link.read(1)
        self.link.steps.clear()
        self.switch = application(self.link)
        assert self.link.steps == []
        for prefix in ("ns/", "other/"):
            assert self.switch.remove_others(prefix, [k for k in self.wanted if k.startswith(prefix)]) == 0
        if not self.untidy:
            assert self.link.read(1) == before
        self.trusted = True
        self.untidy = False

    @precondition(lambda self: not self.strange)
    @rule(told=st.booleans())
    def start_over(self, told):
        """The application is started anew, whatever was lost meanwhile: the slices are put again."""
        self.always(None, None)
        self.switch = application(self.link)
        if told:
            for prefix in ("ns/", "other/"):
                self.switch.remove_others(prefix, [k for k in self.wanted if k.startswith(prefix)])
        self.trusted, self.untidy = told, not told and (self.untidy or self.spoilt)
        for key, held in self.wanted.items():
            assert wish(self.switch, key, held) is None
        self.audit()

    @rule()
    def reconnect(self):
        self.always(None, None)
        self.switch.left(self.link)
        with pytest.raises(NotConnected):
            wish(self.switch, "ns/a", None)
        self.switch.arrived(self.link, FEATURES)
        self.spoilt = self.strange = False

    @invariant()
    def right(self):
        if not self.spoilt and hasattr(self, "switch"):
            self.steady = set().union(*map(ways, self.wanted.values()))
            self.look()
            for held in self.wanted.values():
                for one in held.circuits:
                    reached = {(p, f.tags) for p, f in self.fake.carry(one[0], Frame(one[1:]))}
                    assert reached == {(b[0], b[1:]) for a, b in ways(held) if a == one}
            assert {cookie: told(held) for cookie, held in self.switch.really().items()} == {
                cookies.cookie_of(key): told(held) for key, held in self.wanted.items()
            }
            there = self.link.read(1)
            if not self.untidy:
                assert len(there.groups) == sum(len(held.ends) > 2 for held in self.wanted.values())
                ends = [end for held in self.wanted.values() for end in held.ends]
                assert len(there.meters) == sum(bool(rate) for end in ends for rate in (end.ingress, end.egress))


def told(slice_):
    """A slice as it may be compared with another: the order of its ends does not matter."""
    return frozenset(slice_.ends), slice_.dhcp


SOAK = os.environ.get("DPB_SOAK") == "1"
# The same examples each time: a run tells of the change that was made. A soak looks for new ones.
Machine.TestCase.settings = settings(
    max_examples=2000 if SOAK else 60, stateful_step_count=20, deadline=None, derandomize=not SOAK
)
TestMachine = Machine.TestCase


def test_a_switch_that_is_right_is_sent_nothing():
    fake = FakeSwitch()
    link = FakeLink(fake)
    switch = application(link)
    wish(switch, "ns/a", Slice((End((1,), 5, 5), End((2,)), End((3,)))))
    link.steps.clear()
    switch.audits.suspect = True
    switch.audit()
    switch.left(link)
    switch.arrived(link, FEATURES)
    assert link.steps == []


FIVE = [(1,), (2,), (3, 10), (3, 20), (3, 30, 10)]


def five(*, egress=0, ingress=None, dhcp=True):
    """A slice of five circuits, the last with these rates."""
    return Slice((*(End(circuit) for circuit in FIVE[:-1]), End(FIVE[-1], ingress, egress)), dhcp)


def without_its_group(key, slice_):
    """An application that was never told all keys, with one slice whose group was then lost; and its link."""
    link = FakeLink(FakeSwitch())
    switch = application(link)
    assert wish(switch, key, slice_) is None
    (group,) = link.read(1).groups.values()
    apply(link.switch.tables, Change("delete", group))
    return switch, link


def audit(switch):
    """A full audit."""
    switch.audits.suspect = True
    switch.audit()


def test_what_a_change_no_longer_needs_goes_though_the_switch_had_lost_a_group():
    switch, link = without_its_group("other/c", five(dhcp=False))
    assert wish(switch, "other/c", five(dhcp=True)) is None
    audit(switch)
    assert wish(switch, "other/c", None) is None
    assert link.read(1).flows.keys() == {flow.key for flow in pipeline.base()}
    two = Slice((End((1,)), End((2,))))
    assert wish(switch, "other/c", two) is None
    assert switch.really() == {cookies.cookie_of("other/c"): two}


def test_no_meter_is_left_by_a_change_though_the_switch_had_lost_a_group():
    switch, link = without_its_group("other/c", five(ingress=1000, dhcp=False))
    assert len(link.read(1).meters) == 1
    assert wish(switch, "other/c", five(egress=None, dhcp=False)) is None
    assert link.read(1).meters == {}
    audit(switch)
    before = link.read(1)
    again = application(link)
    again.remove_others("other/", ["other/c"])
    assert link.read(1) == before


def test_ends_that_a_change_takes_out_go_though_the_switch_had_lost_the_group():
    switch, link = without_its_group("ns/a", five())
    three = Slice(five().ends[:3])
    assert wish(switch, "ns/a", three) is None
    assert switch.really() == {cookies.cookie_of("ns/a"): three}
    assert not passes(link.switch, (1,), (3, 20))
    assert not [flow for flow in link.read(1).flows.values() if flow.match == Match(3, 30)]  # served the double tag


def test_nothing_is_left_of_a_change_that_was_not_confirmed_once_the_slice_is_deleted():
    link = FakeLink(FakeSwitch())
    switch = application(link)
    assert wish(switch, "ns/a", five(dhcp=False, ingress=5)) is None
    link.gives_up = 0, TimedOut("aa", "1 s")
    with pytest.raises(TimedOut):
        wish(switch, "ns/a", Slice(five().ends[:3]))
    link.gives_up = None
    assert wish(switch, "ns/a", None) is None
    switch.audit()
    assert link.read(1) == Tables.of(pipeline.base())


def test_a_switch_that_goes_away_while_a_refusal_is_seen_to_keeps_what_it_had():
    before = five()
    switch, link = without_its_group("ns/a", before)

    def read(timeout):
        raise NotConnected(switch.dpid)

    link.read, reading = read, link.read
    with pytest.raises(NotConnected):
        wish(switch, "ns/a", five(dhcp=False))
    link.read = reading
    switch.left(link)
    switch.arrived(link, FEATURES)
    assert switch.really() == {cookies.cookie_of("ns/a"): before}


def test_what_another_slice_is_refused_keeps_no_change_from_being_done_wholly():
    switch, link = without_its_group("ns/a", five())
    other = Slice((End((4, 10)), End((5,))))
    assert wish(switch, "ns/b", other) is None
    for flow in [f for f in link.read(1).flows.values() if f.cookie == cookies.cookie_of("ns/b")]:
        apply(link.switch.tables, Change("delete", flow))
    mine = cookies.cookie_of("ns/b")
    link.refuses = lambda s: "OFPET_X" if isinstance(s, Change) and getattr(s.entry, "cookie", 0) == mine else None
    three = Slice(five().ends[:3])
    assert wish(switch, "ns/a", three) is None
    assert switch.really() == {cookies.cookie_of("ns/a"): three}
    link.refuses = lambda step: None
    switch.audit()
    assert switch.really() == {cookies.cookie_of("ns/a"): three, mine: other}


def test_no_frame_of_a_slice_that_is_there_in_part_comes_into_a_new_one():
    link = FakeLink(FakeSwitch())
    wish(application(link), "ns/a", Slice((End((1,)), End((2,)), End((3, 10)))))
    for flow in [flow for flow in link.read(1).flows.values() if flow.table == pipeline.EXIT]:
        apply(link.switch.tables, Change("delete", flow))
    switch = application(link)  # it does not know the slice again
    new = Slice((End((4, 10)), End((4, 20)), End((5,))))
    assert wish(switch, "ns/b", new) is None
    assert passes(link.switch, (4, 10), (5,))
    assert not any(passes(link.switch, (1,), other) for other in new.circuits)


def test_meters_of_a_command_that_was_not_confirmed_are_free_after_an_audit():
    switch = Switch("00000000000000aa", Timing(1, 0, 0), Limits())
    switch.ports = {number: Port(f"p{number}", True) for number in range(1, 9)}
    link = FakeLink(FakeSwitch())
    switch.arrived(link, Features(2, None))
    two = Slice((End((1,), 5, 5), End((2,))))
    assert wish(switch, "ns/a", two) is None
    link.gives_up = 0, TimedOut("aa", "1 s")
    with pytest.raises(TimedOut):
        wish(switch, "ns/a", None)
    link.gives_up = None
    audit(switch)
    assert link.read(1).meters == {}
    assert wish(switch, "ns/b", two) is None


def test_a_switch_that_answers_later_than_it_can_gets_more_time_for_its_caches(monkeypatch):
    now, given = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", given.append)

    class Slow(FakeLink):
        takes = 0.1

        def transact(self, steps, timeout):
            now[0] += self.takes
            return super().transact(steps, timeout)

    link = Slow(FakeSwitch())
    switch = Switch(
        "00000000000000aa", Timing(command=1, quick=0, full=0, settle=0.015, sluggish=4, settle_most=0.5), Limits()
    )
    switch.ports = {number: Port(f"p{number}", True) for number in range(1, 9)}
    switch.arrived(link, FEATURES)
    # One that is far away is not late.
    for link.takes, port in ((0.1, 1), (0.105, 3), (0.15, 5), (0.7, 7)):
        assert wish(switch, f"ns/{port}", Slice((End((port,)), End((port + 1,))))) is None
    assert given == pytest.approx([0.015, 0.02, 0.2, 0.5])


def test_meters_that_run_out_are_refused_and_given_back():
    switch = Switch("00000000000000aa", Timing(1, 0, 0), Limits())
    switch.ports = {number: Port(f"p{number}", True) for number in range(1, 9)}
    switch.arrived(FakeLink(FakeSwitch()), Features(3, None))
    two = Slice((End((1,), 5, 5), End((2,))))
    assert wish(switch, "ns/a", two) is None
    outcome = wish(switch, "ns/b", Slice((End((3,), 5, 5), End((4,)))))
    assert "OUT_OF_METERS" in str(outcome)
    assert wish(switch, "ns/b", Slice((End((3,), 5), End((4,))))) is None
    assert wish(switch, "ns/a", None) is None
    assert wish(switch, "ns/c", two) is None


def test_a_batch_stands_or_falls_key_by_key():
    switch = application(FakeLink(FakeSwitch()))
    wish(switch, "ns/a", Slice((End((1,)), End((2,)))))
    wishes = {
        "ns/b": Slice((End((1, 5)), End((3,)))),  # overlaps a, which stays
        "ns/c": Slice((End((3,)), End((4,)))),
        "ns/d": Slice((End((99,)), End((5,)))),  # no such port
    }
    outcome = switch.change({cookies.cookie_of(key): Wish(key, slice_) for key, slice_ in wishes.items()})
    told = [outcome[cookies.cookie_of(key)] for key in wishes]
    assert isinstance(told[0], Overlap)
    assert (told[0].key, told[0].circuit, told[0].taken) == ("ns/a", (1, 5), (1,))
    assert told[1] is None
    assert isinstance(told[2], Refused)
    assert set(switch.really()) == {cookies.cookie_of("ns/a"), cookies.cookie_of("ns/c")}


def test_the_order_is_make_before_break():
    old = Slice((End((1,), 5), End((2,)), End((3,), None, 6)))
    new = Slice((End((1,)), End((4,), 7)))
    fake = FakeSwitch()
    link = FakeLink(fake)
    switch = application(link)
    wish(switch, "ns/a", old)
    link.steps.clear()
    wish(switch, "ns/a", new)
    kinds = ["forget" if isinstance(s, Forget) else f"{s.verb} {type(s.entry).__name__}" for s in link.steps]
    assert [kind for kind, _ in itertools.groupby(kinds)] == [
        "add Meter", "add Flow", "forget", "delete Flow", "delete Group", "delete Meter",
    ]  # fmt: skip


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Pupil:
    """A slice with three circuits that learns, and what the switch was told."""

    def __init__(self):
        self.sent, self.clock = [], Clock()
        limits = Limits(addresses=3, per_second=5, quiet=2)
        self.learning = Learning(limits, self.sent.extend, self.clock)
        self.place = Place(7, {(1,): Seat(1), (2,): Seat(2), (3,): Seat(3)})
        self.learning.teach(7, self.place)

    def seen(self, index, last):
        """What is sent when a frame of a sender comes in."""
        self.sent.clear()
        self.learning.seen(7, index, f"02:00:00:00:00:{last:02x}")
        return [(step.verb, step.entry.priority) for step in self.sent]


def test_an_address_is_told_once_moves_and_is_forgotten():
    pupil = Pupil()
    assert pupil.seen(1, 1) == [("add", 200), ("add", 200)]
    assert pupil.seen(1, 1) == []  # frames that were on their way
    assert pupil.seen(2, 1) == [("add", 200), ("add", 200), ("delete", 200)]
    pupil.learning.silent(7, 1, "02:00:00:00:00:01")  # the old place's flow: it is known elsewhere by now
    assert pupil.learning.known(7) == {"02:00:00:00:00:01": 2}
    pupil.sent.clear()
    pupil.learning.silent(7, 2, "02:00:00:00:00:01")
    assert [step.verb for step in pupil.sent] == ["delete"]
    assert pupil.learning.known(7) == {}


def test_a_station_that_moves_while_the_switch_is_read_is_not_believed_at_its_old_place():
    address = "02:00:00:00:00:07"

    class Slow(FakeLink):
        moves = False

        def read(self, timeout):
            there = super().read(timeout)
            if self.moves:  # what was read is from before
                switch.learning.seen(number, index[(2,)], address)
            return there

    fake = FakeSwitch()
    link = Slow(fake)
    switch = application(link)
    assert wish(switch, "ns/a", Slice(tuple(End((port,), None, None) for port in (1, 2, 3)))) is None
    (holding,) = switch.books.holdings.values()
    number, index = holding.place.number, {c: seat.index for c, seat in holding.place.seats.items()}
    switch.learning.seen(number, index[(1,)], address)
    link.moves, switch.audits.suspect = True, True
    switch.audit()
    link.moves = False
    assert switch.learning.known(number) == {address: index[(2,)]}
    switch.learning.seen(number, index[(3,)], address)
    senders = {f.cookie for f in fake.tables.flows.values() if f.match.eth_src == address}
    assert {cookies.learned_at(cookie) for cookie in senders} == {(number, index[(3,)])}


def test_what_was_learned_before_the_switch_was_read_is_as_it_reports():
    pupil = Pupil()
    pupil.seen(1, 1)
    pupil.seen(1, 2)
    pupil.clock.now += 1
    pupil.learning.recall({7: {"02:00:00:00:00:01": 3}}, pupil.clock.now)
    assert pupil.learning.known(7) == {"02:00:00:00:00:01": 3}


def test_addresses_are_bounded_in_number_and_in_rate():
    pupil = Pupil()
    for last in (1, 2, 3):
        assert len(pupil.seen(1, last)) == 2
    assert pupil.seen(1, 4) == [("add", 150)]  # full: this circuit is left alone for a while
    assert len(pupil.seen(2, 1)) == 3  # what is known may move still
    pupil.clock.now += 1
    assert [len(pupil.seen(3, 1 + n % 3)) for n in range(5)] == [3, 3, 3, 0, 0]
    assert pupil.seen(3, 9) == [("add", 150)]


def test_nothing_is_learned_for_slices_or_circuits_that_are_not_there():
    pupil = Pupil()
    assert pupil.seen(4, 1) == []
    pupil.seen(1, 1)
    pupil.learning.teach(7, Place(7, {(2,): Seat(2), (3,): Seat(3), (4,): Seat(4)}))
    assert pupil.learning.known(7) == {}
    pupil.learning.teach(7, None)
    assert pupil.seen(2, 1) == []
    pupil.sent.clear()
    pupil.learning.seen(8, 1, "02:00:00:00:00:01")
    assert pupil.sent == []


def test_group_addresses_are_not_learned():
    pupil = Pupil()
    pupil.learning.seen(7, 1, "ff:ff:ff:ff:ff:ff")
    assert pupil.sent == []


def test_tables_are_compared_by_what_they_hold():
    flow = Flow(0, 1, Match(in_port=1), 5)
    assert difference(Tables.of([flow]), Tables.of([flow])) == []
    assert difference(Tables.of([flow]), Tables()) == [Change("delete", flow)]
