"""Corsa switches in a lab: the emulator as a child, which drives bridges of the lab's own Open vSwitch."""

from __future__ import annotations

import json
import signal
import ssl
import sys
from collections.abc import Iterator, Sequence

from dpb_lab.lab import Lab
from dpb_lab.process import Child
from dpb_lab.rest import Plain, Rest

SHARED, PER_SERVICE = "corsa-shared", "corsa-per-service"
"""The fabrics: one VFC for all services, and one for each."""

_API = 8443
"""The port of the management API is this and the switch's number."""
_PORTS = 200
"""Physical ports of each switch."""


class CorsaSwitch:
    """An emulated switch for one network. A context manager: begun within the block, of use once it is `ready`.

    *fabric* is the broker's for it; *number* is no other's in this lab. A physical port is one of the backplane, the
    bridge in which the emulator has all of them.
    """

    def __init__(self, lab: Lab, name: str, fabric: str, number: int) -> None:
        self._lab, self.ovs, self.name, self.fabric = lab, lab.ovs, name, fabric
        # A letter at the end: with digits only, names of one switch's ports could be another's.
        self._prefix = f"c{number}x"
        self._port = _API + number
        self.folder = lab.folder / f"corsa-{name}"
        self._certificate, self._token = self.folder / "certificate.pem", self.folder / "token"
        self._told = self.folder / "address.json"
        self._ports: dict[int, tuple[str, Sequence[str]]] = {}
        self._child: Child | None = None
        self._rest: Rest | None = None

    def __enter__(self) -> CorsaSwitch:
        self.folder.mkdir()
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.terminate()
        if self._rest is not None:
            self._rest.close()

    def __str__(self) -> str:
        return f"{self.name} ({self.fabric})"

    def begin(self) -> None:
        """Start it, without waiting until it answers."""
        self._told.unlink(missing_ok=True)
        places = ("--folder", str(self.folder), "--listen", f"127.0.0.1:{self._port}", "--ports", str(_PORTS))
        carrier = ("--ovs", self.ovs.database, "--ovs-prefix", self._prefix)
        command = [sys.executable, "-P", "-m", "dpb_corsa_emulator", *places, *carrier]
        for number, (interface, settings) in self._ports.items():
            command += ["--interface", ",".join((f"{number}={interface}", *settings))]
        with self._lab.inside():
            self._child = Child(command, self._lab.log(f"corsa-{self.name}"), name="dpb-corsa-emulator")

    def ready(self) -> None:
        """Wait until it answers."""
        assert self._child is not None
        self._child.expect(self._told.exists, "no answer")
        if self._rest is None:
            tls = ssl.create_default_context(cafile=str(self._certificate))
            headers = {"Authorization": self._token.read_text("utf-8").strip()}
            self._rest = Rest(self._lab.namespace, self._port, "/api/v1", tls=tls, headers=headers)

    def ending(self) -> None:
        """Let it begin to end, so that several end at once: they remove their bridges."""
        if self._child is not None:
            self._child.signal(signal.SIGTERM)

    def restart(self) -> None:
        """Let it begin anew, as after a loss of power: all that it had, without flows. Needs no end before."""
        self.kill()
        self.begin()
        self.ready()

    def kill(self) -> None:
        """End it: nobody answers any more, and frames go on, as where only the management has died. Repeatable."""
        if self._child is not None:
            self._child.kill()

    def add_port(self, number: int, interface: str, *settings: str) -> None:
        """Make the interface this physical port; *settings* are those of OVSDB's Interface, as `type=patch`."""
        self._ports[number] = (interface, settings)
        described = ["set", "interface", interface, f"ofport_request={number}", *settings]
        self.ovs.configure("add-port", self._backplane, interface, "--", *described)

    def settings(self, *, application: str, controller: str, poll: float) -> str:
        """The settings of the broker's fabric for it, in TOML."""
        return (
            f'url = "https://127.0.0.1:{self._port}"\n'
            f"certificate = {{ path = {json.dumps(str(self._certificate))} }}\n"
            f"token-file = {{ path = {json.dumps(str(self._token))} }}\n"
            f'application = "{application}"\ncontroller = "{controller}"\n'
            f'prefix = "dpb:{self.name}:"\npoll = {poll}\n'
        )

    # -- what is there ------------------------------------------------------------------------------

    @property
    def _backplane(self) -> str:
        return f"{self._prefix}bp"

    def ask(self, path: str) -> Plain:
        """Ask the management API for something; *path* is below /api/v1."""
        assert self._rest is not None
        return self._rest.ok("GET", path)

    def _vfcs(self) -> list[Plain]:
        found: list[Plain] = self.ask("/bridges?list=true")["list"]
        return found

    def dpids(self) -> list[str]:
        """The datapath ids of its VFCs."""
        return [vfc["dpid"] for vfc in self._vfcs()]

    def _dump(self, kind: str, *bridges: str) -> Iterator[str]:
        for bridge in bridges or [f"{self._prefix}{vfc['bridge']}" for vfc in self._vfcs()]:
            lines = self.ovs.openflow("--no-stats", f"dump-{kind}", bridge).splitlines()
            yield from (line.strip() for line in lines)

    def flows(self) -> list[str]:
        """The flows of all VFCs, without counters: what the controller has set."""
        return list(self._dump("flows"))

    def left(self) -> list[str]:
        """What is there of services: tunnels, groups, meters, and VFCs where each service has one of its own."""
        vfcs = [vfc["bridge"] for vfc in self._vfcs()]
        found = [f"{vfc} {tunnel}" for vfc in vfcs for tunnel in self.ask(f"/bridges/{vfc}/tunnels?list=true")["list"]]
        found += [line for line in self._dump("groups") if line.startswith("group_id")]
        found += [line for line in self._dump("meters", self._backplane) if line.startswith("meter")]
        found += self._dump("flows", self._backplane)
        return [*found, *vfcs] if self.fabric == PER_SERVICE else found
