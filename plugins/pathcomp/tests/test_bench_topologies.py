"""Where the bench's networks come from."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from dpb_pathcomp.bench.topologies import topology
from dpb_pathcomp.bench.workload import Workload

from dpb_framework.errors import ConfigInvalid


def degrees(found: Workload) -> Counter[int]:
    return Counter(node for link in found.links for node in (link.a, link.b))


def test_a_generated_network_is_as_in_the_papers_evaluation() -> None:
    found = topology("ba:54")
    assert len(found.nodes) == 54
    assert len(found.links) == 2 * 52
    around = degrees(found)
    assert max(around.values()) > 10  # scale-free: there are hubs
    for link in found.links:
        assert link.capacity == min(around[link.a], around[link.b]) * 1_000_000
        assert link.labels == 300
        assert 3000 <= link.delay < 9000


def test_it_follows_from_its_name_alone() -> None:
    assert topology("ba:30,m=3,seed=7") == topology("ba:30,m=3,seed=7")
    assert topology("ba:30") != topology("ba:30,seed=2")
    assert len(topology("ba:30,m=3").links) == 3 * 27


@pytest.mark.parametrize("name", ["ba:10", "topohub:sndlib/abilene"])
def test_options(name: str) -> None:
    found = topology(f"{name},delay=equal,capacity=2.5,labels=7")
    assert {(link.delay, link.capacity, link.labels) for link in found.links} == {(1000, 2500, 7)}


def test_a_topology_of_sndlib_has_its_traffic() -> None:
    found = topology("topohub:sndlib/germany50")
    assert (len(found.nodes), len(found.links)) == (50, 88)
    assert len(found.traffic) == 662
    assert all(start != end and weight > 0 for start, end, weight in found.traffic)
    assert min(link.delay for link in found.links) > 50  # 5 us for a kilometre
    around = degrees(found)
    assert all(link.capacity == min(around[link.a], around[link.b]) * 1_000_000 for link in found.links)


def test_a_topology_of_the_zoo_has_none() -> None:
    found = topology("topohub:topozoo/TataNld")
    assert len(found.nodes) == 143
    assert found.traffic == ()


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "small.json"
    trunk = {"a": "x", "b": "y", "delay": 2, "capacity": 10, "labels": 3}
    path.write_text(json.dumps({"topology": {"nodes": [{"id": "x"}, {"id": "y"}], "trunks": [trunk]}, "requests": []}))
    found = topology(str(path))
    assert found.nodes == ("x", "y")
    (link,) = found.links
    assert (link.delay, link.capacity, link.labels) == (2000, 10_000, 3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bo:54", "bo:54: unknown kind of topology 'bo'; did you mean 'ba'?"),
        ("ba:1", "ba:1.nodes: expected a whole number, 2 to 100000, got '1'"),
        ("ba:x", "ba:x.nodes: expected a whole number, 2 to 100000, got 'x'"),
        ("ba:5,m=5", "ba:5,m=5.m: expected a whole number, 1 to 4, got '5'"),
        ("ba:5,sed=5", "ba:5,sed=5.sed: unknown key; did you mean 'seed'?"),
        ("ba:5,seed", "ba:5,seed: expected KEY=VALUE after the comma, got 'seed'"),
        ("ba:5,delay=long", "ba:5,delay=long.delay: 'long' is not one of the choices; known: equal, own"),
        ("ba:5,labels=0", "ba:5,labels=0.labels: expected a whole number, 1 to 4094, got '0'"),
        ("topohub:sndlib/germny50", "topohub has no topology 'sndlib/germny50'; did you mean 'sndlib/germany50'?"),
        ("topohub:x", "topohub:x: topohub has no topology 'x'; https://www.topohub.org lists them"),
        ("none.json", "none.json: cannot be read: No such file or directory"),
    ],
)
def test_what_is_unknown_is_one_line(name: str, text: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        topology(name)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_capacity_that_is_none() -> None:
    with pytest.raises(ConfigInvalid, match=r"ba:5,capacity=much\.capacity: .*; or 'degree'$"):
        topology("ba:5,capacity=much")


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, *_: Any) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("dpb_pathcomp.bench.extra.importlib.import_module", missing)
    with pytest.raises(ConfigInvalid) as caught:
        topology("topohub:sndlib/abilene")
    assert str(caught.value) == (
        "topohub:sndlib/abilene: needs topohub, which is not installed: pip install 'dpb-pathcomp[bench]'"
    )
