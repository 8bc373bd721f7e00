"""The examples of docs/emulated.md run, and its tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dpb_framework.emulated.rack import Rack
from dpb_framework.emulated.script import COMMANDS
from dpb_framework.testing.fabric_fixtures import FabricFixtures

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "emulated.md").read_text("utf-8")
EXAMPLES = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "dpb_mine" not in code]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("code", EXAMPLES, ids=["in memory", "in a process"])
def test_example(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "docs/emulated.md", "exec"), {})
    assert capsys.readouterr().out


def test_every_message_is_documented() -> None:
    answer = Rack().handle({"op": "?"}).answer["error"]
    known = answer.removeprefix("op: expected one of ").split(";")[0].split(", ")
    assert "watch" in known
    assert set(COMMANDS) < set(known)
    assert set(re.findall(r"^\| `([a-z-]+)` \|", PAGE.split("| `op` |")[1].split("\n\n")[0], re.MULTILINE)) == set(
        known
    )


def test_every_optional_fixture_is_documented() -> None:
    for name in vars(FabricFixtures):
        if not name.startswith("_") and name not in {"prefix", "channels"}:
            assert f"`{name}`" in PAGE or f"def {name}(" in PAGE, name
