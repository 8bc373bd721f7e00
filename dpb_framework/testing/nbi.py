"""The conformance suite of `Nbi`: a plugin's whole test of its contract is a subclass with two fixtures.

class TestMine(NbiContract):
@pytest.fixture
def make(self):
return lambda: MyNbi(host="127.0.0.1", port=0)

@pytest.fixture
def make_at(self):
return lambda address: MyNbi(**settings_for(address))
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

from dpb_framework.contracts import BrokerApi, Nbi, Network
from dpb_framework.errors import ConfigInvalid, NetworkUnknown
from dpb_framework.memory import MemoryStore
from dpb_framework.reply import Reply

T = TypeVar("T")


class EmptyBroker(BrokerApi):
    """A broker without a network: all that starting and stopping needs; its store is in memory."""

    def __init__(self) -> None:
        self._workers = ThreadPoolExecutor(1)
        self.store = MemoryStore()
        self.store.open()

    def network(self, name: str) -> Network:
        """There is none."""
        raise NetworkUnknown(name)

    def networks(self) -> Sequence[Network]:
        """There are none."""
        return ()

    def health(self) -> Mapping[str, Any]:
        """All is well."""
        return {"status": "ok", "version": "0", "store": "none", "networks": {}}

    def work(self, call: Callable[[], T]) -> Reply[T]:
        """Run *call* in the one worker."""
        reply: Reply[T] = Reply()

        def run() -> None:
            try:
                value = call()
            except Exception as error:  # noqa: BLE001  # whatever it is, it is the reply
                reply.fail(error)
            else:
                reply.resolve(value)

        self._workers.submit(run)
        return reply

    def close(self) -> None:
        """End the worker."""
        self._workers.shutdown()
        self.store.close()


def _place(address: str) -> tuple[str, int]:
    """Return host and port of an address as an `Nbi` tells it: a URL or `host:port`."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    assert parts.hostname, f"address {address!r} names no host"
    assert parts.port, f"address {address!r} names no port"
    return parts.hostname, parts.port


class NbiContract:
    """Clauses B1 to B4. A subclass gives the fixtures `make` and `make_at`."""

    @pytest.fixture
    def make(self) -> Callable[[], Nbi]:
        """A function that returns a new interface, not started, which takes a free port of 127.0.0.1."""
        raise NotImplementedError("a subclass gives the fixture make")

    @pytest.fixture
    def make_at(self) -> Callable[[str], Nbi]:
        """A function that returns a new interface, not started, for an address that another one told."""
        raise NotImplementedError("a subclass gives the fixture make_at")

    @pytest.fixture
    def broker(self) -> Iterator[BrokerApi]:
        """What the interface serves."""
        found = EmptyBroker()
        yield found
        found.close()

    @pytest.fixture
    def started(self, make: Callable[[], Nbi], broker: BrokerApi) -> Iterator[Nbi]:
        """One that is started."""
        nbi = make()
        nbi.start(broker)
        yield nbi
        nbi.stop()

    def test_b1_clients_can_connect_once_it_is_started(self, started: Nbi) -> None:
        """B1."""
        socket.create_connection(_place(started.address), timeout=5).close()

    def test_b1_an_address_in_use_is_a_fault_of_the_configuration(
        self, started: Nbi, make_at: Callable[[str], Nbi], broker: BrokerApi
    ) -> None:
        """B1."""
        second = make_at(started.address)
        with pytest.raises(ConfigInvalid) as caught:
            second.start(broker)
        assert caught.value.path
        assert second.address == ""
        second.stop()

    def test_b2_stopping_is_repeatable(self, make: Callable[[], Nbi], broker: BrokerApi) -> None:
        """B2."""
        nbi = make()
        nbi.stop()
        nbi.start(broker)
        nbi.stop()
        nbi.stop()

    def test_b2_clients_cannot_hold_up_the_stop(self, started: Nbi) -> None:
        """B2. One is silent, one stops in the midst of what it says, one hammers."""
        place = _place(started.address)
        silent = socket.create_connection(place, timeout=5)
        halting = socket.create_connection(place, timeout=5)
        halting.sendall(b"G")
        ended = threading.Event()

        def hammer() -> None:
            while not ended.is_set():
                try:
                    with socket.create_connection(place, timeout=1) as again:
                        again.sendall(b"\r\n")
                except OSError:
                    return

        hammering = threading.Thread(target=hammer)
        hammering.start()
        began = time.monotonic()
        started.stop()
        took = time.monotonic() - began
        ended.set()
        hammering.join()
        silent.close()
        halting.close()
        assert took < 10

    def test_b3_nothing_listens_afterwards(self, make: Callable[[], Nbi], broker: BrokerApi) -> None:
        """B3."""
        nbi = make()
        nbi.start(broker)
        place = _place(nbi.address)
        nbi.stop()
        with pytest.raises(OSError):  # noqa: PT011  # which one differs from system to system
            socket.create_connection(place, timeout=5)

    def test_b3_it_can_be_started_again(self, make: Callable[[], Nbi], broker: BrokerApi) -> None:
        """B3. The place is free for the next one at once."""
        nbi = make()
        nbi.start(broker)
        nbi.stop()
        nbi.start(broker)
        socket.create_connection(_place(nbi.address), timeout=5).close()
        nbi.stop()

    def test_b4_the_address_is_told_while_it_is_started(self, make: Callable[[], Nbi], broker: BrokerApi) -> None:
        """B4."""
        nbi = make()
        assert nbi.address == ""
        nbi.start(broker)
        assert nbi.address
        nbi.stop()
        assert nbi.address == ""


__all__ = ["EmptyBroker", "NbiContract"]
