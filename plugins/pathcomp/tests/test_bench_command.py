"""`dpb bench replay` on a small network, from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dpb_framework.cli import main

NETWORK: dict[str, Any] = {
    "topology": {
        "nodes": [{"id": f"v{number}"} for number in range(4)],
        "trunks": [
            {"a": "v0", "b": "v1", "delay": 1.0, "capacity": 20.0, "labels": 3},
            {"a": "v1", "b": "v2", "delay": 1.0, "capacity": 20.0, "labels": 3},
            {"a": "v0", "b": "v1", "delay": 9.0, "capacity": 20.0, "labels": 3},
        ],
    },
    "requests": [
        {"terminals": ["a0", "a1", "a2"], "mbps": 10.0},
        {"terminals": ["a0", "a1"], "mbps": 10.0},
        {"terminals": ["a0", "a3"], "mbps": 10.0},
        {"terminals": ["a0", "a1"], "mbps": 10.0},
    ],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "network.json"
    path.write_text(json.dumps(NETWORK))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", "replay", *map(str, arguments)])


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_requests_are_replayed_up_to_the_first_refusal(file: Path, store: str) -> None:
    result = run(file, "--json", "--store", store)
    assert result.exit_code == 0, result.output
    data = json.loads(result.output)
    assert (data["accepted"], data["refused"]) == (2, 1)
    assert data["reserved_mbps"] == 2 * (10 + 10 + 10)
    assert "v3" in data["first_refusal"]
    assert data["store"] == store
    for key in (
        "plan_cpu_us",
        "define_cpu_us",
        "dijkstra_cpu_us",
        "plan_wall_us",
        "define_wall_us",
        "dijkstra_wall_us",
    ):
        assert data[key]["p95"] >= data[key]["median"] > 0, key
    assert data["define_cpu_us"]["median"] > data["plan_cpu_us"]["median"]


def test_past_refusals_all_requests_are_replayed(file: Path) -> None:
    result = run(file, "--past-refusals", "--seed", 3)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("algorithm bast, store memory: 3 accepted, 1 refused, 80 Mbit/s reserved")


def test_the_limit_is_kept(file: Path) -> None:
    data = json.loads(run(file, "--json", "--limit", 1).output)
    assert (data["accepted"], data["refused"], data["first_refusal"]) == (1, 0, None)


def test_an_unknown_algorithm_is_one_line(file: Path) -> None:
    result = run(file, "--algorithm", "best")
    assert result.exit_code == 1
    assert "no plugin 'best' in dpb.algorithms; did you mean 'bast'?" in result.output
    assert len(result.output.splitlines()) == 1


def test_a_fault_of_the_file_is_one_line_with_its_place(file: Path) -> None:
    file.write_text(json.dumps(NETWORK | {"requests": [{"terminals": ["a0", "a9"], "mbps": 1}]}))
    result = run(file)
    assert result.exit_code == 1
    assert f"{file}: $.requests[0].terminals[1]: there is no terminal 'a9'" in result.output
    assert len(result.output.splitlines()) == 1


def test_the_networks_own_name_is_no_node(file: Path) -> None:
    file.write_text(json.dumps({"topology": {"nodes": [{"id": "bench"}], "trunks": []}, "requests": []}))
    result = run(file)
    assert result.exit_code == 1
    assert "no node may be called 'bench'" in result.output
