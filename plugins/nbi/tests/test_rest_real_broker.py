"""REST over the real kernel: two emulated switches, an aggregator over them, all in memory."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dpb_framework.broker import Broker
from dpb_framework.config import parse

from .conftest import Client

V1 = "/api/v1/networks"


def configuration():
    switches = [{"name": name, "kind": "switch", "fabric": "emulated"} for name in ("left", "right")]
    aggregator = {"name": "aggr", "kind": "aggregator", "inferiors": ["left", "right"]}
    nbi = {"kind": "rest", "port": 0}
    return {"store": {"kind": "memory"}, "nbi": [nbi], "network": [*switches, aggregator]}


@pytest.fixture
def real(tmp_path: Path):
    broker = Broker(parse(configuration(), tmp_path))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def connect(real):
    made = []

    def make():
        made.append(Client(real.nbis[0][1].address))
        return made[-1]

    yield make
    for found in made:
        found.close()


@pytest.fixture
def client(connect):
    """With a terminal of the aggregator in each switch, and a trunk of 100 Mbit/s between these."""
    found = connect()
    for switch in ("left", "right"):
        for name, place in (("user", "phys.1"), ("trunk", "phys.2")):
            assert found.post(f"{V1}/{switch}/terminals", {"name": name, "place": place}).status == 201
        made = found.post(f"{V1}/aggr/terminals", {"name": switch, "place": f"{switch}:user"})
        assert made.status == 201, made.body
    trunk = {"name": "t", "start": "left:trunk", "end": "right:trunk", "upstream": 100, "delay": 1.5}
    answer = found.post(f"{V1}/aggr/trunks", trunk)
    assert answer.status == 201, answer.body
    return found


def ends(label, rate=10):
    return {
        "segment": [
            {"terminal-name": "left", "label": label, "ingress-bw": rate, "egress-bw": rate},
            {"terminal-name": "right", "label": label, "ingress-bw": rate, "egress-bw": rate},
        ]
    }


def create(client):
    return f"/network/aggr/service/{client.post('/network/aggr/create-service').json['service-id']}"


def test_the_first_brokers_clients_get_a_service(client):
    root = create(client)
    assert client.post(f"{root}/define", ends(10)).body == b"{}"
    for _ in range(2):
        assert client.post(f"{root}/activate").body == b"{}"
        wish = {"acceptable": ["ACTIVE", "FAILED"], "timeout-millis": 10000}
        assert client.post(f"{root}/await-status", wish).json == {"status": "ACTIVE"}
        assert client.post(f"{root}/deactivate").body == b"{}"
        wish = {"acceptable": ["INACTIVE", "FAILED"], "timeout-millis": 10000}
        assert client.post(f"{root}/await-status", wish).json == {"status": "INACTIVE"}
    id_ = int(root.rpartition("/")[2])
    found = client.get(f"{V1}/aggr/services/{id_}").json
    assert [(t["trunk"], t["upstream"]) for t in found["tree"]] == [("t", 10)]
    left = client.get(f"{V1}/aggr/trunks/t").json
    assert (left["upstream-left"], left["services"]) == (90, [id_])
    assert client.post(f"{root}/release").body == b"{}"
    assert client.get(f"{root}/await-status?acceptable=RELEASED").json == {"status": "RELEASED"}
    assert client.get("/network/aggr/services").json == {"service-ids": []}
    assert client.get(f"{V1}/aggr/trunks/t").json["upstream-left"] == 100
    client.post(f"{root}/activate").problem(404, "service-gone")
    client.post("/network/aggr/service/999/activate").problem(404, "service-unknown")


def test_refusals_of_the_kernel_name_the_field_and_leave_the_service_dormant(client):
    first, second = create(client), create(client)
    assert client.post(f"{first}/define", ends(10)).status == 200
    client.post(f"{second}/define", ends(10)).problem(409, "circuit-taken", "segment[0].label")
    client.post(f"{second}/define", ends(11, rate=91)).problem(409, "no-capacity")
    client.post(f"{second}/define", ends(5000)).problem(422, "labels-unavailable", "segment[0].label")
    body = ends(11)
    body["segment"][1]["terminal-name"] = "nowhere"
    client.post(f"{second}/define", body).problem(422, "terminal-unknown", "segment[1].terminal-name")
    assert client.get(f"{second}/await-status?acceptable=DORMANT").json == {"status": "DORMANT"}
    assert client.post(f"{second}/define", ends(11, rate=90)).status == 200
    client.post(f"{second}/define", ends(12)).problem(409, "service-logic")


def test_v1_over_the_kernel(client):
    made = client.post(
        f"{V1}/aggr/services",
        {
            "handle": "osm/1",
            "activate": True,
            "segment": [
                {"terminal": "left", "ingress": 1, "egress": 2.5},
                {"terminal": "right", "label": 7, "ingress": 2.5, "egress": 1},
            ],
        },
    )
    assert made.status == 201, made.body
    one = made.headers["location"]
    assert client.get(f"{one}/await?status=ACTIVE&status=FAILED").json["status"] == "ACTIVE"
    again = client.post(f"{V1}/aggr/services", {"handle": "osm/1"})
    assert (again.status, again.json["id"]) == (200, made.json["id"])
    segment = client.get(one).json["segment"]
    assert segment[0]["label"] is not None
    wider = [{**end, "ingress": 50, "egress": 50} for end in segment]
    answer = client.post(f"{one}/prepare", {"segment": wider})
    assert (answer.status, answer.json["change"]) == (200, "prepared"), answer.body
    assert client.post(f"{one}/commit").status == 200
    assert client.get(f"{one}/await?status=ACTIVE").json["segment"] == wider
    client("DELETE", f"{V1}/aggr/trunks/t").problem(409, "trunk-busy")
    client("PATCH", f"{V1}/aggr/trunks/t", {"upstream": 10}).problem(409, "bw-unavailable", "upstream")
    assert client("DELETE", one).status == 200
    assert client.get(f"{one}/await?status=RELEASED").json["status"] == "RELEASED"
    client("PUT", f"{V1}/aggr/terminals/x", {"place": "none:user"}).problem(422, "subnetwork-unknown", "place")
    client("PUT", f"{V1}/aggr/terminals/x", {"place": "left:none"}).problem(422, "terminal-unknown", "place")
    client("PUT", f"{V1}/left/terminals/x", {"place": "?!"}).problem(422, "interface-invalid", "place")
    assert client.get("/api/v1/health").json["status"] == "ok"
    assert client.get(f"{V1}/aggr/model").json["fragments"]
    assert len(client.get(V1).json["networks"]) == 3


def test_the_events_of_a_life_come_in_order(client, connect):
    stream = connect()
    stream.connection.request("GET", f"{V1}/aggr/events?after=0")
    response = stream.connection.getresponse()
    root = create(client)
    client.post(f"{root}/define", ends(10))
    client.post(f"{root}/release")
    numbers = []
    for line in response:
        if line.startswith(b"id: "):
            numbers.append(int(line[4:]))
        if b'"RELEASED"' in line and b'"status":"RELEASED"' in line:
            break
    assert numbers == list(range(1, len(numbers) + 1))


def test_parallel_clients_all_get_what_they_ask_for(client, connect):
    faults = []

    def use(client, label):
        try:
            for _ in range(3):
                root = create(client)
                assert client.post(f"{root}/define", ends(label, rate=1)).status == 200
                assert client.post(f"{root}/activate").status == 200
                status = client.get(f"{root}/await-status?acceptable=ACTIVE&acceptable=FAILED").json
                assert status == {"status": "ACTIVE"}
                assert client.post(f"{root}/release").status == 200
                status = client.get(f"{root}/await-status?acceptable=RELEASED").json
                assert status == {"status": "RELEASED"}
        except (AssertionError, OSError, KeyError) as error:
            faults.append(repr(error))

    threads = [threading.Thread(target=use, args=(connect(), 100 + i)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not faults
    assert client.get("/network/aggr/services").json == {"service-ids": []}
