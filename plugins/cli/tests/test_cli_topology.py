"""Networks, terminals and trunks from the command line."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from cli_fake_broker import Problem
from dpb_cli import show
from dpb_cli.amounts import merged_trunk_labels, milliseconds, parse_labels, parse_trunk_labels

from dpb_framework.errors import BadArgument


def test_networks_are_listed(dpb: Any) -> None:
    assert dpb.ok("network", "list").splitlines() == [
        "NAME  KIND        TERMINALS  INFERIORS  SERVICES",
        "lon   switch      0          -          0",
        "par   switch      0          -          0",
        "wan   aggregator  0          lon par    0",
    ]
    assert [n["name"] for n in json.loads(dpb.ok("network", "list", "--json"))["networks"]] == ["lon", "par", "wan"]


def test_the_network_that_is_meant_is_the_top_aggregator(dpb: Any) -> None:
    assert "wan" in dpb.ok("network", "show")
    dpb.broker.add_network("other", "aggregator", [])
    assert dpb.fails("network", "show") == "dpb: --network: say which network: lon, par, wan, other"
    assert "other" in dpb.ok("network", "show", "-n", "other")
    dpb.broker.networks["other"]["inferiors"] = ["wan"]
    assert dpb.ok("network", "show").startswith("name        other")


def test_a_broker_without_networks_says_so(dpb: Any) -> None:
    dpb.broker.networks.clear()
    assert "has no networks" in dpb.fails("terminal", "list")


def test_models(dpb: Any) -> None:
    assert "joined without limit" in dpb.ok("network", "model", "lon")
    assert dpb.ok("network", "model", "wan").splitlines()[2].split() == ["london", "paris", "10", "20", "4.5"]
    assert json.loads(dpb.ok("network", "model", "lon", "--json"))["fragments"][0]["chords"] is None


def test_the_life_of_a_terminal(dpb: Any) -> None:
    dpb.ok("terminal", "add", "access", "3", "-n", "lon", "--ingress-quota", "1000.5", "--labels", "1-99,200")
    assert dpb.broker.requests[-1][2] == {
        "name": "access",
        "place": "3",
        "ingress-quota": 1000.5,
        "labels": [[1, 99], [200, 200]],
    }
    shown = dpb.ok("terminal", "list", "-n", "lon").splitlines()[1].split()
    assert shown == ["access", "3", "1000.5", "-", "1-99,200"]
    dpb.ok("terminal", "set", "access", "--ingress-quota", "none", "--egress-quota", 7, "-n", "lon")
    assert json.loads(dpb.ok("terminal", "show", "access", "-n", "lon", "--json")) == {
        "name": "access",
        "place": "3",
        "ingress-quota": None,
        "egress-quota": 7,
        "labels": [[1, 99], [200, 200]],
    }
    assert "already" in dpb.fails("terminal", "add", "access", "4", "-n", "lon")
    dpb.ok("terminal", "remove", "access", "-n", "lon")
    assert dpb.fails("terminal", "show", "access", "-n", "lon") == "dpb: there is no terminal 'access'"


def test_the_life_of_a_trunk(dpb: Any) -> None:
    dpb.ok("terminal", "add", "x", "1", "-n", "lon")
    dpb.ok("terminal", "add", "y", "1", "-n", "par")
    dpb.ok("trunk", "add", "lon:x", "par:y", "--upstream", 1000, "--delay", "4.5", "--labels", "1-300,400-499=1400")
    assert dpb.broker.requests[-1][2] == {
        "start": "lon:x",
        "end": "par:y",
        "upstream": 1000,
        "delay": 4.5,
        "labels": [{"start": 1, "count": 300, "end": 1}, {"start": 400, "count": 100, "end": 1400}],
    }
    name = "lon.x-par.y"
    dpb.ok("trunk", "set", name, "--downstream", "500")
    assert dpb.broker.requests[-1] == ("PATCH", f"networks/wan/trunks/{name}", {"downstream": 500})
    dpb.ok("trunk", "decommission", name)
    assert "decommissioned" in dpb.ok("trunk", "list")
    dpb.ok("trunk", "recommission", name)
    shown = dpb.ok("trunk", "show", name)
    assert "1-300,400-499=1400" in shown
    assert "500 Mbit/s" in shown
    dpb.ok("trunk", "remove", name)
    assert json.loads(dpb.ok("trunk", "list", "--json")) == {"trunks": []}
    assert dpb("trunk", "add", "lon:x", "par:y").exit_code == 2


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("terminal", "add", "a", "1", "--labels", "9-x"), "--labels: expected labels such as 1-99,200"),
        (("terminal", "add", "a", "1", "--labels", "9-3"), "--labels: labels run upwards"),
        (("terminal", "add", "a", "1", "--egress-quota", "fast"), "--egress-quota: expected a rate"),
        (("trunk", "add", "a:b", "c:d", "--upstream", "0.0001"), "--upstream: a rate is a whole number of kbit/s"),
        (("trunk", "set", "t", "--delay", "0.0001"), "--delay: a delay is a whole number of microseconds"),
        (("trunk", "set", "t", "--labels", "5-3"), "--labels: a range has at least one label"),
    ],
)
def test_what_is_typed_wrong_is_told_before_anything_is_sent(dpb: Any, args: tuple[str, ...], says: str) -> None:
    assert says in dpb.fails(*args, "-n", "wan")
    assert not [request for request in dpb.broker.requests if request[0] != "GET"]


def test_names_are_quoted_in_urls(dpb: Any) -> None:
    dpb.ok("terminal", "add", "a#b?ü%", "1", "-n", "lon")
    assert "a#b?ü%" in dpb.ok("terminal", "show", "a#b?ü%", "-n", "lon")


def test_a_problem_names_the_field(dpb: Any) -> None:
    dpb.broker.refuse["POST", "terminals"] = Problem(422, "bad-argument", "expected text", field="place")
    assert dpb.fails("terminal", "add", "a", "1", "-n", "lon") == "dpb: place: expected text"


def test_no_broker_is_told_with_the_url_and_what_to_do(dpb: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{unused.getsockname()[1]}"
        said = dpb.fails("network", "list", "--url", url)
    assert "connection refused; start a broker with `dpb serve`" in said
    assert "secret" not in said


@pytest.mark.parametrize("status", [200, 404, 502])
def test_another_server_is_no_broker(dpb: Any, status: int) -> None:
    dpb.broker.foreign = status
    assert "not as a broker does; is the URL right?" in dpb.fails("network", "list")


def test_labels_have_one_form() -> None:
    assert parse_labels("7,1-3,4-5", "x") == [[1, 5], [7, 7]]
    assert parse_trunk_labels("11-20=111,1-10=101", "x") == [{"start": 1, "count": 20, "end": 101}]
    apart = [{"start": 1, "count": 10, "end": 101}, {"start": 11, "count": 10, "end": 11}]
    assert merged_trunk_labels(apart, "x") == apart


@pytest.mark.parametrize("value", [True, None, "x", "nan", "-1", "1e10"])
def test_no_delay(value: object) -> None:
    with pytest.raises(BadArgument, match=r"^d: "):
        milliseconds(value, "d")


def test_a_terminal_gets_drawn_tables(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show.table(("name", "state"), [("a[bold]b", None), ("x\x1b[2J", True)], "things")
    drawn = capsys.readouterr().out
    assert "a[bold]b" in drawn
    assert "x?[2J" in drawn
    assert "│" in drawn
