"""What keeps a command from its broker, told from what requests raised: what it is, and what to do."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import TypeVar

import requests

from dpb_framework.errors import BadArgument

E = TypeVar("E", bound=BaseException)

_NO_URL = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)

_OTHER_NAME = frozenset({62, 64})
"""OpenSSL's codes of a certificate for another host name, or for another address."""

_OUT_OF_DATE = frozenset({9, 10})
"""OpenSSL's codes of a certificate that is not valid yet, or not any more."""


def problem(error: Exception, url: str) -> str:
    """Return why the broker at *url* cannot be asked."""
    if isinstance(error, _NO_URL):
        return "expected http://HOST:PORT or https://HOST:PORT as --url or DPB_URL"
    if isinstance(error, requests.Timeout):
        return "the broker does not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was lost"
    if isinstance(error, requests.exceptions.SSLError):
        return _of_tls(error)
    if isinstance(error, requests.ConnectionError):
        return _of_connection(error, url)
    return f"cannot be asked: {error}"


def check_authorities(file: str, where: str) -> None:
    """Look whether there are certificates in *file* before anybody is asked; `BadArgument` names *where*.

    A fault of the file would otherwise be told as one of the broker's, and not at all where the URL is http.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError as error:
        raise BadArgument(where, f"there is no certificate (PEM) in {file}") from error
    except OSError as error:
        raise BadArgument(where, f"{file} cannot be read: {error.strerror}") from error


def _of_tls(error: Exception) -> str:
    untrusted = _cause(error, ssl.SSLCertVerificationError)
    if untrusted is not None:
        why = untrusted.verify_message.rstrip(".")
        if untrusted.verify_code in _OTHER_NAME:
            return f"its certificate is for another name: {why}; ask it by a name that its certificate has"
        if untrusted.verify_code in _OUT_OF_DATE:
            return f"its certificate does not hold: {why}"
        return f"its certificate is not trusted: {why}; name its authority's file by --ca or DPB_CA"
    other = _cause(error, ssl.SSLError)
    if other is not None and other.reason == "WRONG_VERSION_NUMBER":
        return "it speaks no TLS; if it is a broker without a certificate, its URL begins with http://"
    return f"TLS fails: {other or error}"


def _of_connection(error: Exception, url: str) -> str:
    unknown = _cause(error, socket.gaierror)
    if unknown is not None:
        return f"its host name cannot be resolved: {unknown.strerror}; correct it in --url or DPB_URL"
    if _cause(error, ConnectionRefusedError) is not None:
        return "connection refused; start a broker with `dpb serve`, or name another by --url or DPB_URL"
    hint = "" if url.startswith("https:") else "; the URL of a broker with a certificate begins with https://"
    return f"connection lost or impossible{hint}"


def _cause(error: BaseException, kind: type[E]) -> E | None:
    return next((cause for cause in _causes(error) if isinstance(cause, kind)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and what it came from: requests keeps some of that in arguments instead of in the chain."""
    left, seen = [error], set()
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += [c for c in (one.__cause__, one.__context__, *one.args) if isinstance(c, BaseException)]
