"""A thin client of the broker's `/api/v1`: sends, repeats what was lost, and turns what goes wrong into RO's error.

Everything that the connector sends may be sent twice (services are made under a handle), so an answer that was lost
is asked for again, for as long as the account's `patience` says: a broker that restarts is back in seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from itertools import chain, repeat
from typing import Any
from urllib.parse import quote

import requests

from dpb_osm.account import Account
from dpb_osm.base import fault

_CONNECT = 5.0
_AWAY = frozenset({502, 503, 504})
"""Statuses of a broker (or of a proxy before it) that cannot answer just now."""


class Client:
    """A broker, asked from any thread."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._own = threading.local()

    def ask(
        self,
        method: str,
        *path: str | int,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        wait: float = 0.0,
        lost: list[str] | None = None,
    ) -> Any:
        """Return the answer's data. *wait* is how long the broker itself may wait, in seconds.

        What went wrong with a sending that nobody answered is added to *lost*: it may still arrive, after others.
        Raises RO's error: with the broker's own status and reason when it refused, 503 when it is away.
        """
        account = self._account
        url = "/".join([account.url, "api/v1", *(quote(str(part), safe="") for part in path)])
        read = wait + account.timeout
        deadline = time.monotonic() + account.patience
        problem = ""
        for pause in _pauses():
            try:
                answer = self._session().request(method, url, json=body, params=query, timeout=(_CONNECT, read))
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                problem = f"does not answer ({_plain(error)})"
            except (requests.RequestException, OSError, ValueError) as error:
                raise fault(f"the broker at {account.url} cannot be asked: {_plain(error)}", 400) from error
            else:
                if answer.status_code not in _AWAY:
                    return self._read(answer)
                problem = _detail(answer)
            if lost is not None:
                lost.append(problem)
            if time.monotonic() + pause > deadline:
                break
            time.sleep(pause)
        raise fault(f"the broker at {account.url}: {problem}", 503)

    def _session(self) -> requests.Session:
        """Return this thread's session: those of requests are not made for several."""
        found: requests.Session | None = getattr(self._own, "session", None)
        if found is None:
            account = self._account
            found = self._own.session = requests.Session()
            found.verify = account.verify
            if account.token is not None:
                found.headers["Authorization"] = f"Bearer {account.token}"
                found.auth = _keep  # a .netrc of RO's user is not for the broker
            elif account.user is not None:
                found.auth = (account.user, account.password or "")
        return found

    def _read(self, answer: requests.Response) -> Any:
        if answer.ok:
            try:
                return answer.json() if answer.content else None
            except ValueError as error:
                problem = "answers, but not as a broker does; is the URL right?"
                raise fault(f"{self._account.url} {problem}", 400) from error
        raise fault(_detail(answer), answer.status_code)


def _keep(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _pauses() -> Iterator[float]:
    return chain((0.1, 0.2, 0.5), repeat(1.0))


def _plain(error: Exception) -> str:
    """Return an error in one line, without the addresses of objects that requests and urllib3 put there."""
    if isinstance(error, requests.Timeout):
        return "time-out"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate does not verify"
    if isinstance(error, requests.ConnectionError):
        return "connection refused" if "refused" in str(error) else "connection lost or impossible"
    return " ".join(str(error).split())[:200]


def _detail(answer: requests.Response) -> str:
    try:
        problem = answer.json()
        detail = str(problem.get("detail") or problem.get("title"))
    except (ValueError, AttributeError):
        return f"answers {answer.status_code} {answer.reason}, but not as a broker does; is the URL right?"
    name = problem.get("field")
    return f"{name}: {detail}" if name and not detail.startswith(str(name)) else detail
