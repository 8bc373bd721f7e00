"""What a proposed tree has to carry, and what is no tree."""

from itertools import combinations

import pytest
from attrs import evolve

from dpb_framework.contracts.algorithm import Demand, Residual, Topology
from dpb_framework.networks.tree import check_constraints, check_fits, tree_loads
from dpb_framework.testing.instances import demand_of, instances
from dpb_framework.testing.topologies import barabasi_albert, from_pairs, grid, line, ring, star


def test_the_loads_of_a_tree_are_as_computed_by_hand() -> None:
    # As the paper's figure 4: four terminals at the leaves, two switches between them.
    #
    #   a (in 10, out 5)                      c (in 20, out 10)
    #          \ 0                           / 3
    #            x ---------- 2 ---------- y
    #          / 1                           \ 4
    #   b (in 3, out 30)                      d (in 1, out 2)
    a, b, x, y, c, d = range(6)
    topology, _ = from_pairs(6, [(a, x), (x, b), (x, y), (c, y), (y, d)])
    demand = demand_of((a, 10, 5), (b, 3, 30), (c, 20, 10), (d, 1, 2))
    assert tree_loads(topology, (0, 1, 2, 3, 4), demand) == [
        (0, 10, 5),  # a to x: min(10, 30+10+2); back: min(3+20+1, 5)
        (1, 30, 3),  # x to b: min(10+20+1, 30); back: min(3, 5+10+2)
        (2, 12, 21),  # x to y: min(10+3, 10+2); back: min(20+1, 5+30)
        (3, 20, 10),  # c to y: min(20, 5+30+2); back: min(10+3+1, 10)
        (4, 2, 1),  # y to d: min(10+3+20, 2); back: min(1, 5+30+10)
    ]
    assert tree_loads(topology, (4, 2, 0, 3, 1), demand)[1] == (2, 12, 21)


def test_a_vertex_in_the_middle_may_be_a_terminal() -> None:
    topology, _ = line(3)
    assert tree_loads(topology, [0, 1], demand_of((0, 10, 1), (1, 2, 20), (2, 30, 3))) == [(0, 10, 1), (1, 3, 21)]


def test_one_vertex_needs_no_trunk() -> None:
    topology, _ = line(3)
    assert tree_loads(topology, (), demand_of((1, 10, 10))) == []


@pytest.mark.parametrize(
    ("edges", "reason"),
    [
        ((0, 9), "edge 9 does not exist"),
        ((0, -1), "edge -1 does not exist"),
        ((0, 1, 0), "t0 is proposed twice"),
        ((), "v0 is not joined"),
        ((1,), "v0 is not joined"),
        ((0, 1, 2, 3, 4), "dead end"),
        ((0, 6), "v2 is not joined"),
        ((0, 1, 6), "circle"),
        ((0, 1, 2, 3, 5), "circle"),
        ((0, 1, 7), "circle"),
        ((0, 1, 4), "not all connected"),
        ((0, 1, 3, 4, 8), "dead end"),
        ((0, 1, 4, 8), "circle"),
    ],
)
def test_what_is_no_tree_is_refused_with_its_reason(edges: tuple[int, ...], reason: str) -> None:
    # a ring of v0 to v3, a branch v3-v4-v5, a trunk parallel to the first, a self loop, and one parallel to v4-v5
    pairs = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (3, 0), (1, 0), (2, 2), (5, 4)]
    topology, _ = from_pairs(6, pairs)
    with pytest.raises(ValueError, match=reason) as caught:
        tree_loads(topology, edges, demand_of((0, 1, 1), (2, 1, 1)))
    assert "\n" not in str(caught.value)


def test_a_lone_vertex_with_a_circle_of_trunks_is_refused() -> None:
    topology, _ = ring(3)
    with pytest.raises(ValueError, match="circle"):
        tree_loads(topology, (0, 1, 2), demand_of((0, 1, 1)))


def test_names_are_not_needed_for_a_reason() -> None:
    bare = Topology(2, [0], [1], [1], [])
    with pytest.raises(ValueError, match="edge 0 is proposed twice"):
        tree_loads(bare, (0, 0), demand_of((0, 1, 1), (1, 1, 1)))
    with pytest.raises(ValueError, match="vertex 0 is not joined"):
        tree_loads(bare, (), demand_of((0, 1, 1), (1, 1, 1)))


def test_what_falls_short_is_told() -> None:
    residual = Residual([10, 9, 10, 0, 0, 5], [10, 10, 9, 0, 5, 0])
    loads = [(0, 10, 10), (1, 10, 10), (2, 10, 10), (3, 0, 0), (4, 0, 5), (5, 5, 0)]
    assert check_fits(loads, residual) == [1, 2, 3]
    assert check_fits([], residual) == []


def test_a_constraint_that_is_not_kept_is_told() -> None:
    # v0 to v3 in a line, v4 on v1; 10 us each but the last
    topology, _ = from_pairs(6, [(0, 1), (1, 2), (3, 2), (1, 4), (4, 5)], delay=10)
    slow = Topology(6, topology.tails, topology.heads, [10, 10, 10, 25, 1], topology.names, topology.vertex_names)
    demand = demand_of((0, 1, 1), (3, 1, 1), (4, 1, 1))
    edges = (0, 1, 2, 3)
    kept = {"pass_vertices": frozenset({2, 4}), "pass_edges": frozenset({0, 3}), "max_delay": 45}
    check_constraints(slow, edges, evolve(demand, **kept))
    for constraint, told in (
        ({"pass_vertices": frozenset({2, 5})}, "v5 is not passed"),
        ({"pass_edges": frozenset({3, 4})}, "t4 is not passed"),
        ({"max_delay": 44}, "from v(3 to v4|4 to v3) are 45 us, at most 44 are asked for"),
    ):
        with pytest.raises(ValueError, match=f"^{told}$"):
            check_constraints(slow, edges, evolve(demand, **constraint))
    check_constraints(slow, (), evolve(demand_of((1, 1, 1)), pass_vertices=frozenset({1}), max_delay=0))
    with pytest.raises(ValueError, match="v2 is not passed"):
        check_constraints(slow, (), evolve(demand_of((1, 1, 1)), pass_vertices=frozenset({2})))


def _plainly(topology: Topology, edges: tuple[int, ...], demand: Demand) -> list[tuple[int, int, int]] | None:
    """Return the loads by their definition, None for what is no tree: one flood of the rest for each edge."""

    def side(start: int, without: int) -> set[int]:
        seen, todo = {start}, [start]
        while todo:
            vertex = todo.pop()
            for edge in edges:
                if edge != without and vertex in (ends := (topology.tails[edge], topology.heads[edge])):
                    fresh = set(ends) - seen
                    seen |= fresh
                    todo += fresh
        return seen

    vertices = {topology.tails[edge] for edge in edges} | {topology.heads[edge] for edge in edges}
    if not edges or not set(demand.vertices) <= vertices or side(topology.tails[edges[0]], -1) != vertices:
        return None
    if len(vertices) != len(edges) + 1:
        return None
    degrees = [sum(v in (topology.tails[e], topology.heads[e]) for e in edges) for v in sorted(vertices)]
    if any(many == 1 and v not in demand.vertices for v, many in zip(sorted(vertices), degrees, strict=True)):
        return None
    loads = []
    for edge in edges:
        near = side(topology.tails[edge], edge)
        flows = list(zip(demand.vertices, demand.ingress, demand.egress, strict=True))
        in_near, in_far = (sum(i for v, i, _ in flows if (v in near) is here) for here in (True, False))
        out_near, out_far = (sum(e for v, _, e in flows if (v in near) is here) for here in (True, False))
        loads.append((edge, min(in_near, out_far), min(in_far, out_near)))
    return loads


def test_every_set_of_edges_is_judged_as_by_the_definition() -> None:
    trees = 0
    for case in instances(21, 60):
        count = min(len(case.topology.tails), 9)
        if len(set(case.demand.vertices)) < 2:
            continue
        for size in range(count + 1):
            for edges in combinations(range(count), size):
                expected = _plainly(case.topology, edges, case.demand)
                if expected is None:
                    with pytest.raises(ValueError, match=r"."):
                        tree_loads(case.topology, edges, case.demand)
                else:
                    trees += 1
                    assert tree_loads(case.topology, edges, case.demand) == expected
    assert trees > 100


def test_the_small_topologies_are_what_they_say() -> None:
    degrees = {
        "line": [len(around) for around in line(4)[0].neighbours],
        "ring": [len(around) for around in ring(4)[0].neighbours],
        "star": [len(around) for around in star(4)[0].neighbours],
        "grid": [len(around) for around in grid(3, 2)[0].neighbours],
    }
    assert degrees == {
        "line": [1, 2, 2, 1],
        "ring": [2, 2, 2, 2],
        "star": [4, 1, 1, 1, 1],
        "grid": [2, 3, 2, 2, 3, 2],
    }
    topology, residual = barabasi_albert(54, 2, seed=5)
    assert len(topology.tails) == 2 * 52
    assert all(len({other for _, other in around}) == len(around) for around in topology.neighbours)
    assert min(residual.upstream) >= 1_000_000
    assert barabasi_albert(54, 2, seed=5) == (topology, residual)
    assert barabasi_albert(54, 2, seed=6) != (topology, residual)
