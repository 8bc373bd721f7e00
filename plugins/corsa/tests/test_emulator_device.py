"""Changes that wait for another are carried out together, and each stands or falls alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve
from dpb_corsa_emulator import statefile
from dpb_corsa_emulator.device import BackendFault, Device, NoBackend
from dpb_corsa_emulator.values import Bridge, Limits, Refused, State

PATIENCE = 20


class Slow(NoBackend):
    """A backend that stands still until it is let go, and cannot have bridges of the subtype `bad`."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self.went: list[tuple[set[str], set[str]]] = []

    def become(self, before: State, after: State) -> None:
        self.entered.set()
        assert self.go.wait(PATIENCE)
        if any(bridge.subtype == "bad" for bridge in after.bridges.values()):
            raise BackendFault("no room")
        self.went.append((set(before.bridges), set(after.bridges)))


def made(name: str, subtype: str = "openflow") -> Callable[[State], State]:
    def step(state: State) -> State:
        if name in state.bridges:
            raise Refused(409, f"{name} is there")
        bridge = Bridge(dpid=f"{int(name[2:]):016x}", subtype=subtype, resources=1)
        return evolve(state, bridges={**state.bridges, name: bridge})

    return step


def removed(name: str) -> Callable[[State], State]:
    return lambda state: evolve(state, bridges={n: bridge for n, bridge in state.bridges.items() if n != name})


class Asking:
    """Changes, each in a thread of its own, in this order; what became of each."""

    def __init__(self, device: Device, *steps: Callable[[State], State]) -> None:
        self.told: list[object] = [None] * len(steps)
        self._threads = []
        for place, step in enumerate(steps):
            waiting = len(device._asked)
            self._threads.append(threading.Thread(target=self._ask, args=(device, place, step)))
            self._threads[-1].start()
            while len(device._asked) == waiting:
                pass

    def _ask(self, device: Device, place: int, step: Callable[[State], State]) -> None:
        try:
            self.told[place] = set(device.change(step).bridges)
        except (Refused, BackendFault, ZeroDivisionError) as fault:
            self.told[place] = type(fault)

    def end(self) -> list[object]:
        for thread in self._threads:
            thread.join(PATIENCE)
        return self.told


@pytest.fixture
def backend() -> Slow:
    return Slow()


@pytest.fixture
def device(backend: Slow, tmp_path: Path) -> Iterator[Device]:
    """A device in the middle of its first change, which makes br1."""
    device = Device(Limits(), tmp_path / "state.json", backend)
    first = threading.Thread(target=device.change, args=(made("br1"),))
    first.start()
    assert backend.entered.wait(PATIENCE)
    yield device
    first.join(PATIENCE)
    assert statefile.load(tmp_path / "state.json") == device.state


def test_what_waits_is_one_change_of_the_backend(device: Device, backend: Slow) -> None:
    def wrong(_: State) -> State:
        raise ZeroDivisionError

    asking = Asking(device, made("br2"), made("br1"), wrong, made("br3"), removed("br1"))
    backend.go.set()
    assert asking.end() == [{"br1", "br2"}, Refused, ZeroDivisionError, {"br1", "br2", "br3"}, {"br2", "br3"}]
    assert backend.went == [(set(), {"br1"}), ({"br1"}, {"br2", "br3"})]


def test_the_backend_sees_gone_what_is_made_again(device: Device, backend: Slow) -> None:
    asking = Asking(device, removed("br1"), made("br2"), made("br1"))
    backend.go.set()
    assert asking.end() == [set(), {"br2"}, {"br1", "br2"}]
    assert backend.went[1:] == [({"br1"}, {"br2"}), ({"br2"}, {"br1", "br2"})]


def test_what_the_backend_cannot_do_is_told_to_nobody_else(device: Device, backend: Slow) -> None:
    asking = Asking(device, made("br2"), made("br3", "bad"), made("br4"))
    backend.go.set()
    assert asking.end() == [{"br1", "br2"}, BackendFault, {"br1", "br2", "br4"}]
    assert set(device.state.bridges) == {"br1", "br2", "br4"}
