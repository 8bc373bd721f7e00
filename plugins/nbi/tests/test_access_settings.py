"""When an interface controls access, when it must, and what becomes of what is open when a credential ends."""

from __future__ import annotations

import http.client
import logging
import socket
from urllib.parse import urlsplit

import pytest
from attrs import evolve
from dpb_nbi import RestNbi, events, limits, pending

from dpb_framework.errors import ConfigInvalid
from dpb_framework.model import EventKind

from .access_helpers import Guarded
from .conftest import Client
from .fake_network import FakeBroker
from .rest_helpers import eventually


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "2001:db8::1", "::ffff:127.0.0.1"])
def test_what_others_can_reach_needs_access(host):
    with pytest.raises(ConfigInvalid) as caught:
        RestNbi(host=host)
    assert caught.value.path == "access"
    assert "set access = true" in caught.value.problem
    assert "insecure = true" in caught.value.problem
    assert "\n" not in str(caught.value)
    RestNbi(host=host, access=True)
    RestNbi(host=host, insecure=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_loopback_needs_none(host):
    RestNbi(host=host)


def test_a_name_is_judged_by_what_it_stands_for(broker, monkeypatch):
    monkeypatch.setattr("dpb_nbi.server.socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("0.0.0.0", 0))])
    nbi = RestNbi(host="everywhere.example", port=0)
    with pytest.raises(ConfigInvalid) as caught:
        nbi.start(broker)
    assert caught.value.path == "access"
    assert nbi.address == ""


def test_one_says_either_or():
    with pytest.raises(ConfigInvalid) as caught:
        RestNbi(access=True, insecure=True)
    assert caught.value.path == "insecure"


@pytest.mark.parametrize(
    ("settings", "warnings"),
    [
        ({"host": "127.0.0.1"}, []),
        ({"host": "0.0.0.0", "insecure": True}, ["anybody who reaches it may do anything"]),
        ({"host": "0.0.0.0", "access": True}, ["no users yet", "credentials travel in the clear"]),
        ({"host": "127.0.0.1", "access": True}, ["no users yet"]),
    ],
)
def test_an_operator_is_warned(broker, caplog, monkeypatch, settings, warnings):
    # Only loopback is listened on: what the settings say of it is what is told.
    monkeypatch.setattr(RestNbi, "tell", _telling(settings["host"]))
    nbi = RestNbi(port=0, **{**settings, "host": "127.0.0.1"})
    nbi.start(broker)
    nbi.stop()
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == len(warnings)
    for line, words in zip(told, warnings, strict=True):
        assert words in line


def _telling(host):
    true = RestNbi.tell
    return lambda self, on, tls: true(self, evolve(on, host=host), tls)


def test_the_document_asks_for_a_credential_where_one_is_needed(client):
    guarded = Guarded(FakeBroker())
    token = guarded.token("ann", "read@aggr")
    found = guarded.ask("GET", "/api/v1/openapi.json", token).json
    assert found["security"] == [{"token": []}, {"password": []}]
    assert found["paths"]["/api/v1/health"]["get"]["security"] == []
    assert "security" not in client.get("/api/v1/openapi.json").json
    guarded.stop()
    guarded.broker.close()


def test_an_open_interface_makes_the_users_of_the_others(client, broker):
    """Whoever reaches loopback may do anything there: also make the users for an interface that asks for them."""
    answer = client("PUT", "/api/v1/users/ann", {"roles": ["read@aggr"]})
    assert (answer.status, answer.json) == (200, {"name": "ann", "roles": ["read@aggr"], "password": False, "keys": []})
    made = client.post("/api/v1/tokens", {"user": "ann", "name": "OSM", "expires": "2999-01-31T12:00:00+01:00"})
    assert (made.status, made.headers["location"]) == (201, f"/api/v1/tokens/{made.json['id']}")
    assert made.json["expires"] == "2999-01-31T11:00:00+00:00"
    guarded = Guarded(broker)
    assert guarded.ask("GET", "/api/v1/networks", made.json["token"]).status == 200
    (listed,) = client.get("/api/v1/tokens").json["tokens"]
    assert listed == {name: value for name, value in made.json.items() if name != "token"}
    assert client("DELETE", made.headers["location"]).status == 204
    assert guarded.ask("GET", "/api/v1/networks", made.json["token"]).status == 401
    client("DELETE", made.headers["location"]).problem(404, "token-unknown")
    client.post("/api/v1/tokens", {"user": "bob"}).problem(404, "user-unknown")
    assert client("DELETE", "/api/v1/users/ann").status == 204
    client("DELETE", "/api/v1/users/ann").problem(404, "user-unknown")
    guarded.stop()


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PUT", "users/ann", {}, "roles"),
        ("PUT", "users/ann", {"roles": ["root@aggr"]}, "roles[0]"),
        ("PUT", "users/ann", {"roles": [7]}, "roles[0]"),
        ("PUT", "users/ann", {"roles": ["read@*"], "password": "short"}, "password"),
        ("PUT", "users/ann", {"roles": ["read@*"], "password": 7}, "password"),
        ("PUT", "users/anonymous", {"roles": ["read@*"]}, "user"),
        ("PUT", "users/a%20b", {"roles": ["read@*"]}, "user"),
        ("PUT", "users/ann", {"rolls": []}, "rolls"),
        ("POST", "tokens", {}, "user"),
        ("POST", "tokens", {"user": "known", "expires": "2020-01-31T12:00:00Z"}, "expires"),
        ("POST", "tokens", {"user": "known", "expires": "2999-01-31T12:00:00"}, "expires"),
        ("POST", "tokens", {"user": "known", "expires": "2999-13-31T12:00:00Z"}, "expires"),
        ("POST", "tokens", {"user": "known", "expires": 7}, "expires"),
        ("POST", "tokens", {"user": "known", "name": "a\nb"}, "name"),
        ("POST", "tokens", {"user": "known", "roles": ["manage"]}, "roles[0]"),
    ],
)
def test_what_users_and_tokens_cannot_be(client, method, path, body, field):
    client("PUT", "/api/v1/users/known", {"roles": ["read@*"]})
    client(method, f"/api/v1/{path}", body).problem(422, "bad-argument", field)
    assert client.get("/api/v1/tokens").json == {"tokens": []}
    assert [user["name"] for user in client.get("/api/v1/users").json["users"]] == ["known"]


@pytest.mark.parametrize("what", ["events", "mirror?quiet-millis=60000"])
@pytest.mark.parametrize("how", ["revoked", "user removed", "other roles"])
def test_a_stream_ends_with_its_credential(monkeypatch, how, what):
    for module in (events, pending):
        monkeypatch.setattr(module, "QUIET", 0.05)
    guarded = Guarded(FakeBroker())
    keeps, ends = guarded.token("ann", "read@aggr"), guarded.token("bob", "read@aggr")
    parts = urlsplit(guarded.nbi.address)

    def stream(token):
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
        connection.request("GET", f"/api/v1/networks/aggr/{what}", headers={"Authorization": f"Bearer {token}"})
        return connection, connection.getresponse()

    (kept, going), (ended, ending) = stream(keeps), stream(ends)
    assert (going.status, ending.status) == (200, 200)
    changes = {
        "revoked": lambda registry: registry.revoke(ends.split("_")[1]),
        "user removed": lambda registry: registry.remove_user("bob"),
        "other roles": lambda registry: registry.set_user("bob", ["read@slough"]),
    }
    guarded.access.change(changes[how]).result(10)
    told = ending.read()
    context = guarded.nbi._server._app.context
    eventually(lambda: len(context.streams) + len(context.copies) == 1)
    if what == "events":
        assert told.replace(b":\n\n", b"") == b""
        assert going.readline() == b":\n"
    else:
        assert told.count(b"event:") == 1
        guarded.broker.aggregator.tell(EventKind.TERMINAL, {"name": "new", "present": True})
        while not going.readline().startswith(b"event: changed"):
            pass
    kept.close()
    ended.close()
    guarded.stop()
    guarded.broker.close()


def test_what_lasts_is_shared_out(monkeypatch):
    monkeypatch.setattr(limits, "STREAMS_EACH", 2)
    monkeypatch.setattr(limits, "MIRRORS_EACH", 2)
    monkeypatch.setattr(limits, "WAITS_EACH", 2)
    guarded = Guarded(FakeBroker())
    guarded.broker.aggregator.paused = True
    ann, bob = guarded.token("ann", "control@aggr"), guarded.token("bob", "control@aggr")
    guarded.ask("POST", "/network/aggr/create-service", ann)
    parts = urlsplit(guarded.nbi.address)
    made = []

    def open_one(token, path):
        made.append(http.client.HTTPConnection(parts.hostname, parts.port, timeout=20))
        made[-1].request("GET", path, headers={"Authorization": f"Bearer {token}"})
        return made[-1]

    stream, mirror = "/api/v1/networks/aggr/events", "/api/v1/networks/aggr/mirror"
    wait = "/network/aggr/service/1/await-status?acceptable=ACTIVE"
    context = guarded.nbi._server._app.context
    shares = {stream: context.streams._shares, mirror: context.copies._shares, wait: context.calls.waits}
    for path, counted in shares.items():
        for _ in range(2):
            open_one(ann, path)
        eventually(lambda counted=counted: counted._open.total() == 2)
        answer = guarded.ask("GET", path, ann)
        assert (answer.status, answer.code) == (429, "too-many")
        open_one(bob, path)
        eventually(lambda counted=counted: counted._open.total() == 3)
        for connection in made:
            connection.close()
        made.clear()
        eventually(lambda counted=counted: not counted._open)
    guarded.stop()
    guarded.broker.close()


def test_a_superior_may_stand_on_very_many_networks(monkeypatch):
    monkeypatch.setattr(limits, "MIRRORS_EACH", 1)
    guarded = Guarded(FakeBroker())
    token, made = guarded.token("ann", "read@*"), []
    parts = urlsplit(guarded.nbi.address)
    for network in ("aggr", "slough"):
        made.append(http.client.HTTPConnection(parts.hostname, parts.port, timeout=20))
        made[-1].request("GET", f"/api/v1/networks/{network}/mirror", headers={"Authorization": f"Bearer {token}"})
        assert made[-1].getresponse().status == 200
    assert guarded.ask("GET", "/api/v1/networks/aggr/mirror", token).code == "too-many"
    for connection in made:
        connection.close()
    guarded.stop()
    guarded.broker.close()


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "evil.localhost.example", "1.evil"])
def test_a_name_that_was_made_to_stand_for_this_machine_does_not_help_a_page_of_elsewhere(client, name):
    host = f"{name}:{client.port}"
    client.get("/api/v1/networks", Host=host).problem(403, "foreign-origin")
    client.post("/network/aggr/create-service", Host=host, Origin=f"http://{host}").problem(403, "foreign-origin")
    assert client.get("/api/v1/networks").status == 200


def test_the_names_of_this_machine_may_be_used(client):
    for own in ("127.0.0.1", "LOCALHOST", "dpb.localhost", "[::1]", "192.0.2.1", "broker", socket.gethostname()):
        for written in (own, f"{own}:{client.port}"):
            assert client.get("/api/v1/networks", Host=written, Origin=f"http://{written}").status == 200


def test_the_name_that_is_configured_and_those_of_other_addresses_may_be_used(broker, monkeypatch):
    for settings, others in (({"host": "broker.example"}, 403), ({"host": "0.0.0.0", "insecure": True}, 200)):
        nbi = RestNbi(port=0, **settings)
        with monkeypatch.context() as patch:
            if others == 403:
                patch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 0))])
            nbi.start(broker)
        client = Client(f"http://127.0.0.1:{nbi.address.rpartition(':')[2]}")
        assert client.get("/api/v1/networks", Host="Broker.example").status == 200
        assert client.get("/api/v1/networks", Host="other.example").status == others
        client.close()
        nbi.stop()


def test_a_page_of_elsewhere_does_not_ask_through_somebodys_browser(client):
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://["):
        client.post("/network/aggr/create-service", Origin=origin).problem(403, "foreign-origin")
    own = f"http://{client.host}:{client.port}"
    assert client.post("/network/aggr/create-service", Origin=own).json == {"service-id": 1}
