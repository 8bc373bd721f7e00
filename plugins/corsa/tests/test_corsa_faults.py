"""Every fault of the switch and of the application, at every call of a set-up, a change and a tear-down.

Whatever the fault: the fabric says `FabricRefused` and has left nothing, or `Unreachable` and repeating works; at the
end nothing of ours is on the switch, and what is somebody else's is as it was.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from dpb_corsa import PerServiceFabric, SharedFabric
from dpb_corsa.fabric import CorsaFabric
from dpb_corsa_emulator.rivals import NAME as RIVAL
from dpb_corsa_emulator.values import Bridge as Vfc
from dpb_corsa_emulator.values import State, Tunnel

from dpb_framework.contracts import Bridge, Channel
from dpb_framework.errors import FabricRefused, Unreachable
from dpb_framework.model import TrafficFlow

from .corsa_lab import APPLICATION_FAULTS, PREFIX, SWITCH_FAULTS, Faults, Lab, looked

KINDS = [SharedFabric, PerServiceFabric]
NAMESPACE = "0b4bd1a5-5b3a-4b4e-8a0e-0f4d8e7c1234/london/"
KEY = f"{NAMESPACE}1"
LOW, HIGH = TrafficFlow(2_000, 3_000), TrafficFlow(7_000, 5_000)
A, B, C, D = Channel("3", 30), Channel("4x2", 409620), Channel("lag5.100", 7), Channel("phys", 6)
FIRST = Bridge(KEY, {A: LOW, B: LOW, C: LOW})
SECOND = Bridge(KEY, {A: HIGH, B: TrafficFlow(9_000, 3_000), D: LOW})
BYSTANDER = Bridge(f"{NAMESPACE}2", {Channel("3", 31): LOW, Channel("7", 1): LOW})


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.start()
    theirs = Vfc("0000000000000007", "openflow", 5, descr="uplink", tunnels={1: Tunnel("9", 1), 2: Tunnel("10")})
    alike = Vfc("0000000000000009", "openflow", 5, descr="dpb:london:2:partial")
    lab.switch.call(lambda state: State({**state.bridges, "br2": theirs, "br60": alike}))
    yield lab
    lab.stop()


@contextlib.contextmanager
def fabric_of(kind: type[CorsaFabric], lab: Lab) -> Iterator[CorsaFabric]:
    """A fabric that has found its switch, and looks at it no more by itself."""
    fabric = kind(**lab.settings(poll=3600, timeout=5))
    fabric.start()
    try:
        looked(fabric)
        yield fabric
    finally:
        fabric.stop()


def quiet(lab: Lab) -> None:
    lab.switch.faults.arm()
    lab.application.faults.arm()


def told(fabric: CorsaFabric) -> list[Bridge]:
    return sorted(fabric.bridges(), key=lambda bridge: bridge.key)


def same(one: list[Bridge], *others: Bridge) -> bool:
    return [(b.key, b.channels) for b in one] == [(b.key, b.channels) for b in others]


def left(lab: Lab) -> list[object]:
    """What is left of ours: tunnels, and VFCs; the shared VFC itself may stay, when it is whole."""
    ours = [lab.switch.state.bridges[name] for name in lab.switch.of_ours()]
    partial = [vfc for vfc in ours if vfc.descr != f"{PREFIX}complete"]
    return [*lab.switch.tagged(), *partial]


STEPS = ("set-up", "change", "tear-down")
FEW = ("refused", "lost")
"""Told and not done; done and not told."""
NATURES = (*FEW, "race", "restarted")
"""One fault of each nature."""


def cases(faults: Iterable[str]) -> list[tuple[str, str, type[CorsaFabric]]]:
    """Every step with every fault on each fabric in `make soak`.

    In `make test` a VFC for each service is set up and torn down with all of them, and changed with one of each nature;
    the shared VFC sees few.
    """
    every = list(itertools.product(STEPS, faults, KINDS))
    if os.environ.get("DPB_SOAK") == "1":
        return every
    seen = {SharedFabric: dict.fromkeys(STEPS, FEW), PerServiceFabric: {"change": NATURES}}
    return [(step, fault, kind) for step, fault, kind in every if fault in seen[kind].get(step, (fault,))]


def prepare(fabric: CorsaFabric, step: str) -> tuple[list[Bridge], Callable[[], None], list[Bridge]]:
    """What is there before a step, the step, and what is there afterwards."""
    if step == "set-up":
        return [], lambda: fabric.ensure(FIRST), [FIRST]
    fabric.ensure(FIRST)
    if step == "change":
        return [FIRST], lambda: fabric.ensure(SECOND), [SECOND]
    return [FIRST], lambda: fabric.remove(KEY), []


def outcome_of(command: Callable[[], None]) -> str:
    try:
        command()
    except FabricRefused:
        return "refused"
    except Unreachable:
        return "unreachable"
    return "done"


def check(lab: Lab, fabric: CorsaFabric, step: str, fault: str, faults: Faults, number: int) -> str:
    """Do one step with a fault at one of its calls, and see that all ends well; the answer is what the step said."""
    strange = lab.switch.strange()
    assert not left(lab)
    before, command, after = prepare(fabric, step)
    faults.arm(fault, number)
    outcome = outcome_of(command)
    struck, call = faults.struck, faults.calls[number : number + 1]
    quiet(lab)
    if fault == "restarted" and struck:
        lab.switch.call(lambda state: State({**state.bridges, **strange}))
    elif outcome == "done":
        assert same(told(fabric), *after), call
    elif outcome == "refused":
        assert same(told(fabric), *before), call
        assert len(lab.switch.tagged()) == (len(FIRST.channels) if before else 0), call
    if number % 2 and outcome != "done":
        # The kernel repeats what it does not know the outcome of; or nobody wants it any more.
        command()
        assert same(told(fabric), *after), call
    fabric.remove(KEY)
    assert same(told(fabric)), call
    assert left(lab) == [], call
    if isinstance(fabric, PerServiceFabric):
        assert lab.switch.of_ours() == {}, call
    others = {name: vfc for name, vfc in lab.switch.strange().items() if vfc.descr != RIVAL}
    assert others == strange, call
    return outcome if struck else ""


def check_all(lab: Lab, kind: type[CorsaFabric], step: str, fault: str, faults: Faults) -> set[str]:
    outcomes = set()
    for number in itertools.count():
        # Each time the first of its life, so that the shared VFC is made as well.
        with fabric_of(kind, lab) as fabric:
            outcome = check(lab, fabric, step, fault, faults, number)
        empty(lab)
        if not outcome:
            assert number > 0, "the step makes calls"
            return outcomes
        outcomes.add(outcome)
    raise AssertionError


def empty(lab: Lab) -> None:
    """Let the shared VFC be gone, too, and what a rival made."""
    gone = (f"{PREFIX}complete", RIVAL)
    lab.switch.call(lambda state: State({n: b for n, b in state.bridges.items() if b.descr not in gone}))


@pytest.mark.parametrize(("step", "fault", "kind"), cases(SWITCH_FAULTS))
def test_a_fault_of_the_switch_at_every_call(lab: Lab, step: str, fault: str, kind: type[CorsaFabric]) -> None:
    outcomes = check_all(lab, kind, step, fault, lab.switch.faults)
    if fault in ("failed", "failed-late", "expired", "html"):
        assert "unreachable" in outcomes
        assert "refused" not in outcomes
    elif fault == "refused":
        assert "refused" in outcomes
    elif fault == "slow":
        assert outcomes == {"done"}


@pytest.mark.parametrize(("step", "fault", "kind"), cases(APPLICATION_FAULTS))
def test_a_fault_of_the_application_at_every_call(lab: Lab, step: str, fault: str, kind: type[CorsaFabric]) -> None:
    check_all(lab, kind, step, fault, lab.application.faults)
