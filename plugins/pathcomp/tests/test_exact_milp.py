"""The complete search beside an integer program that shares nothing with it but the question (HiGHS).

One binary x for each arc (a tree directed to one terminal), and for each arc a flow from each other terminal. What an
arc carries is min(ingress of the near side, egress of the far side): a binary for each direction tells which.
"""

import os
from random import Random

import highspy
import pytest
from dpb_pathcomp.exact import Exact
from dpb_pathcomp.weights import COSTS

from dpb_framework.contracts.algorithm import NoTree, Tree
from dpb_framework.testing.algorithm import verify
from dpb_framework.testing.instances import Instance, demand_of
from dpb_framework.testing.topologies import barabasi_albert

SOAK = os.environ.get("DPB_SOAK") == "1"


def request(seed: int, vertices: int, terminals: int) -> Instance:
    """A network that is nearly full, and unequal rates: about half of the requests fit."""
    random = Random(seed)
    topology, residual = barabasi_albert(vertices, 2, seed=seed)
    for edge in range(len(topology.tails)):
        residual.upstream[edge] = random.choice((0, 10, 30, 60, 90, 200))
        residual.downstream[edge] = random.choice((10, 30, 60, 90, 200))
    places = random.sample(range(vertices), terminals)
    rates = [(random.choice((5, 10, 20, 40)), random.choice((5, 10, 20, 40))) for _ in places]
    return Instance(topology, residual, demand_of(*((p, *r) for p, r in zip(places, rates, strict=True))))


def cheapest(case: Instance, name: str) -> int | None:
    """Return the least cost of a tree, None when there is none."""
    topology, residual, demand = case.topology, case.residual, case.demand
    cost = COSTS[name]
    root, *others = range(len(demand.vertices))
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.setOptionValue("mip_feasibility_tolerance", 1e-9)
    total_in, total_out = sum(demand.ingress), sum(demand.egress)
    least = min(*demand.ingress, *demand.egress)  # whatever an arc carries, it is no less
    arcs = []
    for edge, (tail, head) in enumerate(zip(topology.tails, topology.heads, strict=True)):
        up, down = residual.upstream[edge], residual.downstream[edge]
        if min(up, down) >= least:
            weight = cost.weigh(topology.delays[edge], up, down, 0, 0)
            arcs += [(edge, tail, head, up, down, weight), (edge, head, tail, down, up, weight)]
    used, flows, objective = [], [], []
    for _, _, _, forth, back, weight in arcs:
        x = solver.addBinary()
        flow = [solver.addVariable(lb=0, ub=1) for _ in others]
        for part in flow:
            solver.addConstr(part - x <= 0)
        near_in = sum(demand.ingress[t] * part for t, part in zip(others, flow, strict=True))
        near_out = sum(demand.egress[t] * part for t, part in zip(others, flow, strict=True))
        # min(a, b) <= what there is: one of both is, and a binary says which.
        loads = []
        for one, other, room, most, most_other in (
            (near_in, total_out * x - near_out, forth, total_in, total_out),
            (near_out, total_in * x - near_in, back, total_out, total_in),
        ):
            first = solver.addBinary()
            load = solver.addVariable(lb=0, ub=min(room, most, most_other))
            solver.addConstr(load - least * x >= 0)
            solver.addConstr(load - one + most * (1 - first) >= 0)
            solver.addConstr(load - other + most_other * first >= 0)
            loads.append(load)
        if cost.by_load:
            objective.append(weight * (loads[0] + loads[1]))
        else:
            objective.append(weight * x)
        used.append(x)
        flows.append(flow)
    for vertex in range(topology.vertices):
        leaving = [number for number, arc in enumerate(arcs) if arc[1] == vertex]
        coming = [number for number, arc in enumerate(arcs) if arc[2] == vertex]
        if leaving:  # a tree leaves each vertex once at most, and the root never
            solver.addConstr(sum(used[n] for n in leaving) <= (0 if vertex == demand.vertices[root] else 1))
        for place, terminal in enumerate(others):
            if vertex == demand.vertices[root] or not leaving:
                continue
            starts = 1 if vertex == demand.vertices[terminal] else 0
            solver.addConstr(sum(flows[n][place] for n in leaving) - sum(flows[n][place] for n in coming) == starts)
    for edge in range(len(topology.tails)):
        both = [used[number] for number, arc in enumerate(arcs) if arc[0] == edge]
        if both:
            solver.addConstr(sum(both) <= 1)
    if any(not topology.neighbours[vertex] for vertex in demand.vertices):
        return None
    solver.minimize(sum(objective))
    if solver.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
        return None
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return round(solver.getInfo().objective_function_value)


CASES = [(seed, (54, 128)[seed // 7 % 2], 2 + seed % 7) for seed in range(200)]
if not SOAK:
    CASES = [(seed, 24, 2 + seed % 3) for seed in range(12)]


@pytest.mark.parametrize(("seed", "vertices", "terminals"), CASES)
def test_feasibility_and_cost_are_those_of_the_integer_program(seed: int, vertices: int, terminals: int) -> None:
    case = request(seed, vertices, terminals)
    name = ("hops", "load")[seed % 2]
    outcome = Exact(cost=name, work=10**8, engine="python").planner(case.topology).plan(case.demand, case.residual)
    verify(case.topology, case.demand, case.residual, outcome)
    expected = cheapest(case, name)
    if isinstance(outcome, Tree):
        assert outcome.cost == expected
    else:
        assert outcome.proved
        assert expected is None


def test_both_outcomes_are_among_the_cases() -> None:
    fits = set()
    for seed, vertices, terminals in CASES:
        case = request(seed, vertices, terminals)
        fits.add(
            isinstance(
                Exact(work=10**8, engine="python").planner(case.topology).plan(case.demand, case.residual), NoTree
            )
        )
    assert fits == {True, False}
