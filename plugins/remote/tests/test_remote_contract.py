"""A remote network keeps the contract Network, over a switch and over an aggregator of another broker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import dpb_nbi.caller
import pytest
from attrs import evolve
from dpb_nbi.access import Identity
from dpb_nbi.access.roles import ALL

from dpb_framework.contracts import Network
from dpb_framework.model import Constraints, Segment, Status
from dpb_framework.testing.layout import Layout, one_switch, triangle
from dpb_framework.testing.network import CALLER, NetworkContract

from .remote_worlds import Pair, eventually


class _Far(NetworkContract):
    name = ""

    def layout(self) -> Layout:
        raise NotImplementedError

    @pytest.fixture
    def pair(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
        # The owner is whoever the credentials say; without access control that is nobody in particular.
        monkeypatch.setattr(dpb_nbi.caller, "EVERYBODY", Identity(CALLER.name, ALL))
        with Pair(self.layout(), self.name) as pair:
            yield pair

    @pytest.fixture
    def network(self, pair: Pair) -> Network:
        return pair.network

    @pytest.fixture
    def carries(self, pair: Pair) -> Callable[[str, int], Collection[tuple[str, int]]] | None:
        return lambda terminal, label: pair.far.carries(self.name, terminal, label)

    @pytest.fixture
    def restart(self, pair: Pair) -> Callable[[], Network]:
        def again() -> Network:
            pair.restart()
            return pair.network

        return again


class TestRemoteSwitch(_Far):
    name = "s1"

    def layout(self) -> Layout:
        return one_switch()

    @pytest.fixture
    def terminals(self) -> Sequence[str]:
        return ["a", "b", "c", "d"]


class TestRemoteAggregator(_Far):
    name = "net"

    def layout(self) -> Layout:
        return triangle()

    @pytest.fixture
    def terminals(self) -> Sequence[str]:
        return ["t1", "t2", "t3"]


def test_constraints_reach_the_far_side_and_come_back() -> None:
    """They are the far network's to keep; here they are told as they are there."""
    with Pair(triangle(), "net") as pair:
        ends = Segment.of(("t1", 1, 10, 10), ("t2", 1, 10, 10))
        asked = evolve(ends, constraints=Constraints(avoid_trunks=["s1-s2"], max_delay=2500))
        service = pair.network.create(CALLER, "mine", asked).result(20)
        eventually(lambda: service.status is Status.INACTIVE)
        assert service.segment == asked
        assert {tunnel.trunk for tunnel in pair.far.aggregator("net").tree(service.id)} == {"s2-s3", "s3-s1"}
        service.prepare(ends, CALLER).result(20)
        service.commit(CALLER).result(20)
        eventually(lambda: service.segment == ends)
