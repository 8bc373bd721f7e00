"""The kernel over this fabric: what services show of an application, its switches and their ports."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from dpb_framework.contracts import Capability
from dpb_framework.errors import CircuitTaken, Refused
from dpb_framework.model import Status, Terminal
from dpb_framework.runtime import Runtime
from dpb_framework.testing.world import CALLER, Layout, World

from .fake_application import FakeApplication, FakeSwitch, eventually

DPID = "00000000000000a1"
TERMINALS = (
    Terminal("a", "1"),
    Terminal("b", "2"),
    Terminal("double", "3x2"),
    Terminal("inner", "3.100"),
    Terminal("whole", "phys", labels=((1, 16),)),
)
AB = (("a", 1, 10, 20), ("b", 1, 10, 20))


@pytest.fixture
def switch() -> FakeSwitch:
    return FakeSwitch(DPID)


@pytest.fixture
def application(switch: FakeSwitch) -> Iterator[FakeApplication]:
    with FakeApplication(switch) as application:
        yield application


def layout(application: FakeApplication, **settings: object) -> Layout:
    fabric = {"url": application.url, "dpid": DPID}
    return Layout().switch("s1", *TERMINALS, fabric="openflow", fabric_settings=fabric, **settings)


def world_of(application: FakeApplication, **settings: object) -> World:
    return World(layout(application, **settings), runtime=Runtime)


def text_of(service: object) -> str:
    error = service.error  # type: ignore[attr-defined]
    return "" if error is None else str(error.text)


def test_a_service_lives_through_restarts_of_application_and_broker(
    application: FakeApplication, switch: FakeSwitch
) -> None:
    with world_of(application) as world:
        service = world.establish("s1", *AB, active=True)
        tagged = world.establish("s1", ("double", 409620, 10, 20), ("a", 2, 10, 20), active=True)
        assert switch.carries([1, 1]) == [[2, 1]]
        assert switch.carries([1, 2]) == [[3, 100, 20]]
        changes = switch.changes
        application.restart()
        eventually(lambda: not switch.unnamed)
        application.kill()
        world.until(lambda: any("Connection refused" in c.text for c in service.conditions))
        assert [c.kind for c in service.conditions] == ["unconfirmed"]
        assert service.status is Status.ACTIVE
        world.stop()
        world.start()
        service, tagged = world.find(service), world.find(tagged)
        application.start()
        world.until(lambda: not switch.unnamed and not service.conditions and not tagged.conditions)
        assert switch.changes == changes, "what was right was touched"
        world.release(service)
        world.release(tagged)
        assert switch.slices == {}


def test_a_refusal_is_told_in_the_switchs_words(application: FakeApplication, switch: FakeSwitch) -> None:
    with world_of(application) as world:
        service = world.establish("s1", *AB)
        application.fault("refuse", "PUT", count=2)
        world.ask(service.activate(CALLER))
        world.reach(service, Status.FAILED)
        assert "meter table is full" in text_of(service)
        world.reach(service, Status.ACTIVE)
        assert switch.carries([1, 1]) == [[2, 1]]


def test_what_overlaps_is_refused_at_define(application: FakeApplication) -> None:
    with world_of(application) as world:
        world.establish("s1", ("inner", 20, 10, 20), ("a", 1, 10, 20))
        for number, end in enumerate((("double", 409620), ("whole", 3), ("whole", 1)), 2):
            with pytest.raises(CircuitTaken) as caught:
                world.establish("s1", (*end, 10, 20), ("b", number, 10, 20))
            assert caught.value.service == 1


def test_a_port_that_dies_concerns_all_interfaces_on_it(application: FakeApplication) -> None:
    with world_of(application) as world:
        services = [
            world.establish("s1", end, ("b", number, 10, 20), active=True)
            for number, end in enumerate((("double", 409621, 10, 20), ("inner", 20, 10, 20)), 1)
        ]
        other = world.establish("s1", ("whole", 5, 10, 20), ("whole", 6, 10, 20), active=True)
        application.set_port(DPID, "3", False)
        world.until(lambda: all(s.conditions for s in services))
        assert other.conditions == ()
        application.set_port(DPID, "5", False)
        world.until(lambda: bool(other.conditions))
        application.set_port(DPID, "3", True)
        world.until(lambda: not any(s.conditions for s in services))


def test_many_services_of_one_switch_cost_few_requests(application: FakeApplication, switch: FakeSwitch) -> None:
    with world_of(application) as world:
        many = 60
        services = [world.establish("s1", ("a", n, 10, 20), ("b", n, 10, 20)) for n in range(1, many + 1)]
        theirs = {"circuits": [{"circuit": [1, 7]}, {"circuit": [9, 7]}], "dhcp": True}
        switch.put("by hand", theirs)
        for service in services:
            world.ask(service.activate(CALLER))
        world.until(lambda: len(switch.slices) == many)  # all but one, and the stranger's
        world.reach(services[6], Status.FAILED)
        assert "by hand" in text_of(services[6])
        del switch.slices["by hand"]
        for service in services:
            world.reach(service, Status.ACTIVE)
        switch.slices.clear()
        application.calls.clear()
        application.restart()
        world.until(lambda: len(switch.slices) == many)
        writes = [call for call in application.calls if call.startswith(("PUT", "POST")) and "retain" not in call]
        assert len(writes) <= 10, writes
        application.calls.clear()
        switch.slices.clear()
        application.fault("timed-out", "POST", "slices")
        application.restart()
        world.until(lambda: len(switch.slices) == many and not any(s.conditions for s in services))


def test_switches_are_configured_in_parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each switch is answered only when all three have been asked: one after the other would never end."""
    switches = [FakeSwitch(f"{number:016x}") for number in (1, 2, 3)]
    together = threading.Barrier(3)
    with FakeApplication(*switches) as application:
        real = application.answer

        def answer(method: str, path: str, body: Any) -> Any:
            if method in ("PUT", "DELETE"):
                together.wait(20)
            return real(method, path, body)

        monkeypatch.setattr(application, "answer", answer)
        row = Layout()
        for switch in switches:
            fabric = {"url": application.url, "dpid": switch.dpid}
            row.switch(f"s{switch.dpid[-1]}", "site", "left", "right", fabric="openflow", fabric_settings=fabric)
        names = ["s1", "s2", "s3"]
        row.aggregator("net", names, {name: f"{name}:site" for name in names})
        for one, other in pairwise(names):
            row.trunk("net", f"{one}:right", f"{other}:left")
        with World(row, runtime=Runtime) as world:
            service = world.establish("net", *((name, 7, 10, 10) for name in names), active=True)
            assert all(len(switch.slices) == 1 for switch in switches)
            world.release(service)
            assert not any(switch.slices for switch in switches)


@pytest.mark.parametrize("policy", ["flag", "refuse"])
def test_a_switch_without_meters(policy: str) -> None:
    bare = FakeSwitch(DPID, meters=False)
    with FakeApplication(bare) as application, world_of(application, unenforced=policy) as world:
        fabric = world.network("s1").fabric  # type: ignore[attr-defined]
        eventually(lambda: Capability.METERING not in fabric.capabilities)
        if policy == "refuse":
            with pytest.raises(Refused, match="cannot enforce ingress and egress rates"):
                world.establish("s1", *AB)
            return
        service = world.establish("s1", *AB, active=True)
        assert [c.kind for c in service.conditions] == ["unenforced"]
        changes, puts = bare.changes, len([c for c in application.calls if c.startswith("PUT")])
        application.restart()
        eventually(lambda: not bare.unnamed)
        world.network("s1").contact.reconcile()  # type: ignore[attr-defined]
        world.until(lambda: world.network("s1").contact.ready)  # type: ignore[attr-defined]
        assert bare.changes == changes
        assert len([c for c in application.calls if c.startswith("PUT")]) == puts
