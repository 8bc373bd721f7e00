"""The client of REST: sends, and turns whatever goes wrong into one line."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from attrs import Factory, field, frozen

from dpb_cli.faults import problem
from dpb_framework.errors import DpbError

CONNECT = 5.0
"""How long a connection may take, in seconds."""

PATIENCE = 40.0
"""How long an answer may take, in seconds: `define` answers after 30 at the latest."""

SILENCE = 45.0
"""After how many seconds without a sign of life a stream is given up; it has one every 15."""


@frozen
class BrokerAway(DpbError):
    """The broker cannot be reached, or did not answer in time."""

    code = "broker-away"
    url: str
    problem: str

    def __str__(self) -> str:
        return f"{self.url}: {self.problem}"


@frozen
class BrokerRefused(DpbError):
    """The broker answered with an error. `status` is HTTP's, `kind` the error's own name, `told` its other facts."""

    code = "broker-refused"
    status: int
    kind: str
    detail: str
    told: Mapping[str, Any] = field(factory=dict)

    def __str__(self) -> str:
        return self.detail


@frozen
class Answer:
    """What the broker answered: HTTP's status and the body's data (None when there is none)."""

    status: int
    body: Any = None


def _base(url: str) -> str:
    return url.rstrip("/")


@frozen
class Bearer(requests.auth.AuthBase):
    """A token as the credential of each request; what stands in `~/.netrc` does not count beside it."""

    token: str = field(repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add it."""
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


@frozen
class Client:
    """A broker at a base URL. One session, used by one thread.

    `token` is the credential; `ca` a file of the authorities that may vouch for the broker (None: the system's).
    """

    url: str = field(converter=_base)
    session: requests.Session = Factory(requests.Session)
    token: str | None = field(default=None, repr=False)
    ca: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.token:
            self.session.auth = Bearer(self.token)

    @property
    def shown(self) -> str:
        """The URL without a password in it, also where it is no URL."""
        return re.sub(r"^(\w+://)?.*@", r"\1", self.url)

    def close(self) -> None:
        """Close the connections. Repeatable."""
        self.session.close()

    def get(self, *path: str | int, patience: float = PATIENCE, **query: Any) -> Any:
        """Return the data at *path* below `/api/v1`; underscores in the names of *query* stand for hyphens."""
        pairs = {name.replace("_", "-"): value for name, value in query.items() if value is not None}
        return self.request("GET", *path, query=pairs, patience=patience).body

    def request(
        self,
        method: str,
        *path: str | int,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        patience: float = PATIENCE,
    ) -> Answer:
        """Send one request and return the answer. `BrokerAway`, `BrokerRefused`; *patience* in seconds."""
        with self._told():
            answer = self.session.request(
                method, self._address(path), json=body, params=query, timeout=(CONNECT, patience), verify=self.ca
            )
        if not answer.ok:
            raise self._refused(answer)
        try:
            return Answer(answer.status_code, answer.json() if answer.content else None)
        except requests.JSONDecodeError as error:
            raise BrokerAway(self.shown, "answers, but not as a broker does; is the URL right?") from error

    @contextlib.contextmanager
    def stream(self, *path: str | int, after: int | None = None) -> Iterator[Iterator[bytes]]:
        """Open an event stream and give its pieces as they come; events after number *after* come first."""
        headers = {"Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        with self._told():
            answer = self.session.get(
                self._address(path), headers=headers, stream=True, timeout=(CONNECT, SILENCE), verify=self.ca
            )
            with answer:
                if not answer.ok:
                    raise self._refused(answer)
                # chunk_size None: pieces of whatever size the server sends, at once.
                yield answer.iter_content(chunk_size=None)

    def _address(self, path: tuple[str | int, ...]) -> str:
        return "/".join([self.url, "api/v1", *(quote(str(part), safe="") for part in path)])

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # among them all that requests raises
            raise BrokerAway(self.shown, problem(error, self.url)) from error

    def _refused(self, answer: requests.Response) -> DpbError:
        try:
            told = answer.json()
        except requests.JSONDecodeError:
            told = None
        if not isinstance(told, dict) or "status" not in told:
            status = f"{answer.status_code} {answer.reason}"
            return BrokerAway(self.shown, f"answers {status}, but not as a broker does; is the URL right?")
        detail = str(told.get("detail") or told.get("title") or answer.reason)
        name = told.get("field")
        if name and not detail.startswith(str(name)):
            detail = f"{name}: {detail}"
        if answer.status_code == 401:
            detail += "; put a token into DPB_TOKEN, or name its file by --token-file"
        if told.get("code") == "no-route" and (path := urlsplit(self.url).path):
            detail += f"; a broker's URL is http://HOST:PORT, without {path}"
        return BrokerRefused(answer.status_code, str(told.get("code", "")), detail, told)
