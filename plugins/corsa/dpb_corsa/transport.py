"""HTTP with one session: sends, and turns whatever goes wrong into one line. For the switch and for the application."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
import urllib3
from attrs import frozen

from dpb_corsa import answers
from dpb_corsa.answers import Lines
from dpb_framework.errors import FabricRefused, Unreachable

_OBJECT = re.compile(r"^(?:<[^>]*>|\w+\([^)]*\)): ")
"""Where a text begins with the object that it is about: a connection, before the operating system's words."""


@frozen
class Refusal(FabricRefused):
    """An answer of status 4xx: nothing of the call was done. `told` is what programs look at."""

    status: int
    told: str


class Transport:
    """Calls one server by *lines*. *where* begins its errors. Thread-safe.

    *timeout* is how long a connection may take, and how long a call, from when it is sent until its answer is whole.
    """

    def __init__(self, url: str, timeout: float, where: str, lines: Lines, verify: str | bool = True) -> None:
        self.url = url
        self._timeout = timeout
        self._where = where
        self._ended = threading.Event()
        session = self._session = requests.Session()
        # No proxies, credentials and certificates of the environment: switches are controlled by what is configured.
        session.trust_env = False
        session.verify = verify
        session.mount("https://", lines)
        session.mount("http://", lines)

    def end(self) -> None:
        """Make no call any more."""
        self._ended.set()
        self._session.close()

    def send(
        self, method: str, path: str, body: Any, headers: dict[str, str], *, again: bool = True
    ) -> tuple[int, Any, str]:
        """Return status, JSON and what kind of answer it is. `Unreachable`.

        The JSON is None of an empty answer, and an empty text of one that is no JSON.

        A call that broke off is sent once more with *again*, unless it is a POST: of that nobody knows what it did.
        """
        if self._ended.is_set():
            raise Unreachable(self._where, "the fabric is stopped")
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        if data is not None:
            headers = {**headers, "Content-Type": "application/json"}
        began = time.monotonic()
        try:
            with self._session.request(
                method,
                self.url + path,
                data=data,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                told = answers.body_of(response)
        except requests.exceptions.SSLError as error:
            raise Unreachable(self._where, f"TLS: {_line(error)}") from None
        except requests.exceptions.Timeout:
            raise Unreachable(self._where, f"no answer within {self._timeout:g} s") from None
        except requests.exceptions.RequestException as error:
            if error.args and isinstance(error.args[0], urllib3.exceptions.ReadTimeoutError):  # amid an answer
                raise Unreachable(self._where, f"no whole answer within {self._timeout:g} s") from None
            # Most likely a connection that had been idle, to a server that was restarted meanwhile.
            if again and method != "POST" and time.monotonic() - began < self._timeout / 2:
                return self.send(method, path, body, headers, again=False)
            raise Unreachable(self._where, _line(error)) from None
        except OSError as error:  # such as a certificate's file that is gone
            raise Unreachable(self._where, _line(error)) from None
        if told is None:
            raise Unreachable(self._where, f"its answer has more than {answers.LARGEST} octets")
        kind = response.headers.get("Content-Type", "no content type").split(";")[0]
        try:
            plain = json.loads(told) if told else None
        except (ValueError, RecursionError):
            plain = ""
        return response.status_code, plain, f"status {response.status_code}, {short(kind)}"


@contextmanager
def understanding(where: str, what: str) -> Iterator[None]:
    """Turn what goes wrong with an answer's parts into the error for an answer that is none."""
    try:
        yield
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Unreachable(where, f"{what} ({short(f'{type(error).__name__}: {error}')})") from None


@contextmanager
def halfway(where: str) -> Iterator[None]:
    """Turn a refusal where other things were done already into `Unreachable`: the command is to be repeated."""
    try:
        yield
    except FabricRefused as error:
        raise Unreachable(where, f"it refused the rest of a command: {error.reason}") from None


def short(text: str) -> str:
    """Return text in one line, not too long."""
    return " ".join(text.split())[:300]


def _line(error: BaseException) -> str:
    """Return what lies below the wrappers of requests and urllib3, in the words of who knew first."""
    while True:
        below = getattr(error, "reason", None) or (error.args[-1] if error.args else None)
        if not isinstance(below, BaseException):
            break
        error = below
    text = str(error.args[-1]) if error.args else str(error) or type(error).__name__
    return short(_OBJECT.sub("", text))
