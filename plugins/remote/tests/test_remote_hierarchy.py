"""An aggregator over remote aggregators: what a service costs, changes, faults of one side and of the other."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

import dpb_framework.networks.aggregator
from dpb_framework.errors import DpbError
from dpb_framework.model import Change, Segment, Status
from dpb_framework.testing.world import CALLER

from .remote_regions import REGIONS, Regions
from .remote_worlds import PATIENCE, eventually


@pytest.fixture
def regions() -> Iterator[Regions]:
    with Regions() as found:
        yield found


def all_gone(regions: Regions) -> None:
    eventually(lambda: regions.leftovers() == [], regions.leftovers)


# -- what a service is and costs -------------------------------------------------------------------


def test_a_service_through_all_regions_carries_and_leaves_nothing(regions: Regions) -> None:
    service = regions.establish("a", "b", "c")
    assert regions.carries("a", 1) == {("b", 1), ("c", 1)}
    assert regions.carries("b", 1) == {("a", 1), ("c", 1)}
    service.deactivate(CALLER).result(PATIENCE)
    regions.reach(service, Status.INACTIVE)
    assert regions.carries("a", 1) == set()
    service.release(CALLER).result(PATIENCE)
    regions.reach(service, Status.RELEASED)
    assert regions.leftovers() == []


def test_each_command_costs_each_inferior_one_request(regions: Regions) -> None:
    """A define, too: nothing is asked beforehand, and nothing afterwards."""

    def asked() -> dict[str, list[tuple[str, str]]]:
        found = {}
        for region, proxy in regions.proxies.items():
            found[region] = [one for one in proxy.asked if "/mirror" not in one[1]]
            proxy.asked.clear()
        return found

    asked()
    root = "/api/v1/orders"
    for label in (1, 2, 3):
        service = regions.begin("a", "b", label=label)
        regions.reach(service, Status.INACTIVE)
        assert asked() == {"east": [("POST", root)], "west": [("POST", root)], "mid": []}
        for command, status in (
            ("activate", Status.ACTIVE),
            ("deactivate", Status.INACTIVE),
            ("release", Status.RELEASED),
        ):
            getattr(service, command)(CALLER).result(PATIENCE)
            regions.reach(service, status)
            found = asked()
            assert found.pop("mid") == []
            assert list(found.values()) == [[("POST", root)], [("POST", root)]]


def test_the_model_of_a_region_is_kept_current(regions: Regions) -> None:
    """By events: what a region's own clients take is seen above."""
    far = regions.servers["east"].world.network("net")
    far.create(CALLER, None, Segment.of(("u2", 7, 999_000, 999_000), ("t1", 7, 999_000, 999_000))).result(PATIENCE)

    def room() -> int:
        chords = [c for f in regions.near.network("east").model().fragments for c in f.chords or ()]
        return next(c.upstream for c in chords if {c.a, c.b} == {"t1", "t2"})

    eventually(lambda: room() == 1000)


# -- changes without interruption ------------------------------------------------------------------


def test_a_change_counts_the_larger_of_old_and_new_on_a_shared_trunk(regions: Regions) -> None:
    """60 of 100, then 80 of 100: the sum would not fit."""
    service = regions.establish("a", "b", rate=60)
    assert regions.trunks_of(service) == ["direct"]
    wider = Segment.of(("a", 1, 80, 80), ("b", 1, 80, 80))
    service.prepare(wider, CALLER).result(PATIENCE)
    assert regions.all.trunk("direct").upstream_left == 20
    assert regions.carries("a", 1) == {("b", 1)}
    service.commit(CALLER).result(PATIENCE)
    eventually(lambda: service.change is Change.NONE)
    assert wider.same_as(service.segment)
    assert regions.carries("a", 1) == {("b", 1)}
    for region in ("east", "west"):
        (held,) = regions.held(region)
        assert held.segment is not None
        assert {end.flow.ingress for end in held.segment.ends} == {80}
    service.prepare(Segment.of(("a", 1, 30, 30), ("b", 1, 30, 30), ("c", 1, 30, 30)), CALLER).result(PATIENCE)
    assert regions.all.trunk("direct").upstream_left == 20  # the larger one is still the old one
    service.abort(CALLER).result(PATIENCE)
    eventually(lambda: service.change is Change.NONE)
    assert wider.same_as(service.segment)
    eventually(lambda: regions.held("mid") == [])
    service.release(CALLER).result(PATIENCE)
    regions.reach(service, Status.RELEASED)
    assert regions.leftovers() == []


def test_a_change_that_a_region_refuses_leaves_the_old_one_untouched(regions: Regions) -> None:
    service = regions.establish("a", "b", rate=60)
    before = service.view()
    taken = Segment.of(("t1", 9, 10, 10), ("t2", 9, 10, 10))
    regions.servers["west"].world.network("net").create(CALLER, None, taken).result(PATIENCE)
    for refused, code in (
        (Segment.of(("a", 9, 60, 60), ("b", 9, 60, 60)), "circuit-taken"),  # west refuses
        (Segment.of(("a", 1, 120, 120), ("b", 1, 120, 120)), "no-capacity"),  # all refuses
    ):
        with pytest.raises(DpbError) as caught:
            service.prepare(refused, CALLER).result(PATIENCE)
        assert caught.value.code == code
        eventually(lambda: service.change is Change.NONE)
        assert (service.segment, service.status) == (before.segment, Status.ACTIVE)
        assert regions.carries("a", 1) == {("b", 1)}
        assert [len(regions.held(region)) for region in REGIONS] == [1, 2, 0]


@pytest.mark.parametrize("who", ["near", "east", "both"])
@pytest.mark.parametrize("decided", [False, True])
def test_a_crash_in_the_middle_of_a_change_resolves_right(regions: Regions, who: str, decided: bool) -> None:
    """Prepared and not decided: it is still prepared. Decided: it is carried out, whoever was away."""
    service = regions.establish("a", "b", rate=60)
    id_, wider = service.id, Segment.of(("a", 1, 80, 80), ("b", 1, 80, 80), ("c", 1, 80, 80))
    service.prepare(wider, CALLER).result(PATIENCE)
    if who != "near":
        regions.servers["east"].stop()
    if decided:
        service.commit(CALLER).result(PATIENCE)
    if who != "east":
        regions.near.die()
    if who != "near":
        regions.servers["east"].start()
    if who != "east":
        regions.near.start()
    regions.until_up()
    service = regions.network.service(id_)
    if not decided:
        eventually(lambda: service.change is Change.PREPARED and not service.conditions)
        assert regions.carries("a", 1) == {("b", 1)}
        service.commit(CALLER).result(PATIENCE)
    eventually(lambda: service.change is Change.NONE and not service.conditions, service.view)
    assert wider.same_as(service.segment)
    regions.reach(service, Status.ACTIVE)
    assert regions.carries("a", 1) == {("b", 1), ("c", 1)}
    assert regions.strangers() == []
    service.release(CALLER).result(PATIENCE)
    regions.reach(service, Status.RELEASED)
    all_gone(regions)


# -- inferiors that are slow, dead, or lie ----------------------------------------------------------


@pytest.mark.parametrize("fault", ["deaf", "silent", "refuse", "slow"])
def test_a_bad_inferior_delays_no_service_that_does_not_touch_it(fault: str) -> None:
    """A service that needs it hangs; those between the others are established, changed and released beside it."""
    with Regions(timeout=30, inferior_timeout=60) as regions:
        proxy = regions.proxies["mid"]
        if fault == "slow":
            proxy.delay = 10
        elif fault == "refuse":
            proxy.set(fault)
        else:
            proxy.calls = fault
        hanging = [regions.begin("a", "c", label=label, rate=1) for label in range(50, 55)]
        for label in range(1, 6):
            service = regions.establish("a", "b", label=label)
            assert all(one.status is Status.ESTABLISHING for one in hanging), "the others were waited for"
            service.release(CALLER).result(PATIENCE)
            regions.reach(service, Status.RELEASED)
        assert all(one.status is Status.ESTABLISHING for one in hanging)


def test_a_service_is_planned_around_a_dead_inferior(regions: Regions) -> None:
    full = regions.establish("a", "b", label=1, rate=100)  # the direct trunk is full
    service = regions.begin("a", "b", label=2)
    regions.reach(service, Status.INACTIVE)
    assert regions.trunks_of(service) == ["down", "up"]
    regions.proxies["mid"].set("refuse")
    eventually(lambda: [c.kind for c in service.conditions] == ["unconfirmed"])
    assert service.status is Status.INACTIVE
    full.release(CALLER).result(PATIENCE)
    regions.reach(full, Status.RELEASED)
    other = regions.establish("a", "b", label=3)
    assert regions.trunks_of(other) == ["direct"]
    regions.heal()
    eventually(lambda: service.conditions == ())


def test_a_region_that_forgets_is_put_right(regions: Regions) -> None:
    """By another store, while the superior's service is in use: it is made again there, and is never told as sure."""
    service = regions.establish("a", "b")
    regions.servers["west"].start_anew()
    eventually(lambda: bool(service.conditions))
    eventually(lambda: service.status is Status.ACTIVE and not service.conditions, service.view)
    assert regions.carries("a", 1) == {("b", 1)}
    assert regions.strangers() == []
    service.release(CALLER).result(PATIENCE)
    regions.reach(service, Status.RELEASED)
    all_gone(regions)


def test_the_superior_starts_while_regions_are_away_and_finds_everything_again(regions: Regions) -> None:
    service = regions.establish("a", "b")
    regions.near.die()
    for proxy in regions.proxies.values():
        proxy.set("refuse")
    regions.near.start()
    again = regions.network.service(service.id)
    eventually(lambda: len(again.conditions) >= 2)
    assert again.status is Status.ACTIVE
    for proxy in regions.proxies.values():
        proxy.asked.clear()
    regions.heal()
    eventually(lambda: again.status is Status.ACTIVE and not again.conditions, again.view)
    assert regions.carries("a", 1) == {("b", 1)}
    posts = [one for proxy in regions.proxies.values() for one in proxy.asked if one[0] == "POST"]
    assert posts == [], "what is right is not touched"


def test_a_request_that_arrives_when_nobody_waits_any_more_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes a service that no attempt knows; the superior finds it in its copy and releases it."""
    monkeypatch.setattr(dpb_framework.networks.aggregator, "SWEEP_IDLE", 0.5)
    with Regions(inferior_timeout=2) as regions:
        regions.proxies["west"].calls = "stuck"
        service = regions.begin("a", "b")
        regions.reach(service, Status.DORMANT)
        assert service.error is not None
        assert service.error.code == "unreachable"
        service.release(CALLER).result(PATIENCE)
        regions.proxies["west"].calls = "pass"
        regions.reach(service, Status.RELEASED)
        assert regions.leftovers() == []
        assert regions.proxies["west"].deliver_stuck() >= 1
        assert regions.held("west") != [], "it was made, for nobody"
        all_gone(regions)


# -- everything at once ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_lines_do_nothing_is_doubled_and_nothing_stays(seed: int) -> None:
    """Services come and go while lines lose answers, fall silent and end; then all is released."""
    dice = random.Random(seed)
    with Regions(inferior_timeout=3, capacity=1000) as regions:
        services = []
        for label in range(1, 16):
            proxy = regions.proxies[dice.choice(REGIONS)]
            fault = dice.choice(["pass", "lose", "cut", "silent", "deaf", "refuse"])
            if dice.random() < 0.5:
                proxy.calls = fault
            else:
                proxy.set(fault)
            ends = dice.choice([("a", "b"), ("a", "c"), ("a", "b", "c")])
            services.append(regions.begin(*ends, label=label, rate=1))
            if dice.random() < 0.6:
                services[-1].activate(CALLER).result(PATIENCE)
            if dice.random() < 0.4:
                dice.choice(services).release(CALLER).result(PATIENCE)
            if dice.random() < 0.5:
                regions.proxies[dice.choice(REGIONS)].set("pass")
        regions.heal()
        eventually(
            lambda: all(
                s.status in (Status.DORMANT, Status.INACTIVE, Status.ACTIVE, Status.RELEASED) for s in services
            ),
            lambda: [s.view() for s in services],
        )
        eventually(lambda: regions.strangers() == [], regions.strangers)
        for service in regions.network.services():
            if service.status is Status.ACTIVE and not service.conditions:
                assert service.segment is not None
                entry = service.segment.ends[0].circuit
                others = {(e.circuit.terminal, e.circuit.label) for e in service.segment.ends[1:]}
                assert regions.carries(entry.terminal, entry.label or 0) == others
        for service in regions.network.services():
            service.release(CALLER).result(PATIENCE)
        all_gone(regions)
