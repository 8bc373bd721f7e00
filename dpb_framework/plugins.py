"""Plugins: found by stevedore, called by pluggy. The only user of stevedore.

"Which one?" is `load` and `make`: one name from the configuration, one class, checked against its contract, built by
us, nothing else imported. "Who else cares?" is `Listeners`: hooks of those that take part without being chosen.
"""

from __future__ import annotations

import functools
import importlib.metadata
import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pluggy
from attrs import frozen
from stevedore.driver import DriverManager
from stevedore.extension import ExtensionManager
from stevedore.named import NamedExtensionManager

from dpb_framework import hookspecs
from dpb_framework.errors import BadArgument, ConfigInvalid, DpbError, PluginBroken, PluginMissing, Refused
from dpb_framework.settings import check_call, nearest
from dpb_framework.signatures import mismatches

FABRICS = "dpb.fabrics"
ALGORITHMS = "dpb.algorithms"
STORES = "dpb.stores"
NBIS = "dpb.nbis"
NETWORKS = "dpb.networks"
COMMANDS = "dpb.commands"
LISTENERS = "dpb.listeners"
GROUPS = (FABRICS, ALGORITHMS, STORES, NBIS, NETWORKS, COMMANDS, LISTENERS)

T = TypeVar("T")

_logger = logging.getLogger("dpb.plugins")


# -- which one? ---------------------------------------------------------------------------------


def load(group: str, name: str, contract: type) -> type:
    """Return the class that is installed as *name* in *group*, a complete subclass of *contract*.

    Only that plugin is imported. `PluginMissing` names what is installed; `PluginBroken` tells of an import that fails,
    of what is no such class, of methods that are missing or take other arguments than the contract says.
    """
    found = load_object(group, name)
    if not isinstance(found, type):
        raise PluginBroken(group, name, f"{_target(group, name)} is no class")
    if not issubclass(found, contract):
        raise PluginBroken(group, name, f"{_target(group, name)} is no subclass of {_dotted(contract)}")
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise PluginBroken(group, name, f"{_target(group, name)} does not implement {', '.join(missing)}")
    for problem in mismatches(found, contract):
        raise PluginBroken(group, name, f"{_target(group, name)}: {problem}")
    return found


_SETTINGS = "-settings"


def load_at(group: str, name: str, contract: type, path: str) -> type:
    """As `load`, for the plugin whose settings stand at *path* in the configuration.

    `ConfigInvalid` where its name stands if nobody has it: at `kind` beside the settings, or at `fabric` where these
    are `fabric-settings`.
    """
    try:
        return load(group, name, contract)
    except PluginMissing as error:
        hint = nearest(name, error.installed)
        problem = f"no plugin {name!r} in {group}{hint}; install the distribution that has it, or correct the name"
        where = path.removesuffix(_SETTINGS) if path.endswith(_SETTINGS) else f"{path}.kind"
        raise ConfigInvalid(where, problem) from error


def make(group: str, name: str, contract: Callable[..., T], settings: Mapping[str, Any], path: str) -> T:
    """Load a plugin's class and build it with keyword *settings*, which stand at *path* in the configuration.

    Errors of `load_at`; `ConfigInvalid` at `path.key` for a setting that its constructor does not know, misses, or
    wants of another type, and for what the constructor itself refuses; `PluginBroken` when it fails in any other way.
    """
    assert isinstance(contract, type)
    built = load_at(group, name, contract, path)
    arguments = check_call(built, settings, path)
    try:
        return built(**arguments)  # type: ignore[no-any-return]  # what a plugin makes is checked by who asks
    except (ConfigInvalid, BadArgument) as error:
        # The constructor knows its setting, but not where in the file that stands.
        where = error.path if error.path.startswith("$") else f"{path}.{error.path}"
        raise ConfigInvalid(where, error.problem) from error
    except DpbError:
        raise
    except Exception as error:
        raise PluginBroken(group, name, f"it cannot be built: {type(error).__name__}: {_line(error)}") from error


def load_object(group: str, name: str) -> Any:
    """Return whatever is installed as *name* in *group*; errors as `load`, but nothing is asked of the object."""
    offers = _truth(group).get(name, ())
    if not offers:
        raise PluginMissing(group, name, sorted(_truth(group)))
    if len(offers) > 1:
        both = " and ".join(map(_distribution, offers))
        raise PluginBroken(group, name, f"{both} both offer that name; uninstall one of them")
    _correct(group)
    try:
        (extension,) = DriverManager[Any](group, name, invoke_on_load=False).extensions
    except (Exception, SystemExit) as error:
        what = "importing" if isinstance(error, ImportError | SyntaxError) else "loading"
        problem = f"{what} {offers[0].value} fails: {type(error).__name__}: {_line(error)}"
        raise PluginBroken(group, name, problem) from error
    return extension.plugin


def installed(group: str) -> dict[str, str]:
    """Return the names that are installed in *group* with the distribution and version that offers each, sorted.

    Nothing is imported. Where several distributions offer a name, all are told, joined by ` and `.
    """
    return {name: " and ".join(map(_distribution, offers)) for name, offers in sorted(_truth(group).items())}


def target(group: str, name: str) -> str:
    """Return what *name* stands for, as `package.module:object`; `PluginMissing`. Nothing is imported."""
    if name not in _truth(group):
        raise PluginMissing(group, name, sorted(_truth(group)))
    return _target(group, name)


def stale(group: str) -> tuple[str, ...]:
    """Return the names of *group* about which stevedore's cache file is wrong, sorted.

    It keeps lists of entry points by modification times that it rounds to about two minutes, so that a plugin which
    was installed again meanwhile stays invisible. We go by what the distributions themselves say.
    """
    true = {(name, offer.value) for name, offers in _truth(group).items() for offer in offers}
    ExtensionManager.ENTRY_POINT_CACHE.pop(group, None)
    manager = NamedExtensionManager[Any](group, names=(), on_missing_entrypoints_callback=None)
    cached = {(point.name, point.value) for point in manager.list_entry_points()}
    ExtensionManager.ENTRY_POINT_CACHE[group] = [offer for offers in _truth(group).values() for offer in offers]
    return tuple(sorted({name for name, _ in true ^ cached}))


def refresh() -> None:
    """Forget what is installed: for a process in which plugins are installed while it runs."""
    _scan.cache_clear()
    _correct.cache_clear()
    ExtensionManager.ENTRY_POINT_CACHE.clear()


@functools.cache
def _scan(
    path: tuple[str, ...],  # the key: another path has other distributions
) -> dict[str, dict[str, tuple[importlib.metadata.EntryPoint, ...]]]:
    found: dict[str, dict[str, list[importlib.metadata.EntryPoint]]] = defaultdict(lambda: defaultdict(list))
    for group in GROUPS:
        for point in importlib.metadata.entry_points(group=group):
            found[group][point.name].append(point)
    return {group: {name: tuple(points) for name, points in names.items()} for group, names in found.items()}


def _truth(group: str) -> Mapping[str, tuple[importlib.metadata.EntryPoint, ...]]:
    return _scan(tuple(sys.path)).get(group, {})


@functools.cache
def _correct(group: str) -> None:
    """Give stevedore the true list of *group*, and say so when its own is another. Once for each group."""
    if wrong := stale(group):
        _logger.warning(
            "stevedore's cache is out of date about %s in %s: what is really installed is used; delete the folder"
            " python-entrypoints in the user's cache folder",
            ", ".join(wrong),
            group,
        )


def _distribution(point: importlib.metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


def _target(group: str, name: str) -> str:
    return _truth(group)[name][0].value


def _dotted(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


# -- who else cares? ----------------------------------------------------------------------------


@frozen
class _Hook:
    listener: str
    call: Callable[..., Any]
    takes: tuple[str, ...]


class Listeners:
    """Those who take part without being chosen: asked before a change, told after it.

    Registered first, then used: `register` and `check_pending` belong to one thread, `ask`, `tell` and `has` to any.
    """

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._hooks: dict[str, tuple[_Hook, ...]] = {
            name: () for name in vars(hookspecs) if name.startswith(("ask_", "tell_"))
        }

    def register(self, name: str, listener: object) -> None:
        """Let *listener* take part under *name*, after those that do already.

        `PluginBroken` when the name is taken, when a hook asks for facts that it does not have, when a method has a
        hook's name without its mark, or when it takes part in no hook. Misspelt hooks are found by `check_pending`.
        """
        try:
            self._manager.register(listener, name=name)
        except Exception as error:
            raise PluginBroken(LISTENERS, name, _line(error)) from error
        callers = self._manager.get_hookcallers(listener) or []
        marked = {caller.name for caller in callers}
        for hook in self._hooks:
            if hook not in marked and callable(getattr(listener, hook, None)):
                raise PluginBroken(LISTENERS, name, f"its method {hook} is not marked with @hookimpl")
        if not callers:
            raise PluginBroken(LISTENERS, name, f"it takes part in no hook; there are {', '.join(self._hooks)}")
        for caller in callers:
            (own,) = (own for own in caller.get_hookimpls() if own.plugin is listener)
            if own.hookwrapper or own.wrapper:
                raise PluginBroken(LISTENERS, name, f"{caller.name} is a wrapper; a listener is only asked and told")
            if caller.name in self._hooks:
                self._hooks[caller.name] += (_Hook(name, own.function, tuple(own.argnames)),)

    def check_pending(self) -> None:
        """Raise `PluginBroken`, with the nearest hook's name, if a listener has a hook that does not exist."""
        try:
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            listener = self._manager.get_name(error.plugin) or type(error.plugin).__name__
            for caller in self._manager.get_hookcallers(error.plugin) or []:
                if caller.name not in self._hooks:
                    problem = f"there is no hook {caller.name!r}{nearest(caller.name, self._hooks)}"
                    raise PluginBroken(LISTENERS, listener, problem) from error
            raise PluginBroken(LISTENERS, listener, _line(error)) from error

    def has(self, hook: str) -> bool:
        """Whether some listener takes part in *hook*, so that its facts need not be gathered for nobody."""
        return bool(self._hooks[hook])

    def ask(self, hook: str, **facts: Any) -> None:
        """Ask the listeners in the order of their registration; the first refusal is raised as `Refused`.

        A listener that fails refuses too: a policy that cannot be asked has not agreed.
        """
        for one in self._hooks[hook]:
            try:
                one.call(**{name: facts[name] for name in one.takes})
            except Refused as error:
                raise Refused(error.reason, one.listener) from error
            except Exception as error:
                _logger.exception("listener %s failed in %s; the change is refused", one.listener, hook)
                reason = f"listener {one.listener} failed: {type(error).__name__}: {_line(error)}"
                raise Refused(reason, one.listener) from error

    def stop(self) -> None:
        """Stop those that have something to end: a `stop` without arguments, which may take some seconds."""
        for name, listener in reversed(self._manager.list_name_plugin()):
            stop = getattr(listener, "stop", None)
            if callable(stop):
                try:
                    stop()
                except Exception:
                    _logger.exception("listener %s did not stop cleanly", name)

    def tell(self, hook: str, **facts: Any) -> None:
        """Tell all listeners in the order of their registration; what one raises is logged, and the others are told."""
        for one in self._hooks[hook]:
            try:
                one.call(**{name: facts[name] for name in one.takes})
            except Exception:
                _logger.exception("listener %s failed in %s", one.listener, hook)
