"""The interface of the first broker, answer for answer."""

from __future__ import annotations

import json

import pytest

from .rest_helpers import eventually


def ends(*circuits, rate=10.0):
    return {"segment": [{"terminal-name": t, "label": n, "ingress-bw": rate, "egress-bw": rate} for t, n in circuits]}


def create(client):
    answer = client.post("/network/aggr/create-service")
    assert answer.status == 200
    assert list(answer.json) == ["service-id"]
    return answer.json["service-id"]


def test_a_service_lives_as_the_first_brokers_clients_expect(client):
    assert client.get("/network/aggr/services").json == {"service-ids": []}
    id_ = create(client)
    root = f"/network/aggr/service/{id_}"
    for method, path, body in [
        ("PUT", "define", ends(("a", 320), ("b", "321"))),
        ("POST", "define", ends(("a", 320), ("b", 321))),
        ("POST", "activate", None),
    ]:
        answer = client(method, f"{root}/{path}", body)
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"{}", "application/json")
    wish = {"acceptable": ["ACTIVE", "FAILED"], "timeout-millis": 10000}
    assert client.post(f"{root}/await-status", wish).json == {"status": "ACTIVE"}
    assert client.get("/network/aggr/services").json == {"service-ids": [id_]}
    assert client.post(f"{root}/deactivate").body == b"{}"
    assert client.get(f"{root}/await-status?acceptable=INACTIVE&acceptable=FAILED&timeout-millis=9000").json == {
        "status": "INACTIVE"
    }
    assert client.post(f"{root}/activate", "rubbish {").body == b"{}"
    assert client.get(f"{root}/await-status?acceptable=ACTIVE,FAILED").json == {"status": "ACTIVE"}
    assert client.post(f"{root}/reset").body == b"{}"
    assert client.post(f"{root}/await-status?acceptable=DORMANT&timeout-millis=5").json == {"status": "DORMANT"}
    assert client.post(f"{root}/release").body == b"{}"
    assert client.get("/network/aggr/services").json == {"service-ids": []}


def test_a_service_that_is_gone_answers_release_and_await_only(client):
    id_ = create(client)
    root = f"/network/aggr/service/{id_}"
    assert client.post(f"{root}/release").status == 200
    assert client.post(f"{root}/release").status == 200
    assert client.post(f"{root}/await-status", {"acceptable": ["ACTIVE"]}).json == {"status": "RELEASED"}
    for command in ("activate", "deactivate", "reset"):
        client.post(f"{root}/{command}").problem(404, "service-gone")
    client.post(f"{root}/define", ends(("a", 1), ("b", 1))).problem(404, "service-gone")
    assert create(client) != id_


def test_a_rate_is_a_whole_number_of_kbits(client, broker):
    root = f"/network/aggr/service/{create(client)}"
    body = (
        '{"segment": [{"terminal-name": "a", "label": 1, "ingress-bw": 0.1, "egress-bw": %s},'
        ' {"terminal-name": "b", "ingress-bw": 1e1, "egress-bw": 0}]}'
    )
    client.post(f"{root}/define", body % "10.0005").problem(422, "bad-argument", "segment[0].egress-bw")
    assert client.post(f"{root}/define", body % "10.005").status == 200
    flows = [end.flow for end in broker.aggregator.service(1).segment.ends]
    assert [(flow.ingress, flow.egress) for flow in flows] == [(100, 10005), (10000, 0)]


def test_a_label_left_out_or_null_is_chosen(client, broker):
    root = f"/network/aggr/service/{create(client)}"
    body = ends(("a", None), ("b", 7))
    del body["segment"][0]["label"]
    assert client.post(f"{root}/define", body).status == 200
    assert [end.circuit.label for end in broker.aggregator.service(1).segment.ends] == [1, 7]


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"terminal-name": 7}, "bad-argument", "segment[1].terminal-name"),
        ({"terminal-name": "nowhere"}, "terminal-unknown", "segment[1].terminal-name"),
        ({"label": True}, "bad-argument", "segment[1].label"),
        ({"label": "x"}, "bad-argument", "segment[1].label"),
        ({"label": "-1"}, "bad-argument", "segment[1].label"),
        ({"label": 1 << 24}, "bad-argument", "segment[1].label"),
        ({"label": 1.5}, "bad-argument", "segment[1].label"),
        ({"label": []}, "bad-argument", "segment[1].label"),
        ({"ingress-bw": "10"}, "bad-argument", "segment[1].ingress-bw"),
        ({"ingress-bw": True}, "bad-argument", "segment[1].ingress-bw"),
        ({"ingress-bw": None}, "bad-argument", "segment[1].ingress-bw"),
        ({"ingress-bw": -1}, "bad-argument", "segment[1].ingress-bw"),
        ({"ingress-bw": 10**400}, "bad-argument", "segment[1].ingress-bw"),
        ({"egress-bw": {}}, "bad-argument", "segment[1].egress-bw"),
        ({"ingress-bw": 0, "egress-bw": 0}, "segment-invalid", "segment[1].ingress-bw"),
        ({"bandwidth": 10}, "bad-argument", "segment[1].bandwidth"),
        ({"terminal-name": "a", "label": 1}, "segment-invalid", "segment[1]"),
    ],
)
def test_a_wrong_field_is_named(client, change, code, field):
    root = f"/network/aggr/service/{create(client)}"
    body = ends(("a", 1), ("b", 1))
    body["segment"][1].update(change)
    client.post(f"{root}/define", body).problem(422, code, field)
    assert client.post(f"{root}/define", ends(("a", 1), ("b", 1))).status == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ("7", "body"),
        ({}, "segment"),
        ({"segment": None}, "segment"),
        ({"segment": []}, "segment"),
        ({"segment": [7, 7]}, "segment[0]"),
        ({"segment": [{}, {}]}, "segment[0].terminal-name"),
        ({"segment": [], "more": 1}, "more"),
    ],
)
def test_a_body_of_another_shape_is_refused(client, body, field):
    answer = client.post(f"/network/aggr/service/{create(client)}/define", body)
    assert answer.status == 422
    assert answer.json["field"] == field


@pytest.mark.parametrize(
    "body",
    [
        None,
        "",
        "  ",
        "{",
        '{"segment": [], "segment": []}',
        b'{"segment": "\xff"}',
        b"\xef\xbb\xbf{}",
        '{"segment": "\\ud800"}',
        "[" * 200_000,
        '{"a":' * 200_000,
        "{} {}",
        "'segment'",
    ],
)
def test_what_is_no_json_is_400(client, body):
    client.post(f"/network/aggr/service/{create(client)}/define", body).problem(400, "bad-json")


def test_numbers_without_measure_are_refused_in_time(client):
    root = f"/network/aggr/service/{create(client)}"
    for number in (
        "9" * 41,
        "9" * 4_300,
        "9" * 4_301,
        "9" * 500_000,
        "1e999999999",
        "1e99999999999999999999999",
        "-1e-999999999",
        "0." + "0" * 500_000 + "1",
    ):
        body = f'{{"segment": [{{"terminal-name": "a", "label": {number}, "ingress-bw": 1, "egress-bw": 1}}]}}'
        client.post(f"{root}/define", body).problem(422, "bad-argument", "segment[0].label")
        body = f'{{"segment": [{{"terminal-name": "a", "label": 1, "ingress-bw": {number}, "egress-bw": 1}}]}}'
        client.post(f"{root}/define", body).problem(422, "bad-argument", "segment[0].ingress-bw")


def test_no_capacity_and_a_taken_circuit_are_409_with_the_reason(client, broker):
    broker.aggregator.capacity = 50_000
    first, second = create(client), create(client)
    assert client.post(f"/network/aggr/service/{first}/define", ends(("a", 1), ("b", 1))).status == 200
    root = f"/network/aggr/service/{second}"
    taken = client.post(f"{root}/define", ends(("c", 1), ("b", 1))).problem(409, "circuit-taken", "segment[1].label")
    assert (taken["service"], taken["terminal"], taken["label"]) == (first, "b", 1)
    client.post(f"{root}/define", ends(("c", 1), ("b", 2), rate=51)).problem(409, "no-capacity")
    broker.aggregator.late_refusal = True
    late = client.post(f"{root}/define", ends(("c", 1), ("b", 2))).problem(409, "no-capacity")
    assert late["reason"] == "no tree has 10000 kbit/s left"
    broker.aggregator.late_refusal = False
    assert client.post(f"{root}/define", ends(("c", 1), ("b", 2))).status == 200
    client.post(f"{root}/define", ends(("c", 1), ("b", 3))).problem(409, "service-logic")


def test_unknown_things_are_404(client):
    client.get("/network/none/services").problem(404, "no-network")
    client.post("/network/none/create-service").problem(404, "no-network")
    client.post("/network/aggr/service/77/activate").problem(404, "service-unknown")
    for text in ("x", "-1", "1.0", "%31%20", "%D9%A3", "9" * 30, "0x1"):
        client.post(f"/network/aggr/service/{text}/release").problem(404, "service-unknown")
    client.get("/").problem(404, "no-route")
    client.get("/network/aggr").problem(404, "no-route")
    client.post("/network/aggr/service//activate").problem(404, "service-unknown")


def test_a_wrong_method_is_405_and_tells_the_right_ones(client):
    answer = client.get("/network/aggr/create-service")
    answer.problem(405, "wrong-method")
    assert set(answer.headers["allow"].split(", ")) == {"POST", "OPTIONS"}
    answer = client("DELETE", "/network/aggr/service/1/define")
    assert set(answer.headers["allow"].split(", ")) == {"POST", "PUT", "OPTIONS"}
    answer = client("PROPFIND", "/network/aggr/services")
    answer.problem(405, "wrong-method")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    head = client("HEAD", "/network/aggr/services")
    assert (head.status, head.body) == (200, b"")
    assert client("OPTIONS", "/network/aggr/services").headers["allow"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "acceptable"),
        ({"acceptable": []}, "acceptable"),
        ({"acceptable": "ACTIVE"}, "acceptable"),
        ({"acceptable": ["ACTIVE", "active"]}, "acceptable[1]"),
        ({"acceptable": ["ACTIVE"], "timeout-millis": -1}, "timeout-millis"),
        ({"acceptable": ["ACTIVE"], "timeout-millis": 3600001}, "timeout-millis"),
        ({"acceptable": ["ACTIVE"], "timeout-millis": "5"}, "timeout-millis"),
        ({"acceptable": ["ACTIVE"], "timeout-millis": False}, "timeout-millis"),
        ({"acceptable": ["ACTIVE"], "timeout": 1}, "timeout"),
    ],
)
def test_an_await_that_asks_wrongly_is_refused(client, body, field):
    client.post(f"/network/aggr/service/{create(client)}/await-status", body).problem(422, "bad-argument", field)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("timeout-millis=5", "acceptable"),
        ("acceptable=", "acceptable[0]"),
        ("acceptable=ACTIVE,BUSY", "acceptable[1]"),
        ("acceptable=ACTIVE&timeout-millis=-5", "timeout-millis"),
        ("acceptable=ACTIVE&timeout-millis=5&timeout-millis=6", "timeout-millis"),
    ],
)
def test_a_query_that_asks_wrongly_is_refused(client, query, field):
    client.get(f"/network/aggr/service/{create(client)}/await-status?{query}").problem(422, "bad-argument", field)


def test_an_await_is_over_in_time_or_when_the_status_comes(client, make_client, broker):
    broker.aggregator.paused = True
    root = f"/network/aggr/service/{create(client)}"
    service = broker.aggregator.service(1)
    assert client.get(f"{root}/await-status?acceptable=ACTIVE&timeout-millis=0").json == {"status": "DORMANT"}
    assert client.get(f"{root}/await-status?acceptable=ACTIVE&timeout-millis=1").json == {"status": "DORMANT"}
    waiter, definer = make_client(), make_client()
    waiter.connection.request("GET", f"{root}/await-status?acceptable=ACTIVE&timeout-millis=60000")
    eventually(lambda: len(service._waiters) == 2)
    definer.connection.request("POST", f"{root}/define", json.dumps(ends(("a", 1), ("b", 1))))
    eventually(lambda: service.status.value == "ESTABLISHING")
    assert client.post(f"{root}/activate").body == b"{}"
    broker.aggregator.go_on()
    assert definer.connection.getresponse().read() == b"{}"
    assert waiter.connection.getresponse().read() == b'{"status":"ACTIVE"}'


def test_a_body_that_is_too_long_is_413_on_a_connection_that_lives(client):
    root = f"/network/aggr/service/{create(client)}"
    client.post(f"{root}/define", " " * 1_000_001).problem(413, "too-large")
    client.connection.request(
        "POST", f"{root}/define", iter([b" " * 100_000] * 20), {"Transfer-Encoding": "chunked"}, encode_chunked=True
    )
    answer = client.connection.getresponse()
    assert (answer.status, answer.read()[:9]) == (413, b'{"type":"')
    client.post(f"{root}/define", " " * 1_000_000).problem(400, "bad-json")
    client.connection.request(
        "POST", f"{root}/define", iter([b"{", b"}"]), {"Transfer-Encoding": "chunked"}, encode_chunked=True
    )
    answer = client.connection.getresponse()
    assert (answer.status, b'"segment"' in answer.read()) == (422, True)


def test_a_name_is_written_with_percents(client):
    id_ = create(client)
    body = ends(("Zürich", 1), ("b", 1))
    assert client.post(f"/network/%61ggr/service/{id_}/define", body).status == 200


def test_an_unforeseen_fault_is_a_problem_and_a_line_in_the_log(client, broker, caplog):
    def broken(caller, handle=None, segment=None):
        raise ZeroDivisionError("secret")

    broker.aggregator.create = broken
    answer = client.post("/network/aggr/create-service")
    assert "secret" not in answer.problem(500, "internal")["detail"]
    assert "POST /network/aggr/create-service failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert client.get("/network/aggr/services").status == 200


def test_a_broker_that_stops_says_so(client, broker):
    broker.stopped = True
    client.post("/network/aggr/create-service").problem(503, "stopped")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("field", ["ingress-bw", "egress-bw", "label"])
def test_what_is_no_number_is_refused_with_its_field(client, number, field):
    ends = ['{"terminal-name": "a", "label": 1, "ingress-bw": 1, "egress-bw": 1}'] * 2
    ends[1] = ends[1].replace(f'"{field}": 1', f'"{field}": {number}')
    body = f'{{"segment": [{", ".join(ends)}]}}'
    one = f"/network/aggr/service/{create(client)}"
    client.post(f"{one}/define", body).problem(422, "bad-argument", f"segment[1].{field}")
    client.post(f"{one}/define", '{"segment": NaN}').problem(422, "bad-argument", "segment")
