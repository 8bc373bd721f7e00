"""The same launcher on Ryu 4.34 and eventlet, in a virtual environment of its own."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from .slicer_lab import BROADCAST, Slicer, eventually, frame, mac, tags_of

pytestmark = [pytest.mark.dataplane, pytest.mark.xdist_group("slicer_on_ryu")]

HOME = Path(__file__).parents[1]
# A current setuptools cannot build Ryu; eventlet lacks a name that Ryu imports, which the launcher puts there.
FIRST = ["setuptools==65.5.0", "wheel"]
THEN = ["ryu==4.34", "eventlet==0.41.3", "dnspython>=2", "falcon>=4.0", "attrs>=24.2"]
DPID = "00000000000000aa"


@pytest.fixture(scope="module")
def python():
    """The interpreter of the environment; made once and kept in build/, as it takes a minute."""
    name = hashlib.sha256(repr((FIRST, THEN, sys.version)).encode()).hexdigest()[:12]
    folder = HOME.parent / "build" / f"ryu-4.34-{name}"
    ready = folder / "ready"
    if not ready.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, capture_output=True)
            pip = [folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *FIRST], check=True, capture_output=True, timeout=300)
            subprocess.run([*pip, "--no-build-isolation", *THEN], check=True, capture_output=True, timeout=600)
        except subprocess.SubprocessError as fault:
            text = f"Ryu 4.34 cannot be installed here: {fault}: {getattr(fault, 'stderr', b'')!r}"
            if os.environ.get("DPB_REQUIRE_DATAPLANE") == "1":
                pytest.fail(text)
            pytest.skip(text)
        ready.touch()
    return str(folder / "bin/python")


@pytest.fixture
def ryu(ovs, python, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(HOME)}
    slicer = Slicer(tmp_path, "--audit", "0.3", "--full-audit", "1", python=python, environment=environment)
    ovs.bridge("ryu", DPID, (1, 2, 3, 4), slicer.target)
    slicer.connected(DPID)
    yield slicer
    ovs.remove("ryu")
    assert slicer.stop() == 0


def test_slices_carry_frames_on_ryu(ovs, ryu):
    assert "on ryu" in ryu.log.read_text()
    assert ryu.put(DPID, "ns/line", {"circuit": [1, 10], "ingress": 9000}, [2, 20, 200])[0] == 200
    ovs.wires["ryu", 1].send(frame(mac(1), mac(2), 10, payload=b"there"))
    tags, rest = tags_of(ovs.wires["ryu", 2].get())
    assert (tags, rest[2:7]) == ((20, 200), b"there")
    assert ryu.put(DPID, "ns/lan", [1, 11], {"circuit": [2, 21], "egress": 9000}, [3])[0] == 200
    for port, tags in ((1, (11,)), (2, (21,)), (3, ())):
        ovs.wires["ryu", port].send(frame(mac(port), BROADCAST, *tags))
    eventually(lambda: sum("cookie=0xdc" in line for line in ovs.flows("ryu")) == 6, "three addresses are learned")
    time.sleep(0.3)
    for port in (1, 2, 3):
        ovs.wires["ryu", port].drain()
    ovs.wires["ryu", 3].send(frame(mac(3), mac(2)))
    assert tags_of(ovs.wires["ryu", 2].get())[0] == (21,)
    assert ovs.wires["ryu", 1].drain() == []
    assert set(ryu.slices(DPID)["slices"]) == {"ns/line", "ns/lan"}


def test_what_differs_is_repaired_and_errors_are_told_on_ryu(ovs, ryu):
    assert ryu.put(DPID, "a key/ä", [1], [2])[0] == 200
    assert ryu.call("POST", f"v2/{DPID}/retain", {"prefix": "a key/", "keys": ["a key/ä"]}) == (200, {"removed": 0})
    right = ovs.flows("ryu")
    ovs.ofctl("del-flows", "ryu")
    eventually(lambda: ovs.flows("ryu") == right, "the flows are back")
    assert ryu.put(DPID, "ns/b", [1, 5], [3])[0] == 409
    assert ryu.delete(DPID, "a key/ä")[0] == 204


def test_disconnects_are_noticed_and_waiting_callers_end_on_ryu(ovs, ryu):
    last = ryu.call("GET", "v2")[1]["last-event"]
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(ryu.call("GET", f"v2/events?after={last}&wait=30")))
    waiting.start()
    ovs.vsctl("del-controller", "ryu")
    waiting.join(10)
    assert [event["event"] for event in answers[0][1]["events"]] == ["down"]
    assert ryu.put(DPID, "ns/a", [1], [2])[0] == 503
