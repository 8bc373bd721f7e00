"""Whose a service is: only its owner, a manager and the broker itself change it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dpb_framework.contracts import Service
from dpb_framework.errors import NotOwner
from dpb_framework.model import ANYBODY, SYSTEM, Caller, Segment, Status
from dpb_framework.reply import Reply
from dpb_framework.testing.world import World, one_switch, triangle

ALICE, BOB, CHIEF = Caller("alice"), Caller("bob"), Caller("chief", manager=True)
ENDS = Segment.of(("t1", 1, 10, 10), ("t2", 1, 10, 10))
WIDER = Segment.of(("t1", 1, 20, 20), ("t2", 1, 20, 20))

COMMANDS: dict[str, Callable[[Service, Caller], Reply[None]]] = {
    "define": lambda service, caller: service.define(ENDS, caller),
    "activate": lambda service, caller: service.activate(caller),
    "deactivate": lambda service, caller: service.deactivate(caller),
    "prepare": lambda service, caller: service.prepare(WIDER, caller),
    "commit": lambda service, caller: service.commit(caller),
    "abort": lambda service, caller: service.abort(caller),
    "reset": lambda service, caller: service.reset(caller),
    "release": lambda service, caller: service.release(caller),
}


def refused(reply: Reply[Any], network: str, service: Service) -> None:
    assert isinstance(reply.error, NotOwner)
    assert reply.error.facts == {"network": network, "service": service.id, "owner": "alice"}


def test_every_command_of_a_service_is_here() -> None:
    methods = {name: getattr(Service, name) for name in Service.__abstractmethods__}
    abstract = {name for name, method in methods.items() if "caller" in getattr(method, "__annotations__", ())}
    assert abstract == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_another_owners_service_is_not_changed(command: str) -> None:
    with World(triangle()) as world:
        service = world.ask(world.network("net").create(ALICE, "h", ENDS))
        world.rest()
        before = service.view()
        reply = COMMANDS[command](service, BOB)
        world.rest()
        refused(reply, "net", service)
        assert service.view() == before


@pytest.mark.parametrize("caller", [ALICE, CHIEF, SYSTEM, ANYBODY], ids=lambda caller: caller.name)
def test_its_owner_a_manager_and_the_broker_change_it(caller: Caller) -> None:
    with World(triangle()) as world:
        service = world.ask(world.network("net").create(ALICE, "h", ENDS))
        world.rest()
        for command in COMMANDS.values():
            world.ask(command(service, caller))
            world.rest()
        world.reach(service, Status.RELEASED)


def test_a_handle_of_another_owner_is_no_way_in() -> None:
    with World(triangle()) as world:
        network = world.network("net")
        service = world.ask(network.create(ALICE, "h"))
        for segment in (None, ENDS):
            reply = network.create(BOB, "h", segment)
            world.rest()
            refused(reply, "net", service)
        assert (service.status, service.segment) == (Status.DORMANT, None)
        assert world.ask(network.create(ALICE, "h", ENDS)) is service
        assert world.ask(network.create(CHIEF, "h", ENDS)) is service
        assert service.view().owner == "alice"


def test_the_owner_is_kept_over_a_restart() -> None:
    with World(one_switch()) as world:
        service = world.ask(world.network("s1").create(ALICE, "h"))
        world.restart(die=True)
        service = world.network("s1").service(service.id)
        reply = service.release(BOB)
        world.rest()
        refused(reply, "s1", service)
        world.ask(service.release(ALICE))
