"""Both fabrics keep the contract over the real application and an emulated switch that carries frames."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from dpb_corsa import PerServiceFabric, SharedFabric
from dpb_corsa.fabric import CorsaFabric
from dpb_corsa_emulator.lab import Ovs
from dpb_corsa_emulator.testing import Emulator
from dpb_lab.dummy import RealApplication, Wire, frame, tags_of
from dpb_lab.testing import needed_without_lab

from dpb_framework.contracts import Bridge, Channel, Fabric
from dpb_framework.model import TrafficFlow
from dpb_framework.testing.fabric import FabricContract

from .corsa_lab import looked

pytestmark = [pytest.mark.dataplane, pytest.mark.xdist_group("corsa_dataplane")]

PORTS = [str(number) for number in range(1, 9)]
MARK_IN, MARK_OUT = "9", "10"
"""Ports whose frames show that everything sent before has come out."""

_numbers = itertools.count(1)


class Site:
    """A switch, its application, and the other ends of its ports' cables."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        ports = [*PORTS, MARK_IN, MARK_OUT]
        self.ovs = Ovs(folder)
        stack.callback(self.ovs.stop)
        self.application = RealApplication(folder, "--application", "port-slicer")
        stack.callback(self.application.stop)
        self.application.start()
        self.emulator = Emulator(folder / "switch", *self.ovs.options(ports))
        stack.callback(self.emulator.stop)
        self._folder = folder
        self.dead: set[str] = set()
        self.wires: dict[str, Wire] = {}
        self.plug()
        stack.callback(self.unplug)

    def plug(self) -> None:
        self.unplug()
        self.wires = {port: Wire(self._folder / f"corsa-{port}.sock") for port in (*PORTS, MARK_IN, MARK_OUT)}

    def unplug(self) -> None:
        for wire in self.wires.values():
            wire.close()
        self.wires = {}

    def set_port(self, port: str, up: bool) -> None:
        (self.dead.discard if up else self.dead.add)(port)
        self.emulator.side("PUT", f"ports/{port}", {"up": up})

    def settings(self) -> dict[str, Any]:
        return {
            "url": self.emulator.url, "certificate": str(self.emulator.certificate),
            "token_file": str(self.emulator.token_file), "application": self.application.url,
            "controller": f"127.0.0.1:{self.application.openflow}", "prefix": "dpb:real:", "poll": 0.2, "timeout": 30,
        }  # fmt: skip


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    needed_without_lab()
    # Not pytest's own folder: a Unix socket's path has room for about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="dpb-cr-") as folder, contextlib.ExitStack() as stack:
        yield Site(Path(folder), stack)


class _Real(FabricContract):
    made: type[CorsaFabric]

    @pytest.fixture
    def fabric(self, site: Site) -> Iterator[Fabric]:
        fabric = self.made(**site.settings())
        fabric.start()
        looked(fabric)
        yield fabric
        fabric.stop()
        for name in site.emulator.call("GET", "bridges")[1]["links"]:
            site.emulator.call("DELETE", f"bridges/{name}")

    @pytest.fixture
    def interfaces(self) -> Sequence[str]:
        return ["3", "phys.4x2", " 5.0100 ", "phys07", "phys"]

    @pytest.fixture
    def interface_faults(self) -> Sequence[str]:
        return ["", "eth0", "3.4095"]

    @pytest.fixture
    def patience(self) -> float:
        return 60.0

    @pytest.fixture
    def set_port(self, site: Site) -> Callable[[str, bool], None]:
        return site.set_port

    @pytest.fixture
    def lose_contact(self, site: Site) -> Callable[[], None]:
        return site.emulator.kill

    @pytest.fixture
    def regain_contact(self, site: Site) -> Callable[[], None]:
        def regain() -> None:
            site.emulator.start()
            site.plug()
            # Cables that are out are still out; the emulator does not know by itself.
            for port in site.dead:
                site.set_port(port, False)

        return regain

    @pytest.fixture
    def frames(
        self, site: Site, fabric: CorsaFabric, prefix: str, channels: Sequence[Channel]
    ) -> Callable[[Channel], Collection[Channel]]:
        named = {fabric._circuit(channel): channel for channel in channels}
        free = TrafficFlow(1_000_000, 1_000_000)
        marks = {Channel("phys", int(MARK_IN)): free, Channel("phys", int(MARK_OUT)): free}
        fabric.ensure(Bridge(f"{uuid.uuid4()}/marks/1", marks))

        def carries(channel: Channel) -> set[Channel]:
            number = next(_numbers)
            payload = f"frame {number} of the test;".encode()
            circuit = fabric._circuit(channel)
            site.wires[circuit.port].send(frame(circuit.tags, payload, number))
            # The switch polls its ports in turns: after two marks, one after the other, all of an earlier turn is out.
            for mark in (payload + b"1", payload + b"2"):
                site.wires[MARK_IN].send(frame((), mark))
                site.wires[MARK_OUT].wait_for(mark)
            return {
                one
                for port in PORTS
                for came in site.wires[port].came(payload)
                for circuit, one in named.items()
                if (circuit.port, circuit.tags) == (port, tags_of(came))
            }

        return carries


class TestShared(_Real):
    """In `make test` all but what no switch has a part in, and races of many threads; see below."""

    made = SharedFabric


class TestPerService(_Real):
    """In `make test` what makes, changes and removes bridges; the whole suite in `make soak`, and over fakes always."""

    made = PerServiceFabric


if os.environ.get("DPB_SOAK") != "1":
    told = ("test_f2_", "test_f6_", "test_f7_", "test_f8_", "test_f10_", "test_f13_")
    untold = ("test_f4_", "test_f5_", "test_the_same_key_at_once", "test_different_keys_at_once")
    for name in dir(FabricContract):
        if name.startswith("test_") and not name.startswith(told):
            setattr(TestPerService, name, None)
        if name.startswith(untold):
            setattr(TestShared, name, None)
