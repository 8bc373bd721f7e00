"""A fake broker for each test, and the command line run against it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dpb_framework.cli import main

# With --import-mode=importlib a helper beside the tests is imported by nobody else.
_spec = importlib.util.spec_from_file_location("cli_fake_broker", Path(__file__).with_name("cli_fake_broker.py"))
assert _spec is not None
assert _spec.loader is not None
fake = importlib.util.module_from_spec(_spec)
sys.modules["cli_fake_broker"] = fake
_spec.loader.exec_module(fake)


class Dpb:
    """`dpb`, run in this process, with a broker behind it."""

    def __init__(self, url: str, broker: Any) -> None:
        self.url, self.broker = url, broker

    def __call__(self, *args: str | int | Path) -> Result:
        return CliRunner(env={"DPB_URL": self.url, "DPB_NETWORK": None}).invoke(main, [str(arg) for arg in args])

    def ok(self, *args: str | int | Path) -> str:
        result = self(*args)
        assert result.exit_code == 0, result.output
        return result.stdout

    def fails(self, *args: str | int | Path) -> str:
        """Run what must end with status 1 and one line; return the line."""
        result = self(*args)
        assert result.exit_code == 1, result.output
        *_, last = result.stderr.splitlines()
        assert last.startswith("dpb: ")
        return last


@pytest.fixture
def dpb() -> Iterator[Dpb]:
    broker = fake.FakeBroker()
    url, stop = fake.serve(broker)
    yield Dpb(url, broker)
    stop()
