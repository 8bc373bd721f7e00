"""Clients that send too much, too slowly, or do not read: they are told so, and others do not notice."""

from __future__ import annotations

import asyncio
import errno
import http.client
import json
import resource
import socket

import pytest
from dpb_nbi import RestNbi, entrance, limits, rooms
from dpb_nbi.guests import Guests, near
from dpb_nbi.rooms import Room

from dpb_framework.model import ANYBODY, Status

from .access_helpers import Guarded
from .conftest import Client
from .fake_network import FakeBroker
from .rest_helpers import eventually

CREATE = "/network/aggr/create-service"


@pytest.fixture
def hurry(monkeypatch):
    """From when it is called, limits of time that a test can wait for."""

    def shorten(*names):
        for name in names or ("HEAD_SECONDS", "BODY_SECONDS"):
            monkeypatch.setattr(limits, name, 0.3)

    return shorten


@pytest.fixture
def connect(nbi):
    made = []
    host, _, port = nbi.address.removeprefix("http://").rpartition(":")

    def open_one():
        made.append(socket.create_connection((host, int(port)), timeout=20))
        return made[-1]

    yield open_one
    for wire in made:
        wire.close()


def answer(wire):
    """The status and code that the server answers with before it closes."""
    text = wire.makefile("rb").read()
    if not text:
        return None
    head, _, body = text.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert b"application/problem+json" in head
    return int(head.split()[1]), json.loads(body)["code"]


def send(wire, data):
    """Send *data*, which the server may refuse before it has all of it."""
    try:
        wire.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        return


HEAD = b"POST /network/aggr/create-service HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"GET /" + b"x" * limits.MAX_URL + b" HTTP/1.1\r\n\r\n", (414, "url-too-long")),
        (HEAD + b"a: b\r\n" * limits.MAX_HEADERS + b"\r\n", (431, "head-too-large")),
        (HEAD + b"a: " + b"x" * limits.MAX_HEAD + b"\r\n\r\n", (431, "head-too-large")),
        (HEAD + b"x" * (limits.MAX_HEAD + 1) + b": y\r\n\r\n", (431, "head-too-large")),
    ],
    ids=["url", "headers", "value", "name"],
)
def test_a_head_has_bounds(connect, client, data, told):
    wire = connect()
    send(wire, data)
    assert answer(wire) == told
    assert client.post(CREATE).status == 200


def test_what_is_within_the_bounds_is_served(client):
    headers = {f"h{i}": "x" * 500 for i in range(limits.MAX_HEADERS - 5)}
    assert client.get("/network/aggr/services?" + "x" * (limits.MAX_URL - 100), **headers).status == 200


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_has_a_bound(client, framing):
    path, big = "/network/aggr/service/1/define", b" " * 1_000_001
    client.post(CREATE)
    if framing == "length":
        client.post(path, big).problem(413, "too-large")
    else:
        client.connection.request(
            "POST", path, iter([big]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )
        response = client.connection.getresponse()
        assert (response.status, json.loads(response.read())["code"]) == (413, "too-large")
    assert client.get("/network/aggr/services").status == 200


@pytest.mark.parametrize("digits", [7, 18, 19, 20, 5000])
@pytest.mark.parametrize("zeros", [0, 5])
def test_a_length_of_any_number_of_digits_is_too_long(connect, client, digits, zeros):
    client.post(CREATE)
    wire = connect()
    length = b"0" * zeros + b"9" * digits
    head = b"POST /network/aggr/service/1/define HTTP/1.1\r\nHost: x\r\nContent-Length: "
    send(wire, head + length + b"\r\n\r\n{")
    found = http.client.HTTPResponse(wire)
    found.begin()
    assert (found.status, json.loads(found.read())["code"]) == (413, "too-large")


def chunked(trailers):
    path = b"POST /api/v1/networks/aggr/services HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return path + b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n"


def test_what_follows_the_body_is_no_header(broker):
    guarded = Guarded(broker)
    token = guarded.token("ann", "manage@*")
    with plain(guarded.nbi) as wire:
        wire.sendall(chunked(f"Authorization: Bearer {token}\r\n".encode()))
        found = http.client.HTTPResponse(wire)
        found.begin()
        assert found.status == 401
    assert not broker.aggregator.services()
    guarded.stop()


def test_what_follows_the_body_has_a_bound(connect, client):
    wire = connect()
    send(wire, chunked(b"a: " + b"x" * limits.MAX_HEAD + b"\r\n"))
    text = wire.makefile("rb").read()
    assert b"HTTP/1.1 431 " in text


_PARTS = {
    "nothing": b"",
    "a letter": b"G",
    "half a head": HEAD,
    "half a body": b"POST /network/aggr/service/1/define HTTP/1.1\r\nContent-Length: 5\r\n\r\n12",
}


@pytest.mark.parametrize(
    ("part", "before"),
    [
        (part, before)
        for part in _PARTS
        for before in (False, True)
        if part != "nothing" or not before  # a connection that has served may be idle for longer
    ],
)
def test_a_request_that_does_not_come_in_time_is_given_up(hurry, connect, client, part, before):
    data = _PARTS[part]
    told = (408, "too-slow") if data else None
    client.post(CREATE)
    if not before:
        hurry()
        wire = connect()
        send(wire, data)
        # The time runs from the connection on: on a busy machine it may be over before anything was sent.
        assert answer(wire) in (told, None)
        return
    wire = connect()
    wire.sendall(HEAD + b"\r\n")
    first = http.client.HTTPResponse(wire)
    first.begin()
    first.read()
    assert first.status == 200
    hurry()
    wire.sendall(data)
    assert answer(wire) == told


def test_a_body_that_nobody_reads_must_come_in_time_too(hurry, connect):
    hurry("BODY_SECONDS")
    wire = connect()
    wire.sendall(HEAD + b"Content-Length: 5\r\n\r\n12")
    text = wire.makefile("rb").read()
    assert text.startswith(b"HTTP/1.1 200 ")
    assert text.endswith(b'{"service-id":1}')


def test_trickling_does_not_help(hurry, connect):
    hurry()
    wire = connect()
    wire.settimeout(0.02)
    sent = 0
    with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012  # what is sent is refused at some time
        while sent < 5000:
            wire.sendall(b"G" if not sent else b"E")
            sent += 1
            try:
                if wire.recv(100) == b"":
                    raise BrokenPipeError
            except TimeoutError:
                pass
    assert sent < 1000


def test_an_idle_connection_is_closed_after_a_while(monkeypatch):
    monkeypatch.setattr(limits, "IDLE_SECONDS", 0.2)
    broker = FakeBroker()
    nbi = RestNbi(port=0)
    nbi.start(broker)
    client = Client(nbi.address)
    assert client.get("/network/aggr/services").status == 200
    assert client.connection.sock.recv(1) == b""
    client.close()
    nbi.stop()
    broker.close()


def test_a_request_under_way_is_not_idle(hurry, broker, client):
    broker.aggregator.paused = True
    client.post(CREATE)
    hurry()
    path = "/network/aggr/service/1/await-status?acceptable=ACTIVE&timeout-millis=1000"
    assert client.get(path).json == {"status": "DORMANT"}


def test_a_reader_that_does_not_read_is_given_up(monkeypatch, broker, nbi, connect):
    monkeypatch.setattr(limits, "STALLED_SECONDS", 0.2)
    for i in range(3000):
        broker.aggregator.create(ANYBODY, handle=f"{i}" * 40)
    wire = connect()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(20):
        send(wire, b"GET /api/v1/networks/aggr/services HTTP/1.1\r\nHost: x\r\n\r\n")
    eventually(lambda: not nbi._server.server_state.connections)


LASTING = {
    "events": (b"GET /api/v1/networks/aggr/events HTTP/1.1\r\nHost: x\r\n\r\n", b"\n\r\n"),
    "mirror": (b"GET /api/v1/networks/aggr/mirror HTTP/1.1\r\nHost: x\r\n\r\n", b"event: whole"),
    "wait": (b"GET /api/v1/networks/aggr/services/1/await?status=ACTIVE&timeout-millis=3600000 HTTP/1.1\r\n\r\n", b""),
}
HEALTH = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("lasting", LASTING)
@pytest.mark.parametrize("together", [True, False], ids=["together", "later"])
@pytest.mark.parametrize("count", [1, 3])
def test_what_lasts_ends_with_its_client_also_when_requests_wait_behind_it(
    connect, client, broker, nbi, lasting, together, count
):
    broker.aggregator.paused = True
    client.post(CREATE)
    state = nbi._server.server_state
    request, first = LASTING[lasting]
    wire = connect()
    wire.sendall(request + HEALTH * count if together else request)
    if first:
        stream = wire.makefile("rb", buffering=0)
        text = b""
        while first not in text:
            text += stream.read(65_536)
        stream.close()
    else:
        eventually(lambda: nbi._server._app.context.calls._waiting)
    if not together:
        wire.sendall(HEALTH * count)
        eventually(lambda: any(len(connection.pipeline) == count for connection in state.connections))
    wire.close()
    eventually(lambda: not state.tasks)
    context = nbi._server._app.context
    assert not len(context.streams)
    assert not context.calls._waiting


def test_requests_that_wait_are_answered_in_their_order(monkeypatch, connect, client, broker, nbi):
    monkeypatch.setattr(limits, "MAX_AHEAD", 100)
    broker.aggregator.paused = True
    client.post(CREATE)
    wire = connect()
    wire.sendall(LASTING["wait"][0])
    eventually(lambda: nbi._server._app.context.calls._waiting)
    for _ in range(4):  # more than is read ahead
        wire.sendall(HEALTH)
    wire.sendall(HEAD + b"Connection: close\r\n\r\n")
    broker.aggregator.service(1)._waiters[0][1].resolve(Status.DORMANT)
    found = wire.makefile("rb").read()
    for text in (b'"DORMANT"', *[b'"version"'] * 4, b'{"service-id":2}'):
        before, _, found = found.partition(text)
        assert before.count(b"HTTP/1.1 200 ") == 1
    assert not found


def test_who_sends_too_much_ahead_is_given_up(monkeypatch, connect, client, broker, nbi):
    broker.aggregator.paused = True
    monkeypatch.setattr(limits, "STALLED_SECONDS", 0.2)
    client.post(CREATE)
    wire = connect()
    wire.sendall(LASTING["wait"][0] + HEALTH * (limits.MAX_AHEAD // len(HEALTH) + 1))
    assert wire.recv(1) == b""
    eventually(lambda: not nbi._server.server_state.tasks)


@pytest.fixture
def small(monkeypatch, broker):
    """An interface with room for twenty connections."""
    monkeypatch.setattr(limits, "CONNECTIONS", 20)
    found = RestNbi(port=0)
    found.start(broker)
    yield found
    found.stop()


def plain(nbi):
    """A connection that says nothing."""
    host, _, port = nbi.address.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def is_ended(wire):
    try:
        return wire.recv(1) == b""
    except ConnectionResetError:  # there was something that the server had not read
        return True


def test_too_many_connections_are_told_so(small, broker):
    busy = [plain(small) for _ in range(20)]
    for wire in busy:
        wire.sendall(LASTING["events"][0])
    streams = small._server._app.context.streams
    eventually(lambda: len(streams) == 20)
    with plain(small) as wire:
        assert answer(wire) == (503, "busy")
    busy.pop().close()
    eventually(lambda: len(small._server._guests) == 19)
    client = Client(small.address)
    assert client.get("/network/aggr/services").status == 200
    client.close()
    assert len(streams) == 19
    for wire in busy:
        wire.close()


def test_who_idles_gives_way_to_who_comes(small):
    first, *others = [Client(small.address) for _ in range(20)]
    for client in (first, *others, first):
        assert client.get("/network/aggr/services").status == 200
    with plain(small) as wire:
        assert others[0].connection.sock.recv(1) == b""
        others.pop(0).close()
        wire.sendall(HEAD)  # a stranger, until it has asked for something
        with plain(small):
            assert is_ended(wire)
    for client in (first, *others):
        assert client.get("/network/aggr/services").status == 200
        client.close()


def test_who_shows_no_credential_does_not_keep_users_out(monkeypatch, broker):
    monkeypatch.setattr(limits, "CONNECTIONS", 20)
    guarded = Guarded(broker)
    token = guarded.token("ann", "read@aggr")
    user = Client(guarded.nbi.address)
    assert user.get("/network/aggr/services", Authorization=f"Bearer {token}").status == 200
    strangers = [Client(guarded.nbi.address) for _ in range(60)]
    for i, stranger in enumerate(strangers):
        headers = {"Authorization": "Bearer wrong"} if i % 2 else {}
        assert stranger.get("/api/v1/health", **headers).status == (401 if i % 2 else 200)
    another = Client(guarded.nbi.address)
    for client in (user, another):
        assert client.get("/network/aggr/services", Authorization=f"Bearer {token}").status == 200
    for client in (user, another, *strangers):
        client.close()
    guarded.stop()


class Sitting:
    def __init__(self, near, idle=True):
        self.near = near
        self.idle = idle
        self.ended = False

    def give_way(self):
        self.ended = True


def test_strangers_give_way_first_and_of_them_those_from_where_the_most_come():
    guests = guests_of(5)
    known, lone, *crowd = [Sitting(near) for near in ("a", "b", "c", "c", "c")]
    everybody = [known, lone, *crowd]
    assert all(guests.enter(guest) for guest in everybody)
    guests.know(known)
    guests.answered(crowd[0])
    ended = []
    for _ in range(5):
        assert guests.enter(Sitting("d", idle=False))
        ended += [guest for guest in everybody if guest.ended and guest not in ended]
    assert (ended[:2], {*ended[2:4]}, ended[4:]) == ([crowd[1], crowd[2]], {crowd[0], lone}, [known])
    assert not guests.enter(Sitting("d"))
    assert len(guests) == 5
    for guest in everybody:  # their ends are told later
        guests.leave(guest)
        guests.know(guest)
        guests.answered(guest)
    assert len(guests) == 5


def guests_of(most):
    return Guests(Room(most))


def test_who_has_many_addresses_is_one_all_the_same():
    assert near("2001:db8:1:2::5") == near("2001:db8:1:2:ffff::6") != near("2001:db8:1:3::5")
    assert near("192.0.2.1") != near("192.0.2.2")
    assert near("::ffff:192.0.2.1") != near("::ffff:192.0.2.2")
    assert near("fe80::1%eth0") == near("fe80::2%eth0")


def test_no_file_left_for_a_connection_is_told_once_and_it_is_tried_again(monkeypatch, caplog):
    monkeypatch.setattr(entrance, "_PAUSE", 0.01)
    failures = [OSError(errno.EMFILE, "Too many open files")] * 3

    class Listener:
        def __init__(self, real):
            self.fileno, self.setblocking, self._real = real.fileno, real.setblocking, real

        def accept(self):
            if failures:
                raise failures.pop()
            return self._real.accept()

    async def scene():
        came = asyncio.Event()

        def make(found, address):
            came.set()
            return Sitting(address)

        with socket.create_server(("127.0.0.1", 0)) as real:
            door = entrance.Entrance(Listener(real), guests_of(0), make, b"full", None)
            door.open()
            with socket.create_connection(real.getsockname()) as client:
                await asyncio.wait_for(came.wait(), 10)
                assert client.recv(10) == b"full"
            await door.close()

    asyncio.run(scene())
    assert [record.getMessage() for record in caplog.records] == [
        "no connection can be accepted for the moment: Too many open files"
    ]


def test_the_bound_is_what_the_process_may_have(monkeypatch):
    changed = []
    monkeypatch.setattr(rooms, "_taken", [])
    monkeypatch.setattr(resource, "setrlimit", lambda which, both: changed.append(both))
    for soft, hard, bound, raised in (
        (1024, 100_000, 4096, (4352, 100_000)),
        (1024, 2048, 1792, (2048, 2048)),
        (100_000, 100_000, 4096, None),
        (1024, resource.RLIM_INFINITY, 4096, (4352, resource.RLIM_INFINITY)),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 4096, None),
        (64, 64, 16, (64, 64)),
    ):
        changed.clear()
        monkeypatch.setattr(resource, "getrlimit", lambda which, both=(soft, hard): both)
        with Room(4096) as room:
            assert room.most == bound
        assert changed == ([raised] if raised else [])


def test_interfaces_share_what_the_process_may_have(monkeypatch):
    monkeypatch.setattr(rooms, "_taken", [])
    monkeypatch.setattr(resource, "setrlimit", lambda which, both: None)
    for files, both, alone in ((100_000, (4096, 1024), 4096), (2816, (2048, 512), 2560)):
        monkeypatch.setattr(resource, "getrlimit", lambda which, files=files: (files, files))
        with Room(4096) as rest:
            with Room(1024) as ssh:
                assert (rest.most, ssh.most) == both
            assert rest.most == alone


def test_five_hundred_slow_clients_starve_nobody(connect, client):
    slow = [connect() for _ in range(500)]
    for i, wire in enumerate(slow):
        wire.sendall((HEAD + b"X: 1\r\n", HEAD + b"Content-Length: 900000\r\n\r\n{", b"P", b"")[i % 4])
    for count in range(1, 21):
        for wire in slow[count % 4 :: 4]:
            send(wire, b"x")
        assert client.post(CREATE).status == 200
        made = client.get("/network/aggr/services").json["service-ids"]
        assert len(made) >= count


def test_garbage_does_not_fill_the_log(connect, client, caplog):
    for data in (
        b"rubbish\r\n\r\n",
        HEAD + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"\x16\x03\x01" * 100,
    ):
        wire = connect()
        wire.sendall(data)
        wire.shutdown(socket.SHUT_WR)
        wire.makefile("rb").read()
    assert client.post(CREATE).status == 200
    assert not caplog.records


def test_a_request_without_a_version_of_http_is_refused(nbi):
    with socket.create_connection(("127.0.0.1", int(nbi.address.rpartition(":")[2])), timeout=10) as client:
        client.sendall(b"GET /network/aggr/services\r\n\r\n")
        answer = b""
        while piece := client.recv(65536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"application/problem+json" in answer
