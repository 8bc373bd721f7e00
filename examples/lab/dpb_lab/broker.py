"""A broker in a lab: `dpb serve` as a child, and what a client asks of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dpb_lab.lab import Lab
from dpb_lab.process import PATIENCE, Child, LabError, run, until
from dpb_lab.rest import Plain, Rest

PORT = 4753
_DPB = (sys.executable, "-P", "-c", "from dpb_framework.cli import main; main(prog_name='dpb')")

End = Mapping[str, Any]


def end(terminal: str, label: int | None, ingress: float, egress: float | None = None) -> End:
    """An end of a service, rates in Mbit/s; one rate is for both directions."""
    return {"terminal": terminal, "label": label, "ingress": ingress, "egress": ingress if egress is None else egress}


class Broker:
    """A broker on *configuration* (the text of dpb.toml without store and northbound interface). A context manager."""

    def __init__(self, lab: Lab, configuration: str, *, network: str = "wan") -> None:
        self._lab, self.network = lab, network
        self.folder = lab.folder / "broker"
        self.folder.mkdir()
        head = f'[store]\nurl = "sqlite:///dpb.sqlite"\n[[nbi]]\nkind = "rest"\nport = {PORT}\n'
        (self.folder / "dpb.toml").write_text(head + configuration, "utf-8")
        self.rest = Rest(lab.namespace, PORT, "/api/v1")
        self._child: Child | None = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()
        self.rest.close()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._lab.inside():
            log = self.folder / "broker.log"
            self._child = Child([*_DPB, "serve", "dpb.toml"], log, cwd=self.folder, name="dpb serve")
        self._child.expect(lambda: self.rest.answers("/health"), "no answer")

    def kill(self) -> None:
        """End it as a loss of power does. Repeatable."""
        if self._child is not None:
            self._child.kill()

    def terminate(self) -> None:
        """End it in good order. Repeatable."""
        if self._child is not None:
            self._child.terminate(20.0)

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()

    @property
    def said(self) -> str:
        """What it logged."""
        return "" if self._child is None else self._child.said

    def dpb(self, *arguments: str) -> str:
        """Run a `dpb` command on it and return what it printed; `LabError` when it fails."""
        environment = {**os.environ, "DPB_URL": f"http://127.0.0.1:{PORT}"}
        with self._lab.inside():
            return run([*_DPB, *arguments], env=environment)

    def apply(self, topology: str) -> None:
        """Make its topology what this file's text says."""
        file = self.folder / "topology.toml"
        file.write_text(topology, "utf-8")
        self.dpb("apply", str(file))

    def ask(self, method: str, path: str, body: object = None) -> Plain:
        """Ask something of the network; *path* is below the network's."""
        return self.rest.ok(method, f"/networks/{self.network}{path}", body)

    def create(self, *ends: End, activate: bool = True, handle: str | None = None) -> Service:
        """Create a service with these ends, without waiting for it."""
        body: Plain = {"segment": list(ends), "activate": activate}
        if handle is not None:
            body["handle"] = handle
        return Service(self, self.ask("POST", "/services", body)["id"])

    def connect(self, *ends: End, handle: str | None = None) -> Service:
        """Create a service and wait until it is ACTIVE; `LabError` with the reason when it is FAILED before."""
        service = self.create(*ends, handle=handle)
        service.wait("ACTIVE", "FAILED")
        return service.becomes("ACTIVE", 0)

    def services(self) -> list[Service]:
        """All services that are not released."""
        return [Service(self, found["id"]) for found in self.ask("GET", "/services")["services"]]


class Service:
    """A service of a broker's network."""

    def __init__(self, broker: Broker, id_: int) -> None:
        self.broker, self.id = broker, id_
        self._path = f"/services/{id_}"

    def shown(self) -> Plain:
        """All that the broker tells of it."""
        return self.broker.ask("GET", self._path)

    def command(self, name: str, body: object = None) -> Service:
        """Give a command, such as `deactivate`, without waiting for what comes of it."""
        self.broker.ask("POST", f"{self._path}/{name}", body)
        return self

    def release(self) -> Service:
        """Release it, without waiting."""
        self.broker.ask("DELETE", self._path)
        return self

    def wait(self, *statuses: str, seconds: float = PATIENCE) -> str:
        """Wait for one of *statuses*; return the status that it then has."""
        query = "&".join([*(f"status={status}" for status in statuses), f"timeout-millis={int(seconds * 1000)}"])
        status: str = self.broker.ask("GET", f"{self._path}/await?{query}")["status"]
        return status

    def becomes(self, status: str, seconds: float = PATIENCE) -> Service:
        """Wait until it is *status*; `LabError` with the reason when it is not in time, or never can be."""
        found = self.wait(status, seconds=seconds)
        if found != status:
            said = self.shown() if found != "RELEASED" else {}
            raise LabError(f"service {self.id} is {found}, not {status}: {said.get('error')} {said.get('conditions')}")
        return self

    def _changed(self, shown: Plain) -> bool:
        if shown["status"] == "FAILED":
            raise LabError(f"service {self.id} is FAILED while it is changed: {shown['error']}")
        return bool(shown["change"] == "none")

    def change(self, ends: Sequence[End]) -> None:
        """Give it other ends or rates without interruption; returns once it is changed."""
        self.command("prepare", {"segment": list(ends)})
        self.command("commit")
        until(lambda: self._changed(self.shown()), f"service {self.id}: its change is not carried out")


__all__ = ["PORT", "Broker", "End", "Service", "end"]
