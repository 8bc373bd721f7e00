"""Every plugin that the workspace declares is found, can be loaded, and keeps its contract's signatures."""

from __future__ import annotations

import inspect
import tomllib
from importlib.metadata import distribution, entry_points
from pathlib import Path
from typing import Any

import click
import pytest

from dpb_framework import hookspecs, plugins
from dpb_framework.contracts import Algorithm, Fabric, Nbi, NetworkKind, Store

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS: dict[str, type] = {
    "dpb.fabrics": Fabric,
    "dpb.algorithms": Algorithm,
    "dpb.stores": Store,
    "dpb.nbis": Nbi,
    "dpb.networks": NetworkKind,
}


def declared() -> list[tuple[str, str, str]]:
    """Distribution, group and name of each entry point that is written in a pyproject.toml here."""
    found = []
    for path in [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]:
        project = tomllib.loads(path.read_text("utf-8"))["project"]
        for group, names in project.get("entry-points", {}).items():
            found += [(project["name"], group, name) for name in names]
    return found


DECLARED = declared()
CHOSEN = [(group, name) for _, group, name in DECLARED if group in CONTRACTS]


def named(value: Any) -> str:
    return str(value)


def test_all_groups_are_known() -> None:
    assert {group for _, group, _ in DECLARED if group.startswith("dpb.")} <= {
        *CONTRACTS,
        "dpb.commands",
        "dpb.listeners",
    }


@pytest.mark.parametrize(("owner", "group", "name"), DECLARED, ids=named)
def test_is_installed_as_it_is_declared(owner: str, group: str, name: str) -> None:
    installed = [point.name for point in distribution(owner).entry_points if point.group == group]
    assert name in installed, f"{owner} is installed without {group} {name}: its pyproject.toml changed, run make"


@pytest.mark.parametrize(("group", "name"), CHOSEN, ids=named)
def test_is_found_and_loaded_by_the_kernel(group: str, name: str) -> None:
    assert name in plugins.installed(group)
    loaded = plugins.load(group, name, CONTRACTS[group])
    assert issubclass(loaded, CONTRACTS[group])
    assert not inspect.isabstract(loaded)


@pytest.mark.parametrize(("group", "name"), CHOSEN, ids=named)
def test_has_the_signatures_of_its_contract(group: str, name: str) -> None:
    contract = CONTRACTS[group]
    loaded = plugins.load(group, name, contract)
    for member in sorted(getattr(contract, "__abstractmethods__", ())):
        promised = inspect.getattr_static(contract, member)
        given = inspect.getattr_static(loaded, member)
        if isinstance(promised, property):
            assert not inspect.isfunction(given), f"{member} is a property, not a method"
            continue
        wanted = inspect.signature(getattr(contract, member)).parameters
        have = inspect.signature(getattr(loaded, member)).parameters
        assert list(have)[: len(wanted)] == list(wanted), member
        for parameter, kind in wanted.items():
            assert have[parameter].kind == kind.kind, f"{member}({parameter})"
            assert (have[parameter].default is inspect.Parameter.empty) == (kind.default is inspect.Parameter.empty), (
                f"{member}({parameter})"
            )
        surplus = [have[name] for name in list(have)[len(wanted) :]]
        assert all(p.default is not p.empty or p.kind in {p.VAR_KEYWORD, p.VAR_POSITIONAL} for p in surplus), member


@pytest.mark.parametrize("name", [name for _, group, name in DECLARED if group == "dpb.commands"])
def test_a_command_is_one_of_click(name: str) -> None:
    (point,) = entry_points(group="dpb.commands", name=name)
    command = point.load()
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help, f"dpb {name} has no help"


@pytest.mark.parametrize("name", [name for _, group, name in DECLARED if group == "dpb.listeners"])
def test_a_listener_implements_hooks_that_there_are(name: str) -> None:
    (point,) = entry_points(group="dpb.listeners", name=name)
    listener = point.load()
    marked = [attribute for attribute, value in vars(listener).items() if hasattr(value, f"{hookspecs.PROJECT}_impl")]
    assert marked, f"listener {name} has no method under hookimpl"
    for hook in marked:
        spec = getattr(hookspecs, hook)
        arguments = list(inspect.signature(getattr(listener, hook)).parameters)[1:]
        assert set(arguments) <= set(inspect.signature(spec).parameters)
