"""The fabric keeps the contract, over an application that is faked."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterator, Sequence

import pytest
from dpb_openflow import OpenFlowFabric
from dpb_openflow.names import Names

from dpb_framework.contracts import Channel, Fabric
from dpb_framework.testing.fabric import FabricContract

from .fake_application import FakeApplication, FakeSwitch, eventually

DPID = "00000000000000a1"
NAMES = ["3", "phys.4x2", " 5.0100 ", "phys07", "phys"]
FAULTS = ["", "  ", "a b", "3/4", "3:4", "0", "3.0", "3.4095", "0x2", "4294967041", "é", "٣", "a\nb", "eth0", "lag4",
          "phys.", "3x", "3x2x2", "3.4.5", "-3", "+3", "9" * 1000, "3." + "9" * 1000]  # fmt: skip


class _Contract(FabricContract):
    @pytest.fixture
    def application(self) -> Iterator[FakeApplication]:
        with FakeApplication(FakeSwitch(DPID)) as application:
            yield application

    @pytest.fixture
    def fabric(self, application: FakeApplication) -> Iterator[Fabric]:
        fabric = OpenFlowFabric(url=application.url, dpid=DPID)
        fabric.start()
        yield fabric
        fabric.stop()

    @pytest.fixture
    def interfaces(self) -> Sequence[str]:
        return NAMES

    @pytest.fixture
    def interface_faults(self) -> Sequence[str]:
        return FAULTS

    @pytest.fixture
    def set_port(self, application: FakeApplication) -> Callable[[str, bool], None]:
        return lambda port, up: application.set_port(DPID, port, up)

    @pytest.fixture
    def frames(
        self, application: FakeApplication, interfaces: Sequence[str]
    ) -> Callable[[Channel], Collection[Channel]]:
        names = Names("the test")
        for text in interfaces:
            names.parse(text)

        def carries(channel: Channel) -> set[Channel]:
            out = application.switches[DPID].carries(list(names.circuit(channel)))
            return {names.channel(tuple(circuit)) for circuit in out}

        return carries

    @pytest.fixture
    def stranger(self, application: FakeApplication) -> Callable[[Collection[Channel]], Callable[[], bool]]:
        def make(channels: Collection[Channel]) -> Callable[[], bool]:
            names = Names("the test")
            theirs = {"circuits": [{"circuit": list(names.circuit(c))} for c in channels], "dhcp": False}
            switch = application.switches[DPID]
            switch.put("by hand", theirs)
            return lambda: switch.slices.get("by hand") == theirs

        return make


class TestWhenTheSwitchIsLost(_Contract):
    @pytest.fixture
    def away(self, application: FakeApplication) -> Callable[[], Fabric]:
        return lambda: OpenFlowFabric(url=application.url, dpid="a2")

    @pytest.fixture
    def lose_contact(self, application: FakeApplication) -> Callable[[], None]:
        return lambda: application.contact(DPID, up=False)

    @pytest.fixture
    def regain_contact(self, application: FakeApplication) -> Callable[[], None]:
        return lambda: application.contact(DPID, up=True)


class TestWhenTheApplicationIsLost(_Contract):
    @pytest.fixture
    def away(self) -> Callable[[], Fabric]:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        return lambda: OpenFlowFabric(url=f"http://127.0.0.1:{port}", dpid=DPID)

    @pytest.fixture
    def lose_contact(self, application: FakeApplication) -> Callable[[], None]:
        return application.kill

    @pytest.fixture
    def regain_contact(self, application: FakeApplication, fabric: Fabric) -> Callable[[], None]:
        def regain() -> None:
            application.start()
            # The kernel names its bridges before it asks for them.
            fabric.retain(list(application.switches[DPID].slices), "")

        return regain


class TestWithoutMeters(_Contract):
    @pytest.fixture
    def application(self) -> Iterator[FakeApplication]:
        with FakeApplication(FakeSwitch(DPID, meters=False)) as application:
            yield application

    @pytest.fixture
    def fabric(self, application: FakeApplication) -> Iterator[Fabric]:
        fabric = OpenFlowFabric(url=application.url, dpid=DPID)
        fabric.start()
        eventually(lambda: fabric.capabilities != OpenFlowFabric.capabilities)
        yield fabric
        fabric.stop()
