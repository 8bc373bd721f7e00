"""Ethernet frames as bytes, and back: tags, numbered test frames, UDP."""

from __future__ import annotations

import struct
from typing import NamedTuple

MULTICAST = "01:00:5e:00:00:fb"
BROADCAST = "ff:ff:ff:ff:ff:ff"

TPID = 0x8100
STAG = 0x88A8
TAGS = (TPID, STAG)
IPV4 = 0x0800
TEST = 0x88B5
"""The ethertype that IEEE keeps for local experiments: numbered test frames."""

_MARK = b"DPB1"
_HEAD = struct.Struct("!4sII")
"""What a numbered payload begins with: the mark, a stream's id, a number."""

Tags = tuple[int, ...]


class Seen(NamedTuple):
    """A frame that a host received, *at* monotonic ns. `stream` and `number` are -1 without a numbered payload."""

    at: int
    tags: Tags
    source: str
    destination: str
    kind: int
    stream: int
    number: int
    length: int


def mac(text: str) -> bytes:
    """The six bytes of an address such as `02:00:00:00:00:01`."""
    return bytes.fromhex(text.replace(":", ""))


def address(octets: bytes) -> str:
    """The text of an address."""
    return octets.hex(":")


def payload(stream: int, number: int = 0, size: int = 46) -> bytes:
    """A numbered payload of *size* bytes."""
    return _HEAD.pack(_MARK, stream, number).ljust(size, b"\0")


def frame(source: str, destination: str, body: bytes, *, tags: Tags = (), kind: int = TEST, tpid: int = TPID) -> bytes:
    """A frame with these tags, outermost first; *tpid* is that of the outer of two."""
    head = mac(destination) + mac(source)
    for place, tag in enumerate(tags):
        head += struct.pack("!HH", tpid if place == 0 and len(tags) > 1 else TPID, tag)
    return head + struct.pack("!H", kind) + body.ljust(46, b"\0")


def udp(source: str, destination: str, body: bytes, *, port: int = 5001) -> bytes:
    """An IPv4 packet with a UDP datagram between two addresses; to be the body of a frame of kind `IPV4`."""
    ends = bytes(map(int, source.split("."))) + bytes(map(int, destination.split(".")))
    length = 8 + len(body)
    head: bytes = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, 17, 0) + ends
    head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    # No checksum of the datagram: 0 says so.
    return head + struct.pack("!HHHH", port, port, length, 0) + body


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def number_offset(data: bytes) -> int:
    """Where in a frame with a numbered payload the number stands."""
    return data.index(_MARK) + 8


def seen(at: int, data: bytes, outer: int | None) -> Seen:
    """Read a frame as a packet socket gives it: the outermost tag, if any, has been taken out of the data."""
    tags: Tags = () if outer is None else (outer,)
    place = 12
    kind = int.from_bytes(data[12:14], "big")
    while kind in TAGS and len(data) >= place + 6:
        tags += (int.from_bytes(data[place + 2 : place + 4], "big") & 0xFFF,)
        place += 4
        kind = int.from_bytes(data[place : place + 2], "big")
    body = place + 2
    if kind == IPV4 and len(data) > body + 28 and data[body + 9] == 17:
        body += 28
    stream = number = -1
    if data[body : body + 4] == _MARK:
        _, stream, number = _HEAD.unpack_from(data, body)
    length = len(data) + (0 if outer is None else 4)
    return Seen(at, tags, address(data[6:12]), address(data[:6]), kind, stream, number, length)
