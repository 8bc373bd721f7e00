"""A store that cannot keep something: nothing is taken, nothing is lost, the service goes on being usable."""

from __future__ import annotations

import pytest
from attrs import evolve

from dpb_framework.contracts import Service
from dpb_framework.errors import CommitFailed
from dpb_framework.model import Change, Segment, Status, Terminal
from dpb_framework.testing.world import CALLER, World, line

ENDS = (("t1", 1, 10, 10), ("t2", 1, 10, 10))
MORE = (("t1", 1, 30, 30), ("t2", 1, 30, 30), ("u2", 1, 30, 30))
STEPS = pytest.mark.parametrize("steps", [False, True])
NETWORKS = pytest.mark.parametrize("network", ["s1", "net"])


def ends(network: str, label: int = 1, rate: int = 10) -> tuple[tuple[str, int, int, int], ...]:
    names = ("t", "u") if network == "s1" else ("t1", "t2")
    return tuple((name, label, rate, rate) for name in names)


@STEPS
@NETWORKS
def test_a_create_that_is_not_kept_never_was(network: str, steps: bool) -> None:
    with World(line(2), steps=steps) as world:
        world.store.fail_next()
        with pytest.raises(CommitFailed):
            world.ask(world.network(network).create(CALLER, "mine", Segment.of(*ends(network))))
        assert world.ask(world.network(network).find("mine")) is None
        assert world.leftovers() == []
        service = world.establish(network, *ends(network), handle="mine", active=True)
        world.release(service)
        assert world.leftovers() == []


@STEPS
@NETWORKS
@pytest.mark.parametrize(
    "command", ["define", "activate", "deactivate", "reset", "release", "prepare", "commit", "abort"]
)
def test_a_command_that_is_not_kept_changes_nothing(network: str, command: str, steps: bool) -> None:
    with World(line(2), steps=steps) as world:
        service = world.create(network)
        segment, other = Segment.of(*ends(network)), Segment.of(*ends(network, rate=20))
        if command != "define":
            world.ask(service.define(segment, CALLER))
            world.reach(service, Status.INACTIVE)
        if command in ("deactivate", "reset", "release", "prepare", "commit", "abort"):
            world.activate(service)
        if command in ("commit", "abort"):
            world.ask(service.prepare(other, CALLER))
            world.rest()
        before, stored = service.view(), world.store.load().tables
        arguments = {"define": (segment,), "prepare": (other,)}.get(command, ())

        def give() -> object:
            return world.ask(getattr(service, command)(*arguments, CALLER))

        world.store.fail_next()
        with pytest.raises(CommitFailed):
            give()
        world.rest()
        assert service.view() == before
        assert world.store.load().tables == stored
        assert world.carries(network, ends(network)[0][0], 1) == (
            {(ends(network)[1][0], 1)} if before.status is Status.ACTIVE else set()
        )
        give()
        if command in ("prepare", "commit", "abort"):
            wanted = Change.PREPARED if command == "prepare" else Change.NONE
            world.until(lambda: service.change is wanted)
        world.rest()
        world.restart(die=True)
        if command != "release":
            world.release(world.find(service))
        assert world.leftovers() == []


@STEPS
@pytest.mark.parametrize("command", ["define", "reset", "release", "prepare", "commit", "abort"])
@pytest.mark.parametrize("which", range(1, 9))
def test_any_commit_of_a_command_may_fail(command: str, which: int, steps: bool) -> None:
    """The commits of networks beneath, and those that come behind: all is well when the store works again."""
    with World(line(2), steps=steps) as world:
        service = world.create("net")
        if command != "define":
            world.ask(service.define(Segment.of(*ENDS), CALLER))
            world.reach(service, Status.INACTIVE)
            world.activate(service)
        if command in ("commit", "abort"):
            world.ask(service.prepare(Segment.of(*MORE), CALLER))
            world.rest()
        count = 0

        def fails(_: object) -> bool:
            nonlocal count
            count += 1
            return count == which

        world.store.fail(fails)
        arguments = {"define": (Segment.of(*ENDS),), "prepare": (Segment.of(*MORE),)}.get(command, ())
        reply = getattr(service, command)(*arguments, CALLER)
        try:
            world.ask(reply)
        except CommitFailed:
            assert which == 1 or command in ("prepare",)
        world.pass_time(60)
        world.store.fail(False)
        settled(world, service)
        world.restart(die=True)
        for found in world.network("net").services():
            settled(world, found)
            assert found.error is None or command == "define"
            world.release(found)
        assert world.leftovers() == []


def settled(world: World, service: Service) -> None:
    view = service.view()
    wanted = {"DORMANT": "DORMANT", "INACTIVE": "INACTIVE", "ACTIVE": "ACTIVE", "RELEASED": "RELEASED"}
    assert view.status.value == wanted[view.desired.value], view
    assert view.change in (Change.NONE, Change.PREPARED), view
    if view.status is Status.ACTIVE:
        assert view.segment is not None
        circuits = {(e.circuit.terminal, e.circuit.label) for e in view.segment.ends}
        for terminal, label in circuits:
            assert world.carries("net", terminal, label or 0) == circuits - {(terminal, label)}


def test_an_inferiors_failure_is_noticed_after_a_decision_was_not_kept() -> None:
    """The part that a change shares goes on being watched when commit fails and the change is aborted."""
    with World(line(2, on_port_down="fail")) as world:
        service = world.establish("net", *ENDS, active=True)
        world.ask(service.prepare(Segment.of(*MORE), CALLER))
        world.store.fail_next()
        with pytest.raises(CommitFailed):
            world.ask(service.commit(CALLER))
        world.ask(service.abort(CALLER))
        world.until(lambda: service.change is Change.NONE)
        world.device("s1").port_down("1")
        world.rest()
        assert service.status is Status.FAILED


@NETWORKS
def test_topology_that_is_not_kept_never_was(network: str) -> None:
    with World(line(2)) as world:
        management = world.switch(network)
        terminals = management.list_terminals()
        place = "s1:free" if network == "net" else "99"
        world.ask(world.switch("s1").put_terminal(Terminal("free", "98"), CALLER))
        terminals = management.list_terminals()
        world.store.fail()
        with pytest.raises(CommitFailed):
            world.ask(management.put_terminal(Terminal("new", place), CALLER))
        with pytest.raises(CommitFailed):
            world.ask(management.put_terminal(evolve(terminals[0], ingress_quota=5), CALLER))
        with pytest.raises(CommitFailed):
            world.ask(management.remove_terminal(terminals[0].name, CALLER))
        assert management.list_terminals() == terminals
        world.store.fail(False)
        world.ask(management.put_terminal(Terminal("new", place), CALLER, new=True))
        service = world.establish(network, *ends(network, rate=100), active=True)
        assert world.carries(network, ends(network)[0][0], 1) == {(ends(network)[1][0], 1)}
        world.release(service)


def test_trunks_that_are_not_kept_never_were() -> None:
    with World(line(2)) as world:
        management = world.aggregator("net")
        trunk = management.trunk("s1-s2").trunk
        for switch in ("s1", "s2"):
            world.ask(world.switch(switch).put_terminal(Terminal("p", "98"), CALLER))
        world.store.fail()
        for make in (
            lambda: management.put_trunk(evolve(trunk, upstream=1, labels=()), CALLER),
            lambda: management.put_trunk(evolve(trunk, name="new", start=("s1", "p"), end=("s2", "p")), CALLER),
            lambda: management.remove_trunk("s1-s2", CALLER),
        ):
            with pytest.raises(CommitFailed):
                world.ask(make())
        world.store.fail(False)
        assert [use.trunk for use in management.trunks()] == [trunk]
        world.establish("net", *ENDS, active=True)
        assert world.carries("net", "t1", 1) == {("t2", 1)}


@STEPS
def test_events_go_on_without_a_gap_after_one_was_not_kept(steps: bool) -> None:
    with World(line(2), steps=steps) as world:
        network = world.network("net")
        heard: list[int] = []
        network.watch(lambda event: heard.append(event.number) if event.number else None)
        first = network.last_event
        service = world.establish("net", *ENDS)
        world.store.fail_next()
        with pytest.raises(CommitFailed):
            world.ask(service.activate(CALLER))
        world.activate(service)
        world.rest()
        assert heard == list(range(first + 1, network.last_event + 1))
        for after in range(network.last_event + 1):
            found = network.events(after)
            assert found is not None
            assert [event.number for event in found] == list(range(after + 1, network.last_event + 1))


@NETWORKS
def test_who_waits_is_told_no_status_that_may_still_turn_out_never_to_have_been(network: str) -> None:
    with World(line(2), steps=True) as world:
        service = world.establish(network, *ends(network))
        world.store.fail_next()
        activated = service.activate(CALLER)
        told = service.wait({Status.ACTIVE}, 0)
        with pytest.raises(CommitFailed):
            world.ask(activated)
        assert world.ask(told) is Status.INACTIVE


@NETWORKS
def test_what_was_seen_and_cannot_be_stored_is_logged(network: str, caplog: pytest.LogCaptureFixture) -> None:
    with World(line(2)) as world:
        service = world.establish(network, *ends(network))
        world.store.fail(lambda batch: batch.lazy)
        world.activate(service)
        world.store.fail(False)
        assert f"{network}: what was seen could not be stored: " in caplog.text


@NETWORKS
def test_a_store_that_raises_is_a_commit_that_failed(
    network: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def slip(*_: object) -> None:
        raise KeyError("bug")

    with World(line(2)) as world:
        monkeypatch.setattr(world.store, "submit", slip)
        with pytest.raises(CommitFailed, match="internal fault: KeyError: 'bug'"):
            world.ask(world.network(network).create(CALLER, None, Segment.of(*ends(network))))
        assert f"{network}: a fault within the store\nTraceback" in caplog.text
        monkeypatch.undo()
        world.release(world.establish(network, *ends(network)))
        assert world.leftovers() == []
