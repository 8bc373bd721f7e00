"""A server over the fake broker, and a client that keeps its connection."""

from __future__ import annotations

import http.client
import json

import pytest
from dpb_nbi import RestNbi

from .fake_network import FakeBroker


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def problem(self, status, code, field=None):
        """Check that this is such a problem; return its body."""
        assert (self.status, self.headers["content-type"]) == (status, "application/problem+json"), self.body
        found = self.json
        assert (found["type"], found["status"], found["code"]) == ("about:blank", status, code), found
        assert found["title"]
        assert found["detail"]
        assert found.get("field") == field, found
        return found


class Client:
    """Keeps one connection alive; a reset of it is an error in the test."""

    def __init__(self, address):
        self.host, _, port = address.removeprefix("http://").rpartition(":")
        self.port = int(port)
        self.connection = http.client.HTTPConnection(self.host, self.port, timeout=20)

    def __call__(self, method, path, body=None, **headers):
        if body is not None and not isinstance(body, bytes | str):
            body = json.dumps(body)
        self.connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = self.connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def get(self, path, **headers):
        return self("GET", path, **headers)

    def post(self, path, body=None, **headers):
        return self("POST", path, body, **headers)

    def close(self):
        self.connection.close()


@pytest.fixture
def broker():
    found = FakeBroker()
    yield found
    found.close()


@pytest.fixture
def nbi(broker):
    found = RestNbi(port=0)
    found.start(broker)
    yield found
    found.stop()


@pytest.fixture
def client(nbi):
    found = Client(nbi.address)
    yield found
    found.close()


@pytest.fixture
def make_client(nbi):
    made = []

    def make():
        made.append(Client(nbi.address))
        return made[-1]

    yield make
    for found in made:
        found.close()
