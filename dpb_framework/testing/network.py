"""The conformance suite of the contract Network, clauses N1 to N16.

    class TestMyNetwork(NetworkContract):
        @pytest.fixture
        def network(self):
            with World(my_layout(), runtime=Runtime) as world:
                yield world.network("mine")

        @pytest.fixture
        def terminals(self):
            return ["a", "b", "c"]

The network runs on threads of its own. Its terminals have the labels 100 to 199 free and room for 100 kbit/s at least.
Fixtures that answer None in `NetworkFixtures` are optional; a test that needs one which is not given is skipped and
says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence

import pytest
from attrs import evolve

from dpb_framework.contracts import Network, Service
from dpb_framework.errors import (
    CircuitTaken,
    DpbError,
    LabelsUnavailable,
    SegmentInvalid,
    ServiceGone,
    ServiceLogic,
    ServiceUnknown,
    TerminalUnknown,
)
from dpb_framework.model import STABLE, Caller, Change, Desired, Event, EventKind, Segment, Status
from dpb_framework.reply import Reply
from dpb_framework.signatures import mismatches

CALLER = Caller("conformance")
PATIENCE = 20.0
"""How long a test waits for what must come, in seconds."""

COMMANDS: tuple[str, ...] = ("activate", "deactivate", "reset", "release", "commit", "abort")
"""The commands that take nothing but the caller."""


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until *holds* is true; fail when it does not come true in time."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "what must come did not come in time"
        time.sleep(0.002)


def reach(service: Service, *statuses: Status) -> None:
    """Wait until the service is in one of *statuses*."""
    found = service.wait(statuses, PATIENCE).result(PATIENCE + 1)
    assert found in statuses, f"service {service.id} is {found.value}, not {statuses}: {service.error}"


def done(reply: Reply[None]) -> None:
    """Wait for a command that must be accepted."""
    assert reply.result(PATIENCE) is None


def refused(reply: Reply[None], *errors: type[DpbError]) -> DpbError:
    """Wait for a command that must be refused with one of *errors*; return the error."""
    with pytest.raises(errors) as caught:
        reply.result(PATIENCE)
    assert str(caught.value), "an error tells what is wrong"
    assert "\n" not in str(caught.value), "an error is one line"
    return caught.value


class NetworkFixtures:
    """What the suite needs to know of a network."""

    @pytest.fixture
    def network(self) -> Network:
        """A network, started, without services."""
        raise NotImplementedError("a subclass gives the fixture network")

    @pytest.fixture
    def terminals(self) -> Sequence[str]:
        """At least three of its terminals that can be joined with each other."""
        raise NotImplementedError("a subclass gives the fixture terminals")

    @pytest.fixture
    def carries(self) -> Callable[[str, int], Collection[tuple[str, int]]] | None:
        """Optional: where a frame comes out that enters at (terminal, label)."""
        return None

    @pytest.fixture
    def restart(self) -> Callable[[], Network] | None:
        """Optional: end whatever runs the network, start it again on what it kept, return the network."""
        return None

    @pytest.fixture
    def ends(self, terminals: Sequence[str]) -> Callable[..., Segment]:
        """Make a segment over the first (or the given) terminals, all with one label and rate."""

        def make(label: int | None = 100, rate: int = 10, count: int = 2, skip: int = 0) -> Segment:
            return Segment.of(*((name, label, rate, rate) for name in terminals[skip : skip + count]))

        return make

    @pytest.fixture
    def made(self, network: Network, ends: Callable[..., Segment]) -> Callable[..., Service]:
        """Make a service that is INACTIVE, or with *active* ACTIVE."""

        def make(label: int = 100, *, active: bool = False, handle: str | None = None, rate: int = 10) -> Service:
            service = network.create(CALLER, handle, ends(label, rate)).result(PATIENCE)
            reach(service, Status.INACTIVE)
            if active:
                done(service.activate(CALLER))
                reach(service, Status.ACTIVE)
            return service

        return make


class NetworkContract(NetworkFixtures):
    """The tests. A subclass gives at least the fixtures `network` and `terminals`."""

    def test_has_the_signatures_of_the_contract(self, network: Network, made: Callable[..., Service]) -> None:
        """Methods take what the contract says, in its order, for networks and services."""
        assert mismatches(type(network), Network) == []
        assert mismatches(type(made()), Service) == []

    def test_terminals_are_sorted_names(self, network: Network, terminals: Sequence[str]) -> None:
        """The fixture names at least three of them."""
        names = network.terminals()
        assert list(names) == sorted(set(names))
        assert len(set(terminals)) >= 3, "the fixture terminals gives at least three"
        assert set(terminals) <= set(names)

    # -- N1 to N3 -----------------------------------------------------------------------------------

    def test_n1_a_fresh_service(self, network: Network) -> None:
        """N1: it is DORMANT, and tells the same in parts and in one view."""
        service = network.create(CALLER).result(PATIENCE)
        view = service.view()
        assert (view.network, view.id, view.handle, view.owner) == (network.name, service.id, None, CALLER.name)
        assert (service.status, service.desired, service.change) == (Status.DORMANT, Desired.DORMANT, Change.NONE)
        assert (service.segment, service.error, service.conditions) == (None, None, ())
        assert (view.status, view.desired, view.change) == (Status.DORMANT, Desired.DORMANT, Change.NONE)
        assert (view.segment, view.error, view.conditions) == (None, None, ())

    def test_n1_commands_can_be_given_by_a_listener(self, network: Network, ends: Callable[..., Segment]) -> None:
        """N1: no method blocks, not even in a thread of the network's own."""
        service = network.create(CALLER).result(PATIENCE)
        replies: list[Reply[None]] = []

        def listener(seen: Service) -> None:
            if seen.status is Status.INACTIVE and not replies:
                replies.append(seen.activate(CALLER))

        cancel = service.watch(listener)
        done(service.define(ends(), CALLER))
        eventually(lambda: bool(replies))
        done(replies[0])
        reach(service, Status.ACTIVE)
        cancel()
        cancel()

    def test_n2_commands_take_effect_in_their_order(self, network: Network, ends: Callable[..., Segment]) -> None:
        """N2: given without waiting in between."""
        service = network.create(CALLER).result(PATIENCE)
        replies = [service.define(ends(), CALLER), service.activate(CALLER), service.deactivate(CALLER)]
        replies += [service.activate(CALLER), service.deactivate(CALLER), service.activate(CALLER)]
        for reply in replies:
            done(reply)
        reach(service, Status.ACTIVE)
        assert service.desired is Desired.ACTIVE
        released = [service.deactivate(CALLER), service.release(CALLER), service.release(CALLER)]
        for reply in released:
            done(reply)
        reach(service, Status.RELEASED)

    @pytest.mark.parametrize("command", [c for c in COMMANDS if c != "release"])
    def test_n3_nothing_but_release_is_taken_by_a_released_service(
        self, made: Callable[..., Service], command: str
    ) -> None:
        """N3."""
        service = made()
        done(service.release(CALLER))
        reach(service, Status.RELEASED)
        error = refused(getattr(service, command)(CALLER), ServiceGone)
        assert isinstance(error, ServiceGone)
        assert error.service == service.id
        done(service.release(CALLER))
        assert service.status is Status.RELEASED

    def test_n3_a_released_service_is_not_defined_or_changed(
        self, made: Callable[..., Service], ends: Callable[..., Segment]
    ) -> None:
        """N3."""
        service = made()
        done(service.release(CALLER))
        reach(service, Status.RELEASED)
        refused(service.define(ends(), CALLER), ServiceGone)
        refused(service.prepare(ends(), CALLER), ServiceGone)

    def test_n3_a_change_of_a_dormant_service_is_refused(self, network: Network, ends: Callable[..., Segment]) -> None:
        """N3, N9."""
        service = network.create(CALLER).result(PATIENCE)
        before = service.view()
        refused(service.prepare(ends(), CALLER), ServiceLogic)
        assert service.view() == before

    # -- N4 to N6 -----------------------------------------------------------------------------------

    @pytest.mark.parametrize("active", [False, True])
    def test_n4_the_same_segment_again_changes_nothing(
        self, made: Callable[..., Service], ends: Callable[..., Segment], active: bool
    ) -> None:
        """N4: in whatever order its ends are given."""
        service = made(active=active)
        before = service.view()
        done(service.define(ends(), CALLER))
        done(service.define(Segment(reversed(ends().ends)), CALLER))
        assert service.view() == before

    @pytest.mark.parametrize("active", [False, True])
    def test_n4_another_segment_is_refused_and_destroys_nothing(
        self, made: Callable[..., Service], ends: Callable[..., Segment], active: bool
    ) -> None:
        """N4."""
        service = made(active=active)
        before = service.view()
        refused(service.define(ends(101), CALLER), ServiceLogic)
        refused(service.define(ends(rate=11), CALLER), ServiceLogic)
        refused(service.define(ends(count=3), CALLER), ServiceLogic)
        assert service.view() == before

    def test_n5_segments_that_cannot_be(self, network: Network, terminals: Sequence[str]) -> None:
        """N5: refused at once, the service is DORMANT with the reason, and can be defined after that."""
        a, b = terminals[:2]
        service = network.create(CALLER).result(PATIENCE)
        wrong = [
            ([], SegmentInvalid),
            ([(a, 100, 10, 10)], SegmentInvalid),
            ([(a, 100, 10, 10), (a, 100, 10, 10)], SegmentInvalid),
            ([(a, 100, 0, 0), (b, 100, 10, 10)], SegmentInvalid),
            ([(a, 100, -1, 10), (b, 100, 10, 10)], SegmentInvalid),
            ([(a, 1 << 24, 10, 10), (b, 100, 10, 10)], SegmentInvalid),
            ([(a, 100, 10, 10), ("no such terminal", 100, 10, 10)], TerminalUnknown),
            ([(a, (1 << 24) - 1, 10, 10), (b, 100, 10, 10)], LabelsUnavailable),
        ]
        for ends, kind in wrong:
            error = refused(service.define(Segment.of(*ends), CALLER), kind)
            assert service.status is Status.DORMANT
            assert service.error is not None
            assert (service.error.code, service.error.text) == (error.code, str(error))
        done(service.define(Segment.of((a, 100, 10, 10), (b, 100, 10, 10)), CALLER))
        reach(service, Status.INACTIVE)
        assert service.error is None

    def test_n5_a_circuit_is_in_one_service_only(
        self, made: Callable[..., Service], network: Network, terminals: Sequence[str], ends: Callable[..., Segment]
    ) -> None:
        """N5: whoever comes second is told who has it; when that is gone it is free."""
        first = made()
        second = network.create(CALLER).result(PATIENCE)
        overlapping = Segment.of((terminals[1], 100, 10, 10), (terminals[2], 100, 10, 10))
        error = refused(second.define(overlapping, CALLER), CircuitTaken)
        assert isinstance(error, CircuitTaken)
        assert (error.terminal, error.label, error.service) == (terminals[1], 100, first.id)
        assert first.status is Status.INACTIVE
        done(first.release(CALLER))
        reach(first, Status.RELEASED)
        done(second.define(overlapping, CALLER))
        reach(second, Status.INACTIVE)

    def test_n5_a_failed_define_clears_a_remembered_activate(
        self, network: Network, terminals: Sequence[str], ends: Callable[..., Segment]
    ) -> None:
        """N5, N7."""
        service = network.create(CALLER).result(PATIENCE)
        done(service.activate(CALLER))
        refused(service.define(Segment.of((terminals[0], 100, 10, 10)), CALLER), SegmentInvalid)
        done(service.define(ends(), CALLER))
        reach(service, Status.INACTIVE, Status.ACTIVE)
        assert service.desired is Desired.INACTIVE

    def test_n6_an_open_label_is_chosen(self, network: Network, ends: Callable[..., Segment]) -> None:
        """N6: the label is told, free, and each time another one; to ask again for the open one is repeatable."""
        seen: set[tuple[str, int | None]] = set()
        for _ in range(3):
            service = network.create(CALLER, None, ends(None)).result(PATIENCE)
            reach(service, Status.INACTIVE)
            assert service.segment is not None
            chosen = {(end.circuit.terminal, end.circuit.label) for end in service.segment.ends}
            assert not any(label is None for _, label in chosen)
            assert not chosen & seen
            seen |= chosen
            done(service.define(ends(None), CALLER))
            done(service.define(service.segment, CALLER))
        assert len(seen) == 6

    # -- N7, N8: life -------------------------------------------------------------------------------

    def test_n7_an_early_activate_is_carried_out_later(self, network: Network, ends: Callable[..., Segment]) -> None:
        """N7: before define, and before it is established."""
        early = network.create(CALLER).result(PATIENCE)
        done(early.activate(CALLER))
        done(early.activate(CALLER))
        assert early.status is Status.DORMANT
        done(early.define(ends(), CALLER))
        reach(early, Status.ACTIVE)
        late = network.create(CALLER).result(PATIENCE)
        replies = [late.define(ends(101), CALLER), late.activate(CALLER)]
        for reply in replies:
            done(reply)
        reach(late, Status.ACTIVE)

    @pytest.mark.parametrize("command", ["deactivate", "reset"])
    def test_n7_a_remembered_activate_is_taken_back(
        self, network: Network, ends: Callable[..., Segment], command: str
    ) -> None:
        """N7: by deactivate and by reset."""
        service = network.create(CALLER).result(PATIENCE)
        done(service.activate(CALLER))
        done(getattr(service, command)(CALLER))
        done(service.define(ends(), CALLER))
        reach(service, Status.INACTIVE, Status.ACTIVE)
        assert service.desired is Desired.INACTIVE

    def test_n7_traffic_passes_while_it_is_active_only(
        self,
        made: Callable[..., Service],
        terminals: Sequence[str],
        carries: Callable[[str, int], Collection[tuple[str, int]]] | None,
    ) -> None:
        """N7, N8, with the fixture carries: ACTIVE is told when frames pass, INACTIVE and RELEASED when none do."""
        if carries is None:
            pytest.skip("the fixture carries is not given")
        a, b = terminals[:2]
        service = made()
        for _ in range(2):
            assert set(carries(a, 100)) == set()
            done(service.activate(CALLER))
            reach(service, Status.ACTIVE)
            assert set(carries(a, 100)) == {(b, 100)}
            assert set(carries(b, 100)) == {(a, 100)}
            done(service.deactivate(CALLER))
            reach(service, Status.INACTIVE)
        assert set(carries(a, 100)) == set()
        done(service.activate(CALLER))
        reach(service, Status.ACTIVE)
        done(service.release(CALLER))
        reach(service, Status.RELEASED)
        assert set(carries(a, 100)) == set()

    @pytest.mark.parametrize("active", [False, True])
    @pytest.mark.parametrize("command", COMMANDS)
    def test_commands_are_repeatable(self, made: Callable[..., Service], command: str, active: bool) -> None:
        """Each command that fits is accepted again and leads to the same."""
        service = made(active=active)
        views = []
        for _ in range(3):
            done(getattr(service, command)(CALLER))
            reach(service, *STABLE)
            eventually(lambda: service.change is Change.NONE)
            views.append(service.view())
        assert views[0] == views[1] == views[2]

    @pytest.mark.parametrize("active", [False, True])
    def test_reset_gives_everything_back(
        self, made: Callable[..., Service], ends: Callable[..., Segment], active: bool
    ) -> None:
        """The service is as it was before its define, and its circuits are free for it and for others."""
        service = made(active=active)
        done(service.reset(CALLER))
        reach(service, Status.DORMANT)
        assert (service.segment, service.desired) == (None, Desired.DORMANT)
        other = made()
        refused(service.define(ends(), CALLER), CircuitTaken)
        done(other.reset(CALLER))
        reach(other, Status.DORMANT)
        done(service.define(ends(), CALLER))
        reach(service, Status.INACTIVE)

    def test_n8_what_is_released_is_free(self, made: Callable[..., Service]) -> None:
        """N8: as soon as RELEASED is told."""
        for _ in range(5):
            service = made(active=True)
            done(service.release(CALLER))
            reach(service, Status.RELEASED)

    # -- N9, N10: change without interruption -------------------------------------------------------

    @pytest.mark.parametrize("active", [False, True])
    def test_n9_prepare_changes_nothing_yet(
        self, made: Callable[..., Service], ends: Callable[..., Segment], active: bool
    ) -> None:
        """N9: settles when all is PREPARED; segment and status are the old ones, and both hold their circuits."""
        service = made(active=active)
        before = service.view()
        for _ in range(2):
            done(service.prepare(ends(101, count=3), CALLER))
            assert service.change is Change.PREPARED
        assert evolve(service.view(), change=Change.NONE) == before
        refused(service.prepare(ends(102), CALLER), ServiceLogic)
        for label in (100, 101):
            with pytest.raises(CircuitTaken):
                made(label)
        made(102)

    @pytest.mark.parametrize("active", [False, True])
    def test_n10_commit(
        self,
        made: Callable[..., Service],
        ends: Callable[..., Segment],
        active: bool,
        terminals: Sequence[str],
        carries: Callable[[str, int], Collection[tuple[str, int]]] | None,
    ) -> None:
        """N10: the new segment is told, and when `change` is NONE it passes traffic and the old circuits are free."""
        service = made(active=active)
        new = ends(101, rate=20, count=3)
        done(service.prepare(new, CALLER))
        done(service.commit(CALLER))
        assert new.same_as(service.segment)
        eventually(lambda: service.change is Change.NONE)
        done(service.commit(CALLER))
        done(service.abort(CALLER))
        assert new.same_as(service.segment)
        assert service.status is (Status.ACTIVE if active else Status.INACTIVE)
        if carries is not None:
            others = {(name, 101) for name in terminals[1:3]} if active else set()
            assert set(carries(terminals[0], 101)) == others
            assert set(carries(terminals[0], 100)) == set()
        made(100)
        done(service.define(new, CALLER))
        refused(service.define(ends(100), CALLER), ServiceLogic)

    @pytest.mark.parametrize("active", [False, True])
    def test_n9_abort(self, made: Callable[..., Service], ends: Callable[..., Segment], active: bool) -> None:
        """N9: everything is as it was, and what was prepared is free."""
        service = made(active=active)
        before = service.view()
        done(service.prepare(ends(101, count=3), CALLER))
        for _ in range(2):
            done(service.abort(CALLER))
            eventually(lambda: service.change is Change.NONE)
        assert service.view() == before
        done(service.commit(CALLER))
        assert service.view() == before
        made(101)
        with pytest.raises(CircuitTaken):
            made(100)

    def test_n9_a_refused_change_leaves_the_service_as_it_was(
        self, made: Callable[..., Service], ends: Callable[..., Segment], terminals: Sequence[str]
    ) -> None:
        """N9: and it can be changed after that."""
        made(101)
        service = made(active=True)
        before = service.view()
        for segment, kind in (
            (ends(101), CircuitTaken),
            (Segment.of((terminals[0], 100, 10, 10)), SegmentInvalid),
            (Segment.of((terminals[0], 100, 10, 10), ("no such terminal", 1, 10, 10)), TerminalUnknown),
        ):
            refused(service.prepare(segment, CALLER), kind)
            eventually(lambda: service.change is Change.NONE)
            assert evolve(service.view(), error=None) == before
        done(service.prepare(ends(rate=20), CALLER))
        done(service.commit(CALLER))
        eventually(lambda: service.change is Change.NONE)
        assert service.error is None

    @pytest.mark.parametrize(("command", "status"), [("reset", Status.DORMANT), ("release", Status.RELEASED)])
    def test_n9_a_prepared_change_goes_with_its_service(
        self, made: Callable[..., Service], ends: Callable[..., Segment], command: str, status: Status
    ) -> None:
        """N8, N9: reset and release give back what was prepared, too."""
        service = made(active=True)
        done(service.prepare(ends(101, count=3), CALLER))
        done(getattr(service, command)(CALLER))
        reach(service, status)
        assert service.change is Change.NONE
        made(100)
        made(101)

    def test_n9_traffic_commands_fit_while_a_change_is_prepared(
        self, made: Callable[..., Service], ends: Callable[..., Segment]
    ) -> None:
        """Activate and deactivate go on being obeyed."""
        service = made()
        done(service.prepare(ends(101), CALLER))
        done(service.activate(CALLER))
        reach(service, Status.ACTIVE)
        done(service.deactivate(CALLER))
        reach(service, Status.INACTIVE)
        assert service.change is Change.PREPARED
        done(service.commit(CALLER))
        eventually(lambda: service.change is Change.NONE)
        assert ends(101).same_as(service.segment)

    # -- N11: waiting -------------------------------------------------------------------------------

    def test_n11_a_status_that_is_there_is_told_at_once(self, made: Callable[..., Service]) -> None:
        """N11."""
        service = made()
        assert service.wait({Status.INACTIVE, Status.ACTIVE}).result(PATIENCE) is Status.INACTIVE

    def test_n11_the_end_of_the_time_is_told(self, made: Callable[..., Service]) -> None:
        """N11: also a time of nothing."""
        service = made()
        reply = service.wait({Status.INACTIVE}, 0)
        assert reply.result(PATIENCE) is Status.INACTIVE
        assert service.wait({Status.RELEASED}, 0).result(PATIENCE) is Status.INACTIVE

    @pytest.mark.parametrize(
        "statuses", [{Status.ACTIVE}, {Status.DORMANT}, {Status.RELEASED}, {Status.ESTABLISHING}, set()]
    )
    def test_n11_what_cannot_come_by_itself_is_told_early(
        self, made: Callable[..., Service], statuses: set[Status]
    ) -> None:
        """N11: without the time being over, and without any time."""
        service = made()
        assert service.wait(statuses).result(PATIENCE) is Status.INACTIVE

    def test_n11_a_dormant_service_waits_for_nobody(self, network: Network) -> None:
        """N11: without a define nothing will come."""
        service = network.create(CALLER).result(PATIENCE)
        assert service.wait({Status.INACTIVE, Status.ACTIVE}).result(PATIENCE) is Status.DORMANT
        done(service.activate(CALLER))
        assert service.wait({Status.ACTIVE}).result(PATIENCE) is Status.DORMANT

    def test_n11_a_release_ends_every_wait(self, made: Callable[..., Service]) -> None:
        """N11: with RELEASED, whatever was waited for."""
        service = made(active=True)
        done(service.release(CALLER))
        assert service.wait({Status.ACTIVE}).result(PATIENCE) in (Status.RELEASING, Status.RELEASED)
        assert service.wait({Status.RELEASED}).result(PATIENCE) is Status.RELEASED
        assert service.wait({Status.ACTIVE}).result(PATIENCE) is Status.RELEASED

    def test_n11_waiting_begins_after_the_commands_before_it(
        self, network: Network, ends: Callable[..., Segment]
    ) -> None:
        """N2, N11: a wait that follows a command does not answer for the time before it."""
        service = network.create(CALLER).result(PATIENCE)
        for _ in range(10):
            service.define(ends(), CALLER)
            service.activate(CALLER)
            assert service.wait({Status.ACTIVE, Status.FAILED}, PATIENCE).result(PATIENCE) is Status.ACTIVE
            service.deactivate(CALLER)
            assert service.wait({Status.INACTIVE, Status.FAILED}, PATIENCE).result(PATIENCE) is Status.INACTIVE
            service.reset(CALLER)
            assert service.wait({Status.DORMANT, Status.FAILED}, PATIENCE).result(PATIENCE) is Status.DORMANT

    def test_watchers_see_the_status_change(self, network: Network, ends: Callable[..., Segment]) -> None:
        """Each stable status is seen, in order; after the cancel nothing is."""
        service = network.create(CALLER).result(PATIENCE)
        seen: list[Status] = []
        cancel = service.watch(lambda changed: seen.append(changed.status))
        done(service.define(ends(), CALLER))
        reach(service, Status.INACTIVE)
        done(service.activate(CALLER))
        reach(service, Status.ACTIVE)
        done(service.reset(CALLER))
        reach(service, Status.DORMANT)
        eventually(lambda: bool(seen) and seen[-1] is Status.DORMANT)
        rested = [status for i, status in enumerate(seen) if status in STABLE and (not i or seen[i - 1] is not status)]
        wanted = [Status.INACTIVE, Status.ACTIVE, Status.DORMANT]
        assert [status for status in rested if status in wanted][-3:] == wanted
        cancel()
        count = len(seen)
        done(service.release(CALLER))
        reach(service, Status.RELEASED)
        assert len(seen) == count

    # -- N12: the model -----------------------------------------------------------------------------

    def test_n12_each_terminal_is_in_one_fragment(self, network: Network, terminals: Sequence[str]) -> None:
        """N12: chords join terminals of one fragment, each pair once, with rates and delays that can be."""
        model = network.model()
        listed = [name for fragment in model.fragments for name in fragment.terminals]
        assert sorted(listed) == sorted(network.terminals())
        together = [fragment for fragment in model.fragments if terminals[0] in fragment.terminals]
        assert set(terminals) <= set(together[0].terminals), "terminals that can be joined are in one fragment"
        for fragment in model.fragments:
            pairs = set()
            for chord in fragment.chords or ():
                assert chord.a != chord.b
                assert {chord.a, chord.b} <= set(fragment.terminals)
                assert min(chord.upstream, chord.downstream, chord.delay) >= 0
                pairs.add(frozenset((chord.a, chord.b)))
            assert len(pairs) == len(fragment.chords or ())
        if network.kind == "switch":
            assert [fragment.chords for fragment in model.fragments] == [None]

    # -- N13, N14: ids and handles ------------------------------------------------------------------

    def test_n13_a_handle_makes_one_service(self, network: Network, ends: Callable[..., Segment]) -> None:
        """N13: doing it twice is doing it once, with and without a segment."""
        first = network.create(CALLER, "mine").result(PATIENCE)
        second = network.create(CALLER, "mine", ends()).result(PATIENCE)
        third = network.create(CALLER, "mine", ends()).result(PATIENCE)
        assert first.id == second.id == third.id
        assert (first.handle, len(network.services())) == ("mine", 1)
        reach(first, Status.INACTIVE)
        found = network.find("mine").result(PATIENCE)
        assert found is not None
        assert found.id == first.id
        assert network.find("nobody's").result(PATIENCE) is None

    def test_n13_a_handle_with_another_segment_is_a_conflict(
        self, network: Network, made: Callable[..., Service], ends: Callable[..., Segment]
    ) -> None:
        """N4, N13: and harms nothing."""
        service = made(active=True, handle="mine")
        before = service.view()
        with pytest.raises(ServiceLogic):
            network.create(CALLER, "mine", ends(101)).result(PATIENCE)
        assert service.view() == before

    def test_n13_a_handle_is_free_after_its_service(self, network: Network, made: Callable[..., Service]) -> None:
        """N13, N14: the next service with it has another id."""
        service = made(handle="mine")
        done(service.release(CALLER))
        reach(service, Status.RELEASED)
        assert network.find("mine").result(PATIENCE) is None
        again = made(handle="mine")
        assert again.id != service.id

    def test_n13_many_creators_with_one_handle(self, network: Network, ends: Callable[..., Segment]) -> None:
        """N13: at once, from several threads."""
        found: list[int] = []
        together = threading.Barrier(6)

        def create() -> None:
            together.wait(PATIENCE)
            found.append(network.create(CALLER, "mine", ends()).result(PATIENCE).id)

        threads = [threading.Thread(target=create) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(found) == 6
        assert len(set(found)) == 1
        assert [service.id for service in network.services()] == found[:1]

    def test_n14_a_refused_create_leaves_no_service(
        self, network: Network, made: Callable[..., Service], ends: Callable[..., Segment]
    ) -> None:
        """N14: with its handle free; a service that was there stays."""
        made(100)
        with pytest.raises(CircuitTaken):
            network.create(CALLER, "mine", ends(100)).result(PATIENCE)
        assert network.find("mine").result(PATIENCE) is None
        there = network.create(CALLER, "mine").result(PATIENCE)
        with pytest.raises(CircuitTaken):
            network.create(CALLER, "mine", ends(100)).result(PATIENCE)
        assert there.status is Status.DORMANT
        assert network.create(CALLER, "mine", ends(101)).result(PATIENCE).id == there.id

    def test_n14_ids_are_never_used_again(self, network: Network, made: Callable[..., Service]) -> None:
        """N14: they grow; one that is gone is told from one that never was."""
        ids = []
        for _ in range(4):
            service = made()
            ids.append(service.id)
            done(service.release(CALLER))
            reach(service, Status.RELEASED)
        assert ids == sorted(set(ids))
        for id in ids:
            with pytest.raises(ServiceGone):
                network.service(id)
        for id in (0, -1, ids[-1] + 100):
            with pytest.raises(ServiceUnknown):
                network.service(id)
        assert network.services() == []

    def test_services_are_listed_by_id_and_by_prefix(self, network: Network, made: Callable[..., Service]) -> None:
        """By id; with a prefix those whose handle begins so."""
        one, two, three = made(100, handle="x/1"), made(101), made(102, handle="x/2")
        assert [s.id for s in network.services()] == [one.id, two.id, three.id]
        assert [s.id for s in network.services("x/")] == [one.id, three.id]
        assert [s.id for s in network.services("x/2")] == [three.id]
        assert network.services("y") == []
        assert network.service(two.id).id == two.id

    # -- N15, N16: events ---------------------------------------------------------------------------

    def test_n15_events_are_numbered_and_told_in_order(self, network: Network, made: Callable[..., Service]) -> None:
        """N15: each change of status is in one, and `events` has what watchers were told."""
        heard: list[Event] = []
        first = network.last_event
        cancel = network.watch(heard.append, {EventKind.SERVICE, EventKind.TERMINAL, EventKind.TRUNK})
        service = made(active=True)
        done(service.release(CALLER))
        reach(service, Status.RELEASED)
        eventually(lambda: bool(heard) and heard[-1].data.get("status") == "RELEASED")
        cancel()
        numbers = [event.number for event in heard]
        assert numbers == list(range(first + 1, first + 1 + len(heard)))
        assert network.last_event == numbers[-1]
        assert all(event.network == network.name and event.data["id"] == service.id for event in heard)
        told = [event.data["status"] for event in heard]
        rested = [s for s in told if Status(s) in STABLE and s != "DORMANT"]
        assert list(dict.fromkeys(rested)) == ["INACTIVE", "ACTIVE", "RELEASED"]
        assert list(network.events(first) or ()) == heard
        assert list(network.events(first + 1, 2) or ()) == heard[1:3]
        assert list(network.events(numbers[-1]) or ()) == []

    def test_n15_watchers_hear_the_kinds_that_they_want(self, network: Network, made: Callable[..., Service]) -> None:
        """A watcher that fails does not harm the others."""
        trunks: list[Event] = []
        heard: list[Event] = []

        def fails(_: Event) -> None:
            raise RuntimeError("a watcher's own fault")

        cancels = [network.watch(fails), network.watch(trunks.append, {EventKind.TRUNK}), network.watch(heard.append)]
        made()
        eventually(lambda: any(event.data.get("status") == "INACTIVE" for event in heard))
        for cancel in cancels:
            cancel()
        assert trunks == []

    # -- after a restart ----------------------------------------------------------------------------

    def test_services_survive_a_restart(
        self,
        network: Network,
        made: Callable[..., Service],
        ends: Callable[..., Segment],
        restart: Callable[[], Network] | None,
    ) -> None:
        """With the fixture restart: status, segment, owner, handle, error, what is prepared; ids go on."""
        if restart is None:
            pytest.skip("the fixture restart is not given")
        active, inactive = made(100, active=True, handle="mine"), made(101)
        dormant = network.create(CALLER).result(PATIENCE)
        refused(dormant.define(ends(100), CALLER), CircuitTaken)
        done(inactive.prepare(ends(102), CALLER))
        gone = made(103)
        done(gone.release(CALLER))
        reach(gone, Status.RELEASED)
        views = [service.view() for service in (active, inactive, dormant)]
        events = network.last_event
        network = restart()
        # They may come one after the other, where they are told by another broker.
        eventually(lambda: len(network.services()) >= len(views))
        eventually(lambda: all(s.status in STABLE and not s.conditions for s in network.services()))
        assert [service.view() for service in network.services()] == views
        assert network.last_event >= events
        with pytest.raises(ServiceGone):
            network.service(gone.id)
        with pytest.raises(CircuitTaken):
            network.create(CALLER, None, ends(102)).result(PATIENCE)
        found = network.find("mine").result(PATIENCE)
        assert found is not None
        assert found.id == active.id
        inactive = network.service(inactive.id)
        done(inactive.commit(CALLER))
        eventually(lambda: inactive.change is Change.NONE)
        assert ends(102).same_as(inactive.segment)
        assert network.create(CALLER).result(PATIENCE).id > gone.id


__all__ = ["NetworkContract", "NetworkFixtures"]
