"""Who is asked before a change, with which totals, and who is told after it."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from dpb_framework.errors import Refused
from dpb_framework.hookspecs import hookimpl
from dpb_framework.model import (
    SYSTEM,
    Caller,
    Change,
    Event,
    EventKind,
    Segment,
    Status,
    Terminal,
    Totals,
    Trunk,
)
from dpb_framework.testing.world import CALLER, World, line

ALICE, BOB = Caller("alice", manager=True), Caller("bob", manager=True)


class Policy:
    """Remembers what it was asked; refuses when told to."""

    def __init__(self) -> None:
        self.segments: list[dict[str, Any]] = []
        self.changes: list[tuple[str, str, str]] = []
        self.refuses = ""

    @hookimpl
    def ask_segment(
        self, network: str, service: int, segment: Segment, caller: Caller, owner: str, totals: Totals
    ) -> None:
        self.segments.append(
            {"network": network, "service": service, "segment": segment, "caller": caller.name, "owner": owner}
            | {"totals": totals}
        )
        if self.refuses:
            raise Refused(self.refuses)

    @hookimpl
    def ask_topology(self, network: str, change: Terminal | Trunk, caller: Caller) -> None:
        if self.refuses:
            raise Refused(self.refuses)
        self.changes.append((network, change.name, caller.name))


class Diary:
    """Writes down all events; has a bad day now and then."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @hookimpl
    def tell_event(self, network: str, event: Event) -> None:
        assert network == event.network
        self.events.append(event)
        if len(self.events) % 3 == 0:
            raise RuntimeError("a bad day")


def ends(label: int, ingress: int, egress: int) -> Segment:
    return Segment.of(("t1", label, ingress, egress), ("t2", label, egress, ingress))


def test_the_owners_totals_are_told_without_the_service_in_question() -> None:
    policy = Policy()
    with World(line(2), listeners={"policy": policy}) as world:
        net = world.network("net")
        first = world.ask(net.create(ALICE, None, ends(1, 10, 20)))
        world.ask(net.create(BOB, None, ends(2, 1, 1)))
        world.ask(net.create(ALICE, None, ends(3, 5, 5)))
        several = Segment.of(("t1", 4, 1, 1), ("t1", 5, 2, 2), ("t2", 4, 3, 3))
        world.ask(net.create(ALICE, None, several))
        world.ask(first.prepare(ends(1, 100, 100), BOB))
        world.ask(first.abort(ALICE))
        world.until(lambda: first.change is Change.NONE)
        world.ask(first.prepare(ends(1, 7, 7), ALICE))
        assert [asked["totals"] for asked in policy.segments] == [
            Totals(0, 0, 0, 0),
            Totals(0, 0, 0, 0),
            Totals(1, 2, 30, 30),
            Totals(2, 4, 40, 40),
            Totals(2, 5, 16, 16),
            Totals(2, 5, 16, 16),
        ]
        assert [(a["service"], a["caller"], a["owner"]) for a in policy.segments] == [
            (1, "alice", "alice"),
            (2, "bob", "bob"),
            (3, "alice", "alice"),
            (4, "alice", "alice"),
            (1, "bob", "alice"),
            (1, "alice", "alice"),
        ]
        assert {a["network"] for a in policy.segments} == {"net"}, "the broker itself is not asked about"
        world.release(first)
        world.ask(net.create(ALICE, None, ends(6, 5, 5)))
        assert policy.segments[-1]["totals"] == Totals(2, 5, 16, 16)


def test_the_chosen_labels_are_shown_to_a_policy() -> None:
    policy = Policy()
    with World(line(2), listeners={"policy": policy}) as world:
        world.establish("net", ("t1", None, 1, 1), ("t2", None, 1, 1))
        assert [e.circuit.label for e in policy.segments[0]["segment"].ends] == [1, 1]


@pytest.mark.parametrize("network", ["s1", "net"])
def test_a_refusal_takes_nothing(network: str) -> None:
    policy = Policy()
    with World(line(2), listeners={"policy": policy}) as world:
        names = ("t", "u") if network == "s1" else ("t1", "t2")
        segment = Segment.of(*((name, 1, 10, 10) for name in names))
        policy.refuses = "not on Sundays"
        with pytest.raises(Refused) as caught:
            world.ask(world.network(network).create(ALICE, None, segment))
        assert (caught.value.reason, caught.value.listener) == ("not on Sundays", "policy")
        service = world.create(network)
        with pytest.raises(Refused):
            world.ask(service.define(segment, ALICE))
        assert service.status is Status.DORMANT
        assert service.error is not None
        assert service.error.code == "refused"
        policy.refuses = ""
        world.ask(service.define(segment, ALICE))
        world.reach(service, Status.INACTIVE)
        policy.refuses = "not more"
        before = service.view()
        with pytest.raises(Refused):
            world.ask(service.prepare(Segment.of(*((name, 1, 20, 20) for name in names)), ALICE))
        assert evolve(service.view(), error=None) == before
        world.release(service)
        assert world.leftovers() == []


def test_topology_is_asked_about() -> None:
    policy = Policy()
    with World(line(2), listeners={"policy": policy}) as world:
        assert ("net", "s1-s2", CALLER.name) in policy.changes
        assert ("s1", "t", CALLER.name) in policy.changes
        policy.refuses = "frozen"
        management = world.aggregator("net")
        trunk = management.trunk("s1-s2").trunk
        with pytest.raises(Refused):
            world.ask(management.put_trunk(evolve(trunk, upstream=1), ALICE))
        with pytest.raises(Refused):
            world.ask(world.switch("s1").put_terminal(Terminal("new", "77"), ALICE))
        assert management.trunk("s1-s2").trunk == trunk
        assert "new" not in world.network("s1").terminals()
        world.ask(management.put_trunk(evolve(trunk, upstream=1), SYSTEM))


def test_listeners_are_told_of_every_event_in_order_whatever_they_raise(caplog: pytest.LogCaptureFixture) -> None:
    diary = Diary()
    with World(line(2), listeners={"diary": diary}) as world:
        service = world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10), active=True)
        world.release(service)
        for network in ("s1", "s2", "net"):
            numbers = [event.number for event in diary.events if event.network == network]
            assert numbers == list(range(1, world.network(network).last_event + 1))
            stored = world.network(network).events(0)
            assert stored == [event for event in diary.events if event.network == network]
        told = [e.data["status"] for e in diary.events if e.network == "net" and e.kind is EventKind.SERVICE]
        assert told == ["ESTABLISHING", "INACTIVE", "ACTIVATING", "ACTIVE", "RELEASING", "RELEASED"]
    assert "a bad day" in caplog.text


def test_a_commit_that_fails_is_not_told() -> None:
    diary = Diary()
    with World(line(2), listeners={"diary": diary}) as world:
        world.store.fail()
        count = len(diary.events)
        with pytest.raises(Exception, match="not stored"):
            world.establish("net", ("t1", 1, 10, 10), ("t2", 1, 10, 10))
        assert len(diary.events) == count
