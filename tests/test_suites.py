"""The conformance suites find what they are for: plugins that break a clause each, held to the test of that clause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import islice

import pytest
from attrs import evolve

from dpb_framework.contracts import Bridge, Capability, Channel
from dpb_framework.contracts.algorithm import Algorithm, Demand, NoTree, Outcome, Planner, Residual, Topology, Tree
from dpb_framework.contracts.store import Batch, Item
from dpb_framework.emulated import EmulatedFabric
from dpb_framework.errors import FabricRefused
from dpb_framework.memory import MemoryStore
from dpb_framework.reply import Reply
from dpb_framework.testing import algorithm as suite
from dpb_framework.testing.algorithm import AlgorithmContract, Endless
from dpb_framework.testing.enumeration import trees_that_fit, trees_that_join
from dpb_framework.testing.fabric import FabricContract
from dpb_framework.testing.instances import Instance
from dpb_framework.testing.store import StoreContract

CHANNELS = [Channel(str(1 + number % 4), 100 + number // 4) for number in range(16)]


def complains(test: Callable[..., object], *fixtures: object) -> None:
    """A test of a suite fails; to be skipped is not to fail."""
    with pytest.raises((AssertionError, pytest.fail.Exception, pytest.skip.Exception)) as caught:
        test(*fixtures)
    assert not caught.errisinstance(pytest.skip.Exception), f"skipped: {caught.value}"


# -- fabrics ------------------------------------------------------------------------------------


class Yielding(EmulatedFabric):
    """Says yes to whatever is asked."""

    def ensure(self, bridge: Bridge) -> None:
        with suppress(FabricRefused):
            super().ensure(bridge)


class Listing(EmulatedFabric):
    def __init__(self) -> None:
        super().__init__()
        self.capabilities = list(Capability)  # type: ignore[assignment,misc]  # what is wrong with it


def started(fabric: EmulatedFabric) -> EmulatedFabric:
    fabric.start()
    return fabric


@pytest.mark.parametrize(
    "test",
    [
        FabricContract.test_f2_f5_a_channel_of_another_bridge_is_refused,
        FabricContract.test_f13_each_of_several_bridges_stands_or_falls_alone,
    ],
)
def test_f5_a_fabric_that_takes_a_channel_of_another_bridge(test: Callable[..., None]) -> None:
    test(FabricContract(), started(EmulatedFabric()), "suite/", CHANNELS)
    complains(test, FabricContract(), started(Yielding()), "suite/", CHANNELS)


def test_f1_capabilities_that_are_a_list() -> None:
    FabricContract().test_f1_has_the_signatures_of_the_contract(EmulatedFabric())
    complains(FabricContract().test_f1_has_the_signatures_of_the_contract, Listing())


# -- stores -------------------------------------------------------------------------------------


class Mixing(MemoryStore):
    """Tells all items, whatever their namespace."""

    def items(self, namespace: str) -> Mapping[str, Item]:
        return {item.name: item for item in self._tables[Item].values()}


class Raising(MemoryStore):
    """Raises what its replies should tell."""

    def submit(self, batch: Batch) -> Reply[None]:
        reply = super().submit(batch)
        if reply.error is not None:
            raise reply.error
        return reply


def opened(store: MemoryStore) -> MemoryStore:
    store.open()
    return store


def test_s11_a_store_that_mixes_namespaces() -> None:
    StoreContract().test_items_are_those_of_their_namespace(opened(MemoryStore()))
    complains(StoreContract().test_items_are_those_of_their_namespace, opened(Mixing()))


def test_s7_a_store_that_raises_what_the_reply_should_tell() -> None:
    raising = Raising()
    complains(StoreContract().test_a_closed_store_takes_nothing_more, lambda: raising)
    complains(StoreContract().test_a_record_without_its_owner_is_refused_with_its_batch, opened(Raising()))
    complains(StoreContract().test_an_expectation_is_held_against_the_batches_before, opened(Raising()))


# -- algorithms ---------------------------------------------------------------------------------


Plan = Callable[[Instance], Outcome]


class Made(Algorithm):
    """An algorithm made of one function."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def planner(self, topology: Topology) -> Planner:
        return _Planner(topology, self._plan)


class _Planner(Planner):
    def __init__(self, topology: Topology, plan: Plan) -> None:
        self._topology, self._plan = topology, plan

    def plan(self, demand: Demand, residual: Residual) -> Outcome:
        return self._plan(Instance(self._topology, residual, demand))


def complete(case: Instance) -> Outcome:
    for loads in trees_that_fit(case):
        return Tree(tuple(edge for edge, _, _ in loads))
    return NoTree("none fits", proved=True)


def hasty(case: Instance) -> Outcome:
    """Looks at the first tree only, and says that there is no other."""
    enough = [min(both) > 0 for both in zip(case.residual.upstream, case.residual.downstream, strict=True)]
    for loads in islice(trees_that_join(case, [edge for edge, is_enough in enumerate(enough) if is_enough]), 1):
        if all(case.residual.upstream[e] >= up and case.residual.downstream[e] >= down for e, up, down in loads):
            return Tree(tuple(edge for edge, _, _ in loads))
    return NoTree("the first does not fit", proved=True)


def unaware(case: Instance) -> Outcome:
    """Knows loads, and nothing of edges that are out."""
    up, down = case.residual.upstream, case.residual.downstream
    for loads in trees_that_join(case, list(range(len(up)))):
        if all(up[edge] >= upstream and down[edge] >= downstream for edge, upstream, downstream in loads):
            return Tree(tuple(edge for edge, _, _ in loads))
    return NoTree("none fits")


def listing(case: Instance) -> Outcome:
    outcome = complete(case)
    return evolve(outcome, edges=list(outcome.edges)) if isinstance(outcome, Tree) else outcome


def endless(case: Instance) -> Outcome:
    while True:
        with suppress(Exception):
            case.demand.vertices.index(-1)


def test_a9_a_refusal_that_is_not_proved() -> None:
    AlgorithmContract().test_a9_what_is_said_to_be_proved_is_true(Made(complete), 0)
    complains(AlgorithmContract().test_a9_what_is_said_to_be_proved_is_true, Made(hasty), 0)


def test_a4_an_algorithm_that_uses_what_is_out() -> None:
    AlgorithmContract().test_a4_what_is_out_is_not_used_even_for_nothing(Made(complete))
    complains(AlgorithmContract().test_a4_what_is_out_is_not_used_even_for_nothing, Made(unaware))


def test_a3_edges_that_are_a_list() -> None:
    complains(AlgorithmContract().test_a9_what_is_said_to_be_proved_is_true, Made(listing), 0)


@pytest.mark.parametrize(
    "test",
    [AlgorithmContract.test_a1_a_single_vertex_needs_no_trunk, AlgorithmContract.test_a1_a3_a4_whatever_is_asked],
)
def test_a1_an_algorithm_that_never_ends(test: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "DEADLINE", 0.01)
    with pytest.raises(Endless, match="A1: "):
        test(AlgorithmContract(), Made(endless))


def test_a1_an_algorithm_that_never_ends_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "DEADLINE", 0.01)
    complains(AlgorithmContract().test_a1_an_asymmetric_request_that_does_not_fit_ends, Made(endless))
