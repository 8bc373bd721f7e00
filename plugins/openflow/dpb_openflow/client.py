"""The client of the application's REST interface: sends, and turns whatever goes wrong into one line.

Every call of that interface is repeatable, so one that broke off is sent once more. `FabricRefused`: the application
said no, and nothing of the call is left. `Unreachable`: what became of it is not known, or nobody there is such an
application.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
import urllib3

from dpb_framework.errors import DpbError, FabricRefused, Unreachable
from dpb_openflow import answers
from dpb_openflow.address import BASE, Address
from dpb_openflow.lines import Lines

_AWAY = frozenset({"not-connected", "timed-out", "switch-unknown"})
"""Codes of the application that do not say what became of a call, or that there is nobody to say it."""


class Client:
    """Calls one application. *where* begins its errors. Thread-safe.

    *timeout* is how long a connection may take, and how long a call, from when it is sent until its answer is whole.
    """

    def __init__(self, address: Address, timeout: float, where: str) -> None:
        self._address = address
        self._timeout = timeout
        self._where = where
        self._lines = Lines()
        self._ended = threading.Event()
        session = self._session = requests.Session()
        # No proxies, credentials and certificates of the environment: switches are controlled by what is configured.
        session.trust_env = False
        session.verify = address.ca or True
        for scheme in ("http://", "https://"):
            session.mount(scheme, self._lines)
        if address.token:
            session.headers["Authorization"] = f"Bearer {address.token}"

    def end(self) -> None:
        """End all connections; calls under way, and later ones, are `Unreachable`."""
        self._ended.set()
        self._lines.end()
        self._session.close()

    def call(
        self, method: str, path: str, body: Any = None, *, wait: float = 0.0, again: bool = True
    ) -> dict[str, Any]:
        """Make a call and return its answer (an object; empty where there is none). `FabricRefused`, `Unreachable`.

        *path* begins with a slash, or is empty. The application may take *wait* seconds more than others do. Without
        *again* the call is not sent once more when it broke off.
        """
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        deadline = time.monotonic() + self._timeout + wait
        return self._answer(*self._send(method, path, data, deadline, again=again))

    def _send(
        self, method: str, path: str, data: bytes | None, deadline: float, *, again: bool
    ) -> tuple[requests.Response, bytes]:
        if self._ended.is_set():
            raise Unreachable(self._where, "the fabric is stopped")
        left = max(0.001, deadline - time.monotonic())
        try:
            with self._session.request(
                method,
                f"{self._address.url}{BASE}{path}",
                data=data,
                headers={"Content-Type": "application/json"} if data is not None else None,
                timeout=(min(left, self._timeout), left),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = answers.body_of(response)
        except requests.exceptions.SSLError as error:
            raise Unreachable(self._where, f"TLS: {_line(_cause(error))}") from None
        except requests.exceptions.ConnectTimeout:
            raise Unreachable(self._where, f"no connection within {self._timeout:g} s") from None
        except requests.exceptions.Timeout:
            raise Unreachable(self._where, f"no answer within {self._timeout:g} s") from None
        except requests.exceptions.RequestException as error:
            cause = _cause(error)
            if isinstance(cause, urllib3.exceptions.ReadTimeoutError):  # in the middle of an answer
                raise Unreachable(self._where, f"no whole answer within {self._timeout:g} s") from None
            if again and not isinstance(cause, urllib3.exceptions.NewConnectionError):
                # Most likely a connection that had been idle, to an application that was restarted meanwhile.
                return self._send(method, path, data, deadline, again=False)
            raise Unreachable(self._where, _line(cause)) from None
        except OSError as error:  # such as a certificate's file that is gone
            raise Unreachable(self._where, _line(error)) from None
        if body is None:
            raise self.garbled(f"its answer has more than {answers.LARGEST} octets")
        return response, body

    def _answer(self, response: requests.Response, body: bytes) -> dict[str, Any]:
        status = response.status_code
        if status == 204:
            return {}
        try:
            plain = json.loads(body)
        except (ValueError, RecursionError):
            plain = None
        if 200 <= status < 300 and isinstance(plain, dict):
            return plain
        if status >= 400 and isinstance(plain, dict) and isinstance(plain.get("code"), str):
            raise self.problem(plain, status)
        if status in (401, 403):
            raise Unreachable(self._where, f"{self._address.url} does not let us in ({status}); see the setting token")
        kind = response.headers.get("Content-Type", "no content type").split(";")[0]
        raise self.garbled(f"status {status}, {kind}")

    def garbled(self, problem: str) -> Unreachable:
        """Return the error for an answer that the application would not give."""
        return Unreachable(
            self._where, f"what answers at {self._address.url} is no tuple slicer with {BASE} ({_short(problem)})"
        )

    def problem(self, plain: Mapping[str, Any], status: int = 0) -> DpbError:
        """Return the error that the application told of as data; *status* if it is not among that."""
        told = plain.get("status")
        status = told if isinstance(told, int) else status
        code = str(plain.get("code"))
        detail = _short(str(plain.get("detail") or plain.get("title") or "no reason told"))
        if code in _AWAY or status >= 500:
            return Unreachable(self._where, detail)
        if code == "not-found":
            return self.garbled(detail)
        return FabricRefused(self._where, detail)

    @contextmanager
    def understanding(self) -> Iterator[None]:
        """Turn what goes wrong with an answer's parts into the error for an answer that is none."""
        try:
            yield
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise self.garbled(f"{type(error).__name__}: {error}") from None


def _cause(error: BaseException) -> BaseException:
    """Return what lies below the wrappers of requests and urllib3."""
    while True:
        below = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        if not isinstance(below, BaseException):
            return error
        error = below


def _line(error: BaseException) -> str:
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        # Its text has an object's address in it, then a colon, then the operating system's words.
        return _short(str(error).rpartition(": ")[2])
    # A ProtocolError says "Connection aborted.", and then why.
    return _short(str(error.args[-1]) if error.args else str(error) or type(error).__name__)


def _short(text: str) -> str:
    return " ".join(text.split())[:300]
