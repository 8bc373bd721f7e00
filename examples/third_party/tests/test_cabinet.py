"""The fabric, held to its contract."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import pytest
from dpb_sample.cabinet import Cabinet

from dpb_framework.contracts import Channel, Fabric
from dpb_framework.testing.fabric import FabricContract


class TestCabinet(FabricContract):
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        (tmp_path / "cabinet").mkdir()
        return tmp_path / "cabinet" / "wires.json"

    @pytest.fixture
    def fabric(self, file: Path) -> Iterator[Fabric]:
        fabric = Cabinet(file=str(file))
        fabric.start()
        yield fabric
        fabric.stop()

    @pytest.fixture
    def interfaces(self) -> Sequence[str]:
        return ["port1", "Port 2", "3", "04"]

    @pytest.fixture
    def interface_faults(self) -> Sequence[str]:
        return ["", "port", "port0", "eth0", "3x2", "12345"]

    # What follows is optional: without it, some tests are skipped and say so.

    @pytest.fixture
    def away(self, tmp_path: Path) -> Callable[[], Fabric]:
        return lambda: Cabinet(file=str(tmp_path / "nowhere" / "wires.json"))

    @pytest.fixture
    def lose_contact(self, file: Path) -> Callable[[], None]:
        def lose() -> None:
            file.parent.rename(file.parent.with_name("elsewhere"))

        return lose

    @pytest.fixture
    def regain_contact(self, file: Path) -> Callable[[], None]:
        def regain() -> None:
            file.parent.with_name("elsewhere").rename(file.parent)

        return regain

    @pytest.fixture
    def stranger(self, file: Path) -> Callable[[Collection[Channel]], Callable[[], bool]]:
        def read() -> dict[str, object]:
            return dict(json.loads(file.read_text("utf-8"))) if file.exists() else {}

        def make(channels: Collection[Channel]) -> Callable[[], bool]:
            wires = [[channel.interface, channel.label, 1, 1] for channel in channels]
            file.write_text(json.dumps({**read(), "by hand": wires}), "utf-8")
            return lambda: read().get("by hand") == wires

        return make
