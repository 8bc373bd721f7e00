"""Access over the real kernel: whose a service is, what is written down, and that no secret is told anywhere."""

from __future__ import annotations

import json
import logging
import re
import stat
from pathlib import Path

import pytest
from dpb_nbi.access import EVERYBODY, Audit, desk
from dpb_nbi.access.orders import RELEASE, Order
from dpb_nbi.app import ROUTES

from dpb_framework.broker import Broker
from dpb_framework.config import parse
from dpb_framework.errors import ConfigInvalid

from .access_helpers import Guarded, basic
from .rest_helpers import eventually
from .test_access_routes import CONTROL

V1 = "/api/v1/networks"
NET = {"kind": "switch", "fabric": "emulated"}


@pytest.fixture
def broker(tmp_path):
    found = Broker(parse({"store": {"kind": "memory"}, "nbi": [], "network": [{"name": "aggr", **NET}]}, tmp_path))
    found.start()
    yield found
    found.stop()


@pytest.fixture
def guarded(broker, tmp_path):
    found = Guarded(broker, audit=str(tmp_path / "audit"))
    yield found
    found.stop()


@pytest.fixture
def tokens(guarded):
    return {
        "ann": guarded.token("ann", "control@aggr"),
        "bob": guarded.token("bob", "control@aggr"),
        "chief": guarded.token("chief", "manage@aggr"),
    }


@pytest.fixture
def segment(guarded, tokens):
    for name in "xy":
        made = guarded.ask(
            "POST", f"{V1}/aggr/terminals", tokens["chief"], {"name": name, "place": f"phys.{ord(name)}"}
        )
        assert made.status == 201, made.body
    return [{"terminal": name, "ingress": 1, "egress": 1} for name in "xy"]


def lines(path: Path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# -- owners -------------------------------------------------------------------------------------

COMMANDS = sorted((method, template) for method, template in CONTROL if "{id}" in template)


def body_of(template, segment):
    if not template.endswith(("/define", "/prepare")):
        return None
    if template.startswith("/api"):
        return {"segment": segment}
    first = {"terminal": "terminal-name", "ingress": "ingress-bw", "egress": "egress-bw"}
    return {"segment": [{first[name]: value for name, value in end.items()} for end in segment]}


@pytest.mark.parametrize(("method", "template"), COMMANDS)
def test_another_owners_service_is_not_changed_by_any_route(guarded, tokens, segment, method, template):
    assert template in ROUTES
    made = guarded.ask(
        "POST", f"{V1}/aggr/services", tokens["ann"], {"handle": "h", "segment": segment, "activate": True}
    )
    assert (made.status, made.json["owner"]) == (201, "ann")
    one = made.headers["location"]
    assert guarded.ask("GET", f"{one}/await?status=ACTIVE", tokens["bob"]).json["status"] == "ACTIVE"
    before = guarded.ask("GET", one, tokens["bob"]).json
    path, body = template.format(network="aggr", id=made.json["id"]), body_of(template, segment)
    answer = guarded.ask(method, path, tokens["bob"], body)
    assert (answer.status, answer.code, answer.json["owner"]) == (403, "not-owner", "ann"), answer.body
    assert guarded.ask("GET", one, tokens["bob"]).json == before
    assert guarded.ask(method, path, tokens["chief"], body).status not in (401, 403)


def test_a_known_handle_of_another_owner_is_no_way_in(guarded, tokens, segment):
    made = guarded.ask("POST", f"{V1}/aggr/services", tokens["ann"], {"handle": "h"})
    for body in ({"handle": "h"}, {"handle": "h", "segment": segment}, {"handle": "h", "activate": True}):
        assert guarded.ask("POST", f"{V1}/aggr/services", tokens["bob"], body).code == "not-owner"
    again = guarded.ask("POST", f"{V1}/aggr/services", tokens["ann"], {"handle": "h", "segment": segment})
    assert (again.status, again.json["id"]) == (200, made.json["id"])


def test_lists_have_everybodys_services(guarded, tokens):
    for name in ("ann", "bob"):
        assert guarded.ask("POST", "/network/aggr/create-service", tokens[name]).status == 200
    assert guarded.ask("GET", "/network/aggr/services", tokens["ann"]).json == {"service-ids": [1, 2]}
    listed = guarded.ask("GET", f"{V1}/aggr/services", tokens["bob"]).json["services"]
    assert [service["owner"] for service in listed] == ["ann", "bob"]


# -- audit --------------------------------------------------------------------------------------


def test_every_change_is_written_down_and_what_is_refused_too(guarded, tokens, segment, tmp_path):
    path = tmp_path / "audit"
    manager = guarded.token("root", "manage@*")
    made = guarded.ask("POST", f"{V1}/aggr/services", tokens["ann"], {"segment": segment, "activate": True})
    one = made.headers["location"]
    guarded.ask("POST", f"{one}/release", tokens["bob"])
    guarded.ask("POST", f"{one}/define", tokens["ann"], {"segment": [{**end, "ingress": 2} for end in segment]})
    guarded.ask("DELETE", one, tokens["ann"])
    guarded.ask("DELETE", f"{V1}/aggr/terminals/x", tokens["bob"])
    guarded.ask("PUT", f"{V1}/nowhere/terminals/x", tokens["bob"])
    guarded.ask("GET", f"{V1}/aggr/services", tokens["ann"])
    guarded.ask("GET", "/api/v1/tokens", tokens["ann"])
    guarded.ask("PUT", "/api/v1/users/eve", manager, {"roles": ["read@*"]})
    token = guarded.ask("POST", "/api/v1/tokens", manager, {"user": "eve"}).json
    guarded.ask("DELETE", f"/api/v1/tokens/{token['id']}", manager)
    guarded.ask("DELETE", f"/api/v1/tokens/{token['token']}", manager)
    guarded.ask("GET", V1, token["token"])
    guarded.nbi.stop()
    found = lines(path)
    subjects = ("service", "terminal", "trunk", "user", "token")
    told = [
        (line["who"], line["command"], line["network"], *(line[s] for s in subjects if s in line), line["result"])
        for line in found
    ]
    assert told == [
        ("chief", "put-terminal", "aggr", "x", "ok"),
        ("chief", "put-terminal", "aggr", "y", "ok"),
        ("ann", "create", "aggr", 1, "ok"),
        ("ann", "activate", "aggr", 1, "ok"),
        ("bob", "release", "aggr", 1, "not-owner"),
        ("ann", "define", "aggr", 1, "service-logic"),
        ("ann", "release", "aggr", 1, "ok"),
        ("bob", "remove-terminal", "aggr", "x", "role-missing"),
        ("bob", "put-terminal", "nowhere", "x", "no-network"),
        ("root", "set-user", "*", "eve", "ok"),
        ("root", "create-token", "*", "eve", token["id"], "ok"),
        ("root", "revoke-token", "*", token["id"], "ok"),
        ("root", "revoke-token", "*", token["id"], "token-unknown"),
        ("", "authenticate", "*", "unauthenticated"),
    ]
    assert {line["via"] for line in found} == {"rest"}
    assert all(line["from"].startswith("127.0.0.1") for line in found)
    assert all(re.fullmatch(r"token [0-9a-f]{12}", line["credential"]) for line in found if line["who"])
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["at"]) for line in found)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_is_lost_at_an_orderly_stop(guarded, tokens, tmp_path):
    for _ in range(300):
        guarded.ask("POST", "/network/aggr/create-service", tokens["ann"])
    guarded.nbi.stop()
    assert [line["service"] for line in lines(tmp_path / "audit")] == list(range(1, 301))


def test_what_is_under_way_at_the_end_is_told_so(tmp_path):
    audit = Audit(str(tmp_path / "audit"))
    audit.start()
    entry = audit.begin(EVERYBODY, Order(RELEASE, "aggr", 7))
    audit.close()
    entry.end(None)
    audit.close()
    (line,) = lines(tmp_path / "audit")
    assert (line["service"], line["result"]) == (7, "unsettled")


def test_a_file_that_is_moved_away_is_made_anew(tmp_path):
    path = tmp_path / "audit"
    audit = Audit(str(path))
    audit.start()
    audit.begin(EVERYBODY, Order(RELEASE, "aggr", 1)).end(None)
    eventually(lambda: path.read_text().endswith("\n"))
    path.rename(tmp_path / "audit.1")
    audit.begin(EVERYBODY, Order(RELEASE, "aggr", 2)).end(None)
    audit.close()
    assert [line["service"] for line in lines(tmp_path / "audit.1") + lines(path)] == [1, 2]


def test_what_cannot_be_written_goes_to_the_log(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    folder = tmp_path / "folder"
    folder.mkdir()
    audit = Audit(str(folder / "audit"))
    audit.start()
    (folder / "audit").unlink()
    folder.rmdir()
    for id in (1, 2):
        audit.begin(EVERYBODY, Order(RELEASE, "aggr", id)).end(None)
    audit.close()
    told = [json.loads(record.message) for record in caplog.records if record.name == "dpb.audit"]
    assert [line["service"] for line in told] == [1, 2]
    assert caplog.text.count("cannot be written, its lines go to this log") == 1


def test_a_file_that_cannot_be_is_a_fault_of_the_configuration(tmp_path):
    with pytest.raises(ConfigInvalid) as caught:
        Audit(str(tmp_path / "none" / "audit")).start()
    assert caught.value.path == "audit"


def test_a_flood_of_strangers_does_not_fill_the_disk(guarded, tmp_path):
    for _ in range(desk.STRANGERS * 3):
        assert guarded.ask("GET", V1, "dpb_wrong").status == 401
    guarded.nbi.stop()
    assert desk.STRANGERS <= len(lines(tmp_path / "audit")) < desk.STRANGERS * 3


# -- secrets ------------------------------------------------------------------------------------


def test_no_secret_is_in_any_log_error_or_line(guarded, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    root = guarded.token("root", "manage@*")
    password, other = "s3cret-passw0rd", "an0ther-passw0rd"
    said = []

    def ask(*args, **more):
        answer = guarded.ask(*args, **more)
        said.append(answer.body + repr(answer.headers).encode())
        return answer

    assert ask("PUT", "/api/v1/users/ann", root, {"roles": ["control@aggr"], "password": password}).status == 200
    made = guarded.ask("POST", "/api/v1/tokens", root, {"user": "ann"}).json["token"]
    assert ask("GET", V1, basic("ann", password)).status == 200
    assert ask("GET", V1, basic("ann", made)).status == 200
    assert ask("GET", V1, made).status == 200
    ask("GET", V1, basic("ann", other))
    ask("GET", V1, basic(other, "x"))
    ask("GET", V1, made[:-1] + "-")
    ask("GET", V1, f"Basic {other}")
    ask("GET", V1, f"Token {made}")
    ask("PUT", "/api/v1/users/ann", root, {"password": other + "\n"})
    ask("PUT", "/api/v1/users/ann", root, {"password": [other]})
    ask("PUT", "/api/v1/users/ann", root, '{"password": "' + other)
    ask("DELETE", f"/api/v1/tokens/{made}x", root)
    ask("GET", "/api/v1/tokens", root)
    ask("GET", "/api/v1/users", root)
    ask("POST", f"{V1}/aggr/services", made, {"handle": "h"})
    ask("DELETE", "/api/v1/users/ann", root)
    guarded.nbi.stop()
    everything = caplog.text + (tmp_path / "audit").read_text() + b"".join(said).decode()
    everything += repr(guarded.registry.users) + repr(guarded.registry.tokens)
    for secret in (root, made, password, other):
        assert secret not in everything
        assert secret.split("_", 2)[-1] not in everything
        assert basic("ann", secret).partition(" ")[2] not in everything
