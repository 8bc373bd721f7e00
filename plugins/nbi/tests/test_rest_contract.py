"""The contract of every northbound interface, and what this one's start and stop are more than that."""

from __future__ import annotations

import json
import logging
import signal
import socket
import threading

import pytest
from dpb_nbi import RestNbi

from dpb_framework.errors import ConfigInvalid
from dpb_framework.testing.nbi import NbiContract

from .fake_network import FakeBroker
from .rest_helpers import eventually


class TestRest(NbiContract):
    @pytest.fixture
    def make(self):
        return lambda: RestNbi(port=0)

    @pytest.fixture
    def make_at(self):
        return lambda address: RestNbi(port=int(address.rpartition(":")[2]))


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"host": ""}, "host"),
        ({"host": 7}, "host"),
        ({"host": "http://x"}, "host"),
        ({"port": -1}, "port"),
        ({"port": 65536}, "port"),
        ({"port": "4753"}, "port"),
        ({"port": True}, "port"),
    ],
)
def test_a_bad_setting_is_named(settings, path):
    with pytest.raises(ConfigInvalid) as caught:
        RestNbi(**settings)
    assert caught.value.path == path


def test_an_address_of_another_machine_is_refused(broker):
    with pytest.raises(ConfigInvalid) as caught:
        RestNbi(host="192.0.2.1", port=0, insecure=True).start(broker)
    assert caught.value.path == "host"


def test_the_default_is_the_port_of_the_first_broker():
    assert RestNbi()._place == ("127.0.0.1", 4753)


def test_ipv6_is_told_with_brackets(broker):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    nbi = RestNbi(host="::1", port=0)
    nbi.start(broker)
    assert nbi.address.startswith("http://[::1]:")
    nbi.stop()


def test_signals_and_logging_stay_as_they_are(broker):
    names = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")

    def logs():
        return [(list(log.handlers), log.propagate, log.level) for log in map(logging.getLogger, names)]

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), logs()
    nbi = RestNbi(port=0)
    nbi.start(broker)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), logs()) == before
    nbi.stop()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), logs()) == before


def test_there_is_no_access_log(client, caplog):
    caplog.set_level(logging.DEBUG)
    assert client.get("/network/aggr/services").status == 200
    assert "/network" not in caplog.text


def test_what_waits_ends_cleanly_when_it_stops(nbi, broker, make_client):
    broker.aggregator.paused = True
    starter, stream, waiter, definer, slow = (make_client() for _ in range(5))
    for _ in range(2):
        starter.post("/network/aggr/create-service")
    stream.connection.request("GET", "/api/v1/networks/aggr/events")
    events = stream.connection.getresponse()
    waiter.connection.request("GET", "/network/aggr/service/1/await-status?acceptable=ACTIVE&timeout-millis=3600000")
    body = {"segment": [{"terminal-name": t, "label": 1, "ingress-bw": 1, "egress-bw": 1} for t in "ab"]}
    definer.connection.request("POST", "/network/aggr/service/2/define", json.dumps(body))
    half = socket.create_connection((slow.host, slow.port))
    half.sendall(b"POST /network/aggr/service/1/define HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    eventually(lambda: len(broker.aggregator.service(1)._waiters) == 1)
    eventually(lambda: len(broker.aggregator.service(2)._waiters) == 1)
    stopping = threading.Thread(target=nbi.stop)
    stopping.start()
    assert events.read().startswith(b":\n\n")
    answer = waiter.connection.getresponse()
    assert (answer.status, json.loads(answer.read())["code"]) == (503, "stopped")
    answer = definer.connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"{}")
    stopping.join(10)
    assert not stopping.is_alive()
    half.close()
    # What comes after the end is nobody's fault.
    broker.aggregator.go_on()


def test_a_client_that_goes_leaves_nothing_behind(nbi, broker, make_client):
    broker.aggregator.paused = True
    first, second = make_client(), make_client()
    first.post("/network/aggr/create-service")
    first.connection.request("GET", "/api/v1/networks/aggr/events")
    first.connection.getresponse()
    second.connection.request("GET", "/network/aggr/service/1/await-status?acceptable=ACTIVE&timeout-millis=3600000")
    app = nbi._server._app
    eventually(lambda: len(app.context.calls._waiting) == 1)
    assert (len(app.context.streams), broker.aggregator.watchers) == (1, 1)
    first.close()
    second.close()
    eventually(lambda: not app.context.calls._waiting)
    eventually(lambda: (len(app.context.streams), broker.aggregator.watchers) == (0, 0))


@pytest.mark.parametrize(
    "text",
    [
        b"rubbish\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST /network/aggr/create-service HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /network/aggr/create-service HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_what_is_no_request_gets_an_answer(client, text):
    with socket.create_connection((client.host, client.port), timeout=10) as wire:
        wire.sendall(text)
        answer = wire.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


def test_requests_in_one_packet_are_answered_in_order(client):
    request = b"POST /network/aggr/create-service HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /network/aggr/services HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection((client.host, client.port), timeout=10) as wire:
        wire.sendall(request * 3 + last)
        answer = wire.makefile("rb").read()
    assert answer.count(b"HTTP/1.1 200") == 4
    assert answer.endswith(b'{"service-ids":[1,2,3]}')


def test_two_interfaces_serve_one_broker():
    broker = FakeBroker()
    both = [RestNbi(port=0), RestNbi(port=0)]
    for nbi in both:
        nbi.start(broker)
    assert both[0].address != both[1].address
    for nbi in both:
        nbi.stop()
    broker.close()
