"""The controller application in a lab, as a child: to be started, killed, and asked."""

from __future__ import annotations

import sys
from typing import Protocol

from dpb_lab.lab import Lab
from dpb_lab.process import Child
from dpb_lab.rest import Plain, Rest

OPENFLOW, REST = 6653, 8080
"""The ports where it listens, inside the lab's namespace."""


def _listening(what: str, port: int) -> tuple[str, str]:
    return f"--listen-{what}", f"127.0.0.1:{port}"


class Controlled(Protocol):
    """A switch of any kind: one or several datapaths."""

    def dpids(self) -> list[str]:
        """Their ids, as they are now."""


class Controller:
    """The tuple slicer, unless *options* say otherwise. A context manager; `start` and `kill` as often as wanted."""

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

    def ready(self, *switches: Controlled) -> None:
        """Wait until it answers and has these switches."""
        assert self._child is not None
        self._child.expect(lambda: self.rest.answers(""), "no answer")
        self._child.expect(lambda: all(self.has(switch) for switch in switches), "switches do not connect")

    def start(self, *switches: Controlled) -> None:
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

    def shown(self, dpid: str) -> Plain:
        """What it tells of a datapath; empty where it has never seen it."""
        status, answer = self.rest.call("GET", f"/{dpid}")
        return answer if status == 200 else {}

    def has(self, switch: Controlled) -> bool:
        """Whether it has a connection to the switch: to all its datapaths."""
        return all(self.shown(dpid).get("connected") for dpid in switch.dpids())

    def slices(self, switch: Controlled) -> Plain:
        """The slices that are on a switch, by key, as the switch tells them."""
        found: Plain = {}
        for dpid in switch.dpids():
            found |= self.rest.ok("GET", f"/{dpid}/slices")["slices"]
        return found
