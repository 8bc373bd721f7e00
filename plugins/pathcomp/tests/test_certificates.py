"""Certificates: the checker accepts what is true and nothing else, and refusals say it in words."""

import copy
import json
from random import Random
from typing import Any

import pytest
from attrs import evolve
from dpb_pathcomp import proof
from dpb_pathcomp.adaptive import Adaptive
from dpb_pathcomp.bast import Bast
from dpb_pathcomp.check import CertificateWrong, check
from dpb_pathcomp.exact import Exact

from dpb_framework.contracts.algorithm import Demand, NoTree, Residual, Topology
from dpb_framework.testing.instances import demand_of, instances, tight_instances
from dpb_framework.testing.topologies import barabasi_albert, from_pairs, line


def refusal(topology: Topology, residual: Residual, demand: Demand) -> NoTree:
    outcome = Exact(cost="hops").planner(topology).plan(demand, residual)
    assert isinstance(outcome, NoTree)
    assert outcome.proved
    return outcome


def gathering() -> tuple[Topology, Residual, Demand]:
    """v1 and v2 come to v0, but neither they nor one of them leaves it."""
    topology, residual = from_pairs(5, [(1, 0), (2, 0), (0, 3), (3, 4)], capacity=40)
    residual.upstream[2] = 15
    return topology, residual, demand_of((4, 20, 34), (1, 16, 1), (2, 18, 1))


def bridge() -> tuple[Topology, Residual, Demand]:
    """v1 and v2 come to v0; either could leave it, both cannot."""
    topology, residual = from_pairs(5, [(1, 0), (2, 0), (0, 3), (3, 4)], capacity=30)
    residual.upstream[2] = 15
    return topology, residual, demand_of((4, 20, 20), (1, 10, 10), (2, 10, 10))


def split() -> tuple[Topology, Residual, Demand]:
    """What only branching refuses."""
    topology, residual = from_pairs(6, [(1, 0), (2, 0), (0, 4), (4, 3), (0, 5), (5, 3)], capacity=1000)
    for edge, left in ((2, 5), (3, 5), (4, 1), (5, 1)):
        residual.upstream[edge] = residual.downstream[edge] = left
    return topology, residual, demand_of((1, 5, 5), (2, 1, 1), (3, 100, 100))


def test_a_cut_is_told_with_what_each_trunk_lacks() -> None:
    topology, residual = from_pairs(4, [(0, 1), (1, 2), (2, 1), (1, 2), (2, 3)], capacity=100)
    residual.upstream[1], residual.upstream[2], residual.downstream[2] = 4, 1, 2
    residual.upstream[3] = residual.downstream[3] = 0
    outcome = refusal(topology, residual, demand_of((0, 10, 10), (3, 10, 10)))
    assert outcome.facts["cut"] == [
        {"trunk": "t1", "upstream": 6, "downstream": 0},
        {"trunk": "t2", "upstream": 9, "downstream": 8},
        {"trunk": "t3", "upstream": 10, "downstream": 10},
    ]
    assert outcome.facts["extra"] == {"trunk": "t1", "upstream": 6, "downstream": 0, "out": False}
    assert outcome.reason.endswith("of 3 trunks between them t2 lacks 9 kbit/s; 6 kbit/s more upstream on t1 would do")


def test_who_gathers_and_gets_no_further_is_told() -> None:
    outcome = refusal(*gathering())
    assert outcome.reason == (
        "v4 cannot be joined with v1, v2: the only trunk between them, t2 lacks 19 kbit/s;"
        " 19 kbit/s more upstream on t2 would do"
    )
    assert outcome.facts["certificate"]["kind"] == "sets"


def test_of_a_trunk_that_all_must_share_what_it_lacks_is_told() -> None:
    outcome = refusal(*bridge())
    assert outcome.reason == "no tree joins v4, v1, v2; 5 kbit/s more upstream on t2 would do"
    assert outcome.facts["cut"] == [{"trunk": "t2", "upstream": 5, "downstream": 0}]
    assert (outcome.facts["scarcest"], outcome.facts["lacks"]) == ("t2", 5)
    assert outcome.facts["certificate"]["kind"] == "branches"


def test_where_one_trunk_is_not_enough_the_refusal_says_so() -> None:
    topology, residual = line(4, capacity=5)
    outcome = refusal(topology, residual, demand_of((0, 10, 10), (3, 10, 10)))
    assert outcome.facts["extra"] is None
    assert outcome.facts["extra_known"]
    assert outcome.reason.endswith("more capacity on any one trunk would not do")


def test_a_trunk_that_is_out_is_named_only_when_nothing_else_would_do() -> None:
    topology, residual = from_pairs(2, [(0, 1), (0, 1)], capacity=5)
    residual.upstream[0] = residual.downstream[0] = 0
    demand = demand_of((0, 10, 10), (1, 10, 10))
    assert refusal(topology, residual, demand).facts["extra"]["trunk"] == "t1"
    residual.upstream[1] = residual.downstream[1] = 0
    assert refusal(topology, residual, demand).facts["extra"] == {
        "trunk": "t0",
        "upstream": 10,
        "downstream": 10,
        "out": True,
    }


@pytest.mark.parametrize("case", [gathering, bridge, split])
def test_certificates_are_plain_data_and_hold(case: Any) -> None:
    topology, residual, demand = case()
    outcome = refusal(topology, residual, demand)
    assert json.loads(json.dumps(outcome.facts)) == outcome.facts
    check(topology, residual, demand, outcome.facts["certificate"])


def faults(certificate: dict[str, Any]) -> list[dict[str, Any]]:
    """The certificate with a place less, one after the other."""
    found = []

    def shorten(part: Any) -> None:
        if isinstance(part, dict):
            for value in part.values():
                shorten(value)
            if "at" in part or "near" in part:
                places = part.get("at", part.get("near"))
                for index in range(len(places)):
                    taken = places.pop(index)
                    found.append(copy.deepcopy(certificate))
                    places.insert(index, taken)
        elif isinstance(part, list):
            for value in part:
                shorten(value)

    shorten(certificate)
    return found


def test_no_place_can_be_left_out_of_a_certificate_of_sets() -> None:
    wrong = 0
    for case in (gathering(), bridge(), split()):
        for fault in faults(refusal(*case).facts["certificate"]):
            wrong += 1
            with pytest.raises(CertificateWrong):
                check(*case, fault)
    assert wrong > 20


def test_a_certificate_does_not_hold_where_there_is_room() -> None:
    refuted = 0
    for case in tight_instances(3, 150):
        outcome = Exact(cost="hops").planner(case.topology).plan(case.demand, case.residual)
        if isinstance(outcome, NoTree):
            plenty = Residual([1000] * len(case.topology.tails), [1000] * len(case.topology.tails))
            if isinstance(Exact().planner(case.topology).plan(case.demand, plenty), NoTree):
                continue  # not connected: it holds whatever the capacity
            with pytest.raises(CertificateWrong):
                check(case.topology, plenty, case.demand, outcome.facts["certificate"])
            refuted += 1
    assert refuted > 30


@pytest.mark.parametrize(
    ("certificate", "told"),
    [
        ({"kind": "oracle"}, "a certificate of kind 'oracle' is not known"),
        ({"kind": "cut", "near": [0]}, "the cut does not part the terminals"),
        ({"kind": "cut", "near": [1, 2]}, "edge 0 could cross the cut"),
        ({"kind": "sets", "root": 3, "reached": []}, "vertex 3 is no terminal"),
        ({"kind": "sets", "root": 4, "reached": []}, "vertex 1 itself is not among the places"),
        ({"kind": "branches", "root": 4, "branch": {"vertex": 1, "of": {"terminals": [2]}}}, "a division at vertex 1"),
        ({"kind": "delay", "between": [1, 4]}, "no delay is asked for between these"),
    ],
)
def test_what_proves_nothing_is_told(certificate: dict[str, Any], told: str) -> None:
    with pytest.raises(CertificateWrong) as caught:
        check(*gathering(), certificate)
    assert str(caught.value).startswith(told)


def test_a_delay_is_checked() -> None:
    topology, residual = line(3, delay=10)
    demand = evolve(demand_of((0, 1, 1), (2, 1, 1)), max_delay=19)
    outcome = refusal(topology, residual, demand)
    check(topology, residual, demand, outcome.facts["certificate"])
    with pytest.raises(CertificateWrong, match="vertices 0 and 2 are 20 us apart"):
        check(topology, residual, evolve(demand, max_delay=20), outcome.facts["certificate"])


def test_what_is_too_long_to_write_down_is_searched_by_the_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "ENTRIES", 3)
    topology, residual, demand = gathering()
    outcome = refusal(topology, residual, demand)
    assert outcome.facts["certificate"] == {"kind": "search", "root": 4, "conflicts": 0}
    check(topology, residual, demand, outcome.facts["certificate"])
    residual.upstream[2] = 34
    with pytest.raises(CertificateWrong, match="the sets alone do not prove it"):
        check(topology, residual, demand, outcome.facts["certificate"])
    many = demand_of(*((vertex, 1, 1) for vertex in range(10)))
    with pytest.raises(CertificateWrong, match="with 10 members it is not searched"):
        check(*line(10), many, {"kind": "search", "root": 0})


@pytest.mark.parametrize("algorithm", [Bast(), Bast(complete=False), Adaptive(), Exact(cost="delay")])
def test_every_proved_refusal_of_every_algorithm_has_a_certificate_that_holds(algorithm: Any) -> None:
    proofs = 0
    for case in [*instances(41, 400), *tight_instances(41, 150)]:
        outcome = algorithm.planner(case.topology).plan(case.demand, case.residual)
        if isinstance(outcome, NoTree) and outcome.proved:
            check(case.topology, case.residual, case.demand, outcome.facts["certificate"])
            proofs += 1
    assert proofs > 100


def test_refusals_of_a_full_network_are_certified() -> None:
    topology, residual = barabasi_albert(54, 2, seed=3)
    random = Random(3)
    for edge in range(len(topology.tails)):
        residual.upstream[edge] = random.choice((0, 5, 20, 40, 60))
        residual.downstream[edge] = random.choice((5, 20, 40, 60))
    planner = Adaptive().planner(topology)
    kinds = set()
    for _ in range(60):
        places = random.sample(range(54), random.randint(2, 5))
        demand = demand_of(*((place, random.choice((5, 10, 30)), random.choice((5, 10, 30))) for place in places))
        outcome = planner.plan(demand, residual)
        if isinstance(outcome, NoTree):
            check(topology, residual, demand, outcome.facts["certificate"])
            kinds.add(outcome.facts["certificate"]["kind"])
    assert {"cut", "sets"} <= kinds
