"""The commands `dpb bench ...` from the command line, on tiny networks: what they print, write and refuse."""

import csv
import io
import json
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dpb_framework.cli import main

SMALL: dict[str, tuple[str, ...]] = {
    "blocking": ("--topology", "ba:8,capacity=300", "--requests", "60", "--runs", "2", "--load", "0.9"),
    "fill": ("--topology", "ba:8,capacity=300", "--runs", "2", "--in-a-row", "5"),
    "gap": ("--topology", "ba:8", "--runs", "2", "--requests", "30"),
    "latency": ("--topology", "ba:6", "--topology", "ba:8", "--runs", "2", "--services", "12", "--group", "4"),
    "scaling": ("--topology", "ba:8", "--topology", "ba:16", "--requests", "5"),
}
TIMES = ("_us", "_ms", "_dijkstras")


def run(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", command, *map(str, arguments)])


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if not key.endswith(TIMES)}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def document(command: str, tmp_path: Path, *arguments: object) -> Any:
    path = tmp_path / "found.json"
    result = run(command, *arguments, "--json", path)
    assert result.exit_code == 0, result.output
    return json.loads(path.read_text())


@pytest.mark.parametrize("command", SMALL)
def test_all_files_are_written_and_the_same_command_finds_the_same(command: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    result = run(command, *SMALL[command], "--out", folder)
    assert result.exit_code == 0, result.output
    assert {path.name for path in folder.iterdir()} == {f"{command}.{kind}" for kind in ("csv", "json", "png", "svg")}
    found = json.loads((folder / f"{command}.json").read_text())
    assert without_times(document(command, tmp_path, *SMALL[command])) == without_times(found)
    assert found["command"] == command
    assert found["parameters"]["seed"] == 1
    rows = list(csv.DictReader(io.StringIO((folder / f"{command}.csv").read_text())))
    assert [list(row) for row in rows] == [list(row) for row in found["rows"]]
    assert (folder / f"{command}.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert xml.etree.ElementTree.parse(folder / f"{command}.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("command", SMALL)
def test_another_seed_finds_something_else(command: str, tmp_path: Path) -> None:
    texts = []
    for seed in (1, 2):
        path = tmp_path / f"{seed}.json"
        assert run(command, *SMALL[command], "--seed", seed, "--json", path).exit_code == 0
        texts.append(without_times(json.loads(path.read_text())))
    if command in ("latency", "scaling"):  # they count and measure: all that is not a time may be alike
        texts = [text["parameters"] for text in texts]
    assert texts[0] != texts[1]


@pytest.mark.parametrize("command", SMALL)
def test_faults_are_one_line_before_anything_runs(command: str, tmp_path: Path) -> None:
    for arguments, text in (
        (("--algorithm", "best"), "no plugin 'best' in dpb.algorithms; did you mean 'bast'?"),
        (("--algorithm", "bast:sed=1"), "--algorithm bast.sed: unknown setting; did you mean 'seed'?"),
        (("--algorithm", "bast:seed"), "--algorithm bast:seed: expected NAME:SETTING=VALUE,..., got 'seed'"),
        (("--topology", "bo:54"), "bo:54: unknown kind of topology 'bo'; did you mean 'ba'?"),
        (("--topology", "ba:3", "--terminals", "4"), "--terminals: 4 terminals, and there are 3 nodes"),
        (("--plot", "plot.gif"), "--plot plot.gif: the name ends in none of png, svg"),
    ):
        result = run(command, *arguments)
        assert result.exit_code == 1, result.output
        assert text in result.output
        assert len(result.output.splitlines()) == 1


def test_usage() -> None:
    for arguments, text in (
        (("--terminals", "4-2"), "'4-2' is no range of numbers from 2 up"),
        (("--terminals", "two"), "'two' is no range such as 2-4"),
        (("--rate", "0"), "a request has a rate above zero"),
        (("--rate", "0.0001"), "a rate is a whole number of kbit/s"),
    ):
        result = run("blocking", *arguments)
        assert result.exit_code == 2
        assert text in result.output


def test_a_missing_extra_is_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("dpb_pathcomp.bench.extra.importlib.import_module", missing)
    commands: tuple[tuple[tuple[Any, ...], str], ...] = (
        (("fill", "--plot", tmp_path / "plot.svg"), "matplotlib"),
        (("fill", "--out", tmp_path), "matplotlib"),
        (("gap",), "highspy"),
    )
    for arguments, module in commands:
        result = run(*arguments)
        assert result.exit_code == 1
        assert f"needs {module}, which is not installed: pip install 'dpb-pathcomp[bench]'" in result.output
        assert len(result.output.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("fill", *SMALL["fill"], "--csv", tmp_path / "file" / "x.csv")
    assert result.exit_code == 1
    assert f"{tmp_path}/file/x.csv: cannot be written: " in result.output


def test_algorithms_have_the_same_requests_and_an_oracle_judges(tmp_path: Path) -> None:
    arguments = (*SMALL["blocking"], "--algorithm", "bast", "--algorithm", "bast:seed=5", "--oracle", "bast")
    found = document("blocking", tmp_path, *arguments)
    one, other = found["rows"]
    assert (one["algorithm"], other["algorithm"]) == ("bast", "bast:seed=5")
    assert one["offered"] == other["offered"] == 120
    volumes = [(run["seed"], run["volume_mbps"]) for run in found["runs"]]
    assert volumes[:2] == volumes[2:]
    assert (one["difference"], one["difference_ci"]) == (0, 0)  # to itself
    differences = [
        run["refused"] - first["refused"] for run, first in zip(found["runs"][2:], found["runs"], strict=False)
    ]
    assert other["difference"] == pytest.approx(100 * sum(differences) / 120, rel=1e-4)
    assert one["false"] == one["false_proofs"] == 0  # it agrees with itself
    assert one["refused"] > 0
    assert one["blocking_percent"] == pytest.approx(100 * one["refused"] / one["offered"], rel=1e-4)


def test_several_processes_find_the_same(tmp_path: Path) -> None:
    alone = document("blocking", tmp_path, *SMALL["blocking"])
    assert document("blocking", tmp_path, *SMALL["blocking"], "--jobs", 2) == alone


def test_loads_are_shares_of_what_the_network_holds(tmp_path: Path) -> None:
    arguments = ("--topology", "ba:8", "--requests", 5, "--runs", 1, "--load", 0.5, "--load", 1)
    half, whole = document("blocking", tmp_path, *arguments)["rows"]
    assert half["services"] == pytest.approx(whole["services"] / 2)


def test_sndlibs_traffic_and_unequal_rates(tmp_path: Path) -> None:
    name = "topohub:sndlib/abilene,delay=equal"
    found = document("fill", tmp_path, "--topology", name, "--traffic", "--unequal", "--runs", 1, "--requests", 50)
    assert found["parameters"]["traffic"] is True
    assert found["rows"][0]["offered"] == 50


def test_the_gap_is_told_for_each_algorithm(tmp_path: Path) -> None:
    found = document("gap", tmp_path, *SMALL["gap"], "--algorithm", "bast", "--algorithm", "bast:seed=5")
    for row in found["rows"]:
        assert row["accepted"] <= row["bound"] <= row["requests"] == 30
        assert row["settled"] == 2
    for single in found["runs"]:
        assert single["accepted"].keys() == {"bast", "bast:seed=5"}
        assert single["value"] <= single["relaxed"] + 1e-6


def test_latency_counts_what_was_there_before(tmp_path: Path) -> None:
    found = document("latency", tmp_path, *SMALL["latency"])
    assert [(row["switches"], row["established"], row["ended_early"]) for row in found["summary"]] == [
        (6, 24, 0),
        (8, 24, 0),
    ]
    services = [row for row in found["rows"] if row["against"] == "services" and row["switches"] == 6]
    assert [(row["prior"], row["count"]) for row in services] == [(0, 8), (4, 8), (8, 8)]
    circuits = [row for row in found["rows"] if row["against"] == "circuits" and row["switches"] == 6]
    assert sum(row["count"] for row in circuits) == 24
    for row in found["summary"]:
        assert row["cpu_median_us"] > row["plan_median_us"] > 0
        assert row["cpu_median_dijkstras"] == pytest.approx(row["cpu_median_us"] / row["dijkstra_median_us"], rel=1e-3)


def test_latency_ends_where_no_service_fits(tmp_path: Path) -> None:
    arguments = ("--topology", "ba:6,labels=2", "--runs", 2, "--services", 50)
    (row,) = document("latency", tmp_path, *arguments)["summary"]
    assert row["ended_early"] == 2
    assert 4 <= row["established"] < 40


def test_scaling_measures_each_number_of_terminals_alone(tmp_path: Path) -> None:
    found = document("scaling", tmp_path, *SMALL["scaling"], "--terminals", "2", "--terminals", "3-5")
    assert [(row["switches"], row["terminals"]) for row in found["rows"]] == [
        (8, "2"), (8, "3-5"), (16, "2"), (16, "3-5"),
    ]  # fmt: skip
    for row in found["rows"]:
        assert row["plan_p95_us"] >= row["plan_median_us"] > 0
        assert row["plan_median_dijkstras"] == pytest.approx(
            row["plan_median_us"] / row["dijkstra_median_us"], rel=1e-3
        )
