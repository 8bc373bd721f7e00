"""The configuration file: TOML in, frozen values out, every fault with its path.

No plugin is imported here: what belongs to a plugin is kept as its settings, and checked where it is built.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import Factory, field, frozen

from dpb_framework.errors import BadArgument, ConfigInvalid, InferiorCycle
from dpb_framework.model import check_name
from dpb_framework.settings import check_keys, check_type, nearest, resolve

DEFAULT_PORT = 4753
"""Where REST answers when nobody says otherwise."""


@frozen
class BrokerConfig:
    """The broker's own numbers.

    `workers` threads do the kernel's short work, and two more for each network over others, in which it plans;
    `leaf_threads` threads serve each switch or remote network; an inferior network that has not answered within
    `inferior_timeout` seconds counts as unreachable; a define tries at most `replans` other plans.
    """

    workers: int = 4
    leaf_threads: int = 2
    inferior_timeout: float = 10.0
    replans: int = 8


@frozen
class StoreConfig:
    """Which store, and its settings."""

    kind: str = "sql"
    settings: Mapping[str, Any] = field(factory=dict, repr=False)
    path: str = field(default="$.store", eq=False)


@frozen
class NetworkConfig:
    """A network: its name, its kind, and the kind's settings by the keys of the file.

    A switch has `fabric`, `fabric-settings`, `on-port-down` (`keep` or `fail`), `unenforced` (`flag` or `refuse`);
    an aggregator has `algorithm`, `algorithm-settings` and `inferiors`: defaults are filled in. Further, where the file
    says so: a switch's `audit-interval` (s), an aggregator's own `inferior-timeout` (s) and `replans`. `path` is where
    it stands in the file, for whoever finds a fault later.
    """

    name: str
    kind: str
    settings: Mapping[str, Any] = field(factory=dict, repr=False)
    path: str = field(default="$.network", eq=False)

    @property
    def inferiors(self) -> tuple[str, ...]:
        """The names of its inferior networks, as configured."""
        return tuple(self.settings.get("inferiors", ()))


@frozen
class NbiConfig:
    """A northbound interface: its kind and its settings."""

    kind: str
    settings: Mapping[str, Any] = field(factory=dict, repr=False)
    path: str = field(default="$.nbi", eq=False)


@frozen
class ListenerConfig:
    """A listener: its kind and its settings."""

    kind: str
    settings: Mapping[str, Any] = field(factory=dict, repr=False)
    path: str = field(default="$.listener", eq=False)


def _rest() -> tuple[NbiConfig, ...]:
    return (NbiConfig("rest", {"host": "127.0.0.1", "port": DEFAULT_PORT}, "$.nbi[0]"),)


@frozen
class Config:
    """All that a broker is built from. Settings may hold secrets, so no `repr` shows them."""

    broker: BrokerConfig = BrokerConfig()
    store: StoreConfig = Factory(StoreConfig)
    networks: tuple[NetworkConfig, ...] = ()
    nbis: tuple[NbiConfig, ...] = Factory(_rest)
    listeners: tuple[ListenerConfig, ...] = ()


def default() -> Config:
    """Return what holds without a file: SQLite in the user's data folder, REST on 127.0.0.1:4753, no networks."""
    return Config()


def load(path: str | os.PathLike[str]) -> Config:
    """Read the configuration file at *path*.

    `ConfigInvalid` names the place of the first fault, such as `$.network[2].fabric`, or the file when it cannot be
    read; `InferiorCycle` when networks are their own inferiors. Relative paths are taken from the file's folder.
    """
    file = Path(path)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigInvalid(str(path), f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(str(path), f"is no UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(str(path), f"is no TOML: {error}") from error
    except RecursionError as error:
        raise ConfigInvalid(str(path), "is no configuration: nested too deeply") from error
    return parse(document, file.absolute().parent)


def parse(document: Mapping[str, Any], folder: Path) -> Config:
    """Check the plain data of a configuration file that lies in *folder*. Errors as `load`."""
    check_keys(document, ("broker", "store", "network", "nbi", "listener"), "$")
    networks = tuple(_network(*entry, folder) for entry in _tables(document, "network"))
    _check_hierarchy(networks)
    return Config(
        broker=_broker(_table(document, "broker", "$")),
        store=_store(_table(document, "store", "$"), folder),
        networks=networks,
        nbis=tuple(NbiConfig(*_plugin(*e, folder)) for e in _tables(document, "nbi")) if "nbi" in document else _rest(),
        listeners=_listeners(document, folder),
    )


# -- sections -----------------------------------------------------------------------------------

_RANGES: dict[str, tuple[type, float, float]] = {
    "workers": (int, 1, 256),
    "leaf-threads": (int, 1, 64),
    "inferior-timeout": (float, 0.001, 3600),
    "replans": (int, 0, 1000),
    "audit-interval": (float, 0, 10**6),
}


def _broker(table: Mapping[str, Any]) -> BrokerConfig:
    check_keys(table, ("workers", "leaf-threads", "inferior-timeout", "replans"), "$.broker")
    for key, value in table.items():
        check_type(value, _RANGES[key][0], f"$.broker.{key}")
        _check_range(value, key, f"$.broker.{key}")
    return BrokerConfig(**{key.replace("-", "_"): value for key, value in table.items()})


def _check_range(value: float, key: str, path: str) -> None:
    _, least, most = _RANGES[key]
    if not least <= value <= most:  # also true of no number at all
        raise ConfigInvalid(path, f"expected a number from {least:g} to {most:g}, got {value:g}")


_SQLITE_RELATIVE = re.compile(r"(sqlite(?:\+\w+)?:///)([^/:?].*)", re.DOTALL)


def _store(table: Mapping[str, Any], folder: Path) -> StoreConfig:
    kind, settings, path = _plugin({"kind": "sql", **table}, "$.store", folder)
    url = settings.get("url")
    if isinstance(url, str) and (match := _SQLITE_RELATIVE.fullmatch(url)):
        # A database must not move when the broker is started from another folder.
        settings["url"] = f"{match[1]}{folder / match[2]}"
    return StoreConfig(kind, settings, path)


_NEEDED, _OPTIONAL = object(), object()

_KINDS: dict[str, dict[str, tuple[Any, Any]]] = {
    "switch": {
        "fabric": (str, "emulated"),
        "fabric-settings": (dict[str, Any], {}),
        "on-port-down": (str, "keep"),
        "unenforced": (str, "flag"),
        "audit-interval": (float, _OPTIONAL),
    },
    "aggregator": {
        "algorithm": (str, "bast"),
        "algorithm-settings": (dict[str, Any], {}),
        "inferiors": (list[str], _NEEDED),
        "inferior-timeout": (float, _OPTIONAL),
        "replans": (int, _OPTIONAL),
    },
}
_CHOICES = {"on-port-down": ("keep", "fail"), "unenforced": ("flag", "refuse")}


def _network(table: Mapping[str, Any], path: str, folder: Path) -> NetworkConfig:
    if "name" not in table:
        raise ConfigInvalid(f"{path}.name", "a network needs a name")
    try:
        name = check_name(table["name"], f"{path}.name")
    except BadArgument as error:
        raise ConfigInvalid(error.path, error.problem) from None
    kind, settings, _ = _plugin({key: value for key, value in table.items() if key != "name"}, path, folder)
    fields = _KINDS.get(kind)
    if fields is None:
        if "inferiors" in settings:
            check_type(settings["inferiors"], list[str], f"{path}.inferiors")
        return NetworkConfig(name, kind, settings, path)
    if kind == "switch" and "inferiors" in settings:
        raise ConfigInvalid(f"{path}.inferiors", "a switch has no inferior networks; kind = 'aggregator' has")
    check_keys(settings, ("name", "kind", *fields), path)
    filled: dict[str, Any] = {}
    for key, (wanted, otherwise) in fields.items():
        if key in settings:
            filled[key] = _checked(settings[key], key, wanted, f"{path}.{key}")
        elif otherwise is _NEEDED:
            raise ConfigInvalid(f"{path}.{key}", f"a network of kind {kind!r} needs this")
        elif otherwise is not _OPTIONAL:
            filled[key] = dict(otherwise) if isinstance(otherwise, dict) else otherwise
    return NetworkConfig(name, kind, filled, path)


def _checked(value: Any, key: str, wanted: Any, path: str) -> Any:
    check_type(value, wanted, path)
    if value not in _CHOICES.get(key, (value,)):
        raise ConfigInvalid(path, f"no choice: {value!r}{nearest(value, _CHOICES[key])}")
    if key in _RANGES:
        _check_range(value, key, path)
    return value


def _listeners(document: Mapping[str, Any], folder: Path) -> tuple[ListenerConfig, ...]:
    listeners: dict[str, ListenerConfig] = {}
    for table, path in _tables(document, "listener"):
        listener = ListenerConfig(*_plugin(table, path, folder))
        if listener.kind in listeners:
            where = listeners[listener.kind].path
            raise ConfigInvalid(f"{path}.kind", f"listener {listener.kind!r} is there already, at {where}")
        listeners[listener.kind] = listener
    return tuple(listeners.values())


def _plugin(table: Mapping[str, Any], path: str, folder: Path) -> tuple[str, dict[str, Any], str]:
    kind = table.get("kind")
    if not isinstance(kind, str) or not kind:
        problem = "expected the name of a plugin" if "kind" in table else "this is needed: the name of a plugin"
        raise ConfigInvalid(f"{path}.kind", problem)
    rest = {key: resolve(value, f"{path}.{key}", folder) for key, value in table.items() if key != "kind"}
    return kind, rest, path


# -- networks among each other ------------------------------------------------------------------


def _check_hierarchy(networks: tuple[NetworkConfig, ...]) -> None:
    known: dict[str, NetworkConfig] = {}
    for network in networks:
        if network.name in known:
            where = known[network.name].path
            raise ConfigInvalid(f"{network.path}.name", f"network {network.name!r} is there already, at {where}")
        known[network.name] = network
    superior: dict[str, str] = {}
    repeated: list[ConfigInvalid] = []
    for network in networks:
        for i, inferior in enumerate(network.inferiors):
            path = f"{network.path}.inferiors[{i}]"
            if inferior not in known:
                raise ConfigInvalid(path, f"there is no network {inferior!r}{nearest(inferior, known)}")
            if inferior in superior:
                problem = f"network {inferior!r} is already an inferior of {superior[inferior]!r}; it has one superior"
                repeated.append(ConfigInvalid(path, problem))
            superior.setdefault(inferior, network.name)
    _check_cycles(known)
    if repeated:
        raise repeated[0]


def _check_cycles(known: Mapping[str, NetworkConfig]) -> None:
    sound: set[str] = set()
    for start in known:
        # Depth first without recursion: a chain of inferiors may be as long as the file.
        trail: list[str] = []
        stack = [iter((start,))]
        while stack:
            name = next(stack[-1], None)
            if name is None:
                stack.pop()
                if trail:
                    sound.add(trail.pop())
            elif name in trail:
                raise InferiorCycle([*trail[trail.index(name) :], name])
            elif name not in sound:
                trail.append(name)
                stack.append(iter(known[name].inferiors))


# -- values -------------------------------------------------------------------------------------


def _table(document: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise ConfigInvalid(f"{path}.{key}", f"expected a table: [{key}]")
    return table


def _tables(document: Mapping[str, Any], key: str) -> list[tuple[Mapping[str, Any], str]]:
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigInvalid(f"$.{key}", f"expected a list of tables, each begun with [[{key}]]")
    return [(table, f"$.{key}[{i}]") for i, table in enumerate(tables)]
