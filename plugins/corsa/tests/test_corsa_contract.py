"""Both fabrics keep the contract, over the emulator and an application that is faked."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import pytest
from dpb_corsa import PerServiceFabric, SharedFabric
from dpb_corsa.fabric import CorsaFabric
from dpb_corsa_emulator.values import Bridge as Vfc
from dpb_corsa_emulator.values import State, Tunnel

from dpb_framework.contracts import Channel, Fabric
from dpb_framework.testing.fabric import FabricContract

from .corsa_lab import Lab, looked

NAMES = ["3", "phys.4x2", " 5.0100 ", "lag07", "lag.8x2", "phys", "lag"]
FAULTS = ["", "  ", "a b", "3/4", "3:4", "0", "3.0", "3.4095", "0x2", "1000", "lag0", "lag1000", "é", "٣", "a\nb",
          "eth0", "phys.", "lag.", "3x", "3x2x2", "3.4.5", "-3", "+3", "Lag4", "9" * 999, "3." + "9" * 999]  # fmt: skip


class _Contract(FabricContract):
    made: type[CorsaFabric]

    @pytest.fixture
    def lab(self, tmp_path: Path) -> Iterator[Lab]:
        lab = Lab(tmp_path)
        lab.start()
        yield lab
        lab.stop()

    @pytest.fixture
    def fabric(self, lab: Lab) -> Iterator[Fabric]:
        fabric = self.made(**lab.settings())
        fabric.start()
        looked(fabric)
        yield fabric
        fabric.stop()

    @pytest.fixture
    def interfaces(self) -> Sequence[str]:
        return NAMES

    @pytest.fixture
    def interface_faults(self) -> Sequence[str]:
        return FAULTS

    @pytest.fixture
    def away(self, lab: Lab) -> Callable[[], Fabric]:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        return lambda: self.made(**lab.settings(url=f"https://127.0.0.1:{port}"))

    @pytest.fixture
    def frames(
        self, lab: Lab, fabric: CorsaFabric, channels: Sequence[Channel]
    ) -> Callable[[Channel], Collection[Channel]]:
        named = {fabric._circuit(channel): channel for channel in channels}
        return lambda channel: {named[circuit] for circuit in lab.frames(fabric._circuit(channel))}

    @pytest.fixture
    def stranger(self, lab: Lab, fabric: CorsaFabric) -> Callable[[Collection[Channel]], Callable[[], bool]]:
        def make(channels: Collection[Channel]) -> Callable[[], bool]:
            circuits = [fabric._circuit(channel) for channel in channels]
            tunnels = {n: Tunnel(c.port, *c.tags) for n, c in enumerate(circuits, 1)}
            theirs = Vfc("0000000000000007", "openflow", 5, descr="somebody else's", tunnels=tunnels)
            lab.switch.call(lambda state: State({**state.bridges, "br1": theirs}))
            return lambda: lab.switch.state.bridges.get("br1") == theirs

        return make

    @pytest.fixture
    def set_port(self, lab: Lab) -> Callable[[str, bool], None]:
        return lambda port, up: (lab.switch.down.discard if up else lab.switch.down.add)(port)


class _WhenTheSwitchIsLost(_Contract):
    @pytest.fixture
    def lose_contact(self, lab: Lab) -> Callable[[], None]:
        return lab.switch.stop

    @pytest.fixture
    def regain_contact(self, lab: Lab) -> Callable[[], None]:
        return lab.switch.start


class _WhenTheApplicationIsLost(_Contract):
    @pytest.fixture
    def lose_contact(self, lab: Lab) -> Callable[[], None]:
        return lab.application.stop

    @pytest.fixture
    def regain_contact(self, lab: Lab, fabric: Fabric) -> Callable[[], None]:
        def regain() -> None:
            keys = {key for held in lab.application.slices.values() for key in held}
            lab.application.start()
            # The kernel names its bridges before it asks for them.
            fabric.retain(sorted(keys), "")

        return regain


class TestSharedWhenTheSwitchIsLost(_WhenTheSwitchIsLost):
    made = SharedFabric


class TestSharedWhenTheApplicationIsLost(_WhenTheApplicationIsLost):
    made = SharedFabric


class TestPerServiceWhenTheSwitchIsLost(_WhenTheSwitchIsLost):
    made = PerServiceFabric
