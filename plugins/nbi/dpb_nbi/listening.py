"""Where an interface listens: its settings, whether others reach it there, the socket."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from typing import Final

from dpb_framework.errors import ConfigInvalid

BACKLOG: Final = 2048
_ADDRESS: Final = re.compile(r"[0-9.]+")
_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def check_place(host: object, port: object) -> None:
    """Raise `ConfigInvalid` unless these can be an address (or a name of this machine) and a port (0: a free one)."""
    if not isinstance(host, str) or not host or "/" in host:
        raise ConfigInvalid("host", f"expected an address such as 127.0.0.1, got {host!r}"[:200])
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigInvalid("port", f"expected a port from 0 to 65535, got {port!r}"[:200])


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches *address*; ValueError when it is a name."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def names(host: str) -> frozenset[str]:
    """Return the names, with or without dots, by which an interface at *host* may be asked for."""
    return frozenset({host.lower(), socket.gethostname().lower()})


def is_own(host: str, own: frozenset[str]) -> bool:
    """Whether *host*, of a request, can only be meant for this machine: an address, one of *own*, a name without dots.

    A name that anybody may have, and have it stand for any address, has a dot.
    """
    name = host.partition("]")[0] if host.startswith("[") else host.partition(":")[0].lower()
    return (
        "." not in name
        or name.startswith("[")
        or bool(_ADDRESS.fullmatch(name))
        or name.endswith(".localhost")
        or name in own
    )


def check_exposure(address: str, *, controlled: bool, insecure: bool) -> None:
    """Raise `ConfigInvalid` where others reach *address* and nobody asks them who they are; ValueError for a name."""
    if is_loopback(address) or controlled or insecure:
        return
    raise ConfigInvalid(
        "access",
        f"{address} can be reached from elsewhere: set access = true (and make a user: dpb admin-token), or"
        f" insecure = true to let anybody do anything",
    )


def place(host: str, port: int) -> str:
    """Return `host:port`, with brackets for IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens there. `ConfigInvalid` names the setting when the address cannot be had."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigInvalid("host", f"{host} is no address of this machine: {error.strerror}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        setting = "host" if error.errno in _NOT_HERE else "port"
        raise ConfigInvalid(
            setting, f"cannot listen at {host}:{port}: {error.strerror}; choose another, or stop who has it"
        ) from error
    return listener
