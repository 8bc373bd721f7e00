"""Both emulated fabrics keep the contract."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from dpb_framework.contracts import Channel, Fabric
from dpb_framework.emulated import EmulatedFabric, ProcessFabric
from dpb_framework.errors import ConfigInvalid
from dpb_framework.model import TrafficFlow
from dpb_framework.testing.emulated import EmulatedProcess
from dpb_framework.testing.fabric import FabricContract

NAMES = ["3", "4x2", " 5.0100 ", "eth0", "07", "phys"]
FAULTS = ["", "  ", "a b", "3/4", "3:4", "0", "3.0", "3.4095", "0x2", "99999999", "é", "٣", "a\nb", "x" * 129]
FLOW = TrafficFlow(1_000, 1_000)


@pytest.fixture(scope="module")
def unix() -> Iterator[EmulatedProcess]:
    with EmulatedProcess() as process:
        yield process


@pytest.fixture(scope="module")
def tcp() -> Iterator[EmulatedProcess]:
    with EmulatedProcess(tcp=True) as process:
        yield process


class _Names:
    @pytest.fixture
    def interfaces(self) -> Sequence[str]:
        return NAMES

    @pytest.fixture
    def interface_faults(self) -> Sequence[str]:
        return FAULTS


class TestInMemory(_Names, FabricContract):
    @pytest.fixture
    def fabric(self) -> Iterator[Fabric]:
        fabric = EmulatedFabric()
        fabric.start()
        yield fabric
        fabric.stop()

    @pytest.fixture
    def away(self) -> Callable[[], Fabric]:
        def make() -> Fabric:
            fabric = EmulatedFabric()
            fabric.device.down()
            return fabric

        return make

    @pytest.fixture
    def lose_contact(self, fabric: EmulatedFabric) -> Callable[[], None]:
        return fabric.device.down

    @pytest.fixture
    def regain_contact(self, fabric: EmulatedFabric) -> Callable[[], None]:
        return fabric.device.up

    @pytest.fixture
    def set_port(self, fabric: EmulatedFabric) -> Callable[[str, bool], None]:
        return lambda port, up: (fabric.device.port_up if up else fabric.device.port_down)(port)

    @pytest.fixture
    def frames(self, fabric: EmulatedFabric) -> Callable[[Channel], Collection[Channel]]:
        return fabric.device.carries

    @pytest.fixture
    def stranger(self, fabric: EmulatedFabric) -> Callable[[Collection[Channel]], Callable[[], bool]]:
        def make(channels: Collection[Channel]) -> Callable[[], bool]:
            fabric.device.stranger("theirs", dict.fromkeys(channels, FLOW))
            return lambda: set(fabric.device.strangers["theirs"].channels) == set(channels)

        return make


class _InAProcess(_Names, FabricContract):
    @pytest.fixture
    def device(self) -> str:
        """Each test has a device of its own in the one process."""
        return uuid.uuid4().hex

    @pytest.fixture
    def fabric(self, process: EmulatedProcess, device: str) -> Iterator[Fabric]:
        fabric = process.fabric(device)
        fabric.start()
        yield fabric
        fabric.stop()

    @pytest.fixture
    def away(self, tmp_path: Path) -> Callable[[], Fabric]:
        return lambda: ProcessFabric(address=f"unix:{tmp_path / 'nobody'}")

    @pytest.fixture
    def set_port(self, process: EmulatedProcess, device: str) -> Callable[[str, bool], None]:
        return lambda port, up: process.port(port, up=up, device=device)

    @pytest.fixture
    def frames(self, process: EmulatedProcess, device: str) -> Callable[[Channel], Collection[Channel]]:
        return lambda channel: process.carries(channel, device)

    @pytest.fixture
    def stranger(self, process: EmulatedProcess, device: str) -> Callable[[Collection[Channel]], Callable[[], bool]]:
        def make(channels: Collection[Channel]) -> Callable[[], bool]:
            process.stranger("theirs", dict.fromkeys(channels, FLOW), device)
            plain = [[c.interface, c.label, FLOW.ingress, FLOW.egress] for c in channels]
            return lambda: process.listing(device)["strangers"] == [{"key": "theirs", "channels": plain}]

        return make


class TestInAProcessThatIsKilled(_InAProcess):
    @pytest.fixture
    def process(self, unix: EmulatedProcess) -> EmulatedProcess:
        return unix

    @pytest.fixture
    def lose_contact(self, process: EmulatedProcess) -> Callable[[], None]:
        return process.kill

    @pytest.fixture
    def regain_contact(self, process: EmulatedProcess) -> Callable[[], None]:
        return process.start


class TestOverTcpWithContactLost(_InAProcess):
    @pytest.fixture
    def process(self, tcp: EmulatedProcess) -> EmulatedProcess:
        return tcp

    @pytest.fixture
    def away(self) -> Callable[[], Fabric]:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        return lambda: ProcessFabric(address=f"127.0.0.1:{port}", timeout=1.0)

    @pytest.fixture
    def lose_contact(self, process: EmulatedProcess, device: str) -> Callable[[], None]:
        return lambda: process.contact(up=False, device=device)

    @pytest.fixture
    def regain_contact(self, process: EmulatedProcess, device: str) -> Callable[[], None]:
        return lambda: process.contact(up=True, device=device)


@pytest.mark.parametrize(
    ("settings", "path"),
    [({"ports": 0}, "ports"), ({"ports": True}, "ports"), ({"bridges": -1}, "bridges"), ({"device": 7}, "device")],
)
def test_bad_settings_of_the_one_in_memory(settings: dict[str, object], path: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        EmulatedFabric(**cast("dict[str, int]", settings))  # type: ignore[arg-type]
    assert caught.value.path == path


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"address": ""}, "address"),
        ({"address": "unix:"}, "address"),
        ({"address": "unix:" + "x" * 200}, "address"),
        ({"address": "somewhere"}, "address"),
        ({"address": "127.0.0.1:70000"}, "address"),
        ({"address": "192.0.2.1:4000"}, "address"),
        ({"address": "unix:x", "device": ""}, "device"),
        ({"address": "unix:x", "timeout": 0}, "timeout"),
        ({"address": "unix:x", "timeout": "5"}, "timeout"),
    ],
)
def test_bad_settings_of_the_one_in_a_process(settings: dict[str, object], path: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        ProcessFabric(**settings)  # type: ignore[arg-type]
    assert caught.value.path == path
    assert "\n" not in str(caught.value)
