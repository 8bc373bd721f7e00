"""Services made and changed in one go: several requests, and the way back when one of them is refused."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from dpb_cli import show
from dpb_cli.client import BrokerAway, Client
from dpb_cli.ends import AskedEnd, segment
from dpb_framework.errors import DpbError

BACK = 5.0
"""How long the way back is waited for, in seconds: a device that is away releases its part when it is there again."""


@frozen
class NotThere(DpbError):
    """A service did not get where it was wanted. `why` is the broker's reason, as far as it told one."""

    code = "not-there"
    service: int
    status: str
    wanted: str
    why: str = ""

    def __str__(self) -> str:
        reason = f": {self.why}" if self.why else "; it may still get there: see `dpb service show`"
        return f"service {self.service} is {self.status}, not {self.wanted}{reason}"


@frozen
class Services:
    """The services of one network of a broker."""

    client: Client
    network: str

    def get(self, service: int) -> dict[str, Any]:
        """Return the service as REST tells it."""
        return dict(self.client.get("networks", self.network, "services", service))

    def command(self, service: int, verb: str, body: Any = None) -> dict[str, Any]:
        """Give a command and return the service after it."""
        answer = self.client.request("POST", "networks", self.network, "services", service, verb, body=body)
        return dict(answer.body)

    def wait(self, service: int, status: str, seconds: float) -> dict[str, Any]:
        """Wait until the service is in *status* and return it; `NotThere` if it is not within *seconds*."""
        found = self.client.get(
            "networks",
            self.network,
            "services",
            service,
            "await",
            status=[status],
            timeout_millis=max(0, int(seconds * 1000)),
            patience=seconds + 15,
        )
        if found["status"] != status:
            raise NotThere(service, found["status"], status, reason(found))
        return dict(found)

    def connect(
        self,
        ends: Sequence[AskedEnd],
        rate: int | None,
        constraints: dict[str, Any] | None = None,
        *,
        handle: str | None,
        activate: bool,
        keep: bool,
        seconds: float,
    ) -> dict[str, Any]:
        """Create, define and activate a service, and return it.

        Doing it twice with a handle is doing it once. When a step is refused or interrupted, a service that was made
        here is released again, unless *keep*.
        """
        wanted = segment(ends, rate)
        body = {} if handle is None else {"handle": handle}
        answer = self.client.request("POST", "networks", self.network, "services", body=body)
        service, made = int(answer.body["id"]), answer.status == 201
        show.progress(f"service {service}: {'created' if made else 'is there already'}")
        try:
            self.command(service, "define", {"segment": wanted, "constraints": constraints})
            show.progress(f"service {service}: defined")
            if activate:
                self.command(service, "activate")
            self.wait(service, "ACTIVE" if activate else "INACTIVE", seconds)
            done = self.get(service)
        except BaseException:
            if made and not keep:
                self._give_back(service)
            raise
        show.progress(f"service {service}: {done['status']}")
        return done

    def _give_back(self, service: int) -> None:
        try:
            self.command(service, "release")
            self.wait(service, "RELEASED", BACK)
        except NotThere:
            show.progress(f"service {service}: is being released")
        except DpbError as error:
            # The reason why we are here counts; this only says what is left behind.
            show.progress(f"service {service}: could not be released: {error}; `dpb service release {service}` does it")
        else:
            show.progress(f"service {service}: released again")

    def change(
        self,
        service: int,
        ends: Sequence[AskedEnd],
        rate: int | None,
        constraints: dict[str, Any] | None,
        seconds: float,
    ) -> dict[str, Any]:
        """Change what a service connects without interruption: prepare, then commit. What is refused is aborted.

        *constraints* are REST's; None keeps those that it has.
        """
        before = self.get(service)
        wanted = segment(ends, rate, before.get("segment") or ())
        way = before.get("constraints") if constraints is None else constraints
        try:
            self.command(service, "prepare", {"segment": wanted, "constraints": way})
            show.progress(f"service {service}: prepared")
        except BaseException:
            self._abort(service)
            raise
        self.command(service, "commit")
        deadline = time.monotonic() + seconds
        while (found := self.get(service))["change"] != "none":
            if time.monotonic() > deadline:
                raise NotThere(service, f"still {found['change']}", "changed", reason(found))
            time.sleep(0.1)
        show.progress(f"service {service}: changed")
        return found

    def _abort(self, service: int) -> None:
        try:
            self.command(service, "abort")
        except BrokerAway as error:
            show.progress(f"service {service}: the change may still be prepared: {error}")
        except DpbError as error:
            show.progress(f"service {service}: the change could not be aborted: {error}")


def reason(service: dict[str, Any]) -> str:
    """Return why a service is where it is, as far as the broker tells."""
    error = service.get("error")
    told = [str(error.get("text") or error.get("code"))] if error else []
    told += dict.fromkeys(f"{c['kind']} at {c['where']}" for c in service.get("conditions") or ())
    return "; ".join(told)


def conditions(service: dict[str, Any]) -> list[str]:
    """Return a service's conditions with their reasons; what several places have alike is told once."""
    places: dict[tuple[str, str], list[str]] = {}
    for one in service.get("conditions") or ():
        known = places.setdefault((one["kind"], one.get("text") or ""), [])
        if one["where"] not in known:
            known.append(one["where"])
    return [f"{kind}: {', '.join(where)} {text}".strip() for (kind, text), where in places.items()]
