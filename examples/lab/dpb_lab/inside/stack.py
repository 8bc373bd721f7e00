"""What a host does with the kernel's own protocols: ping, TCP."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading
import time
from typing import Any

_ECHO_REQUEST = 8


def silence() -> None:
    """Let no interface of the calling thread's namespace speak IPv6: each would send frames that nobody asked for."""
    for name in ("all", "default"):
        path = f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6"
        if os.path.exists(path):
            with open(path, "w", encoding="ascii") as setting:
                setting.write("1")


def ping(to: str, count: int, interval: float, timeout: float, size: int) -> dict[str, Any]:
    """Send ICMP echo requests; the answer has the round-trip times of those that were answered, in seconds."""
    times: dict[int, float] = {}
    answered: dict[int, float] = {}
    own = threading.get_native_id() & 0xFFFF
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as icmp:
        icmp.connect((to, 0))
        begun = time.monotonic()
        ends = begun + interval * (count - 1) + timeout
        while len(answered) < count and (now := time.monotonic()) < ends:
            due = begun + interval * len(times) if len(times) < count else ends
            if now >= due:
                times[len(times)] = now
                icmp.send(_echo(own, len(times) - 1, size))
                continue
            if select.select([icmp], [], [], max(0.0, min(due, ends) - now))[0]:
                _take(icmp.recv(65536), own, times, answered)
    return {"sent": len(times), "times": list(answered.values())}


def _take(data: bytes, own: int, times: dict[int, float], answered: dict[int, float]) -> None:
    kind, _, _, identifier, number = struct.unpack_from("!BBHHH", data, 20)
    if kind == 0 and identifier == own and number in times and number not in answered:
        answered[number] = time.monotonic() - times[number]


def _echo(identifier: int, number: int, size: int) -> bytes:
    data = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, identifier, number) + bytes(size)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return data[:2] + struct.pack("!H", checksum) + data[4:]


class TcpServer(threading.Thread):
    """Takes one connection and all that comes over it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listening = socket.create_server(("0.0.0.0", 0))
        self.port: int = self._listening.getsockname()[1]
        self.received = 0
        self.start()

    def run(self) -> None:
        """Take what comes."""
        with self._listening:
            taken, _ = self._listening.accept()
        with taken:
            while data := taken.recv(1 << 16):
                self.received += len(data)
            taken.sendall(str(self.received).encode())


def tcp(to: str, port: int, size: int, timeout: float) -> dict[str, Any]:
    """Send *size* bytes to a `TcpServer`; the answer has what that received, and the seconds until it said so."""
    begun = time.monotonic()
    with socket.create_connection((to, port), timeout) as out:
        block = os.urandom(1 << 16)
        left = size
        while left:
            left -= out.send(block[: min(left, len(block))])
        out.shutdown(socket.SHUT_WR)
        received = int(out.recv(64))
    return {"received": received, "seconds": time.monotonic() - begun}
