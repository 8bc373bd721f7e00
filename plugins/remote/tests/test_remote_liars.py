"""Other sides that lie, or send without end: what is asked of them ends, and nobody else has to bear it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from dpb_remote import backlog, bodies, codec, sse
from dpb_remote.contact import _Listening
from dpb_remote.cutting import Cutter, TooLong
from dpb_remote.network import Remote

from dpb_framework.contracts import Service
from dpb_framework.errors import Remembered, Unreachable
from dpb_framework.model import SYSTEM, Chord, Fault, Fragment, NetworkModel, Status
from dpb_framework.runtime import Runtime
from dpb_framework.testing.layout import one_switch
from dpb_framework.testing.world import World
from dpb_framework.turns import turn

from .remote_stub import AB, HERE, WHOLE, Send, Stub
from .remote_worlds import PATIENCE, eventually


def line(number: int, told: Any, status: int = 201) -> bytes:
    """A line of answers: how a service is."""
    return json.dumps({"order": number, "status": status, "moment": 10, "service": told}).encode() + b"\n"


def contact(world: World) -> tuple[str, str]:
    health = world.broker.health()["networks"]["far"]
    return health["contact"], health.get("problem", "")


@pytest.fixture
def world(stub: Stub, near: Callable[..., World]) -> World:
    """A near broker whose network `far` has service 7."""
    whole = {**WHOLE, "last-service": 7, "services": [HERE]}
    stub.stream = 200, b"event: whole\ndata: " + json.dumps(whole).encode() + b"\n\n"
    found = near()
    eventually(lambda: contact(found)[0] == "up")
    return found


def always(stub: Stub, told: Any, status: int = 201) -> None:
    """Let each order be answered so."""

    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        for number in range(len(orders)):
            send(line(number, told, status))

    stub.orders = answer


COMMANDS: list[Callable[[Service], Any]] = [
    lambda service: service.define(AB, SYSTEM),
    lambda service: service.activate(SYSTEM),
    lambda service: service.prepare(AB, SYSTEM),
    lambda service: service.release(SYSTEM),
]

ODD = [
    {**HERE, "id": float("inf")},
    {**HERE, "id": "7"},
    {**HERE, "handle": [1]},
    {**HERE, "constraints": {"max-delay": float("inf")}, "segment": []},
    None,
    [HERE],
]


@pytest.mark.parametrize("told", ODD, ids=range(len(ODD)))
def test_an_order_that_is_answered_oddly_ends_with_its_outcome_unknown(stub: Stub, world: World, told: Any) -> None:
    always(stub, told)
    service = world.network("far").service(7)
    for command in COMMANDS:
        with pytest.raises(Unreachable, match="not as a broker does"):
            command(service).result(PATIENCE)
    with pytest.raises(Unreachable, match="not as a broker does"):
        world.network("far").create(SYSTEM, "new", AB).result(PATIENCE)


def test_an_order_ends_whatever_its_answer_brings_about(
    stub: Stub, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: Any, **__: Any) -> None:
        raise RuntimeError("not foreseen")

    always(stub, HERE)
    monkeypatch.setattr(Remote, "_adopt", fault)
    network = world.network("far")
    for command in COMMANDS:
        with pytest.raises(Unreachable):
            command(network.service(7)).result(PATIENCE)
    with pytest.raises(Unreachable):
        network.create(SYSTEM, "new", AB).result(PATIENCE)
    stub.orders, stub.answer = None, (200, json.dumps({"services": [{**HERE, "handle": "new"}]}).encode())
    with pytest.raises(Unreachable):
        network.find("new").result(PATIENCE)


def test_an_answer_that_is_not_understood_is_logged_when_it_is_new(
    stub: Stub, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    service = world.network("far").service(7)

    def told() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]

    for odd, count in ((None, 1), ([], 1), ({**HERE, "id": "7"}, 2)):
        always(stub, odd, 204)
        for _ in range(3):
            with pytest.raises(Unreachable):
                service.activate(SYSTEM).result(PATIENCE)
        assert len(told()) == count, told()
    always(stub, HERE)
    service.activate(SYSTEM).result(PATIENCE)
    always(stub, {**HERE, "id": "7"})
    with pytest.raises(Unreachable):
        service.activate(SYSTEM).result(PATIENCE)
    assert len(told()) == 3


@pytest.mark.parametrize("seconds", [10**400, [], {}, "7", None], ids=lambda value: str(value)[:9])
def test_an_error_whose_facts_are_odd_is_only_kept(seconds: Any) -> None:
    assert isinstance(codec.error(Fault("timed-out", "told", {"what": "w", "seconds": seconds})), Remembered)


def model(*terminals: Any, **chord: Any) -> dict[str, Any]:
    """A model of one fragment, and in it one chord that is as it should be but for what is said."""
    good = {"a": "a", "b": "b", "upstream": 1, "downstream": 0.5, "delay": 0}
    return {"fragments": [{"terminals": list(terminals), "chords": [{**good, **chord}]}]}


def test_a_model_is_read_as_it_is_told() -> None:
    assert codec.model(model("a", "b", upstream=10**12)) == NetworkModel(
        (Fragment(("a", "b"), (Chord("a", "b", 10**15, 500, 0),)),)
    )


@pytest.mark.parametrize(
    "told",
    [
        model("a", 5, "b"),
        model("a", {}, "b"),
        model("a", "not a name", "b"),
        model("a", "b" * 129, "b"),
        model("a", "b", a=None),
        model("a", "b", b=[]),
        model("a", "b", b="c"),
        model("a", "b", upstream=-1),
        model("a", "b", downstream=float("nan")),
        model("a", "b", delay=10**4000),
        {"fragments": {}},
        {"fragments": [{"terminals": "ab", "chords": None}]},
        {"fragments": [{"terminals": ["a"], "chords": {}}]},
    ],
    ids=lambda told: str(told)[:120],
)
def test_a_model_that_no_network_has_is_not_understood(told: dict[str, Any]) -> None:
    with pytest.raises(codec.Garbled):
        codec.understood(codec.model, told)


def test_half_a_character_is_not_taken_up() -> None:
    """It could be neither kept nor told."""
    for half in (b'["\\ud800"]', b'{"\\uDFFF": 1}', b'["\\udc00\\ud800"]'):
        with pytest.raises(codec.Garbled):
            codec.read(half)
    assert codec.read(b'["\\ud83d\\ude00", "\\\\ud800"]') == ["\N{GRINNING FACE}", "\\ud800"]


def test_one_network_s_bad_model_refuses_nothing_of_the_others(stub: Stub) -> None:
    """Its contact is lost, with the reason; what does not touch it goes on."""
    bad = {**WHOLE, "model": {"fragments": [{"terminals": ["left", 5, "right"], "chords": None}]}}
    stub.stream = 200, b"event: whole\ndata: " + json.dumps(bad).encode() + b"\n\n"
    layout = one_switch().aggregator("all", ["s1", "far"], {"a": "s1:a", "b": "s1:b"})
    layout.networks["far"] = {"kind": "remote", "url": stub.url, "network": "s1"}
    with World(layout, runtime=Runtime) as world:
        eventually(lambda: contact(world)[0] == "lost")
        assert "not understood" in contact(world)[1]
        service = world.network("all").create(SYSTEM, "h", AB).result(PATIENCE)
        assert service.wait({Status.INACTIVE}, PATIENCE).result(PATIENCE) is Status.INACTIVE


HAPPENED = {"number": 1, "kind": "terminal", "data": {"name": "a"}}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("whole", {**WHOLE, "services": {}}),
        ("changed", {"services": {}, "happened": []}),
        ("changed", {"services": [], "happened": {}}),
        ("changed", {"services": [{**HERE, "id": "900.5"}], "happened": []}),
        ("changed", {"services": [{**HERE, "moment": float("inf")}], "happened": []}),
        ("changed", {"services": [{**HERE, "id": 8, "conditions": [{}]}], "happened": []}),
        ("changed", {"services": [], "happened": [{**HAPPENED, "number": float("inf")}]}),
        ("changed", {"services": [], "happened": [{**HAPPENED, "number": "1"}]}),
        ("changed", {"services": [], "happened": [{**HAPPENED, "kind": {}}]}),
        ("changed", {"services": [], "happened": [{**HAPPENED, "data": 7}]}),
        ("model", {"terminals": ["a"], "model": model("a", "b", delay=float("inf")), "beneath": []}),
    ],
    ids=range(11),
)
def test_a_stream_that_tells_of_what_cannot_be_is_lost_with_the_reason(
    stub: Stub, near: Callable[..., World], event: str, told: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    status, begin = stub.stream
    before = b"" if event == "whole" else begin
    stub.stream = status, before + f"event: {event}\ndata: {json.dumps(told)}\n\n".encode()
    world = near()
    eventually(lambda: contact(world)[0] == "lost" and "it says what is not understood" in contact(world)[1])
    assert world.network("far").services() == []
    assert "Traceback" not in caplog.text


# -- without end -----------------------------------------------------------------------------------

LONG = {"Content-Length": "1000000000"}
"""Of a body that does not end."""


def test_nothing_compressed_is_asked_for(stub: Stub, world: World) -> None:
    """A little of it may be very much."""
    with pytest.raises(Unreachable):
        world.network("far").create(SYSTEM, "h2", AB).result(PATIENCE)
    assert [head["accept-encoding"] for head in stub.heads] == ["identity", "identity"]


def test_what_is_compressed_is_not_read(stub: Stub, world: World, near: Callable[..., World]) -> None:
    stub.headers = {"Content-Encoding": "gzip"}
    stub.answer = 200, gzip.compress(line(0, HERE))
    with pytest.raises(Unreachable, match="compressed"):
        world.network("far").service(7).activate(SYSTEM).result(PATIENCE)
    stub.stream = 200, gzip.compress(stub.stream[1])
    other = near()
    eventually(lambda: "compressed" in contact(other)[1], lambda: contact(other))


def test_an_error_without_an_end_is_that_error(stub: Stub, world: World, near: Callable[..., World]) -> None:
    stub.headers, endless = LONG, (502, b"<html>" + bytes(bodies.ERROR))
    stub.answer = stub.stream = endless
    network = world.network("far")
    for _ in range(2):  # to an order, and to a question
        with pytest.raises(Unreachable, match="it answers 502"):
            network.create(SYSTEM, "new", AB).result(PATIENCE)
        with pytest.raises(Unreachable, match="it answers 502"):
            network.find("new").result(PATIENCE)
    other = near()
    eventually(lambda: "it answers 502" in contact(other)[1], lambda: contact(other))


def test_an_answer_without_an_end_is_none(stub: Stub, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "ANSWER", 1000)
    monkeypatch.setattr(bodies, "PIECE", 100)
    stub.headers, stub.answer = LONG, (200, b" " * 2000)
    with pytest.raises(Unreachable, match="an answer without an end"):
        world.network("far").create(SYSTEM, "new", AB).result(PATIENCE)
    with pytest.raises(Unreachable, match="an answer without an end"):
        world.network("far").find("new").result(PATIENCE)


def test_a_line_or_an_event_without_an_end_is_none(
    stub: Stub, world: World, near: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "LINE", 1000)
    monkeypatch.setattr(sse, "MOST", 1000)
    stub.headers, stub.answer = LONG, (200, b" " * 2000)
    with pytest.raises(Unreachable, match="a line without an end"):
        world.network("far").service(7).activate(SYSTEM).result(PATIENCE)
    stub.headers, stub.stream = {}, (200, b"data: " + b" " * 2000)
    other = near()
    eventually(lambda: "an event without an end" in contact(other)[1], lambda: contact(other))


def test_more_answers_than_orders_are_none(stub: Stub, world: World) -> None:
    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        send(line(0, HERE) * 2)
        stub.over.wait(PATIENCE)

    stub.orders = answer
    network = world.network("far")
    with turn():
        first, second = network.service(7).activate(SYSTEM), network.create(SYSTEM, "new", AB)
    first.result(PATIENCE)
    with pytest.raises(Unreachable, match="what was not asked"):
        second.result(PATIENCE)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\n\n"])
def test_a_text_is_cut_wherever_its_pieces_end(size: int, end: bytes) -> None:
    """And nothing is longer than it may be."""
    parts = [b"", b"a", b"\nb" if len(end) > 1 else b"b", b"12345"]
    text = end.join(parts) + end + b"rest"
    cutter, found = Cutter("a part", end, 5), []
    for i in range(0, len(text), size):
        found += cutter.feed(text[i : i + size])
    assert found == text.split(end)[:-1]
    with pytest.raises(TooLong, match="a part without an end"):
        cutter.feed(b"...")
    with pytest.raises(TooLong):
        Cutter("a part", end, 5).feed(b"123456" + end)


def flood(texts: int) -> tuple[int, bytes]:
    """A stream that tells the usual, and then so many events."""
    told = [{"services": [], "happened": [{**HAPPENED, "number": number + 1}]} for number in range(texts)]
    whole = b"event: whole\ndata: " + json.dumps(WHOLE).encode() + b"\n\n"
    return 200, whole + b"".join(b"event: changed\ndata: " + json.dumps(one).encode() + b"\n\n" for one in told)


def test_a_stream_is_read_no_faster_than_it_is_taken_up(
    stub: Stub, near: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile its silence is none."""
    monkeypatch.setattr(backlog, "MOST", 1000)
    handed, looks, full = [0], [0], threading.Event()
    hear, look, room = Remote.hear, _Listening._look, backlog.Backlog.room

    def hearing(self: Remote, said: Sequence[sse.Said], then: Callable[[], None]) -> None:
        handed[0] += len(said)
        hear(self, said, then)

    def looking(self: _Listening) -> None:
        looks[0] += 1
        look(self)

    async def waiting(self: backlog.Backlog) -> None:
        full.set()
        await room(self)

    monkeypatch.setattr(Remote, "hear", hearing)
    monkeypatch.setattr(_Listening, "_look", looking)
    monkeypatch.setattr(backlog.Backlog, "room", waiting)
    begun, go_on = threading.Event(), threading.Event()

    def hold(self: Remote, said: Sequence[sse.Said]) -> None:
        begun.set()
        assert go_on.wait(PATIENCE)
        take(self, said)

    take = Remote._hear
    monkeypatch.setattr(Remote, "_hear", hold)
    stub.stream = flood(3000)
    network = near(**{"keep-alive": 0.1, "timeout": 0.2}).network("far")
    assert begun.wait(PATIENCE)
    assert full.wait(PATIENCE)
    there, before = handed[0], looks[0]
    assert there < 2000
    eventually(lambda: looks[0] > before + 2)
    assert (handed[0], len(stub.heads)) == (there, 1)
    go_on.set()
    eventually(lambda: network.last_event == 3000)


def test_the_whole_is_told_once_in_a_stream(stub: Stub, near: Callable[..., World]) -> None:
    status, begin = stub.stream
    stub.stream = status, begin * 2
    world = near()
    eventually(lambda: "the whole again" in contact(world)[1], lambda: contact(world))
