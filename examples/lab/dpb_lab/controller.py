"""The controller application in a lab, as a child: to be started, killed, and asked."""

from __future__ import annotations

import sys

from dpb_lab.lab import Lab
from dpb_lab.openvswitch import Switch
from dpb_lab.process import Child
from dpb_lab.rest import Plain, Rest

OPENFLOW, REST = 6653, 8080
"""The ports where it listens, inside the lab's namespace."""


def _listening(what: str, port: int) -> tuple[str, str]:
    return f"--listen-{what}", f"127.0.0.1:{port}"


class Controller:
    """The tuple slicer. A context manager; `start` and `kill` as often as wanted in between."""

    def __init__(self, lab: Lab, *options: str) -> None:
        self._lab, self._options = lab, options
        self._child: Child | None = None
        self.rest = Rest(lab.namespace, REST, "/slicer/api/v2")

    def __enter__(self) -> Controller:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()
        self.rest.close()

    def begin(self) -> None:
        """Start it, without waiting until it answers."""
        places = (*_listening("openflow", OPENFLOW), *_listening("rest", REST))
        command = [sys.executable, "-P", "-m", "dpb_slicer", *places, *self._options]
        with self._lab.inside():
            self._child = Child(command, self._lab.log("controller"), name="dpb_slicer")

    def ready(self, *switches: Switch) -> None:
        """Wait until it answers and has these switches."""
        assert self._child is not None
        self._child.expect(lambda: self.rest.answers(""), "no answer")
        self._child.expect(lambda: all(self.has(switch) for switch in switches), "switches do not connect")

    def start(self, *switches: Switch) -> None:
        """Start it, and wait until it has these switches."""
        self.begin()
        self.ready(*switches)

    def kill(self) -> None:
        """End it as a loss of power does. Repeatable."""
        if self._child is not None:
            self._child.kill()

    def terminate(self) -> None:
        """End it in good order. Repeatable."""
        if self._child is not None:
            self._child.terminate()

    @property
    def said(self) -> str:
        """What it logged."""
        return "" if self._child is None else self._child.said

    def shown(self, switch: Switch) -> Plain:
        """What it tells of a switch; empty where it has never seen it."""
        status, answer = self.rest.call("GET", f"/{switch.dpid}")
        return answer if status == 200 else {}

    def has(self, switch: Switch) -> bool:
        """Whether it has a connection to the switch."""
        return bool(self.shown(switch).get("connected"))

    def slices(self, switch: Switch) -> Plain:
        """The slices that are on a switch, by key, as the switch tells them."""
        found: Plain = self.rest.ok("GET", f"/{switch.dpid}/slices")["slices"]
        return found
