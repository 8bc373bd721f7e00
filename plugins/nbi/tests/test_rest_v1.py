"""`/api/v1`: networks, terminals, trunks, services."""

from __future__ import annotations

import json
import threading

import pytest
from dpb_nbi import operations, render
from dpb_nbi.firsts import Firsts

from dpb_framework.errors import Unreachable
from dpb_framework.model import Chord, Condition, Fragment, NetworkModel
from dpb_framework.reply import Reply

from .rest_helpers import eventually

V1 = "/api/v1"
AGGR = f"{V1}/networks/aggr"
SLOUGH = f"{V1}/networks/slough"


def segment(*circuits, rate=10):
    return [{"terminal": t, "label": label, "ingress": rate, "egress": rate} for t, label in circuits]


def make(client, **body):
    answer = client.post(f"{AGGR}/services", body)
    assert answer.status == 201, answer.body
    return answer.json


def test_health_is_what_the_broker_says(client):
    assert client.get(f"{V1}/health").json["status"] == "ok"


def test_networks_are_listed_in_the_order_of_the_configuration(client):
    make(client)
    found = client.get(f"{V1}/networks").json["networks"]
    assert [network["name"] for network in found] == ["aggr", "slough", "far"]
    assert client.get(AGGR).json == found[0] | {
        "kind": "aggregator",
        "terminals": ["Zürich", "a", "b", "c"],
        "inferiors": ["left", "right"],
        "services": 1,
        "last-event": 0,
    }
    client.get(f"{V1}/networks/none").problem(404, "no-network")


@pytest.mark.parametrize(
    ("method", "path", "field", "hint"),
    [
        ("GET", f"{AGGR}/services?staus=ACTIVE", "staus", "did you mean 'status'?"),
        ("HEAD", f"{AGGR}/services?limit=1", "limit", ""),
        ("GET", f"{AGGR}/services?status=ACTIVE&handle_prefix=", "handle_prefix", "did you mean 'handle-prefix'?"),
        ("POST", f"{AGGR}/services?status=ACTIVE", "status", "it takes none"),
        ("GET", f"{AGGR}/events?quiet-millis=1000", "quiet-millis", "known: after"),
        ("GET", f"{V1}/networks?x", "x", "it takes none"),
        ("GET", f"{V1}/health?" + "y" * 300, "y" * 100, "it takes none"),
    ],
)
def test_a_parameter_that_a_route_does_not_know_is_refused(client, broker, method, path, field, hint):
    """A filter that is written wrongly would else be taken for none."""
    answer = client(method, path)
    if method == "HEAD":
        assert answer.status == 422
    else:
        answer.problem(422, "bad-argument", field)
        assert hint in answer.json["detail"]
    assert not broker.aggregator.services()


def test_the_model_tells_what_a_superior_sees(client, broker):
    assert client.get(f"{SLOUGH}/model").json == {"fragments": [{"terminals": ["x", "y"], "chords": None}]}
    chord = Chord("a", "b", 1500, 2_000_000, 1250)
    broker.aggregator.model = lambda: NetworkModel((Fragment(("a", "b"), (chord,)),))
    assert client.get(f"{AGGR}/model").json["fragments"][0]["chords"] == [
        {"a": "a", "b": "b", "upstream": 1.5, "downstream": 2000, "delay": 1.25}
    ]


def test_others_are_answered_while_a_model_is_computed(client, make_client, broker, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    true = render.model

    def slow(model):
        begun.set()
        assert go_on.wait(20)
        return true(model)

    monkeypatch.setattr(render, "model", slow)
    client.connection.request("GET", f"{AGGR}/model")
    assert begun.wait(20)
    assert make_client().get(AGGR).status == 200
    go_on.set()
    assert json.loads(client.connection.getresponse().read())["fragments"]


def test_a_terminal_is_made_changed_and_removed(client):
    made = client.post(f"{SLOUGH}/terminals", {"name": "Zürich", "place": "port-9"})
    assert made.status == 201
    assert made.json == {
        "name": "Zürich",
        "place": "port-9",
        "ingress-quota": None,
        "egress-quota": None,
        "labels": [[1, 4094]],
    }
    assert made.headers["location"] == f"{SLOUGH}/terminals/Z%C3%BCrich"
    client.post(f"{SLOUGH}/terminals", {"name": "Zürich", "place": "port-9"}).problem(409, "terminal-exists")
    one = made.headers["location"]
    body = {"place": "port-8", "ingress-quota": 0.5, "egress-quota": 1000, "labels": [[5, 7], [100, 100]]}
    assert client("PUT", one, body).json == body | {"name": "Zürich"}
    assert client.get(one).json == body | {"name": "Zürich"}
    assert [t["name"] for t in client.get(f"{SLOUGH}/terminals").json["terminals"]] == ["Zürich", "x", "y"]
    gone = client("DELETE", one)
    assert (gone.status, gone.body) == (204, b"")
    client("DELETE", one).problem(404, "terminal-unknown")
    client.get(one).problem(404, "terminal-unknown")
    assert client("PUT", one, body | {"name": "Zürich"}).status == 200


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "a b"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": ".."}, "name"),
        ({"name": 7}, "name"),
        ({"place": ""}, "place"),
        ({"place": None}, "place"),
        ({"place": "a\nb"}, "place"),
        ({"place": "?"}, "place"),
        ({"ingress-quota": -1}, "ingress-quota"),
        ({"egress-quota": "1"}, "egress-quota"),
        ({"labels": []}, "labels"),
        ({"labels": [[1]]}, "labels[0]"),
        ({"labels": [[1, 2], [9, 8]]}, "labels[1]"),
        ({"labels": [[1, "2"]]}, "labels[0][1]"),
        ({"labels": [[1, 1 << 24]]}, "labels[0][1]"),
        ({"labels": [1, 2]}, "labels[0]"),
        ({"colour": 1}, "colour"),
    ],
)
def test_a_wrong_field_of_a_terminal_is_named(client, change, field):
    answer = client.post(f"{SLOUGH}/terminals", {"name": "z", "place": "port-9"} | change)
    assert (answer.status, answer.json["field"]) == (422, field)


def test_a_terminal_keeps_the_name_of_its_url(client):
    client("PUT", f"{SLOUGH}/terminals/z", {"name": "y", "place": "p"}).problem(422, "bad-argument", "name")
    client("PUT", f"{SLOUGH}/terminals/a%20b", {"place": "p"}).problem(422, "bad-argument", "name")
    client("PUT", f"{AGGR}/terminals/z", {"place": "nowhere:p"}).problem(422, "subnetwork-unknown", "place")


TRUNK = {"start": "left:p", "end": "right:q", "upstream": 100}


def test_a_trunk_is_made_changed_and_removed(client):
    made = client.post(f"{AGGR}/trunks", TRUNK)
    assert made.status == 201
    assert made.json == {
        "name": "left.p-right.q",
        "start": "left:p",
        "end": "right:q",
        "upstream": 100,
        "downstream": 100,
        "delay": 0,
        "labels": [{"start": 1, "count": 4094, "end": 1}],
        "commissioned": True,
        "upstream-left": 100,
        "downstream-left": 100,
        "labels-left": 4094,
        "services": [],
    }
    client.post(f"{AGGR}/trunks", TRUNK).problem(409, "trunk-exists")
    one = f"{AGGR}/trunks/left.p-right.q"
    changed = client(
        "PATCH", one, {"delay": 1.25, "labels": [{"start": 5, "count": 2}, {"start": 9, "count": 1, "end": 7}]}
    )
    assert (changed.json["delay"], changed.json["upstream"]) == (1.25, 100)
    assert changed.json["labels"] == [{"start": 5, "count": 2, "end": 5}, {"start": 9, "count": 1, "end": 7}]
    assert client("PATCH", one, {"upstream": 50, "commissioned": False}).json["downstream"] == 100
    assert client.get(one).json["delay"] == 1.25
    put = client("PUT", one, TRUNK | {"downstream": 0.001}).json
    assert (put["delay"], put["downstream"], put["commissioned"]) == (0, 0.001, True)
    assert len(client.get(f"{AGGR}/trunks").json["trunks"]) == 1
    assert client("DELETE", one).status == 204
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {})):
        client(method, one, body).problem(404, "trunk-unknown")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"start": "left"}, "bad-argument", "start"),
        ({"start": None}, "bad-argument", "start"),
        ({"end": "right:"}, "bad-argument", "end"),
        ({"end": "left:p"}, "bad-argument", "end"),
        ({"end": "none:q"}, "subnetwork-unknown", "end"),
        ({"start": "left:no-p"}, "terminal-unknown", "start"),
        ({"upstream": None}, "bad-argument", "upstream"),
        ({"upstream": 0.0001}, "bad-argument", "upstream"),
        ({"downstream": []}, "bad-argument", "downstream"),
        ({"delay": -1}, "bad-argument", "delay"),
        ({"delay": 0.0001}, "bad-argument", "delay"),
        ({"delay": 1e-30}, "bad-argument", "delay"),
        ({"delay": 1e9}, "bad-argument", "delay"),
        ({"delay": "1"}, "bad-argument", "delay"),
        ({"commissioned": 1}, "bad-argument", "commissioned"),
        ({"labels": {}}, "bad-argument", "labels"),
        ({"labels": [{"start": 1}]}, "bad-argument", "labels[0].count"),
        ({"labels": [{"start": 1, "count": 0}]}, "bad-argument", "labels[0].count"),
        ({"labels": [{"start": 16777215, "count": 2}]}, "bad-argument", "labels[0].count"),
        ({"labels": [{"start": 1, "count": 1, "stop": 1}]}, "bad-argument", "labels[0].stop"),
    ],
)
def test_a_wrong_field_of_a_trunk_is_named(client, change, code, field):
    client.post(f"{AGGR}/trunks", TRUNK | change).problem(422, code, field)


def test_a_network_offers_only_what_its_kind_has(client):
    client.get(f"{SLOUGH}/trunks").problem(404, "no-trunks")
    client.post(f"{SLOUGH}/trunks", TRUNK).problem(404, "no-trunks")
    client.get(f"{V1}/networks/far/terminals").problem(404, "not-managed")
    assert "tree" not in client.get(client.post(f"{V1}/networks/far/services").headers["location"]).json


def test_a_service_lives(client):
    client.post(f"{AGGR}/trunks", TRUNK)
    answer = client.post(f"{AGGR}/services")
    assert (answer.status, answer.headers["location"]) == (201, f"{AGGR}/services/1")
    assert answer.json == {
        "id": 1,
        "network": "aggr",
        "handle": None,
        "owner": "anonymous",
        "status": "DORMANT",
        "desired": "DORMANT",
        "change": "none",
        "segment": None,
        "constraints": None,
        "error": None,
        "conditions": [],
    }
    one = f"{AGGR}/services/1"
    asked = segment(("a", 1), ("b", 2), rate=2.5)
    assert client.post(f"{one}/define", {"segment": asked}).json["segment"] == asked
    assert client.post(f"{one}/activate").json["status"] == "ACTIVE"
    found = client.get(one).json
    assert found["tree"] == [{"trunk": "left.p-right.q", "label": 7, "upstream": 1, "downstream": 2.5}]
    other = segment(("a", 1), ("b", 2), ("c", 3), rate=2.5)
    assert client.post(f"{one}/prepare", {"segment": other}).json["change"] == "prepared"
    assert client.post(f"{one}/abort").json["change"] == "none"
    assert client.post(f"{one}/commit").json["segment"] == asked
    client.post(f"{one}/prepare", {"segment": other})
    assert client.post(f"{one}/commit").json["segment"] == other
    assert client.post(f"{one}/deactivate").json["status"] == "INACTIVE"
    assert client.post(f"{one}/reset").json["status"] == "DORMANT"
    client.post(f"{one}/prepare", {"segment": other}).problem(409, "service-logic")
    assert client("DELETE", one).json["status"] == "RELEASED"


def test_a_service_that_is_gone(client):
    make(client)
    one = f"{AGGR}/services/1"
    client("DELETE", one)
    for answer in (client("DELETE", one), client.post(f"{one}/release"), client.get(f"{one}/await?status=ACTIVE")):
        assert (answer.status, answer.json["status"], answer.json["id"]) == (200, "RELEASED", 1)
    client.get(one).problem(404, "service-gone")
    client.post(f"{one}/activate").problem(404, "service-gone")
    client("DELETE", f"{AGGR}/services/2").problem(404, "service-unknown")
    client.get(f"{AGGR}/services/2/await?status=ACTIVE").problem(404, "service-unknown")


def test_a_service_is_made_defined_and_activated_in_one_go(client):
    ends = segment(("a", 1), ("b", None))
    made = make(client, handle="osm/1", segment=ends, activate=True)
    assert (made["status"], made["handle"], made["segment"][1]["label"]) == ("ACTIVE", "osm/1", 1)
    again = client.post(f"{AGGR}/services", {"handle": "osm/1"})
    assert (again.status, again.json["id"]) == (200, made["id"])
    refused = client.post(f"{AGGR}/services", {"handle": "osm/2", "segment": segment(("a", 9), ("b", 1))})
    refused.problem(409, "circuit-taken", "segment[1].label")
    assert [s["handle"] for s in client.get(f"{AGGR}/services").json["services"]] == ["osm/1"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({"handle": ""}, "handle"),
        ({"handle": "x" * 257}, "handle"),
        ({"handle": "a\u0000"}, "handle"),
        ({"handle": 7}, "handle"),
        ({"activate": "yes"}, "activate"),
        ({"segment": {}}, "segment"),
        ({"segment": segment(("a", "1"), ("b", 1))}, "segment[0].label"),
        ({"segment": segment(("a", 1), ("none", 1))}, "segment[1].terminal"),
        ({"segment": segment(("a", 1), ("b", 1), rate=0)}, "segment[0].ingress"),
        ({"segment": segment(("a", 1), ("b", 1)), "more": None}, "more"),
        ({"segment": [{"terminal-name": "a"}]}, "segment[0].terminal-name"),
    ],
)
def test_a_wrong_field_of_a_service_is_named(client, body, field):
    answer = client.post(f"{AGGR}/services", body)
    assert (answer.status, answer.json["field"]) == (422, field)
    assert answer.json["detail"].startswith(f"{field}: ") or answer.json["code"] == "terminal-unknown"
    assert client.get(f"{AGGR}/services").json == {"services": []}


def test_of_several_requests_that_make_one_service_only_one_is_told_that_it_is_new(
    client, make_client, broker, monkeypatch
):
    looks = []
    monkeypatch.setattr(broker.aggregator, "find", lambda handle: looks.append(Reply()) or looks[-1])
    body = {"handle": "osm/1"}
    asked = [make_client() for _ in range(4)]
    for one in asked[:3]:
        one.connection.request("POST", f"{AGGR}/services", json.dumps(body))
    both = [{"order": "create", "network": "aggr", **body}] * 2
    asked[3].connection.request("POST", "/api/v1/orders", json.dumps({"orders": both}))
    eventually(lambda: len(looks) == 5)
    for look in looks:
        look.resolve(None)
    statuses = []
    for one in asked:
        response = one.connection.getresponse()
        lines = [json.loads(line) for line in response.read().splitlines()]
        statuses += [line["status"] if "order" in line else response.status for line in lines]
    assert sorted(statuses) == [200, 200, 200, 200, 201]
    assert not len(operations._firsts)
    monkeypatch.undo()
    assert client.post(f"{AGGR}/services", body).status == 200
    client.post(f"{AGGR}/services/1/release")
    eventually(lambda: not broker.aggregator.services())
    assert client.post(f"{AGGR}/services", body).status == 201


def test_who_finds_a_service_does_not_take_from_its_maker_that_it_is_new():
    firsts = Firsts()
    firsts.begin("x")
    firsts.begin("x")
    assert not firsts.end("x", None)
    assert firsts.end("x", 1)
    assert not len(firsts)
    for _ in range(3):
        firsts.begin("x")
    assert [firsts.end("x", id) for id in (1, 2, 1)] == [True, True, False], "an id is new once, and another one again"


def test_services_are_found_by_handle_and_status(client):
    for name in ("x/1", "x/2", "y/1"):
        make(client, handle=name)
    make(client, handle="x/3", segment=segment(("a", 1), ("b", 1)))

    def handles(query):
        return [s["handle"] for s in client.get(f"{AGGR}/services?{query}").json["services"]]

    assert handles("") == ["x/1", "x/2", "y/1", "x/3"]
    assert handles("handle-prefix=x%2F") == ["x/1", "x/2", "x/3"]
    assert handles("status=INACTIVE&handle-prefix=x") == ["x/3"]
    assert handles("status=INACTIVE,ACTIVE&status=DORMANT") == ["x/1", "x/2", "y/1", "x/3"]
    client.get(f"{AGGR}/services?status=busy").problem(422, "bad-argument", "status[0]")
    for i in range(150):
        broker_made = client.post(f"{AGGR}/services", {"handle": f"z/{i}"})
        assert broker_made.status == 201
    assert len(handles("handle-prefix=z/")) == 150


def test_conditions_and_errors_are_shown(client, broker):
    make(client)
    service = broker.aggregator.service(1)
    service.conditions_told = (Condition("unconfirmed", "left", "no contact"),)
    broker.aggregator.late_refusal = True
    one = f"{AGGR}/services/1"
    client.post(f"{one}/define", {"segment": segment(("a", 1), ("b", 1))}).problem(409, "no-capacity")
    found = client.get(one).json
    assert found["conditions"] == [{"kind": "unconfirmed", "where": "left", "text": "no contact"}]
    assert found["error"]["code"] == "no-capacity"
    why = {"network": "aggr", "reason": "no tree has 10000 kbit/s left", "proved": False, "certificate": {}}
    assert found["error"]["facts"] == why


def test_an_await_shows_the_service(client, make_client, broker):
    broker.aggregator.paused = True
    make(client, segment=segment(("a", 1), ("b", 1)), activate=True)
    waiter = make_client()
    waiter.connection.request("GET", f"{AGGR}/services/1/await?status=ACTIVE&status=FAILED&timeout-millis=30000")
    eventually(lambda: broker.aggregator.service(1)._waiters)
    broker.aggregator.go_on()
    assert json.loads(waiter.connection.getresponse().read())["status"] == "ACTIVE"
    client.get(f"{AGGR}/services/1/await").problem(422, "bad-argument", "status")


def test_a_prepare_ends_with_its_reply(client, make_client, broker):
    make(client, segment=segment(("a", 1), ("b", 1)))
    service, reply = broker.aggregator.service(1), Reply()
    service.prepare = lambda segment, caller: reply
    preparer = make_client()
    body = json.dumps({"segment": segment(("a", 1), ("b", 1))})
    preparer.connection.request("POST", f"{AGGR}/services/1/prepare", body)
    eventually(lambda: reply._callbacks)
    reply.fail(Unreachable("left", "no contact"))
    answer = preparer.connection.getresponse()
    assert (answer.status, json.loads(answer.read())["code"]) == (503, "unreachable")


def test_facts_never_hide_the_shape_of_a_problem(client):
    make(client)
    client.post(f"{AGGR}/services/1/define", {"segment": segment(("a", 1), ("b", 1))})
    found = client.post(f"{AGGR}/services/1/define", {"segment": segment(("a", 1), ("b", 2))})
    assert found.problem(409, "service-logic")["command"] == "define"


CONSTRAINTS = {
    "avoid-trunks": ["t2", "t9"],
    "avoid-networks": ["reading"],
    "pass-trunks": ["t1"],
    "pass-networks": ["slough"],
    "max-delay": 12.5,
}


def test_constraints_reach_the_network_and_are_told(client, broker):
    made = client.post(f"{AGGR}/services", {"segment": segment(("a", 1), ("b", 1)), "constraints": CONSTRAINTS})
    assert made.status == 201, made.body
    assert made.json["constraints"] == CONSTRAINTS
    found = broker.network("aggr").service(made.json["id"]).segment.constraints
    assert (found.avoid_trunks, found.pass_networks, found.max_delay) == (("t2", "t9"), ("slough",), 12500)
    few = {"segment": segment(("a", 2), ("b", 2)), "constraints": {"max-delay": 0, "avoid-trunks": []}}
    few = client.post(f"{AGGR}/services", few)
    assert few.json["constraints"] == {"max-delay": 0}


@pytest.mark.parametrize(
    ("constraints", "field"),
    [
        ({"avoid": []}, "constraints.avoid"),
        ({"avoid-trunks": "t1"}, "constraints.avoid-trunks"),
        ({"avoid-trunks": [1]}, "constraints.avoid-trunks[0]"),
        ({"avoid-trunks": ["t1"], "pass-trunks": ["t1"]}, "constraints.pass-trunks"),
        ({"max-delay": -1}, "constraints.max-delay"),
        ({"max-delay": 0.0001}, "constraints.max-delay"),
        ([], "constraints"),
    ],
)
def test_a_wrong_constraint_is_named(client, constraints, field):
    body = {"segment": segment(("a", 1), ("b", 1)), "constraints": constraints}
    code = "segment-invalid" if "pass" in field else "bad-argument"
    client.post(f"{AGGR}/services", body).problem(422, code, field)
