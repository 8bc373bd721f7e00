"""A host's worker: takes commands as lines of JSON, carries each out in a thread of its own, and answers likewise."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from array import array
from typing import Any

from dpb_lab.inside import sockets, stack
from dpb_lab.inside.frames import Seen

_SIOCETHTOOL, _SET_TX_CHECKSUMS = 0x8946, 0x17


class Worker:
    """What a host can be asked to do: each method is a command, its arguments are the command's."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._captures: dict[int, sockets.Capture] = {}
        self._streams: dict[int, threading.Event] = {}

    def ready(self) -> None:
        """Answer."""

    def prepare(self, mac: str, address: str | None, mtu: int) -> None:
        """Bring up the interface. Without an address the kernel neither sends nor answers anything by itself."""
        stack.silence()
        lines = ["link set lo up", f"link set {sockets.INTERFACE} address {mac} mtu {mtu}"]
        if address is not None:
            lines.append(f"addr add {address} dev {sockets.INTERFACE}")
        lines.append(f"link set {sockets.INTERFACE} {'arp off' if address is None else 'arp on'} up")
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
        _checksums_in_software()

    def run(self, command: list[str]) -> dict[str, Any]:
        """Run a command in the host."""
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return {"status": done.returncode, "output": done.stdout + done.stderr}

    def capture(self, keep: bool) -> int:
        """Begin to receive every frame; return the capture's number."""
        number = next(self._numbers)
        self._captures[number] = sockets.Capture(keep)
        return number

    def captured(self, capture: int) -> list[Seen]:
        """The frames that a capture kept up to now."""
        return self._captures[capture].so_far()

    def end_capture(self, capture: int) -> dict[str, Any]:
        """End a capture; return what it found."""
        return self._captures.pop(capture).end()

    def send(self, frames: list[str]) -> int:
        """Send frames at once."""
        return sockets.send(frames)

    def stream(self, name: int, frame: str, first: int, count: int, rate: float) -> dict[str, Any]:
        """Send numbered copies of a frame at a rate, until they are sent or `end_stream` is called with the name."""
        ending = self._streams.setdefault(name, threading.Event())
        try:
            return sockets.stream(frame, first, count, rate, ending)
        finally:
            del self._streams[name]

    def end_stream(self, name: int) -> None:
        """Let a stream end now."""
        self._streams.setdefault(name, threading.Event()).set()

    def ping(self, to: str, count: int, interval: float, timeout: float, size: int) -> dict[str, Any]:
        """Send echo requests and wait for the answers."""
        return stack.ping(to, count, interval, timeout, size)

    def serve_tcp(self) -> int:
        """Begin to take one TCP connection; return its port."""
        return stack.TcpServer().port

    def tcp(self, to: str, port: int, size: int, timeout: float) -> dict[str, Any]:
        """Send bytes to another host's `serve_tcp`."""
        return stack.tcp(to, port, size, timeout)


def _checksums_in_software() -> None:
    """As `ethtool -K eth0 tx off`: otherwise nobody fills in checksums on the way to a switch in userspace."""
    value = array("I", (_SET_TX_CHECKSUMS, 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sP", sockets.INTERFACE.encode(), value.buffer_info()[0])
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)


def main() -> None:
    """Serve until the standard input ends."""
    worker = Worker()
    answering = threading.Lock()

    def carry_out(asked: dict[str, Any]) -> None:
        try:
            answer = {"result": getattr(worker, asked["command"])(**asked["arguments"])}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to whoever asked
            answer = {"error": f"{type(error).__name__}: {error}"}
        with answering:
            sys.stdout.write(json.dumps({"id": asked["id"], **answer}) + "\n")
            sys.stdout.flush()

    for line in sys.stdin:
        threading.Thread(target=carry_out, args=(json.loads(line),), daemon=True).start()
    os._exit(0)
