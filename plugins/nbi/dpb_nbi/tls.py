"""TLS: the context of a server, and whom a client's certificate names."""

from __future__ import annotations

import ssl
from typing import Any

from dpb_framework.errors import ConfigInvalid


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
