"""A broker with three sites, and a wire to it that can be cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from dpb_framework.broker import Broker
from dpb_framework.config import parse
from dpb_framework.emulated import Device, device

SITES = ("ams", "lon", "par")


class Wire:
    """A relay on loopback: `lost` answers are delivered to nobody, while `cut` no request gets through.

    While it is not `open`, orders stay under way, and arrive when it is, whoever waits for them still.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.lost = 0
        self.cut = False
        self.open = threading.Event()
        self.open.set()
        self.requests: list[str] = []
        self.orders = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._accept, name="wire")
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        # Closing a listener wakes nobody who waits on it; a last connection does.
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        talks = []
        while True:
            client, _ = self._listener.accept()
            if self._ended.is_set():
                client.close()
                break
            talks.append(threading.Thread(target=self._talk, args=(client,)))
            talks[-1].start()
        for talk in talks:
            talk.join(10)

    def _talk(self, client: socket.socket) -> None:
        """Carry one request and its answer, then close: so each request is one decision."""
        with client:
            client.settimeout(10)
            asked = _message(client)
            if not asked or self.cut:
                return
            self.requests.append(asked.split(b"\r\n", 1)[0].decode())
            order = asked.startswith(b"POST")
            if order and not self.open.wait(20):
                return
            with socket.create_connection(self._target, 10) as server:
                server.settimeout(10)
                server.sendall(asked)
                answer = _message(server)
            self.orders += order
            if self.lost:
                self.lost -= 1
                return
            with suppress(OSError):  # who asked has given up
                client.sendall(answer.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))


def _message(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(sizes[0].split(b":")[1]) if sizes else 0
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


class World:
    """The broker and what a test looks at behind the connector's back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.start()
        self._build()

    def start(self) -> None:
        # Emulated devices that are told apart by name outlive a restart of the broker in this process.
        switches = [
            {"name": n, "kind": "switch", "fabric": "emulated", "fabric-settings": {"device": f"{self.folder}-{n}"}}
            for n in SITES
        ]
        top = {"name": "wan", "kind": "aggregator", "inferiors": list(SITES)}
        nbi = {"kind": "rest", "port": self.port}
        store = {"kind": "sql", "url": f"sqlite:///{self.folder}/dpb.sqlite"}
        self.broker = Broker(parse({"store": store, "nbi": [nbi], "network": [*switches, top]}, self.folder))
        self.broker.start()
        self.url = self.broker.nbis[0][1].address
        self.port = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        self.broker.stop()

    def device(self, name: str) -> Device:
        """The device behind that site."""
        return device(f"{self.folder}-{name}")

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, f"{self.url}/api/v1/networks/{path}", json=body, timeout=10)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def _build(self) -> None:
        for name in SITES:
            for place, terminal in (("1", "access"), ("2", "east"), ("3", "west")):
                self.rest("PUT", f"{name}/terminals/{terminal}", {"place": place})
            self.rest("PUT", f"wan/terminals/{name}", {"place": f"{name}:access"})
        for a, b in (("ams", "lon"), ("lon", "par"), ("par", "ams")):
            trunk = {"start": f"{a}:east", "end": f"{b}:west", "upstream": 100, "delay": 5}
            self.rest("PUT", f"wan/trunks/{a}-{b}", trunk)

    def nothing_left(self) -> bool:
        """Whether no network holds a service, and every trunk has all of its bandwidth and labels."""
        names = ("wan", *SITES)
        trunks = self.rest("GET", "wan/trunks")["trunks"]
        return all(not self.rest("GET", f"{name}/services")["services"] for name in names) and all(
            (t["upstream-left"], t["downstream-left"], t["labels-left"]) == (100, 100, 4094) for t in trunks
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.stop()


@pytest.fixture
def wire(world: World) -> Iterator[Wire]:
    wire = Wire("127.0.0.1", world.port)
    yield wire
    wire.cut = True
    wire.stop()
