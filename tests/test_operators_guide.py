"""The examples of the operator's guide work as they stand there."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dpb_store import SqlStore

from dpb_framework import config
from dpb_framework.broker import Broker
from dpb_framework.cli import main
from dpb_framework.contracts import NetworkRecord
from dpb_framework.contracts.store import Batch

ROOT = Path(__file__).resolve().parent.parent
GUIDE = (ROOT / "docs" / "operators-guide.md").read_text("utf-8")


def example(language: str, has: str) -> str:
    """The one example that has that text in it."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL) if has in text]
    return str(found)


@contextmanager
def serving(document: dict[str, Any], folder: Path) -> Iterator[str]:
    """A broker of that configuration, its REST at any port; gives the URL."""
    for nbi in document.setdefault("nbi", [{"kind": "rest"}]):
        nbi["port"] = 0
    broker = Broker(config.parse(document, folder))
    broker.start()
    try:
        yield broker.addresses()["rest"]
    finally:
        broker.stop()


def test_the_topology_fits_the_configuration(tmp_path: Path) -> None:
    document = tomllib.loads(example("toml", "[[listener]]"))
    document["store"]["url"] = f"sqlite:///{tmp_path / 'dpb.sqlite'}"
    file = tmp_path / "topology.toml"
    file.write_text(example("toml", "ingress-quota"))
    with serving(document, tmp_path) as url:

        def dpb(*args: str) -> str:
            result = CliRunner(env={"DPB_URL": url, "DPB_NETWORK": None}).invoke(main, args)
            assert result.exit_code == 0, result.output
            return result.stdout

        assert dpb("apply", str(file)).endswith("7 added\n")
        assert dpb("apply", str(file)) == "nothing to do\n"
        assert "ACTIVE" in dpb("service", "connect", "london", "paris", "--mbps", "10")


def test_the_brokers_of_two_levels_run_on_one_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    north = example("toml", "# north.toml")
    with ExitStack() as stack:
        for text in (north, north.replace("north", "south"), example("toml", "# all.toml")):
            stack.enter_context(serving(tomllib.loads(text), tmp_path))


def test_a_restore_brings_back_what_the_backup_has_and_nothing_later(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "backup").mkdir()
    live = tmp_path / "var" / "dpb.sqlite"
    running = SqlStore(url=str(tmp_path / "running.sqlite"))
    running.open()
    running.submit(Batch([NetworkRecord("before", "switch")])).result()
    with (
        closing(sqlite3.connect(tmp_path / "running.sqlite")) as source,
        closing(sqlite3.connect(tmp_path / "backup" / "dpb.sqlite")) as copy,
    ):
        source.backup(copy)
    running.submit(Batch([NetworkRecord("after", "switch")])).result()
    for suffix in ("", "-wal", "-shm"):  # what a broker that is killed leaves
        live.with_name(live.name + suffix).write_bytes((tmp_path / f"running.sqlite{suffix}").read_bytes())
    running.close()

    steps = [line for line in example("sh", "systemctl stop").splitlines() if not line.startswith("systemctl")]
    recipe = "\n".join(steps).replace("-o dpb -g dpb ", "")
    recipe = recipe.replace("/var/lib/dpb", str(tmp_path / "var")).replace("/backup", str(tmp_path / "backup"))
    subprocess.run(["sh", "-euc", recipe], check=True)

    restored = SqlStore(url=str(live))
    restored.open()
    names = [record.name for record in restored.load().tables[NetworkRecord] if isinstance(record, NetworkRecord)]
    restored.close()
    assert names == ["before"]
