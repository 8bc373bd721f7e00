"""The client of the controller application's second REST interface.

It is the port slicer, or the tuple slicer, which has circuits of one bare port for that one's ports.
`Refusal`: it said no, and nothing of the call is left. `Absent`: it does not have the switch (yet). `Unreachable`: what
became of a call is not known, or nobody there is such an application.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote

from attrs import field, frozen

from dpb_corsa.address import application_url
from dpb_corsa.answers import Lines
from dpb_corsa.transport import Refusal, Transport, short, understanding
from dpb_framework.errors import Unreachable

BASE = "/slicer/api/v2"

_ABSENT = frozenset({"not-connected", "switch-unknown"})
_NO_PORT = "OFPBAC_BAD_OUT_PORT"
_SETTLING = 3.0
"""How long a port that was attached may be unknown to the application, in seconds."""
_PAUSE = 0.05
_UNKNOWN = _ABSENT | {"timed-out", "given-up"}


@frozen
class Absent(Unreachable):
    """The application does not have the VFC: nothing was done."""


@frozen
class Slices:
    """What joins a VFC's OpenFlow ports: sets by key, and all ports that are in some set."""

    named: Mapping[str, frozenset[int]]
    used: frozenset[int]


@frozen
class Status:
    """The application at one moment: a name of this run of it, and the datapaths that it has."""

    instance: str = ""
    connected: frozenset[str] = field(default=frozenset(), converter=frozenset)


class Application:
    """One application at *url*. *dhcp*: whether DHCP passes through slices. `ConfigInvalid`. Thread-safe."""

    def __init__(self, url: str, timeout: float, *, dhcp: bool) -> None:
        base = application_url(url)
        self.where = f"the controller application at {base}"
        self._said = f"what answers there is no application with {BASE}"
        self._dhcp = dhcp
        self._bare: bool | None = None
        """Whether it is the port slicer, as it told last."""
        self._settling = min(timeout, _SETTLING)
        self._ended = threading.Event()
        self._transport = Transport(base + BASE, timeout, self.where, Lines())

    def end(self) -> None:
        """Make no call any more."""
        self._ended.set()
        self._transport.end()

    def status(self) -> Status:
        """Whether it is there, and which switches it has."""
        plain = self._call("GET", "")
        with understanding(self.where, self._said):
            self._bare = plain.get("application") == "port-slicer"
            connected = (dpid for dpid, switch in plain["switches"].items() if switch["connected"])
            return Status(str(plain["instance"]), connected)

    def slices(self, dpid: str) -> Slices:
        """What really joins the ports of a VFC."""
        plain = self._call("GET", f"/{dpid}/slices")
        with understanding(self.where, self._said):
            named = {key: _ports(entry) for key, entry in plain["slices"].items()}
            # A slice that treats DHCP otherwise is not what was asked for: its ports are in use, and no more.
            used = frozenset().union(*named.values(), *(_ports(entry) for entry in plain.get("unnamed", ())))
            right = {key: named[key] for key, e in plain["slices"].items() if e.get("dhcp", True) is self._dhcp}
            return Slices(right, used)

    def join(self, dpid: str, key: str, ofports: Collection[int]) -> None:
        """Let frames pass between these ports and no others; what stays is not interrupted.

        The application hears of a port from the switch, a moment after it was attached: what it refuses for that is
        asked for again, for a while.
        """
        if self._bare is None:
            self.status()
        circuits = [{"circuit": [ofport]} for ofport in sorted(ofports)]
        ports = {"ports": sorted(ofports)} if self._bare else {"circuits": circuits}
        body = {**ports, "dhcp": self._dhcp}
        deadline = time.monotonic() + self._settling
        while True:
            try:
                self._call("PUT", f"/{dpid}/slices/{quote(key, safe='')}", body)
            except Refusal as error:
                if _NO_PORT not in error.told or time.monotonic() > deadline or self._ended.wait(_PAUSE):
                    raise
            else:
                return

    def part(self, dpid: str, key: str) -> None:
        """Let no frame pass any more."""
        self._call("DELETE", f"/{dpid}/slices/{quote(key, safe='')}")

    def retain(self, dpid: str, keys: Collection[str], prefix: str) -> None:
        """Part all with this prefix that are not among *keys*; a restarted application learns the keys by it."""
        self._call("POST", f"/{dpid}/retain", {"prefix": prefix, "keys": sorted(keys)})

    def await_switch(self, dpid: str, seconds: float) -> None:
        """Wait until the application has a VFC; `Unreachable` when it does not come."""
        deadline = time.monotonic() + seconds
        pause = 0.02
        while dpid not in self.status().connected:
            if time.monotonic() > deadline or self._ended.wait(pause):
                raise Absent(self.where, f"VFC {dpid} did not connect to it within {seconds:g} s")
            pause = min(0.25, pause * 1.5)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        status, plain, kind = self._transport.send(method, path, body, {})
        if status == 204:
            return {}
        if 200 <= status < 300 and isinstance(plain, dict):
            return plain
        if not isinstance(plain, dict) or not isinstance(plain.get("code"), str):
            raise Unreachable(self.where, f"{self._said} ({kind})")
        code = plain["code"]
        detail = short(str(plain.get("detail") or plain.get("title") or code))
        if code in _ABSENT:
            raise Absent(self.where, detail)
        if code in _UNKNOWN or status >= 500 or code == "not-found":
            raise Unreachable(self.where, detail)
        raise Refusal(self.where, detail, status, f"{code} {plain.get('error') or ''}")


def _ports(plain: Any) -> frozenset[int]:
    if "ports" in plain:
        return frozenset(map(int, plain["ports"]))
    return frozenset(int(entry["circuit"][0]) for entry in plain["circuits"])
