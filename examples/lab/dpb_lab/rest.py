"""A client of REST for servers inside a lab's namespace."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Mapping
from typing import Any

from dpb_lab.namespace import Namespace
from dpb_lab.process import PATIENCE, LabError

Plain = dict[str, Any]


class Refused(LabError):
    """An answer that tells of an error; `status` and the answer's `body` are kept."""

    def __init__(self, asked: str, status: int, body: Plain) -> None:
        super().__init__(f"{asked}: {status}: {body.get('detail') or body}")
        self.status, self.body = status, body


class Rest:
    """JSON over HTTP, with a connection for each thread. *base* stands before every path; with *tls* it is HTTPS."""

    def __init__(
        self,
        namespace: Namespace,
        port: int,
        base: str,
        *,
        tls: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._namespace, self._port, self._base = namespace, port, base
        self._tls, self._headers = tls, dict(headers or {})
        self._own = threading.local()
        self._made: list[http.client.HTTPConnection] = []

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Plain]:
        """Return status and JSON of the answer; `OSError` when there is none."""
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers if data is None else {**self._headers, "Content-Type": "application/json"}
        for last in (False, True):
            kept: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
            connection = kept or self._connected()
            try:
                connection.request(method, self._base + path, data, headers)
                answer = connection.getresponse()
                text = answer.read()
            except (http.client.HTTPException, ConnectionError) as error:
                connection.close()
                self._own.connection = None
                # A server may have ended a connection that was kept; a fresh one that fails is a fault.
                if last or kept is None:
                    raise ConnectionError(f"{method} {self._base}{path}: {error!r}") from error
                continue
            self._own.connection = None if answer.will_close else connection
            if answer.will_close:
                connection.close()
            return answer.status, json.loads(text) if text else {}
        raise AssertionError("not reached")

    def _connected(self) -> http.client.HTTPConnection:
        connection = (
            http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
            if self._tls is None
            else http.client.HTTPSConnection("127.0.0.1", self._port, timeout=PATIENCE, context=self._tls)
        )
        with self._namespace.inside():
            connection.connect()
        self._made.append(connection)
        return connection

    def close(self) -> None:
        """End all connections. Repeatable; calls make new ones."""
        made, self._made = self._made, []
        for connection in made:
            connection.close()

    def ok(self, method: str, path: str, body: object = None) -> Plain:
        """Return the answer's JSON; `Refused` when its status is not of success."""
        status, answer = self.call(method, path, body)
        if status >= 300:
            raise Refused(f"{method} {path}", status, answer)
        return answer

    def answers(self, path: str) -> bool:
        """Whether there is an answer at all."""
        try:
            self.call("GET", path)
        except OSError:
            return False
        return True
