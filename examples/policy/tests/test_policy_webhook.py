"""The webhook against a real receiver on loopback, which is away, slow or refuses."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dpb_policy import webhook
from dpb_policy.webhook import Webhook

from dpb_framework.errors import ConfigInvalid
from dpb_framework.model import Event, EventKind


class Receiver:
    """Keeps what it gets; answers the next posts with `answers`, then 204."""

    def __init__(self):
        self.got, self.headers, self.answers = [], [], []
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.hold.wait(30)
                status = receiver.answers.pop(0) if receiver.answers else 204
                receiver.headers.append(self.headers.get("Authorization"))
                if status < 300:
                    receiver.got.append(body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def wait(self, count):
        deadline = time.monotonic() + 30
        while len(self.got) < count:
            assert time.monotonic() < deadline, self.got
            time.sleep(0.01)
        return [(m["number"], m["service"], m["status"], m["missed"]) for m in self.got]


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def hook(receiver):
    hook = Webhook(receiver.url, token="secret")
    yield hook
    hook.stop()


def tell(hook, number, status, service=7):
    hook.tell_event("wan", Event("wan", number, EventKind.SERVICE, {"id": service, "status": status, "error": None}))


def test_changes_of_status_are_told_in_order_and_nothing_else(receiver, hook):
    for number, status in enumerate(("DORMANT", "ESTABLISHING", "ESTABLISHING", "INACTIVE", "ACTIVE"), 1):
        tell(hook, number, status)
    hook.tell_event("wan", Event("wan", 6, EventKind.TERMINAL, {"name": "a", "present": True}))
    tell(hook, 7, "RELEASED")
    expected = [(1, "DORMANT"), (2, "ESTABLISHING"), (4, "INACTIVE"), (5, "ACTIVE"), (7, "RELEASED")]
    assert receiver.wait(5) == [(number, 7, status, 0) for number, status in expected]
    assert set(receiver.headers) == {"Bearer secret"}


def test_a_receiver_that_is_away_gets_all_of_it_later(receiver, hook, monkeypatch):
    monkeypatch.setattr(webhook, "_PAUSES", (0.01,))
    receiver.answers = [503, 500, 429, 408]
    tell(hook, 1, "ACTIVE")
    tell(hook, 2, "FAILED")
    assert [number for number, *_ in receiver.wait(2)] == [1, 2]


def test_what_a_receiver_refuses_does_not_stop_the_rest(receiver, hook):
    receiver.answers = [422]
    tell(hook, 1, "ACTIVE")
    tell(hook, 2, "FAILED")
    assert [number for number, *_ in receiver.wait(1)] == [2]


def test_telling_never_blocks_and_what_does_not_fit_is_counted(receiver):
    hook = Webhook(receiver.url, queue=2)
    receiver.hold.clear()
    for number in range(1, 11):
        tell(hook, number, "ACTIVE", service=number)
    receiver.hold.set()
    hook.stop()
    # One may have been under way; the last two were in the queue, and the rest is counted.
    told = [m["number"] for m in receiver.got]
    assert told[-2:] == [9, 10]
    assert len(told) + sum(m["missed"] for m in receiver.got) == 10


def test_stop_sends_what_waits(receiver, hook):
    for number in range(1, 21):
        tell(hook, number, "ACTIVE", service=number)
    hook.stop()
    hook.stop()
    assert len(receiver.got) == 20
    tell(hook, 21, "ACTIVE", service=21)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"url": "portal"}, "url"),
        ({"statuses": ["GOOD"]}, "statuses"),
        ({"queue": 0}, "queue"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_a_wrong_setting_is_named(settings, path):
    with pytest.raises(ConfigInvalid) as caught:
        Webhook(**{"url": "http://127.0.0.1:1", **settings})
    assert caught.value.path == path
