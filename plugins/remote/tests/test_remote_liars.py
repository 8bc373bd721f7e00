"""Other sides that lie, or send without end: what is asked of them ends, and nobody else has to bear it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from dpb_remote import codec
from dpb_remote.network import Remote

from dpb_framework.contracts import Service
from dpb_framework.errors import Remembered, Unreachable
from dpb_framework.model import SYSTEM, Fault
from dpb_framework.testing.world import World

from .remote_stub import AB, WHOLE, Send, Stub
from .remote_worlds import PATIENCE, eventually

HERE = {
    "id": 7,
    "network": "s1",
    "handle": "h",
    "owner": "",
    "status": "DORMANT",
    "desired": "DORMANT",
    "change": "none",
    "segment": None,
    "constraints": None,
    "error": None,
    "conditions": [],
    "moment": 1,
}
"""A service that is there."""


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


@pytest.mark.parametrize("seconds", [10**400, [], {}, "7", None], ids=lambda value: str(value)[:9])
def test_an_error_whose_facts_are_odd_is_only_kept(seconds: Any) -> None:
    assert isinstance(codec.error(Fault("timed-out", "told", {"what": "w", "seconds": seconds})), Remembered)
