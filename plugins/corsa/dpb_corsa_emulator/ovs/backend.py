"""Makes a state true in an Open vSwitch, by its own programs."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import time
from pathlib import Path

from dpb_corsa_emulator.device import BackendFault
from dpb_corsa_emulator.documents import Connection
from dpb_corsa_emulator.ovs import carrying, commands
from dpb_corsa_emulator.ovs.carrying import Place, Rate
from dpb_corsa_emulator.ovs.commands import MARK, Interface, Names
from dpb_corsa_emulator.values import State

log = logging.getLogger(__name__)

PATIENCE = 20
SETTLE = 0.02
"""Seconds from the word of Open vSwitch until its datapath's cache follows its tables."""

_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


class OpenVSwitch:
    """The backend over the database socket *database* (`unix:…/db.sock`); the switch's other sockets are beside it."""

    def __init__(self, database: str, names: Names, interfaces: tuple[Interface, ...]) -> None:
        self._database, self._names, self._interfaces = database, names, interfaces
        self._folder = Path(database.removeprefix("unix:")).parent
        self._numbers: dict[Place, int] = {}
        self._meters: dict[int, Rate] = {}
        self._state = State()
        self._down: frozenset[str] = frozenset()
        self._flows: list[str] | None = None
        """What the backplane was told last; None when that is not known."""
        self._due = 0.0

    def begin(self, state: State) -> None:
        """Start anew: the ports of the backplane stay as they are, all else is made again."""
        self._vsctl("set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
        self._change(commands.backplane(self._names, self._interfaces))
        self._check_interfaces()
        wanted = [interface.name for interface in self._interfaces]
        words: list[str] = []
        for bridge in self._ours():
            if bridge != self._names.backplane:
                words += ["--", "del-br", bridge]
        for port in self._vsctl("list-ports", self._names.backplane).split():
            if port not in wanted:
                words += ["--", "del-port", self._names.backplane, port]
        self._change(words)
        self._numbers, self._meters, self._flows = {}, {}, None
        self._ofctl("del-flows")
        self._ofctl("del-meters")
        self.become(State(), state)

    def _check_interfaces(self) -> None:
        """Refuse interfaces that are no ports: `ovs-vsctl` says so, and calls it a success."""
        for interface in self._interfaces:
            number, wanted = (
                self._vsctl("get", "interface", interface.name, "ofport").strip(),
                carrying.physical(interface.port),
            )
            if number != str(wanted):
                error = self._vsctl("get", "interface", interface.name, "error").strip()
                why = error.strip('"') if error != "[]" else f"it is OpenFlow port {number}, not {wanted}"
                raise BackendFault(f"Open vSwitch: {interface.name} cannot be port {interface.port}: {why}")

    def become(self, before: State, after: State) -> None:
        """Go from one state to the next: first what is added, then what is taken away. On a fault all is as before."""
        numbers = carrying.slots(self._numbers, [*carrying.places(before), *carrying.places(after)])
        # One transaction: when Open vSwitch refuses it, nothing has changed, and what it refused is not ours to remove.
        self._change(commands.additions(self._names, before, after, numbers))
        try:
            self._numbers = numbers
            self._carry(after)
            self._change(commands.removals(self._names, before, after))
        except BackendFault as fault:
            self._undo(before, after)
            raise fault from None
        self._numbers = carrying.slots(numbers, carrying.places(after))

    def _undo(self, before: State, after: State) -> None:
        try:
            self._carry(before)
            self._change(commands.back(self._names, before, after))
        except BackendFault as fault:
            log.error("what was half done could not be undone; starting anew: %s", fault)
            with contextlib.suppress(BackendFault):
                self.begin(before)

    def _carry(self, state: State) -> None:
        """Have the flows and meters of *state*."""
        wanted = carrying.meters(state, self._numbers)
        for number, rate in wanted.items():
            if self._meters.get(number) != rate:
                verb = "mod-meter" if number in self._meters else "add-meter"
                band = f"band=type=drop,rate={rate.kbps},burst_size={rate.burst}"
                self._ofctl(verb, f"meter={number},kbps,burst,{band}")
                self._meters[number] = rate
        self._state = state
        self._put_flows()
        for number in sorted(set(self._meters) - set(wanted)):
            self._ofctl("del-meter", f"meter={number}")
            del self._meters[number]

    def _change(self, words: list[str]) -> None:
        if words:
            self._vsctl(*words[1:])

    def connection(self, name: str, identity: str) -> Connection:
        """What the database tells; it lags behind by seconds."""
        bridge = self._names.bridge(name)
        rows = self._vsctl("--bare", "get", "bridge", bridge, "controller").strip("[] \n").split(", ")
        for row in filter(None, rows):
            told = self._vsctl(
                "--format=json", "--columns=external_ids,is_connected,role,status", "list", "controller", row
            )
            marks, connected, role, status = json.loads(told)["data"][0]
            if dict(marks[1]).get(MARK) == identity:
                said = dict(status[1])
                message = said.get("state", "") if connected else said.get("last_error", "not connected")
                return Connection(connected, message, role if isinstance(role, str) else "nochange")
        return Connection()

    def set_port(self, port: str, up: bool) -> None:
        """Take a port's cable out, or put it back."""
        self._down = self._down - {port} if up else self._down | {port}
        self._put_flows()

    def _put_flows(self) -> None:
        wanted = carrying.flows(self._state, self._numbers, self._down)
        if wanted != self._flows:
            self._flows = None
            self._ofctl("replace-flows", "-", given="".join(f"{flow}\n" for flow in wanted))
            self._flows = wanted
            self._due = time.monotonic() + SETTLE

    def settle(self) -> None:
        """Wait until the datapath follows what was changed up to now. Calls need not wait for each other's settling."""
        time.sleep(max(0.0, self._due - time.monotonic()))

    def end(self) -> None:
        """Remove all that is ours."""
        words: list[str] = []
        for bridge in self._ours():
            words += ["--", "del-br", bridge]
        self._change(words)

    def _ours(self) -> list[str]:
        return self._vsctl(
            "--bare", "--columns=name", "find", "bridge", f"external_ids:{MARK}={self._names.prefix}"
        ).split()

    def _vsctl(self, *words: str) -> str:
        return self._run("ovs-vsctl", f"--db={self._database}", f"--timeout={PATIENCE}", *words)

    def _ofctl(self, verb: str, *words: str, given: str | None = None) -> str:
        socket = f"unix:{self._folder}/{self._names.backplane}.mgmt"
        return self._run("ovs-ofctl", "-O", "OpenFlow13", verb, socket, *words, given=given)

    @staticmethod
    def _run(*words: str, given: str | None = None) -> str:
        environment = {**os.environ, "PATH": _PATH}
        try:
            done = subprocess.run(
                words, input=given, capture_output=True, text=True, check=False, timeout=PATIENCE + 5, env=environment
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            raise BackendFault(f"Open vSwitch: {words[0]}: {fault}") from None
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).split())
            raise BackendFault(f"Open vSwitch: {words[0]}: {said[-500:] or f'exit status {done.returncode}'}")
        return done.stdout
