"""The complete search beside an integer program that shares nothing with it but the question (HiGHS).

A tree is directed to one terminal, the root. For each arc and each set of the other terminals there is a binary: this
arc carries that set. What a set needs of an arc, and what that costs, is known beforehand, so that an arc without the
room has no such binary, and neither big numbers nor products are needed. Rows: each terminal's flow is kept at each
vertex; no vertex is left twice, so that what comes to it leaves it together; no trunk is used twice.
"""

import math
import os
from collections.abc import Iterator
from random import Random

import highspy
import numpy as np
import pytest
from attrs import frozen
from dpb_pathcomp.exact import Exact
from dpb_pathcomp.weights import COSTS

from dpb_framework.contracts.algorithm import NoTree, Outcome, Tree
from dpb_framework.testing.algorithm import verify
from dpb_framework.testing.instances import Instance, demand_of
from dpb_framework.testing.topologies import barabasi_albert

SOAK = os.environ.get("DPB_SOAK") == "1"

UNDECIDED = 600.0
"""Seconds after which the integer program is given up, and the test fails: most take less than one."""

CASES = [(seed, (54, 128)[seed // 7 % 2], 2 + seed % 7) for seed in range(200)]
if not SOAK:
    CASES = [(seed, 24, 2 + seed % 4) for seed in range(24)]


def request(seed: int, vertices: int, terminals: int) -> Instance:
    """A network that is nearly full, and unequal rates: about half of the requests fit."""
    random = Random(seed)
    topology, residual = barabasi_albert(vertices, 2, seed=seed)
    for edge in range(len(topology.tails)):
        residual.upstream[edge] = 1000 * random.choice((0, 10, 30, 60, 90, 200))
        residual.downstream[edge] = 1000 * random.choice((10, 30, 60, 90, 200))
    places = random.sample(range(vertices), terminals)
    rates = [(1000 * random.choice((5, 10, 20, 40)), 1000 * random.choice((5, 10, 20, 40))) for _ in places]
    return Instance(topology, residual, demand_of(*((p, *r) for p, r in zip(places, rates, strict=True))))


@frozen
class Column:
    """An arc that carries a set (bits; the root is not among them), and its cost."""

    edge: int
    tail: int
    head: int
    gathered: int
    cost: int


def columns(case: Instance, name: str) -> Iterator[Column]:
    """Yield what has room, and is not ruled out by a terminal's own vertex: it joins what leaves, and only once."""
    topology, residual, demand = case.topology, case.residual, case.demand
    cost = COSTS[name]
    root, *places = demand.vertices
    home = {vertex: 1 << number for number, vertex in enumerate(places)}
    total_in, total_out = sum(demand.ingress), sum(demand.egress)
    sets = []
    for gathered in range(1, 1 << len(places)):
        members = [number + 1 for number in range(len(places)) if gathered >> number & 1]
        rate_in, rate_out = sum(demand.ingress[t] for t in members), sum(demand.egress[t] for t in members)
        sets.append((gathered, min(rate_in, total_out - rate_out), min(rate_out, total_in - rate_in)))
    for edge, (start, end) in enumerate(zip(topology.tails, topology.heads, strict=True)):
        up, down = residual.upstream[edge], residual.downstream[edge]
        weight = cost.weigh(topology.delays[edge], up, down, 0, 0)
        for tail, head, forth, back in ((start, end, up, down), (end, start, down, up)):
            if tail == root:
                continue
            joins, joined = home.get(tail, 0), home.get(head, 0)
            for gathered, along, against in sets:
                if gathered & joins == joins and not gathered & joined and along <= forth and against <= back:
                    yield Column(edge, tail, head, gathered, weight * (along + against if cost.by_load else 1))


def cheapest(case: Instance, name: str) -> int | None:
    """Return the least cost of a tree, None when there is none; `TimeoutError` when it took too long."""
    vertices = case.topology.vertices
    root, *places = case.demand.vertices
    found = list(columns(case, name))
    if not found:
        return None
    flows = len(places) * vertices
    lower = np.zeros(flows + vertices + len(case.topology.tails))
    upper = np.concatenate((np.zeros(flows), np.ones(len(lower) - flows)))
    for number, place in enumerate(places):
        row = number * vertices
        lower[row + place] = upper[row + place] = 1
        lower[row + root], upper[row + root] = -1, -1  # whatever comes, all of it comes there
    starts, rows, values = [0], [], []
    for column in found:
        for number in range(len(places)):
            if column.gathered >> number & 1:
                rows += [number * vertices + column.tail, number * vertices + column.head]
                values += [1.0, -1.0]
        rows += [flows + column.tail, flows + vertices + column.edge]
        values += [1.0, 1.0]
        starts.append(len(rows))
    unit = math.gcd(*(column.cost for column in found))
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = len(found), len(lower)
    program.col_cost_ = np.array([column.cost // unit for column in found], float)
    program.col_lower_, program.col_upper_ = np.zeros(len(found)), np.ones(len(found))
    program.row_lower_, program.row_upper_ = lower, upper
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_ = np.array(starts, np.int32)
    program.a_matrix_.index_ = np.array(rows, np.int32)
    program.a_matrix_.value_ = np.array(values)
    program.integrality_ = [highspy.HighsVarType.kInteger] * len(found)
    solver = highspy.Highs()
    for option, value in (
        ("output_flag", False),
        ("threads", 1),
        ("presolve", "off"),  # it takes many times as long as what it saves
        ("mip_rel_gap", 0.0),
        ("mip_abs_gap", 0.9),  # costs are ints
        ("mip_feasibility_tolerance", 1e-9),
        ("time_limit", UNDECIDED),
    ):
        solver.setOptionValue(option, value)
    solver.passModel(program)
    solver.run()
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return None
    assert status == highspy.HighsModelStatus.kOptimal, f"the integer program ended with {status}"
    return round(solver.getInfo().objective_function_value) * unit


def ask(case: Instance, name: str) -> Outcome:
    """The complete search's answer, verified."""
    outcome = Exact(cost=name, work=10**9, engine="python").planner(case.topology).plan(case.demand, case.residual)
    verify(case.topology, case.demand, case.residual, outcome)
    return outcome


@pytest.mark.parametrize(("seed", "vertices", "terminals"), CASES)
def test_feasibility_and_cost_are_those_of_the_integer_program(seed: int, vertices: int, terminals: int) -> None:
    case = request(seed, vertices, terminals)
    name = ("hops", "load")[seed % 2]
    outcome = ask(case, name)
    expected = cheapest(case, name)
    if isinstance(outcome, Tree):
        assert outcome.cost == expected
    else:
        assert outcome.proved
        assert expected is None


def test_both_outcomes_are_among_the_cases_by_either_cost() -> None:
    found = {(seed % 2, isinstance(ask(request(seed, *shape), "hops"), NoTree)) for seed, *shape in CASES}
    assert found == {(0, False), (0, True), (1, False), (1, True)}
