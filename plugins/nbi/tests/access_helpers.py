"""An interface that controls access, and those who ask it."""

from __future__ import annotations

import base64
import http.client
import json
from urllib.parse import urlsplit

from dpb_nbi import RestNbi
from dpb_nbi.access import Access


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["code"] if self.headers.get("content-type") == "application/problem+json" else None


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode("ascii")


class Guarded:
    """A broker behind `RestNbi(access=True)`; each request has a connection of its own."""

    def __init__(self, broker, **settings):
        self.broker = broker
        self.access = Access.enter(broker)
        self.nbi = RestNbi(port=0, access=True, **settings)
        self.nbi.start(broker)

    @property
    def registry(self):
        return self.access.registry

    def user(self, name, *roles, password=None):
        self.access.change(lambda registry: registry.set_user(name, roles, password)).result(10)

    def token(self, user, *roles, make=True, **more):
        """Return a token of *user*, who is made with *roles*."""
        if make:
            self.user(user, *roles)
        _, text = self.access.change(lambda registry: registry.create_token(user, **more)).result(10)
        return text

    def ask(self, method, path, credential=None, body=None, **headers):
        """Ask; of an answer without end only the head is read."""
        parts = urlsplit(self.nbi.address)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        if credential is not None:
            scheme = "" if " " in credential or not credential else "Bearer "
            headers["Authorization"] = scheme + credential
        if body is not None and not isinstance(body, bytes | str):
            body = json.dumps(body)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            endless = found.get("content-type") == "text/event-stream"
            return Answer(response.status, found, b"" if endless else response.read())
        finally:
            connection.close()

    def stop(self):
        self.nbi.stop()
        self.access.leave()
