"""Many orders by one request: each is answered as its own request would be, whatever becomes of the others."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import contextmanager

import pytest
from dpb_nbi import RestNbi, pending, server

from dpb_framework.broker import Broker
from dpb_framework.config import parse
from dpb_framework.errors import Unreachable
from dpb_framework.model import ANYBODY, Condition
from dpb_framework.reply import Reply

from .access_helpers import Guarded
from .conftest import Client
from .fake_network import FakeBroker
from .rest_helpers import eventually
from .test_rest_mirror import Reader
from .test_rest_real_broker import configuration

V1 = "/api/v1"
ORDERS = f"{V1}/orders"
MOST = 256
"""How many orders one request may have."""
NDJSON = "application/x-ndjson"


def ends(label=1, terminals="ab", rate=1):
    return [{"terminal": name, "label": label, "ingress": rate, "egress": rate} for name in terminals]


def order(name, network="aggr", service=None, **more):
    about = {} if service is None else {"service": service}
    return {"order": name, "network": network, **about, **more}


def read(line):
    """What a line says, once it is seen to be one."""
    found = json.loads(line)
    told = "problem" if found["status"] >= 400 else "service"
    assert list(found) == ["order", "status", "moment", told], found
    if told == "problem":
        assert found["problem"]["status"] == found["status"]
        assert found["problem"]["type"] == "about:blank"
    return found


def lines_of(body, count):
    """The lines of an answer, each order's in its place; they came with growing moments."""
    assert body.endswith(b"\n")
    found = [read(line) for line in body.splitlines()]
    moments = [line["moment"] for line in found]
    assert moments == sorted(set(moments))
    assert sorted(line["order"] for line in found) == list(range(count))
    return sorted(found, key=lambda line: line["order"])


def give(client, *orders):
    answer = client.post(ORDERS, {"orders": orders})
    assert (answer.status, answer.headers["content-type"]) == (200, NDJSON), answer.body
    return lines_of(answer.body, len(orders))


def alone(client, wanted):
    """Give the order by its own request."""
    body = {name: value for name, value in wanted.items() if name not in ("order", "network", "service")}
    path = f"{V1}/networks/{wanted['network']}/services"
    if wanted["order"] != "create":
        path += f"/{wanted['service']}/{wanted['order']}"
    if wanted["order"] in ("define", "prepare"):
        body["wait"] = False
    return client.post(path, body)


class Stream:
    """Orders whose answer is read line by line."""

    def __init__(self, client, *orders):
        self.connection = client.connection
        self.connection.request("POST", ORDERS, json.dumps({"orders": orders}))
        self._response = None

    @property
    def response(self):
        if self._response is None:
            self._response = self.connection.getresponse()
            assert (self._response.status, self._response.headers["content-type"]) == (200, NDJSON)
        return self._response

    def line(self):
        return read(self.response.readline())

    def rest(self):
        return [read(line) for line in self.response.read().splitlines()]

    def drop(self):
        """Go away in the middle of the answer."""
        if self._response is not None:
            self._response.close()
        self.connection.close()


def idle(nbi):
    """Whether no request is under way."""
    return not nbi._server.server_state.tasks


def turn_over(nbi):
    """Wait until the server's loop has done what was queued in it, and what that has queued."""
    over, loop = threading.Event(), nbi._server._loop
    loop.call_soon_threadsafe(loop.call_soon, over.set)
    assert over.wait(20)


def services(broker):
    return [(network.name, s.id, s.status.value) for network in broker.networks() for s in network.services()]


def put_off(service, command):
    """Let the next such command to *service* end when the test says so; return its reply."""
    reply = Reply()
    setattr(service, command, lambda *_: reply)
    return reply


@contextmanager
def held(network, name):
    """Let such calls of *network* hold their worker; yields what tells that one does."""
    there, go_on, true = threading.Event(), threading.Event(), getattr(network, name)

    def slow(*args, **kwargs):
        there.set()
        assert go_on.wait(20)
        return true(*args, **kwargs)

    setattr(network, name, slow)
    try:
        yield there
    finally:
        go_on.set()


# -- as its own request -------------------------------------------------------------------------


@contextmanager
def served():
    """A client of a broker of its own."""
    broker = FakeBroker()
    nbi = RestNbi(port=0)
    nbi.start(broker)
    client = Client(nbi.address)
    client.broker = broker
    yield client
    client.close()
    nbi.stop()
    broker.close()


@pytest.fixture
def twin():
    """A client of a second broker, where each order is given by its own request."""
    with served() as client:
        yield client


CONSTRAINTS = {"avoid-trunks": ["t2"], "max-delay": 12.5}
FOUR = [
    order("create", segment=ends(1)),
    order("create", segment=ends(2)),
    order("create"),
    order("create", "slough", segment=ends(1, "xy")),
]
"""Services 1 to 3 of the aggregator, and 1 of the switch; the third is dormant."""
PREPARED = [
    FOUR,
    [order("prepare", service=1, segment=ends(3, "abc")), order("prepare", "slough", 1, segment=ends(7, "xy"))],
]
ACTIVE = [FOUR, [order("activate", service=1), order("activate", "slough", 1), order("activate", service=3)]]

LIVES = {
    "create": [
        [
            order("create"),
            order("create", handle="osm/1"),
            order("create", segment=ends(1), constraints=CONSTRAINTS),
            order("create", handle="Zürich ✓", segment=ends(None, ("a", "Zürich"), 2.5)),
            order("create", handle=None, segment=None, constraints=None),
            order("create", "slough", segment=ends(1, "xy")),
            order("create", "far", handle="osm/1"),
        ]
    ],
    "the same handle": [
        [order("create", handle="h"), order("create", handle="h"), order("create", "slough", handle="h")],
        [order("create", handle="h"), order("create", "far", handle="h"), order("create", "slough", handle="h")],
        [order("create", handle="h", segment=ends(4)), order("create", "far", handle="h")],
    ],
    "define": [
        FOUR,
        [
            order("define", service=3, segment=ends(9, "abc"), constraints=CONSTRAINTS),
            order("define", service=1, segment=ends(1)),  # what it is already
            order("define", service=2, segment=ends(8)),
            order("define", "slough", 1, segment=ends(1, "xy"), constraints=None),
        ],
    ],
    "activate and deactivate": [
        *ACTIVE,
        [order("activate", service=1), order("deactivate", "slough", 1), order("deactivate", service=2)],
        [order("deactivate", service=1), order("deactivate", service=3)],
    ],
    "prepare and commit": [
        *PREPARED,
        [order("commit", service=1), order("commit", "slough", 1), order("commit", service=2)],
    ],
    "prepare and abort": [
        *PREPARED,
        [order("abort", service=1), order("abort", "slough", 1), order("abort", service=3)],
    ],
    "prepare what cannot be": [
        FOUR,
        [order("prepare", service=3, segment=ends(5)), order("prepare", service=1, segment=ends(2))],
    ],
    "reset": [*ACTIVE, [order("reset", service=1), order("reset", service=2), order("reset", service=3)]],
    "release": [
        *ACTIVE,
        [order("release", service=1), order("release", service=3), order("release", "slough", 1)],
        # What is gone is released, and nothing else.
        [
            order("release", service=1),
            order("activate", service=1),
            order("define", service=1, segment=ends(1)),
            order("prepare", service=3, segment=ends(1)),
            order("release", "slough", 1),
            order("release", service=9),
            order("release", "nowhere", 1),
        ],
    ],
    "refused": [
        FOUR,
        [
            order("create", segment=ends(1)),
            order("create", handle="h", segment=ends(1, "aa")),
            order("create", "slough", segment=ends(1, "ab")),
            order("define", service=3, segment=ends(2)),
            order("define", service=2, segment=ends(4095)),
            order("prepare", service=1, segment=ends(6, ("a", "none"))),
            order("create", "nowhere", handle="h"),
            order("activate", service=99),
            order("commit", "far", 1),
        ],
    ],
}


@pytest.mark.parametrize("life", LIVES)
def test_each_order_is_answered_as_its_own_request(client, broker, twin, life):
    for batch in LIVES[life]:
        for line, wanted in zip(give(client, *batch), batch, strict=True):
            own = alone(twin, wanted)
            told = line.get("service") or line["problem"]
            assert (line["status"], told) == (own.status, own.json), wanted
    assert services(broker) == services(twin.broker)


def test_a_define_that_is_refused_later_is_answered_as_its_own_request(client, broker, twin):
    for found in (broker, twin.broker):
        found.aggregator.create(ANYBODY)
        found.aggregator.late_refusal = True
    wanted = order("define", service=1, segment=ends())
    (line,), own = give(client, wanted), alone(twin, wanted)
    assert (line["status"], line["service"]) == (own.status, own.json)
    assert line["service"]["error"]["code"] == "no-capacity"


def test_a_handle_twice_in_one_request_makes_one_service(client, broker):
    lines = give(client, *[order("create", handle="h") for _ in range(20)])
    assert [line["status"] for line in lines] == [201] + [200] * 19
    assert {line["service"]["id"] for line in lines} == {1}
    assert services(broker) == [("aggr", 1, "DORMANT")]


def test_moments_grow_from_answer_to_answer(client):
    first = give(client, order("create"), order("create"))
    own = int(client.get(f"{V1}/networks/aggr/services").headers["dpb-moment"])
    second = give(client, order("create"))
    assert max(line["moment"] for line in first) < own < second[0]["moment"]


def test_a_release_twice_in_one_request_is_fine_twice(client, broker):
    give(client, order("create", segment=ends()))
    lines = give(client, order("release", service=1), order("release", service=1))
    assert [(line["status"], line["service"]["status"]) for line in lines] == [(200, "RELEASED")] * 2
    assert services(broker) == []


def test_as_many_as_may_be_are_answered(client, broker):
    lines = give(client, *[order("create", ("aggr", "slough", "far")[i % 3]) for i in range(MOST)])
    assert {line["status"] for line in lines} == {201}
    assert len(services(broker)) == MOST


# -- refusals of one ----------------------------------------------------------------------------

RAW = "\N{BLACK SQUARE}"
"""Stands, with a number of JSON after it, for that number as it is."""
WRONG = [
    # What is no order.
    (None, "bad-argument", "body"),
    (7, "bad-argument", "body"),
    ("create", "bad-argument", "body"),
    ([], "bad-argument", "body"),
    ([order("create")], "bad-argument", "body"),
    ({}, "bad-argument", "order"),
    ({"network": "aggr"}, "bad-argument", "order"),
    (order("destroy", service=1), "bad-argument", "order"),
    (order("CREATE"), "bad-argument", "order"),
    (order("read", service=1), "bad-argument", "order"),
    (order("batch"), "bad-argument", "order"),
    (order(None), "bad-argument", "order"),
    (order(7), "bad-argument", "order"),
    (order(["create"]), "bad-argument", "order"),
    (order({"create": 1}), "bad-argument", "order"),
    (order("x" * 5000), "bad-argument", "order"),
    # Fields.
    ({"order": "create"}, "bad-argument", "network"),
    (order("create", None), "bad-argument", "network"),
    (order("create", ["aggr"]), "bad-argument", "network"),
    (order("create", service=1), "bad-argument", "service"),
    (order("create", activate=True), "bad-argument", "activate"),
    (order("create", handle=""), "bad-argument", "handle"),
    (order("create", handle="x" * 257), "bad-argument", "handle"),
    (order("create", handle="a\0"), "bad-argument", "handle"),
    (order("create", constraints=CONSTRAINTS), "bad-argument", "segment"),
    (order("create", segment={}), "bad-argument", "segment"),
    (order("create", **{"x" * 5000: 1}), "bad-argument", repr("x" * 60)),
    (order("activate"), "bad-argument", "service"),
    (order("activate", service=1, segment=ends()), "bad-argument", "segment"),
    (order("release", service=1, handle="h"), "bad-argument", "handle"),
    (order("define", service=1), "bad-argument", "segment"),
    (order("define", service=1, segment=None), "bad-argument", "segment"),
    (order("define", service=1, segment=ends(), wait=False), "bad-argument", "wait"),
    (order("prepare", service=1, segment=ends(5), handle="h"), "bad-argument", "handle"),
    (order("prepare", service=1, segment=ends(5), constraints=[]), "bad-argument", "constraints"),
    *(
        (order("release", service=service), "bad-argument", "service")
        for service in ("1", True, -1, 1.5, [1], 10**18, f"{RAW}1e400", f"{RAW}NaN", f"{RAW}-Infinity")
    ),
    ({"order": "release", "network": "aggr", "service": None}, "bad-argument", "service"),
    # Numbers that are none, or too great.
    *(
        (order("create", segment=ends(5, rate=f"{RAW}{rate}")), "bad-argument", "segment[0].ingress")
        for rate in ("NaN", "Infinity", "-Infinity", "-1", "1e999999999", "1e-999999999", "9" * 5000, "0.0001")
    ),
    (order("create", segment=ends(f"{RAW}1e99")), "bad-argument", "segment[0].label"),
    (order("define", service=1, segment=ends(5, rate="1")), "bad-argument", "segment[0].ingress"),
    # What the networks say.
    (order("create", "nowhere"), "no-network", None),
    (order("activate", "no\nwhere", 1), "no-network", None),
    (order("activate", service=10**6), "service-unknown", None),
    (order("release", service=10**6), "service-unknown", None),
    (order("define", service=10**18 - 1, segment=ends(5)), "service-unknown", None),
    (order("activate", service=2), "service-gone", None),
    (order("define", service=2, segment=ends(5)), "service-gone", None),
    (order("prepare", service=2, segment=ends(5)), "service-gone", None),
    (order("create", segment=ends(5, ("a", "none"))), "terminal-unknown", "segment[1].terminal"),
    (order("prepare", service=1, segment=ends(5, ("none", "a"))), "terminal-unknown", "segment[0].terminal"),
    (order("create", segment=[*ends(5, "c"), *ends(1, "a")]), "circuit-taken", "segment[1].label"),
    (order("create", segment=ends(5000)), "labels-unavailable", "segment[0].label"),
    (order("define", service=1, segment=ends(5)), "service-logic", None),
]
STATUSES = {"no-network": 404, "service-unknown": 404, "service-gone": 404, "circuit-taken": 409, "service-logic": 409}


def written(orders):
    """The body; numbers after RAW stand in it as they are, whatever they are."""
    parts = json.dumps({"orders": orders}).split(json.dumps(RAW)[:-1])
    return parts[0] + "".join(part.replace('"', "", 1) for part in parts[1:])


@pytest.fixture(scope="module")
def lasting():
    """A client of a broker that many tests share: service 1 of `aggr` has a segment, 2 is gone."""
    with served() as client:
        give(client, order("create", segment=ends(1)), order("create"))
        give(client, order("release", service=2))
        yield client


@pytest.mark.parametrize(("wrong", "code", "field"), WRONG)
def test_what_is_refused_leaves_the_other_orders_alone(lasting, wrong, code, field):
    before = lasting.broker.aggregator.service(1).view()
    count = len(services(lasting.broker))
    body = written([order("create", "slough"), wrong, order("create"), wrong, order("create", "far")])
    answer = lasting.post(ORDERS, body)
    assert answer.status == 200, answer.body
    lines = lines_of(answer.body, 5)
    assert [line["status"] for line in lines[::2]] == [201] * 3
    for line in lines[1::2]:
        assert (line["problem"]["code"], line["problem"].get("field")) == (code, field), line
        assert line["status"] == STATUSES.get(code, 422)
        assert len(json.dumps(line)) < 1000
    assert lasting.broker.aggregator.service(1).view() == before
    assert len(services(lasting.broker)) == count + 3
    give(
        lasting,
        *[order("release", network=line["service"]["network"], service=line["service"]["id"]) for line in lines[::2]],
    )


def test_all_refusals_in_one_request(lasting):
    wrong, count = [wrong for wrong, _, _ in WRONG], len(services(lasting.broker))
    answer = lasting.post(ORDERS, written([*wrong, order("create")]))
    *refused, made = lines_of(answer.body, len(wrong) + 1)
    assert [line["problem"]["code"] for line in refused] == [code for _, code, _ in WRONG]
    assert made["status"] == 201
    assert len(services(lasting.broker)) == count + 1


def test_a_fault_that_nobody_foresaw_is_one_orders(client, broker, caplog):
    give(client, *FOUR)

    def fail(caller):
        raise RuntimeError("a secret of the house")

    broker.aggregator.service(1).activate = fail
    lines = give(client, *[order("activate", service=i) for i in (2, 1, 3)], order("activate", "slough", 1))
    assert [line["status"] for line in lines] == [200, 500, 200, 200]
    assert lines[1]["problem"]["code"] == "internal"
    assert "secret" not in json.dumps(lines)
    assert "a secret of the house" in caplog.text


def test_a_service_that_cannot_be_told_of_has_its_line_too(client, broker):
    give(client, *FOUR)

    def view():
        raise Unreachable("left", "no contact")

    broker.aggregator.service(1).view = view
    lines = give(client, *[order("activate", service=i) for i in (1, 2)])
    assert [line["status"] for line in lines] == [503, 200]
    assert lines[0]["problem"]["code"] == "unreachable"


def test_a_refusal_that_comes_late_names_its_field(client, broker):
    give(client, *FOUR)
    first = put_off(broker.aggregator.service(1), "prepare")
    stream = Stream(client, order("prepare", service=1, segment=ends(3, "abc")), order("activate", service=2))
    assert stream.line()["order"] == 1
    with pytest.raises(Exception, match="taken") as caught:
        broker.aggregator.admit(broker.aggregator.service(2).segment, broker.aggregator.service(1))
    first.fail(caught.value)
    (line,) = stream.rest()
    assert (line["order"], line["status"], line["problem"]["code"]) == (0, 409, "circuit-taken")
    assert broker.aggregator.service(1)._watchers == []


def test_a_prepare_that_is_refused_is_told_so_after_one_that_was_not(nbi, client, broker):
    """That the change before it is under way says nothing of this one."""
    give(client, *FOUR)
    service, there, go_on = broker.aggregator.service(1), threading.Event(), threading.Event()
    true = service.prepare

    def prepare(segment, caller):
        if service.change.value == "prepared":
            there.set()
            assert go_on.wait(20)
        return true(segment, caller)

    service.prepare = prepare
    wanted = [order("prepare", service=1, segment=ends(label)) for label in (5, 2)]
    stream = Stream(client, *wanted)
    first = stream.line()
    assert (first["order"], first["status"], first["service"]["change"]) == (0, 200, "prepared")
    assert there.wait(20)
    turn_over(nbi)
    go_on.set()
    (second,) = stream.rest()
    assert (second["order"], second["status"]) == (1, 409)
    own = alone(client, wanted[1])
    own.problem(409, "circuit-taken", "segment[0].label")
    assert second["problem"] == own.json
    eventually(lambda: not service._watchers)


def test_a_broker_that_stops_refuses_every_order(client, broker):
    give(client, *FOUR)
    broker.stopped = True
    wanted = [order("create"), order("create", "far"), order("prepare", service=1, segment=ends(9))]
    lines = give(client, *wanted)
    assert [(line["status"], line["problem"]["code"]) for line in lines] == [(503, "stopped")] * 3
    assert lines[2]["problem"] == alone(client, wanted[2]).json
    assert broker.aggregator.service(1)._watchers == []


# -- refusals of all ----------------------------------------------------------------------------

ONE = order("create")
WHOLE = {
    "no body": (None, 400, "bad-json", None),
    "nothing": ("", 400, "bad-json", None),
    "half an object": ('{"orders": [', 400, "bad-json", None),
    "two values": (json.dumps({"orders": [ONE]}) * 2, 400, "bad-json", None),
    "no UTF-8": (b'{"orders": ["\xff"]}', 400, "bad-json", None),
    "a name twice": ('{"orders": [{"order": "create", "network": "aggr", "network": "far"}]}', 400, "bad-json", None),
    "half a pair": ('{"orders": [{"order": "create", "network": "\\ud800"}]}', 400, "bad-json", None),
    "too deep": ('{"orders": [' + "[" * 100_000 + "]" * 100_000 + "]}", 400, "bad-json", None),
    "a list": ([ONE], 422, "bad-argument", "body"),
    "null": ("null", 422, "bad-argument", "body"),
    "a text": ('"orders"', 422, "bad-argument", "body"),
    "one order": (ONE, 422, "bad-argument", "order"),
    "no orders": ({}, 422, "bad-argument", "orders"),
    "orders null": ({"orders": None}, 422, "bad-argument", "orders"),
    "orders an object": ({"orders": ONE}, 422, "bad-argument", "orders"),
    "no order": ({"orders": []}, 422, "bad-argument", "orders"),
    "too many": ({"orders": [ONE] * (MOST + 1)}, 422, "bad-argument", "orders"),
    "more fields": ({"orders": [ONE], "wait": False}, 422, "bad-argument", "wait"),
    "too long": (json.dumps({"orders": [ONE]}) + " " * 1_000_000, 413, "too-large", None),
}


@pytest.mark.parametrize("how", WHOLE)
def test_a_request_that_is_refused_carries_out_nothing(client, broker, how):
    body, *told = WHOLE[how]
    client.post(ORDERS, body).problem(*told)
    assert services(broker) == []
    assert give(client, ONE)[0]["service"]["id"] == 1


def test_a_body_in_chunks_has_a_bound_too(client, broker):
    pieces = iter([json.dumps({"orders": [ONE]}).encode(), b" " * 1_000_001])
    chunked = {"Transfer-Encoding": "chunked"}
    client.connection.request("POST", ORDERS, pieces, encode_chunked=True, headers=chunked)
    response = client.connection.getresponse()
    assert (response.status, json.loads(response.read())["code"]) == (413, "too-large")
    assert services(broker) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_orders_are_only_given(client, broker, method):
    answer = client(method, ORDERS, {"orders": [ONE]})
    assert (answer.status, answer.headers["allow"]) == (405, "POST, OPTIONS")
    if method != "HEAD":
        answer.problem(405, "wrong-method")
    assert services(broker) == []


@pytest.mark.parametrize("query", ["wait", "wait=false", "orders=1", "order=create&network=aggr"])
def test_a_parameter_of_the_query_is_refused(client, broker, query):
    client.post(f"{ORDERS}?{query}", {"orders": [ONE]}).problem(422, "bad-argument", query.partition("=")[0])
    assert services(broker) == []


def test_a_page_of_elsewhere_gives_no_orders(client, broker):
    client.post(ORDERS, {"orders": [ONE]}, Origin="https://evil.example").problem(403, "foreign-origin")
    assert services(broker) == []


# -- none waits for another ---------------------------------------------------------------------


def test_a_define_and_a_create_do_not_wait_for_a_slow_network(client, broker):
    broker.aggregator.paused = True
    lines = give(
        client, order("create"), order("create", segment=ends(1)), order("create", "slough", segment=ends(1, "xy"))
    )
    assert [line["service"]["status"] for line in lines] == ["DORMANT", "ESTABLISHING", "INACTIVE"]
    lines = give(client, order("define", service=1, segment=ends(2)), order("activate", "slough", 1))
    assert [line["service"]["status"] for line in lines] == ["ESTABLISHING", "ACTIVE"]
    broker.aggregator.go_on()
    assert services(broker) == [("aggr", 1, "INACTIVE"), ("aggr", 2, "INACTIVE"), ("slough", 1, "ACTIVE")]


@pytest.mark.parametrize(
    "command", ["activate", "deactivate", "reset", "release", "commit", "abort", "define", "prepare"]
)
def test_an_order_that_takes_its_time_delays_no_others_line(make_client, broker, command):
    client = make_client()
    give(client, *FOUR)
    broker.aggregator.paused = True
    pending = put_off(broker.aggregator.service(1), command)
    more = {"segment": ends(3, "abc")} if command in ("define", "prepare") else {}
    stream = Stream(
        client,
        order(command, service=1, **more),
        order("activate", "slough", 1),
        order("activate", service=2),
        order("create", "nowhere"),
    )
    told = [stream.line() for _ in range(3)]
    assert sorted((line["order"], line["status"]) for line in told) == [(1, 200), (2, 200), (3, 404)]
    assert not pending.settled
    assert give(make_client(), order("create", "far"))[0]["status"] == 201
    pending.resolve(None)
    last = stream.line()
    assert (last["order"], last["status"], last["service"]["id"]) == (0, 200, 1)
    assert last["moment"] > max(line["moment"] for line in told)
    assert stream.rest() == []


def test_lines_come_in_the_order_of_the_answers(client, broker):
    give(client, *FOUR)
    pending = [put_off(broker.aggregator.service(i), "activate") for i in (1, 2, 3)]
    stream = Stream(client, *[order("activate", service=i) for i in (1, 2, 3)], order("activate", "slough", 1))
    assert stream.line()["order"] == 3
    pending[2].resolve(None)
    assert stream.line()["order"] == 2
    pending[0].fail(Unreachable("left", "no contact"))
    line = stream.line()
    assert (line["order"], line["status"], line["problem"]["code"]) == (0, 503, "unreachable")
    pending[1].resolve(None)
    assert [line["order"] for line in stream.rest()] == [1]


def test_an_aggregator_that_computes_delays_no_other_network(client, broker):
    with held(broker.aggregator, "create") as computes:
        stream = Stream(client, order("create"), order("create", "slough"), order("create", "far"), order("create"))
        assert sorted(stream.line()["order"] for _ in range(2)) == [1, 2]
        assert computes.wait(20)
        assert not broker.aggregator.services()
    assert [line["order"] for line in stream.rest()] == [0, 3]


def test_a_prepare_is_answered_once_it_is_under_way(client, broker):
    give(client, *FOUR)
    service = broker.aggregator.service(1)
    true, kept = service.prepare, Reply()

    def prepare(segment, caller):
        true(segment, caller)
        return kept

    service.prepare = prepare
    (line,) = give(client, order("prepare", service=1, segment=ends(3)))
    assert (line["status"], line["service"]["change"]) == (200, "prepared")
    assert service._watchers == []
    kept.fail(Unreachable("left", "no contact"))  # too late for this answer
    assert give(client, order("abort", service=1))[0]["service"]["change"] == "none"


# -- in their order -----------------------------------------------------------------------------


def test_orders_about_one_network_are_carried_out_in_their_order(client, broker):
    names = ["aggr", "slough", "aggr", "far", "slough"] * 40
    lines = give(client, *[order("create", name) for name in names])
    for network in ("aggr", "slough", "far"):
        ids = [line["service"]["id"] for line in lines if line["service"]["network"] == network]
        assert ids == list(range(1, names.count(network) + 1))


def test_orders_about_one_service_are_carried_out_in_their_order(client, broker):
    give(client, order("create"))
    service, done = broker.aggregator.service(1), []
    life = [
        "define",
        "activate",
        "prepare",
        "commit",
        "deactivate",
        "activate",
        "reset",
        "define",
        "activate",
        "release",
    ]

    def noted(name):
        true = getattr(service, name)

        def call(*args):
            done.append(name)
            return true(*args)

        setattr(service, name, call)

    for name in set(life):
        noted(name)
    bodies = {"define": {"segment": ends(1)}, "prepare": {"segment": ends(2)}}
    wanted = [order(name, service=1, **bodies.get(name, {})) for name in life]
    lines = give(client, *wanted, order("activate", service=1), order("create", segment=ends(1)))
    assert done == [*life, "activate"]
    assert [line["status"] for line in lines] == [200] * len(life) + [404, 201]
    assert lines[-2]["problem"]["code"] == "service-gone"
    assert services(broker) == [("aggr", 2, "INACTIVE")]


# -- clients that go away, servers that stop ----------------------------------------------------


def test_what_was_ordered_is_carried_out_for_a_client_that_goes_away_before_its_answer(nbi, make_client, broker):
    with held(broker.aggregator, "create") as computes, held(broker.switch, "create") as switches:
        stream = Stream(
            make_client(), order("create"), order("create"), order("create", "slough"), order("create", "far")
        )
        assert computes.wait(20)
        assert switches.wait(20)
        stream.drop()
        eventually(lambda: not nbi._server.server_state.connections)
        assert services(broker) == []
    eventually(lambda: len(services(broker)) == 4)
    eventually(lambda: idle(nbi))
    assert give(make_client(), order("create"))[0]["service"]["id"] == 3


def test_what_was_ordered_is_carried_out_for_a_client_that_goes_away_in_the_middle(nbi, make_client, broker):
    give(make_client(), *FOUR)
    changed, pending = broker.aggregator.service(1), put_off(broker.aggregator.service(1), "prepare")
    refused = put_off(broker.aggregator.service(2), "activate")
    with held(broker.aggregator.service(3), "define") as defines:
        stream = Stream(
            make_client(),
            order("prepare", service=1, segment=ends(3)),
            order("activate", service=2),
            order("define", service=3, segment=ends(4)),
            order("create", handle="after"),
            order("activate", "slough", 1),
        )
        assert stream.line()["order"] == 4
        assert defines.wait(20)
        known = set(nbi._server.server_state.connections)
        stream.drop()
        eventually(lambda: len(nbi._server.server_state.connections) < len(known))
    eventually(
        lambda: services(broker)[2:] == [("aggr", 3, "INACTIVE"), ("aggr", 4, "DORMANT"), ("slough", 1, "ACTIVE")]
    )
    pending.resolve(None)
    refused.fail(Unreachable("left", "no contact"))
    eventually(lambda: idle(nbi))
    assert changed._watchers == []
    assert give(make_client(), order("create", handle="after"))[0]["status"] == 200


def test_a_server_that_stops_ends_what_is_not_answered(nbi, client, broker, monkeypatch, caplog):
    monkeypatch.setattr(server, "GRACE", 0)
    give(client, *FOUR)
    pending = [put_off(broker.aggregator.service(1), "activate"), put_off(broker.aggregator.service(2), "prepare")]
    wanted = [
        order("activate", service=1),
        order("prepare", service=2, segment=ends(3)),
        order("activate", "slough", 1),
    ]
    stream, running = Stream(client, *wanted), nbi._server
    assert stream.line()["order"] == 2
    nbi.stop()
    assert not running._thread.is_alive()
    with pytest.raises((http.client.HTTPException, OSError)):
        stream.response.read()
    caplog.clear()
    for reply in pending:  # nobody is there any more, and nobody minds
        assert reply.resolve(None)
    assert broker.aggregator.service(2)._watchers == []
    assert not caplog.records


def test_what_is_answered_while_the_server_stops_is_told(nbi, client, broker):
    give(client, *FOUR)
    pending = put_off(broker.aggregator.service(1), "activate")
    stream, running = Stream(client, order("activate", service=1), order("activate", service=2)), nbi._server
    assert stream.line()["order"] == 1
    stopping = threading.Thread(target=nbi.stop)
    stopping.start()
    eventually(lambda: running._app.context.calls._stopped)
    pending.resolve(None)
    assert [(line["order"], line["status"]) for line in stream.rest()] == [(0, 200)]
    stopping.join(20)
    assert not stopping.is_alive()


# -- access -------------------------------------------------------------------------------------


@pytest.fixture
def real(tmp_path):
    broker = Broker(parse({**configuration(), "nbi": []}, tmp_path))
    broker.start()
    yield broker
    broker.stop()


class Ward:
    """An interface that controls access over a broker, and writes down."""

    def __init__(self, broker, folder):
        self.audit = folder / "audit"
        self.guarded = Guarded(broker, audit=str(self.audit))
        self.ask = self.guarded.ask
        self.ann = self.guarded.token("ann", "control@left", "control@aggr")
        self.bob = self.guarded.token("bob", "control@left", "read@aggr")
        self.eve = self.guarded.token("eve", "read@left", "read@aggr")

    def give(self, credential, *orders):
        answer = self.ask("POST", ORDERS, credential, {"orders": orders})
        assert (answer.status, answer.headers["content-type"]) == (200, NDJSON), answer.body
        return lines_of(answer.body, len(orders))

    def alone(self, credential, wanted):
        return alone(Asking(self.guarded, credential), wanted)

    def written(self):
        """What is in the audit log, once all of it is."""
        self.guarded.nbi.stop()
        told = [json.loads(line) for line in self.audit.read_text().splitlines()]
        return [(t["who"], t["command"], t["network"], t.get("service"), t["result"]) for t in told]


class Asking:
    """Asks with a credential, as a client does."""

    def __init__(self, guarded, credential):
        self.guarded, self.credential = guarded, credential

    def post(self, path, body):
        return self.guarded.ask("POST", path, self.credential, body)


@pytest.fixture
def ward(real, tmp_path):
    found = Ward(real, tmp_path)
    yield found
    found.guarded.stop()


def test_without_a_credential_that_holds_there_are_no_orders(ward, real):
    for credential in (None, "", "dpb_wrong", "Basic !!!", ward.ann[:-1]):
        answer = ward.ask("POST", ORDERS, credential, {"orders": [order("create", "left")]})
        assert (answer.status, answer.code) == (401, "unauthenticated"), credential
    assert services(real) == []


@pytest.mark.parametrize(
    "kind", ["create", "define", "activate", "deactivate", "reset", "release", "prepare", "commit", "abort"]
)
def test_a_reader_is_told_in_its_line_that_a_role_is_missing(ward, real, kind):
    ward.give(ward.ann, order("create", "left"), order("create", "left"))
    before = services(real)
    segment = {"segment": ends()} if kind in ("define", "prepare") else {}
    wanted = order(kind, "left", None if kind == "create" else 1, **segment)
    line, own = ward.give(ward.eve, wanted)[0], ward.alone(ward.eve, wanted)
    assert (line["status"], line["problem"]) == (own.status, own.json)
    assert (line["status"], line["problem"]["code"], line["problem"]["role"]) == (403, "role-missing", "control")
    assert services(real) == before
    about = None if kind == "create" else 1
    assert ward.written()[2:] == [("eve", kind, "left", about, "role-missing")] * 2


def test_each_order_has_its_own_role_and_its_own_line_in_the_audit_log(ward, real):
    ward.give(ward.ann, order("create", "left", handle="anns"), order("create", "aggr"))
    lines = ward.give(
        ward.bob,
        order("create", "left"),
        order("create", "aggr"),
        order("activate", "left", 1),
        order("create", "left", handle="anns"),
        order("release", "aggr", 1),
        order("create", "left", segment=ends()),
        order("release", "left", 2),
    )
    told = [(line["status"], line.get("problem", {}).get("code", "ok")) for line in lines[:-1]]
    assert told == [
        (201, "ok"),
        (403, "role-missing"),
        (403, "not-owner"),
        (403, "not-owner"),
        (403, "role-missing"),
        (422, "terminal-unknown"),
    ]
    assert lines[-1]["problem"]["code"] == "service-unknown"  # it was not there when the orders were read
    assert [line["service"]["owner"] for line in lines if "service" in line] == ["bob"]
    assert [(network, id_) for network, id_, _ in services(real)] == [("left", 1), ("left", 2), ("aggr", 1)]
    written = ward.written()
    assert written[:2] == [("ann", "create", "left", 1, "ok"), ("ann", "create", "aggr", 1, "ok")]
    assert sorted(written[2:], key=str) == sorted(
        [
            ("bob", "create", "left", 2, "ok"),
            ("bob", "create", "aggr", None, "role-missing"),
            ("bob", "activate", "left", 1, "not-owner"),
            ("bob", "create", "left", None, "not-owner"),
            ("bob", "release", "aggr", 1, "role-missing"),
            ("bob", "create", "left", None, "terminal-unknown"),
        ],
        key=str,
    )


def test_another_owners_service_is_not_changed(ward, real):
    ward.give(ward.ann, order("create", "left"))
    before = real.network("left").service(1).view()
    commands = ["activate", "deactivate", "reset", "release", "commit", "abort"]
    wanted = [order(name, "left", 1) for name in commands]
    wanted += [order(name, "left", 1, segment=ends()) for name in ("define", "prepare")]
    for line, one in zip(ward.give(ward.bob, *wanted), wanted, strict=True):
        own = ward.alone(ward.bob, one)
        assert (line["status"], line["problem"]) == (own.status, own.json)
        assert (line["status"], line["problem"]["code"], line["problem"]["owner"]) == (403, "not-owner", "ann")
    assert real.network("left").service(1).view() == before


KINDS = [order("create"), order("release", service=1), order("define", service=1, segment=ends())]


def test_a_network_without_a_role_looks_as_one_that_is_not_there(ward, real):
    real.network("right").create(ANYBODY)
    hidden, none = (
        ward.give(ward.ann, *[{**wanted, "network": network} for wanted in KINDS]) for network in ("right", "rihgt")
    )
    for one, other in zip(hidden, none, strict=True):
        assert (one["status"], one["problem"]["code"]) == (404, "no-network")
        assert json.dumps(one["problem"]).replace("right", "rihgt") == json.dumps(other["problem"])


def test_an_order_about_a_network_without_a_role_is_written_down_as_its_own_request_is(ward):
    wanted = [{**one, "network": network} for one in KINDS for network in ("right", "nowhere")]
    for one in wanted:
        assert ward.alone(ward.bob, one).status == 404
    ward.give(ward.bob, *wanted)
    written = ward.written()
    assert {line[-1] for line in written} == {"no-network"}
    assert written[len(wanted) :] == written[: len(wanted)]


@pytest.mark.parametrize("service", [1, 7], ids=["gone", "never there"])
@pytest.mark.parametrize("kind", ["release", "activate"])
def test_a_reader_is_told_of_the_role_before_anything_of_the_service(ward, kind, service):
    ward.give(ward.ann, order("create", "left"))
    ward.give(ward.ann, order("release", "left", 1))
    eventually(lambda: not ward.ask("GET", f"{V1}/networks/left/services", ward.eve).json["services"])
    wanted = order(kind, "left", service)
    own = ward.alone(ward.eve, wanted)
    assert (own.status, own.code) == (403, "role-missing")
    (line,) = ward.give(ward.eve, wanted)
    assert (line["status"], line.get("problem")) == (own.status, own.json)
    assert ward.written()[2:] == [("eve", kind, "left", service, "role-missing")] * 2


# -- mirrors ------------------------------------------------------------------------------------


class Mirror(Reader):
    """Reads a mirror of any network, once its whole was told."""

    def __init__(self, client, network="aggr"):
        client.connection.request("GET", f"{V1}/networks/{network}/mirror?quiet-millis=60000")  # silence is a fault
        self.connection, self.response, self.told = client.connection, client.connection.getresponse(), []
        self.until("whole")

    def close(self):
        self.response.close()
        self.connection.close()


def test_a_mirror_tells_what_answers_have_told(make_client):
    client = make_client()
    give(client, *FOUR)
    aggr, slough = Mirror(make_client()), Mirror(make_client(), "slough")
    wanted = [order("activate", service=1), order("define", service=3, segment=ends(3)), order("release", "slough", 1)]
    lines = give(client, *wanted)
    for reader, line in zip((aggr, aggr, slough), lines, strict=True):
        service = line["service"]
        told = reader.until(
            "service", lambda s, service=service: (s["id"], s["status"]) == (service["id"], service["status"])
        )
        assert {**told, "moment": 0} == {**service, "moment": 0}


def test_a_mirror_tells_news_at_once(make_client, broker, monkeypatch):
    """However long what the answers have told may wait."""
    monkeypatch.setattr(pending, "LINGER", 3600)
    client = make_client()
    give(client, *FOUR)
    reader = Mirror(make_client())
    give(client, order("activate", service=1))
    alone(client, order("activate", service=2))  # its own request tells no superior
    reader.until("service", lambda s: (s["id"], s["status"]) == (2, "ACTIVE"))
    broker.aggregator.service(1).deactivate(ANYBODY)
    reader.until("service", lambda s: (s["id"], s["status"]) == (1, "INACTIVE"))
    broker.aggregator.paused = True
    assert give(client, order("activate", service=1))[0]["service"]["status"] == "ACTIVATING"
    reader.until("service", lambda s: (s["id"], s["status"]) == (1, "ACTIVATING"))
    broker.aggregator.go_on()
    reader.until("service", lambda s: (s["id"], s["status"]) == (1, "ACTIVE"))
    service = broker.aggregator.service(2)
    service.conditions_told = (Condition("unconfirmed", "left", "no contact"),)
    service._tell()
    reader.until("service", lambda s: s["id"] == 2 and s["conditions"])
    give(client, order("prepare", service=2, segment=ends(9)))
    reader.until("service", lambda s: s["id"] == 2 and s["change"] == "prepared")
    give(client, order("release", service=1), order("release", service=3))
    for id_ in (1, 3):
        reader.until("service", lambda s, id_=id_: (s["id"], s["status"]) == (id_, "RELEASED"))


def told_by_an_answer(nbi, client, reader, network, command, passing):
    """Let the answer to *command* come with the last change that it brings: the answer is then what tells it first."""
    service, begun, kept = network.service(1), threading.Event(), Reply()
    true = getattr(service, command)

    def call(caller):
        true(caller)
        begun.set()
        return kept

    setattr(service, command, call)
    network.paused = True
    stream = Stream(client, order(command, network.name, 1))
    reader.until("service", lambda s: s["status"] == passing)
    assert begun.wait(20)

    def go_on():
        network.go_on()
        kept.resolve(None)

    nbi._server._loop.call_soon_threadsafe(go_on)
    (line,) = stream.rest()
    return line


def lingers(nbi, name):
    """Whether copies of the network are to be told in a while what an answer has told."""
    return nbi._server._app.context.copies._sources[name]._lingers


def test_what_an_answer_has_told_goes_with_the_next_news(nbi, make_client, broker, monkeypatch):
    monkeypatch.setattr(pending, "LINGER", 3600)
    client = make_client()
    give(client, *FOUR)
    reader = Mirror(make_client())
    line = told_by_an_answer(nbi, client, reader, broker.aggregator, "activate", "ACTIVATING")
    assert line["service"]["status"] == "ACTIVE"
    eventually(lambda: lingers(nbi, "aggr"))
    client("DELETE", f"{V1}/networks/aggr/terminals/c")
    _, event, news = reader.message()
    assert (event, news["services"]) == ("changed", [{"moment": line["moment"], **line["service"]}])
    assert [one["kind"] for one in news["happened"]] == ["service", "terminal"]


def test_the_end_of_a_service_is_told_at_once_though_an_answer_has_told_it(nbi, make_client, broker, monkeypatch):
    monkeypatch.setattr(pending, "LINGER", 3600)
    client = make_client()
    give(client, *FOUR)
    reader = Mirror(make_client())
    line = told_by_an_answer(nbi, client, reader, broker.aggregator, "release", "RELEASING")
    assert line["service"]["status"] == "RELEASED"
    reader.until("service", lambda s: (s["id"], s["status"]) == (1, "RELEASED"))


def test_a_mirror_that_is_left_takes_nothing_from_the_others(nbi, make_client, broker, monkeypatch):
    """What answers have told waits for a moment: of one network nobody keeps a copy any more when that is over."""
    monkeypatch.setattr(pending, "LINGER", 3600)
    client = make_client()
    give(client, *FOUR)
    leaves, stays = Mirror(make_client()), Mirror(make_client(), "slough")
    copies = nbi._server._app.context.copies
    told_by_an_answer(nbi, client, leaves, broker.aggregator, "activate", "ACTIVATING")
    told_by_an_answer(nbi, client, stays, broker.switch, "activate", "ACTIVATING")
    eventually(lambda: lingers(nbi, "aggr") and lingers(nbi, "slough"))
    leaves.close()
    eventually(lambda: "aggr" not in copies._sources)
    assert not broker.aggregator.watchers
    broker.aggregator.service(1).release(ANYBODY)
    nbi._server._loop.call_soon_threadsafe(copies._linger._over)
    turn_over(nbi)
    assert not lingers(nbi, "slough")
    stays.until("service", lambda s: s["status"] == "ACTIVE")


# -- over the real kernel -----------------------------------------------------------------------


def test_services_of_several_networks_live_by_one_request_each(real, tmp_path):
    nbi = RestNbi(port=0)
    nbi.start(real)
    client = Client(nbi.address)
    for switch in ("left", "right"):
        for name, place in (("trunk", "phys.1"), ("user", "phys.2"), ("x", "phys.3"), ("y", "phys.4")):
            assert client.post(f"{V1}/networks/{switch}/terminals", {"name": name, "place": place}).status == 201
        terminal = {"name": switch, "place": f"{switch}:user"}
        assert client.post(f"{V1}/networks/aggr/terminals", terminal).status == 201
    trunk = {"name": "t", "start": "left:trunk", "end": "right:trunk", "upstream": 100}
    assert client.post(f"{V1}/networks/aggr/trunks", trunk).status == 201
    across = ("left", "right")

    lines = give(
        client,
        order("create", "left", handle="h", segment=ends(7, "xy", 10)),
        order("create", "right", handle="h", segment=ends(7, "xy", 10)),
        order("create", "aggr", handle="h", segment=ends(7, across, 10)),
        order("create", "right", segment=ends(7, "yx", 10)),
        order("create", "aggr", segment=ends(8, across, 91)),
        order("create", "aggr", handle="h"),
        order("create", "left", segment=ends(9, ("x", "none"))),
    )
    made = [line["service"] for line in lines[:3]]
    assert [line["status"] for line in lines] == [201, 201, 201, 409, 409, 200, 422]
    assert [line["problem"]["code"] for line in lines if "problem" in line] == [
        "circuit-taken",
        "no-capacity",
        "terminal-unknown",
    ]
    assert (lines[3]["problem"]["field"], lines[6]["problem"]["field"]) == ("segment[0].label", "segment[1].terminal")
    assert lines[5]["service"]["id"] == made[2]["id"]

    def all_of(kind, *segments):
        more = [{"segment": segment} for segment in segments] or [{}] * 3
        wanted = [order(kind, s["network"], s["id"], **m) for s, m in zip(made, more, strict=True)]
        found = give(client, *wanted)
        assert [line["status"] for line in found] == [200] * 3, found
        return found

    def come_to(status):
        for service in made:
            path = f"{V1}/networks/{service['network']}/services/{service['id']}/await?status={status}"
            assert client.get(path).json["status"] == status

    come_to("INACTIVE")
    all_of("activate")
    come_to("ACTIVE")
    wider = [ends(7, "xy", 20), ends(7, "xy", 20), ends(7, across, 20)]
    for line in all_of("prepare", *wider):
        assert line["service"]["change"] in ("preparing", "prepared")
    for service in made:
        found = real.network(service["network"]).service(service["id"])
        eventually(lambda found=found: found.change.value == "prepared")
    all_of("commit")
    for service, segment in zip(made, wider, strict=True):
        path = f"{V1}/networks/{service['network']}/services/{service['id']}"
        eventually(lambda path=path, segment=segment: client.get(path).json["segment"] == segment)
    assert client.get(f"{V1}/networks/aggr/trunks/t").json["upstream-left"] == 80
    all_of("release")
    come_to("RELEASED")
    assert [line["service"]["status"] for line in all_of("release")] == ["RELEASED"] * 3
    eventually(lambda: services(real) == [])
    assert client.get(f"{V1}/networks/aggr/trunks/t").json["upstream-left"] == 100
    client.close()
    nbi.stop()
