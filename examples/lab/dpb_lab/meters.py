"""A meter table that is full: every meter that the switch daemon has is taken by one bridge, until that goes."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from dpb_lab.openvswitch import OpenVSwitch, Switch
from dpb_lab.process import PATIENCE, LabError

_VERSION = 4
_HELLO, _ERROR, _BARRIER, _BARRIER_REPLY, _METER_MOD = 0, 1, 20, 21, 29
_HEADER = struct.Struct("!BBHI")
_CONNECTIONS, _BATCH = 100, 512
_DROP_BAND = struct.pack("!HHII4x", 1, 16, 1000, 100)


def _message(kind: int, body: bytes = b"", xid: int = 1) -> bytes:
    return _HEADER.pack(_VERSION, kind, _HEADER.size + len(body), xid) + body


def _add(meter: int) -> bytes:
    # Command 0 adds; flags 5 are kbit/s and burst.
    return _message(_METER_MOD, struct.pack("!HHI", 0, 5, meter) + _DROP_BAND)


@contextmanager
def exhausted(ovs: OpenVSwitch, leave: int = 0) -> Iterator[None]:
    """Within the block all meters of the daemon but *leave* are taken, by a bridge that nobody else uses."""
    used = sum(len(ovs.openflow("dump-meters", bridge).splitlines()) // 2 for bridge in ovs.bridges())
    hog = Switch(ovs, "hog", 0xFFFF, None)
    try:
        (count,) = re.findall(r"max_meter:(\d+)", ovs.openflow("meter-features", hog.name))
        with ExitStack() as stack:
            # The daemon takes some messages of each connection in turn: with many connections it is done sooner.
            channels = [stack.enter_context(_connected(ovs.control(hog.name))) for _ in range(_CONNECTIONS)]
            _take(channels, int(count) - used - leave)
        yield
    finally:
        ovs.configure("del-br", hog.name)


def _connected(path: str) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX)
    channel.connect(path)  # waits where too many are waiting already
    channel.settimeout(PATIENCE)
    channel.sendall(_message(_HELLO))
    return channel


def _take(channels: Sequence[socket.socket], count: int) -> None:
    batches = [range(first, min(first + _BATCH, count + 1)) for first in range(1, count + 1, _BATCH)]
    for at in range(0, len(batches), len(channels)):
        used = list(zip(channels, batches[at:], strict=False))
        for channel, batch in used:
            channel.sendall(b"".join(map(_add, batch)) + _message(_BARRIER))
        for channel, batch in used:
            if _until_barrier(channel):
                raise LabError(f"a meter among {batch.start} to {batch.stop - 1} of {count} was refused")


def _until_barrier(channel: socket.socket) -> bool:
    """Read until the barrier's reply; whether there was an error message before it."""
    refused = False
    data = b""
    while True:
        data += channel.recv(1 << 16)
        while len(data) >= _HEADER.size and len(data) >= (length := _HEADER.unpack_from(data)[2]):
            kind, data = data[1], data[length:]
            refused = refused or kind == _ERROR
            if kind == _BARRIER_REPLY:
                return refused
