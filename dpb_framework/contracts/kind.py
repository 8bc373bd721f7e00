"""The contract NetworkKind: how a kind of network is built and lives in a broker (group `dpb.networks`).

Clauses K1 to K4.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from dpb_framework.contracts.network import Network
from dpb_framework.contracts.store import Contents, Store
from dpb_framework.runtime import Runtime

T = TypeVar("T")


class Audience(Protocol):
    """The listeners, as networks see them (see `dpb_framework.hookspecs` for the two verbs)."""

    def has(self, hook: str) -> bool:
        """Whether anybody listens to *hook*."""

    def ask(self, hook: str, **facts: Any) -> None:
        """Ask all; the first refusal is raised as `Refused`."""

    def tell(self, hook: str, **facts: Any) -> None:
        """Tell all, each isolated from the others' faults."""


class Workshop(ABC):
    """What a network is built from."""

    name: str
    settings: Mapping[str, Any]
    path: str
    """Where its settings stand in the configuration, such as `$.network[2]`."""
    store: Store
    uuid: str
    runtime: Runtime
    audience: Audience
    tuning: Mapping[str, Any]
    """Settings of the broker as a whole: `inferior-timeout` (s), `replans`."""

    @abstractmethod
    def make(self, group: str, name: str, contract: type[T], settings: Mapping[str, Any], key: str) -> T:
        """Make another plugin, whose settings stand at *key* below `path`."""

    @abstractmethod
    def inferior(self, name: str) -> Network:
        """The network of that name, which was built before."""


class NetworkKind(Network):
    """A network that a broker builds, restores, starts and stops."""

    @classmethod
    @abstractmethod
    def build(cls, workshop: Workshop) -> NetworkKind:
        """Make one from its settings.

        K1. Contacts nobody; unknown or wrong settings are `ConfigInvalid` with their path.
        """

    @abstractmethod
    def restore(self, contents: Contents) -> None:
        """Take up what the store has of it. K2. Called once, before `start`, after its inferiors' `restore`."""

    @abstractmethod
    def start(self) -> None:
        """Begin to work. K3. Returns at once and succeeds while devices and inferiors are away."""

    @abstractmethod
    def stop(self) -> None:
        """End contact with devices and inferiors; nothing changes on them. K4. Repeatable."""

    @abstractmethod
    def health(self) -> Mapping[str, Any]:
        """Plain data for operators: at least `{"kind", "services", "unconfirmed"}`. Does not block."""
