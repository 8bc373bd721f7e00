"""TLS: the context of a server, its renewal, and whom a client's certificate names."""

from __future__ import annotations

import logging
import os
import ssl
from typing import Any

from dpb_framework.errors import ConfigInvalid

_log = logging.getLogger("dpb_nbi")


def context(certificate: str, key: str, client_ca: str = "") -> ssl.SSLContext:
    """Return a context for TLS 1.2 and newer, of these files (PEM). `ConfigInvalid` names the setting.

    With *client_ca* a client may show a certificate of that authority; one of another is refused, none is not.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    made.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    made.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a passphrase would be asked for on the terminal, where there may be none.
        made.load_cert_chain(certificate, key or None, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise ConfigInvalid("certificate", f"{certificate} and its key cannot be used: {_reason(error)}") from error
    if client_ca:
        made.verify_mode = ssl.CERT_OPTIONAL
        try:
            made.load_verify_locations(client_ca)
        except (OSError, ValueError) as error:
            raise ConfigInvalid("client-ca", f"{client_ca} cannot be used: {_reason(error)}") from error
    return made


class Renewal:
    """A server's context, given certificate and key anew when their files have changed: certificates do not live long.

    Made of the files as `context` is. `ConfigInvalid`.
    """

    def __init__(self, certificate: str, key: str, client_ca: str = "") -> None:
        self._files = (certificate, key)
        self._seen = self._stamps()  # before they are read: what changes meanwhile is read again
        self.context = context(certificate, key, client_ca)

    def _stamps(self) -> list[tuple[int, int, int]]:
        found = []
        for name in filter(None, self._files):
            try:
                status = os.stat(name)
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return found

    def look(self) -> None:
        """Look, and take over what can be used. Otherwise the earlier ones stay, and the log tells."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        certificate, key = self._files
        try:
            # First into a context of its own: where key and certificate do not belong together, half would be taken.
            context(certificate, key)
            self.context.load_cert_chain(certificate, key or None, password=_no_passphrase)
        except (ConfigInvalid, OSError, ValueError) as error:
            _log.error("TLS goes on with the certificate it has: %s", error)
        else:
            _log.info("TLS: %s was read anew", certificate)


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase; give one without")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "it is no PEM file, or key and certificate do not belong together").lower()
    return str(getattr(error, "strerror", None) or error)


def subject(transport: Any) -> str | None:
    """Return the common name of the certificate that the client has shown, which was verified; None without one."""
    certificate = transport.get_extra_info("peercert")
    if not certificate:
        return None
    names = [value for part in certificate.get("subject", ()) for name, value in part if name == "commonName"]
    return names[0] if len(names) == 1 else None
