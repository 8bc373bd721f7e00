"""The kernel's networks keep the contract Network: over memory and processes, on stores in memory and in SQLite."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import pytest

from dpb_framework import plugins
from dpb_framework.contracts import Channel, Network, Store
from dpb_framework.memory import MemoryStore
from dpb_framework.runtime import Runtime
from dpb_framework.testing.emulated import EmulatedProcess
from dpb_framework.testing.network import NetworkContract
from dpb_framework.testing.traffic import Carrier, Traffic
from dpb_framework.testing.world import Layout, World, one_switch, three_levels, triangle, two_levels

_numbers = itertools.count(1)


class _InAWorld(NetworkContract):
    """A network of a small world on real threads."""

    name = ""

    def layout(self) -> Layout:
        raise NotImplementedError

    def store(self, folder: Path) -> Store:
        return MemoryStore()

    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[World]:
        with World(self.layout(), store=self.store(tmp_path), runtime=Runtime) as world:
            yield world

    @pytest.fixture
    def network(self, world: World) -> Network:
        return world.network(self.name)

    @pytest.fixture
    def carries(self, world: World) -> Callable[[str, int], Collection[tuple[str, int]]] | None:
        return lambda terminal, label: world.carries(self.name, terminal, label)

    @pytest.fixture
    def restart(self, world: World) -> Callable[[], Network]:
        def again() -> Network:
            world.restart()
            return world.network(self.name)

        return again


class _Sqlite:
    def store(self, folder: Path) -> Store:
        return plugins.make(plugins.STORES, "sql", Store, {"url": f"sqlite:///{folder / 'dpb.sqlite'}"}, "$.store")


class TestSwitch(_InAWorld):
    name = "s1"

    def layout(self) -> Layout:
        return one_switch()

    @pytest.fixture
    def terminals(self) -> Sequence[str]:
        return ["a", "b", "c", "d"]


class TestSwitchOnSqlite(_Sqlite, TestSwitch):
    pass


class TestAggregator(_InAWorld):
    name = "net"

    def layout(self) -> Layout:
        return triangle()

    @pytest.fixture
    def terminals(self) -> Sequence[str]:
        return ["t1", "t2", "t3"]


class TestAggregatorOnSqlite(_Sqlite, TestAggregator):
    pass


class TestAggregatorOfAggregators(_InAWorld):
    name = "top"

    def layout(self) -> Layout:
        return two_levels()

    @pytest.fixture
    def terminals(self) -> Sequence[str]:
        return ["a", "c", "d", "b"]


class TestAggregatorOfAggregatorsOnSqlite(_Sqlite, TestAggregatorOfAggregators):
    pass


class TestThreeLevels(TestAggregatorOfAggregators):
    name = "all"

    def layout(self) -> Layout:
        return three_levels()

    @pytest.fixture
    def terminals(self) -> Sequence[str]:
        return ["a", "e", "d"]


@pytest.fixture(scope="module")
def process() -> Iterator[EmulatedProcess]:
    with EmulatedProcess() as process:
        yield process


class _OverProcesses(_InAWorld):
    """The devices are in a process of their own, so that calls block and fail as those of real ones."""

    @pytest.fixture
    def world(self, tmp_path: Path, process: EmulatedProcess) -> Iterator[World]:
        layout = self.layout()
        for name, settings in layout.networks.items():
            if settings["kind"] == "switch":
                settings["fabric"] = "emulated-process"
                settings["fabric-settings"] = {"address": process.address, "device": f"{next(_numbers)}-{name}"}
        with World(layout, store=self.store(tmp_path), runtime=Runtime) as world:
            yield world

    @pytest.fixture
    def carries(self, world: World, process: EmulatedProcess) -> Callable[[str, int], Collection[tuple[str, int]]]:
        def device(switch: str) -> Carrier:
            return _Device(process, world.layout.networks[switch]["fabric-settings"]["device"])

        traffic = Traffic(world.layout, world.switch, device)
        return lambda terminal, label: traffic.carries(self.name, terminal, label)


class _Device:
    """One device of a process."""

    def __init__(self, process: EmulatedProcess, name: str) -> None:
        self._process = process
        self._name = name

    def carries(self, channel: Channel) -> Collection[Channel]:
        return self._process.carries(channel, self._name)


class TestSwitchOverAProcess(_OverProcesses, TestSwitch):
    pass


class TestAggregatorOverProcesses(_OverProcesses, TestAggregator):
    pass
