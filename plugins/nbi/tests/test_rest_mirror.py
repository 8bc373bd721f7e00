"""The mirror: everything once, then every change, so that a superior's copy is what the network is."""

from __future__ import annotations

import asyncio
import json
import socket
import threading

import pytest
from dpb_nbi import pending, render

from dpb_framework.model import ANYBODY, Condition, EventKind, Segment

from .rest_helpers import eventually

V1 = "/api/v1/networks/aggr"


class Reader:
    """Reads one mirror, event by event."""

    def __init__(self, client, query="", **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        client.connection.request("GET", f"{V1}/mirror{query}", headers=names)
        self.response = client.connection.getresponse()
        self.told = []
        assert self.response.status == 200
        assert self.response.headers["content-type"].startswith("text/event-stream")

    def lines(self):
        found = []
        while line := self.response.readline().rstrip(b"\n"):
            found.append(line.decode())
        return found

    def message(self):
        while (lines := self.lines()) == [":"]:
            pass
        found = dict(line.split(": ", 1) for line in lines)
        return found.get("id"), found["event"], json.loads(found["data"])

    def next(self):
        """What is told next; of changes each service and each event for itself."""
        while not self.told:
            number, event, data = self.message()
            if event != "changed":
                return number, event, data
            self.told += [(None, "service", service) for service in data["services"]]
            self.told += [(one["number"], "happened", one) for one in data["happened"]]
            assert number == (str(data["happened"][-1]["number"]) if data["happened"] else None)
        return self.told.pop(0)

    def until(self, event, holds=lambda data: True):
        while True:
            _, kind, data = self.next()
            if kind == event and holds(data):
                return data


def ends(label=1):
    return [{"terminal": name, "label": label, "ingress": 1, "egress": 1} for name in ("a", "b")]


def test_it_begins_with_the_whole(make_client, broker):
    client = make_client()
    for handle in ("one", "two"):
        client.post(f"{V1}/services", {"handle": handle})
    client("DELETE", f"{V1}/services/2")
    eventually(lambda: len(broker.aggregator.services()) == 1)
    _, event, whole = Reader(make_client()).next()
    assert event == "whole"
    assert (whole["network"], whole["last-service"], whole["quiet-millis"]) == ("aggr", 2, 15000)
    assert [(s["id"], s["handle"]) for s in whole["services"]] == [(1, "one")]
    (listed,) = client.get(f"{V1}/services").json["services"]
    assert whole["services"] == [{**listed, "moment": whole["services"][0]["moment"]}]
    assert whole["moment"] < whole["services"][0]["moment"]
    assert whole["terminals"] == sorted(broker.aggregator.terminals())
    assert whole["model"] == client.get(f"{V1}/model").json
    assert whole["last-event"] == broker.aggregator.last_event
    assert sorted(whole["beneath"]) == sorted(f"{broker.uuid}/{name}" for name in broker.aggregator.inferiors())


def test_every_change_of_a_service_is_told_with_all_of_it(make_client, broker):
    client, reader = make_client(), Reader(make_client())
    reader.until("whole")
    made = client.post(f"{V1}/services", {"handle": "h", "segment": ends(), "activate": True}).json
    told = reader.until("service", lambda s: s["status"] == "ACTIVE")
    assert (told["id"], told["handle"]) == (made["id"], "h")
    assert [end["label"] for end in told["segment"]] == [1, 1]
    service = broker.aggregator.service(made["id"])
    service.conditions_told = (Condition("unconfirmed", "left", "no contact"),)
    service._tell()
    told = reader.until("service", lambda s: s["conditions"])
    assert told["conditions"] == [{"kind": "unconfirmed", "where": "left", "text": "no contact"}]
    client("DELETE", f"{V1}/services/{made['id']}")
    reader.until("service", lambda s: s["status"] == "RELEASED")


def test_of_two_copies_the_one_with_the_greater_moment_is_newer(make_client):
    client, reader = make_client(), Reader(make_client())
    whole = reader.until("whole")
    made = client.post(f"{V1}/services", {"segment": ends()})
    told = reader.until("service", lambda s: s["status"] == "INACTIVE")
    again = client.get(f"{V1}/services/{made.json['id']}")
    first, second = (int(answer.headers["dpb-moment"]) for answer in (made, again))
    assert whole["moment"] < first < second
    assert told["moment"] < second
    assert second < int(client.get(f"{V1}/services").headers["dpb-moment"])


def test_events_come_after_the_services_that_they_tell_of(make_client):
    client, reader = make_client(), Reader(make_client())
    reader.until("whole")
    client.post(f"{V1}/services", {"segment": ends()})
    seen = None
    while True:
        number, event, data = reader.next()
        if event == "service":
            seen = data["status"]
        if event == "happened" and data["data"]["status"] == "INACTIVE":
            assert int(number) > 0
            assert seen == "INACTIVE"
            return


@pytest.mark.parametrize("stored", [0, 1, 1000, 1001])
def test_what_was_missed_comes_after_the_whole(make_client, broker, stored):
    for i in range(10 + stored):
        broker.aggregator.tell(EventKind.TERMINAL, {"name": f"t{i}", "present": True})
    reader = Reader(make_client(), Last_Event_ID="10")
    assert reader.next()[1] == "whole"
    broker.aggregator.tell(EventKind.TERMINAL, {"name": "new", "present": True})
    numbers = []
    while len(numbers) <= stored:
        number, event, _ = reader.next()
        if event == "happened":
            numbers.append(int(number))
    assert numbers == list(range(11, 12 + stored))


def test_the_model_is_told_when_it_changes(make_client, broker):
    reader = Reader(make_client())
    reader.until("whole")
    broker.aggregator.hint()
    told = reader.until("model")
    assert told["terminals"] == sorted(broker.aggregator.terminals())
    assert told["model"]["fragments"]


def test_comment_lines_come_as_often_as_asked(make_client):
    reader = Reader(make_client(), "?quiet-millis=100")
    reader.until("whole")
    assert [reader.lines() for _ in range(3)] == [[":"]] * 3


def test_a_copy_that_is_never_quiet_ends_with_its_credential(monkeypatch):
    monkeypatch.setattr(pending, "QUIET", 0.01)

    async def run():
        holds = True
        copy = pending.Copy(0.01, lambda: holds)
        copy.feed(b"first")
        assert await copy.take() == b"first"
        holds = False
        while not copy.closed:
            copy.feed(b"x")
            await copy.take()
            await asyncio.sleep(0)
        copy.feed(b"after")
        assert await copy.take() == b""

    asyncio.run(asyncio.wait_for(run(), 20))


@pytest.mark.parametrize("quiet", ["99", "60001", "-1", "x", "1.5"])
def test_an_interval_that_is_none_is_refused(client, quiet):
    client.get(f"{V1}/mirror?quiet-millis={quiet}").problem(422, "bad-argument", "quiet-millis")


def test_a_reader_that_is_too_slow_is_sent_away(nbi, broker, monkeypatch):
    monkeypatch.setattr(pending, "MAX_PENDING", 100_000)
    host, _, port = nbi.address.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(f"GET {V1}/mirror HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        slow.settimeout(20)
        assert slow.recv(100)
        eventually(lambda: len(broker.aggregator._listeners) > 0)
        for _ in range(200):
            for i in range(200):
                broker.aggregator.tell(EventKind.TERMINAL, {"name": f"t{i}" * 10, "present": True})
        read = b""
        while not read.endswith(b"\r\n0\r\n\r\n"):
            more = slow.recv(1 << 20)
            assert more
            read = read[-10:] + more


def test_what_happens_while_a_large_whole_is_made_and_sent_sends_nobody_away(nbi, broker, monkeypatch):
    """Else a superior on a slow line would get the whole again and again, and nothing after it."""
    monkeypatch.setattr(pending, "MAX_PENDING", 1000)
    for i in range(100):
        broker.aggregator.create(ANYBODY, handle=f"{i}" * 200)
    making, go_on = threading.Event(), threading.Event()
    true = broker.aggregator.model

    def model():
        making.set()
        assert go_on.wait(20)
        return true()

    broker.aggregator.model = model
    host, _, port = nbi.address.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as slow:
        slow.sendall(f"GET {V1}/mirror HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        text = slow.makefile("rb")
        assert making.wait(20)
        happened = broker.aggregator.last_event
        for _ in range(2):
            for i in range(100):
                broker.aggregator.tell(EventKind.TERMINAL, {"name": f"t{i}", "present": True})
            happened += 100
            go_on.set()
            while f'"number":{happened},'.encode() not in (line := text.readline()):
                assert line


def test_a_define_and_a_prepare_need_not_wait(client, broker):
    one = f"{V1}/services/{client.post(f'{V1}/services').json['id']}"
    broker.aggregator.paused = True
    answer = client.post(f"{one}/define", {"segment": ends(), "wait": False})
    assert (answer.status, answer.json["status"]) == (200, "ESTABLISHING")
    broker.aggregator.go_on()
    client.get(f"{one}/await?status=INACTIVE")
    answer = client.post(f"{one}/prepare", {"segment": ends(2), "wait": False})
    assert (answer.status, answer.json["change"] in ("preparing", "prepared")) == (200, True)
    other = broker.aggregator.create(ANYBODY).value
    other.define(Segment.of(("a", 9, 1, 1), ("b", 9, 1, 1)), ANYBODY)
    client.post(f"{one}/prepare", {"segment": ends(9), "wait": False}).problem(409, "circuit-taken", "segment[0].label")
    client.post(f"{one}/define", {"segment": ends(), "wait": 1}).problem(422, "bad-argument", "wait")


def test_what_changes_while_the_whole_is_written_is_newer_than_it(make_client, broker):
    """A change that is told meanwhile must not be taken for older than what the whole says."""
    make_client().post(f"{V1}/services", {"handle": "h"})
    service, looked = broker.aggregator.service(1), []
    true = service.view

    def view():
        looked.append(render.moment())
        return true()

    service.view = view
    whole = Reader(make_client()).until("whole")
    assert [s["moment"] < looked[0] for s in whole["services"]] == [True]
