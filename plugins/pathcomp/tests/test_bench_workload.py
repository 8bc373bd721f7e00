"""Workloads: what is understood, and how faults are told."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from dpb_pathcomp.bench.workload import Link, Request, Workload, parse, read

from dpb_framework.errors import ConfigInvalid


def document() -> dict[str, Any]:
    return {
        "source": "by hand",
        "topology": {
            "nodes": [{"id": "v7", "x": 0.5}, {"id": "Ulm"}],
            "trunks": [{"a": "v7", "b": "Ulm", "delay": 1.2345678, "capacity": 1000.0, "labels": 300}],
        },
        "requests": [{"terminals": ["a7", "Ulm"], "mbps": 10.0}, {"terminals": ["v7", "Ulm"], "mbps": 0.5}],
    }


WANTED = Workload(("v7", "Ulm"), (Link(0, 1, 1235, 1_000_000, 300),), (Request((0, 1), 10_000), Request((0, 1), 500)))


def test_a_workload_is_read_plain_and_compressed(tmp_path: Path) -> None:
    plain, packed = tmp_path / "w.json", tmp_path / "w.json.gz"
    plain.write_text(json.dumps(document()))
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read(plain) == read(packed) == WANTED


def test_delay_and_labels_may_be_left_out() -> None:
    given = document()
    del given["topology"]["trunks"][0]["delay"], given["topology"]["trunks"][0]["labels"]
    assert parse(given).links == (Link(0, 1, 0, 1_000_000, 4094),)


TRUNK = "$.topology.trunks[0]"


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ([], 7, "$: expected an object, got int"),
        (["topology"], None, "$.topology: expected an object, got NoneType"),
        (["topology", "nodes"], {}, "$.topology.nodes: expected an array, got dict"),
        (["topology", "nodes", 1], "v1", "$.topology.nodes[1]: expected an object, got str"),
        (["topology", "nodes", 1, "id"], "a b", "$.topology.nodes[1].id: expected a name"),
        (["topology", "nodes", 1, "id"], "v7", "$.topology.nodes[1].id: there are two nodes 'v7'"),
        (["topology", "nodes", 1], {}, "$.topology.nodes[1].id: is missing"),
        (["topology", "trunks", 0, "a"], "v8", f"{TRUNK}.a: there is no node 'v8'"),
        (["topology", "trunks", 0, "b"], [], f"{TRUNK}.b: there is no node"),
        (["topology", "trunks", 0, "b"], "v7", f"{TRUNK}.b: a trunk joins two nodes"),
        (["topology", "trunks", 0, "delay"], -1, f"{TRUNK}.delay: expected a delay in ms"),
        (["topology", "trunks", 0, "delay"], float("nan"), f"{TRUNK}.delay: expected a delay in ms"),
        (["topology", "trunks", 0, "delay"], "1", f"{TRUNK}.delay: expected a delay in ms"),
        (["topology", "trunks", 0, "capacity"], 0.0001, f"{TRUNK}.capacity: a rate is a whole number of kbit/s"),
        (["topology", "trunks", 0, "labels"], 0, f"{TRUNK}.labels: expected how many labels"),
        (["topology", "trunks", 0, "labels"], True, f"{TRUNK}.labels: expected how many labels"),
        (["requests"], "x", "$.requests: expected an array, got str"),
        (["requests", 1, "terminals"], ["v7"], "$.requests[1].terminals: a request joins at least two"),
        (["requests", 1, "terminals", 0], "a9", "$.requests[1].terminals[0]: there is no terminal 'a9'"),
        (["requests", 1, "mbps"], 0, "$.requests[1].mbps: a request has a rate above zero"),
        (["requests", 1, "mbps"], "fast", "$.requests[1].mbps: expected a rate in Mbit/s"),
        (["requests", 1], {"terminals": ["v7", "Ulm"]}, "$.requests[1].mbps: is missing"),
    ],
)
def test_a_fault_is_told_with_its_place(place: list[Any], value: Any, told: str) -> None:
    given: Any = {"": document()}
    inner, last = given, ""
    for key in place:
        inner, last = inner[last], key
    inner[last] = value
    with pytest.raises(ConfigInvalid) as caught:
        parse(given[""])
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "is no JSON"),
        (b"\xff\xfe{", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (gzip.compress(b"{}", mtime=0)[:-4], "cannot be decompressed"),
        (gzip.compress(b"{}", mtime=0)[:10] + b"\xff" * 20, "cannot be decompressed"),
        (b"{}", "$.topology: is missing"),
    ],
)
def test_a_fault_names_the_file(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "w.json"
    file.write_bytes(content)
    with pytest.raises(ConfigInvalid) as caught:
        read(file)
    assert str(caught.value).startswith(str(file))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be read: No such file"):
        read(tmp_path / "nothing.json")
