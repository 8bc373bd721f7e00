"""Plugins by somebody else work: built, installed beside ours, named in a configuration, run, held to the contracts.

The example is copied out of the repository and installed into a virtual environment of its own, which sees our packages
by a .pth file: what is proved is that nothing of ours has to change for it.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .third_party.environment import DPB, World, installed

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "third_party"
DEADLINE = 60.0
"""Seconds after which waiting is given up; nothing is measured with it."""

pytestmark = pytest.mark.xdist_group("third-party")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    base = tmp_path_factory.mktemp("third-party")
    folder = base / "dpb-sample"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    world = installed(base, folder, folder)
    shutil.rmtree(folder / "dpb_sample")  # what runs is what was installed
    return world


def test_it_is_found_with_its_distribution(world: World) -> None:
    listed = world.dpb("plugins", "--json")
    assert listed.returncode == 0, listed.stderr
    for name in ("cabinet", "steiner", "circuit-limit"):
        assert name in listed.stdout
    assert "dpb-sample 0.1.0" in listed.stdout


def test_its_configuration_is_accepted(world: World) -> None:
    checked = world.dpb("serve", "--check", "dpb.toml")
    assert checked.returncode == 0, checked.stderr


def test_its_settings_are_checked_as_ours_are(world: World) -> None:
    text = (world.folder / "dpb.toml").read_text("utf-8").replace("ports = 8", "prots = 8", 1)
    (world.folder / "wrong.toml").write_text(text, "utf-8")
    checked = world.dpb("serve", "--check", "wrong.toml")
    assert checked.returncode == 1
    assert "$.network[0].fabric-settings.prots" in checked.stderr
    assert "'ports'" in checked.stderr
    assert len(checked.stderr.strip().splitlines()) == 1


def test_it_passes_the_conformance_suites(world: World) -> None:
    ran = world.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", timeout=600)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]


# -- a service over it --------------------------------------------------------------------------


class Api:
    """REST with nothing but the standard library: what a stranger would need."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/v1"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=DEADLINE) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[Api]:
    file = world.folder / "serving.toml"
    file.write_text((world.folder / "dpb.toml").read_text("utf-8").replace("port = 4754", "port = 0"), "utf-8")
    port_file, log = world.folder / "port", world.folder / "broker.log"
    with log.open("wb") as out:
        command = [str(world.python), *DPB, "serve", str(file), "--port-file", str(port_file)]
        broker = subprocess.Popen(command, cwd=world.folder, env=world.environment, stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + DEADLINE
        while not (port_file.exists() and port_file.read_text("utf-8").strip()):
            assert broker.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < deadline, f"the broker does not say where it is: {log.read_text('utf-8')}"
            time.sleep(0.02)
        _, url = port_file.read_text("utf-8").split()
        yield Api(url)
    finally:
        broker.send_signal(signal.SIGTERM)
        try:
            status = broker.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            broker.kill()
            broker.wait()
            raise
    assert status == 0, log.read_text("utf-8")


def bridges(world: World, switch: str) -> list[Any]:
    file = world.folder / f"{switch}.json"
    return list(json.loads(file.read_text("utf-8")).values()) if file.exists() else []


def test_a_service_over_it(world: World, api: Api) -> None:
    for switch in ("left", "right"):
        for terminal, port in (("site", "Port 1"), ("trunk", "2")):
            status, made = api("PUT", f"/networks/{switch}/terminals/{terminal}", {"place": port})
            assert status == 200, made
        assert made["place"] == "port2"
        status, made = api("PUT", f"/networks/both/terminals/{switch}", {"place": f"{switch}:site"})
        assert status == 200, made
    trunk = {"start": "left:trunk", "end": "right:trunk", "upstream": 100, "delay": 1}
    status, made = api("PUT", "/networks/both/trunks/middle", trunk)
    assert status == 200, made

    ends = [{"terminal": side, "label": 7, "ingress": 10, "egress": 20} for side in ("left", "right")]
    status, service = api("POST", "/networks/both/services", {"segment": ends, "activate": True})
    assert status == 201, service
    path = f"/networks/both/services/{service['id']}"
    status, service = api("GET", f"{path}/await?status=ACTIVE&status=FAILED&timeout-millis=30000")
    assert (status, service["status"]) == (200, "ACTIVE"), service

    status, service = api("GET", path)
    (tunnel,) = service["tree"]
    assert (tunnel["trunk"], tunnel["upstream"], tunnel["downstream"]) == ("middle", 10, 10)
    for switch in ("left", "right"):
        (wires,) = bridges(world, switch)
        assert sorted(wires) == [["port1", 7, 10_000, 20_000], ["port2", tunnel["label"], 10_000, 10_000]]

    # The listener allows this owner four circuits, and two are there.
    more = [
        {"terminal": side, "label": label, "ingress": 1, "egress": 1} for side in ("left", "right") for label in (8, 9)
    ]
    status, refused = api("POST", "/networks/both/services", {"segment": more})
    assert status == 409
    assert "circuit-limit" in refused["detail"]

    status, service = api("DELETE", path)
    assert status == 200
    status, service = api("GET", f"{path}/await?status=RELEASED&timeout-millis=30000")
    assert bridges(world, "left") == bridges(world, "right") == []


def test_the_example_names_what_it_offers() -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text("utf-8"))["project"]
    readme = (EXAMPLE / "README.md").read_text("utf-8")
    for names in project["entry-points"].values():
        assert all(name in readme for name in names)
