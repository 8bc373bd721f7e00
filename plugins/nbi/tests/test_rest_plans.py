"""What-if over REST: what is asked and what is told, and every fault with its field."""

from __future__ import annotations

import json

import pytest

from dpb_framework.errors import Stopped
from dpb_framework.reply import Reply

from .rest_helpers import eventually

PLANS = "/api/v1/networks/aggr/plans"
TRUNK = {"name": "t1", "start": "left:a", "end": "right:b", "upstream": 10}
NEW = {"start": "left:c", "end": "right:d", "upstream": 5, "downstream": 2.5, "delay": 1.5}


def segment(*terminals, rate=10):
    return [{"terminal": name, "label": 1, "ingress": rate, "egress": rate} for name in terminals]


@pytest.fixture
def planned(client):
    assert client.post("/api/v1/networks/aggr/trunks", TRUNK).status == 201
    return client


def test_one_segment_is_asked_about(planned, broker):
    answer = planned.post(PLANS, {"segment": segment("a", "b"), "constraints": {"max-delay": 2}})
    assert answer.status == 200, answer.body
    assert answer.json == {
        "plans": [
            {
                "fits": True,
                "service": None,
                "tree": [
                    {
                        "trunk": "t1",
                        "upstream": 1,
                        "downstream": 2.5,
                        "upstream-left": 7,
                        "downstream-left": 5,
                        "labels-left": 9,
                    }
                ],
                "chords": ["left:a~b"],
                "networks": ["left", "right"],
                "cost": 12,
                "note": "quick",
                "error": None,
            }
        ]
    }
    (asked,), _ = broker.network("aggr").asked
    assert asked.constraints.max_delay == 2000
    assert not planned.get("/api/v1/networks/aggr/services").json["services"]


def test_several_segments_in_a_scenario(planned, broker):
    body = {
        "segments": [{"segment": segment("a", "b")}, {"segment": segment("a", "c")}],
        "failed": ["t1"],
        "added": [NEW],
    }
    answer = planned.post(PLANS, body)
    assert [plan["fits"] for plan in answer.json["plans"]] == [False, False]
    assert answer.json["plans"][1]["error"]["facts"]["certificate"] == {"terminals": ["a", "c"]}
    _, scenario = broker.network("aggr").asked
    assert scenario.failed == ("t1",)
    assert (scenario.added[0].downstream, scenario.added[0].delay) == (2500, 1500)
    assert planned.post(PLANS, {"failed": ["t1"]}).json == {"plans": []}


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"segments": [{"segment": segment("a", "b")}], "segment": segment("a", "b")}, "bad-argument", "segments"),
        ({"segments": [{"segment": segment("a", "b")}, {}]}, "bad-argument", "segments[1].segment"),
        ({"segments": [{"segment": segment("a", "b", rate=-1)}]}, "bad-argument", "segments[0].segment[0].ingress"),
        ({"segments": [{"segment": segment("a")}]}, "segment-invalid", "segments[0].segment"),
        ({"segment": segment("a", "b"), "constraints": {"max": 1}}, "bad-argument", "constraints.max"),
        ({"failed": ["t1", "t9"]}, "trunk-unknown", "failed[1]"),
        ({"drained": "t1"}, "bad-argument", "drained"),
        ({"drained": [1]}, "bad-argument", "drained[0]"),
        ({"added": [{**NEW, "upstream": -1}]}, "bad-argument", "added[0].upstream"),
        ({"added": [{**NEW, "start": "moon:a"}]}, "subnetwork-unknown", "added[0].start"),
        ({"plans": 1}, "bad-argument", "plans"),
    ],
)
def test_a_wrong_question_is_named(planned, body, code, field):
    planned.post(PLANS, body).problem(422, code, field)


def test_a_trunk_that_is_there_cannot_be_added(planned):
    planned.post(PLANS, {"added": [{**NEW, "name": "t1"}]}).problem(409, "trunk-exists", "added[0]")


def test_a_switch_has_no_trunks_to_plan_with(client):
    client.post("/api/v1/networks/slough/plans", {"segment": segment("x", "y")}).problem(404, "no-trunks")


def test_a_segment_has_a_thousand_ends_at_most(client, broker):
    ends = [{"terminal": "a", "label": i + 1, "ingress": 0.001, "egress": 0.001} for i in range(1001)]
    found = client.post(PLANS, {"segment": ends}).problem(422, "bad-argument", "segment")
    assert found["detail"] == "segment: a segment has 1000 ends at most, 1001 given"
    services = "/api/v1/networks/aggr/services"
    client.post(services, {"segment": ends}).problem(422, "bad-argument", "segment")
    assert client.post(services, {"segment": ends[:1000]}).status == 201


def test_nothing_is_planned_for_a_client_that_has_gone(make_client, broker, monkeypatch):
    asked = []
    monkeypatch.setattr(broker.aggregator, "plan", lambda segments, scenario: asked.append(Reply()) or asked[0])
    client = make_client()
    client.connection.request("POST", PLANS, json.dumps({"segment": segment("a", "b")}))
    eventually(lambda: asked)
    assert not asked[0].settled
    client.close()
    eventually(lambda: asked[0].settled)
    assert isinstance(asked[0].error, Stopped)


def test_a_question_ends_with_the_server(nbi, make_client, broker, monkeypatch):
    asked = []
    monkeypatch.setattr(broker.aggregator, "plan", lambda segments, scenario: asked.append(Reply()) or asked[0])
    client = make_client()
    client.connection.request("POST", PLANS, json.dumps({"segment": segment("a", "b")}))
    eventually(lambda: asked)
    nbi.stop()
    assert client.connection.getresponse().status == 503
    assert asked[0].settled
