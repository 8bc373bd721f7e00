"""Commands to a remote network while answers are lost, late, cut or never come: none is doubled, each ends."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dpb_framework import plugins
from dpb_framework.contracts import Service, Store
from dpb_framework.errors import DpbError, ServiceUnknown, Unreachable
from dpb_framework.model import SYSTEM, Change, Segment, Status
from dpb_framework.reply import Reply
from dpb_framework.testing.layout import one_switch

from .remote_proxy import FAULTS, Proxy
from .remote_worlds import PATIENCE, Far, Pair, eventually

AB = Segment.of(("a", 1, 10, 10), ("b", 1, 10, 10))
WIDER = Segment.of(("a", 1, 20, 20), ("b", 1, 20, 20), ("c", 1, 20, 20))


class Between(Pair):
    """A pair with a proxy between the two."""

    def __init__(self, store: Store | None = None, **settings: Any) -> None:
        self.server = Far(one_switch(), store=store)
        self.proxy = Proxy(self.server.port)
        super().__init__(
            self.server.layout,
            "s1",
            server=self.server,
            url=self.proxy.url,
            **{"timeout": 1, "keep-alive": 0.6, **settings},
        )

    def close(self) -> None:
        super().close()
        self.proxy.close()

    def heal(self) -> None:
        self.proxy.set("pass")
        self.proxy.drop()
        self.until_up()

    def insist(self, command: Callable[[], Reply[Any]]) -> Any:
        """Give a command until it is answered, as a superior does."""
        answered: list[Any] = []

        def holds() -> bool:
            try:
                answered.append(command().result(PATIENCE))
            except Unreachable:
                return False
            return True

        eventually(holds)
        return answered[0]

    def there(self) -> list[Service]:
        """What the far network really has."""
        return list(self.far.network("s1").services())

    def agrees(self) -> bool:
        """Whether the copy is what the network is."""
        told = [(s.id, s.status, s.desired, s.change, s.segment, s.conditions) for s in self.network.services()]
        return told == [(s.id, s.status, s.desired, s.change, s.segment, s.conditions) for s in self.there()]


@pytest.fixture
def between() -> Iterator[Between]:
    with Between() as found:
        yield found


def reach(service: Service, status: Status) -> None:
    eventually(lambda: service.status is status, lambda: service.view())


def unknown(reply: Reply[Any]) -> None:
    with pytest.raises(Unreachable) as caught:
        reply.result(PATIENCE)
    assert "\n" not in str(caught.value)


# -- each command under each fault ----------------------------------------------------------------


def made(between: Between, status: Status) -> Service:
    service: Service = between.insist(
        lambda: between.network.create(SYSTEM, "h", None if status is Status.DORMANT else AB)
    )
    if status is Status.ACTIVE:
        between.insist(lambda: service.activate(SYSTEM))
    reach(service, status)
    return service


@pytest.mark.parametrize("fault", FAULTS)
def test_a_create_ends_and_is_not_doubled(between: Between, fault: str) -> None:
    between.proxy.set(fault)
    unknown(between.network.create(SYSTEM, "h", AB))
    between.heal()
    for _ in range(2):
        service = between.insist(lambda: between.network.create(SYSTEM, "h", AB))
    reach(service, Status.INACTIVE)
    assert [(s.id, s.handle) for s in between.there()] == [(service.id, "h")]
    assert between.insist(lambda: between.network.find("h")) is service
    eventually(between.agrees)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("command", "before", "after"),
    [
        ("define", Status.DORMANT, Status.INACTIVE),
        ("activate", Status.INACTIVE, Status.ACTIVE),
        ("deactivate", Status.ACTIVE, Status.INACTIVE),
        ("reset", Status.ACTIVE, Status.DORMANT),
        ("release", Status.ACTIVE, Status.RELEASED),
    ],
)
def test_a_command_ends_and_takes_effect_once(
    between: Between, fault: str, command: str, before: Status, after: Status
) -> None:
    service = made(between, before)
    args = (AB, SYSTEM) if command == "define" else (SYSTEM,)
    between.proxy.set(fault)
    unknown(getattr(service, command)(*args))
    between.heal()
    between.insist(lambda: getattr(service, command)(*args))
    reach(service, after)
    eventually(between.agrees)
    assert len(between.there()) == (0 if after is Status.RELEASED else 1)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", ["prepare", "commit", "abort"])
def test_a_change_ends_and_takes_effect_once(between: Between, fault: str, command: str) -> None:
    service = made(between, Status.ACTIVE)
    if command != "prepare":
        between.insist(lambda: service.prepare(WIDER, SYSTEM))
    args = (WIDER, SYSTEM) if command == "prepare" else (SYSTEM,)
    between.proxy.set(fault)
    unknown(getattr(service, command)(*args))
    between.heal()
    between.insist(lambda: getattr(service, command)(*args))
    if command == "prepare":
        assert service.change is Change.PREPARED
        assert AB.same_as(service.segment)
        between.insist(lambda: service.commit(SYSTEM))
    eventually(lambda: service.change is Change.NONE)
    assert (AB if command == "abort" else WIDER).same_as(service.segment)
    assert service.status is Status.ACTIVE
    eventually(between.agrees)


def test_a_lost_answer_alone_is_asked_for_again_at_once(between: Between) -> None:
    """Contact is not lost, only one connection: what may be repeated is, and nobody hears of it."""
    between.insist(lambda: between.network.create(SYSTEM, "first", AB))
    between.proxy.drop()
    between.until_up()
    service = between.insist(lambda: between.network.create(SYSTEM, "h", Segment.of(("a", 2, 1, 1), ("b", 2, 1, 1))))
    reach(service, Status.INACTIVE)
    assert len(between.there()) == 2


def test_what_was_lost_is_looked_for_at_the_other_broker(between: Between) -> None:
    """The stream lives, the answers do not: a handle whose fate is unknown is asked for."""
    between.proxy.calls = "lose"
    unknown(between.network.create(SYSTEM, "h", AB))
    between.proxy.calls = "deaf"
    unknown(between.network.create(SYSTEM, "i", AB))
    between.proxy.calls = "pass"
    found = between.insist(lambda: between.network.find("h"))
    assert found is not None
    assert found.id == between.there()[0].id
    assert between.insist(lambda: between.network.find("i")) is None


def test_a_late_answer_is_as_good(between: Between) -> None:
    between.proxy.delay = 0.1
    made(between, Status.ACTIVE)
    eventually(between.agrees)


# -- contact ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["refuse", "silent"])
def test_services_are_unconfirmed_while_contact_is_lost(between: Between, fault: str) -> None:
    active = made(between, Status.ACTIVE)
    gone: Service = between.insist(lambda: between.network.create(SYSTEM, "gone"))
    seen: list[tuple[Status, bool]] = []
    active.watch(lambda s: seen.append((s.status, bool(s.conditions))))
    between.proxy.set(fault)
    eventually(lambda: [c.kind for c in active.conditions] == ["unconfirmed"])
    assert active.status is Status.ACTIVE
    assert between.network.health()["contact"] == "lost"
    assert between.network.health()["unconfirmed"] == 2
    assert between.near.broker.health()["status"] == "degraded"
    unknown(active.deactivate(SYSTEM))
    unknown(between.network.find("h"))
    far = between.far.network("s1")
    far.service(active.id).deactivate(SYSTEM).result(PATIENCE)
    far.service(gone.id).release(SYSTEM).result(PATIENCE)
    reach(far.service(active.id), Status.INACTIVE)
    between.heal()
    assert active.status is Status.INACTIVE
    assert gone.status is Status.RELEASED
    assert (Status.ACTIVE, True) in seen
    back = next(i for i, (_, unconfirmed) in enumerate(seen) if unconfirmed)
    assert (Status.ACTIVE, False) not in seen[back:], "what the other side no longer says is never told as sure"


def test_events_that_were_missed_are_told_in_order(between: Between) -> None:
    heard: list[int] = []
    service = made(between, Status.INACTIVE)
    between.network.watch(lambda event: heard.append(event.number) if event.number else None)
    first = between.network.last_event
    between.proxy.set("refuse")
    eventually(lambda: between.network.health()["contact"] == "lost")
    far = between.far.network("s1")
    far.service(service.id).activate(SYSTEM).result(PATIENCE)
    reach(far.service(service.id), Status.ACTIVE)
    between.heal()
    eventually(lambda: between.network.last_event == far.last_event)
    assert heard == list(range(first + 1, far.last_event + 1))
    assert [e.number for e in between.network.events(first) or ()] == heard


def test_a_network_that_forgets_is_noticed_when_everything_is_compared() -> None:
    with Between(**{"audit-interval": 0.3}) as between:
        service = made(between, Status.ACTIVE)
        far: Any = between.far.network("s1")
        far.forget(far.service(service.id))  # it accepted, and then it lies
        eventually(lambda: service.status is Status.RELEASED)
        assert between.network.services() == []
        assert between.network.health()["contact"] == "up"


def test_a_command_on_what_was_forgotten_tells_so(between: Between) -> None:
    service = made(between, Status.INACTIVE)
    far: Any = between.far.network("s1")
    far.forget(far.service(service.id))
    with pytest.raises(DpbError) as caught:
        between.insist(lambda: service.activate(SYSTEM))
    assert caught.value.code == "service-gone"
    assert service.status is Status.RELEASED
    service.release(SYSTEM).result(PATIENCE)


# -- restarts --------------------------------------------------------------------------------------


def test_the_other_broker_is_restarted(between: Between) -> None:
    service = made(between, Status.ACTIVE)
    between.server.stop()
    eventually(lambda: bool(service.conditions))
    between.server.start()
    between.until_up()
    eventually(lambda: service.status is Status.ACTIVE and not service.conditions)
    assert between.network.services() == [service]
    between.insist(lambda: service.release(SYSTEM))
    reach(service, Status.RELEASED)


def test_another_store_is_another_network_though_its_ids_are_the_same(between: Between) -> None:
    service = made(between, Status.ACTIVE)
    between.server.start_anew()
    eventually(lambda: service.status is Status.RELEASED)
    between.until_up()
    again = between.insist(lambda: between.network.create(SYSTEM, "other", AB))
    assert again.id == service.id
    assert again is not service
    reach(again, Status.INACTIVE)
    assert service.status is Status.RELEASED
    service.release(SYSTEM).result(PATIENCE)  # of the one that is gone
    assert again.status is Status.INACTIVE
    with pytest.raises(ServiceUnknown):
        between.network.service(99)


def test_an_older_copy_of_the_store_whose_ids_are_used_again(tmp_path: Path) -> None:
    """While nobody looks the other broker is set back, and gives an id to somebody else's service."""
    file = tmp_path / "dpb.sqlite"
    store = plugins.make(plugins.STORES, "sql", Store, {"url": f"sqlite:///{file}"}, "$.store")
    with Between(store=store) as between:
        stays = made(between, Status.ACTIVE)
        between.server.stop()
        shutil.copy(file, tmp_path / "older")
        between.server.start()
        between.until_up()
        lost = between.insist(
            lambda: between.network.create(SYSTEM, "lost", Segment.of(("a", 2, 1, 1), ("b", 2, 1, 1)))
        )
        reach(lost, Status.INACTIVE)
        between.proxy.set("refuse")
        between.server.stop()
        for old in tmp_path.glob("dpb.sqlite*"):
            old.unlink()
        shutil.copy(tmp_path / "older", file)
        between.server.start()
        theirs = between.far.network("s1").create(SYSTEM, "theirs").result(PATIENCE)
        assert theirs.id == lost.id
        between.heal()
        assert lost.status is Status.RELEASED
        assert stays.status is Status.ACTIVE
        assert [(s.id, s.handle) for s in between.network.services()] == [(stays.id, "h"), (theirs.id, "theirs")]
        lost.release(SYSTEM).result(PATIENCE)
        eventually(between.agrees)
        assert len(between.there()) == 2


def test_the_near_broker_is_started_while_the_other_one_is_away(between: Between) -> None:
    service = made(between, Status.ACTIVE)
    between.near.stop()
    between.proxy.set("refuse")
    between.near.start()
    eventually(lambda: between.network.health()["contact"] == "lost")
    with pytest.raises(Unreachable):
        between.network.service(service.id)
    between.heal()
    assert [(s.id, s.handle, s.status) for s in between.network.services()] == [(service.id, "h", Status.ACTIVE)]
    found = between.insist(lambda: between.network.find("h"))
    assert found is not None
    assert found.id == service.id
