"""The conformance suite of the contract Fabric, clauses F1 to F13.

    class TestMyFabric(FabricContract):
        @pytest.fixture
        def fabric(self):
            fabric = MyFabric(address="...")
            fabric.start()
            yield fabric
            fabric.stop()

        @pytest.fixture
        def interfaces(self):
            return ["1", "2", "3x2", "4"]

        @pytest.fixture
        def interface_faults(self):
            return ["", "no port", "0"]

All fixtures are told in `dpb_framework.testing.fabric_fixtures`. Those that answer None there are optional; a test that
needs one which is not given is skipped and says so. The device may hold other bridges: the suite makes its own under a
prefix that nobody else has, and removes them.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Collection, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpb_framework.contracts import Capability, Channel, Fabric, FabricEvent
from dpb_framework.emulated.device import make_bridge
from dpb_framework.errors import FabricRefused, InterfaceInvalid, Unreachable
from dpb_framework.model import MAX_LABEL
from dpb_framework.signatures import mismatches
from dpb_framework.testing.fabric_fixtures import (
    HIGH,
    LOW,
    THREADS,
    FabricFixtures,
    any_channel,
    at_once,
    eventually,
    is_plain,
    needs,
    seen,
    succeeds,
    there,
)

EXAMPLES = 1000 if os.environ.get("DPB_SOAK") == "1" else 50
"""How many texts, or pairs of channels, are made up for each clause about them."""


class FabricContract(FabricFixtures):
    """The tests. A subclass gives at least the fixtures `fabric`, `interfaces` and `interface_faults`."""

    # -- F1 -----------------------------------------------------------------------------------------

    def test_f1_has_the_signatures_of_the_contract(self, fabric: Fabric) -> None:
        """F1: methods take what the contract says, in its order; what it claims is of the type that it says."""
        assert mismatches(type(fabric), Fabric) == []
        assert isinstance(fabric.capabilities, frozenset)
        assert all(isinstance(claimed, Capability) for claimed in fabric.capabilities)

    def test_f1_start_succeeds_while_the_device_is_away(
        self, away: Callable[[], Fabric] | None, interfaces: Sequence[str]
    ) -> None:
        """F1, F2: it starts without its device, and commands are `Unreachable`."""
        if away is None:
            pytest.skip("the fixture away is not given")
        fabric = away()
        name = fabric.interface(interfaces[0])
        fabric.start()
        try:
            with pytest.raises(Unreachable):
                fabric.ensure(make_bridge("nobody/conformance/1", {Channel(name, 1): LOW}))
            with pytest.raises(Unreachable):
                fabric.bridges()
        finally:
            fabric.stop()

    def test_f1_stop_is_repeatable(self, fabric: Fabric) -> None:
        """F1: a second stop does nothing."""
        fabric.stop()
        fabric.stop()

    # -- F4, F5 -------------------------------------------------------------------------------------

    def test_f4_canonical_forms_are_fixed_points(self, fabric: Fabric, interfaces: Sequence[str]) -> None:
        """F4: the canonical form of a canonical form is itself."""
        names = [fabric.interface(text) for text in interfaces]
        assert len(names) >= 4, "the fixture interfaces gives at least four"
        assert len(set(names)) == len(names), "the fixture interfaces gives different ones"
        assert [fabric.interface(name) for name in names] == names

    def test_f4_tells_what_is_wrong_with_a_name(self, fabric: Fabric, interface_faults: Sequence[str]) -> None:
        """F4: `InterfaceInvalid` for each of the faults, in one line."""
        assert interface_faults, "the fixture interface_faults gives at least one"
        for text in interface_faults:
            with pytest.raises(InterfaceInvalid) as caught:
                fabric.interface(text)
            assert caught.value.problem, text
            assert "\n" not in str(caught.value)

    def test_f4_any_text_is_understood_or_refused(self, fabric: Fabric) -> None:
        """F4: no text is a surprise, and what is understood has a canonical form and a range."""

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
        @given(st.one_of(st.text(max_size=24), st.text("0123456789x. physlag", max_size=10)))
        def check(text: str) -> None:
            try:
                name = fabric.interface(text)
            except InterfaceInvalid:
                return
            assert fabric.interface(name) == name
            labels = fabric.labels(name)
            assert labels is None or 0 <= labels[0] <= labels[1] <= MAX_LABEL

        check()

    def test_f5_overlaps_is_symmetric_and_true_of_itself(self, fabric: Fabric, interfaces: Sequence[str]) -> None:
        """F5: whatever the channels."""
        channels = any_channel(fabric, [fabric.interface(text) for text in interfaces])

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
        @given(channels, channels)
        def check(one: Channel, other: Channel) -> None:
            assert fabric.overlaps(one, one)
            assert fabric.overlaps(one, other) == fabric.overlaps(other, one)

        check()

    def test_f5_different_domains_and_labels_do_not_overlap(self, fabric: Fabric, interfaces: Sequence[str]) -> None:
        """F5: `domain` and labels keep channels apart, as they promise."""
        channels = any_channel(fabric, [fabric.interface(text) for text in interfaces])

        @settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
        @given(channels, channels)
        def check(one: Channel, other: Channel) -> None:
            near, far = fabric.domain(one.interface), fabric.domain(other.interface)
            apart = near and far and near != far
            if apart or (one.interface == other.interface and one.label != other.label):
                assert not fabric.overlaps(one, other)

        check()

    # -- F3, F6, F7, F8, F10 ------------------------------------------------------------------------

    def test_f10_what_was_made_is_there_as_it_was_given(
        self, fabric: Fabric, prefix: str, channels: Sequence[Channel]
    ) -> None:
        """F3, F10: the device tells the bridges with their channels and rates."""
        pair = make_bridge(f"{prefix}1", {channels[0]: LOW, channels[1]: HIGH})
        many = make_bridge(f"{prefix}2", dict.fromkeys(channels[2:6], LOW))
        fabric.ensure(pair)
        fabric.ensure(many)
        assert there(fabric, prefix) == seen(fabric, pair, many)

    def test_f6_ensure_is_repeatable(self, fabric: Fabric, prefix: str, channels: Sequence[Channel]) -> None:
        """F6: again is the same as once."""
        bridge = make_bridge(f"{prefix}1", {channels[0]: LOW, channels[1]: HIGH})
        for _ in range(3):
            fabric.ensure(bridge)
            assert there(fabric, prefix) == seen(fabric, bridge)

    def test_f6_rates_are_changed(self, fabric: Fabric, prefix: str, channels: Sequence[Channel]) -> None:
        """F6: a known key with other rates changes the bridge."""
        fabric.ensure(make_bridge(f"{prefix}1", {channels[0]: LOW, channels[1]: LOW}))
        changed = make_bridge(f"{prefix}1", {channels[0]: HIGH, channels[1]: LOW})
        fabric.ensure(changed)
        assert there(fabric, prefix) == seen(fabric, changed)

    def test_f6_channels_are_changed(self, fabric: Fabric, prefix: str, channels: Sequence[Channel]) -> None:
        """F6: a known key with other channels changes the bridge, and no other."""
        bystander = make_bridge(f"{prefix}other", {channels[6]: LOW, channels[7]: LOW})
        fabric.ensure(bystander)
        for ends in ((0, 1), (0, 1, 2), (1, 2), (3, 4), (0, 4)):
            changed = make_bridge(f"{prefix}1", {channels[i]: LOW for i in ends})
            fabric.ensure(changed)
            assert there(fabric, prefix) == seen(fabric, bystander, changed)

    def test_f6_a_channel_that_was_given_up_can_be_taken(
        self, fabric: Fabric, prefix: str, channels: Sequence[Channel]
    ) -> None:
        """F6, F7: a channel that left a bridge is free."""
        fabric.ensure(make_bridge(f"{prefix}1", {channels[0]: LOW, channels[1]: LOW}))
        changed = make_bridge(f"{prefix}1", {channels[0]: LOW, channels[2]: LOW})
        fabric.ensure(changed)
        taker = make_bridge(f"{prefix}2", {channels[1]: LOW, channels[3]: LOW})
        fabric.ensure(taker)
        assert there(fabric, prefix) == seen(fabric, changed, taker)

    def test_f6_channels_that_stay_are_not_interrupted(
        self,
        fabric: Fabric,
        prefix: str,
        channels: Sequence[Channel],
        frames: Callable[[Channel], Collection[Channel]] | None,
    ) -> None:
        """F6, IN_PLACE: frames pass between channels that stay, at every moment of a change."""
        needs(fabric, Capability.IN_PLACE)
        if frames is None:
            pytest.skip("the fixture frames is not given")
        steady = {channels[0]: LOW, channels[1]: LOW}
        fabric.ensure(make_bridge(f"{prefix}1", steady))
        lost: list[Collection[Channel]] = []
        over = threading.Event()

        def look() -> None:
            for turn in itertools.count():
                out = frames(channels[0])
                if channels[1] not in out:
                    lost.append(out)
                if over.is_set() and turn:
                    return

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            for turn in range(10):
                more = {channels[2]: LOW} if turn % 2 else {channels[3]: LOW, channels[4]: HIGH}
                fabric.ensure(make_bridge(f"{prefix}1", {**steady, **more}))
            fabric.ensure(make_bridge(f"{prefix}1", steady))
        finally:
            over.set()
            watcher.join()
        assert not lost

    def test_f7_f8_frames_pass_where_they_shall_and_nowhere_else(
        self,
        fabric: Fabric,
        prefix: str,
        channels: Sequence[Channel],
        frames: Callable[[Channel], Collection[Channel]] | None,
    ) -> None:
        """F7, F8: where frames come out after ensure, a change and remove."""
        if frames is None:
            pytest.skip("the fixture frames is not given")
        for key, ends in (("1", channels[:3]), ("2", channels[3:5])):
            fabric.ensure(make_bridge(prefix + key, dict.fromkeys(ends, LOW)))
        for ends in (channels[:3], channels[3:5]):
            for one in ends:
                assert set(frames(one)) == set(ends) - {one}
        assert not frames(channels[5])
        fabric.ensure(make_bridge(f"{prefix}1", dict.fromkeys(channels[1:3], LOW)))
        assert not frames(channels[0])
        assert set(frames(channels[1])) == {channels[2]}
        fabric.remove(f"{prefix}1")
        assert not frames(channels[1])
        assert set(frames(channels[3])) == {channels[4]}

    def test_f8_remove_is_repeatable(self, fabric: Fabric, prefix: str, channels: Sequence[Channel]) -> None:
        """F8: again is the same as once, and a key that begins alike stays."""
        fabric.ensure(make_bridge(f"{prefix}1", {channels[0]: LOW, channels[1]: LOW}))
        other = make_bridge(f"{prefix}11", {channels[2]: LOW, channels[3]: LOW})
        fabric.ensure(other)
        for _ in range(3):
            fabric.remove(f"{prefix}1")
            assert there(fabric, prefix) == seen(fabric, other)
        fabric.remove(f"{prefix}never-made")

    def test_f8_what_was_removed_can_be_made_again(
        self, fabric: Fabric, prefix: str, channels: Sequence[Channel]
    ) -> None:
        """F8: nothing of a removed bridge is in the way."""
        bridge = make_bridge(f"{prefix}1", {channels[0]: LOW, channels[1]: LOW})
        for _ in range(3):
            fabric.ensure(bridge)
            fabric.remove(bridge.key)
        assert there(fabric, prefix) == {}
        fabric.ensure(make_bridge(f"{prefix}2", {channels[0]: HIGH, channels[1]: HIGH}))

    # -- F9 -----------------------------------------------------------------------------------------

    def test_f9_retain_removes_what_is_not_named(
        self, fabric: Fabric, prefix: str, channels: Sequence[Channel]
    ) -> None:
        """F9: what is named stays, the rest of the prefix goes; repeatable."""
        bridges = [make_bridge(f"{prefix}a/{i}", dict.fromkeys(channels[2 * i : 2 * i + 2], LOW)) for i in range(4)]
        for bridge in bridges:
            fabric.ensure(bridge)
        # A key that is not there is not made, and not missed.
        fabric.retain([bridges[1].key, bridges[3].key, f"{prefix}a/9"], f"{prefix}a/")
        assert there(fabric, prefix) == seen(fabric, bridges[1], bridges[3])
        fabric.retain([bridges[1].key, bridges[3].key], f"{prefix}a/")
        assert there(fabric, prefix) == seen(fabric, bridges[1], bridges[3])
        fabric.retain([], f"{prefix}a/")
        assert there(fabric, prefix) == {}

    def test_f9_retain_leaves_other_prefixes_alone(
        self, fabric: Fabric, prefix: str, channels: Sequence[Channel]
    ) -> None:
        """F9: also those that begin alike."""
        mine = make_bridge(f"{prefix}a/1", dict.fromkeys(channels[:2], LOW))
        other = make_bridge(f"{prefix}b/1", dict.fromkeys(channels[2:4], LOW))
        alike = make_bridge(f"{prefix}ab/1", dict.fromkeys(channels[4:6], LOW))
        for bridge in (mine, other, alike):
            fabric.ensure(bridge)
        fabric.retain([], f"{prefix}a/")
        assert there(fabric, prefix) == seen(fabric, other, alike)

    def test_f9_retain_leaves_strangers_alone(
        self,
        fabric: Fabric,
        prefix: str,
        channels: Sequence[Channel],
        stranger: Callable[[Collection[Channel]], Callable[[], bool]] | None,
    ) -> None:
        """F9: what is not ours stays."""
        if stranger is None:
            pytest.skip("the fixture stranger is not given")
        lives = stranger(channels[:2])
        fabric.ensure(make_bridge(f"{prefix}1", dict.fromkeys(channels[2:4], LOW)))
        fabric.retain([], prefix)
        assert there(fabric, prefix) == {}
        assert lives()

    # -- capabilities -------------------------------------------------------------------------------

    def test_double_tags_are_as_claimed(self, fabric: Fabric, interfaces: Sequence[str]) -> None:
        """DOUBLE_TAGS: labels of two tags exist where they are claimed only."""
        ranges = [fabric.labels(fabric.interface(text)) for text in interfaces]
        double = [labels for labels in ranges if labels is None or labels[1] > 4095]
        if Capability.DOUBLE_TAGS not in fabric.capabilities:
            assert not double, "labels of two tags without double-tags"
            return
        if not double:
            pytest.skip("none of the interfaces given has labels of two tags")

    def test_capacity_is_plain_data(self, fabric: Fabric, prefix: str, channels: Sequence[Channel]) -> None:
        """What `capacity` tells can be shown to operators."""
        fabric.ensure(make_bridge(f"{prefix}1", dict.fromkeys(channels[:2], LOW)))
        assert is_plain(dict(fabric.capacity()))

    # -- F11, F12 -----------------------------------------------------------------------------------

    def test_f12_watch_tells_up_first(self, fabric: Fabric, patience: float) -> None:
        """F12: UP of the device itself comes first. Ending is repeatable."""
        needs(fabric, Capability.EVENTS)
        told: list[tuple[FabricEvent, str]] = []
        end = fabric.watch(lambda event, interface: told.append((event, interface)))
        eventually(lambda: bool(told), patience, "nothing was told")
        assert told[0] == (FabricEvent.UP, "")
        end()
        end()

    def test_f11_who_ended_watching_is_told_nothing(
        self,
        fabric: Fabric,
        patience: float,
        lose_contact: Callable[[], None] | None,
        regain_contact: Callable[[], None] | None,
    ) -> None:
        """F11: UP, DOWN, UP in order, and silence for who ended it."""
        needs(fabric, Capability.EVENTS)
        if lose_contact is None or regain_contact is None:
            pytest.skip("the fixtures lose_contact and regain_contact are not given")
        ended: list[FabricEvent] = []
        told: list[FabricEvent] = []
        end = fabric.watch(lambda event, _: ended.append(event))
        fabric.watch(lambda event, _: told.append(event))
        eventually(lambda: bool(ended and told), patience, "UP was not told")
        end()
        before = len(ended)
        lose_contact()
        try:
            eventually(lambda: FabricEvent.DOWN in told, patience, "DOWN was not told")
        finally:
            regain_contact()
        eventually(lambda: told.count(FabricEvent.UP) >= 2, patience, "UP was not told when contact came back")
        assert len(ended) == before
        contact = [event for event in told if event in (FabricEvent.UP, FabricEvent.DOWN)]
        assert contact[:3] == [FabricEvent.UP, FabricEvent.DOWN, FabricEvent.UP]

    def test_f11_ports_are_told_by_the_name_that_port_gives(
        self,
        fabric: Fabric,
        prefix: str,
        channels: Sequence[Channel],
        patience: float,
        set_port: Callable[[str, bool], None] | None,
    ) -> None:
        """F11, F12: a port that dies and comes back is told; who comes later is told that it is dead, after UP."""
        needs(fabric, Capability.EVENTS)
        if set_port is None:
            pytest.skip("the fixture set_port is not given")
        # Some devices know a port only while it carries a channel.
        fabric.ensure(make_bridge(f"{prefix}1", dict.fromkeys(channels[:2], LOW)))
        port = fabric.port(channels[0])
        told: list[tuple[FabricEvent, str]] = []
        late: list[tuple[FabricEvent, str]] = []
        fabric.watch(lambda event, about: told.append((event, about)))
        eventually(lambda: bool(told), patience, "UP was not told")
        set_port(port, False)
        try:
            eventually(lambda: (FabricEvent.PORT_DOWN, port) in told, patience, "PORT_DOWN was not told")
            fabric.watch(lambda event, about: late.append((event, about)))
            eventually(lambda: (FabricEvent.PORT_DOWN, port) in late, patience, "a dead port was not told after UP")
            assert late[0] == (FabricEvent.UP, "")
        finally:
            set_port(port, True)
        eventually(lambda: (FabricEvent.PORT_UP, port) in told, patience, "PORT_UP was not told")
        assert [event for event, about in told if about == port][:2] == [FabricEvent.PORT_DOWN, FabricEvent.PORT_UP]

    def test_f12_a_dead_port_is_told_anew_when_contact_comes_back(
        self,
        fabric: Fabric,
        prefix: str,
        channels: Sequence[Channel],
        patience: float,
        set_port: Callable[[str, bool], None] | None,
        lose_contact: Callable[[], None] | None,
        regain_contact: Callable[[], None] | None,
    ) -> None:
        """F12: after each UP."""
        needs(fabric, Capability.EVENTS)
        if set_port is None or lose_contact is None or regain_contact is None:
            pytest.skip("the fixtures set_port, lose_contact and regain_contact are not given")
        fabric.ensure(make_bridge(f"{prefix}1", dict.fromkeys(channels[:2], LOW)))
        dead = (FabricEvent.PORT_DOWN, fabric.port(channels[0]))
        told: list[tuple[FabricEvent, str]] = []
        fabric.watch(lambda event, about: told.append((event, about)))
        set_port(dead[1], False)
        try:
            eventually(lambda: dead in told, patience, "PORT_DOWN was not told")
            lose_contact()
            try:
                eventually(lambda: (FabricEvent.DOWN, "") in told, patience, "DOWN was not told")
                before = len(told)
            finally:
                regain_contact()
            eventually(lambda: dead in told[before:], patience, "the dead port was not told after UP")
            assert (FabricEvent.UP, "") in told[before : told.index(dead, before)]
        finally:
            set_port(dead[1], True)

    # -- F2, F5 -------------------------------------------------------------------------------------

    def test_f2_lost_contact_is_unreachable_and_repeating_works(
        self,
        fabric: Fabric,
        prefix: str,
        channels: Sequence[Channel],
        patience: float,
        lose_contact: Callable[[], None] | None,
        regain_contact: Callable[[], None] | None,
    ) -> None:
        """F2: each command is `Unreachable`, and works when it is repeated later."""
        if lose_contact is None or regain_contact is None:
            pytest.skip("the fixtures lose_contact and regain_contact are not given")
        kept = make_bridge(f"{prefix}kept", dict.fromkeys(channels[:2], LOW))
        gone = make_bridge(f"{prefix}gone", dict.fromkeys(channels[2:4], LOW))
        late = make_bridge(f"{prefix}late", dict.fromkeys(channels[4:6], LOW))
        fabric.ensure(kept)
        fabric.ensure(gone)
        lose_contact()
        try:
            attempts: list[Callable[[], object]] = [
                lambda: fabric.ensure(late),
                lambda: fabric.remove(gone.key),
                lambda: fabric.retain([], prefix + "gone"),
                fabric.bridges,
                fabric.capacity,
            ]
            for attempt in attempts:
                with pytest.raises(Unreachable):
                    attempt()
        finally:
            regain_contact()
        eventually(lambda: succeeds(lambda: fabric.ensure(late)), patience, "ensure did not work again")
        eventually(lambda: succeeds(lambda: fabric.remove(gone.key)), patience, "remove did not work again")
        fabric.ensure(kept)
        assert there(fabric, prefix) == seen(fabric, kept, late)

    def test_f2_f5_a_channel_of_another_bridge_is_refused(
        self, fabric: Fabric, prefix: str, channels: Sequence[Channel]
    ) -> None:
        """F2, F5: the bridge that would take it leaves no trace, and evicts nobody."""
        fine = make_bridge(f"{prefix}1", dict.fromkeys(channels[:2], LOW))
        fabric.ensure(fine)
        thief = make_bridge(f"{prefix}2", {channels[0]: LOW, channels[2]: LOW})
        with pytest.raises(FabricRefused):
            fabric.ensure(thief)
        assert there(fabric, prefix) == seen(fabric, fine)

    # -- F13 ----------------------------------------------------------------------------------------

    def test_f13_each_of_several_bridges_stands_or_falls_alone(
        self, fabric: Fabric, prefix: str, channels: Sequence[Channel]
    ) -> None:
        """F13: as if `ensure` were called for each."""
        fine = [make_bridge(f"{prefix}{i}", dict.fromkeys(channels[2 * i : 2 * i + 2], LOW)) for i in range(6)]
        assert fabric.ensure_all([]) == {}
        assert fabric.ensure_all(fine[:3]) == {}
        thief = make_bridge(f"{prefix}thief", {channels[0]: LOW, channels[14]: LOW})
        changed = make_bridge(fine[1].key, {channels[2]: HIGH, channels[15]: LOW})
        errors = fabric.ensure_all([fine[4], thief, changed, fine[5]])
        assert set(errors) == {thief.key}
        assert all(isinstance(error, FabricRefused) for error in errors.values())
        assert there(fabric, prefix) == seen(fabric, fine[0], changed, fine[2], fine[4], fine[5])

    # -- several threads ----------------------------------------------------------------------------

    def test_different_keys_at_once(self, fabric: Fabric, prefix: str, channels: Sequence[Channel]) -> None:
        """Several threads, each with a key of its own."""

        def work(number: int) -> None:
            mine = channels[2 * number : 2 * number + 2]
            for flow in (LOW, HIGH, LOW):
                fabric.ensure(make_bridge(f"{prefix}{number}", dict.fromkeys(mine, flow)))
                if number % 2:
                    fabric.remove(f"{prefix}{number}")

        at_once(work)
        left = [
            make_bridge(f"{prefix}{n}", dict.fromkeys(channels[2 * n : 2 * n + 2], LOW)) for n in range(0, THREADS, 2)
        ]
        assert there(fabric, prefix) == seen(fabric, *left)

    def test_the_same_key_at_once(self, fabric: Fabric, prefix: str, channels: Sequence[Channel]) -> None:
        """Several threads with one key: the outcome is what one of them asked for."""
        variants = [
            make_bridge(f"{prefix}1", {channels[0]: LOW, channels[1]: LOW}),
            make_bridge(f"{prefix}1", {channels[0]: HIGH, channels[2]: LOW}),
        ]

        def work(number: int) -> None:
            for turn in range(4):
                fabric.ensure(variants[(number + turn) % 2])
            if number == 0:
                fabric.remove(f"{prefix}1")

        at_once(work)
        assert there(fabric, prefix) in [{}, *(seen(fabric, variant) for variant in variants)]
        fabric.ensure(variants[0])
        assert there(fabric, prefix) == seen(fabric, variants[0])
        at_once(lambda _: fabric.remove(f"{prefix}1"))
        assert there(fabric, prefix) == {}


__all__ = ["FabricContract"]
