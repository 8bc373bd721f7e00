"""The fabric keeps the contract, over the real application and a real Open vSwitch."""

from __future__ import annotations

import itertools
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import pytest
from dpb_lab.dummy import RealApplication, RealSwitches, Wire, frame, running, tags_of
from dpb_lab.process import until
from dpb_lab.testing import marks, needed_without_lab
from dpb_openflow import OpenFlowFabric
from dpb_openflow.names import Names

from dpb_framework.contracts import Bridge, Channel, Fabric
from dpb_framework.errors import FabricRefused, Unreachable
from dpb_framework.model import TrafficFlow
from dpb_framework.testing.fabric import FabricContract

pytestmark = marks("openflow")

PORTS = range(1, 9)
MARK_IN, MARK_OUT = 9, 10
"""Ports whose frames show that everything sent before has come out."""

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def real() -> Iterator[tuple[RealSwitches, RealApplication]]:
    needed_without_lab()
    # Not pytest's own folder: a Unix socket's path has room for about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="dpb-of-") as folder, running(Path(folder)) as both:
        yield both


@pytest.fixture(scope="module")
def dpid(real: tuple[RealSwitches, RealApplication]) -> Iterator[str]:
    switches, application = real
    dpid = f"{next(_numbers):016x}"
    switches.bridge("br1", dpid, [*PORTS, MARK_IN, MARK_OUT])
    switches.controller("br1", application.openflow)
    probe = OpenFlowFabric(url=application.url, dpid=dpid)
    probe.start()
    until(lambda: reached(probe), "the switch is connected")
    yield dpid
    probe.stop()


def reached(fabric: Fabric) -> bool:
    try:
        fabric.capacity()
    except Unreachable:
        return False
    return True


class _Real(FabricContract):
    @pytest.fixture
    def fabric(self, real: tuple[RealSwitches, RealApplication], dpid: str) -> Iterator[Fabric]:
        fabric = OpenFlowFabric(url=real[1].url, dpid=dpid)
        fabric.start()
        until(lambda: reached(fabric), "the switch is connected")
        yield fabric
        fabric.stop()

    @pytest.fixture
    def interfaces(self) -> Sequence[str]:
        return ["3", "phys.4x2", " 5.0100 ", "phys07", "phys"]

    @pytest.fixture
    def interface_faults(self) -> Sequence[str]:
        return ["", "eth0", "3.4095"]

    @pytest.fixture
    def set_port(self, real: tuple[RealSwitches, RealApplication]) -> Callable[[str, bool], None]:
        return lambda port, up: real[0].port("br1", port, up=up)

    @pytest.fixture
    def stranger(
        self, real: tuple[RealSwitches, RealApplication], dpid: str
    ) -> Iterator[Callable[[Collection[Channel]], Callable[[], bool]]]:
        other = OpenFlowFabric(url=real[1].url, dpid=dpid)
        other.start()
        made: list[Bridge] = []

        def make(channels: Collection[Channel]) -> Callable[[], bool]:
            theirs = Bridge(f"by hand/{uuid.uuid4()}", dict.fromkeys(channels, TrafficFlow(1_000, 1_000)))
            made.append(theirs)
            other.ensure(theirs)
            return lambda: theirs in other.bridges()

        yield make
        for theirs in made:
            other.remove(theirs.key)
        other.stop()

    @pytest.fixture
    def wires(self, real: tuple[RealSwitches, RealApplication], dpid: str) -> Iterator[dict[int, Wire]]:
        wires = {port: real[0].wire("br1", port) for port in (*PORTS, MARK_IN, MARK_OUT)}
        yield wires
        for wire in wires.values():
            wire.close()

    @pytest.fixture
    def frames(
        self, wires: dict[int, Wire], fabric: Fabric, prefix: str, interfaces: Sequence[str]
    ) -> Callable[[Channel], Collection[Channel]]:
        names = Names("the test")
        for text in interfaces:
            names.parse(text)
        free = TrafficFlow(1_000_000, 1_000_000)
        fabric.ensure(Bridge(f"{prefix}mark", {Channel("phys", MARK_IN): free, Channel("phys", MARK_OUT): free}))

        def carries(channel: Channel) -> set[Channel]:
            number = next(_numbers)
            payload = f"frame {number} of the test;".encode()
            port, *tags = names.circuit(channel)
            wires[port].send(frame(tags, payload, number))
            # The switch polls its ports in turns: after two marks, one after the other, all of an earlier turn is out.
            for mark in (payload + b"1", payload + b"2"):
                wires[MARK_IN].send(frame((), mark, 1))
                wires[MARK_OUT].wait_for(mark)
            found = set()
            for number in PORTS:
                for came in wires[number].came(payload):
                    found.add(names.channel((number, *tags_of(came))))
            return found

        return carries


class TestWhenTheSwitchIsLost(_Real):
    @pytest.fixture
    def away(self, real: tuple[RealSwitches, RealApplication]) -> Callable[[], Fabric]:
        return lambda: OpenFlowFabric(url=real[1].url, dpid="dead")

    @pytest.fixture
    def lose_contact(self, real: tuple[RealSwitches, RealApplication], fabric: OpenFlowFabric) -> Callable[[], None]:
        def lose() -> None:
            real[0].controller("br1", None)
            until(lambda: not reached(fabric), "the switch is away")

        return lose

    @pytest.fixture
    def regain_contact(self, real: tuple[RealSwitches, RealApplication]) -> Callable[[], None]:
        return lambda: real[0].controller("br1", real[1].openflow)


class TestWhenTheApplicationIsKilled(_Real):
    @pytest.fixture
    def lose_contact(self, real: tuple[RealSwitches, RealApplication]) -> Callable[[], None]:
        return real[1].kill

    @pytest.fixture
    def regain_contact(
        self, real: tuple[RealSwitches, RealApplication], fabric: OpenFlowFabric, prefix: str
    ) -> Callable[[], None]:
        def regain() -> None:
            real[1].start()
            until(lambda: reached(fabric), "the switch is connected")

        return regain


# -- what the suite does not ask for ----------------------------------------------------------------


def bridge(number: int) -> Bridge:
    flow = TrafficFlow(1_000, 2_000)
    return Bridge(f"{uuid.UUID(int=7)}/real/{number}", {Channel("3", number): flow, Channel("7", number): flow})


def persist(command: Callable[[], object]) -> None:
    """Repeat a command until it is confirmed, as the kernel does."""

    def confirmed() -> bool:
        try:
            command()
        except Unreachable:
            return False
        return True

    until(confirmed, "the command is confirmed")


def test_a_command_that_was_given_up_is_not_carried_out_later(
    real: tuple[RealSwitches, RealApplication], dpid: str
) -> None:
    _, application = real
    hasty = OpenFlowFabric(url=application.url, dpid=dpid, timeout=0.5)
    hasty.start()
    try:
        persist(lambda: hasty.retain([], ""))
        for number in range(1, 6):
            application.pause(on=True)
            try:
                with pytest.raises(Unreachable):
                    hasty.ensure(bridge(number))
            finally:
                application.pause(on=False)
            persist(lambda number=number: hasty.remove(bridge(number).key))  # type: ignore[misc]
            persist(lambda: hasty.ensure(bridge(99)))
            persist(lambda: hasty.remove(bridge(99).key))
            assert hasty.bridges() == []
    finally:
        hasty.stop()


def test_a_port_that_does_not_exist_is_refused_with_the_reason(
    real: tuple[RealSwitches, RealApplication], dpid: str
) -> None:
    fabric = OpenFlowFabric(url=real[1].url, dpid=dpid)
    fabric.start()
    try:
        flow = TrafficFlow(1_000, 2_000)
        wrong = Bridge(bridge(1).key, {Channel("77", 1): flow, Channel("3", 1): flow})
        with pytest.raises(FabricRefused, match="77"):
            fabric.ensure(wrong)
        assert fabric.bridges() == []
        fabric.ensure(bridge(1))
        fabric.remove(bridge(1).key)
    finally:
        fabric.stop()


def test_a_switch_that_speaks_another_version_says_so(real: tuple[RealSwitches, RealApplication]) -> None:
    switches, application = real
    switches.bridge("old", "00000000000000b0", (1, 2), protocols="OpenFlow10")
    switches.controller("old", application.openflow)
    fabric = OpenFlowFabric(url=application.url, dpid="b0")
    fabric.start()

    def why() -> str:
        try:
            fabric.bridges()
        except Unreachable as error:
            return error.problem
        return ""

    try:
        until(lambda: "OpenFlow" in why(), "the reason is told")
    finally:
        fabric.stop()
        switches.controller("old", None)
