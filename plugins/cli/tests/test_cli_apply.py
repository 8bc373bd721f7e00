"""`dpb apply`: the file's faults, the difference, the order, and that twice is once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_fake_broker import Problem
from dpb_cli.difference import ADD, CHANGE, REMOVE, Present, Step, difference, ordered
from dpb_cli.document import parse

TOPOLOGY = """
[[network]]
name = "wan"
[[network.terminal]]
name = "london"
maps = "lon:access"
[[network.terminal]]
name = "paris"
maps = "par:access"
[[network.trunk]]
name = "lon-par"
start = "lon:to-par"
end = "par:to-lon"
upstream = 1000
delay = 4.5
labels = [{ start = 1, count = 300 }, { start = 301, count = 10, end = 301 }]

[[network]]
name = "lon"
[[network.terminal]]
name = "access"
interface = "1"
[[network.terminal]]
name = "to-par"
interface = "Eth3"
ingress-quota = 1000
egress-quota = 0.5
labels = [[200, 300], [1, 199]]

[[network]]
name = "par"
[[network.terminal]]
name = "access"
interface = "1"
[[network.terminal]]
name = "to-lon"
interface = "3"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "topology.toml"
    path.write_text(TOPOLOGY)
    return path


def writes(dpb: Any) -> list[tuple[str, str, Any]]:
    return [request for request in dpb.broker.requests if request[0] != "GET"]


def test_everything_is_made_in_an_order_that_works_and_only_once(dpb: Any, file: Path) -> None:
    assert dpb.ok("apply", file).splitlines() == [
        "+ terminal lon/access  place 1",
        "+ terminal lon/to-par  place Eth3, ingress-quota 1000, egress-quota 0.5, labels 1-300",
        "+ terminal par/access  place 1",
        "+ terminal par/to-lon  place 3",
        "+ terminal wan/london  place lon:access",
        "+ terminal wan/paris  place par:access",
        "+ trunk wan/lon-par  start lon:to-par, end par:to-lon, upstream 1000, downstream 1000, delay 4.5,"
        " labels 1-310",
        "7 added",
    ]
    # The fabric calls its interface eth3; that is the same, though it is found out only by asking for it.
    assert dpb.ok("apply", file) == "nothing to do\n"


def test_a_dry_run_shows_and_does_nothing(dpb: Any, file: Path) -> None:
    assert dpb.ok("apply", "--dry-run", file).splitlines()[-1] == "7 to add"
    steps = json.loads(dpb.ok("apply", "--dry-run", "--json", file))["steps"]
    assert steps[0] == {
        "action": "add",
        "network": "lon",
        "kind": "terminal",
        "name": "access",
        "fields": {"place": "1"},
        "before": {},
    }
    assert not writes(dpb)


def test_changes_send_what_changes_and_leave_the_rest(dpb: Any, file: Path) -> None:
    dpb.ok("apply", file)
    dpb.ok("trunk", "decommission", "lon-par")
    file.write_text(
        TOPOLOGY.replace("upstream = 1000", "upstream = 2000\ndownstream = 500")
        .replace("delay = 4.5", "delay = 4")
        .replace('"Eth3"\ningress-quota = 1000', '"eth3"\ningress-quota = "none"')
    )
    dpb.broker.requests.clear()
    assert dpb.ok("apply", file).splitlines() == [
        "~ terminal lon/to-par  ingress-quota 1000 -> none",
        "~ trunk wan/lon-par  upstream 1000 -> 2000, downstream 1000 -> 500, delay 4.5 -> 4",
        "2 changed",
    ]
    terminal, trunk = writes(dpb)
    assert terminal[2] == {"place": "eth3", "ingress-quota": None, "egress-quota": 0.5, "labels": [[1, 300]]}
    assert trunk == ("PATCH", "networks/wan/trunks/lon-par", {"upstream": 2000, "downstream": 500, "delay": 4})
    assert dpb.broker.networks["wan"]["trunks"]["lon-par"]["commissioned"] is False
    assert dpb.ok("apply", file) == "nothing to do\n"


def test_what_the_file_does_not_name_stays_unless_pruned(dpb: Any, file: Path) -> None:
    dpb.ok("apply", file)
    file.write_text('[[network]]\nname = "wan"\n[[network]]\nname = "lon"\n')
    result = dpb("apply", file)
    assert result.stdout == "nothing to do\n"
    assert "not in the file (5; --prune removes them): trunk wan/lon-par" in result.stderr
    assert dpb.ok("apply", "--prune", file).splitlines() == [
        "- trunk wan/lon-par",
        "- terminal wan/london",
        "- terminal wan/paris",
        "- terminal lon/access",
        "- terminal lon/to-par",
        "5 removed",
    ]
    assert sorted(dpb.broker.networks["par"]["terminals"]) == ["access", "to-lon"]


def test_an_error_tells_what_was_done_and_what_not_and_the_next_run_goes_on(dpb: Any, file: Path) -> None:
    dpb.broker.refuse["POST", "trunks"] = Problem(409, "labels-in-use", "not now")
    another = '[[network.trunk]]\nstart = "lon:access"\nend = "par:access"\nupstream = 1\n'
    file.write_text(TOPOLOGY.replace('[[network]]\nname = "lon"', another + '[[network]]\nname = "lon"'))
    result = dpb("apply", file)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[6:] == [
        "failed:   + trunk wan/lon-par  start lon:to-par, end par:to-lon, upstream 1000, downstream 1000, delay 4.5,"
        " labels 1-310",
        "not done: + trunk wan/lon.access-par.access  start lon:access, end par:access, upstream 1, downstream 1",
        "6 done, 1 failed, 1 not done",
    ]
    assert result.stderr == "dpb: not now\n"
    failed = json.loads(dpb("apply", "--json", file).stdout)
    assert (failed["done"], failed["failed"]["name"], failed["failed"]["problem"]) == ([], "lon-par", "not now")
    assert [step["name"] for step in failed["left"]] == ["lon.access-par.access"]
    dpb.broker.refuse.clear()
    done = json.loads(dpb.ok("apply", "--json", file))
    assert [step["kind"] for step in done["done"]] == ["trunk", "trunk"]
    assert dpb.ok("apply", file) == "nothing to do\n"


def test_a_trunk_without_a_name_is_the_one_with_its_ends(dpb: Any, file: Path) -> None:
    dpb.ok("apply", file)
    file.write_text(TOPOLOGY.replace('name = "lon-par"\n', "").replace("upstream = 1000", "upstream = 7"))
    assert "~ trunk wan/lon-par  upstream 1000 -> 7" in dpb.ok("apply", file)


TERMINAL = '[[network]]\nname = "lon"\n[[network.terminal]]\nname = "a"\n'
TRUNK = '[[network]]\nname = "wan"\n[[network.trunk]]\n'
ENDS = 'start = "lon:a"\nend = "par:b"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "$.x: unknown key"),
        ("[[networks]]", "$.networks: unknown key; did you mean 'network'?"),
        ("network = 3", "$.network: expected a list of tables"),
        ("[[network]]", "$.network[0].name: a name is needed"),
        ('[[network]]\nname = "lno"', "$.network[0].name: the broker has no network 'lno'; did you mean 'lon'?"),
        ('[[network]]\nname = "lon"\n[[network]]\nname = "lon"', "$.network[1].name: 'lon' is there twice"),
        ('[[network]]\nname = "lon"\nterminals = []', "$.network[0].terminals: unknown key; did you mean 'terminal'?"),
        (TERMINAL, "$.network[0].terminal[0]: a terminal has either an interface"),
        (TERMINAL + 'interface = "1"\nmaps = "a:b"', "$.network[0].terminal[0]: a terminal has either"),
        (TERMINAL + 'maps = "a:b"', "$.network[0].terminal[0].maps: network 'lon' is a switch: use 'interface'"),
        (TERMINAL + 'maps = "ab"', "$.network[0].terminal[0].maps: expected inferior:terminal"),
        (TERMINAL + 'maps = "a:b:c"', "$.network[0].terminal[0].maps: expected a name"),
        (TERMINAL + "interface = 3", "$.network[0].terminal[0].interface: expected text, got an integer"),
        (TERMINAL + 'interfaces = "3"', "did you mean 'interface'?"),
        (TERMINAL + 'interface = "3"\nlabels = [1, 2]', "$.network[0].terminal[0].labels: expected a list"),
        (TERMINAL + 'interface = "3"\nlabels = [[1]]', "$.network[0].terminal[0].labels[0]: expected the first"),
        (TERMINAL + 'interface = "3"\nlabels = [[9, 1]]', "$.network[0].terminal[0].labels: labels run upwards"),
        (
            TERMINAL + 'interface = "3"\negress-quota = "a lot"',
            "$.network[0].terminal[0].egress-quota: expected a rate",
        ),
        (TERMINAL + 'interface = "3"\negress-quota = 0.0001', "egress-quota: a rate is a whole number of kbit/s"),
        (TRUNK, "$.network[0].trunk[0].start: this is needed"),
        (TRUNK + ENDS, "$.network[0].trunk[0].upstream: this is needed"),
        (TRUNK + ENDS + "upstream = nan", "$.network[0].trunk[0].upstream: expected a finite rate"),
        (TRUNK + ENDS.replace("par:b", "lon:a"), "$.network[0].trunk[0].end: a trunk joins two terminals"),
        (TRUNK + ENDS + "upstream = 1\ndelay = -1", "$.network[0].trunk[0].delay: a delay lies between"),
        (
            TRUNK + ENDS + "upstream = 1\nlabels = [{ start = 1 }]",
            "$.network[0].trunk[0].labels[0].count: this",
        ),
        (
            TRUNK + ENDS + "upstream = 1\nlabels = [{ start = 1, count = 0 }]",
            "labels[0]: a range has at least one",
        ),
        (TRUNK + ENDS + "upstream = 1\ncommissioned = 1", "trunk[0].commissioned: expected true or false"),
        (
            TRUNK + ENDS + "upstream = 1\n[[network.trunk]]\n" + ENDS + "upstream = 2",
            "$.network[0].trunk[1]: another",
        ),
        (TRUNK.replace("wan", "lon") + ENDS + "upstream = 1", "$.network[0].trunk[0]: network 'lon' is no aggregator"),
        ("x = ", "is no TOML"),
    ],
)
def test_a_fault_of_the_file_is_told_with_its_path(dpb: Any, file: Path, text: str, says: str) -> None:
    file.write_text(text)
    said = dpb.fails("apply", file)
    assert says in said
    assert str(file) in said
    assert not writes(dpb)


def test_a_missing_file_is_told(dpb: Any, tmp_path: Path) -> None:
    assert "No such file" in dpb.fails("apply", tmp_path / "nowhere.toml")


# -- the order ----------------------------------------------------------------------------------


def test_what_a_change_frees_is_free_before_it_is_taken() -> None:
    present = {
        "lon": Present("switch", (), {name: {"name": name, "place": "1"} for name in ("a", "b", "c")}),
        "wan": Present(
            "aggregator",
            ("lon",),
            {"one": {"name": "one", "place": "lon:a"}, "two": {"name": "two", "place": "lon:b"}},
            {"t": {"name": "t", "start": "lon:c", "end": "far:x"}},
        ),
    }
    document = parse(
        {
            "network": [
                {
                    "name": "wan",
                    "terminal": [
                        {"name": "one", "maps": "lon:b"},
                        {"name": "two", "maps": "lon:c"},
                        {"name": "three", "maps": "lon:d"},
                    ],
                },
                {"name": "lon", "terminal": [{"name": n, "interface": "1"} for n in ("b", "c", "d")]},
            ]
        }
    )
    steps, surplus = difference(document, present)
    order = [str(step).partition("  ")[0] for step in ordered([*steps, *surplus], present)]
    assert order == [
        "+ terminal lon/d",
        "+ terminal wan/three",
        "- trunk wan/t",
        "~ terminal wan/two",
        "~ terminal wan/one",
        "- terminal lon/a",
    ]


def test_terminals_that_swap_their_places_do_not_hang() -> None:
    present = {"wan": Present("aggregator")}
    swap = [
        Step(CHANGE, "wan", "terminal", "one", {"place": "lon:b"}, {"place": "lon:a"}),
        Step(CHANGE, "wan", "terminal", "two", {"place": "lon:a"}, {"place": "lon:b"}),
    ]
    assert ordered(swap, present) == swap


def test_hierarchies_are_made_from_below_and_removed_from_above() -> None:
    terminal = {"t": {"name": "t", "place": "x"}}
    mid, top = {"t": {"name": "t", "place": "s:t"}}, {"t": {"name": "t", "place": "mid:t"}}
    present = {
        "top": Present("aggregator", ("mid",), top),
        "mid": Present("aggregator", ("s",), mid),
        "s": Present("switch", (), terminal),
    }
    places = {"top": {"place": "mid:t"}, "mid": {"place": "s:t"}, "s": {"place": "x"}}
    adds = [Step(ADD, network, "terminal", "t", fields) for network, fields in places.items()]
    assert [step.network for step in ordered(adds, present)] == ["s", "mid", "top"]
    removals = [Step(REMOVE, network, "terminal", "t") for network in ("s", "mid", "top")]
    assert [step.network for step in ordered(removals, present)] == ["top", "mid", "s"]
