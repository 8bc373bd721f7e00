"""The configuration file: what it says, and each fault with its path and the nearest key."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpb_framework import config
from dpb_framework.errors import ConfigInvalid, InferiorCycle

GOOD = """
[broker]
workers = 2
leaf-threads = 3
inferior-timeout = 2.5
replans = 0

[store]
kind = "memory"

[[network]]
name = "lon"
kind = "switch"
fabric = "emulated"
on-port-down = "fail"
unenforced = "refuse"
[network.fabric-settings]
ports = 8

[[network]]
name = "par"
kind = "switch"

[[network]]
name = "wan"
kind = "aggregator"
algorithm = "bast"
inferiors = ["lon", "par"]
algorithm-settings = { seed = 7 }

[[network]]
name = "far"
kind = "remote"
url = "http://192.0.2.1:4753"

[[nbi]]
kind = "rest"
port = 0

[[listener]]
kind = "journal"
"""


def read(tmp_path: Path, text: str) -> config.Config:
    file = tmp_path / "dpb.toml"
    file.write_text(text, encoding="utf-8")
    return config.load(file)


def fault(tmp_path: Path, text: str) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_whole_file(tmp_path: Path) -> None:
    read_config = read(tmp_path, GOOD)
    assert read_config.broker == config.BrokerConfig(2, 3, 2.5, 0)
    assert read_config.store == config.StoreConfig("memory", {})
    lon, par, wan, far = read_config.networks
    assert lon.settings == {
        "fabric": "emulated",
        "fabric-settings": {"ports": 8},
        "on-port-down": "fail",
        "unenforced": "refuse",
    }
    assert par.settings == {
        "fabric": "emulated",
        "fabric-settings": {},
        "on-port-down": "keep",
        "unenforced": "flag",
    }
    assert wan.inferiors == ("lon", "par")
    assert wan.settings["algorithm-settings"] == {"seed": 7}
    assert (far.kind, far.settings, far.path) == ("remote", {"url": "http://192.0.2.1:4753"}, "$.network[3]")
    assert read_config.nbis == (config.NbiConfig("rest", {"port": 0}),)
    assert read_config.listeners == (config.ListenerConfig("journal", {}),)


def test_without_a_file_there_is_rest_and_a_database_and_no_network() -> None:
    built_in = config.default()
    assert built_in.store == config.StoreConfig("sql", {})
    assert built_in.nbis == (config.NbiConfig("rest", {"host": "127.0.0.1", "port": 4753}),)
    assert (built_in.networks, built_in.listeners) == ((), ())


def test_an_empty_file_says_the_same_as_none(tmp_path: Path) -> None:
    assert read(tmp_path, "") == config.default()


def test_no_northbound_interface_where_the_list_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path, "nbi = []").nbis == ()


def test_a_network_may_have_its_own_numbers(tmp_path: Path) -> None:
    networks = read(
        tmp_path,
        """
        [[network]]
        name = "a"
        kind = "switch"
        audit-interval = 0
        [[network]]
        name = "w"
        kind = "aggregator"
        inferiors = ["a"]
        inferior-timeout = 3
        replans = 1
        """,
    ).networks
    assert networks[0].settings["audit-interval"] == 0
    assert (networks[1].settings["inferior-timeout"], networks[1].settings["replans"]) == (3, 1)


def test_every_default_stays_its_own(tmp_path: Path) -> None:
    one = read(tmp_path, '[[network]]\nname = "a"\nkind = "switch"\n').networks[0]
    one.settings["fabric-settings"]["ports"] = 3
    two = read(tmp_path, '[[network]]\nname = "a"\nkind = "switch"\n').networks[0]
    assert two.settings["fabric-settings"] == {}


SWITCH = '[[network]]\nname = "a"\nkind = "switch"\n'
AGGREGATOR = SWITCH + '[[network]]\nname = "w"\nkind = "aggregator"\n'


@pytest.mark.parametrize(
    ("text", "path", "says"),
    [
        ("[brokre]", "$.brokre", "did you mean 'broker'?"),
        ("[[networks]]", "$.networks", "did you mean 'network'?"),
        ("broker = 3", "$.broker", "[broker]"),
        ("[network]\nname='a'", "$.network", "[[network]]"),
        ("network = [1]", "$.network", "[[network]]"),
        ("[broker]\nleaf_threads = 2", "$.broker.leaf_threads", "did you mean 'leaf-threads'?"),
        ("[broker]\nworkers = '2'", "$.broker.workers", "expected an integer, got text"),
        ("[broker]\nworkers = true", "$.broker.workers", "expected an integer, got true or false"),
        ("[broker]\nworkers = 2.0", "$.broker.workers", "expected an integer, got a number"),
        ("[broker]\nworkers = 0", "$.broker.workers", "from 1 to 256"),
        ("[broker]\ninferior-timeout = nan", "$.broker.inferior-timeout", "from 0.001 to 3600"),
        ("[broker]\ninferior-timeout = inf", "$.broker.inferior-timeout", "from 0.001 to 3600"),
        ("[broker]\nreplans = -1", "$.broker.replans", "from 0 to 1000"),
        ("[store]\nkind = 3", "$.store.kind", "name of a plugin"),
        ("[[nbi]]\nport = 1", "$.nbi[0].kind", "needed"),
        ("[[listener]]\nkind = ''", "$.listener[0].kind", "name of a plugin"),
        ("[[listener]]\nkind = 'j'\n[[listener]]\nkind = 'j'", "$.listener[1].kind", "already, at $.listener[0]"),
        ("[[network]]\nkind = 'switch'", "$.network[0].name", "needs a name"),
        ("[[network]]\nname = 'a b'\nkind = 'switch'", "$.network[0].name", "without spaces"),
        ("[[network]]\nname = 7\nkind = 'switch'", "$.network[0].name", "expected a name"),
        ("[[network]]\nname = 'a'", "$.network[0].kind", "needed"),
        (SWITCH + SWITCH, "$.network[1].name", "already, at $.network[0]"),
        (SWITCH + "fabrik = 'x'", "$.network[0].fabrik", "did you mean 'fabric'?"),
        (SWITCH + "fabric = 3", "$.network[0].fabric", "expected text, got an integer"),
        (SWITCH + "fabric-settings = 3", "$.network[0].fabric-settings", "expected a table"),
        (SWITCH + "on-port-down = 'keeep'", "$.network[0].on-port-down", "did you mean 'keep'?"),
        (SWITCH + "unenforced = 'x'", "$.network[0].unenforced", "known: flag, refuse"),
        (SWITCH + "audit-interval = nan", "$.network[0].audit-interval", "a number from 0 to 1e+06"),
        (SWITCH + "replans = 3", "$.network[0].replans", "unknown key"),
        (AGGREGATOR + "inferiors = ['a']\nreplans = -3", "$.network[1].replans", "a number from 0 to 1000"),
        (SWITCH + "inferiors = ['b']", "$.network[0].inferiors", "a switch has no inferior networks"),
        (AGGREGATOR, "$.network[1].inferiors", "needs this"),
        (AGGREGATOR + "inferiors = 'a'", "$.network[1].inferiors", "a list, each item text"),
        (AGGREGATOR + "inferiors = [1]", "$.network[1].inferiors", "a list, each item text"),
        (AGGREGATOR + "inferiors = ['b']", "$.network[1].inferiors[0]", "no network 'b'"),
        (AGGREGATOR + "inferiors = ['a', 'a']", "$.network[1].inferiors[1]", "already an inferior of 'w'"),
        (AGGREGATOR + "inferiors = ['a']\nfabric = 'x'", "$.network[1].fabric", "unknown key"),
        (
            AGGREGATOR + "inferiors = ['a']\n[[network]]\nname='v'\nkind='aggregator'\ninferiors=['w', 'a']",
            "$.network[2].inferiors[1]",
            "already an inferior of 'w'",
        ),
    ],
)
def test_a_fault_is_told_with_its_path(tmp_path: Path, text: str, path: str, says: str) -> None:
    error = fault(tmp_path, text)
    assert error.path == path
    assert says in error.problem


def test_no_toml_is_told_with_the_file_and_the_line(tmp_path: Path) -> None:
    error = fault(tmp_path, "[broker]\nworkers =\n")
    assert error.path == str(tmp_path / "dpb.toml")
    assert "line 2" in error.problem


def test_a_missing_file_and_bad_text_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="No such file"):
        config.load(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes(b'x = "\xe9"')
    with pytest.raises(ConfigInvalid, match="no UTF-8 text"):
        config.load(tmp_path / "latin.toml")
    assert "nested too deeply" in fault(tmp_path, "x = " + "[" * 100_000).problem


def aggregators(**inferiors: list[str]) -> str:
    return "".join(
        f'[[network]]\nname = "{name}"\nkind = "aggregator"\ninferiors = {names}\n' for name, names in inferiors.items()
    )


@pytest.mark.parametrize(
    ("text", "circle"),
    [
        (aggregators(a=["a"]), ("a", "a")),
        (aggregators(a=["b"], b=["c"], c=["a"]), ("a", "b", "c", "a")),
        (aggregators(x=["a"], a=["b"], b=["a"]), ("a", "b", "a")),
    ],
)
def test_networks_that_are_their_own_inferiors_are_refused(tmp_path: Path, text: str, circle: tuple[str, ...]) -> None:
    with pytest.raises(InferiorCycle) as caught:
        read(tmp_path, text)
    assert caught.value.networks == circle


def test_a_long_chain_of_inferiors_is_no_circle(tmp_path: Path) -> None:
    chain = {f"n{i}": [f"n{i + 1}"] for i in range(2000)}
    assert len(read(tmp_path, aggregators(**chain, n2000=[])).networks) == 2001


def test_secrets_come_from_files_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("  hunter2\n")
    monkeypatch.setenv("DPB_TEST_SECRET", "from the environment")
    read_config = read(
        tmp_path,
        """
        [store]
        kind = "memory"
        deep = [{ a = { file = "password" } }]
        [[nbi]]
        kind = "rest"
        token = { env = "DPB_TEST_SECRET" }
        key = { path = "key.pem" }
        table = { file = "password", other = 1 }
        """,
    )
    assert read_config.store.settings == {"deep": [{"a": "hunter2"}]}
    assert read_config.nbis[0].settings == {
        "token": "from the environment",
        "key": str(tmp_path / "key.pem"),
        "table": {"file": "password", "other": 1},
    }
    assert "hunter2" not in repr(read_config)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ('{ file = "nowhere" }', "file 'nowhere' cannot be read: No such file"),
        ('{ file = "a\\u0000b" }', "no name of a file"),
        ('{ env = "DPB_NO_SUCH_VARIABLE" }', "no variable 'DPB_NO_SUCH_VARIABLE'"),
    ],
)
def test_a_missing_secret_is_told_with_its_path(tmp_path: Path, value: str, says: str) -> None:
    error = fault(tmp_path, f'[store]\nkind = "memory"\ndeep = [{{ a = {value} }}]')
    assert error.path == "$.store.deep[0].a"
    assert says in error.problem


@pytest.mark.parametrize(
    ("url", "becomes"),
    [
        ("sqlite:///dpb.sqlite", "sqlite:///{folder}/dpb.sqlite"),
        ("sqlite+pysqlite:///data/dpb.sqlite?timeout=3", "sqlite+pysqlite:///{folder}/data/dpb.sqlite?timeout=3"),
        ("sqlite:////var/lib/dpb.sqlite", "sqlite:////var/lib/dpb.sqlite"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql:///dpb", "postgresql:///dpb"),
    ],
)
def test_a_database_beside_the_file_stays_there(tmp_path: Path, url: str, becomes: str) -> None:
    store = read(tmp_path, f'[store]\nurl = "{url}"').store
    assert store.settings["url"] == becomes.format(folder=tmp_path)
