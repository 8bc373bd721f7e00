"""The demonstration does what `make run` promises: it shows two services, finds them again, and ends cleanly."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from dpb_geant.network import AGGREGATOR, configuration, geant, topology

from dpb_framework import config

DEADLINE = 120.0


def demo(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dpb_geant", "--folder", str(folder), *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )


def finished(run: subprocess.Popen[str]) -> str:
    try:
        shown, _ = run.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        run.kill()
        run.communicate()
        raise
    assert run.returncode == 0, shown
    return shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("geant")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # topohub leaves its file to the garbage collector
def test_the_files_are_a_configuration_and_a_topology() -> None:
    graph = geant()
    settings = config.parse(tomllib.loads(configuration(graph, "127.0.0.1", 4753)), Path("/nowhere"))
    assert settings.networks[-1].inferiors == graph.nodes
    networks = {network["name"]: network for network in tomllib.loads(topology(graph))["network"]}
    assert set(networks) == {*graph.nodes, AGGREGATOR}
    for node in graph.nodes:
        terminals = networks[node]["terminal"]
        assert len(terminals) == graph.degrees[node] + 1
        assert len({terminal["interface"] for terminal in terminals}) == len(terminals)
    for trunk in networks[AGGREGATOR]["trunk"]:
        start, end = (trunk[side].partition(":")[0] for side in ("start", "end"))
        assert trunk["upstream"] == 1000 * min(graph.degrees[start], graph.degrees[end])
        for side in ("start", "end"):
            network, _, terminal = trunk[side].partition(":")
            assert terminal in {found["name"] for found in networks[network]["terminal"]}


@pytest.mark.xdist_group("geant")
def test_both_services_are_made_and_found_again(folder: Path) -> None:
    first = finished(demo(folder, "--once"))
    assert "still there" not in first
    for text in ("cdn-content", "cdn-fill", "ACTIVE", "trunks", "states reached"):
        assert text in first
    second = finished(demo(folder, "--once"))
    assert "still there: 2 services, ACTIVE" in second
    assert "nothing to do" in second


@pytest.mark.xdist_group("geant")
def test_it_serves_until_it_is_interrupted_and_leaves_nothing_running(folder: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 4753))
            taken.listen()
        except OSError:
            pass  # somebody else has it: all the same to us
        run = demo(folder)
        try:
            shown = _until(run, "until Ctrl-C")
        except BaseException:
            os.killpg(run.pid, signal.SIGTERM)
            run.wait(DEADLINE)
            raise
        assert "Port 4753 is taken" in shown
        url = shown.rpartition("Serving at ")[2].split()[0]
        run.send_signal(signal.SIGINT)
        rest = finished(run)
    assert "the services are kept" in rest
    assert "Traceback" not in rest
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect((host, int(port)))


def _until(run: subprocess.Popen[str], text: str) -> str:
    assert run.stdout is not None
    shown, deadline = "", time.monotonic() + DEADLINE
    for line in run.stdout:
        shown += line
        if text in line:
            return shown
        assert time.monotonic() < deadline, shown
    raise AssertionError(f"it ended: {shown}")
