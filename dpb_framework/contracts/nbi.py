"""The contract Nbi: a northbound interface. Clauses B1 to B4; `dpb_framework.testing.nbi` tests them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from dpb_framework.contracts.network import Network
from dpb_framework.contracts.store import Store
from dpb_framework.reply import Reply

T = TypeVar("T")


class BrokerApi(ABC):
    """What a northbound interface may ask of the broker."""

    store: Store
    """The broker's, open: for items in a namespace of one's own. What is the kernel's there is left alone."""

    @abstractmethod
    def network(self, name: str) -> Network:
        """Return the network. `NetworkUnknown`."""

    @abstractmethod
    def networks(self) -> Sequence[Network]:
        """All of them, in the order of the configuration."""

    @abstractmethod
    def health(self) -> Mapping[str, Any]:
        """Plain data: `{"status": "ok"|"degraded", "version", "store", "networks": {name: {...}}}`. Does not block."""

    @property
    def uuid(self) -> str:
        """The store's id, by which other brokers know this one; empty where there is none."""
        return ""

    @abstractmethod
    def work(self, call: Callable[[], T]) -> Reply[T]:
        """Run *call* in a worker thread: for an event loop, which must run no planner and read no store."""


class Nbi(ABC):
    """A way in for clients. Made with keyword settings; bad ones raise `ConfigInvalid`."""

    @abstractmethod
    def start(self, broker: BrokerApi) -> None:
        """Begin to answer.

        B1. Returns once clients can connect; an address in use is `ConfigInvalid` with the setting.
        """

    @abstractmethod
    def stop(self) -> None:
        """End. B2. Repeatable; returns within 10 s, whatever clients do. B3. Nothing listens afterwards."""

    @property
    @abstractmethod
    def address(self) -> str:
        """B4. Where clients find it, as they would write it (a URL, `host:port`); empty while it is not started."""
