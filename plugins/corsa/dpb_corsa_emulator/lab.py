"""A private Open vSwitch for tests, with ports that are sockets of the test's own: neither root nor interfaces needed.

The processes run in a folder of their own, on the userspace datapath; a port is of Open vSwitch's type "dummy", a Unix
socket that takes and gives frames, each with its length in front.
"""

from __future__ import annotations

import os
import queue
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
NEEDED = ("ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovsdb-tool")
DATAPATH = "dummy"
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")


def missing() -> list[str]:
    """The programs of Open vSwitch that are not here."""
    return [name for name in NEEDED if shutil.which(name, path=PATH) is None]


def eventually(condition: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """Wait for *condition* to give something true, and give it back."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)
    return value


class Ovs:
    """An Open vSwitch. The folder's path must be short: the path of a Unix socket has room for a hundred characters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = f"unix:{folder}/db.sock"
        variables = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
        self._environment = {**os.environ, "PATH": PATH, **dict.fromkeys(variables, str(folder))}
        self._processes: list[subprocess.Popen[bytes]] = []
        self.run("ovsdb-tool", "create", f"{folder}/conf.db", str(SCHEMA))
        try:
            self._spawn("ovsdb-server", f"{folder}/conf.db", f"--remote=p{self.database}", "db")
            eventually((folder / "db.sock").exists, "the database listens")
            self.vsctl("--retry", "--no-wait", "init")
            self._spawn("ovs-vswitchd", self.database, "--disable-system", "--enable-dummy", "sw")
            eventually((folder / "sw.ctl").exists, "the switch listens")
        except BaseException:
            self.stop()
            raise

    def _spawn(self, *words: str) -> None:
        *command, control = words
        files = self.folder / control
        command += [f"--unixctl={files}.ctl", "-vconsole:off", f"--log-file={files}.log"]
        self._processes.append(
            subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    def run(self, *words: str) -> str:
        """Run a program of Open vSwitch; gives what it printed."""
        done = subprocess.run(words, env=self._environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def vsctl(self, *words: str) -> str:
        """Run `ovs-vsctl`."""
        return self.run("ovs-vsctl", f"--db={self.database}", "--timeout=20", *words)

    def ofctl(self, verb: str, bridge: str, *words: str) -> str:
        """Run `ovs-ofctl` on a bridge."""
        return self.run("ovs-ofctl", "-O", "OpenFlow13", verb, f"{self.folder}/{bridge}.mgmt", *words)

    def settle(self) -> None:
        """Wait until the datapath's cache has followed the tables, as it does a moment after a switch's word."""
        self.run("ovs-appctl", "-t", f"{self.folder}/sw.ctl", "revalidator/wait")

    def options(self, ports: Iterable[str], prefix: str = "corsa") -> list[str]:
        """The emulator's options to drive this Open vSwitch with these physical ports."""
        told = ["--ovs", self.database, "--ovs-prefix", prefix, "--ovs-datapath", DATAPATH]
        for port in ports:
            columns = f"type=dummy,options:pstream=punix:{self._socket(port, prefix)}"
            told += ["--interface", f"{port}={prefix}-{port},{columns}"]
        return told

    def wire(self, port: str, prefix: str = "corsa") -> Wire:
        """The other end of a physical port's cable."""
        return Wire(self._socket(port, prefix))

    def _socket(self, port: str, prefix: str) -> Path:
        return self.folder / f"{prefix}-{port}.sock"

    def stop(self) -> None:
        """End its processes. Repeatable."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


class Wire:
    """The other end of a port's cable: sends frames in, and keeps (or only counts) what comes out."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.octets = 0
        self.keep = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except OSError:
                return
            if not data:
                return
            rest += data
            while len(rest) >= 2 and len(rest) >= 2 + (length := int.from_bytes(rest[:2], "big")):
                frame, rest = rest[2 : 2 + length], rest[2 + length :]
                self.octets += length
                if self.keep:
                    self._frames.put(frame)

    def send(self, frame: bytes) -> None:
        """Send a frame in."""
        self._socket.sendall(len(frame).to_bytes(2, "big") + frame)

    def get(self, seconds: float = 10.0) -> bytes:
        """The next frame that comes out."""
        try:
            return self._frames.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"no frame within {seconds} s") from None

    def close(self) -> None:
        """Take the cable out."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._socket.close()
