"""The researcher's guide is true: its files are written as it says, installed, and every command of it is run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from .third_party.environment import World, installed

GUIDE = (Path(__file__).resolve().parent.parent / "docs" / "researchers-guide.md").read_text("utf-8")
FILES: dict[str, str] = dict(re.findall(r"`(my-algorithm/[\w.]+)`:\n\n```\w+\n(.*?)```", GUIDE, re.DOTALL))
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL) for line in block.splitlines()]

# With the report: the searches are compiled once for both, not twice at the same time.
pytestmark = pytest.mark.xdist_group("bench")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    base = tmp_path_factory.mktemp("researcher")
    for name, text in FILES.items():
        file = base / "work" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return installed(base, base / "work" / "my-algorithm", base / "work")


def test_the_guide_has_its_files_and_commands() -> None:
    assert {name.partition("/")[2] for name in FILES} == {"pyproject.toml", "my_algorithm.py", "test_my_algorithm.py"}
    assert {shlex.split(command)[0] for command in COMMANDS} == {"dpb", "pytest"}
    benches = {"blocking", "fill", "gap", "latency", "scaling"}
    assert {shlex.split(command)[2] for command in COMMANDS if command.startswith("dpb bench")} == benches


def test_the_algorithm_is_as_short_as_promised() -> None:
    code = [line for line in FILES["my-algorithm/my_algorithm.py"].splitlines() if line.strip()]
    imports = [line for line in code if line.startswith("from ")]
    assert len(code) - len(imports) <= 30


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.split()[:3]))
def test_every_command_works(world: World, command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "pytest":
        ran = world.run("-m", "pytest", "-p", "no:cacheprovider", *arguments, timeout=600)
    else:
        ran = world.dpb(*arguments)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    if program == "dpb":
        assert "mine" in ran.stdout
        assert "bast" in ran.stdout
    if "--out" in arguments:
        folder = world.folder / arguments[arguments.index("--out") + 1]
        assert {path.name for path in folder.iterdir()} == {
            f"blocking.{kind}" for kind in ("csv", "json", "png", "svg")
        }
