"""The broker: builds everything from the configuration, recovers, starts, stops."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from dpb_framework import __version__
from dpb_framework.config import Config, NetworkConfig
from dpb_framework.contracts import BrokerApi, Contents, Nbi, Network, NetworkKind, NetworkRecord, Store, Workshop
from dpb_framework.errors import ConfigInvalid, NetworkUnknown
from dpb_framework.plugins import LISTENERS, NBIS, NETWORKS, STORES, Listeners, load_at, make
from dpb_framework.reply import Reply
from dpb_framework.runtime import Runtime

_logger = logging.getLogger("dpb.broker")

T = TypeVar("T")


class Broker(BrokerApi):
    """Everything that a configuration names, built but not started: nothing outside is touched before `start`."""

    def __init__(
        self,
        config: Config,
        store: Store | None = None,
        runtime: Runtime | None = None,
        make: Callable[..., Any] = make,
    ) -> None:
        """Build. `PluginMissing`, `PluginBroken`, `ConfigInvalid`.

        *store* and *runtime* stand in for those of the configuration, *make* for `dpb_framework.plugins.make`: for
        tests, and for programs that have a broker within, such as a benchmark that times what a plugin does.
        """
        self.make = make
        self.config = config
        numbers = config.broker
        # A network over others may hold a worker as long as it plans, and another for what-ifs: those come on top.
        planning = 2 * sum(1 for network in config.networks if network.settings.get("inferiors"))
        self.runtime = runtime or Runtime(numbers.workers + planning, numbers.leaf_threads)
        self.listeners = Listeners()
        for listener in config.listeners:
            built = make(LISTENERS, listener.kind, object, listener.settings, listener.path)
            self.listeners.register(listener.kind, built)
        self.listeners.check_pending()
        self.store: Store = store or make(
            STORES,
            config.store.kind,
            Store,
            config.store.settings,
            config.store.path,
        )
        self._networks: dict[str, NetworkKind] = {}
        for network in _inferiors_first(config.networks):
            self._networks[network.name] = self._build(network)
        self.nbis: list[tuple[str, Nbi]] = [
            (nbi.kind, make(NBIS, nbi.kind, Nbi, nbi.settings, nbi.path)) for nbi in config.nbis
        ]
        self._started: list[Nbi] = []
        self._strangers: list[str] = []

    def _build(self, network: NetworkConfig) -> NetworkKind:
        kind = load_at(NETWORKS, network.kind, NetworkKind, network.path)
        # A class found by its entry point: checked when it was loaded.
        return kind.build(_Workshop(self, network))  # type: ignore[attr-defined,no-any-return]

    # -- life

    def start(self) -> None:
        """Open the store, recover, start the networks and then the interfaces. On failure nothing stays open."""
        try:
            self.store.open()
            contents = self.store.load()
            self._look_for_strangers(contents)
            for network in self._networks.values():
                network.restore(contents)
            for network in self._networks.values():
                network.start()
            for _, nbi in self.nbis:
                nbi.start(self)
                self._started.append(nbi)
        except BaseException:
            self.stop()
            raise

    def _look_for_strangers(self, contents: Contents) -> None:
        """Tell of networks that the store knows and the configuration does not: their services live on unseen."""
        stored = [record.name for record in contents.tables[NetworkRecord] if isinstance(record, NetworkRecord)]
        self._strangers = sorted(set(stored) - set(self._networks))
        for name in self._strangers:
            _logger.warning(
                "network %r is in the store and not in the configuration: its services stay as they are, and what they"
                " hold below stays taken; put it back, or release them before it is taken out",
                name,
            )

    def stop(self) -> None:
        """Stop interfaces, networks, store and listeners, in that order. Services stay as they are on the devices."""
        for nbi in reversed(self._started):
            _quietly(nbi.stop)
        self._started = []
        for network in reversed(self._networks.values()):
            _quietly(network.stop)
        _quietly(self.store.close)
        self.runtime.stop()
        self.listeners.stop()

    def addresses(self) -> dict[str, str]:
        """Where the northbound interfaces answer, by kind (and a number from the second of a kind on)."""
        found: dict[str, str] = {}
        for kind, nbi in self.nbis:
            name, count = kind, 2
            while name in found:
                name, count = f"{kind}-{count}", count + 1
            found[name] = nbi.address
        return found

    # -- for northbound interfaces

    def network(self, name: str) -> Network:
        """Return the network. `NetworkUnknown`."""
        try:
            return self._networks[name]
        except KeyError:
            raise NetworkUnknown(name) from None

    def networks(self) -> Sequence[Network]:
        """All networks, in the order of the configuration."""
        return [self._networks[network.name] for network in self.config.networks]

    def health(self) -> Mapping[str, Any]:
        """How everything is."""
        networks = {network.name: self._networks[network.name].health() for network in self.config.networks}
        troubled = bool(self._strangers) or any(
            facts.get("unconfirmed") or facts.get("contact") == "lost" for facts in networks.values()
        )
        return {
            "status": "degraded" if troubled else "ok",
            "version": __version__,
            "store": self.config.store.kind,
            "networks": networks,
            **({"not-configured": self._strangers} if self._strangers else {}),
        }

    @property
    def uuid(self) -> str:
        """The store's id."""
        return self.store.uuid

    def work(self, call: Callable[[], T]) -> Reply[T]:
        """Run *call* in a worker."""
        return self.runtime.work(call)


class _Workshop(Workshop):
    """What one network is built from."""

    def __init__(self, broker: Broker, network: NetworkConfig) -> None:
        self._broker = broker
        self.name = network.name
        self.settings = network.settings
        self.path = network.path
        self.store = broker.store
        self.runtime = broker.runtime
        self.audience = broker.listeners
        numbers = broker.config.broker
        self.tuning = {"inferior-timeout": numbers.inferior_timeout, "replans": numbers.replans}

    @property
    def uuid(self) -> str:  # type: ignore[override]  # the contract has an attribute; here it is the store's
        """The store's id; known once the store is open."""
        return self.store.uuid

    def make(self, group: str, name: str, contract: type[T], settings: Mapping[str, Any], key: str) -> T:
        """Make another plugin."""
        made: T = self._broker.make(group, name, contract, settings, f"{self.path}.{key}")
        return made

    def inferior(self, name: str) -> Network:
        """The network of that name."""
        return self._broker.network(name)


def _inferiors_first(networks: Sequence[NetworkConfig]) -> list[NetworkConfig]:
    by_name = {network.name: network for network in networks}
    ordered: dict[str, NetworkConfig] = {}
    for network in networks:
        # Depth first without recursion; circles were refused when the configuration was read.
        stack = [(network, iter(network.inferiors))]
        while stack:
            here, rest = stack[-1]
            name = next(rest, None)
            if name is None:
                stack.pop()
                ordered.setdefault(here.name, here)
            elif name not in ordered:
                if name not in by_name:
                    raise ConfigInvalid(f"{here.path}.inferiors", f"there is no network {name!r}")
                stack.append((by_name[name], iter(by_name[name].inferiors)))
    return list(ordered.values())


def _quietly(stop: Callable[[], None]) -> None:
    try:
        stop()
    except Exception:
        _logger.exception("something did not stop cleanly")
