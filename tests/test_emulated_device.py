"""The emulated device: names, where frames go, limits, strangers, faults, events."""

from __future__ import annotations

import pytest

from dpb_framework.contracts import Bridge, Channel, FabricEvent
from dpb_framework.emulated import BlockingFabric, Device, EmulatedFabric, device, forget_device
from dpb_framework.errors import BadArgument, FabricRefused, InterfaceInvalid, Unreachable
from dpb_framework.model import TrafficFlow

FLOW = TrafficFlow(1_000, 2_000)
OUTER_100 = 100 << 12


def bridge(key: str, *ends: tuple[str, int], flow: TrafficFlow = FLOW) -> Bridge:
    return Bridge(key, {Channel(*end): flow for end in ends})


@pytest.fixture
def fabric() -> EmulatedFabric:
    fabric = EmulatedFabric()
    fabric.start()
    return fabric


class TestNames:
    @pytest.mark.parametrize(
        ("text", "name", "labels"),
        [
            ("3", "3", (1, 4094)),
            (" 003 ", "3", (1, 4094)),
            ("03x2", "3x2", None),
            ("3.0100", "3.100", (1, 4094)),
            ("phys", "phys", (1, (1 << 24) - 1)),
            ("eth0", "eth0", (1, 4094)),
            ("3x3", "3x3", (1, 4094)),
            ("1.2.3", "1.2.3", (1, 4094)),
        ],
    )
    def test_canonical_form_and_labels(self, text: str, name: str, labels: tuple[int, int] | None) -> None:
        fabric = EmulatedFabric()
        assert fabric.interface(text) == name
        assert fabric.labels(name) == labels

    def test_with_ports_only_these_exist(self) -> None:
        fabric = EmulatedFabric(ports=4)
        assert [fabric.interface(text) for text in ("1", "4x2", "4.7", "phys")] == ["1", "4x2", "4.7", "phys"]
        assert fabric.labels("phys") == (1, 4)
        for text in ("5", "5x2", "0.7", "eth0"):
            with pytest.raises(InterfaceInvalid, match=r"1 (to|and) 4"):
                fabric.interface(text)

    @pytest.mark.parametrize(
        ("one", "other", "overlaps"),
        [
            (("3x2", OUTER_100 | 20), ("3.100", 20), True),
            (("3x2", OUTER_100 | 20), ("3.100", 21), False),
            (("3x2", OUTER_100 | 20), ("4.100", 20), False),
            (("3.100", 20), ("3.101", 20), False),
            (("3", 100), ("3x2", OUTER_100 | 20), False),
            (("3", 100), ("3.100", 100), False),
            (("3", 20), ("3x2", 20), False),
            (("phys", 3), ("3", 3), False),
            (("phys", 3), ("phys", 3), True),
            (("phys", 3), ("phys", 4), False),
            (("eth0", 3), ("eth0", 3), True),
            (("eth0", 3), ("eth1", 3), False),
        ],
    )
    def test_overlaps(self, one: tuple[str, int], other: tuple[str, int], overlaps: bool) -> None:
        assert EmulatedFabric().overlaps(Channel(*one), Channel(*other)) is overlaps

    def test_interfaces_of_a_port_share_a_domain(self) -> None:
        fabric = EmulatedFabric()
        assert {fabric.domain(name) for name in ("3", "3x2", "3.100")} == {"3"}
        assert len({fabric.domain(name) for name in ("3", "4", "eth0", "phys")}) == 4


class TestFrames:
    def test_go_to_all_other_channels_of_their_bridge(self, fabric: EmulatedFabric) -> None:
        fabric.ensure(bridge("a", ("1", 10), ("2x2", OUTER_100 | 20), ("phys", 3)))
        fabric.ensure(bridge("b", ("1", 11), ("2", 100)))
        carries = fabric.device.carries
        assert carries(Channel("1", 10)) == {Channel("2x2", OUTER_100 | 20), Channel("phys", 3)}
        assert carries(Channel("phys", 3)) == {Channel("1", 10), Channel("2x2", OUTER_100 | 20)}
        assert carries(Channel("1", 11)) == {Channel("2", 100)}
        assert carries(Channel("3", 10)) == set()

    def test_are_known_by_what_they_are_not_by_a_name(self, fabric: EmulatedFabric) -> None:
        fabric.ensure(bridge("a", ("1", 10), ("2x2", OUTER_100 | 20)))
        assert fabric.device.carries(Channel("2.100", 20)) == {Channel("1", 10)}

    def test_stop_at_a_dead_port(self, fabric: EmulatedFabric) -> None:
        fabric.ensure(bridge("a", ("1", 10), ("2.7", 10), ("3", 10)))
        fabric.device.port_down("2")
        assert fabric.device.carries(Channel("1", 10)) == {Channel("3", 10)}
        assert fabric.device.carries(Channel("2.7", 10)) == set()
        fabric.device.port_up("2")
        assert fabric.device.carries(Channel("1", 10)) == {Channel("2.7", 10), Channel("3", 10)}

    def test_pass_while_there_is_no_contact(self, fabric: EmulatedFabric) -> None:
        fabric.ensure(bridge("a", ("1", 10), ("2", 10)))
        fabric.device.down()
        assert fabric.device.carries(Channel("1", 10)) == {Channel("2", 10)}

    def test_of_strangers_pass_too(self, fabric: EmulatedFabric) -> None:
        fabric.device.stranger("theirs", {Channel("1", 10): FLOW, Channel("2", 10): FLOW})
        assert fabric.device.carries(Channel("1", 10)) == {Channel("2", 10)}
        fabric.device.remove_stranger("theirs")
        assert fabric.device.carries(Channel("1", 10)) == set()

    def test_are_metered_on_entry_and_shaped_on_exit(self, fabric: EmulatedFabric) -> None:
        ends = {
            Channel("1", 1): TrafficFlow(500, 0),
            Channel("2", 1): TrafficFlow(0, 300),
            Channel("3", 1): TrafficFlow(9, 900),
        }
        fabric.ensure(Bridge("a", ends))
        delivers = fabric.device.delivers
        assert delivers(Channel("1", 1), 1_000) == {Channel("2", 1): 300, Channel("3", 1): 500}
        assert delivers(Channel("1", 1), 100) == {Channel("2", 1): 100, Channel("3", 1): 100}
        assert delivers(Channel("2", 1), 100) == {Channel("1", 1): 0, Channel("3", 1): 0}
        assert delivers(Channel("4", 1), 100) == {}


class TestRefusals:
    @pytest.mark.parametrize(
        ("ends", "reason"),
        [
            ([("1", 10), ("3", 10)], "in use by bridge 'a'"),
            ([("2.100", 20), ("3", 10)], "in use by bridge 'a'"),
            ([("5x2", OUTER_100 | 1), ("5.100", 1)], "overlap"),
            ([("3", 0), ("4", 1)], "label 0"),
            ([("3", 4095), ("4", 1)], "label 4095"),
            ([("a b", 1), ("4", 1)], "interface"),
        ],
    )
    def test_leave_nothing_behind(self, fabric: EmulatedFabric, ends: list[tuple[str, int]], reason: str) -> None:
        first = bridge("a", ("1", 10), ("2x2", OUTER_100 | 20))
        fabric.ensure(first)
        with pytest.raises(FabricRefused, match=reason):
            fabric.ensure(bridge("b", *ends))
        assert fabric.bridges() == [first]
        assert fabric.device.carries(Channel("1", 10)) == {Channel("2x2", OUTER_100 | 20)}
        fabric.ensure(bridge("c", ("6", 1), ("3", 10)))

    def test_of_a_change_leave_the_old_bridge(self, fabric: EmulatedFabric) -> None:
        first = bridge("a", ("1", 10), ("2", 10))
        fabric.ensure(first)
        fabric.ensure(bridge("b", ("3", 10), ("4", 10)))
        with pytest.raises(FabricRefused):
            fabric.ensure(bridge("a", ("1", 10), ("3", 10)))
        assert first in fabric.bridges()
        assert fabric.device.carries(Channel("2", 10)) == {Channel("1", 10)}

    def test_a_bridge_too_many(self) -> None:
        fabric = EmulatedFabric(bridges=2)
        fabric.start()
        fabric.device.stranger("theirs", {Channel("9", 1): FLOW})
        fabric.ensure(bridge("a", ("1", 1), ("2", 1)))
        assert fabric.capacity() == {"bridges": 2, "bridges-left": 0}
        with pytest.raises(FabricRefused, match="all 2 bridges are in use"):
            fabric.ensure(bridge("b", ("1", 2), ("2", 2)))
        fabric.ensure(bridge("a", ("1", 3), ("2", 3)))
        fabric.remove("a")
        fabric.ensure(bridge("b", ("1", 2), ("2", 2)))

    def test_a_strangers_channel_is_not_taken(self, fabric: EmulatedFabric) -> None:
        fabric.device.stranger("theirs", {Channel("1", 10): FLOW})
        with pytest.raises(FabricRefused, match="theirs"):
            fabric.ensure(bridge("a", ("1", 10), ("2", 10)))
        assert fabric.bridges() == []


class TestFaults:
    def test_refuse_the_next_ones(self, fabric: EmulatedFabric) -> None:
        fabric.device.fault(refuse="no meters left", count=2, on="ensure")
        for _ in range(2):
            with pytest.raises(FabricRefused, match="no meters left"):
                fabric.ensure(bridge("a", ("1", 1), ("2", 1)))
        fabric.remove("a")
        fabric.ensure(bridge("a", ("1", 1), ("2", 1)))
        assert fabric.device.calls == {"ensure": 3, "remove": 1}

    def test_strike_keys_with_a_prefix_only(self, fabric: EmulatedFabric) -> None:
        fabric.device.fault(refuse="no", key_prefix="b/", count=None)
        fabric.ensure(bridge("a/1", ("1", 1), ("2", 1)))
        for _ in range(3):
            with pytest.raises(FabricRefused):
                fabric.ensure(bridge("b/1", ("1", 2), ("2", 2)))
        fabric.device.script.clear()
        fabric.ensure(bridge("b/1", ("1", 2), ("2", 2)))

    @pytest.mark.parametrize(
        ("words", "done"), [({"hang": True}, False), ({"crash": "before"}, False), ({"crash": "after"}, True)]
    )
    def test_unknown_outcomes(self, fabric: EmulatedFabric, words: dict[str, object], done: bool) -> None:
        fabric.device.fault(**words)
        with pytest.raises(Unreachable):
            fabric.ensure(bridge("a", ("1", 1), ("2", 1)))
        assert bool(fabric.bridges()) is done
        fabric.ensure(bridge("a", ("1", 1), ("2", 1)))
        assert len(fabric.bridges()) == 1

    def test_forget_says_done_and_does_not_keep(self, fabric: EmulatedFabric) -> None:
        fabric.device.fault(forget=True)
        fabric.ensure(bridge("a", ("1", 1), ("2", 1)))
        assert fabric.bridges() == []

    def test_delays_add_up_and_let_another_fault_strike(self) -> None:
        fabric = BlockingFabric()
        assert not fabric.inline
        fabric.start()
        for _ in range(2):
            fabric.device.fault(delay=0.001)
        fabric.device.fault(refuse="no")
        with pytest.raises(FabricRefused):
            fabric.remove("a")
        assert fabric.device.script.empty

    def test_any_means_what_changes_something(self, fabric: EmulatedFabric) -> None:
        fabric.device.fault(refuse="no")
        fabric.device.fault(refuse="not now", on="bridges")
        with pytest.raises(FabricRefused, match="not now"):
            fabric.bridges()
        with pytest.raises(FabricRefused, match="no"):
            fabric.retain([], "a")

    @pytest.mark.parametrize(
        "words",
        [
            {},
            {"refuse": "no", "hang": True},
            {"hang": True, "on": "everything"},
            {"hang": True, "count": 0},
            {"delay": -1},
            {"crash": "soon"},
        ],
    )
    def test_that_make_no_sense(self, words: dict[str, object]) -> None:
        with pytest.raises(BadArgument):
            Device().fault(**words)

    def test_wipe_forgets_and_tells(self, fabric: EmulatedFabric) -> None:
        told: list[FabricEvent] = []
        fabric.watch(lambda event, _: told.append(event))
        fabric.ensure(bridge("a", ("1", 1), ("2", 1)))
        fabric.device.wipe()
        assert fabric.bridges() == []
        assert told == [FabricEvent.UP, FabricEvent.UP]


class TestEvents:
    def test_of_a_port_mean_all_channels_on_it(self, fabric: EmulatedFabric) -> None:
        on_it = [Channel("3", 3), Channel("3.100", 4), Channel("3x2", 5), Channel("phys", 3)]
        assert {fabric.port(channel) for channel in on_it} == {"3"}
        told: list[tuple[FabricEvent, str]] = []
        fabric.watch(lambda event, interface: told.append((event, interface)))
        fabric.device.port_down("3x2")
        fabric.device.port_up("3")
        assert told == [
            (FabricEvent.UP, ""),
            (FabricEvent.PORT_DOWN, "3"),
            (FabricEvent.PORT_UP, "3"),
        ]

    def test_dead_ports_follow_each_up(self, fabric: EmulatedFabric) -> None:
        fabric.device.port_down("3")
        told: list[tuple[FabricEvent, str]] = []
        fabric.watch(lambda event, interface: told.append((event, interface)))
        fabric.device.down()
        fabric.device.port_down("4")
        fabric.device.port_up("3")
        fabric.device.up()
        assert told == [
            (FabricEvent.UP, ""),
            (FabricEvent.PORT_DOWN, "3"),
            (FabricEvent.DOWN, ""),
            (FabricEvent.UP, ""),
            (FabricEvent.PORT_DOWN, "4"),
        ]

    def test_a_listener_may_call_the_fabric(self, fabric: EmulatedFabric) -> None:
        fabric.watch(lambda event, _: fabric.ensure(bridge("a", ("1", 1), ("2", 1))))
        assert len(fabric.bridges()) == 1

    def test_a_listener_that_fails_does_not_silence_the_others(
        self, fabric: EmulatedFabric, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(event: FabricEvent, interface: str) -> None:
            raise RuntimeError("a listener's own fault")

        told: list[FabricEvent] = []
        fabric.watch(fail)
        fabric.watch(lambda event, _: told.append(event))
        fabric.device.down()
        assert told == [FabricEvent.UP, FabricEvent.DOWN]
        assert "a listener failed" in caplog.text

    def test_are_not_told_after_stop(self, fabric: EmulatedFabric) -> None:
        told: list[FabricEvent] = []
        fabric.watch(lambda event, _: told.append(event))
        fabric.stop()
        fabric.device.down()
        assert told == [FabricEvent.UP]

    def test_phys_is_no_port(self) -> None:
        with pytest.raises(InterfaceInvalid):
            Device().port_down("phys")


class TestSharedDevices:
    def test_outlive_their_fabrics(self) -> None:
        try:
            before = EmulatedFabric(device="test-shared", bridges=9)
            before.start()
            before.ensure(bridge("a", ("1", 1), ("2", 1)))
            before.stop()
            with pytest.raises(Unreachable, match="not started"):
                before.ensure(bridge("b", ("1", 2), ("2", 2)))
            after = EmulatedFabric(device="test-shared")
            after.start()
            assert [b.key for b in after.bridges()] == ["a"]
            assert after.device is device("test-shared")
            assert after.capacity() == {"bridges": 1, "bridges-left": 8}
        finally:
            forget_device("test-shared")
        assert device("test-shared").holds() == {}
        forget_device("test-shared")

    def test_nameless_ones_are_not_shared(self) -> None:
        assert EmulatedFabric().device is not EmulatedFabric().device
