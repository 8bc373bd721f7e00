"""The settings of a fabric, checked."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

from dpb_framework.errors import ConfigInvalid

BASE = "/api/v1/"

_MARK = re.compile(r"[\x21-\x7e]{1,40}", re.ASCII)


@frozen
class Options:
    """How VFCs of one fabric are made. `traffic_class` and `netns` are left to the switch when empty."""

    prefix: str
    controller: tuple[str, int]
    controller_tls: bool
    resources: int
    traffic_class: int | None
    netns: str

    @property
    def partial(self) -> str:
        """The description of a VFC that is not wholly configured."""
        return f"{self.prefix}partial"

    @property
    def complete(self) -> str:
        """The description of one that is."""
        return f"{self.prefix}complete"


def options_of(
    prefix: str, controller: str, controller_tls: bool, resources: int, traffic_class: int | None, netns: str
) -> Options:
    """Make them of settings; `ConfigInvalid`."""
    if not isinstance(prefix, str) or not _MARK.fullmatch(prefix):
        raise ConfigInvalid("prefix", "expected 1 to 40 visible ASCII characters, a prefix of this network's own")
    if not isinstance(controller_tls, bool):
        raise ConfigInvalid("controller-tls", "expected true or false")
    if isinstance(resources, bool) or not isinstance(resources, int) or not 1 <= resources <= 100:
        raise ConfigInvalid("resources", "expected percent of the switch, 1 to 100")
    if traffic_class is not None and (isinstance(traffic_class, bool) or not isinstance(traffic_class, int)):
        raise ConfigInvalid("traffic-class", "expected an integer")
    if not isinstance(netns, str):
        raise ConfigInvalid("netns", "expected the name of a namespace")
    return Options(prefix, _endpoint(controller), controller_tls, resources, traffic_class, netns)


def switch_url(url: str) -> str:
    """Return the switch's URL up to and with `/api/v1/`; `ConfigInvalid`."""
    parts = _split(url, "url", ("https",), "expected https://HOST or https://HOST:PORT of the switch")
    return parts.removesuffix(BASE.rstrip("/")).rstrip("/") + BASE


def application_url(url: str) -> str:
    """Return the application's URL without a slash at its end; `ConfigInvalid`."""
    return _split(url, "application", ("http", "https"), "expected http://HOST:PORT of the controller application")


def fingerprint_of(certificate: str) -> str:
    """Return the SHA-256 of the one certificate in a PEM file, in hex; `ConfigInvalid`."""
    try:
        text = Path(certificate).read_text("ascii")
        if text.count("-----BEGIN CERTIFICATE-----") != 1:
            raise ValueError
        start = text.index("-----BEGIN CERTIFICATE-----")
        end = text.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text[start:end])).hexdigest()
    except OSError as error:
        raise ConfigInvalid("certificate", f"{certificate} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError):
        raise ConfigInvalid("certificate", f"{certificate} is no PEM file with exactly one certificate") from None


def token_of(path: str) -> str:
    """Return the token in a file, whose lines are joined; `ConfigInvalid`."""
    try:
        token = "".join(line.strip() for line in Path(path).read_text("ascii").splitlines())
    except OSError as error:
        raise ConfigInvalid("token-file", f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError):
        token = ""
    if not token or not all(" " <= character <= "~" for character in token):
        raise ConfigInvalid("token-file", f"{path} does not hold a token of printable ASCII characters")
    return token


def seconds_of(name: str, value: float) -> float:
    """Return the seconds; `ConfigInvalid`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 3600:
        raise ConfigInvalid(name, f"expected seconds, more than 0 and at most 3600, got {value!r}"[:200])
    return float(value)


def _split(url: str, setting: str, schemes: tuple[str, ...], problem: str) -> str:
    try:
        parts = urlsplit(url.strip())
        fine = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except (ValueError, AttributeError):
        fine = False
    if not fine or "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigInvalid(setting, f"{problem}, without user, '?' and '#'")
    return url.strip().rstrip("/")


def _endpoint(controller: str) -> tuple[str, int]:
    problem = "expected IP-ADDRESS:PORT where the controller application takes switches"
    host, colon, port = controller.strip().rpartition(":") if isinstance(controller, str) else ("", "", "")
    try:
        address = str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        raise ConfigInvalid("controller", problem) from None
    if not colon or not (port.isascii() and port.isdigit()) or not 0 < int(port[:6]) < 65536:
        raise ConfigInvalid("controller", problem)
    return address, int(port)
