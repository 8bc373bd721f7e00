"""A client of REST that tells an answer from the lack of one."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

PATIENCE = 60.0
"""Seconds after which a request counts as one that never returns; longer than any answer may take."""

Plain = dict[str, Any]


class Lost(Exception):
    """No answer came: whether the command was carried out is not known."""


class Unexpected(AssertionError):
    """An answer that must not be."""


class Rest:
    """One connection, kept alive, to a broker. For one thread."""

    def __init__(self, url: str, network: str = "wan") -> None:
        parts = urlsplit(url)
        self.host, self.port, self.network = parts.hostname or "", parts.port or 0, network
        self._connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def close(self) -> None:
        self._connection.close()

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Return status, body and headers of the answer; `Lost` when none came, `TimeoutError` when it never does."""
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            answer = self._connection.getresponse()
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        except TimeoutError:
            self._connection.close()
            raise
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Lost(f"{method} {path}: {error!r}") from error

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Plain]:
        """Return status and JSON of the answer. *path* begins below the network's, or with a slash at the root."""
        where = path if path.startswith("/") else f"/api/v1/networks/{self.network}/{path}"
        status, text, _ = self.send(method, where, None if body is None else json.dumps(body).encode())
        answer = json.loads(text) if text else {}
        if status == 503 and answer["code"] == "stopped":
            raise Lost(f"{method} {path}: {answer['detail']}")
        return status, answer

    def ok(self, method: str, path: str, body: object = None) -> Plain:
        """The same, for what must be answered with 200 or 201."""
        status, answer = self.call(method, path, body)
        if status not in (200, 201, 204):
            raise Unexpected(f"{method} {path} {body}: {status} {answer}")
        return answer

    def wait(self, id_: int, statuses: Iterable[str], seconds: float) -> str:
        """Wait for one of *statuses* and return the status that the service then has."""
        query = urlencode([*(("status", s) for s in statuses), ("timeout-millis", int(seconds * 1000))])
        status: str = self.ok("GET", f"services/{id_}/await?{query}")["status"]
        return status
