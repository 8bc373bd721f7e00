"""Frames across an OpenFlow switch, a shared VFC and a VFC for each service, on a real Open vSwitch.

Two emulated Corsa switches and a plain bridge, controlled by the real application; cables between them are pumps.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dpb_corsa_emulator.lab import DATAPATH, Ovs, Wire
from dpb_corsa_emulator.testing import Emulator

from dpb_framework.model import Terminal
from dpb_framework.runtime import Runtime
from dpb_framework.testing.world import Layout, World

from .corsa_plant import Controller, frame, needed

pytestmark = [pytest.mark.dataplane, pytest.mark.alone, pytest.mark.xdist_group("corsa_dataplane")]

DPID = "00000000000000a1"
SWITCHES = {"csh": "corsa-shared", "cps": "corsa-per-service"}


class Pump:
    """A cable: what comes out of one port goes into another, and back."""

    def __init__(self, one: Wire, other: Wire) -> None:
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=pair) for pair in ((one, other), (other, one))]
        for thread in self._threads:
            thread.start()

    def _run(self, source: Wire, target: Wire) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(AssertionError):
                target.send(source.get(0.1))

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


class Plant:
    """Everything, and the ports where customers are: `of`, `csh` and `cps`."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.ovs = Ovs(folder)
        stack.callback(self.ovs.stop)
        self.ovs.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
        self.controller = Controller(folder)
        stack.callback(self.controller.end)
        words = ["add-br", "of", "--", "set", "bridge", "of", f"datapath_type={DATAPATH}", "protocols=OpenFlow13",
                 "fail-mode=secure", f"other_config:datapath-id={DPID}"]  # fmt: skip
        for port in (1, 2):
            words += ["--", "add-port", "of", f"ofp{port}", "--", "set", "interface", f"ofp{port}", "type=dummy",
                      f"ofport_request={port}", f"options:pstream=punix:{folder}/of-{port}.sock"]  # fmt: skip
        self.ovs.vsctl(*words)
        self.ovs.vsctl("set-controller", "of", f"tcp:127.0.0.1:{self.controller.openflow}", "--", "set", "controller",
                       "of", "max_backoff=1000")  # fmt: skip
        self.emulators: dict[str, Emulator] = {}
        for name in SWITCHES:
            emulator = Emulator(folder / name, *self.ovs.options(["1", "2", "3", "4"], name))
            self.emulators[name] = emulator
            stack.callback(emulator.stop)

        def wire(made: Wire) -> Wire:
            stack.callback(made.close)
            return made

        self.wires = {"of": wire(Wire(folder / "of-1.sock"))}
        for name in SWITCHES:
            self.wires |= {name: wire(self.ovs.wire("1", name)), f"{name} other": wire(self.ovs.wire("4", name))}
        ends = [Wire(folder / "of-2.sock"), *(self.ovs.wire(p, "csh") for p in "23"), self.ovs.wire("2", "cps")]
        first, second, third, fourth = map(wire, ends)
        for one, other in ((first, second), (third, fourth)):
            stack.callback(Pump(one, other).end)

    def layout(self) -> Layout:
        url = f"http://127.0.0.1:{self.controller.rest}"
        layout = Layout().switch("of", Terminal("access", "1"), Terminal("east", "2"), fabric="openflow",
                                 fabric_settings={"url": url, "dpid": DPID})  # fmt: skip
        for name, fabric in SWITCHES.items():
            emulator = self.emulators[name]
            settings = {
                "url": emulator.url, "certificate": str(emulator.certificate), "token-file": str(emulator.token_file),
                "application": url, "controller": f"127.0.0.1:{self.controller.openflow}", "prefix": f"dpb:{name}:",
                "poll": 0.2, "timeout": 30,
            }  # fmt: skip
            terminals = ("access", "1"), ("west", "2"), ("east", "3"), ("other", "4")
            layout.switch(
                name, *(Terminal(*terminal) for terminal in terminals), fabric=fabric, fabric_settings=settings
            )
        layout.aggregator("wan", ["of", *SWITCHES], {name: f"{name}:access" for name in ("of", *SWITCHES)})
        layout.trunk("wan", "of:east", "csh:west")
        return layout.trunk("wan", "csh:east", "cps:west")


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    needed()
    # Not pytest's own folder: a Unix socket's path has room for about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="dpb-cd-") as folder, contextlib.ExitStack() as stack:
        yield Plant(Path(folder), stack)


class Traffic:
    """Frames with numbers, so that what comes is known from what came before."""

    def __init__(self, plant: Plant) -> None:
        self.wires = plant.wires
        self._number = 0

    def arrives(self, start: str, tag: int, end: str, other: int, seconds: float = 20) -> bool:
        """Whether a frame comes out, with the other tag."""
        self._number += 1
        payload = b"frame %d;" % self._number
        self.wires[start].send(frame((tag,), payload))
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                got = self.wires[end].get(left)
            except AssertionError:
                return False
            if payload in got:
                assert int.from_bytes(got[14:16], "big") & 0xFFF == other
                return True
        return False

    def lost(self, start: str, tag: int, end: str, during: Callable[[], object]) -> int:
        """How many of the frames sent one by one while something is done do not come out."""
        ended = threading.Event()

        def work() -> None:
            try:
                during()
            finally:
                ended.set()

        worker = threading.Thread(target=work)
        worker.start()
        lost = 0
        while not ended.is_set():
            lost += not self.arrives(start, tag, end, tag, 5)
        worker.join()
        return lost


def left(plant: Plant) -> dict[str, list[Any]]:
    found = {}
    for name, emulator in plant.emulators.items():
        vfcs = emulator.call("GET", "bridges?list=true")[1]["list"]
        listed = [emulator.call("GET", f"bridges/{vfc['bridge']}/tunnels?list=true")[1]["list"] for vfc in vfcs]
        found[name] = [tunnel for tunnels in listed for tunnel in tunnels]
    return found


def test_a_service_goes_across_all_three_kinds_of_switch(plant: Plant) -> None:
    traffic = Traffic(plant)
    with World(plant.layout(), runtime=Runtime, inferior_timeout=60) as world:
        pair = world.establish("wan", ("of", 10, 50, 50), ("cps", 20, 50, 50), active=True)
        three = world.establish("wan", *((name, 11, 50, 50) for name in ("of", "csh", "cps")), active=True)
        assert traffic.arrives("of", 10, "cps", 20)
        assert traffic.arrives("cps", 20, "of", 10)
        for start in ("of", "csh", "cps"):
            for end in ("of", "csh", "cps"):
                assert start == end or traffic.arrives(start, 11, end, 11), (start, end)
        # What belongs to one service comes out nowhere else.
        assert not traffic.arrives("of", 10, "csh", 10, 0.5)
        assert not traffic.arrives("of", 12, "cps", 12, 0.5)

        def restart_application() -> None:
            plant.controller.end(signal.SIGKILL)
            plant.controller.start()
            world.until(lambda: not pair.conditions and not three.conditions)

        assert traffic.lost("of", 11, "cps", restart_application) <= 1

        def restart_broker() -> None:
            world.stop()
            world.start()
            world.until(lambda: not world.find(pair).conditions and not world.find(three).conditions)

        assert traffic.lost("of", 11, "cps", restart_broker) <= 1
        for service in (pair, three):
            world.release(world.find(service))
        assert not traffic.arrives("of", 10, "cps", 20, 0.5)
        assert left(plant) == {"csh": [], "cps": []}


class Load:
    """Frames of 1000 octets at a rate, into a port, until told to stop; `gap` is the longest silence, in seconds."""

    def __init__(self, wire: Wire, mbps: float, tag: int) -> None:
        self._wire, self._mbps = wire, mbps
        self._data = frame((tag,), bytes(1000 - 18))
        self._ended = threading.Event()
        self.sent, self.gap = 0, 0.0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        last, owed = time.monotonic(), 0.0
        while not self._ended.wait(0.002):
            now = time.monotonic()
            self.gap = max(self.gap, now - last)
            # After a silence the backlog is not sent: a meter has no memory for it either.
            owed = min(owed + (now - last) * self._mbps * 125, self._mbps * 5)
            last = now
            while owed >= 1:
                self._wire.send(self._data)
                self.sent += 1
                owed -= 1

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()


def measured(wire: Wire, load: Load, least: float) -> float:
    """Mbit/s that come out: the median of three windows in which more than *least* were really offered, evenly."""
    rates: list[float] = []
    for _ in range(60):
        load.gap = 0.0
        sent, octets, began = load.sent, wire.octets, time.monotonic()
        time.sleep(0.7)
        got, took = wire.octets - octets, time.monotonic() - began
        if (load.sent - sent) * 0.008 / took >= least and load.gap < 0.03:
            rates.append(got * 8e-6 / took)
        if len(rates) == 3:
            return sorted(rates)[1]
    raise AssertionError(f"this machine cannot offer {least} Mbit/s evenly")


@pytest.mark.parametrize("name", SWITCHES)
def test_rates_hold_within_five_percent_on_both_sides(plant: Plant, name: str) -> None:
    start, end = plant.wires[name], plant.wires[f"{name} other"]
    with World(plant.layout(), runtime=Runtime, inferior_timeout=60) as world:
        service = world.establish(name, ("access", 30, 20_000, 20_000), ("other", 31, 20_000, 4_500), active=True)
        end.keep = False
        load = Load(start, 10, 30)
        try:
            time.sleep(0.5)
            assert measured(end, load, 7) == pytest.approx(4.5, rel=0.05)
            world.change(service, ("access", 30, 3_500, 20_000), ("other", 31, 20_000, 20_000))
            time.sleep(0.5)
            assert measured(end, load, 7) == pytest.approx(3.5, rel=0.05)
        finally:
            load.stop()
            time.sleep(0.2)
            end.keep = True
        world.release(service)
    assert left(plant) == {"csh": [], "cps": []}
