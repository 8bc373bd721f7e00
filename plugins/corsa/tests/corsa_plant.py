"""The controller application and a cable's end for tests on a real Open vSwitch."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dpb_corsa_emulator.lab import eventually, missing


def needed() -> None:
    """Skip, or fail where a data plane is required, unless Open vSwitch and the application are here."""
    gone = missing() + ([] if importlib.util.find_spec("dpb_slicer") else ["the distribution dpb-ryu-apps"])
    if gone and os.environ.get("DPB_REQUIRE_DATAPLANE") == "1":
        pytest.fail(f"there is no {', '.join(gone)}", pytrace=False)
    if gone:
        pytest.skip(f"NO DATA PLANE: there is no {', '.join(gone)}")


class Controller:
    """The application in a process of its own, at the same ports after each start."""

    def __init__(self, folder: Path, application: str = "tuple-slicer") -> None:
        self._application = application
        self._folder = folder
        self.openflow = self.rest = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        told = self._folder / "ports.json"
        told.unlink(missing_ok=True)
        with (self._folder / "application.log").open("ab") as log:
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "dpb_slicer", "--application", self._application,
                 "--listen-openflow", f"127.0.0.1:{self.openflow}", "--listen-rest", f"127.0.0.1:{self.rest}",
                 "--port-file", str(told)], stdout=log, stderr=log,
            )  # fmt: skip

        def listens() -> bool:
            assert process.poll() is None, (self._folder / "application.log").read_text()
            return told.exists()

        eventually(listens, "the application listens", 60)
        ports = json.loads(told.read_text())
        self.openflow, self.rest = ports["openflow"], ports["rest"]

    def end(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None


class Cable:
    """The other end of a port's cable, read in the caller's own thread: what is there when it is asked for is all."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._rest = b""
        self._frames: list[bytes] = []

    def send(self, data: bytes) -> None:
        self._socket.sendall(len(data).to_bytes(2, "big") + data)

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
        return [data for data in frames if payload in data]

    def wait_for(self, payload: bytes) -> None:
        deadline = time.monotonic() + 30
        while not self.came(payload):
            assert time.monotonic() < deadline, "a frame did not arrive"
            self._read(0.1)

    def close(self) -> None:
        self._socket.close()


def frame(tags: tuple[int, ...], payload: bytes, source: int = 1) -> bytes:
    """A frame for everybody; of two tags the outer one is an S-tag."""
    kinds = (0x88A8, 0x8100) if len(tags) == 2 else (0x8100,)
    data = b"\xff" * 6 + bytes([2, 0, 0, 0, source >> 8 & 255, source & 255])
    for kind, tag in zip(kinds, tags, strict=False):
        data += kind.to_bytes(2, "big") + tag.to_bytes(2, "big")
    return (data + b"\x88\xb5" + payload).ljust(64, b"\0")


def tags_of(data: bytes) -> tuple[int, ...]:
    """The VLAN ids of a frame, the outer one first."""
    tags, place = [], 12
    while data[place : place + 2] in (b"\x81\x00", b"\x88\xa8"):
        tags.append(int.from_bytes(data[place + 2 : place + 4], "big") & 0xFFF)
        place += 4
    return tuple(tags)
