"""The kernel over these fabrics: the paper's testbed as the operator's guide configures it, and what services show."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dpb_corsa.names import Circuit

from dpb_framework.model import Status, Terminal
from dpb_framework.runtime import Runtime
from dpb_framework.testing.world import Layout, World

from .corsa_lab import Lab, eventually

GUIDE = Path(__file__).parents[3] / "docs" / "operators-guide.md"
LOOPS = {"4": "5", "6": "7", "8": "9"}
"""Cables from a port of the switch to another."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    lab.start()
    yield lab
    lab.stop()


def examples() -> list[dict[str, Any]]:
    """The configuration and the topology of the section on Corsa switches."""
    section = re.search(r"\n### Corsa switches\n(.*?)\n## ", GUIDE.read_text("utf-8"), re.DOTALL)
    assert section
    found = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", section[1], re.DOTALL)]
    assert len(found) == 2
    return found


def layout_of(lab: Lab) -> Layout:
    """What the guide says, over this switch; nothing else of its settings is changed."""
    configuration, topology = examples()
    layout = Layout()
    told = {network["name"]: network for network in topology["network"]}
    here = {name: lab.settings()[name] for name in ("url", "certificate", "token_file", "application")}
    for network in configuration["network"]:
        name, kind = network["name"], network["kind"]
        terminals = [Terminal(t["name"], t.get("interface") or t["maps"]) for t in told[name]["terminal"]]
        if kind == "switch":
            settings = {key.replace("-", "_"): value for key, value in network["fabric-settings"].items()}
            assert set(here) <= set(settings)
            fabric = {key.replace("_", "-"): value for key, value in {**settings, **here, "poll": 0.05}.items()}
            layout.switch(name, *terminals, fabric=network["fabric"], fabric_settings=fabric)
        else:
            layout.aggregator(name, network["inferiors"], {terminal.name: terminal for terminal in terminals})
    for trunk in told["testbed"]["trunk"]:
        labels = [(entry["start"], entry["count"], entry["end"]) for entry in trunk["labels"]]
        layout.trunk("testbed", trunk["start"], trunk["end"], trunk["upstream"] * 1000, labels=labels)
    return layout


def reached(lab: Lab, start: Circuit) -> set[Circuit]:
    """Where frames leave the testbed that enter it at *start*."""
    cables = LOOPS | {far: near for near, far in LOOPS.items()}
    out: set[Circuit] = set()
    todo, seen = [start], {start}
    while todo:
        for circuit in lab.frames(todo.pop()):
            if circuit.port not in cables:
                out.add(circuit)
                continue
            other = Circuit(cables[circuit.port], circuit.tags)
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return out


def tunnels(lab: Lab) -> int:
    return len(lab.switch.tagged())


def test_three_sites_on_one_switch(lab: Lab) -> None:
    with World(layout_of(lab), runtime=Runtime) as world:
        one = world.establish("testbed", ("lancaster", 10, 100, 100), ("london", 20, 100, 100), active=True)
        two = world.establish(
            "testbed", ("lancaster", 11, 5, 5), ("bristol", 11, 5, 5), ("london", 11, 5, 5), active=True
        )
        assert reached(lab, Circuit("1", (10,))) == {Circuit("3", (20,))}
        assert reached(lab, Circuit("2", (11,))) == {Circuit("1", (11,)), Circuit("3", (11,))}
        assert reached(lab, Circuit("1", (12,))) == set()
        assert {bridge.descr for bridge in lab.switch.state.bridges.values()} == {
            "dpb:lancaster:complete", "dpb:bristol:complete", "dpb:london:complete",
        }  # fmt: skip
        before = lab.switch.state
        # Both, at once; nothing on the switch is touched by it.
        world.stop()
        lab.application.stop()
        lab.application.start()
        world.start()
        one, two = world.find(one), world.find(two)
        world.until(lambda: not one.conditions and not two.conditions and not lab.application.unnamed)
        assert lab.switch.state == before
        world.change(one, ("lancaster", 10, 200, 100), ("london", 20, 100, 100))
        assert reached(lab, Circuit("1", (10,))) == {Circuit("3", (20,))}
        world.release(one)
        world.release(two)
        assert tunnels(lab) == 0
        assert reached(lab, Circuit("1", (10,))) == set()


def test_services_are_made_anew_on_a_switch_that_lost_its_configuration(lab: Lab) -> None:
    with World(layout_of(lab), runtime=Runtime) as world:
        service = world.establish("testbed", ("lancaster", 10, 1, 1), ("bristol", 20, 1, 1), active=True)
        lab.switch.device.restart(keep=False)
        assert reached(lab, Circuit("1", (10,))) == set()
        eventually(lambda: reached(lab, Circuit("1", (10,))) == {Circuit("2", (20,))})
        world.until(lambda: not service.conditions)


def test_a_switch_that_is_away_is_told_and_what_was_asked_for_is_done_when_it_is_back(lab: Lab) -> None:
    with World(layout_of(lab), runtime=Runtime) as world:
        service = world.establish("testbed", ("lancaster", 10, 1, 1), ("bristol", 20, 1, 1), active=True)
        lab.switch.stop()
        world.until(lambda: any("Connection refused" in condition.text for condition in service.conditions))
        assert service.status is Status.ACTIVE
        lab.switch.start()
        world.until(lambda: not service.conditions)
        lab.switch.down.add("1")
        world.until(lambda: any(condition.kind == "port-down" for condition in service.conditions))
        lab.switch.down.clear()
        world.until(lambda: not service.conditions)
