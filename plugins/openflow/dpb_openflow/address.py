"""Where an application and its switches are: the settings of a fabric, checked."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

from dpb_framework.errors import ConfigInvalid

BASE = "/slicer/api/v2"

_DPID = re.compile(r"(?:0x)?([0-9a-f]{1,16})", re.ASCII)
_TOKEN = re.compile(r"[\x21-\x7e]*", re.ASCII)


@frozen
class Address:
    """How one application is reached. `url` has no slash at its end; `ca` and `token` are empty when not needed."""

    url: str
    ca: str = ""
    token: str = ""

    @classmethod
    def of(cls, url: str, ca: str, token: str) -> Address:
        """Make one of settings; `ConfigInvalid`."""
        return cls(_url(url), _ca(ca, url), _token(token))


def dpid_of(text: str) -> str:
    """Return the datapath id as 16 hex digits, of `1`, `0x1` and `00:00:00:00:00:00:00:01`; `ConfigInvalid`."""
    match = _DPID.fullmatch(text.strip().lower().replace(":", "")) if isinstance(text, str) else None
    if match is None or not int(match[1], 16):
        raise ConfigInvalid("dpid", f"expected up to 16 hex digits, not all 0, as text, got {text!r}"[:200])
    return match[1].zfill(16)


def _url(url: str) -> str:
    problem = "expected http://HOST:PORT or https://HOST:PORT of the controller application"
    try:
        parts = urlsplit(url.strip())
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError):
        fine = False
    if not fine:
        raise ConfigInvalid("url", problem)
    if "@" in parts.netloc:
        raise ConfigInvalid("url", f"{problem}, without user and password: give the setting token")
    if parts.query or parts.fragment:
        raise ConfigInvalid("url", f"{problem}, without '?' and '#'")
    return url.strip().rstrip("/").removesuffix(BASE)


def _ca(ca: str, url: str) -> str:
    if not isinstance(ca, str):
        raise ConfigInvalid("ca", "expected the path of a PEM file")
    if ca and not url.strip().startswith("https:"):
        raise ConfigInvalid("ca", "a certificate is checked only where url begins with https:")
    if ca and not Path(ca).is_file():
        raise ConfigInvalid("ca", f"there is no file {ca}")
    return ca


def _token(token: str) -> str:
    # A token from a file ends with the file's last line break.
    if not isinstance(token, str) or not _TOKEN.fullmatch(token.strip()):
        raise ConfigInvalid("token", "expected a token of visible ASCII characters")
    return token.strip()


def timeout_of(timeout: float) -> float:
    """Return the seconds; `ConfigInvalid`."""
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 3600:
        raise ConfigInvalid("timeout", f"expected seconds, more than 0 and at most 3600, got {timeout!r}"[:200])
    return float(timeout)
