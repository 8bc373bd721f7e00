"""The real application on a real Open vSwitch, for tests and measurements: child processes in a folder of their own.

The switch's ports are "dummy" ports: Unix sockets that take and give frames, each with its length before it. So no
network interface and no privilege is needed, and a frame's way is the datapath's own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

REQUIRE = "DPB_REQUIRE_DATAPLANE"
"""The environment variable that, when it is 1, makes a missing data plane a failure instead of a skip."""

PATIENCE = 30.0
"""Seconds that anything may take."""

MARKS = [pytest.mark.dataplane, pytest.mark.xdist_group("dataplane")]
"""For `pytestmark`: such tests run one after the other."""

_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
_PROGRAMS = ("ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovsdb-tool")
_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_BROADCAST = b"\xff" * 6
_TEST_TYPE = b"\x88\xb5"


def needed() -> None:
    """Skip, or fail where a data plane is required, unless Open vSwitch and the application are here."""
    gone = [name for name in _PROGRAMS if shutil.which(name, path=_PATH) is None]
    if importlib.util.find_spec("dpb_slicer") is None:
        gone.append("the distribution dpb-ryu-apps")
    if gone and os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{REQUIRE}=1, but there is no {', '.join(gone)}", pytrace=False)
    if gone:
        pytest.skip(f"NO DATA PLANE: there is no {', '.join(gone)}")


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until *condition* holds; fail, naming *what* was waited for, after *seconds*."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.01)


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """End a process of ours with a signal, or by force, and wait for it."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


class RealApplication:
    """The application in a process of its own, always at the same ports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Held, but not listened on, so that nobody else gets them while the application is away.
        self._held = [socket.socket() for _ in range(2)]
        for held in self._held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
        self.openflow, self.rest = (held.getsockname()[1] for held in self._held)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where its REST interface answers."""
        return f"http://127.0.0.1:{self.rest}"

    def start(self) -> None:
        """Start it, also after `kill`; returns once it listens."""
        told = self._folder / "ports.json"
        told.unlink(missing_ok=True)
        log = self._folder / "application.log"
        with log.open("ab") as output:
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "dpb_slicer", "--listen-openflow", f"127.0.0.1:{self.openflow}",
                 "--listen-rest", f"127.0.0.1:{self.rest}", "--port-file", str(told)],
                stdout=output, stderr=output,
            )  # fmt: skip

        def listens() -> bool:
            assert process.poll() is None, log.read_text()
            return told.exists()

        until(listens, "the application listens")

    def kill(self) -> None:
        """End it without notice."""
        if self._process is not None:
            end(self._process, signal.SIGKILL)

    def stop(self) -> None:
        """End it, and let its ports go."""
        if self._process is not None:
            end(self._process)
        for held in self._held:
            held.close()

    def pause(self, *, on: bool) -> None:
        """Let it stand still, or go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)


class RealSwitches:
    """One Open vSwitch with any number of bridges; each is a switch of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {
            **os.environ, "PATH": _PATH,
            **{f"OVS_{name}": str(folder) for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")},
        }  # fmt: skip
        self._processes: list[subprocess.Popen[bytes]] = []
        self._database = f"unix:{folder}/db.sock"

    def start(self) -> None:
        """Start both processes; returns once they listen."""
        self._run("ovsdb-tool", "create", f"{self._folder}/conf.db", str(_SCHEMA))
        self._spawn("ovsdb-server", f"{self._folder}/conf.db", f"--remote=p{self._database}",
                    f"--unixctl={self._folder}/db.ctl")  # fmt: skip
        until((self._folder / "db.sock").exists, "the database listens")
        self.configure("--retry", "--no-wait", "init", "--", "set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
        self._spawn("ovs-vswitchd", self._database, f"--unixctl={self._folder}/switch.ctl", "--disable-system",
                    "--disable-system-route", "--enable-dummy")  # fmt: skip
        until((self._folder / "switch.ctl").exists, "the switch listens")

    def stop(self) -> None:
        """End both processes."""
        for process in reversed(self._processes):
            end(process)

    def _run(self, *words: str) -> str:
        done = subprocess.run(words, env=self._environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return done.stdout

    def _spawn(self, *words: str) -> None:
        with (self._folder / f"{words[0]}.log").open("ab") as output:
            self._processes.append(subprocess.Popen(words, env=self._environment, stdout=output, stderr=output))

    def configure(self, *words: str) -> str:
        """Run `ovs-vsctl` with these arguments."""
        return self._run("ovs-vsctl", f"--db={self._database}", "--timeout=30", *words)

    def openflow(self, verb: str, bridge: str, *words: str) -> str:
        """Run `ovs-ofctl` on a bridge, beside its controller."""
        return self._run("ovs-ofctl", "-O", "OpenFlow13", verb, f"{self._folder}/{bridge}.mgmt", *words)

    def bridge(self, name: str, dpid: str, ports: Collection[int], protocols: str = "OpenFlow13") -> None:
        """Make a bridge with these ports; nobody controls it yet."""
        words = ["add-br", name, "--", "set", "bridge", name, "datapath_type=dummy", f"protocols={protocols}",
                 "fail-mode=secure", f"other_config:datapath-id={dpid}"]  # fmt: skip
        for port in ports:
            words += ["--", "add-port", name, f"{name}p{port}", "--", "set", "interface", f"{name}p{port}",
                      "type=dummy", f"ofport_request={port}",
                      f"options:pstream=punix:{self._folder}/{name}-{port}.sock"]  # fmt: skip
        self.configure(*words)

    def controller(self, name: str, port: int | None) -> None:
        """Let a bridge be controlled from that port of loopback; by nobody without it."""
        if port is None:
            self.configure("del-controller", name)
            return
        self.configure("set-controller", name, f"tcp:127.0.0.1:{port}", "--", "set", "controller", name,
                       "max_backoff=1000", "inactivity_probe=5000")  # fmt: skip

    def wire(self, name: str, port: int) -> Wire:
        """Plug into a port."""
        return Wire(self._folder / f"{name}-{port}.sock")

    def port(self, name: str, port: str, *, up: bool) -> None:
        """Let a port come back, or die."""
        self.openflow("mod-port", name, f"{name}p{port}", "up" if up else "down")


class Wire:
    """The other end of a port's cable. Frames are read when they are asked for, in the caller's own thread."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._rest = b""
        self._frames: list[bytes] = []

    def send(self, frame: bytes) -> None:
        """Let a frame in."""
        self._socket.sendall(len(frame).to_bytes(2, "big") + frame)

    def _read(self, seconds: float) -> None:
        self._socket.settimeout(seconds)
        with contextlib.suppress(BlockingIOError, TimeoutError):
            while data := self._socket.recv(1 << 16):
                self._rest += data
                self._socket.settimeout(0)
        rest = self._rest
        while len(rest) >= 2 and len(rest) >= (length := 2 + int.from_bytes(rest[:2], "big")):
            self._frames.append(rest[2:length])
            rest = rest[length:]
        self._rest = rest
        self._socket.settimeout(None)

    def came(self, payload: bytes) -> list[bytes]:
        """Take out all frames that have come; those with this payload."""
        self._read(0)
        frames, self._frames = self._frames, []
        return [frame for frame in frames if payload in frame]

    def wait_for(self, payload: bytes) -> None:
        """Wait for a frame with this payload, and take out all that have come."""
        deadline = time.monotonic() + PATIENCE
        while not self.came(payload):
            assert time.monotonic() < deadline, "a frame did not arrive"
            self._read(0.1)

    def close(self) -> None:
        """Pull the cable."""
        self._socket.close()


def frame(tags: Collection[int], payload: bytes, source: int = 1) -> bytes:
    """A frame for everybody."""
    head = _BROADCAST + bytes([2, 0, 0, 0, source >> 8 & 255, source & 255])
    return (head + b"".join(b"\x81\x00" + tag.to_bytes(2, "big") for tag in tags) + _TEST_TYPE + payload).ljust(
        60, b"\0"
    )


def tags_of(data: bytes) -> tuple[int, ...]:
    """The VLAN ids of a frame, the outer one first."""
    tags, place = [], 12
    while data[place : place + 2] in (b"\x81\x00", b"\x88\xa8"):
        tags.append(int.from_bytes(data[place + 2 : place + 4], "big") & 0xFFF)
        place += 4
    return tuple(tags)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[tuple[RealSwitches, RealApplication]]:
    """An Open vSwitch and the application, started; ended afterwards, whatever happens."""
    application, switches = RealApplication(folder), RealSwitches(folder)
    try:
        switches.start()
        application.start()
        yield switches, application
    finally:
        application.stop()
        switches.stop()
