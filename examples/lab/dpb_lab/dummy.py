"""Open vSwitch and the application without namespaces: no privilege is needed, and no network interface.

The switch's ports are "dummy" ports: Unix sockets that take and give frames, each with its length before it. A frame's
way is the datapath's own. For a fabric in the test's own process; a broker and hosts are in a `Lab`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from dpb_lab.openvswitch import SCHEMA, OpenVSwitch
from dpb_lab.process import Child, until

_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
_PROGRAMS = ("ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovsdb-tool", "setpriv", "nice")
_BROADCAST = b"\xff" * 6
_TEST_TYPE = b"\x88\xb5"


def missing() -> str | None:
    """Why there cannot be such switches on this machine, in one line; None where there can."""
    absent = [program for program in _PROGRAMS if shutil.which(program, path=_PATH) is None]
    if not SCHEMA.exists():
        absent.append(str(SCHEMA))
    if importlib.util.find_spec("dpb_slicer") is None:
        absent.append("the distribution dpb-ryu-apps")
    return f"there is no {', '.join(absent)}" if absent else None


class RealApplication:
    """The application in a process of its own, always at the same ports; *options* are more of its."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder, self._options = folder, options
        # Held, but not listened on, so that nobody else gets them while the application is away.
        self._held = [socket.socket() for _ in range(2)]
        for held in self._held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
        self.openflow, self.rest = (held.getsockname()[1] for held in self._held)
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Where its REST interface answers."""
        return f"http://127.0.0.1:{self.rest}"

    def start(self) -> None:
        """Start it, also after `kill`; returns once it listens."""
        told = self._folder / "ports.json"
        told.unlink(missing_ok=True)
        places = ("--listen-openflow", f"127.0.0.1:{self.openflow}", "--listen-rest", f"127.0.0.1:{self.rest}")
        command = [sys.executable, "-m", "dpb_slicer", *places, "--port-file", str(told), *self._options]
        self._child = Child(command, self._folder / "application.log", name="dpb_slicer")
        self._child.expect(told.exists, "the application does not listen")

    def kill(self) -> None:
        """End it without notice."""
        if self._child is not None:
            self._child.kill()

    def stop(self) -> None:
        """End it, and let its ports go."""
        if self._child is not None:
            self._child.terminate()
        for held in self._held:
            held.close()

    def pause(self, *, on: bool) -> None:
        """Let it stand still, or go on."""
        assert self._child is not None
        self._child.signal(signal.SIGSTOP if on else signal.SIGCONT)


class RealSwitches(OpenVSwitch):
    """One Open vSwitch with any number of bridges; each is a switch of its own.

    *folder* exists, and its path is short: that of a Unix socket has room for about a hundred characters.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder / "ovs", None, "--disable-system", "--disable-system-route", "--enable-dummy", path=_PATH
        )
        self._sockets = folder

    def bridge(self, name: str, dpid: str, ports: Collection[int], protocols: str = "OpenFlow13") -> None:
        """Make a bridge with these ports; nobody controls it yet."""
        words = ["add-br", name, "--", "set", "bridge", name, "datapath_type=dummy", f"protocols={protocols}",
                 "fail-mode=secure", f"other_config:datapath-id={dpid}"]  # fmt: skip
        for port in ports:
            words += ["--", "add-port", name, f"{name}p{port}", "--", "set", "interface", f"{name}p{port}",
                      "type=dummy", f"ofport_request={port}",
                      f"options:pstream=punix:{self._sockets}/{name}-{port}.sock"]  # fmt: skip
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
        return Wire(self._sockets / f"{name}-{port}.sock")

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

        def arrived() -> bool:
            self._read(0.1)
            return bool(self.came(payload))

        until(arrived, "a frame does not arrive")

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
