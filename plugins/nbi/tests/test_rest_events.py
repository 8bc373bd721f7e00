"""Event streams: in order, without a gap, without a repetition, and told when that cannot be."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from dpb_nbi import events

from dpb_framework.model import Event, EventKind

from .rest_helpers import eventually

PATH = "/api/v1/networks/aggr/events"


class Reader:
    """Reads one stream, event by event."""

    def __init__(self, client, query="", **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        client.connection.request("GET", PATH + query, headers=names)
        self.response = client.connection.getresponse()
        assert self.response.status == 200
        assert self.response.headers["content-type"].startswith("text/event-stream")
        assert self.lines() == [":"]

    def lines(self):
        found = []
        while line := self.response.readline().rstrip(b"\n"):
            found.append(line.decode())
        return found

    def next(self):
        found = dict(line.split(": ", 1) for line in self.lines())
        return found.get("id"), found["event"], json.loads(found["data"])

    def numbers(self, count):
        return [int(self.next()[0]) for _ in range(count)]


def tell(broker, count=1):
    for i in range(count):
        broker.aggregator.tell(EventKind.TERMINAL, {"name": f"t{i}", "present": True})


def test_a_stream_begins_now(make_client, broker):
    tell(broker, 3)
    reader = Reader(make_client())
    make_client().post("/api/v1/networks/aggr/services", {"segment": None})
    tell(broker)
    assert reader.next() == ("4", "terminal", {"name": "t0", "present": True})
    broker.aggregator.hint()
    assert reader.next() == (None, "model", {})
    tell(broker, 500)
    assert reader.numbers(500) == list(range(5, 505))


@pytest.mark.parametrize("stored", [0, 1, 999, 1000, 1001, 2500])
def test_a_stream_resumes_with_what_is_stored(make_client, broker, stored):
    tell(broker, 10 + stored)
    reader = Reader(make_client(), "?after=10")
    tell(broker, 5)
    assert reader.numbers(stored + 5) == list(range(11, 10 + stored + 6))


def test_the_header_wins_over_the_query(make_client, broker):
    tell(broker, 9)
    reader = Reader(make_client(), "?after=1", Last_Event_ID="7")
    assert reader.numbers(2) == [8, 9]


def test_what_is_told_while_stored_events_are_read_comes_once(make_client, broker):
    tell(broker, 5)
    stored = broker.aggregator.events

    def slowly(after, limit=1000):
        found = stored(after, limit)
        if broker.aggregator.last_event < 20:
            tell(broker, 3)
        return found

    broker.aggregator.events = slowly
    reader = Reader(make_client(), "?after=0")
    eventually(lambda: broker.aggregator.last_event >= 11)
    last = broker.aggregator.last_event
    assert reader.numbers(last) == list(range(1, last + 1))
    tell(broker)
    assert reader.numbers(1) == [last + 1]


def test_what_is_no_longer_kept_is_told_by_resync(make_client, broker):
    tell(broker, 50)
    broker.aggregator.kept = 10
    reader = Reader(make_client(), "?after=3")
    assert reader.next() == ("50", "resync", {"last": 50})
    tell(broker)
    assert reader.numbers(1) == [51]


def test_a_number_that_was_never_told_is_answered_by_resync(make_client, broker):
    tell(broker, 5)
    reader = Reader(make_client(), "?after=77")
    assert reader.next() == ("5", "resync", {"last": 5})
    tell(broker)
    assert reader.numbers(1) == [6]


def test_wrong_numbers_and_networks_are_refused(client):
    client.get(f"{PATH}?after=x").problem(422, "bad-argument", "after")
    client.get(PATH, Last_Event_ID="-1").problem(422, "bad-argument", "Last-Event-ID")
    client.get("/api/v1/networks/none/events").problem(404, "no-network")
    client.post(PATH).problem(405, "wrong-method")
    head = client("HEAD", PATH)
    assert (head.status, head.body) == (200, b"")


def test_a_network_is_watched_once_for_all_streams_and_not_after_the_last(make_client, broker):
    clients = [make_client() for _ in range(20)]
    readers = [Reader(client) for client in clients]
    assert broker.aggregator.watchers == 1
    tell(broker, 3)
    assert [reader.numbers(3) for reader in readers] == [[1, 2, 3]] * 20
    for reader, client in zip(readers, clients, strict=True):
        reader.response.close()
        client.close()
    eventually(lambda: broker.aggregator.watchers == 0)


def test_a_reader_that_does_not_read_gets_resync(nbi, make_client, broker):
    host, port = nbi.address.removeprefix("http://").split(":")
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.connect((host, int(port)))
    wire.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    text = wire.makefile("rb")
    while text.readline() != b":\n":
        pass
    app = nbi._server._app
    streams = list(app.context.streams._all)
    told = 0
    while not streams[0]._lost:
        for _ in range(5):
            told += 1
            broker.aggregator.tell(EventKind.TERMINAL, {"name": "x" * 20_000, "present": True})
        eventually(lambda: not app.context.streams._channels["aggr"]._arrived)
        assert told < 5000
    seen = []
    for line in text:
        if line.startswith(b"id: "):
            seen.append(int(line[4:]))
        if line == b"event: resync\n":
            break
    assert seen[:-1] == list(range(1, len(seen)))
    last = json.loads(text.readline().removeprefix(b"data: "))["last"]
    assert last == seen[-1] <= told
    tell(broker)
    for line in text:
        if line.startswith(b"id: "):
            assert int(line[4:]) == last + 1
            break
    text.close()
    wire.close()


def test_all_streams_get_a_comment_line_now_and_then(monkeypatch, make_client):
    monkeypatch.setattr(events, "QUIET", 0.05)
    readers = [Reader(make_client()) for _ in range(3)]
    assert [reader.lines() for reader in readers] == [[":"]] * 3
    assert [reader.lines() for reader in readers] == [[":"]] * 3


def test_an_event_is_written_in_one_line_whatever_it_tells():
    event = Event("n", 7, EventKind.SERVICE, {"error": {"text": "a\nb\u2028c é"}})
    text = events.encode(event)
    assert text.count(b"\n") == 4
    assert json.loads(text.splitlines()[2].removeprefix(b"data: ")) == event.data


def test_a_stream_that_was_put_aside_too_long_begins_anew():
    async def run():
        stream = events.Stream(0, lambda: True)
        stream.hold()
        big = b"x" * (events.MAX_PENDING // 2 + 1)
        stream.feed([(1, big)], big)
        stream.feed([(2, big)], big)
        stream.feed([(3, b"y")], b"y")
        stream.resume(1)
        assert await stream.take() == events.resync(3)
        stream.feed([(4, b"z")], b"z")
        assert await stream.take() == b"z"
        stream.close()
        stream.feed([(5, b"after")], b"after")
        assert await stream.take() == b""

    asyncio.run(run())
