"""The relay between switches and their controller: passes on, and misbehaves when told to."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from dpb_lab.namespace import Namespace
from dpb_lab.process import run
from dpb_lab.relay import ADDRESS, Message, Relay
from dpb_lab.testing import marks, needed

pytestmark = marks("lab")


def message(kind: int, body: bytes = b"") -> bytes:
    return struct.pack("!BBHI", 4, kind, 8 + len(body), 1) + body


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    needed()
    namespace = Namespace()
    with namespace.inside():
        run(["ip", "link", "set", "lo", "up"])
    yield namespace
    namespace.close()


@pytest.fixture
def controller(namespace: Namespace) -> Iterator[socket.socket]:
    with namespace.inside():
        listening = socket.create_server((ADDRESS, 6653))
    with listening:
        listening.settimeout(20)
        yield listening


@pytest.fixture
def relay(namespace: Namespace, controller: socket.socket) -> Iterator[Relay]:
    with Relay(namespace, 6654, 6653) as relay:
        yield relay


class Pair:
    """A switch and what its controller has of it."""

    def __init__(self, namespace: Namespace, controller: socket.socket) -> None:
        with namespace.inside():
            self.switch = socket.create_connection((ADDRESS, 6654), 20)
        self.controller, _ = controller.accept()
        self.controller.settimeout(20)

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.switch.close()
        self.controller.close()


def test_all_passes_both_ways(namespace: Namespace, controller: socket.socket, relay: Relay) -> None:
    with Pair(namespace, controller) as pair:
        pair.switch.sendall(b"anything")
        assert pair.controller.recv(100) == b"anything"
        pair.controller.sendall(message(14, b"x" * 60000))
        received = b""
        while len(received) < 60008:
            received += pair.switch.recv(1 << 16)
        assert received == message(14, b"x" * 60000)
        pair.switch.close()
        assert pair.controller.recv(100) == b""


def test_a_message_is_lost_with_its_connection(namespace: Namespace, controller: socket.socket, relay: Relay) -> None:
    relay.cut_at(Message.BARRIER_REQUEST)
    with Pair(namespace, controller) as pair:
        pair.controller.sendall(message(14) + message(20) + message(14))
        assert pair.switch.recv(100) == message(14)
        assert pair.switch.recv(100) == b""
        assert relay.struck.wait(20)
        assert pair.controller.recv(100) == b""
    with namespace.inside(), socket.create_connection((ADDRESS, 6654), 20) as refused:
        assert refused.recv(100) == b""
    relay.go_on()
    with Pair(namespace, controller) as pair:
        pair.controller.sendall(message(20))
        assert pair.switch.recv(100) == message(20)


def test_silence_ends(namespace: Namespace, controller: socket.socket, relay: Relay) -> None:
    with Pair(namespace, controller) as pair:
        relay.hold_at(Message.FLOW_MOD)
        heard = threading.Event()

        def hear() -> None:
            pair.controller.recv(100)
            heard.set()

        hearing = threading.Thread(target=hear)
        hearing.start()
        pair.controller.sendall(message(14))
        assert relay.struck.wait(20)
        pair.switch.sendall(b"anybody?")
        assert not heard.wait(0.1)
        relay.go_on()
        assert heard.wait(20)
        assert pair.switch.recv(100) == message(14)
        hearing.join()
