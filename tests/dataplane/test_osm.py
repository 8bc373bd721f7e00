"""OSM's life cycle through its connector, over a real broker and real switches: frames tell what is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from dpb_lab.broker import PORT
from dpb_lab.inside.frames import frame, payload
from dpb_lab.process import until
from dpb_lab.testing import marks
from dpb_osm import DpbConnector
from dpb_osm.base import ConnectorError

from .kinds import SOAK
from .sites import At, Sites

pytestmark = marks()

T = TypeVar("T")

ENDS = {
    f"vim{i}": At(site, port, 90)
    for i, (site, port) in enumerate((("site1", 4), ("site2", 4), ("site3", 4), ("site2", 5)))
}
STREAM = 7


class Osm:
    """RO with our connector: what it asks is asked from inside the lab's namespace."""

    def __init__(self, sites: Sites, mbps: float = 10, **config: Any) -> None:
        self._sites = sites
        mapping = [
            {
                "service_endpoint_id": name,
                "service_mapping_info": {"terminal": f"{at.site}-{at.port}", "bandwidth": mbps},
            }
            for name, at in ENDS.items()
        ]
        wim = {"wim_url": f"http://127.0.0.1:{PORT}", "user": None, "password": None}
        self._connector = DpbConnector(wim, wim, {"network": "wan", "wim_port_mapping": mapping, **config})

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._connector, f"{name}_connectivity_service")

        def inside(*args: Any, **named: Any) -> Any:
            with self._sites.lab.inside():
                return call(*args, **named)

        return inside

    def status(self, uuid: str, info: Any) -> str:
        with self._sites.lab.inside():
            return str(self._connector.get_connectivity_service_status(uuid, info)["sdn_status"])


def point(name: str, vlan: int | None = 90) -> dict[str, Any]:
    return {
        "service_endpoint_id": name,
        "service_endpoint_encapsulation_type": "dot1q",
        "service_endpoint_encapsulation_info": {"vlan": vlan},
    }


def points(*numbers: int) -> list[dict[str, Any]]:
    return [point(f"vim{number}") for number in numbers]


@pytest.fixture
def ends(sites: Sites) -> Sites:
    sites.there(*ENDS.values())
    return sites


def test_ends_come_and_go_while_those_that_stay_lose_nothing(ends: Sites) -> None:
    osm = Osm(ends)
    uuid, info = osm.create("ELAN", points(0, 1, 2))
    assert osm.status(uuid, info) == "ACTIVE"
    sender, receiver = ends.probe("site1", 4), ends.probe("site2", 4)
    capture = receiver.capture()
    stream = sender.stream(frame(sender.mac, receiver.mac, payload(STREAM), tags=(90,)), rate=100)

    def flow() -> None:
        """Return once 40 frames more have come."""
        before = len(capture.frames())
        until(lambda: len(capture.frames()) >= before + 40, "the stream has stopped")

    flow()
    for numbers in ((0, 1, 2, 3), (0, 1), (0, 1, 2)):
        info = osm.edit(uuid, info, points(*numbers))
        assert osm.status(uuid, info) == "ACTIVE"
        flow()
    sent = stream.end().sent
    until(lambda: capture.frames()[-1].number == sent - 1, "the last frame has not come")
    assert len(capture.end().numbers(STREAM)) == sent
    osm.delete(uuid, info)
    with pytest.raises(ConnectorError) as caught:
        osm.status(uuid, info)
    assert caught.value.http_code == 404
    ends.nothing_is_left()


@pytest.mark.parametrize(
    "asked",
    [points(0, 1, 7), [point("vim0"), point("vim1", 5000)], [point("vim0"), point("vim0")]],
    ids=["terminal unknown", "label not offered", "a circuit twice"],
)
def test_a_create_that_is_refused_leaves_nothing(ends: Sites, asked: Any) -> None:
    with pytest.raises(ConnectorError) as caught:
        Osm(ends).create("ELAN", asked)
    assert caught.value.http_code == 422
    ends.nothing_is_left()


def test_a_taken_label_and_want_of_capacity_leave_nothing(ends: Sites) -> None:
    osm = Osm(ends)
    uuid, info = osm.create("ELINE", points(0, 1))
    for asking, numbers in ((osm, (0, 2)), (Osm(ends, mbps=100_000), (2, 3))):
        with pytest.raises(ConnectorError) as caught:
            asking.create("ELINE", points(*numbers))
        assert caught.value.http_code == 409
    with pytest.raises(ConnectorError) as caught:
        Osm(ends, mbps=100_000).edit(uuid, info, points(0, 2))
    assert caught.value.http_code == 409
    assert osm.status(uuid, info) == "ACTIVE"
    assert len(ends.broker.services()) == 1
    osm.delete(uuid, info)
    ends.nothing_is_left()


def in_background(call: Callable[[], T]) -> tuple[threading.Event, Callable[[], T]]:
    begun = threading.Event()
    pool = ThreadPoolExecutor(1)

    def run() -> T:
        begun.set()
        return call()

    future = pool.submit(run)

    def result() -> T:
        try:
            return future.result(60)
        finally:
            pool.shutdown()

    return begun, result


def test_the_broker_is_killed_in_the_middle(ends: Sites) -> None:
    """Whether RO gets its service or an error: what it was told holds, and there is nothing else."""
    osm = Osm(ends, patience=30)
    for _ in range(20 if SOAK else 3):
        begun, result = in_background(lambda: osm.create("ELAN", points(0, 1, 2)))
        begun.wait()
        ends.broker.restart()
        uuid, info = result()
        until(lambda: osm.status(uuid, info) == "ACTIVE", "the service is not ACTIVE")  # noqa: B023
        assert len(ends.broker.services()) == 1
        begun, edited = in_background(lambda: osm.edit(uuid, info, points(0, 1)))  # noqa: B023
        begun.wait()
        ends.broker.restart()
        info = edited()
        until(lambda: osm.status(uuid, info) == "ACTIVE", "the service is not ACTIVE")  # noqa: B023
        begun, deleted = in_background(lambda: osm.delete(uuid, info))  # noqa: B023
        begun.wait()
        ends.broker.restart()
        deleted()
        ends.nothing_is_left()
