"""A laboratory for the controller application: Open vSwitch with ports that are sockets of ours, and the application.

Open vSwitch runs as child processes in a folder of its own, on its userspace datapath, with "dummy" ports: each is a
Unix socket that takes and gives frames, so that neither root nor network interfaces are needed.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

SBIN = os.pathsep.join(["/usr/sbin", "/sbin", "/usr/local/sbin"])
PATH = os.environ.get("PATH", "") + os.pathsep + SBIN
NEEDED = ("ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovsdb-tool")


def missing():
    """The programs of Open vSwitch that are not here."""
    return [name for name in NEEDED if shutil.which(name, path=PATH) is None]


def eventually(condition, what, seconds=10.0):
    """Wait for *condition* to give something true, and give it back."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Wire:
    """The other end of a port's cable: sends frames in, and keeps what comes out."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._frames = queue.Queue()
        self._rest = b""
        self._taking = threading.Lock()
        self.received = 0
        self.octets = 0
        self.keep = True
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with contextlib.suppress(OSError, ValueError):  # closed
            while select.select([self._socket], [], [])[0] and self._take():
                pass

    def _take(self):
        """Take out what has come; False when no more will."""
        with self._taking:
            try:
                data = self._socket.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            self._rest += data
            while len(self._rest) >= 2:
                length = int.from_bytes(self._rest[:2], "big")
                if len(self._rest) < 2 + length:
                    break
                frame, self._rest = self._rest[2 : 2 + length], self._rest[2 + length :]
                self.received += 1
                self.octets += length
                if self.keep:
                    self._frames.put(frame)
            return bool(data)

    def send(self, frame):
        self._socket.sendall(len(frame).to_bytes(2, "big") + frame)

    def get(self, seconds=5.0):
        """The next frame."""
        try:
            return self._frames.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"no frame within {seconds} s") from None

    def drain(self):
        """All frames that are there."""
        while select.select([self._socket], [], [], 0)[0] and self._take():
            pass
        got = []
        while not self._frames.empty():
            got.append(self._frames.get_nowait())
        return got

    def close(self):
        self._socket.close()


class Ovs:
    """Open vSwitch in a folder of its own."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._environment = {
            **os.environ,
            "PATH": PATH,
            **{f"OVS_{name}": str(self.folder) for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")},
        }
        self._database = f"unix:{self.folder}/db.sock"
        self.processes = []
        self.wires = {}
        self.start()

    def run(self, *words):
        done = subprocess.run(words, env=self._environment, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def start(self):
        if not (self.folder / "conf.db").exists():
            schema = next(p for p in ("/usr/share/openvswitch", "/usr/local/share/openvswitch") if Path(p).exists())
            self.run("ovsdb-tool", "create", f"{self.folder}/conf.db", f"{schema}/vswitch.ovsschema")
        quiet = ["-vconsole:off", f"--log-file={self.folder}/log"]
        self._spawn(
            "ovsdb-server", f"{self.folder}/conf.db", f"--remote=punix:{self.folder}/db.sock",
            f"--unixctl={self.folder}/db.ctl", *quiet,
        )  # fmt: skip
        eventually(lambda: (self.folder / "db.sock").exists(), "the database of Open vSwitch listens")
        self.vsctl("--retry", "--no-wait", "init", "--", "set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
        self._start_switch()

    def _start_switch(self):
        quiet = ["-vconsole:off", f"--log-file={self.folder}/log"]
        self._spawn(
            "ovs-vswitchd", self._database, f"--unixctl={self.folder}/vs.ctl", "--disable-system",
            "--disable-system-route", "--enable-dummy", *quiet,
        )  # fmt: skip
        eventually(lambda: (self.folder / "vs.ctl").exists(), "ovs-vswitchd listens")

    def restart_switch(self):
        """As after a power cut: flows, groups and meters are gone."""
        gone = self.processes.pop()
        gone.kill()
        gone.wait()
        (self.folder / "vs.ctl").unlink()
        self._start_switch()

    def rewire(self, bridge):
        """Connect anew to the ports of a bridge whose switch was restarted."""
        for name, port in list(self.wires):
            if name == bridge:
                self.wires[name, port].close()
                self.wires[name, port] = Wire(self.folder / f"{bridge}-{port}.sock")

    def _spawn(self, *words):
        self.processes.append(
            subprocess.Popen(words, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    def vsctl(self, *words):
        return self.run("ovs-vsctl", f"--db={self._database}", "--timeout=20", *words)

    def appctl(self, *words):
        return self.run("ovs-appctl", "-t", f"{self.folder}/vs.ctl", *words)

    def ofctl(self, verb, bridge, *words, version="OpenFlow13"):
        return self.run("ovs-ofctl", "-O", version, verb, f"{self.folder}/{bridge}.mgmt", *words)

    def flows(self, bridge):
        """The flows as text, without what counts or ages."""
        return sorted(line.strip() for line in self.ofctl("dump-flows", bridge, "--no-stats").splitlines())

    def bridge(self, name, dpid, ports=(1, 2, 3, 4), controller=None, protocols="OpenFlow13", wired=True):
        self.vsctl(
            "add-br", name, "--", "set", "bridge", name, "datapath_type=dummy", f"protocols={protocols}",
            "fail-mode=secure", f"other_config:datapath-id={dpid}",
        )  # fmt: skip
        for port in ports:
            self.port(name, port, wired)
        if controller:
            self.controller(name, controller)

    def remove(self, bridge):
        self.vsctl("del-br", bridge)
        for key in [key for key in self.wires if key[0] == bridge]:
            self.wires.pop(key).close()

    def port(self, bridge, number, wired=True):
        path = self.folder / f"{bridge}-{number}.sock"
        self.vsctl(
            "add-port", bridge, f"{bridge}p{number}", "--", "set", "interface", f"{bridge}p{number}", "type=dummy",
            f"ofport_request={number}", f"options:pstream=punix:{path}",
        )  # fmt: skip
        if wired:
            self.wires[bridge, number] = Wire(path)

    def controller(self, bridge, target):
        self.vsctl(
            "set-controller", bridge, target, "--", "set", "controller", bridge, "max_backoff=1000",
            "inactivity_probe=5000",
        )  # fmt: skip

    def last_error(self, bridge):
        """Why the last connection of a bridge to its controller ended; empty if none has."""
        words = ["get", "controller", bridge, "status"]
        told = re.search(r'last_error="?([^",}]*)', self.vsctl(*words))
        return told[1] if told else ""

    def stop(self):
        for wire in self.wires.values():
            wire.close()
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()


class Slicer:
    """The application as a process."""

    def __init__(self, folder, *options, openflow=0, rest=0, python=sys.executable, environment=None):
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._options = options
        self._python = python
        self._environment = environment
        self.openflow, self.rest = openflow, rest
        self.start()

    def start(self):
        port_file = self._folder / "ports.json"
        port_file.unlink(missing_ok=True)
        self.log = self._folder / "slicer.log"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    self._python, "-m", "dpb_slicer", "--listen-openflow", f"127.0.0.1:{self.openflow}",
                    "--listen-rest", f"127.0.0.1:{self.rest}", "--port-file", str(port_file), *self._options,
                ],
                stdout=log, stderr=log, env=self._environment,
            )  # fmt: skip

        def listens():
            assert self.process.poll() is None, self.log.read_text()
            return port_file.exists()

        eventually(listens, "the application listens", 30)
        ports = json.loads(port_file.read_text())
        self.openflow, self.rest = ports["openflow"], ports["rest"]

    @property
    def target(self):
        return f"tcp:127.0.0.1:{self.openflow}"

    def call(self, method, path, body=None, timeout=40):
        """Call the interface; gives the status and the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest, timeout=timeout)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body)
            connection.request(method, f"/slicer/api/{path}", data)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(text) if text else None

    def put(self, dpid, key, *circuits, dhcp=True):
        """Make a slice; a circuit is a list, or a dictionary with rates."""
        return self.call("PUT", f"v2/{dpid}/slices/{quote(key, safe='')}", slice_of(*circuits, dhcp=dhcp))

    def delete(self, dpid, key):
        return self.call("DELETE", f"v2/{dpid}/slices/{quote(key, safe='')}")

    def slices(self, dpid):
        status, answer = self.call("GET", f"v2/{dpid}/slices")
        assert status == 200, answer
        return answer

    def connected(self, dpid):
        def up():
            status, answer = self.call("GET", f"v2/{dpid}")
            return status == 200 and answer["connected"] and answer

        return eventually(up, f"{dpid} is connected", 15)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """End it as an operator would; gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("SIGTERM did not end the application") from None
        return self.process.returncode


def is_read(client):
    """Whether the other side, on this machine, has read all that was sent to it by an IPv4 socket."""
    ends = [f"{port:04X}" for _, port in (client.getpeername(), client.getsockname())]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        if [local.partition(":")[2], remote.partition(":")[2]] == ends:
            return int(queues.partition(":")[2], 16) == 0
    return False


def slice_of(*circuits, dhcp=True):
    """The second interface's SLICE."""
    told = [circuit if isinstance(circuit, dict) else {"circuit": circuit} for circuit in circuits]
    return {"circuits": told, "dhcp": dhcp}


def mac(number):
    return bytes([2, 0, 0, 0, number >> 8, number & 255])


BROADCAST = b"\xff" * 6


def frame(source, destination, *tags, payload=b"", ethertype=0x88B5):
    """An Ethernet frame; tags are VLAN ids, or (TPID, VLAN id), outermost first."""
    data = destination + source
    for tag in tags:
        tpid, vlan = tag if isinstance(tag, tuple) else (0x8100, tag)
        data += tpid.to_bytes(2, "big") + vlan.to_bytes(2, "big")
    return (data + ethertype.to_bytes(2, "big") + payload).ljust(60, b"\0")


def tags_of(data):
    """The VLAN ids of a frame, outermost first, and what follows them."""
    tags, place = [], 12
    while data[place : place + 2] in (b"\x81\x00", b"\x88\xa8"):
        tags.append(int.from_bytes(data[place + 2 : place + 4], "big") & 0xFFF)
        place += 4
    return tuple(tags), data[place:]
