"""A remote network keeps the contract Network, over a switch and over an aggregator of another broker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import dpb_nbi.caller
import dpb_nbi.first
import dpb_nbi.services
import pytest

from dpb_framework.contracts import Network
from dpb_framework.testing.layout import Layout, one_switch, triangle
from dpb_framework.testing.network import CALLER, NetworkContract

from .remote_worlds import Pair


class _Far(NetworkContract):
    name = ""

    def layout(self) -> Layout:
        raise NotImplementedError

    @pytest.fixture
    def pair(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
        # The owner is whoever the credentials say; without access control that is nobody in particular.
        monkeypatch.setattr(dpb_nbi.services, "identify", lambda request: CALLER)
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
