"""Other sides that are no proper broker, refuse us, or stand on ourselves; and what is read of them."""

from __future__ import annotations

import gc
import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from dpb_remote import codec
from dpb_remote.contact import Contact
from dpb_remote.loop import Loop
from dpb_remote.network import Remote
from dpb_remote.service import RemoteService
from dpb_remote.sse import Parser, Said

from dpb_framework import errors
from dpb_framework.errors import DpbError, Refused, Remembered, Unreachable
from dpb_framework.model import SYSTEM, Fault, ServiceView, Status, Step, StepImpossible
from dpb_framework.testing.layout import one_switch
from dpb_framework.testing.world import World

from .remote_stub import AB, HERE, WHOLE, Stub, problem
from .remote_worlds import PATIENCE, Far, eventually


def contact(world: World) -> tuple[str, str]:
    health = world.broker.health()["networks"]["far"]
    return health["contact"], health.get("problem", "")


CHORD = {"a": "a", "b": "b", "upstream": 1, "downstream": 1, "delay": 1}


def whole(**told: Any) -> tuple[int, bytes]:
    """A stream that tells the usual but for what is *told*."""
    return 200, b"event: whole\ndata: " + json.dumps({**WHOLE, **told}).encode() + b"\n\n"


def happened(*numbers: int) -> bytes:
    """What a stream says of events."""
    events = [{"number": number, "kind": "terminal", "data": {"name": "a"}} for number in numbers]
    return b"event: changed\ndata: " + json.dumps({"services": [], "happened": events}).encode() + b"\n\n"


# -- credentials -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sent"),
    [
        ({}, None),
        ({"token": "abc"}, "Bearer abc"),
        ({"user": "me", "password": "pw"}, "Basic bWU6cHc="),
    ],
)
def test_credentials_go_with_every_request(
    stub: Stub, near: Callable[..., World], settings: dict[str, str], sent: str | None
) -> None:
    world = near(**settings)
    eventually(lambda: contact(world)[0] == "up", lambda: contact(world))
    stub.answer = problem(409, "no-capacity")
    with pytest.raises(DpbError):
        world.network("far").create(SYSTEM, "h", AB).result(PATIENCE)
    assert len(stub.heads) == 2
    assert [head.get("authorization") for head in stub.heads] == [sent, sent]


@pytest.mark.parametrize(("settings", "told"), [({}, "asks for credentials"), ({"token": "abc"}, "not accepted (401)")])
def test_a_401_is_one_clear_line(
    stub: Stub,
    near: Callable[..., World],
    settings: dict[str, str],
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stub.stream = problem(401, "unauthenticated")
    world = near(**settings)
    eventually(lambda: contact(world)[0] == "lost")
    assert told in contact(world)[1]
    with pytest.raises(Unreachable) as caught:
        world.network("far").create(SYSTEM, "h", AB).result(PATIENCE)
    assert told in str(caught.value)
    assert "abc" not in caplog.text
    eventually(lambda: len(stub.heads) > 2)
    assert caplog.text.count("contact lost") == 1, "it is told once, not at each try"


def test_a_403_refuses_the_command(stub: Stub, near: Callable[..., World]) -> None:
    world = near(token="abc")
    eventually(lambda: contact(world)[0] == "up")
    stub.answer = problem(403, "forbidden")
    with pytest.raises(Refused) as caught:
        world.network("far").create(SYSTEM, "h", AB).result(PATIENCE)
    assert "403" in str(caught.value)


@pytest.fixture
def ca(stub: Stub, tmp_path: Path) -> str:
    """The file of the authority that the other side's certificate is from, which speaks TLS."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    stub.secure(context)
    return str(tmp_path / "ca.pem")


def test_the_other_side_is_verified(near: Callable[..., World], ca: str) -> None:
    """With the file of the setting `ca`; without it a certificate that nobody signed is not believed."""
    trusting, wary = near(ca=ca), near()
    eventually(lambda: contact(trusting)[0] == "up", lambda: contact(trusting))
    eventually(lambda: contact(wary)[0] == "lost")
    assert "certificate" in contact(wary)[1]


def test_a_stop_leaves_no_connection_open(stub: Stub, near: Callable[..., World], ca: str) -> None:
    """Though TLS takes leave of the other side, which is silent."""
    world = near(ca=ca)
    eventually(lambda: contact(world)[0] == "up", lambda: contact(world))
    port = urlsplit(stub.url).port

    def opened() -> list[socket.socket]:
        there = [one for one in gc.get_objects() if type(one) is socket.socket and one.fileno() != -1]
        return [one for one in there if one.type == socket.SOCK_STREAM and _peer(one) == port]

    assert len(opened()) == 1
    world.stop()
    assert opened() == []


def _peer(one: socket.socket) -> int | None:
    try:
        return int(one.getpeername()[1])
    except (OSError, IndexError):  # it listens, or is no connection of the internet's
        return None


# -- no brokers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (problem(404, "no-network", "there is no network 's1'"), "see the setting network"),
        (problem(404, "no-route", "there is nothing"), "older than ours"),
        ((200, b"event: whole\ndata: {}\n\n"), "not understood"),
        ((200, b"event: whole\ndata: nonsense\n\n"), "no JSON"),
        ((500, b"<html>"), "not as a broker does"),
        ((302, b""), "not as a broker does"),
    ],
)
def test_what_is_no_broker_is_told_in_one_line(
    stub: Stub, near: Callable[..., World], stream: tuple[int, bytes], told: str
) -> None:
    stub.stream = stream
    stub.over.set()
    world = near()
    eventually(lambda: told in contact(world)[1], lambda: contact(world))
    assert contact(world)[0] == "lost"
    assert "\n" not in contact(world)[1]
    assert world.network("far").terminals() == ()


def test_an_answer_that_is_too_deep_to_be_read_is_told_and_contact_is_tried_again(
    stub: Stub, near: Callable[..., World]
) -> None:
    deep = b"[" * 700 + b"]" * 700
    stub.stream = 409, b'{"code": "labels-unavailable", "detail": "too deep", "fact-network": ' + deep + b"}"
    world = near()
    eventually(lambda: "too deep" in contact(world)[1], lambda: contact(world))
    eventually(lambda: len(stub.heads) > 1)


@pytest.mark.parametrize(
    "told",
    [
        {"last-event": "1"},
        {"moment": 1.5},
        {"moment": float("inf")},
        {"last-service": True},
        {"terminals": [7]},
        {"beneath": [None]},
        {"model": {"fragments": [{"terminals": [["a"]], "chords": None}]}},
        {"model": {"fragments": [{"terminals": ["a", "b"], "chords": [{**CHORD, "delay": float("inf")}]}]}},
        {"model": {"fragments": [{"terminals": ["a", "b"], "chords": [{**CHORD, "a": None}]}]}},
        {"services": [{**HERE, "id": "7"}]},
        {"services": [{**HERE, "handle": ["h"]}]},
        {"services": [{**HERE, "owner": None}]},
        {"services": [{**HERE, "status": ["DORMANT"]}]},
        {"services": [{**HERE, "conditions": [{"kind": 1, "where": "", "text": ""}]}]},
        {"services": [{**HERE, "error": {"code": 7, "text": "", "facts": {}}}]},
        {"services": [{**HERE, "error": {"code": "no", "text": "", "facts": 7}}]},
        {"services": [{**HERE, "segment": [{"terminal": "a", "label": "1", "ingress": 1, "egress": 1}] * 2}]},
        {"services": [{**HERE, "segment": [{"terminal": 7, "label": 1, "ingress": 1, "egress": 1}] * 2}]},
        {"services": [{**HERE, "segment": [], "constraints": {"avoid-trunks": "all"}}]},
        {"services": [{**HERE, "segment": [], "constraints": {"pass-trunks": [7]}}]},
        {"services": [{**HERE, "segment": [], "constraints": {"max-delay": float("inf")}}]},
    ],
    ids=str,
)
def test_what_is_not_of_the_kind_that_it_should_be_is_not_understood(
    stub: Stub, near: Callable[..., World], told: dict[str, Any]
) -> None:
    stub.stream = whole(**told)
    world = near()
    eventually(lambda: contact(world)[0] == "lost", lambda: contact(world))
    assert "it says what is not understood" in contact(world)[1]
    assert world.network("far").services() == []


def test_contact_is_tried_again_whatever_it_ended_with(
    stub: Stub, near: Callable[..., World], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    follow, tries, go_on = Contact._follow, list[Contact](), threading.Event()

    async def fail(self: Contact) -> None:
        tries.append(self)
        if not go_on.is_set():
            raise KeyError("surprise")
        await follow(self)

    monkeypatch.setattr(Contact, "_follow", fail)
    monkeypatch.setattr("dpb_remote.contact.RETRY", (0.01,))
    world = near()
    eventually(lambda: len(tries) > 2)
    eventually(lambda: "please report it with the log: KeyError: 'surprise'" in contact(world)[1])
    assert caplog.text.count("Traceback") == 1, "it is told once, not at each try"
    go_on.set()
    eventually(lambda: contact(world)[0] == "up", lambda: contact(world))


def test_a_stream_that_cannot_be_taken_up_is_given_up(
    stub: Stub, near: Callable[..., World], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It would count as contact, with a copy of which nobody knows how much of it is true."""

    def fail(self: Remote, view: ServiceView, moment: int) -> RemoteService:
        raise KeyError("surprise")

    monkeypatch.setattr(Remote, "make", fail)
    stub.stream = whole(services=[HERE])
    world = near()
    eventually(lambda: "please report it with the log: KeyError: 'surprise'" in contact(world)[1])
    assert contact(world)[0] == "lost"
    assert "Traceback" in caplog.text


def test_a_stream_that_falls_silent_is_noticed_by_its_keep_alive_alone(stub: Stub, near: Callable[..., World]) -> None:
    """However long an answer may take: once the whole is there, comment lines come as often as was asked for."""
    world = near(**{"keep-alive": 0.1, "timeout": 3600})
    eventually(lambda: "it is silent" in contact(world)[1], lambda: contact(world))


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b"nonsense",
        b"[7]",
        b'{"services": 7}',
        b'{"services": [7]}',
        b'{"services": [{}]}',
        b'{"services": [{"handle": "h"}]}',
        json.dumps({"services": [{**HERE, "id": "7"}]}).encode(),
    ],
)
def test_a_search_that_is_answered_oddly_ends(stub: Stub, near: Callable[..., World], answer: bytes) -> None:
    world = near()
    eventually(lambda: contact(world)[0] == "up")
    with pytest.raises(Unreachable):
        world.network("far").create(SYSTEM, "h", AB).result(PATIENCE)
    stub.answer = 200, answer
    with pytest.raises(Unreachable):
        world.network("far").find("h").result(PATIENCE)


@pytest.mark.parametrize(
    "answer",
    [(200, b"{}"), (200, b"nonsense"), (500, b"<html>"), problem(500, "internal"), (502, b""), (200, b'{"id": "x"}')],
)
def test_an_answer_that_is_none_leaves_the_outcome_unknown(
    stub: Stub, near: Callable[..., World], answer: tuple[int, bytes]
) -> None:
    world = near()
    eventually(lambda: contact(world)[0] == "up")
    stub.answer = answer
    with pytest.raises(Unreachable):
        world.network("far").create(SYSTEM, "h", AB).result(PATIENCE)


def test_an_answer_that_is_quicker_than_its_caller_is_heard(
    stub: Stub, near: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole exchange happens before the caller's thread goes on."""
    world = near()
    eventually(lambda: contact(world)[0] == "up")
    line: Any = world.network("far")._line  # type: ignore[attr-defined]
    begin = Loop.soon

    def dawdle(self: Loop, call: Callable[[], None]) -> None:
        before = len(stub.heads)
        begin(self, call)
        eventually(lambda: len(stub.heads) > before and len(line._tasks) == 1)  # the stream alone

    monkeypatch.setattr(Loop, "soon", dawdle)
    stub.answer = problem(409, "no-capacity")
    with pytest.raises(DpbError) as caught:
        world.network("far").create(SYSTEM, "h", AB).result(PATIENCE)
    assert caught.value.code == "no-capacity"


def test_events_that_the_other_side_keeps_no_longer_are_told_to_be_missing(
    stub: Stub, near: Callable[..., World]
) -> None:
    """Whoever asks for what lies before or in the gap must look at everything anew."""
    status, begin = stub.stream
    stub.stream = status, begin + happened(1, 2, 3) + happened(20000, 20001)
    network = near().network("far")
    eventually(lambda: network.last_event == 20001)
    assert [network.events(after) for after in (0, 2, 3, 19998)] == [None] * 4
    assert [event.number for event in network.events(19999) or ()] == [20000, 20001]
    assert network.events(20001) == []


# -- circles ---------------------------------------------------------------------------------------


def test_a_circle_across_brokers_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    """One broker's network over another's over the first one's: whoever closes the circle has no contact."""
    caplog.set_level(logging.WARNING)
    one = Far(one_switch().aggregator("low", ["s1"], {"a": "s1:a"}))
    remote = {"kind": "remote", "url": one.url, "network": "top", "keep-alive": 0.5, "audit-interval": 0.2}
    layout = one_switch()
    layout.networks["r"] = remote
    two = Far(layout.aggregator("mid", ["s1", "r"], {}))
    one.stop()
    back = {"kind": "remote", "url": two.url, "network": "mid", "keep-alive": 0.5, "audit-interval": 0.2}
    one.layout.networks["r"] = back
    one.layout.networks["top"] = {"kind": "aggregator", "inferiors": ["low", "r"]}
    one.start()
    try:
        told = "networks are inferior to themselves"

        def closed() -> bool:
            found = [far.world.broker.health()["networks"]["r"] for far in (one, two)]
            return any(told in health.get("problem", "") for health in found)

        eventually(closed)
        eventually(lambda: told in caplog.text)
    finally:
        two.close()
        one.close()


def test_two_brokers_may_use_each_others_networks_without_a_circle() -> None:
    one, layout = Far(one_switch()), one_switch()
    layout.networks["r"] = {"kind": "remote", "url": one.url, "network": "s1", "keep-alive": 0.5}
    two = Far(layout)
    one.stop()
    one.layout.networks["r"] = {"kind": "remote", "url": two.url, "network": "s1", "keep-alive": 0.5}
    one.start()
    try:
        eventually(lambda: all(f.world.broker.health()["networks"]["r"]["contact"] == "up" for f in (one, two)))
    finally:
        two.close()
        one.close()


# -- what is read ----------------------------------------------------------------------------------

SAMPLES: list[DpbError] = [
    errors.CircuitTaken("net", "t", 7, 3),
    errors.LabelsUnavailable("net", "t", 7, ((1, 5), (8, 9))),
    errors.LabelsUnavailable("net", "t"),
    errors.QuotaExceeded("net", "t", "ingress", 10, 5),
    errors.NoCapacity("net", "no tree"),
    errors.SegmentInvalid("segment[1].ingress-bw", "both zero"),
    errors.ServiceGone("net", 7),
    errors.ServiceLogic("net", 7, "define", "it is so"),
    errors.Refused("policy", "quota"),
    errors.Unreachable("switch", "away"),
    errors.TimedOut("switch", 2.5),
    errors.CommitFailed("disk full"),
    errors.InferiorFailed("s1", "no"),
    StepImpossible(Status.RELEASING, Step.ACTIVATE),
]


@pytest.mark.parametrize("error", SAMPLES, ids=lambda e: type(e).__name__)
def test_errors_come_over_the_wire_as_what_they_are(error: DpbError) -> None:
    """As problems, by way of what the REST interface really makes of them, and as faults of services."""
    from dpb_nbi.problems import Problem

    found = codec.problem(codec.read(Problem.of(error).body()))
    assert type(found) is type(error)
    assert (str(found), found.code) == (str(error), error.code)
    again = codec.error(Fault.of(error))
    assert (type(again), str(again)) == (type(error), str(error))


def test_an_error_that_nobody_knows_keeps_what_it_says() -> None:
    found = codec.problem({"code": "new-one", "detail": "something new", "status": 409, "fact-status": 7})
    assert isinstance(found, Remembered)
    assert (found.code, str(found), found.facts) == ("new-one", "something new", {"status": 7})


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_cut_wherever_the_pieces_end(size: int) -> None:
    text = b':\n\nid: 12\nevent: happened\ndata: {"a":1}\n\n:\n\nevent: model\ndata: {}\n\n:\n\n'
    parser, found = Parser(), []
    for i in range(0, len(text), size):
        found += parser.feed(text[i : i + size])
    assert found == [Said("happened", 12, b'{"a":1}'), Said("model", 0, b"{}")]
