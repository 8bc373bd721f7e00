"""The laboratory: a namespace of its own with Open vSwitch in it, hosts around it, and all of it gone at the end."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self, TypeVar

from dpb_lab.host import Host
from dpb_lab.inside.sockets import INTERFACE
from dpb_lab.inside.stack import silence
from dpb_lab.namespace import Namespace
from dpb_lab.openvswitch import SCHEMA, OpenVSwitch, Ports, Switch
from dpb_lab.process import LabError, run

T = TypeVar("T")

CONTROLLER = "tcp:127.0.0.1:6653"
"""Where switches look for their controller: inside the lab's namespace."""

PAYLOAD = 1500
"""Bytes: the largest payload of a frame, tags not counted."""

_ROOM = 2000
_PROGRAMS = (
    "ip",
    "setpriv",
    "unshare",
    "ovs-vswitchd",
    "ovsdb-server",
    "ovsdb-tool",
    "ovs-vsctl",
    "ovs-ofctl",
    "ovs-appctl",
)


def missing() -> str | None:
    """Why there cannot be a lab on this machine, in one line; None where there can."""
    if os.geteuid() != 0:
        return "a lab needs root (network namespaces, packet sockets)"
    absent = [program for program in _PROGRAMS if shutil.which(program) is None]
    if absent or not SCHEMA.exists():
        what = ", ".join(absent) or str(SCHEMA)
        return f"{what} not found: as root, apt-get install openvswitch-switch iproute2 util-linux"
    try:
        namespace = Namespace()
    except OSError as error:
        return f"no network namespace can be made here: {error}"
    try:
        with namespace.inside():
            run(["ip", "link", "add", "name", "one", "type", "veth", "peer", "name", "other"])
    except (LabError, OSError) as error:
        return f"no pair of interfaces can be made here: {error}"
    finally:
        namespace.close()
    return None


class Lab:
    """A context manager; what is made of it ends with it, the last first. *folder*: where its files are kept.

    Everything lives in namespaces without names, held by this process and its children: several labs never meet, not
    even when they use the same addresses and ports, and a lab that is killed leaves nothing but its folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._wanted = folder
        self._stack = ExitStack()
        self._numbers = count(1)
        self._customers: dict[tuple[str, int], str] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(_sigterm_is_an_exception())
            if self._wanted is None:
                self.folder = Path(tempfile.mkdtemp(prefix=f"dpb-lab-{os.getpid()}-"))
                stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            else:
                self.folder = self._wanted
                self.folder.mkdir(parents=True)
            self.namespace = Namespace()
            stack.callback(self.namespace.close)
            with self.inside():
                silence()
                run(["ip", "link", "set", "lo", "up"])
            self.ovs = OpenVSwitch(self.folder / "ovs", self.namespace)
            stack.callback(self.ovs.stop)
            self.ovs.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def inside(self) -> AbstractContextManager[None]:
        """Within the block, sockets and processes that the calling thread makes are in the lab's namespace."""
        return self.namespace.inside()

    def keep(self, part: AbstractContextManager[T]) -> T:
        """Enter a context that is left with the lab."""
        return self._stack.enter_context(part)

    def log(self, name: str) -> Path:
        """Where a child with this name keeps its log."""
        return self.folder / f"{name}.log"

    def switch(self, name: str, *, controller: str | None = CONTROLLER) -> Switch:
        """Make a switch. Its name is at most ten characters, and no other's here."""
        return Switch(self.ovs, name, next(self._numbers), controller)

    def trunk(self, a: Ports, a_port: int, b: Ports, b_port: int) -> None:
        """Join two ports of switches."""
        ends = (f"{a.name}-{a_port}", f"{b.name}-{b_port}")
        a.add_port(a_port, ends[0], "type=patch", f"options:peer={ends[1]}")
        b.add_port(b_port, ends[1], "type=patch", f"options:peer={ends[0]}")

    def host(self, name: str, switch: Ports, port: int, *, address: str | None = None, tag: int | None = None) -> Host:
        """Make a host at a port: untagged, or behind a small bridge that gives its frames a tag.

        With an *address* (such as `10.0.0.1/24`) the kernel speaks IPv4 and ARP there; without, the host sends
        only what it is told to (frames with any tags), and counts what comes.
        Several hosts with different tags may share a port.
        """
        number = next(self._numbers)
        host = Host(name, f"02:00:00:00:{number >> 8:02x}:{number & 0xFF:02x}", address, self.log(f"host-{name}"))
        self._stack.callback(host.close)
        near = f"port-{number}"
        # Room for two tags beside the payload: a packet socket takes no frame longer than that.
        with self.inside():
            far = ["peer", "name", INTERFACE, "mtu", str(_ROOM), "netns", str(self._namespace_of(host))]
            run(["ip", "link", "add", near, "mtu", str(_ROOM), "type", "veth", *far])
            run(["ip", "link", "set", near, "up"])
        if tag is None:
            switch.add_port(port, near)
        else:
            customer = self._customer(switch, port)
            # A tunnel port: what the host has tagged itself is payload, and stays within.
            tunnel = ("vlan_mode=dot1q-tunnel", "other_config:qinq-ethtype=802.1q", f"tag={tag}")
            self.ovs.configure("add-port", customer, near, "--", "set", "port", near, *tunnel)
        host.prepare(PAYLOAD if address else _ROOM)
        return host

    def _namespace_of(self, host: Host) -> int:
        host.ask("ready")  # what answers is already in the namespace of its own
        return host.pid

    def _customer(self, switch: Ports, port: int) -> str:
        """The bridge of a customer at this port, as an ordinary switch with VLANs."""
        place = (switch.name, port)
        if place not in self._customers:
            name = self._customers[place] = f"cpe-{switch.name}-{port}"
            make = ["add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", "fail_mode=standalone"]
            self.ovs.configure(*make, "--", "add-port", name, f"{name}u", "--", "set", "interface", f"{name}u",
                               "type=patch", f"options:peer={switch.name}-{port}")  # fmt: skip
            switch.add_port(port, f"{switch.name}-{port}", "type=patch", f"options:peer={name}u")
        return self._customers[place]


@contextmanager
def _sigterm_is_an_exception() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, where nobody else has said what it should do."""

    def ended(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, ended)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
