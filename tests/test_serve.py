"""`dpb` as a program: serve, plugins, what it says of faults, and the client commands against a real broker."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dpb_framework import plugins
from dpb_framework.cli import main

PATIENCE = 30.0
"""Seconds until a test gives up waiting for something that takes less than one."""

MEMORY = """
[store]
kind = "memory"
[[nbi]]
kind = "rest"
port = 0
"""

NETWORKS = """
[[network]]
name = "lon"
kind = "switch"
[[network]]
name = "par"
kind = "switch"
[[network]]
name = "wan"
kind = "aggregator"
inferiors = ["lon", "par"]
[[listener]]
kind = "journal"
"""

TOPOLOGY = """
[[network]]
name = "wan"
terminal = [{ name = "london", maps = "lon:access" }, { name = "paris", maps = "par:access" }]
[[network.trunk]]
start = "lon:to-par"
end = "par:to-lon"
upstream = 100
delay = 4.5
labels = [{ start = 1, count = 300 }]
[[network]]
name = "lon"
terminal = [{ name = "access", interface = "1" }, { name = "to-par", interface = "3", ingress-quota = 1000.5 }]
[[network]]
name = "par"
terminal = [{ name = "access", interface = "1" }, { name = "to-lon", interface = "3" }]
"""


class Serving:
    """A running `dpb serve`."""

    def __init__(self, process: subprocess.Popen[str], url: str, said: str, log: Path) -> None:
        self.process, self.url, self.said, self.log = process, url, said, log

    def dpb(self, *args: str | int | Path) -> Result:
        return CliRunner(env={"DPB_URL": self.url, "DPB_NETWORK": None}).invoke(main, [str(arg) for arg in args])

    def ok(self, *args: str | int | Path) -> str:
        result = self.dpb(*args)
        assert result.exit_code == 0, result.output + self.log.read_text()
        return result.stdout


def dpb(*args: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dpb_framework.cli", *map(str, args)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=os.environ | environment
    )


@contextmanager
def serving(folder: Path, text: str = MEMORY) -> Iterator[Serving]:
    (folder / "dpb.toml").write_text(text)
    where, log = folder / "addresses", folder / "log"
    where.unlink(missing_ok=True)  # of a broker that was killed
    command = [sys.executable, "-m", "dpb_framework.cli", "serve", str(folder / "dpb.toml"), "--port-file", str(where)]
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd="/") as process,
    ):
        try:
            deadline = time.monotonic() + PATIENCE
            while not where.exists():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            kind, url = where.read_text().split()
            assert kind == "rest"
            assert process.stdout is not None
            yield Serving(process, url, process.stdout.readline(), log)
        finally:
            if process.poll() is None:
                process.kill()


def ended(serving: Serving, number: int) -> int:
    serving.process.send_signal(number)
    return serving.process.wait(PATIENCE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_answers_and_ends_cleanly(tmp_path: Path, number: int) -> None:
    with serving(tmp_path) as broker:
        assert broker.said == f"rest: {broker.url}\n"
        with urllib.request.urlopen(f"{broker.url}/api/v1/health", timeout=PATIENCE) as answer:
            assert json.load(answer)["status"] == "ok"
        assert ended(broker, number) == 0
        assert "Traceback" not in broker.log.read_text()
        assert not (tmp_path / "addresses").exists()


def test_check_only_checks(tmp_path: Path) -> None:
    file = tmp_path / "dpb.toml"
    file.write_text('[store]\nurl = "sqlite:///dpb.sqlite"\n' + NETWORKS)
    done = dpb("serve", file, "--check")
    assert (done.returncode, done.stdout) == (0, f"OK: {file}\n"), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["dpb.toml"]


def test_the_built_in_configuration_holds(tmp_path: Path) -> None:
    done = dpb("serve", "--check", XDG_DATA_HOME=str(tmp_path))
    assert done.stdout == "OK: the built-in configuration\n", done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[brokre]", "{file}: $.brokre: unknown key; did you mean 'broker'?"),
        ("x = ", "{file}: is no TOML"),
        (MEMORY + "hots = 'x'", "{file}: $.nbi[0].hots: unknown setting; did you mean 'host'?"),
        (MEMORY + "host = 3", "{file}: $.nbi[0].host: expected text, got an integer"),
        (
            "[[nbi]]\nkind = 'rets'",
            "{file}: $.nbi[0].kind: no plugin 'rets' in dpb.nbis; did you mean 'rest'?; install",
        ),
        (MEMORY + "[[listener]]\nkind = 'journl'", "{file}: $.listener[0].kind: no plugin 'journl'"),
        (
            MEMORY + "[[network]]\nname='a'\nkind='swich'",
            "{file}: $.network[0].kind: no plugin 'swich' in dpb.networks; did you mean 'switch'?",
        ),
        (
            MEMORY + "[[network]]\nname='a'\nkind='switch'\nfabric-settings = { prots = 3 }",
            "{file}: $.network[0].fabric-settings.prots: unknown setting; did you mean 'ports'?",
        ),
        (
            MEMORY + NETWORKS.replace('kind = "switch"', "kind = 'switch'\nfabric = 'toaster'"),
            "{file}: $.network[0].fabric: no plugin 'toaster'",
        ),
        (
            MEMORY + "host = { file = 'a', env = 'B' }",
            "{file}: $.nbi[0].host: expected one of file, env, path, got file and env",
        ),
        (MEMORY + "certificate = '/no/such.pem'", "{file}: $.nbi[0].certificate: /no/such.pem and its key cannot be"),
        ("[store]\nurl = 'dpb_typo'", "{file}: $.store.url: expected sqlite:///dpb_typo, ./dpb_typo or postgresql:"),
        ("[store]\nurl = 'sqlite://x'", "{file}: $.store.url: sqlite: takes three slashes before the file"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_faults_are_one_line_and_status_one(tmp_path: Path, text: str, says: str, check: bool) -> None:
    file = tmp_path / "dpb.toml"
    file.write_text(text)
    done = CliRunner().invoke(main, ["serve", str(file), *(["--check"] if check else [])])
    assert done.exit_code == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("dpb: " + says.format(file=file))


def test_an_address_in_use_is_told_with_its_setting(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = tmp_path / "dpb.toml"
        file.write_text(MEMORY.replace("port = 0", f"port = {port}"))
        done = dpb("serve", file)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(port) in done.stderr.splitlines()[-1]


def test_a_port_file_that_cannot_be_written_ends_it(tmp_path: Path) -> None:
    file = tmp_path / "dpb.toml"
    file.write_text(MEMORY)
    done = dpb("serve", file, "--port-file", tmp_path / "nowhere" / "port")
    assert done.returncode == 1
    assert "--port-file" in done.stderr.splitlines()[-1]


def test_the_whole_from_topology_to_release_and_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "topology.toml").write_text(TOPOLOGY)
    text = MEMORY.replace('kind = "memory"', 'url = "sqlite:///dpb.sqlite"') + NETWORKS
    with serving(tmp_path, text) as broker:
        assert broker.ok("apply", tmp_path / "topology.toml").endswith("7 added\n")
        assert broker.ok("apply", tmp_path / "topology.toml") == "nothing to do\n"
        shown = broker.ok("service", "connect", "london:100", "paris", "--mbps", 50, "--handle", "cdn")
        assert "status   ACTIVE" in shown
        assert "lon.to-par-par.to-lon  1      50" in shown

        taken = broker.dpb("service", "connect", "london:100", "paris", "--mbps", 1)
        assert (taken.exit_code, "taken by service 1" in taken.stderr.splitlines()[-1]) == (1, True)
        greedy = broker.dpb("service", "connect", "london", "paris", "--mbps", 51)
        assert (greedy.exit_code, "cannot carry the segment" in greedy.stderr.splitlines()[-1]) == (1, True)
        assert len(json.loads(broker.ok("service", "list", "--json"))["services"]) == 1

        broker.ok("service", "change", 1, "london@60", "paris@70/80")
        changed = json.loads(broker.ok("service", "show", 1, "--json"))
        assert [(end["label"], end["ingress"], end["egress"]) for end in changed["segment"]] == [
            (100, 60, 60),
            (changed["segment"][1]["label"], 70, 80),
        ]
        refused = broker.dpb("service", "change", 1, "london@600", "paris@600")
        assert refused.exit_code == 1
        assert json.loads(broker.ok("service", "show", 1, "--json")) == changed
        assert "service=1 status=ACTIVE" in broker.log.read_text()
        broker.process.kill()

    with serving(tmp_path, text) as broker:
        assert json.loads(broker.ok("service", "show", 1, "--json"))["segment"] == changed["segment"]
        assert broker.ok("apply", tmp_path / "topology.toml") == "nothing to do\n"
        assert "status   INACTIVE" in broker.ok("service", "deactivate", 1)
        assert "status   ACTIVE" in broker.ok("service", "activate", 1)
        assert broker.dpb("trunk", "remove", "lon.to-par-par.to-lon").exit_code == 1
        broker.ok("service", "release", 1)
        (tmp_path / "empty.toml").write_text("".join(f'[[network]]\nname = "{n}"\n' for n in ("wan", "lon", "par")))
        assert broker.ok("apply", "--prune", tmp_path / "empty.toml").endswith("7 removed\n")
        assert broker.dpb("network", "show", "nowhere").stderr == "dpb: there is no network 'nowhere'\n"
        assert ended(broker, signal.SIGTERM) == 0


def test_watching_follows_a_service_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "topology.toml").write_text(TOPOLOGY)
    with serving(tmp_path, MEMORY + NETWORKS) as broker:
        broker.ok("apply", tmp_path / "topology.toml")
        broker.ok("service", "connect", "london:100", "paris", "--mbps", 50)
        command = [sys.executable, "-m", "dpb_framework.cli", "service", "watch", "1", "--json", "--url", broker.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            readable, _, _ = select.select([watching.stdout], [], [], PATIENCE)
            assert readable
            assert json.loads(watching.stdout.readline())["data"]["status"] == "ACTIVE"
            broker.ok("service", "release", 1)
            told, _ = watching.communicate(timeout=PATIENCE)
        assert watching.returncode == 0
        assert [json.loads(line)["data"]["status"] for line in told.splitlines()] == ["RELEASING", "RELEASED"]


def test_interrupting_a_watch_is_its_ordinary_end(tmp_path: Path) -> None:
    # Whoever runs the tests in the background has SIGINT ignored, and children inherit that.
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from dpb_framework.cli import main; main()"
    )
    with serving(tmp_path, MEMORY + NETWORKS) as broker:
        broker.ok("terminal", "add", "access", "1", "-n", "lon")
        command = [sys.executable, "-c", program, "service", "watch", "-n", "lon", "--after", "0", "--url", broker.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
            assert watching.stdout is not None
            readable, _, _ = select.select([watching.stdout], [], [], PATIENCE)
            assert readable
            assert watching.stdout.readline().split() == ["1", "terminal", "access", "made", "or", "changed"]
            watching.send_signal(signal.SIGINT)
            _, said = watching.communicate(timeout=PATIENCE)
        assert (watching.returncode, said) == (0, "")


# -- the shell of commands ----------------------------------------------------------------------


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution with one good command and several broken ones."""
    info = tmp_path / "dpb_extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dpb-extra\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[dpb.commands]\ngood = tc_good:good\nmissing = tc_nowhere:x\nbroken = tc_broken:x\nfails = tc_fails:x\n"
        "odd = tc_good:number\nserve = tc_good:good\n"
    )
    (tmp_path / "tc_good.py").write_text(
        'import click\nnumber = 7\n@click.command()\ndef good():\n    """Do something good.\n\n    More."""\n'
        '    click.echo("done")\n'
    )
    (tmp_path / "tc_broken.py").write_text("def x(:\n")
    (tmp_path / "tc_fails.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.refresh()
    yield tmp_path
    plugins.refresh()
    for module in [name for name in sys.modules if name.startswith("tc_")]:
        del sys.modules[module]


def test_listing_imports_nothing_and_shows_what_is_broken(commands: Path) -> None:
    listed = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    assert "good Do something good" in listed
    assert "missing broken: dpb-extra 1.0 has no module tc_nowhere" in listed
    assert "broken broken: tc_broken of dpb-extra 1.0 is no Python" in listed
    assert "odd from dpb-extra 1.0" in listed
    assert "both offer it" in listed
    assert not [name for name in sys.modules if name.startswith("tc_")]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing", "importing tc_nowhere:x fails"),
        ("broken", "SyntaxError"),
        ("fails", "No module named 'no_such_module'"),
        ("odd", "tc_good:number is no command of click"),
        ("serve", "both offer that name; uninstall one of them"),
    ],
)
def test_a_broken_command_says_so_and_harms_no_other(commands: Path, name: str, says: str) -> None:
    broken = CliRunner().invoke(main, [name])
    assert broken.exit_code == 1
    (line,) = broken.stderr.splitlines()
    assert line.startswith("dpb: plugin")
    assert says in line
    assert CliRunner().invoke(main, ["good"]).output == "done\n"


def test_a_misspelt_command_gets_the_nearest() -> None:
    done = CliRunner().invoke(main, ["srve"])
    assert done.exit_code == 2
    assert "there is no command 'srve'; did you mean 'serve'?" in done.stderr


def test_plugins_shows_what_is_installed_and_whether_it_loads(commands: Path) -> None:
    table = CliRunner().invoke(main, ["plugins"])
    assert table.exit_code == 0
    rows = {tuple(line.split()[:2]): line for line in table.stdout.splitlines()}
    assert rows["dpb.stores", "memory"].endswith("ok")
    assert "broken: importing tc_fails:x fails" in rows["dpb.commands", "fails"]
    data = json.loads(CliRunner().invoke(main, ["plugins", "--json"]).stdout)
    assert data["stale"] == {}
    (memory,) = (row for row in data["plugins"] if row["name"] == "memory")
    assert (memory["group"], memory["problem"]) == ("dpb.stores", "")
    assert memory["from"].startswith("dpb-framework ")


def test_plugins_tells_of_a_stale_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "stale", lambda group: ("odd",) if group == plugins.STORES else ())
    done = CliRunner().invoke(main, ["plugins"])
    assert "out of date about odd in dpb.stores" in done.stderr
    assert json.loads(CliRunner().invoke(main, ["plugins", "--json"]).stdout)["stale"] == {"dpb.stores": ["odd"]}


def test_a_reader_that_went_away_is_no_reason_for_a_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "dpb_framework.cli", "plugins", "--json"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    os.close(writer)
    assert done.stderr == ""
