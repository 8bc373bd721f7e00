"""A broker that dies between any two of its steps: nothing that was promised is lost, nothing is leaked."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from dpb_framework.contracts import Service
from dpb_framework.model import Change, Desired, Segment, Status
from dpb_framework.reply import Reply
from dpb_framework.testing.manual import ManualRuntime
from dpb_framework.testing.world import CALLER, Layout, World

A, B, C, D = "a", "b", "c", "d"
ENDS = ((A, 100, 300_000, 400_000), (C, 100, 400_000, 300_000))
MORE = ((A, 100, 500_000, 400_000), (C, 100, 400_000, 500_000), (B, 7, 100_000, 100_000), (D, 9, 100_000, 100_000))
WIDE = ((A, 100, 900_000, 900_000), (C, 100, 900_000, 900_000))
MOVED = ((B, 7, 300_000, 300_000), (D, 9, 300_000, 300_000))


class Case:
    """A command to be interrupted: what comes before it, and the command itself."""

    def __init__(self, before: Callable[[World], Service], command: Callable[[World, Service], Reply[object]]) -> None:
        self.before = before
        self.command = command


def dormant(world: World) -> Service:
    return world.create("top", "mine")


def with_a_label_taken(world: World) -> Service:
    """The trunk has room for the service once, and its first labels are taken by somebody else."""
    for label in (1, 2):
        world.establish("w1", ("x", label, 10, 10), ("z", label, 10, 10), handle=f"stranger {label}")
    return dormant(world)


def inactive(world: World) -> Service:
    return world.establish("top", *ENDS, handle="mine")


def active(world: World) -> Service:
    return world.establish("top", *ENDS, handle="mine", active=True)


def prepared(*ends: tuple[str, int, int, int]) -> Callable[[World], Service]:
    def make(world: World) -> Service:
        service = active(world)
        world.ask(service.prepare(Segment.of(*ends), CALLER))
        world.rest()
        return service

    return make


def define(world: World, service: Service, ends: tuple[tuple[str, int, int, int], ...] = ENDS) -> Reply[None]:
    service.activate(CALLER)
    return service.define(Segment.of(*ends), CALLER)


CASES = {
    "create": Case(dormant, lambda world, _: world.network("top").create(CALLER, "other", Segment.of(*MOVED))),
    "define": Case(dormant, define),
    "define-crankback": Case(with_a_label_taken, lambda world, service: define(world, service, WIDE)),
    "activate": Case(inactive, lambda _, service: service.activate(CALLER)),
    "deactivate": Case(active, lambda _, service: service.deactivate(CALLER)),
    "reset": Case(active, lambda _, service: service.reset(CALLER)),
    "release": Case(active, lambda _, service: service.release(CALLER)),
    "prepare": Case(active, lambda _, service: service.prepare(Segment.of(*MORE), CALLER)),
    "prepare-moved": Case(active, lambda _, service: service.prepare(Segment.of(*MOVED), CALLER)),
    "commit": Case(prepared(*MORE), lambda _, service: service.commit(CALLER)),
    "commit-moved": Case(prepared(*MOVED), lambda _, service: service.commit(CALLER)),
    "abort": Case(prepared(*MORE), lambda _, service: service.abort(CALLER)),
    "release-prepared": Case(prepared(*MORE), lambda _, service: service.release(CALLER)),
    "reset-prepared": Case(prepared(*MOVED), lambda _, service: service.reset(CALLER)),
}

REST = {Desired.DORMANT: Status.DORMANT, Desired.INACTIVE: Status.INACTIVE, Desired.ACTIVE: Status.ACTIVE}


def layout() -> Layout:
    """`top` over `east` and `west`, each over two switches: as small as two levels can be."""
    made = Layout()
    for region in ("east", "west"):
        one, two = f"{region[0]}1", f"{region[0]}2"
        made.switch(one, "a", "x", "z").switch(two, "b")
        made.aggregator(region, (one, two), {"a": f"{one}:a", "b": f"{two}:b", "x": f"{one}:x"})
        made.trunk(region, f"{one}:t", f"{two}:t")
    made.aggregator("top", ("east", "west"), {A: "east:a", B: "east:b", C: "west:a", D: "west:b"})
    return made.trunk("top", "east:x", "west:x", name="direct")


def steps_of(case: Case) -> int:
    """How many steps the command takes until nothing is left to do."""
    with World(layout(), steps=True) as world:
        service = case.before(world)
        world.rest()
        case.command(world, service)
        assert isinstance(world.runtime, ManualRuntime)
        count = 0
        while world.runtime.step():
            count += 1
        return count


@pytest.mark.parametrize("name", CASES)
def test_death_after_any_step(name: str) -> None:
    """Stop after n steps for every n, start again, run to rest: the service is where it is wanted, then nothing is."""
    case = CASES[name]
    total = steps_of(case)
    assert total > 3
    for steps in range(total + 1):
        with World(layout(), steps=True) as world:
            service = case.before(world)
            world.rest()
            reply = case.command(world, service)
            assert isinstance(world.runtime, ManualRuntime)
            for _ in range(steps):
                world.runtime.step()
            promised = reply.settled
            world.restart(die=True)
            world.pass_time(1.0)
            check(name, world, steps, promised)


def check(name: str, world: World, steps: int, promised: bool) -> None:
    where = f"{name} after {steps} steps"
    services = world.network("top").services()
    if promised and name == "create":
        assert [s.handle for s in services] == ["mine", "other"], where
    if promised and name.startswith("release"):
        assert services == [], where
    for service in services:
        view = service.view()
        assert view.error is None, f"{where}: {view.error}"
        assert view.status is REST[view.desired], f"{where}: {view.status} but {view.desired}"
        assert view.change in (Change.NONE, Change.PREPARED), f"{where}: {view.change}"
        if promised and name == "prepare":
            assert view.change is Change.PREPARED, where
        if promised and name.startswith("commit"):
            assert view.change is Change.NONE, where
            wanted = MORE if name == "commit" else MOVED
            assert Segment.of(*wanted).same_as(view.segment), where
        if promised and name.startswith("define"):
            assert view.status is Status.ACTIVE, where
        check_traffic(where, world, service)
    usable(where, world)
    for service in (*world.network("top").services(), *world.network("w1").services("stranger")):
        world.release(service)
    assert world.leftovers() == [], where


def check_traffic(where: str, world: World, service: Service) -> None:
    """Frames pass between all ends while the service is ACTIVE, and not at all when it is not."""
    segment = service.segment
    circuits = {(e.circuit.terminal, e.circuit.label) for e in segment.ends} if segment is not None else set()
    every = {(terminal, label) for terminal, label, *_ in (*ENDS, *MORE, *MOVED)}
    for terminal, label in every:
        wanted = set()
        if (terminal, label) in circuits and service.status is Status.ACTIVE:
            wanted = circuits - {(terminal, label)}
        assert world.carries("top", terminal, label) == wanted, f"{where}: {terminal}:{label}"


def usable(where: str, world: World) -> None:
    """What is prepared can be committed or aborted; what is there can be activated."""
    for service in world.network("top").services():
        if service.change is Change.PREPARED:
            wanted = service.segment
            world.ask(service.abort(CALLER))
            world.until(lambda s=service: s.change is Change.NONE)
            assert service.segment == wanted, where
        if service.status is Status.INACTIVE:
            world.activate(service)
        if service.status is Status.ACTIVE:
            check_traffic(where, world, service)


@pytest.mark.parametrize("seed", range(12))
def test_death_at_any_moment_whatever_the_order_of_tasks(seed: int) -> None:
    """What is ready runs in any order; the broker dies three times in the middle of a change of two levels."""
    random = Random(seed)
    with World(
        layout(), steps=True, runtime=lambda: ManualRuntime(lambda count: random.randrange(min(count, 4)))
    ) as world:
        service = active(world)
        for ends in (MORE, MOVED, ENDS):
            world.ask(service.prepare(Segment.of(*ends), CALLER))
            service.commit(CALLER)
            for _ in range(random.randrange(60)):
                world.runtime.step()  # type: ignore[attr-defined]
            world.restart(die=True)
            world.pass_time(30)
            service = world.find(service)
            if service.change is Change.PREPARED:
                world.ask(service.commit(CALLER))
                world.until(lambda s=service: s.change is Change.NONE)
            world.pass_time(30)
            assert Segment.of(*ends).same_as(service.segment)
            check_traffic(f"seed {seed}", world, service)
        world.release(service)
        assert world.leftovers() == []
