"""What goes over the wire and into the state file: JSON, one object a line; described in docs/emulated.md."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from attrs import frozen

from dpb_framework.contracts import Bridge, Channel
from dpb_framework.errors import BadArgument, ConfigInvalid
from dpb_framework.model import TrafficFlow
from dpb_framework.serialise import build

T = TypeVar("T")

Row: TypeAlias = tuple[str, int, int, int]
"""A channel on the wire: interface, label, ingress and egress in kbit/s."""

MAX_LINE = 16 * 1024 * 1024
"""The longest line that either side takes, in octets."""

_MAX_PATH = 100


@frozen
class Address:
    """Where a device process listens: a Unix socket's path, or a loopback host and port."""

    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Address:
        """Understand `unix:PATH` or `127.0.0.1:PORT`; `BadArgument` tells what is wrong.

        Only loopback: the protocol knows no authentication.
        """
        if not isinstance(text, str) or not text:
            raise BadArgument("address", "expected unix:PATH or 127.0.0.1:PORT")
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path or len(path.encode()) > _MAX_PATH:
                raise BadArgument("address", f"a socket's path has 1 to {_MAX_PATH} octets, got {path!r}"[:300])
            return cls(path=path)
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise BadArgument("address", f"expected unix:PATH or 127.0.0.1:PORT, got {text!r}"[:200])
        try:
            loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise BadArgument(
                "address", f"only loopback addresses: the protocol has no authentication, got {text!r}"[:200]
            )
        return cls(host=host, port=int(port))

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def connect(self, timeout: float) -> socket.socket:
        """Return a connected socket; `OSError` when there is none within *timeout* seconds."""
        if not self.path:
            return socket.create_connection((self.host, self.port), timeout)
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(timeout)
            connected.connect(self.path)
        except OSError:
            connected.close()
            raise
        return connected

    def claim(self) -> None:
        """Raise `BadArgument` if somebody answers here already; a Unix socket that nobody serves is not in the way."""
        if self.path and Path(self.path).exists():
            try:
                self.connect(1.0).close()
            except OSError:
                return
            raise BadArgument("--listen", f"another process listens at {self}; end it or take another path")


def encode(message: Mapping[str, Any]) -> bytes:
    """Return *message* as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """Return what a line says; `BadArgument` if it is no JSON object."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise BadArgument("line", "expected a JSON object") from None
    if not isinstance(message, dict):
        raise BadArgument("line", "expected a JSON object")
    return message


def take(kind: type[T], value: object, path: str) -> T:
    """Return the value of *kind* that a message has at *path*; `BadArgument` tells what is wrong with it."""
    try:
        return build(kind, value, path)
    except ConfigInvalid as error:
        raise BadArgument(error.path, error.problem) from None


def plain_channels(bridge: Bridge) -> list[list[Any]]:
    """Return a bridge's channels as `[interface, label, ingress, egress]`, rates in kbit/s."""
    return [[*row] for row in rows_of(bridge)]


def rows_of(bridge: Bridge) -> tuple[Row, ...]:
    """Return a bridge's channels."""
    return tuple((c.interface, c.label, flow.ingress, flow.egress) for c, flow in bridge.channels.items())


def parse_channels(value: object, path: str = "channels") -> dict[Channel, TrafficFlow]:
    """The opposite; `BadArgument` names what is wrong."""
    return channels_of(take(tuple[Row, ...], value, path), path)


def channels_of(rows: tuple[Row, ...], path: str) -> dict[Channel, TrafficFlow]:
    """Return the channels of *rows* with their rates; `BadArgument` if one is there twice."""
    channels: dict[Channel, TrafficFlow] = {}
    for i, (interface, label, ingress, egress) in enumerate(rows):
        channel = Channel(interface, label)
        if channel in channels:
            raise BadArgument(f"{path}[{i}]", f"channel {channel} is there twice")
        channels[channel] = TrafficFlow(ingress, egress)
    return channels
