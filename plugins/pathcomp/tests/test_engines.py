"""Plain Python and compiled code: the same answers, and nothing waits for a compiler."""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from random import Random

import pytest
from attrs import evolve
from dpb_pathcomp import compilation, exact
from dpb_pathcomp.adaptive import Adaptive
from dpb_pathcomp.compilation import COMPILATION, Compilation, Compiled, cache_folder
from dpb_pathcomp.exact import Exact
from dpb_pathcomp.fast import FastSearches
from dpb_pathcomp.weights import COSTS
from hypothesis import HealthCheck, given, settings

from dpb_framework.contracts.algorithm import Algorithm, NoTree, Tree
from dpb_framework.networks.tree import tree_loads
from dpb_framework.testing.algorithm import AlgorithmContract
from dpb_framework.testing.instances import Instance, any_instance, demand_of, instances, tight_instances
from dpb_framework.testing.topologies import barabasi_albert, line

PATIENCE = 300.0


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    COMPILATION.start()
    assert COMPILATION.wait(PATIENCE), "numba is among the requirements of the tests"
    assert COMPILATION.compiled is not None
    return COMPILATION.compiled


def same(case: Instance, name: str, work: int = 10**6) -> Tree | NoTree:
    plain = Exact(cost=name, work=work, engine="python").planner(case.topology)
    fast = Exact(cost=name, work=work, engine="numba").planner(case.topology)
    expected = plain.plan(case.demand, case.residual)
    assert fast.plan(case.demand, case.residual) == expected
    lonely = len(set(case.demand.vertices)) < 2 and not case.demand.pass_vertices and not case.demand.pass_edges
    assert lonely or isinstance(fast._engine, FastSearches)
    return expected


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors, HealthCheck.too_slow],
)
@given(case=any_instance())
def test_any_request_has_the_same_answer(compiled: Compiled, case: Instance) -> None:
    for name in COSTS:
        same(case, name)


def test_requests_have_the_same_answer_also_where_the_work_does_not_suffice(compiled: Compiled) -> None:
    random = Random(1)
    gave_up = 0
    for number, case in enumerate([*tight_instances(51, 300), *instances(52, 200)]):
        demand = case.demand
        if random.random() < 0.4 and case.topology.tails:
            edges = range(len(case.topology.tails))
            demand = evolve(
                demand,
                pass_vertices=frozenset(random.sample(range(case.topology.vertices), random.randint(0, 2))),
                pass_edges=frozenset(random.sample(edges, random.randint(0, min(2, len(edges))))),
                prefer=frozenset(random.sample(edges, 1)),
            )
        instance = Instance(case.topology, case.residual, demand)
        outcome = same(instance, list(COSTS)[number % len(COSTS)], (10**6, 300, 80)[number % 3])
        gave_up += isinstance(outcome, NoTree) and not outcome.proved
    assert gave_up > 20


@pytest.mark.parametrize("name", ["hops", "load"])
def test_a_network_is_filled_in_the_same_way(compiled: Compiled, name: str) -> None:
    topology, residual = barabasi_albert(128, 2, seed=2)
    plain = Exact(cost=name, engine="python").planner(topology)
    fast = Exact(cost=name, engine="numba").planner(topology)
    random = Random(2)
    refused = 0
    for _ in range(250):
        places = random.sample(range(128), random.choice((2, 3, 4, 5)))
        demand = demand_of(*((place, *random.choices((200_000, 500_000), k=2)) for place in places))
        outcome = fast.plan(demand, residual)
        assert outcome == plain.plan(demand, residual)
        if isinstance(outcome, NoTree):
            refused += 1
            continue
        for edge, upstream, downstream in tree_loads(topology, outcome.edges, demand):
            residual.upstream[edge] -= upstream
            residual.downstream[edge] -= downstream
    assert refused >= 5


def test_what_ints_of_the_machine_cannot_hold_is_left_to_plain_python(compiled: Compiled) -> None:
    for delay, rate in ((1, 10**17 + 1), (10**16, 1), (10**30, 3), (10**7, 10**8 + 1)):
        topology, residual = line(4, capacity=10**20, delay=delay)
        for name in COSTS:
            outcome = same(Instance(topology, residual, demand_of((0, rate, 5), (2, 7, 7), (3, 1, rate))), name)
            assert isinstance(outcome, Tree)


class TestAdaptiveCompiled(AlgorithmContract):
    @pytest.fixture
    def algorithm(self, compiled: Compiled) -> Algorithm:
        return Adaptive(engine="numba")


def test_compiled_searches_leave_the_interpreter_to_others(compiled: Compiled) -> None:
    searches = (compiled.grow, compiled.distances, compiled.gather)
    assert [search.targetoptions.get("nogil") for search in searches] == [True, True, True]


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[Compilation]:
    """A compilation of which nothing has begun, in place of the process's own."""
    begun = Compilation()
    monkeypatch.setattr(exact, "COMPILATION", begun)
    yield begun
    begun.wait(PATIENCE)


def test_plain_python_serves_until_it_is_compiled(
    fresh: Compilation, compiled: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def slowly() -> Compiled:
        assert go.wait(PATIENCE)
        return compiled

    monkeypatch.setattr(compilation, "compile_searches", slowly)
    topology, residual = line(3)
    planner = Exact().planner(topology)
    demand = demand_of((0, 1, 1), (1, 1, 1), (2, 1, 1))
    before = planner.plan(demand, residual)
    assert not isinstance(planner._engine, FastSearches)
    residual.upstream[0] -= 5
    go.set()
    assert fresh.wait(PATIENCE)
    residual.upstream[0] += 5
    assert planner.plan(demand, residual) == before
    assert isinstance(planner._engine, FastSearches)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ImportError("No module named 'numba'"), "stays in plain Python: No module named 'numba' (pip install"),
        (RuntimeError("no compiler for you"), "numba failed: RuntimeError: no compiler for you"),
    ],
)
@pytest.mark.parametrize("engine", ["auto", "numba"])
def test_a_numba_that_is_missing_or_fails_is_one_line_in_the_log(
    fresh: Compilation,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: Exception,
    told: str,
    engine: str,
) -> None:
    def fail() -> Compiled:
        raise fault

    monkeypatch.setattr(compilation, "compile_searches", fail)
    caplog.set_level(logging.INFO, "dpb.pathcomp")
    topology, residual = line(3)
    planners = [Adaptive(engine=engine).planner(topology) for _ in range(3)]
    assert not fresh.wait(PATIENCE)
    for planner in planners:
        assert isinstance(planner.plan(demand_of((0, 1, 1), (2, 1, 1)), residual), Tree)
    assert len([record for record in caplog.records if told in record.getMessage()]) == 1
    assert len(caplog.records) == 1


@pytest.mark.parametrize("kind", [Exact, Adaptive])
def test_compiling_begins_when_the_network_starts(
    fresh: Compilation, compiled: Compiled, monkeypatch: pytest.MonkeyPatch, kind: type[Exact | Adaptive]
) -> None:
    monkeypatch.setattr(compilation, "compile_searches", lambda: compiled)
    kind(engine="python").warm_up()
    assert not fresh.wait(PATIENCE)
    kind().warm_up()
    assert fresh.wait(PATIENCE)


def test_plain_python_begins_no_compilation(fresh: Compilation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "start", lambda: pytest.fail("a compilation was begun"))
    topology, residual = line(2)
    assert isinstance(Exact(engine="python").planner(topology).plan(demand_of((0, 1, 1), (1, 1, 1)), residual), Tree)


def test_what_was_compiled_is_kept_in_the_users_cache_folder(compiled: Compiled) -> None:
    assert list(cache_folder().rglob("*.nbi"))
    code = (
        "from dpb_pathcomp.compilation import COMPILATION\n"
        "COMPILATION.start()\n"
        f"assert COMPILATION.wait({PATIENCE})\n"
        "print([f.stats.cache_misses for f in (COMPILATION.compiled.grow, COMPILATION.compiled.gather)])\n"
    )
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert again.returncode == 0, again.stderr
    assert again.stdout.strip() == "[Counter(), Counter()]"


def test_no_other_engine_is_known() -> None:
    with pytest.raises(Exception, match="expected one of auto, python, numba; got 'c'"):
        Exact(engine="c")
