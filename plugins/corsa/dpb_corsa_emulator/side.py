"""The emulator's own interface, /emulator: what a real switch lets nobody do. It asks for no token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import falcon

from dpb_corsa_emulator.bodies import fields, flag, required
from dpb_corsa_emulator.device import Device
from dpb_corsa_emulator.faults import Faults, fault_of, seconds_of
from dpb_corsa_emulator.rest import answer_errors, body_of
from dpb_corsa_emulator.tokens import Tokens
from dpb_corsa_emulator.tunnels import port_of

BASE = "/emulator"


def create_side(device: Device, tokens: Tokens, faults: Faults, restart: Callable[[bool, float], None]) -> Any:
    """The WSGI application."""
    app: Any = falcon.App()
    answer_errors(app)
    app.add_route(f"{BASE}/faults", Switched(faults))
    app.add_route(f"{BASE}/calls", Calls(faults))
    app.add_route(f"{BASE}/restart", Restart(restart))
    app.add_route(f"{BASE}/token", Token(tokens))
    app.add_route(f"{BASE}/ports/{{port}}", Port(device))
    return app


class Switched:
    """The faults that are switched on."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def on_get(self, _req: Any, resp: Any) -> None:
        """Tell them, and how many calls met each."""
        resp.media = {"faults": self._faults.listed()}

    def on_post(self, req: Any, resp: Any) -> None:
        """Switch on one, or several."""
        body = body_of(req)
        self._faults.add([fault_of(told) for told in (body if isinstance(body, list) else [body])])
        self.on_get(req, resp)

    def on_delete(self, _req: Any, resp: Any) -> None:
        """Switch all off."""
        self._faults.clear()
        resp.status = 204


class Calls:
    """The calls that were made."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def on_get(self, _req: Any, resp: Any) -> None:
        """Tell them, oldest first."""
        resp.media = {"calls": self._faults.calls()}

    def on_delete(self, _req: Any, resp: Any) -> None:
        """Begin anew."""
        self._faults.forget_calls()
        resp.status = 204


class Restart:
    """A restart."""

    def __init__(self, restart: Callable[[bool, float], None]) -> None:
        self._restart = restart

    def on_post(self, req: Any, resp: Any) -> None:
        """Restart, with the configuration or without; answers when it is over, but for the seconds that were asked."""
        told = fields(body_of(req), {"keep", "seconds"})
        self._restart(flag(told.get("keep", True), "keep"), seconds_of(told.get("seconds", 0)))
        resp.status = 204


class Token:
    """Whether the token is valid."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def on_put(self, req: Any, resp: Any) -> None:
        """Let it expire, or be valid again."""
        self._tokens.expired = flag(required(fields(body_of(req), {"expired"}), "expired"), "expired")
        resp.status = 204


class Port:
    """A physical port."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def on_put(self, req: Any, resp: Any, port: str) -> None:
        """Take its cable out, or put it back."""
        up = flag(required(fields(body_of(req), {"up"}), "up"), "up")
        self._device.set_port(port_of(self._device.limits, port), up)
        resp.status = 204
