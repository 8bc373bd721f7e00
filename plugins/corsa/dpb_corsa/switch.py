"""The client of the switch's management API: one method for each call that is used.

`Refusal`: the switch said no, and nothing of the call is left. `Unreachable`: what became of it is not known, or nobody
there lets us in as the owner of the token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from dpb_corsa.address import Options, fingerprint_of, switch_url, token_of
from dpb_corsa.answers import Lines
from dpb_corsa.transport import Refusal, Transport, short, understanding
from dpb_corsa.tunnels import Tunnel, Wanted
from dpb_framework.errors import ConfigInvalid, Unreachable

CONTROLLER = "dpb"
"""The name of our controller attachments."""


class _Pinned(Lines):
    """Connections to whoever has exactly one certificate; by which name it is called does not matter."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        super().__init__()

    def init_poolmanager(self, *args: Any, **keywords: Any) -> None:
        """Make the pools."""
        super().init_poolmanager(*args, assert_fingerprint=self._fingerprint, assert_hostname=False, **keywords)


class Switch:
    """One switch: *url* `https://HOST`, *certificate* a PEM file, *token_file* a file. `ConfigInvalid`. Thread-safe."""

    def __init__(self, url: str, certificate: str, token_file: str, timeout: float) -> None:
        self.where = f"Corsa switch at {url}"
        self._base = switch_url(url)
        self._token_file = token_file
        self._token = token_of(token_file)
        adapter = _Pinned(fingerprint_of(certificate))
        self._transport = Transport(self._base, timeout, self.where, adapter, certificate)
        self._said = f"what answers at {self._base} is no Corsa switch"

    def end(self) -> None:
        """Make no call any more."""
        self._transport.end()

    # -- VFCs ---------------------------------------------------------------------------------------

    def bridges(self) -> list[dict[str, Any]]:
        """All VFCs, whoever's: texts `bridge`, `dpid` (16 hex digits), `bridge-descr`; `resources` in percent."""
        plain = self._call("GET", "bridges?list=true")
        with understanding(self.where, self._said):
            return [_vfc(entry) for entry in plain["list"]]

    def bridge(self, name: str) -> dict[str, Any] | None:
        """One of them, or None."""
        plain = self._call("GET", f"bridges/{name}", gone=True)
        with understanding(self.where, self._said):
            return None if plain is None else _vfc(plain)

    def create(self, name: str, options: Options) -> None:
        """Make a VFC, described as partial. `Refusal` of status 409: the name is taken."""
        body: dict[str, Any] = {
            "bridge": name,
            "subtype": "openflow",
            "resources": options.resources,
            "bridge-descr": options.partial,
        }
        if options.traffic_class is not None:
            body["traffic-class"] = options.traffic_class
        if options.netns:
            body["netns"] = options.netns
        self._call("POST", "bridges", body)

    def change(self, name: str, field: str, value: str) -> None:
        """Replace `bridge-descr` or `dpid`."""
        self._call("PATCH", f"bridges/{name}", [{"op": "replace", "path": f"/{field}", "value": value}])

    def destroy(self, name: str) -> None:
        """Make a VFC be gone, with all that is attached to it."""
        self._call("DELETE", f"bridges/{name}", gone=True)

    def control(self, name: str, options: Options) -> None:
        """Let our controller be the VFC's; nothing to do when it is."""
        host, port = options.controller
        plain = self._call("GET", f"bridges/{name}/controllers")
        with understanding(self.where, self._said):
            there = CONTROLLER in plain["links"]
        if there:
            plain = self._call("GET", f"bridges/{name}/controllers/{CONTROLLER}", gone=True) or {}
            if (plain.get("ip"), str(plain.get("port"))) == (host, str(port)):
                return
            self._call("DELETE", f"bridges/{name}/controllers/{CONTROLLER}", gone=True)
        body = {"controller": CONTROLLER, "ip": host, "port": port, "tls": options.controller_tls}
        self._call("POST", f"bridges/{name}/controllers", body)

    # -- tunnels ------------------------------------------------------------------------------------

    def tunnels(self, name: str) -> list[Tunnel]:
        """All tunnels of a VFC, none when it is gone."""
        plain = self._call("GET", f"bridges/{name}/tunnels?list=true", gone=True)
        if plain is None:
            return []
        with understanding(self.where, self._said):
            return [Tunnel.of(entry) for entry in plain["list"]]

    def attach(self, name: str, ofport: int, wanted: Wanted) -> None:
        """Attach a tunnel, shaped. `Refusal` of status 409: the OpenFlow port or the circuit is in use."""
        self._call("POST", f"bridges/{name}/tunnels", wanted.attachment(ofport))

    def patch(self, name: str, ofport: int, changes: Sequence[Any]) -> None:
        """Change a tunnel's meter or description."""
        self._call("PATCH", f"bridges/{name}/tunnels/{ofport}", list(changes))

    def detach(self, name: str, ofport: int) -> None:
        """Make a tunnel be gone."""
        self._call("DELETE", f"bridges/{name}/tunnels/{ofport}", gone=True)

    # -- the wire -----------------------------------------------------------------------------------

    def _call(self, method: str, path: str, body: Any = None, *, gone: bool = False) -> Any:
        """Return the answer's JSON; None for 204, and for 404 where what is *gone* is fine."""
        status, plain, kind = self._send(method, path, body)
        if status == 401:
            # Whoever renews an expired token writes another into the file.
            with contextlib.suppress(ConfigInvalid):
                self._token = token_of(self._token_file)
            status, plain, kind = self._send(method, path, body)
        if status in (401, 403):
            raise Unreachable(
                self.where, f"it does not take the token in {self._token_file} ({_reason(plain, kind)}); put a new one"
            )
        if status in (200, 201, 204) and (isinstance(plain, dict) or (plain is None and method != "GET")):
            return plain
        # An answer of another program is no answer of the switch, whatever its status.
        if not isinstance(plain, dict):
            if 500 <= status < 600:
                raise Unreachable(self.where, f"{method} {path} failed: {kind}")
            raise Unreachable(self.where, f"{self._said} ({kind})")
        if status == 404 and gone:
            return None
        reason = _reason(plain, kind)
        # What is not there any more was taken away behind our back: what else is gone has to be looked at.
        if 400 <= status < 500 and status != 404:
            raise Refusal(self.where, reason, status, "")
        raise Unreachable(self.where, f"{method} {path} failed: {reason}")

    def _send(self, method: str, path: str, body: Any) -> tuple[int, Any, str]:
        return self._transport.send(method, path, body, {"Authorization": self._token})


def _vfc(plain: Any) -> dict[str, Any]:
    """Take from a VFC's description what is used."""
    digits = str(plain.get("dpid") or "").lower().removeprefix("0x")
    return {
        "bridge": str(plain["bridge"]),
        "dpid": digits.zfill(16),
        "bridge-descr": str(plain.get("bridge-descr") or ""),
        "resources": int(plain.get("resources") or 0),
    }


def _reason(plain: Any, kind: str) -> str:
    if isinstance(plain, dict):
        for name in ("message", "detail", "error"):
            if isinstance(plain.get(name), str) and plain[name]:
                return short(plain[name])
    return kind
