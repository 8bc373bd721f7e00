"""What the configuration says of a remote network."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import field, frozen

from dpb_framework.errors import ConfigInvalid
from dpb_framework.settings import check_call

KEEP_ALIVE: Final = (0.1, 60.0)
"""The least and the greatest keep-alive, in seconds: what the other side is ready to do."""


@frozen
class Door:
    """Where a broker is and how to get in; networks of the same door share connections."""

    url: str
    authorization: str | None = field(repr=False)
    ca: str | None
    certificate: str | None
    key: str | None

    def tls(self) -> ssl.SSLContext | bool:
        """What to verify the other side with, and what to show it."""
        if not self.url.startswith("https:"):
            return True
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


@frozen
class Settings:
    """The settings of one remote network, checked. Times in seconds."""

    door: Door
    network: str
    timeout: float
    keep_alive: float
    audit_interval: float


def settings(given: Mapping[str, Any], path: str, name: str) -> Settings:
    """Check what is *given* at *path* for the network *name*. `ConfigInvalid` with the path of the fault."""
    found = _Given(**check_call(_Given, given, path))

    def wrong(key: str, problem: str) -> ConfigInvalid:
        return ConfigInvalid(f"{path}.{key}", problem)

    parts = urlsplit(found.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong("url", "expected a URL such as http://broker.example:4753")
    if parts.username is not None or parts.password is not None:
        raise wrong("url", "a password does not belong into a URL; use the settings user and password, or token")
    if found.token is not None and found.user is not None:
        raise wrong("token", "give a token, or a user with a password, not both")
    if (found.user is None) != (found.password is None):
        raise wrong("user" if found.user is None else "password", "user and password are given together")
    if found.key is not None and found.certificate is None:
        raise wrong("certificate", "a key without a certificate is of no use")
    for key, value in (("ca", found.ca), ("certificate", found.certificate)):
        if value is not None and parts.scheme != "https":
            raise wrong(key, "only for a URL that begins with https")
    if not found.timeout > 0:
        raise wrong("timeout", "expected seconds above zero")
    least, most = KEEP_ALIVE
    if not least <= found.keep_alive <= most:
        raise wrong("keep-alive", f"expected {least:g} to {most:g} seconds")
    if found.audit_interval < 0:
        raise wrong("audit-interval", "expected seconds, or 0 for never")
    authorization = None
    if found.token is not None:
        if not found.token.isprintable() or not found.token.isascii() or not found.token.strip():
            raise wrong("token", "a token is printable ASCII")
        authorization = f"Bearer {found.token}"
    elif found.user is not None and found.password is not None:
        authorization = "Basic " + base64.b64encode(f"{found.user}:{found.password}".encode()).decode("ascii")
    door = Door(found.url.rstrip("/"), authorization, found.ca, found.certificate, found.key)
    try:
        door.tls()
    except OSError as error:  # among them ssl.SSLError
        raise wrong("ca" if found.ca else "certificate", f"cannot be read: {error.strerror or error}") from error
    return Settings(door, found.network or name, found.timeout, found.keep_alive, found.audit_interval)


@frozen
class _Given:
    url: str
    network: str = ""
    token: str | None = None
    user: str | None = None
    password: str | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    timeout: float = 10.0
    keep_alive: float = 5.0
    audit_interval: float = 60.0
