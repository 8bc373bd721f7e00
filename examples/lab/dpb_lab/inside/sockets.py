"""Packet sockets of a host, and what can be measured on them."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections import Counter
from typing import Any

from dpb_lab.inside.frames import Seen, number_offset, seen

INTERFACE = "eth0"
_ALL = 0x0003
_PACKET, _AUXDATA = 263, 8
_STATISTICS = 6
_FORCED_BUFFER = 33
_TAG_VALID = 1 << 4
_AUX = struct.Struct("IIIHHHH")
_OUTGOING = 4
_BUFFER = 8 << 20
BIN = 20_000_000
"""Nanoseconds: how finely received bytes are counted over time."""


def opened() -> socket.socket:
    """A packet socket on the host's interface."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setsockopt(_PACKET, _AUXDATA, 1)
    made.setsockopt(socket.SOL_SOCKET, _FORCED_BUFFER, _BUFFER)
    made.bind((INTERFACE, _ALL))
    return made


class Capture(threading.Thread):
    """Takes every frame that the host receives: keeps it (`keep`), or only counts bytes over time by stream."""

    def __init__(self, keep: bool) -> None:
        super().__init__(daemon=True)
        self._socket = opened()
        self._keep = keep
        self._frames: list[Seen] = []
        self._bins: dict[int, Counter[int]] = {}
        self._ending = False
        self.start()

    def run(self) -> None:
        """Receive until told to end, and what is there by then."""
        while True:
            ready, _, _ = select.select([self._socket], [], [], 0.02)
            if ready:
                self._receive()
            elif self._ending:
                return

    def _receive(self) -> None:
        data, ancillary, _, sender = self._socket.recvmsg(4096, 64)
        if sender[2] == _OUTGOING:
            return
        frame = seen(time.monotonic_ns(), data, _outer(ancillary))
        if self._keep:
            self._frames.append(frame)
        else:
            self._bins.setdefault(frame.stream, Counter())[frame.at // BIN] += frame.length - 4 * len(frame.tags)

    def end(self) -> dict[str, Any]:
        """What was received, and how many frames this socket itself had to drop: if any, the rest means nothing."""
        self._ending = True
        self.join()
        _, dropped = struct.unpack("II", self._socket.getsockopt(_PACKET, _STATISTICS, 8))
        self._socket.close()
        bins = {stream: sorted(counted.items()) for stream, counted in self._bins.items()}
        return {"frames": self._frames, "bins": bins, "dropped": dropped}

    def so_far(self) -> list[Seen]:
        """The frames kept up to now."""
        return list(self._frames)


def _outer(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if (level, kind) == (_PACKET, _AUXDATA):
            status, _, _, _, _, tag, _ = _AUX.unpack(data[: _AUX.size])
            return tag & 0xFFF if status & _TAG_VALID else None
    return None


def send(frames: list[str]) -> int:
    """Send frames (hex digits) at once; return how many."""
    with opened() as out:
        for text in frames:
            _put(out, bytes.fromhex(text))
    return len(frames)


def stream(frame: str, first: int, count: int, rate: float, ending: threading.Event) -> dict[str, Any]:
    """Send *count* copies of a frame, numbered from *first*, *rate* a second; what is late is caught up with at once.

    The answer tells how many were sent, and how many seconds the sender was behind its own rate at worst.
    """
    data = bytearray.fromhex(frame)
    place = number_offset(bytes(data))
    behind = 0.0
    started = time.monotonic()
    sent = 0
    with opened() as out:
        while sent < count and not ending.is_set():
            now = time.monotonic() - started
            if now < sent / rate:
                time.sleep(min(sent / rate - now, 0.05))
                continue
            behind = max(behind, now - sent / rate)
            struct.pack_into("!I", data, place, first + sent)
            _put(out, data)
            sent += 1
    return {"sent": sent, "seconds": time.monotonic() - started, "behind": behind}


def _put(out: socket.socket, data: bytes | bytearray) -> None:
    while True:
        try:
            out.send(data)
            return
        except OSError as error:
            if error.errno != 105:  # ENOBUFS: the queue is full for a moment
                raise
            time.sleep(0.0005)
