"""Services from the command line: one by one, in one go, changed, and watched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cli_fake_broker import Problem
from dpb_cli.client import BrokerAway, BrokerRefused, Client
from dpb_cli.ends import AskedEnd, parse_end, segment
from dpb_cli.events import Told, follow, parse

from dpb_framework.errors import BadArgument, SegmentInvalid


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("lon", AskedEnd("lon")),
        ("lon:100", AskedEnd("lon", 100)),
        ("lon:100@10", AskedEnd("lon", 100, 10000, 10000)),
        ("lon@0.5/20", AskedEnd("lon", None, 500, 20000)),
        ("lon:0@10/0", AskedEnd("lon", 0, 10000, 0)),
        ("a@b:7@1", AskedEnd("a@b", 7, 1000, 1000)),
        ("a@b", AskedEnd("a@b")),
    ],
)
def test_ends(text: str, end: AskedEnd) -> None:
    assert parse_end(text) == end


@pytest.mark.parametrize("text", ["", "a:b", "a b", "a/b", "a:1@x", "a:1@1/2/3", "a:1:2", "a:-1", "a@1.0005", "a@1/"])
def test_no_ends(text: str) -> None:
    with pytest.raises(BadArgument):
        parse_end(text)


def test_a_segment_needs_rates_and_two_ends() -> None:
    with pytest.raises(BadArgument, match="b: no rate: give --mbps"):
        segment([parse_end("a@1"), parse_end("b")], None)
    with pytest.raises(SegmentInvalid, match="at least two circuits"):
        segment([parse_end("a@1")], None)
    with pytest.raises(SegmentInvalid, match="label lies between"):
        segment([parse_end("a:99999999999999"), parse_end("b")], 1)
    assert segment([parse_end("a@1/2"), parse_end("b:7")], 500) == [
        {"terminal": "a", "label": None, "ingress": 1, "egress": 2},
        {"terminal": "b", "label": 7, "ingress": 0.5, "egress": 0.5},
    ]


def test_an_end_that_is_there_keeps_what_is_not_said() -> None:
    present = [
        {"terminal": "a", "label": 100, "ingress": 10, "egress": 0.5},
        {"terminal": "b", "label": 1, "ingress": 7, "egress": 7},
        {"terminal": "b", "label": 2, "ingress": 8, "egress": 8},
    ]
    ends = [parse_end(text) for text in ("a", "b:2", "c@1")]
    assert segment(ends, None, present) == [
        present[0],
        present[2],
        {"terminal": "c", "label": None, "ingress": 1, "egress": 1},
    ]
    # Two are at b: which of them is meant is not clear, so the network chooses a label.
    assert segment([parse_end("a"), parse_end("b")], 3000, present) == [
        {"terminal": "a", "label": 100, "ingress": 3, "egress": 3},
        {"terminal": "b", "label": None, "ingress": 3, "egress": 3},
    ]


def test_a_service_step_by_step(dpb: Any) -> None:
    assert json.loads(dpb.ok("service", "create", "--handle", "cdn", "--json"))["handle"] == "cdn"
    dpb.ok("service", "define", 1, "london:100@10/20", "paris", "--mbps", 50)
    assert dpb.broker.requests[-1][2]["segment"] == [
        {"terminal": "london", "label": 100, "ingress": 10, "egress": 20},
        {"terminal": "paris", "label": None, "ingress": 50, "egress": 50},
    ]
    for verb, status in (("activate", "ACTIVE"), ("deactivate", "INACTIVE"), ("reset", "DORMANT")):
        assert f"status   {status}" in dpb.ok("service", verb, 1)
    dpb.ok("service", "activate", 1, "--no-wait")
    assert dpb.ok("service", "list").splitlines()[1].split() == [
        *("1", "cdn", "ACTIVE", "anonymous"),
        *("london:100@10/20", "paris:99@50"),
    ]
    assert len(dpb.ok("service", "list", "--status", "dormant").splitlines()) == 1
    assert len(dpb.ok("service", "list", "--handle-prefix", "x").splitlines()) == 1
    shown = dpb.ok("service", "show", 1)
    assert "lon-par  7" in shown
    dpb.ok("service", "release", 1)
    assert dpb.broker.status("wan", 1) == "RELEASED"
    assert dpb.fails("service", "show", 2) == "dpb: network 'wan' has no service 2"


def test_connect_in_one_go(dpb: Any) -> None:
    result = dpb("service", "connect", "london:100", "paris:200", "--mbps", 50, "--json")
    assert json.loads(result.stdout)["status"] == "ACTIVE"
    assert result.stderr.splitlines() == ["service 1: created", "service 1: defined", "service 1: ACTIVE"]
    dpb.ok("service", "connect", "london:101", "paris:201", "--mbps", 50, "--no-activate")
    assert dpb.broker.status("wan", 2) == "INACTIVE"


@pytest.mark.parametrize("keep", [False, True])
def test_connect_gives_back_what_it_made_when_it_is_refused(dpb: Any, keep: bool) -> None:
    dpb.broker.refuse["POST", "define"] = Problem(409, "no-capacity", "no tree")
    said = dpb.fails("service", "connect", "london:100", "paris:200", "--mbps", 50, *(["--keep"] if keep else []))
    assert said == "dpb: no tree"
    assert dpb.broker.status("wan", 1) == ("DORMANT" if keep else "RELEASED")


def test_connect_tells_why_a_service_does_not_become_active(dpb: Any) -> None:
    dpb.broker.stuck = True
    said = dpb.fails("service", "connect", "london:100", "paris:200", "--mbps", 50)
    assert said == "dpb: service 1 is FAILED, not ACTIVE: port 3 is down"
    assert dpb.broker.status("wan", 1) == "RELEASED"


def test_what_several_places_have_alike_is_told_once(dpb: Any) -> None:
    dpb.ok("service", "create")
    away = {"kind": "unconfirmed", "text": "the other broker is not reached"}
    service = dpb.broker.networks["wan"]["services"][1]
    service["conditions"] = [{**away, "where": where} for where in ("south", "south", "south/par")]
    service["conditions"].append({"kind": "port-down", "where": "north", "text": ""})
    told = "unconfirmed: south, south/par the other broker is not reached; port-down: north"
    assert dpb.ok("service", "list").splitlines()[1].endswith(told)
    assert f"note     {told}\n" in dpb.ok("service", "show", 1)
    dpb.broker.stuck = True
    said = dpb.fails("service", "activate", 1)
    assert said.endswith("port 3 is down; unconfirmed at south; unconfirmed at south/par; port-down at north")


def test_connect_again_with_a_handle_is_the_same_service_and_never_gives_it_back(dpb: Any) -> None:
    ends = ("london:100", "paris:200", "--mbps", "50", "--handle", "cdn")
    dpb.ok("service", "connect", *ends)
    assert "is there already" in dpb("service", "connect", *ends).stderr
    dpb.broker.refuse["POST", "define"] = Problem(409, "service-logic", "another segment")
    dpb.fails("service", "connect", *ends)
    assert dpb.broker.status("wan", 1) == "ACTIVE"


def test_connect_says_what_it_could_not_give_back(dpb: Any) -> None:
    dpb.broker.refuse["POST", "define"] = Problem(409, "no-capacity", "no tree")
    dpb.broker.refuse["POST", "release"] = Problem(503, "commit-failed", "disk full")
    result = dpb("service", "connect", "london:100", "paris:200", "--mbps", 50)
    assert "could not be released: disk full; `dpb service release 1` does it" in result.stderr
    assert result.stderr.splitlines()[-1] == "dpb: no tree"


def test_a_bad_end_is_told_before_a_service_is_created(dpb: Any) -> None:
    assert "expected terminal[:label]" in dpb.fails("service", "connect", "a:x", "b", "--mbps", 1)
    dpb.fails("service", "connect", "a", "--mbps", 1)
    assert not [request for request in dpb.broker.requests if request[0] == "POST"]


@pytest.mark.parametrize("verb", ["show", "release", "watch"])
def test_an_id_that_is_none_is_told(dpb: Any, verb: str) -> None:
    for text in ("abc", "1.5", "²", "9" * 19):
        result = dpb("service", verb, text)
        assert result.exit_code == 2
        assert f"expected a service's id, a number, got '{text}'" in result.stderr


def test_change_prepares_and_commits(dpb: Any) -> None:
    dpb.ok("service", "connect", "london:100", "paris:200", "--mbps", 50)
    dpb.ok("service", "change", 1, "london", "paris@7", "rome:3@1")
    assert [
        (end["terminal"], end["label"], end["ingress"]) for end in dpb.broker.networks["wan"]["services"][1]["segment"]
    ] == [
        ("london", 100, 50),
        ("paris", 200, 7),
        ("rome", 3, 1),
    ]


def test_a_refused_change_is_aborted(dpb: Any) -> None:
    dpb.ok("service", "connect", "london:100", "paris:200", "--mbps", 50)
    dpb.broker.refuse["POST", "prepare"] = Problem(409, "no-capacity", "no room")
    assert dpb.fails("service", "change", 1, "london", "paris", "--mbps", 500) == "dpb: no room"
    assert dpb.broker.requests[-1][1].endswith("/abort")


# -- events -------------------------------------------------------------------------------------


def event(number: int | None, kind: str, **data: Any) -> bytes:
    return (f"id: {number}\n" if number else "").encode() + f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def test_a_stream_is_understood_however_it_is_cut() -> None:
    text = b": hello\n\n" + event(1, "service", id=7, name="ü") + b"event: x\r\ndata: a\r\ndata:b\r\n\r\nid: 9\n\n"
    expected = [Told(1, "service", {"id": 7, "name": "ü"}), Told(None, "x", "a\nb")]
    assert list(parse([text])) == expected
    assert list(parse(text[i : i + 1] for i in range(len(text)))) == expected


def test_a_stream_goes_on_after_the_last_event_seen(dpb: Any) -> None:
    dpb.broker.streams = [
        [event(1, "service", id=7), event(2, "service", id=7)[:-5]],
        [event(2, "service", id=7), event(None, "resync", last=9)],
        [event(10, "service", id=8)],
    ]
    pauses: list[float] = []
    client = Client(dpb.url)
    events = follow(client, "wan", 0, lambda _: None, pauses.append)
    assert [next(events).number for _ in range(4)] == [1, 2, None, 10]
    assert dpb.broker.resumed == ["0", "1", "9"]
    assert pauses == [0.25, 0.25]
    client.close()


def test_a_stream_waits_for_a_broker_that_comes_back(dpb: Any) -> None:
    dpb.broker.stream_statuses = [200, 503, 503, 200, 404]
    dpb.broker.streams = [[event(1, "service", id=7)], [event(2, "service", id=7)]]
    told: list[str] = []
    pauses: list[float] = []
    client = Client(dpb.url)
    events = follow(client, "wan", 0, lambda error: told.append(str(error)), pauses.append)
    assert [next(events).number for _ in range(2)] == [1, 2]
    assert told == [f"{dpb.url}: the broker is stopping"] * 2
    assert pauses == [0.25, 0.5, 1.0]
    with pytest.raises(BrokerRefused):
        next(events)
    client.close()


def test_a_stream_of_nobody_is_told_at_once(dpb: Any) -> None:
    with pytest.raises(BrokerAway, match="connection refused"):
        next(follow(Client("http://127.0.0.1:1"), "wan", 0, lambda _: None))
    dpb.broker.foreign = 404
    with pytest.raises((BrokerAway, BrokerRefused)):
        Client(dpb.url).get("networks")


def test_watch_a_service_until_it_is_released(dpb: Any) -> None:
    dpb.ok("service", "connect", "london:100", "paris:200", "--mbps", 50)
    dpb.broker.networks["wan"]["last"] = 5
    dpb.broker.streams = [
        [
            event(6, "service", id=2, status="ACTIVE"),
            event(7, "terminal", name="x", present=True),
            event(8, "service", id=1, status="DEACTIVATING", error={"code": "x", "text": "why"}),
        ],
        [event(9, "service", id=1, status="RELEASED", error=None)],
    ]
    assert [line.split() for line in dpb.ok("service", "watch", 1).splitlines()] == [
        ["now", "service", "1", "ACTIVE"],
        ["8", "service", "1", "DEACTIVATING", "why"],
        ["9", "service", "1", "RELEASED"],
    ]
    assert dpb.broker.resumed == ["5", "8"]


def test_watch_for_programs(dpb: Any) -> None:
    dpb.broker.streams = [
        [event(3, "trunk", name="t", present=False), event(None, "resync", last=7)],
        [event(8, "service", id=1, status="RELEASED")],
    ]
    lines = dpb.ok("service", "watch", 1, "--after", 2, "--json").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"id": None, "event": "resync", "data": {"last": 7}},
        {"id": 8, "event": "service", "data": {"id": 1, "status": "RELEASED"}},
    ]


def test_watch_a_service_that_is_gone_ends_at_once(dpb: Any) -> None:
    dpb.ok("service", "connect", "london:100", "paris:200", "--mbps", 50)
    dpb.ok("service", "release", 1)
    assert dpb.ok("service", "watch", 1).split() == ["now", "service", "1", "RELEASED"]
