"""Plugins: found or told why not, built from settings, and listeners that are asked and told."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from dpb_framework import plugins
from dpb_framework.errors import BadArgument, ConfigInvalid, PluginBroken, PluginMissing, Refused
from dpb_framework.hookspecs import hookimpl
from dpb_framework.journal import Journal
from dpb_framework.model import ANYBODY, Event, EventKind, Segment, Terminal, Totals
from dpb_framework.settings import check_call
from dpb_framework.signatures import mismatches


class Contract(ABC):
    """Stands for a contract in these tests; the plugins below subclass it by way of `sys.modules`."""

    @abstractmethod
    def plan(self, demand: int, limit: int = 3) -> int: ...

    @property
    @abstractmethod
    def address(self) -> str: ...


class Install(Protocol):
    def __call__(self, name: str, points: str, **modules: str) -> Path: ...


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put distributions on the path: their entry points and modules."""
    monkeypatch.setitem(sys.modules, "dpb_test_contract", sys.modules[__name__])
    known = set(sys.modules)

    def put(name: str, points: str, **modules: str) -> Path:
        info = tmp_path / name / f"{name.replace('-', '_')}-1.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(textwrap.dedent(points))
        for module, text in modules.items():
            (tmp_path / name / f"{module}.py").write_text(textwrap.dedent(text))
        # No `syspath_prepend`: a new folder is in no cache, and emptying them disturbs threads that import just now.
        monkeypatch.setattr(sys, "path", [str(tmp_path / name), *sys.path])
        plugins.refresh()
        return info

    yield put
    for module in set(sys.modules) - known:
        if module.startswith("tp_"):
            del sys.modules[module]
    plugins.refresh()


COMPLETE = """
from dpb_test_contract import Contract

class Good(Contract):
    def __init__(
        self, url: str, tries: int = 3, slow_start: float = 0.5, names: list[str] = [], hard: bool | None = None
    ):
        self.url, self.tries, self.slow_start, self.names = url, tries, slow_start, names
    def plan(self, demand, limit=3, *, extra=None):
        return demand
    address = "here"
"""


def test_one_plugin_is_loaded_and_no_other(install: Install) -> None:
    install("third", "[dpb.stores]\ngood = tp_good:Good\nother = tp_other:X\n", tp_good=COMPLETE, tp_other="1 / 0")
    assert plugins.load(plugins.STORES, "good", Contract).__name__ == "Good"
    assert "tp_other" not in sys.modules
    assert plugins.installed(plugins.STORES)["good"] == "third 1.5"
    assert plugins.installed(plugins.STORES)["memory"].startswith("dpb-framework ")
    assert plugins.target(plugins.STORES, "good") == "tp_good:Good"


def test_a_missing_plugin_names_what_is_installed(install: Install) -> None:
    install("third", "[dpb.fabrics]\ntoaster = tp_x:X\n")
    with pytest.raises(PluginMissing, match=r"no plugin 'toster' in dpb.fabrics; installed: .*toaster") as caught:
        plugins.load(plugins.FABRICS, "toster", Contract)
    assert "toaster" in caught.value.installed
    with pytest.raises(PluginMissing):
        plugins.target(plugins.FABRICS, "toster")


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        ("import nowhere_at_all", "importing tp_bad:Bad fails: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("x = (", "importing tp_bad:Bad fails: SyntaxError"),
        ("raise SystemExit(3)", "loading tp_bad:Bad fails: SystemExit: 3"),
        ("raise AssertionError('one\\ntwo')", "loading tp_bad:Bad fails: AssertionError: one two"),
        ("", "loading tp_bad:Bad fails: AttributeError"),
        ("Bad = 7", "tp_bad:Bad is no class"),
        ("class Bad: pass", "tp_bad:Bad is no subclass of"),
        (
            "from dpb_test_contract import Contract\nclass Bad(Contract): pass",
            "tp_bad:Bad does not implement address, plan",
        ),
        (
            "from dpb_test_contract import Contract\nclass Bad(Contract):\n"
            "    address = 'x'\n    def plan(self, request, limit=3): return 1",
            "tp_bad:Bad: plan does not take 'demand'",
        ),
    ],
)
def test_a_broken_plugin_says_what_is_wrong_in_one_line(install: Install, module: str, problem: str) -> None:
    install("third", "[dpb.stores]\nbad = tp_bad:Bad\n", tp_bad=module)
    with pytest.raises(PluginBroken) as caught:
        plugins.load(plugins.STORES, "bad", Contract)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_two_distributions_offer_is_refused_naming_both(install: Install) -> None:
    install("one", "[dpb.stores]\ngood = tp_good:Good\n", tp_good=COMPLETE)
    install("two", "[dpb.stores]\ngood = tp_good:Good\n")
    with pytest.raises(PluginBroken, match=r"(one|two) 1\.5 and (one|two) 1\.5 both offer"):
        plugins.load(plugins.STORES, "good", Contract)
    assert set(plugins.installed(plugins.STORES)["good"].split(" and ")) == {"one 1.5", "two 1.5"}


def test_a_plugin_is_built_from_its_settings(install: Install) -> None:
    install("third", "[dpb.stores]\ngood = tp_good:Good\n", tp_good=COMPLETE)
    settings = {"url": "x", "slow-start": 1, "names": ["a"], "hard": True}
    built: Any = plugins.make(plugins.STORES, "good", Contract, settings, "$.store")
    assert (built.url, built.tries, built.slow_start, built.names) == ("x", 3, 1, ["a"])


@pytest.mark.parametrize(
    ("settings", "path", "says"),
    [
        ({}, "$.store.url", "is needed"),
        ({"url": 7}, "$.store.url", "expected text, got an integer"),
        ({"url": "x", "trys": 1}, "$.store.trys", "did you mean 'tries'?"),
        ({"url": "x", "zzzzzzzzz": 1}, "$.store.zzzzzzzzz", "known: hard, names, slow-start, tries, url"),
        ({"url": "x", "tries": "1"}, "$.store.tries", "expected an integer, got text"),
        ({"url": "x", "tries": True}, "$.store.tries", "expected an integer, got true or false"),
        ({"url": "x", "tries": 1.0}, "$.store.tries", "expected an integer, got a number"),
        ({"url": "x", "slow-start": "1"}, "$.store.slow-start", "expected a number"),
        ({"url": "x", "hard": 1}, "$.store.hard", "expected true or false, got an integer"),
        ({"url": "x", "names": "a"}, "$.store.names", "a list, each item text"),
        ({"url": "x", "names": ["a", 1]}, "$.store.names", "a list, each item text"),
        ({"url": "x", "slow-start": 1, "slow_start": 1}, "$.store.slow_start", "given twice"),
    ],
)
def test_a_wrong_setting_is_told_with_its_path(
    install: Install, settings: dict[str, Any], path: str, says: str
) -> None:
    install("third", "[dpb.stores]\ngood = tp_good:Good\n", tp_good=COMPLETE)
    with pytest.raises(ConfigInvalid) as caught:
        plugins.make(plugins.STORES, "good", Contract, settings, "$.store")
    assert caught.value.path == path
    assert says in caught.value.problem


class Choosy(Contract):
    address = "x"

    def __init__(self, fault: str = "", mode: Literal["soft", "hard"] | None = "soft") -> None:
        if fault == "setting":
            raise ConfigInvalid("fault", "not so")
        if fault == "argument":
            raise BadArgument("fault", "not so")
        if fault:
            raise OSError(f"no {fault}")

    def plan(self, demand: int, limit: int = 3) -> int:
        return demand


@pytest.mark.parametrize("fault", ["setting", "argument"])
def test_what_a_constructor_refuses_gets_its_place_in_the_file(install: Install, fault: str) -> None:
    install("third", "[dpb.stores]\nchoosy = dpb_test_contract:Choosy\n")
    with pytest.raises(ConfigInvalid, match=r"^\$\.store\.fault: not so$"):
        plugins.make(plugins.STORES, "choosy", Contract, {"fault": fault}, "$.store")


def test_a_constructor_that_fails_breaks_only_the_plugin(install: Install) -> None:
    install("third", "[dpb.stores]\nchoosy = dpb_test_contract:Choosy\n")
    with pytest.raises(PluginBroken, match="cannot be built: OSError: no disk"):
        plugins.make(plugins.STORES, "choosy", Contract, {"fault": "disk"}, "$.store")


def test_choices_and_constructors_that_take_anything() -> None:
    with pytest.raises(ConfigInvalid, match=r"did you mean 'hard'\?"):
        check_call(Choosy, {"mode": "hart"}, "$.x")
    with pytest.raises(ConfigInvalid, match="expected one of 'soft', 'hard', got an integer"):
        check_call(Choosy, {"mode": 3}, "$.x")
    assert check_call(Choosy, {"mode": "hard"}, "$.x") == {"mode": "hard"}
    assert check_call(lambda **anything: None, {"a-b": 1}, "$.x") == {"a_b": 1}
    with pytest.raises(ConfigInvalid, match="it takes none"):
        check_call(lambda: None, {"a": 1}, "$.x")


# -- signatures ---------------------------------------------------------------------------------


class Same(Contract):
    address = "x"

    def plan(self, demand: int, limit: int = 3, *more: int, extra: int = 0) -> int:
        return 1


class Anything(Contract):
    address = "x"

    def plan(self, *args: Any, **kwargs: Any) -> int:
        return 1


class Renamed(Contract):
    address = "x"

    def plan(self, demand: int, most: int = 3) -> int:  # type: ignore[override]
        return 1


class Swapped(Contract):
    address = "x"

    def plan(self, limit: int = 3, demand: int = 0) -> int:  # type: ignore[override]
        return 1


class Demanding(Contract):
    address = "x"

    def plan(self, demand: int, limit: int, extra: int) -> int:  # type: ignore[override]
        return 1


class Later(Contract):
    address = "x"

    async def plan(self, demand: int, limit: int = 3) -> int:  # type: ignore[override]
        return 1


class Mixed(Contract):
    plan = 3  # type: ignore[assignment]

    def address(self) -> str:  # type: ignore[override]
        return ""


@pytest.mark.parametrize(
    ("kind", "problems"),
    [
        (Same, []),
        (Anything, []),
        (Renamed, ["plan does not take 'limit'"]),
        (Swapped, ["plan takes 'demand' at another place", "plan takes 'limit' at another place"]),
        (
            Demanding,
            [
                "plan demands 'limit', which the contract lets callers leave out",
                "plan demands 'extra', which the contract does not have",
            ],
        ),
        (Later, ["plan is a coroutine, the contract has an ordinary method"]),
        (Mixed, ["address is a method, the contract has a property", "plan is no method, the contract has one"]),
    ],
)
def test_signatures_are_compared_with_the_contract(kind: type, problems: list[str]) -> None:
    assert mismatches(kind, Contract) == problems


# -- the stale cache ----------------------------------------------------------------------------

PROBE = """
import sys
sys.executable = "/usr/lib/dpb/python"  # stevedore writes no cache for interpreters in the temporary folder
sys.path.insert(0, sys.argv[1])
import json, logging
logging.basicConfig(level=logging.WARNING, format="%(message)s")
from stevedore.named import NamedExtensionManager
from dpb_framework import plugins
listed = NamedExtensionManager(plugins.STORES, names=(), on_missing_entrypoints_callback=None).entry_points_names()
there = "second" in plugins.installed(plugins.STORES)
loaded = plugins.load(plugins.STORES, "second", object).__name__ if there else None
print(json.dumps({"listed": listed, "stale": plugins.stale(plugins.STORES), "loaded": loaded}))
"""


def test_a_stale_cache_is_noticed_and_not_believed(install: Install, tmp_path: Path) -> None:
    info = install("third", "[dpb.stores]\nfirst = tp_two:First\n", tp_two="class First: ...\nclass Second: ...\n")

    def probe() -> tuple[dict[str, Any], str]:
        environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        command = [sys.executable, "-c", PROBE, str(info.parent)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
        return json.loads(done.stdout), done.stderr

    answer, told = probe()
    assert "first" in answer["listed"]
    assert (answer["stale"], answer["loaded"], told) == ([], None, "")

    points = info / "entry_points.txt"
    before = points.stat()
    points.write_text("[dpb.stores]\nfirst = tp_two:First\nsecond = tp_two:Second\n")
    os.utime(points, ns=(before.st_atime_ns, before.st_mtime_ns))  # within stevedore's two minutes, made certain

    answer, told = probe()
    assert "second" not in answer["listed"]
    assert (answer["stale"], answer["loaded"]) == (["second"], "Second")
    assert "cache is out of date about second in dpb.stores" in told


# -- listeners ----------------------------------------------------------------------------------

EVENT = Event("wan", 1, EventKind.SERVICE, {"id": 7, "status": "ACTIVE", "desired": "ACTIVE", "error": None})


class Recorder:
    def __init__(self, log: list[str], name: str, fault: Exception | None = None) -> None:
        self.log, self.name, self.fault = log, name, fault

    @hookimpl
    def ask_topology(self, network: str, change: Terminal) -> None:
        self.log.append(f"{self.name} asked about {change.name}")
        if self.fault is not None:
            raise self.fault

    @hookimpl
    def tell_event(self, event: Event) -> None:
        self.log.append(f"{self.name} told {event.number}")
        if self.fault is not None:
            raise self.fault


def listeners(log: list[str], **faults: Exception | None) -> plugins.Listeners:
    made = plugins.Listeners()
    for name, fault in faults.items():
        made.register(name, Recorder(log, name, fault))
    made.check_pending()
    return made


def ask(asked: plugins.Listeners) -> None:
    asked.ask("ask_topology", network="wan", change=Terminal("t", "1"), caller=ANYBODY)


def test_listeners_are_asked_in_order_until_one_refuses() -> None:
    log: list[str] = []
    asked = listeners(log, first=None, second=Refused("too late", "somebody"), third=None)
    with pytest.raises(Refused, match=r"^refused by second: too late$") as caught:
        ask(asked)
    assert caught.value.listener == "second"
    assert log == ["first asked about t", "second asked about t"]


def test_all_agree() -> None:
    log: list[str] = []
    ask(listeners(log, first=None, second=None))
    assert log == ["first asked about t", "second asked about t"]


def test_a_policy_that_cannot_be_asked_refuses(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Refused) as caught:
        ask(listeners([], odd=ValueError("no\nidea")))
    assert (caught.value.reason, caught.value.listener) == ("listener odd failed: ValueError: no idea", "odd")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "odd" in record.getMessage()


def test_a_fault_of_one_listener_does_not_keep_the_others_from_being_told(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    listeners(log, first=None, bad=KeyError("x"), last=None).tell("tell_event", network="wan", event=EVENT)
    assert log == ["first told 1", "bad told 1", "last told 1"]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.getMessage() == "listener bad failed in tell_event"


def test_whether_anybody_cares_is_known() -> None:
    some = listeners([], first=None)
    assert some.has("tell_event")
    assert not some.has("ask_segment")
    some.ask("ask_segment", network="wan", service=1, segment=Segment(()), caller=ANYBODY, owner="x", totals=Totals())


class Misspelt:
    @hookimpl
    def tell_evnt(self, event: Event) -> None: ...


class WrongFacts:
    @hookimpl
    def tell_event(self, network: str, evnt: Event) -> None: ...


class Unmarked:
    def tell_event(self, network: str, event: Event) -> None: ...


class Wrapper:
    @hookimpl(wrapper=True)
    def tell_event(self) -> Any:
        return (yield)


def test_a_misspelt_hook_is_refused_with_the_nearest() -> None:
    made = plugins.Listeners()
    made.register("odd", Misspelt())
    with pytest.raises(PluginBroken, match=r"'odd' .*no hook 'tell_evnt'; did you mean 'tell_event'\?"):
        made.check_pending()


@pytest.mark.parametrize(
    ("listener", "problem"),
    [
        (WrongFacts(), "evnt"),
        (Unmarked(), "its method tell_event is not marked with @hookimpl"),
        (object(), "it takes part in no hook; there are ask_segment, ask_topology, tell_event"),
        (Wrapper(), "tell_event is a wrapper"),
    ],
)
def test_a_listener_that_cannot_take_part_is_refused(listener: object, problem: str) -> None:
    with pytest.raises(PluginBroken) as caught:
        plugins.Listeners().register("odd", listener)
    assert problem in caught.value.problem
    assert "\n" not in caught.value.problem


def test_two_listeners_have_two_names() -> None:
    made = listeners([], first=None)
    with pytest.raises(PluginBroken):
        made.register("first", Recorder([], "first"))


def test_the_journal_logs_changes_of_services(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="dpb.journal")
    made = plugins.Listeners()
    made.register("journal", plugins.make(plugins.LISTENERS, "journal", object, {}, "$.listener[0]"))
    made.check_pending()
    made.tell("tell_event", network="wan", event=EVENT)
    made.tell("tell_event", network="wan", event=Event("wan", 2, EventKind.TRUNK, {"name": "t", "present": True}))
    error = {"code": "no-capacity", "text": "no"}
    made.tell("tell_event", network="wan", event=Event("wan", 3, EventKind.SERVICE, {**EVENT.data, "error": error}))
    assert [record.getMessage() for record in caplog.records] == [
        "network=wan service=7 status=ACTIVE desired=ACTIVE change=none error=-",
        "network=wan service=7 status=ACTIVE desired=ACTIVE change=none error=no-capacity",
    ]
    assert caplog.records[1].__dict__["error"] == "no-capacity"


def test_a_silent_journal_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="dpb.journal")
    Journal().tell_event("wan", EVENT)
    assert not caplog.records


def test_listeners_are_stopped_the_last_first_each_isolated_from_the_others_faults() -> None:
    ended: list[str] = []

    class Ends:
        def __init__(self, name: str) -> None:
            self.name = name

        @hookimpl
        def tell_event(self) -> None: ...

        def stop(self) -> None:
            ended.append(self.name)
            if self.name == "second":
                raise RuntimeError("a bad day")

    listeners = plugins.Listeners()
    listeners.register("journal", Journal())
    for name in ("first", "second", "third"):
        listeners.register(name, Ends(name))
    listeners.stop()
    assert ended == ["third", "second", "first"]
