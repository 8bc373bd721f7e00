"""Orders travel together: what is for one broker by one request, each answered as soon as it can be."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from dpb_framework.contracts import Service
from dpb_framework.errors import DpbError, Stopped, Unreachable
from dpb_framework.model import SYSTEM, LabelRange, Segment, Status, Terminal, Trunk
from dpb_framework.reply import Reply
from dpb_framework.runtime import Runtime
from dpb_framework.testing.layout import Layout
from dpb_framework.testing.world import World
from dpb_framework.turns import turn

from .remote_proxy import Proxy
from .remote_stub import AB, Refusal, Send, Stub, problem
from .remote_worlds import PATIENCE, Far, eventually


def line(number: int, plain: dict[str, Any], status: int = 201) -> bytes:
    told = "service" if status < 300 else "problem"
    return json.dumps({"order": number, "status": status, "moment": 10 + number, told: plain}).encode() + b"\n"


def service(order: dict[str, Any], id_: int) -> dict[str, Any]:
    """SERVICE of a create that is as it should be."""
    return {
        "id": id_,
        "network": order["network"],
        "handle": order.get("handle"),
        "owner": "",
        "status": "INACTIVE",
        "desired": "INACTIVE",
        "change": "none",
        "segment": order.get("segment"),
        "constraints": None,
        "error": None,
        "conditions": [],
    }


def create_together(world: World, *handles: str | None) -> list[Reply[Service]]:
    """Ask for services in one turn, so that their orders travel together."""
    with turn():
        return [world.network("far").create(SYSTEM, handle, AB) for handle in handles]


@pytest.fixture
def world(stub: Stub, near: Callable[..., World]) -> World:
    return reached(near())


def reached(world: World) -> World:
    """A world when it has contact."""
    eventually(lambda: world.broker.health()["networks"]["far"]["contact"] == "up")
    return world


def test_a_service_through_many_networks_of_one_broker_costs_one_request_for_each_command() -> None:
    layout = Layout()
    names = [f"s{i}" for i in range(6)]
    for name in names:
        layout.switch(name, "left", "right", "user")
    far = Far(layout)
    proxy = Proxy(far.port)
    upper = Layout()
    for name in names:
        upper.networks[f"r{name}"] = {"kind": "remote", "url": proxy.url, "network": name, "keep-alive": 60}
    upper.aggregator("all", [f"r{name}" for name in names], {})
    above = World(upper, runtime=Runtime)
    try:
        health = above.broker.health
        eventually(lambda: all(n.get("contact", "up") == "up" for n in health()["networks"].values()))
        every = above.aggregator("all")
        for name, place in (("a", ("rs0", "user")), ("b", ("rs5", "user"))):
            every.put_terminal(Terminal(name, ":".join(place)), SYSTEM).result(PATIENCE)
        for one, other in pairwise(names):
            labels = (LabelRange(1, 10, 1),)
            trunk = Trunk(f"{one}-{other}", (f"r{one}", "right"), (f"r{other}", "left"), 100, 100, 1, labels)
            every.put_trunk(trunk, SYSTEM).result(PATIENCE)
        proxy.asked.clear()
        made = above.network("all").create(SYSTEM, "one", AB).result(PATIENCE)
        assert made.wait({Status.INACTIVE}, PATIENCE).result(PATIENCE) is Status.INACTIVE
        assert proxy.asked == [("POST", "/api/v1/orders")]
        for command, status in ((made.activate, Status.ACTIVE), (made.release, Status.RELEASED)):
            proxy.asked.clear()
            command(SYSTEM).result(PATIENCE)
            assert made.wait({status}, PATIENCE).result(PATIENCE) is status
            assert 1 <= len(proxy.asked) <= 6
            assert set(proxy.asked) == {("POST", "/api/v1/orders")}
        assert [len(far.world.network(name).services()) for name in names] == [0] * 6
    finally:
        above.close()
        proxy.close()
        far.close()


def test_an_order_that_takes_its_time_keeps_back_no_other_of_its_request(stub: Stub, world: World) -> None:
    go_on = threading.Event()

    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        send(line(1, service(orders[1], 2)))
        assert go_on.wait(PATIENCE)
        send(line(0, service(orders[0], 1)))

    stub.orders = answer
    slow, quick = create_together(world, "slow", "quick")
    assert quick.result(PATIENCE).id == 2
    assert not slow.settled
    go_on.set()
    assert slow.result(PATIENCE).id == 1
    assert [head["content-type"] for head in stub.heads if "content-type" in head] == ["application/json"]


def test_a_refusal_is_one_order_s(stub: Stub, world: World) -> None:
    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        problem = {"code": "no-capacity", "detail": "it is full"}
        send(line(0, problem, 409) + line(1, service(orders[1], 2)))

    stub.orders = answer
    refused, made = create_together(world, "refused", "made")
    assert made.result(PATIENCE).handle == "made"
    with pytest.raises(DpbError, match="it is full") as caught:
        refused.result(PATIENCE)
    assert caught.value.code == "no-capacity"


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b"nonsense\n",
        b"{}\n",
        b'{"order": 1}\n',
        b'{"order": 1, "status": 200, "moment": 1}\n',
        b'{"order": 7, "status": 200, "moment": 1, "service": {}}\n',
        b'{"order": -1, "status": 200, "moment": 1, "service": {}}\n',
        line(1, {"id": "x"}, 201)[:-1],
    ],
)
def test_what_is_left_without_an_answer_has_an_unknown_outcome(stub: Stub, world: World, rest: bytes) -> None:
    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        send(line(0, service(orders[0], 1)))
        if rest:
            send(rest)

    stub.orders = answer
    made, lost = create_together(world, "made", "lost")
    assert made.result(PATIENCE).id == 1
    with pytest.raises(Unreachable):
        lost.result(PATIENCE)
    # Nobody knows of that one whether it was made: the other side is asked before it is ordered again.
    stub.answer = (200, b'{"services": []}')
    asked = len(stub.heads)
    for handle, times in (("made", 0), ("lost", 1), ("lost", 1)):
        world.network("far").find(handle).result(PATIENCE)
        assert len(stub.heads) == asked + times


def test_an_answer_that_stops_in_the_middle_leaves_the_rest_unknown_when_the_time_is_over(
    stub: Stub, near: Callable[..., World]
) -> None:
    world = reached(near(timeout=1))

    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        send(line(0, service(orders[0], 1)) + line(1, service(orders[1], 2))[:20])
        stub.over.wait(PATIENCE)

    stub.orders = answer
    made, lost = create_together(world, "made", "lost")
    assert made.result(PATIENCE).id == 1
    with pytest.raises(Unreachable, match="no answer within 1 s"):
        lost.result(PATIENCE)


def test_a_line_that_comes_in_pieces_is_read(stub: Stub, world: World) -> None:
    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        whole = line(1, service(orders[1], 2)) + line(0, service(orders[0], 1))
        for at in range(0, len(whole), 7):
            send(whole[at : at + 7])

    stub.orders = answer
    assert [reply.result(PATIENCE).id for reply in create_together(world, "one", "two")] == [1, 2]


def test_what_was_not_answered_is_sent_once_more_and_what_must_not_be_doubled_is_not(stub: Stub, world: World) -> None:
    """A connection that ends without an answer, as idle ones do."""
    asked: list[list[str | None]] = []

    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        send(b"".join(line(number, service(order, 10 + number)) for number, order in enumerate(orders)))

    def cut(orders: list[dict[str, Any]], send: Send) -> None:
        asked.append([order.get("handle") for order in orders])
        if len(asked) == 1:
            raise ConnectionAbortedError
        answer(orders, send)

    stub.orders = cut
    one, nameless, two = create_together(world, "one", None, "two")
    assert [reply.result(PATIENCE).handle for reply in (one, two)] == ["one", "two"]
    with pytest.raises(Unreachable):
        nameless.result(PATIENCE)
    assert asked == [["one", None, "two"], ["one", "two"]]


def test_many_orders_go_by_several_requests_beside_each_other(stub: Stub, world: World) -> None:
    together = threading.Barrier(3)
    sizes: list[int] = []

    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        together.wait(PATIENCE)
        sizes.append(len(orders))
        numbers = [int(order["handle"]) for order in orders]
        send(b"".join(line(at, service(orders[at], number + 1)) for at, number in enumerate(numbers)))

    stub.orders = answer
    replies = create_together(world, *(str(number) for number in range(150)))
    assert [reply.result(PATIENCE).id for reply in replies] == list(range(1, 151))
    assert sorted(sizes) == [22, 64, 64]


def test_a_broker_without_such_orders_is_told_in_one_line(stub: Stub, world: World) -> None:
    stub.answer = (404, b'{"code": "no-route", "detail": "there is nothing at that path"}')
    for reply in create_together(world, "one", "two"):
        with pytest.raises(Unreachable, match="its version may be older than ours"):
            reply.result(PATIENCE)


def test_words_of_a_newer_broker_are_no_reason_to_wait_for_ever(stub: Stub, world: World) -> None:
    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        newer = {"code": "service-logic", "detail": "it is so", "fact-status": "UPGRADING", "step": "WHATEVER"}
        send(line(0, newer, 409) + line(1, {**service(orders[1], 2), "status": "UPGRADING"}))

    stub.orders = answer
    refused, odd = create_together(world, "refused", "odd")
    with pytest.raises(DpbError, match="it is so"):
        refused.result(PATIENCE)
    with pytest.raises(Unreachable):
        odd.result(PATIENCE)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_of_a_request_that_is_refused_as_a_whole_each_order_goes_alone(stub: Stub, world: World, status: int) -> None:
    """One of them is to blame, and not its neighbours."""
    sizes: list[int] = []
    ids = {"good": 1, "bad": 2, "better": 3}

    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        sizes.append(len(orders))
        if any(order["handle"] == "bad" for order in orders):
            raise Refusal(*problem(status, "bad-argument", "that is wrong"))
        # Several requests are answered at the same time.
        send(b"".join(line(at, service(order, ids[order["handle"]])) for at, order in enumerate(orders)))

    stub.orders = answer
    good, bad, better = create_together(world, "good", "bad", "better")
    assert [reply.result(PATIENCE).handle for reply in (good, better)] == ["good", "better"]
    with pytest.raises(DpbError, match="that is wrong"):
        bad.result(PATIENCE)
    assert sorted(sizes) == [1, 1, 1, 3]


def test_long_orders_are_not_too_many_for_one_body(stub: Stub, world: World) -> None:
    lengths: list[int] = []

    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        lengths.append(len(json.dumps(orders)))
        send(b"".join(line(at, service(order, int(order["handle"]) + 1)) for at, order in enumerate(orders)))

    stub.orders = answer
    many = Segment.of(*((f"{'t' * 60}{number}", 1, 10, 10) for number in range(500)))
    with turn():
        replies = [world.network("far").create(SYSTEM, str(number), many) for number in range(30)]
    assert [reply.result(PATIENCE).id for reply in replies] == list(range(1, 31))
    assert len(lengths) >= 3
    assert max(lengths) < 1_000_000


def test_a_broker_that_is_too_busy_to_look_has_refused_nothing(stub: Stub, world: World) -> None:
    stub.answer = problem(503, "busy", "there are too many connections; try again in a moment")
    for reply in create_together(world, "one", "two"):
        with pytest.raises(Unreachable, match="too many connections"):
            reply.result(PATIENCE)


def test_orders_of_a_line_that_is_closed_end(stub: Stub, world: World) -> None:

    def never(orders: list[dict[str, Any]], send: Send) -> None:
        stub.over.wait(PATIENCE)

    stub.orders = never
    pending = create_together(world, "one", "two")
    eventually(lambda: len(stub.heads) == 2)
    network = world.network("far")
    with turn():
        late = network.create(SYSTEM, "late", AB)
        network.stop()
    for reply in (*pending, late):
        with pytest.raises((Stopped, Unreachable)):
            reply.result(PATIENCE)


def test_a_question_to_a_line_that_is_closed_ends(stub: Stub, world: World) -> None:
    network: Any = world.network("far")
    line_, answered = network._line, list[Reply[Any]]()
    network.stop()
    line_.look(answered.append, "there", "/networks", seconds=1)
    assert [type(reply.error) for reply in answered] == [Stopped]


def test_a_switch_of_many_is_commanded_by_threads_at_once(stub: Stub, world: World) -> None:
    """No order is lost, whatever threads give orders while others are being sent."""
    counted = threading.Lock()
    seen: list[str] = []

    def answer(orders: list[dict[str, Any]], send: Send) -> None:
        with counted:
            seen.extend(order["handle"] for order in orders)
            first = len(seen) - len(orders)
        send(b"".join(line(at, service(order, first + at + 1)) for at, order in enumerate(orders)))

    stub.orders = answer
    replies: list[Reply[Service]] = []

    def give(thread: int) -> None:
        for number in range(50):
            replies.append(world.network("far").create(SYSTEM, f"{thread}/{number}", AB))

    threads = [threading.Thread(target=give, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    made = [reply.result(PATIENCE) for reply in replies]
    assert sorted(seen) == sorted(f"{thread}/{number}" for thread in range(4) for number in range(50))
    assert len({service.id for service in made}) == 200
