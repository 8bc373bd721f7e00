"""Open vSwitch in userspace: a database and a switch daemon of one's own, as child processes in a folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Protocol

from dpb_lab.namespace import Namespace
from dpb_lab.process import Child, run, sooner

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_VARIABLES = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")


class OpenVSwitch:
    """One switch daemon with its database, its bridges inside *namespace*. The system's own daemon is not touched.

    *options* are the daemon's; *path* is where its programs are looked for.
    """

    def __init__(self, folder: Path, namespace: Namespace | None, *options: str, path: str | None = None) -> None:
        folder.mkdir()
        self._folder, self._namespace, self._options = folder, namespace, options
        found = os.environ if path is None else {**os.environ, "PATH": path}
        self._environment = {**found, **dict.fromkeys(_VARIABLES, str(folder))}
        self.database = f"unix:{folder}/db.sock"
        self._children: list[Child] = []

    def start(self) -> None:
        """Start both processes; returns once the daemon answers."""
        run(["ovsdb-tool", "create", str(self._folder / "conf.db"), str(SCHEMA)], env=self._environment)
        remote = f"--remote=p{self.database}"
        self._server = self._child(
            "ovsdb-server", str(self._folder / "conf.db"), remote, "--unixctl", self._control("db")
        )
        self._server.expect((self._folder / "db.sock").exists, "no socket")
        self.configure("--retry", "init", wait=False)  # its socket is there before it listens
        # The inner of two tags can be matched only when the daemon is told to parse that far.
        self.configure("set", "Open_vSwitch", ".", "other_config:vlan-limit=2", wait=False)
        self._begin()

    def _begin(self) -> None:
        self._daemon = self._child("ovs-vswitchd", self.database, "--unixctl", self._control("switch"), *self._options)
        self._daemon.expect(lambda: Path(self._control("switch")).exists(), "no control socket")
        # A change, for `ovs-vsctl` waits for the daemon only where something has changed.
        self.configure("set", "Open_vSwitch", ".", f"external_ids:life={len(self._children)}")

    def _child(self, *command: str) -> Child:
        with self._namespace.inside() if self._namespace is not None else nullcontext():
            log = self._folder / f"{command[0]}.log"
            child = Child(sooner(command), log, name=command[0], env=self._environment, cwd=self._folder)
        self._children.append(child)
        return child

    def _control(self, name: str) -> str:
        return str(self._folder / f"{name}.ctl")

    @property
    def pid(self) -> int:
        """The process id of the switch daemon."""
        return self._daemon.pid

    @property
    def said(self) -> str:
        """What the switch daemon logged."""
        return self._daemon.said

    def configure(self, *command: str, wait: bool = True) -> str:
        """Run `ovs-vsctl` with these arguments: one transaction. The daemon has carried it out (*wait*) on return."""
        options = ["--db", self.database, "--timeout=30", *([] if wait else ["--no-wait"])]
        return run(["ovs-vsctl", *options, *command], env=self._environment)

    def bridges(self) -> list[str]:
        """The names of all bridges."""
        return self.configure("list-br").split()

    def openflow(self, *command: str, given: str | None = None) -> str:
        """Run `ovs-ofctl` with these arguments, over a connection of its own beside the controller's."""
        return run(["ovs-ofctl", "-O", "OpenFlow13", *command], env=self._environment, given=given)

    def ask(self, *command: str) -> str:
        """Run `ovs-appctl` on the switch daemon."""
        return run(["ovs-appctl", "-t", self._control("switch"), *command], env=self._environment)

    def control(self, bridge: str) -> str:
        """The path of the socket where a bridge speaks OpenFlow with whoever is here."""
        return str(self._folder / f"{bridge}.mgmt")

    def crash(self) -> None:
        """Kill the switch daemon and start it again: every bridge comes back with empty tables."""
        self._daemon.kill()
        Path(self._control("switch")).unlink(missing_ok=True)
        self._begin()

    def freeze(self, frozen: bool = True) -> None:
        """Stop the switch daemon so that it answers nobody and carries nothing, or let it go on."""
        self._daemon.signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def stop(self) -> None:
        """End both processes. Repeatable."""
        children, self._children = self._children[::-1], []
        for child in children:
            child.terminate()


class Ports(Protocol):
    """What has numbered ports: a switch of any kind."""

    name: str

    def add_port(self, number: int, interface: str, *settings: str) -> None:
        """Make the interface this port; *settings* are those of OVSDB's Interface."""


class Switch:
    """A bridge that a controller drives: OpenFlow 1.3, nothing passes without flows."""

    def __init__(self, ovs: OpenVSwitch, name: str, number: int, controller: str | None) -> None:
        self.ovs, self.name = ovs, name
        self.dpid = f"{number:016x}"
        self._protocols, self._controller = "OpenFlow13", controller
        self._ports: dict[int, tuple[str, Sequence[str]]] = {}
        self.ovs.configure(*self._creation())

    def __str__(self) -> str:
        return f"{self.name} (dpid {self.dpid})"

    def dpids(self) -> list[str]:
        """Its datapath id alone; other kinds of switches have any number."""
        return [self.dpid]

    def _creation(self) -> list[str]:
        command = ["add-br", self.name, "--", "set", "bridge", self.name, "datapath_type=netdev", "fail_mode=secure"]
        command += [f"protocols={self._protocols}", f"other-config:datapath-id={self.dpid}"]
        for number, (port, settings) in self._ports.items():
            command += self._port(number, port, settings)
        return command + self._control()

    def _port(self, number: int, port: str, settings: Sequence[str]) -> list[str]:
        interface = ["--", "set", "interface", port, f"ofport_request={number}", *settings]
        return ["--", "add-port", self.name, port, *interface]

    def _control(self) -> list[str]:
        if self._controller is None:
            return ["--", "del-controller", self.name]
        # Looking for its controller each second, instead of every eight, when that was away.
        settings = ["--", "set", "controller", self.name, "max_backoff=1000", "inactivity_probe=5000"]
        return ["--", "set-controller", self.name, self._controller, *settings]

    def add_port(self, number: int, interface: str, *settings: str) -> None:
        """Make the interface this port of the switch; *settings* are those of OVSDB's Interface, as `type=patch`."""
        self._ports[number] = (interface, settings)
        self.ovs.configure(*self._port(number, interface, settings)[1:])

    def connect(self, controller: str | None) -> None:
        """Give it another controller, such as `tcp:127.0.0.1:6653`; None for no controller: flows stay and work on."""
        self._controller = controller
        self.ovs.configure(*self._control()[1:])

    def speak(self, protocols: str) -> None:
        """Let it speak these versions of OpenFlow only, such as `OpenFlow10`; connections begin anew."""
        self._protocols = protocols
        self.ovs.configure("set", "bridge", self.name, f"protocols={protocols}")

    def restart(self) -> None:
        """Let it begin anew, as after a loss of power: the same ports, empty tables, a new connection."""
        # Two transactions: in one, the daemon would see a bridge that has not changed, and keep its tables.
        self.ovs.configure("del-br", self.name)
        self.ovs.configure(*self._creation())

    def set_port(self, number: int, up: bool) -> None:
        """Take a port down or up again."""
        self.ovs.openflow("mod-port", self.name, str(number), "up" if up else "down")

    def flows(self) -> list[str]:
        """The flows as `ovs-ofctl` tells them, without counters."""
        return [line.strip() for line in self.ovs.openflow("--no-stats", "dump-flows", self.name).splitlines()]

    def groups(self) -> list[str]:
        """The groups as `ovs-ofctl` tells them."""
        return self.ovs.openflow("dump-groups", self.name).splitlines()[1:]

    def meters(self) -> list[str]:
        """The meters as `ovs-ofctl` tells them."""
        return [line for line in self.ovs.openflow("dump-meters", self.name).splitlines() if line.startswith("meter")]

    def left(self) -> list[str]:
        """What is there of services beside flows."""
        return self.groups() + self.meters()

    def add_flow(self, flow: str) -> None:
        """Add a flow by hand, as `table=0,priority=9,in_port=1,actions=output:2`."""
        self.ovs.openflow("add-flow", self.name, flow)

    def remove_flows(self, match: str) -> None:
        """Remove by hand the flows that this matches, as `table=2` or `cookie=0x1/-1`."""
        self.ovs.openflow("del-flows", self.name, match)
