"""The emulator on a real Open vSwitch: frames through tunnels of each type, and rates on both sides.

The VFC has a controller in none of these but the last: flows are added by hand, as any controller would add them.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import requests
from dpb_corsa_emulator.lab import DATAPATH, PATH, Ovs, eventually, missing
from dpb_corsa_emulator.testing import Emulator

pytestmark = [pytest.mark.dataplane, pytest.mark.xdist_group("corsa_emulator_ovs")]
PORTS = ["1", "2", "3", "4", "lag1"]
SOAK = os.environ.get("DPB_SOAK") == "1"


@pytest.fixture(scope="module")
def ovs():
    if gone := missing():
        text = f"Open vSwitch is not here ({', '.join(gone)}): apt-get install openvswitch-switch"
        if os.environ.get("DPB_REQUIRE_DATAPLANE") == "1":
            pytest.fail(text)
        pytest.skip(text)
    with tempfile.TemporaryDirectory(prefix="dpb-ce-") as folder:
        ovs = Ovs(Path(folder))
        yield ovs
        ovs.stop()


@pytest.fixture(scope="module")
def running(ovs, tmp_path_factory):
    emulator = Emulator(tmp_path_factory.mktemp("switch"), *ovs.options(PORTS))
    emulator.wires = {port: ovs.wire(port) for port in PORTS}
    yield emulator
    for wire in emulator.wires.values():
        wire.close()
    assert emulator.stop() == 0
    assert ovs.vsctl("list-br") == ""


@pytest.fixture
def switch(running, ovs):
    switch = Switch(running, ovs)
    yield switch
    for name in running.call("GET", "bridges")[1]["links"]:
        assert running.call("DELETE", f"bridges/{name}")[0] == 204
    assert ovs.ofctl("dump-flows", "corsabp", "--no-stats").strip() == ""
    assert ovs.vsctl("list-br").strip() == "corsabp"
    assert not [port for port in ovs.vsctl("list-ports", "corsabp").split() if not port.startswith("corsa-")]
    assert "meter=" not in ovs.ofctl("dump-meters", "corsabp")


class Switch:
    def __init__(self, emulator, ovs):
        self.emulator, self.ovs, self.wires = emulator, ovs, emulator.wires

    def ok(self, method, path, body=None):
        status, answer = self.emulator.call(method, path, body)
        assert status in (200, 201, 204), answer
        return answer

    def vfc(self, number=1, **more):
        self.ok("POST", "bridges", {"bridge": f"br{number}", "subtype": "openflow", "resources": 1, **more})

    def attach(self, ofport, port, *tags, vfc=1, **more):
        told = dict(zip(("vlan-id", "inner-vlan-id"), tags, strict=False))
        self.ok("POST", f"bridges/br{vfc}/tunnels", {"ofport": ofport, "port": port, **told, **more})

    def meter(self, ofport, cir, cbs, vfc=1):
        values = (("cir", cir), ("cbs", cbs))
        body = [{"op": "replace", "path": f"/meter/{name}", "value": value} for name, value in values]
        self.ok("PATCH", f"bridges/br{vfc}/tunnels/{ofport}", body)

    def flow(self, text, vfc=1):
        self.ovs.ofctl("add-flow", f"corsabr{vfc}", text)

    def cross(self, one, other, vfc=1):
        """What enters by one ofport leaves by the other."""
        self.flow(f"in_port={one},actions=output:{other}", vfc)
        self.flow(f"in_port={other},actions=output:{one}", vfc)

    def carried(self, port, data, *out):
        """A frame sent in at a port comes out of *out*, (port, frame) each, and of no other."""
        self.ovs.settle()
        self.wires[port].send(data)
        for other, expected in out:
            assert self.wires[other].get() == expected
        self.none_is_left()

    def none_is_left(self):
        time.sleep(0.2)
        for port in PORTS:
            with pytest.raises(AssertionError):
                self.wires[port].get(0)


def frame(*tags, payload=b"there"):
    """A frame with these (TPID, VLAN id) tags, outermost first."""
    data = bytes.fromhex("020000000002") + bytes.fromhex("020000000001")
    for tpid, vlan in tags:
        data += tpid.to_bytes(2, "big") + vlan.to_bytes(2, "big")
    return data + b"\x88\xb5" + payload.ljust(60, b"\0")


C, S = 0x8100, 0x88A8
TYPES = {
    "passthrough": ((), ()),
    "untagged": ((0,), ()),
    "ctag": ((30,), ((C, 30),)),
    "stag-ctag": ((40, 41), ((S, 40), (C, 41))),
}


@pytest.mark.parametrize("one", TYPES)
@pytest.mark.parametrize("other", TYPES)
def test_frames_pass_between_tunnels_of_each_type_with_the_tags_of_each(switch, one, other):
    switch.vfc()
    switch.attach(5, "1", *TYPES[one][0])
    switch.attach(900, "2", *TYPES[other][0])
    switch.cross(5, 900)
    switch.carried("1", frame(*TYPES[one][1]), ("2", frame(*TYPES[other][1])))
    switch.carried("2", frame(*TYPES[other][1]), ("1", frame(*TYPES[one][1])))


@pytest.mark.parametrize("kind", TYPES)
def test_the_vfc_sees_no_tag_of_the_tunnel(switch, kind):
    tags, outside = TYPES[kind]
    switch.vfc()
    switch.attach(1, "1", *tags)
    switch.attach(2, "lag1")
    switch.flow("in_port=1,dl_vlan=0xffff,actions=output:2")
    switch.carried("1", frame(*outside), ("lag1", frame()))


def test_what_is_inside_a_tunnel_is_left_alone(switch):
    switch.vfc()
    switch.attach(1, "1", 30)
    switch.attach(2, "2")
    switch.cross(1, 2)
    switch.carried("1", frame((C, 30), (C, 7)), ("2", frame((C, 7))))
    switch.carried("2", frame((C, 8)), ("1", frame((C, 30), (C, 8))))


def test_only_what_belongs_to_a_tunnel_enters_it(switch):
    switch.vfc()
    switch.attach(1, "1", 0)
    switch.attach(2, "1", 30)
    switch.attach(3, "1", 40, 41)
    switch.attach(4, "1", 40, 42)
    for ofport, out in ((1, "2"), (2, "3"), (3, "4"), (4, "lag1")):
        switch.attach(ofport + 10, out)
        switch.cross(ofport, ofport + 10)
    for tags, out in (((), "2"), (((C, 30),), "3"), (((S, 40), (C, 41)), "4"), (((S, 40), (C, 42)), "lag1")):
        switch.carried("1", frame(*tags), (out, frame()))
        switch.carried(out, frame(), ("1", frame(*tags)))
    for stranger in (((C, 31),), ((C, 40),), ((S, 40), (C, 43)), ((S, 41), (C, 41))):
        switch.carried("1", frame(*stranger))


def test_two_tunnels_of_one_port_are_joined_through_the_vfc(switch):
    switch.vfc()
    switch.attach(1, "1", 30)
    switch.attach(2, "1", 31)
    switch.cross(1, 2)
    switch.carried("1", frame((C, 30)), ("1", frame((C, 31))))


def test_bridges_do_not_see_each_others_frames_and_a_detached_tunnel_carries_nothing(switch):
    for number in (1, 2):
        switch.vfc(number)
        switch.attach(1, "1", 30 + number, vfc=number)
        switch.attach(2, "2", 30 + number, vfc=number)
        switch.flow("actions=flood", number)
    switch.carried("1", frame((C, 31)), ("2", frame((C, 31))))
    switch.carried("1", frame((C, 32)), ("2", frame((C, 32))))
    switch.ok("DELETE", "bridges/br1/tunnels/2")
    switch.carried("1", frame((C, 31)))
    switch.carried("1", frame((C, 32)), ("2", frame((C, 32))))
    switch.attach(2, "3", vfc=1)
    switch.carried("1", frame((C, 31)), ("3", frame()))


def test_a_port_without_its_cable_carries_nothing(switch):
    switch.vfc()
    switch.attach(1, "1")
    switch.attach(2, "2")
    switch.cross(1, 2)
    switch.emulator.side("PUT", "ports/2", {"up": False})
    switch.carried("1", frame())
    switch.emulator.side("PUT", "ports/2", {"up": True})
    switch.carried("1", frame(), ("2", frame()))


class Load:
    """Frames of 1000 octets at a rate, into a port, until told to stop.

    `gap` is the longest silence, in seconds. After one the backlog is not sent: a meter has no memory for it either.
    """

    def __init__(self, wire, mbps, *tags):
        self._stop = threading.Event()
        data = frame(*tags, payload=bytes(1000 - 14 - 4 * len(tags)))
        self.sent, self.gap = 0, 0.0

        def run():
            last, owed = time.monotonic(), 0.0
            while not self._stop.is_set():
                now = time.monotonic()
                self.gap = max(self.gap, now - last)
                owed = min(owed + (now - last) * mbps * 125, mbps * 5)
                last = now
                while owed >= 1:
                    wire.send(data)
                    self.sent += 1
                    owed -= 1
                time.sleep(0.002)

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join()


BURST = 0.1
"""Seconds of its rate that a meter of these tests lets pass at once: a longer silence of the load costs some of it."""


def measured(wire, load, least, windows=3):
    """Mbit/s that come out: the median of some windows in which at least *least* Mbit/s were really offered, evenly."""
    rates = []
    for _ in range(40):
        load.gap = 0.0
        sent, octets, began = load.sent, wire.octets, time.monotonic()
        time.sleep(1)
        got, took = wire.octets - octets, time.monotonic() - began
        if (load.sent - sent) * 0.008 / took >= least and load.gap < BURST * 0.6:
            rates.append(got * 8e-6 / took)
        if len(rates) == windows:
            return sorted(rates)[windows // 2]
    raise AssertionError(f"this machine cannot offer {least} Mbit/s")


@pytest.fixture
def counted(switch):
    for wire in switch.wires.values():
        wire.keep = False
    yield switch
    time.sleep(0.2)
    for wire in switch.wires.values():
        wire.keep = True


# Tunnels with tags are measured in the laboratory (tests/dataplane/test_rates.py), below a broker.
@pytest.mark.alone
@pytest.mark.parametrize("side", ["metered", "shaped"])
@pytest.mark.parametrize("kind", ["passthrough", "ctag", "stag-ctag"] if SOAK else ["passthrough"])
def test_rates_hold_within_five_percent_on_both_sides(counted, side, kind):
    tags, outside = TYPES[kind]
    counted.vfc()
    shaping = {"is-shaped": True, "shaped-rate": 4.5} if side == "shaped" else {}
    counted.attach(1, "1", *(tags if side == "metered" else ()))
    counted.attach(2, "2", *(tags if side == "shaped" else ()), **shaping)
    if side == "metered":
        counted.meter(1, 4500, int(4500 * BURST / 8))
    counted.cross(1, 2)
    load = Load(counted.wires["1"], 10, *(outside if side == "metered" else ()))
    try:
        time.sleep(0.5)
        rate = measured(counted.wires["2"], load, 7)
    finally:
        load.stop()
    # Tags that come on or off are metered as the frame is where the meter is.
    assert rate == pytest.approx(4.5, rel=0.05)


@pytest.mark.alone
def test_a_rate_is_changed_in_place_down_to_nothing(counted):
    counted.vfc()
    counted.attach(1, "1")
    counted.attach(2, "2")
    counted.cross(1, 2)
    counted.meter(1, 1000, 12)
    load = Load(counted.wires["1"], 8)
    try:
        time.sleep(0.5)
        assert measured(counted.wires["2"], load, 6, 1) == pytest.approx(1, rel=0.1)
        counted.meter(1, 3000, 37)
        time.sleep(0.5)
        assert measured(counted.wires["2"], load, 6, 1) == pytest.approx(3, rel=0.1)
        counted.meter(1, 0, 0)
        time.sleep(0.5)
        assert measured(counted.wires["2"], load, 6, 1) == 0
    finally:
        load.stop()


@pytest.mark.alone
def test_a_flood_reaches_others_whole_when_one_is_over_its_rate(counted):
    counted.vfc()
    counted.attach(1, "1")
    counted.attach(2, "2", **{"is-shaped": True, "shaped-rate": 0.5})
    counted.attach(3, "3", 30)
    counted.flow("in_port=1,actions=output:2,output:3")
    load = Load(counted.wires["1"], 6)
    try:
        time.sleep(0.5)
        assert measured(counted.wires["3"], load, 4, 1) > 4
        assert measured(counted.wires["2"], load, 4, 1) == pytest.approx(0.5, rel=0.2)
    finally:
        load.stop()


def test_a_restart_with_its_configuration_carries_again_and_without_it_nothing_is_left(switch):
    switch.vfc()
    switch.attach(1, "1", 30)
    switch.attach(2, "2")
    switch.meter(1, 4500, 28)
    switch.cross(1, 2)
    switch.emulator.side("POST", "restart", {"keep": True})
    assert switch.ovs.ofctl("dump-flows", "corsabr1").count("in_port") == 0  # a switch that restarts has lost its flows
    switch.cross(1, 2)
    switch.carried("1", frame((C, 30)), ("2", frame()))
    switch.emulator.side("POST", "restart", {"keep": False})
    assert switch.ovs.vsctl("list-br").split() == ["corsabp"]


def test_killed_and_started_it_finds_its_bridges_again(ovs, tmp_path):
    emulator = Emulator(tmp_path, *ovs.options(["1", "2"], "k"))
    try:
        emulator.call("POST", "bridges", {"bridge": "br1", "subtype": "openflow", "resources": 1, "dpid": "0x77"})
        emulator.call("POST", "bridges", {"bridge": "br2", "subtype": "openflow", "resources": 1, "dpid": "0x78"})
        emulator.call("POST", "bridges/br1/tunnels", {"ofport": 1, "port": "1"})
        for name in ("br1", "br2"):
            emulator.call("POST", f"bridges/{name}/controllers", {"controller": "c", "ip": "127.0.0.1", "port": 1})
        emulator.kill()
        emulator.start()
        assert {"kbp", "kbr1", "kbr2"} <= set(ovs.vsctl("list-br").split())
        for name in ("kbr1", "kbr2"):
            assert ovs.vsctl("get-controller", name).strip() == "tcp:127.0.0.1:1"
        assert ovs.vsctl("list-ports", "kbr1").split() == ["k1v1"]
        assert emulator.call("DELETE", "bridges/br1")[0] == 204
        assert "kbr1" not in ovs.vsctl("list-br").split()
    finally:
        emulator.stop()


def test_a_controller_is_one_of_the_bridge(switch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        switch.vfc(dpid="0xabc")
        body = {"controller": "mine", "ip": "127.0.0.1", "port": port}
        switch.ok("POST", "bridges/br1/controllers", body)
        listening.settimeout(20)
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(20)
            assert connection.recv(1) == b"\x04"  # OpenFlow 1.3
        told = switch.ok("GET", "bridges/br1/controllers/mine")
        assert (told["ip"], told["port"], told["tls"]) == ("127.0.0.1", port, False)
    switch.ok("POST", "bridges/br1/controllers", {"controller": "other", "ip": "::1", "port": port, "tls": True})
    targets = switch.ovs.vsctl("get-controller", "corsabr1").split()
    assert sorted(targets) == [f"ssl:[::1]:{port}", f"tcp:127.0.0.1:{port}"]
    switch.ok("DELETE", "bridges/br1/controllers/mine")
    switch.ok("PATCH", "bridges/br1", [{"op": "replace", "path": "/dpid", "value": "0xdef"}])
    assert switch.ovs.vsctl("get-controller", "corsabr1").split() == [f"ssl:[::1]:{port}"]
    eventually(lambda: "dpid:0000000000000def" in switch.ovs.ofctl("show", "corsabr1"), "the dpid has changed")


def test_what_open_vswitch_refuses_is_500_and_touches_nothing(switch):
    switch.vfc()
    switch.attach(1, "1")
    switch.attach(2, "2")
    switch.cross(1, 2)
    switch.ovs.vsctl("add-br", "corsabr2")  # somebody else's, with our name
    try:
        body = {"bridge": "br2", "subtype": "openflow", "resources": 1}
        status, answer = switch.emulator.call("POST", "bridges", body)
        assert status == 500
        assert "Open vSwitch" in answer["message"]
        assert set(switch.ok("GET", "bridges")["links"]) == {"br1"}
        assert "corsabr2" in switch.ovs.vsctl("list-br").split()
        switch.carried("1", frame(), ("2", frame()))
    finally:
        switch.ovs.vsctl("del-br", "corsabr2")
    switch.vfc(2)


def test_what_fails_half_way_is_undone_and_others_carry_on(ovs, tmp_path):
    """A program of Open vSwitch that fails once, when meters are made: the ports are there by then."""
    failing = tmp_path / "bin"
    failing.mkdir()
    program = shutil.which("ovs-ofctl", path=PATH)
    script = failing / "ovs-ofctl"
    text = f'#!/bin/sh\ncase "$*" in *add-meter*) echo no meters today >&2; exit 1;; esac\nexec {program} "$@"\n'
    script.write_text(text)
    script.chmod(0o755)
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{failing}{os.pathsep}{path}"
    try:
        emulator = Emulator(tmp_path / "switch", *ovs.options(["1", "2"], "f"))
    finally:
        os.environ["PATH"] = path
    try:
        emulator.call("POST", "bridges", {"bridge": "br1", "subtype": "openflow", "resources": 1})
        assert emulator.call("POST", "bridges/br1/tunnels", {"ofport": 1, "port": "1"})[0] == 201
        ovs.ofctl("add-flow", "fbr1", "actions=flood")
        before = ovs.ofctl("dump-flows", "fbp", "--no-stats"), ovs.vsctl("list-ports", "fbr1")
        body = {"ofport": 2, "port": "2", "is-shaped": True, "shaped-rate": 1}
        status, answer = emulator.call("POST", "bridges/br1/tunnels", body)
        assert (status, answer["message"]) == (500, "Open vSwitch: ovs-ofctl: no meters today")
        assert emulator.call("GET", "bridges/br1/tunnels/2")[0] == 404
        assert (ovs.ofctl("dump-flows", "fbp", "--no-stats"), ovs.vsctl("list-ports", "fbr1")) == before
        assert "FLOOD" in ovs.ofctl("dump-flows", "fbr1").upper()
        assert emulator.call("POST", "bridges/br1/tunnels", {"ofport": 2, "port": "2"})[0] == 201
    finally:
        emulator.stop()


def test_an_interface_that_is_not_there_is_told_at_the_start(ovs, tmp_path):
    options = [
        "--ovs",
        ovs.database,
        "--ovs-prefix",
        "n",
        "--ovs-datapath",
        DATAPATH,
        "--interface",
        "1=nowhere,type=none",
    ]
    try:
        with pytest.raises(RuntimeError, match=r"Open vSwitch: nowhere cannot be port 1: .*nowhere"):
            Emulator(tmp_path, *options)
    finally:
        ovs.vsctl("--if-exists", "del-br", "nbp")


def test_many_tunnels_at_once(switch):
    switch.vfc()
    answers = []

    def attach(ofport):
        body = {"ofport": ofport, "port": "1", "vlan-id": 100 + ofport, "is-shaped": True, "shaped-rate": ofport}
        answers.append(switch.emulator.call("POST", "bridges/br1/tunnels", body)[0])

    clients = [threading.Thread(target=attach, args=(ofport,)) for ofport in range(1, 9)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert answers == [201] * 8
    assert len(switch.ok("GET", "bridges/br1/tunnels?list=true")["list"]) == 8
    switch.cross(3, 8)
    switch.carried("1", frame((C, 103)), ("1", frame((C, 108))))


def test_the_port_slicer_joins_tunnels(switch, tmp_path):
    ports = tmp_path / "ports.json"
    with (tmp_path / "log").open("wb") as log:
        slicer = subprocess.Popen(
            [
                sys.executable, "-m", "dpb_slicer", "--application", "port-slicer", "--listen-openflow", "127.0.0.1:0",
                "--listen-rest", "127.0.0.1:0", "--port-file", str(ports),
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        eventually(ports.exists, "the controller listens")
        listening = json.loads(ports.read_text())
        switch.vfc(dpid="0xabc1")
        controller = {"controller": "c", "ip": "127.0.0.1", "port": listening["openflow"]}
        switch.ok("POST", "bridges/br1/controllers", controller)
        switch.attach(1, "1", 30)
        switch.attach(2, "2")
        switch.attach(3, "3", 40, 41, **{"is-shaped": True, "shaped-rate": 10})
        switch.attach(4, "4", 0)
        switch.meter(1, 10_000, 125)
        url = f"http://127.0.0.1:{listening['rest']}/slicer/api/v1/config/000000000000abc1"
        eventually(lambda: requests.get(url, timeout=20).status_code == 200, "the VFC is connected")
        answer = requests.post(url, json={"slices": [[1, 2, 3]]}, timeout=20)
        assert (answer.status_code, answer.json()) == (200, [[1, 2, 3]])
        switch.carried("1", frame((C, 30)), ("2", frame()), ("3", frame((S, 40), (C, 41))))
        switch.carried("3", frame((S, 40), (C, 41)), ("1", frame((C, 30))), ("2", frame()))
        switch.carried("4", frame())
    finally:
        slicer.terminate()
        slicer.wait(20)
