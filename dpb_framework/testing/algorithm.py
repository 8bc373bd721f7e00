"""The conformance suite of path computation: clauses A1 to A11 of `dpb_framework.contracts.algorithm`.

An author's test is a subclass with one fixture:

    class TestMine(AlgorithmContract):
        @pytest.fixture
        def algorithm(self) -> Algorithm:
            return Mine()
"""

from __future__ import annotations

import copy
import math
import multiprocessing
import signal
import threading
import time
import warnings
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings

from dpb_framework import precedence
from dpb_framework.contracts.algorithm import Algorithm, Demand, NoTree, Outcome, Planner, Residual, Topology, Tree
from dpb_framework.errors import ConfigInvalid
from dpb_framework.networks.tree import check_constraints, check_fits, tree_loads
from dpb_framework.precedence import expect_step, pauses, step_over
from dpb_framework.testing.enumeration import trees_that_fit
from dpb_framework.testing.instances import Instance, any_instance, demand_of, instances, tight_instances
from dpb_framework.testing.topologies import barabasi_albert, from_pairs, grid, line, ring

LONG = 0.2
"""Seconds of computing after which somebody would have noticed."""

DEADLINE = 120.0
"""Seconds after which a request that does not return is given up: against endless ones, not a measure of speed."""


class Endless(BaseException):
    """A request did not return. No `Exception`, so that neither a planner nor Hypothesis goes on after it."""


def answer(planner: Planner, demand: Demand, residual: Residual) -> Outcome:
    """Return what *planner* plans; `Endless` when it has not returned after `DEADLINE`.

    It is interrupted by a timer's signal: in the main thread, unless something else has set that timer, and at Python
    code only. `within_deadline` ends compiled code, too, but takes a process each time.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getitimer(signal.ITIMER_REAL)[0]:
        return planner.plan(demand, residual)

    def give_up(*_: object) -> None:
        raise Endless(f"A1: the request did not return within {DEADLINE:g} s: {demand}")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, DEADLINE)
    try:
        return planner.plan(demand, residual)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def verify(topology: Topology, demand: Demand, residual: Residual, outcome: Outcome) -> None:
    """Assert that *outcome* is what the contract allows for these arguments (A3, A4)."""
    if isinstance(outcome, NoTree):
        assert outcome.reason, "a refusal has a reason"
        assert "\n" not in outcome.reason, "a reason is one line"
        assert isinstance(outcome.proved, bool)
        return
    assert isinstance(outcome, Tree), f"expected a Tree or a NoTree, got {outcome!r}"
    plain = isinstance(outcome.edges, tuple) and all(isinstance(edge, int) for edge in outcome.edges)
    assert plain, f"the edges of a tree are a tuple of int, got {outcome.edges!r}"
    loads = tree_loads(topology, outcome.edges, demand)  # ValueError tells why it is no tree
    short = check_fits(loads, residual)
    assert not short, f"edges {short} of {outcome} do not have what they are to carry, or are out"
    check_constraints(topology, outcome.edges, demand)  # likewise


def within_deadline(call: Callable[[], Outcome]) -> Any:
    """Run *call* in a child process and return what it returned; fail when it has not ended after `DEADLINE`."""
    context = multiprocessing.get_context("fork")  # the call need not be picklable
    here, there = context.Pipe(duplex=False)

    def child() -> None:
        there.send(call())

    process = context.Process(target=child, daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking while threads run; the child only computes
        process.start()
    there.close()
    try:
        assert here.poll(DEADLINE), f"A1: the request did not return within {DEADLINE:g} s"
        try:
            return here.recv()
        except EOFError:
            pytest.fail("A1: the planner raised or died in the child process; its traceback is in the captured output")
    finally:
        process.kill()
        process.join()
        here.close()


def _replay(planner: Planner, cases: list[Instance]) -> list[Outcome]:
    return [answer(planner, case.demand, case.residual) for case in cases]


def _sequence(seed: int) -> tuple[Topology, list[Instance]]:
    topology, residual = barabasi_albert(12, 2, seed=seed, capacity=60)
    terminals = [case.demand for case in instances(seed, 60)]
    return topology, [Instance(topology, residual, demand) for demand in terminals]


class AlgorithmContract:
    """Subclass it, and give the fixture `algorithm`."""

    @pytest.fixture
    def algorithm(self) -> Algorithm:
        """Return the algorithm to be tested."""
        raise NotImplementedError("override the fixture `algorithm`")

    @pytest.mark.parametrize("seed", range(4))
    def test_a1_a3_a4_what_is_answered_holds(self, algorithm: Algorithm, seed: int) -> None:
        """Seeded instances of all shapes: what is answered holds."""
        trees = 0
        for case in instances(seed, 300):
            outcome = answer(algorithm.planner(case.topology), case.demand, case.residual)
            verify(case.topology, case.demand, case.residual, outcome)
            trees += isinstance(outcome, Tree)
        assert trees > 100, "an algorithm finds a tree for a good part of these requests"

    @settings(
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
            HealthCheck.too_slow,
        ],
    )
    @given(case=any_instance())
    def test_a1_a3_a4_whatever_is_asked(self, algorithm: Algorithm, case: Instance) -> None:
        """Generated instances: what is answered holds."""
        outcome = answer(algorithm.planner(case.topology), case.demand, case.residual)
        verify(case.topology, case.demand, case.residual, outcome)

    def test_a1_a_single_vertex_needs_no_trunk(self, algorithm: Algorithm) -> None:
        """A single vertex has the empty tree."""
        topology, residual = line(3)
        outcome = answer(algorithm.planner(topology), demand_of((1, 10, 10)), residual)
        assert isinstance(outcome, Tree)
        assert tuple(outcome.edges) == ()

    def test_a1_without_a_connection_there_is_no_tree(self, algorithm: Algorithm) -> None:
        """Parts that are not connected are not joined."""
        topology, residual = from_pairs(4, [(0, 1), (2, 3)])
        assert isinstance(answer(algorithm.planner(topology), demand_of((0, 1, 1), (3, 1, 1)), residual), NoTree)

    def test_a1_a_network_without_trunks(self, algorithm: Algorithm) -> None:
        """A network without trunks refuses."""
        topology, residual = from_pairs(2, [])
        assert isinstance(answer(algorithm.planner(topology), demand_of((0, 1, 1), (1, 1, 1)), residual), NoTree)

    def test_a1_self_loops_are_no_way(self, algorithm: Algorithm) -> None:
        """A trunk from a switch to itself is never used."""
        topology, residual = from_pairs(3, [(0, 0), (0, 1), (1, 1), (1, 2)])
        outcome = answer(algorithm.planner(topology), demand_of((0, 1, 1), (2, 1, 1)), residual)
        assert isinstance(outcome, Tree)
        assert sorted(outcome.edges) == [1, 3]

    def test_a3_a_path_that_fits_is_found(self, algorithm: Algorithm) -> None:
        """The long way round is taken where the short one is too thin."""
        topology, residual = ring(5, capacity=100)
        residual.upstream[0] = 9
        outcome = answer(algorithm.planner(topology), demand_of((0, 10, 10), (1, 10, 10)), residual)
        assert isinstance(outcome, Tree)
        assert sorted(outcome.edges) == [1, 2, 3, 4]

    def test_a3_directions_are_told_apart(self, algorithm: Algorithm) -> None:
        """What fits one way does not fit the other way round."""
        topology, residual = line(2)
        residual.upstream[0], residual.downstream[0] = 600, 10
        planner = algorithm.planner(topology)
        assert isinstance(answer(planner, demand_of((0, 600, 10), (1, 10, 600)), residual), Tree)
        assert isinstance(answer(planner, demand_of((1, 600, 10), (0, 10, 600)), residual), NoTree)

    def test_a3_one_way_traffic_uses_a_one_way_trunk(self, algorithm: Algorithm) -> None:
        """A rate of zero needs nothing."""
        topology, residual = line(2)
        residual.upstream[0], residual.downstream[0] = 5, 0
        planner = algorithm.planner(topology)
        assert isinstance(answer(planner, demand_of((0, 5, 0), (1, 0, 5)), residual), Tree)
        assert isinstance(answer(planner, demand_of((0, 0, 5), (1, 5, 0)), residual), NoTree)

    def test_a3_a_trunk_parallel_to_another(self, algorithm: Algorithm) -> None:
        """Of parallel trunks those with room are taken."""
        topology, residual = from_pairs(3, [(0, 1), (1, 0), (0, 1), (1, 2), (2, 1)], capacity=10)
        residual.upstream[0] = residual.downstream[1] = residual.upstream[3] = 9
        outcome = answer(algorithm.planner(topology), demand_of((0, 10, 10), (2, 10, 10)), residual)
        assert isinstance(outcome, Tree)
        assert sorted(outcome.edges) == [2, 4]

    def test_a4_what_is_out_is_not_used_even_for_nothing(self, algorithm: Algorithm) -> None:
        """An edge with zero both ways is out, also for a load of zero."""
        topology, residual = line(3)
        residual.upstream[1] = residual.downstream[1] = 0
        demand = demand_of((0, 5, 0), (1, 0, 5), (2, 5, 0))
        assert isinstance(answer(algorithm.planner(topology), demand, residual), NoTree)
        quiet = demand_of((0, 5, 0), (2, 5, 0))  # nobody listens: no trunk carries anything
        assert isinstance(answer(algorithm.planner(topology), quiet, residual), NoTree)

    def test_a1_an_asymmetric_request_that_does_not_fit_ends(self, algorithm: Algorithm) -> None:
        """The request on which the broker that came before counted for ever."""
        topology, residual = line(2, capacity=1_000_000)
        residual.upstream[0] -= 600_000
        residual.downstream[0] -= 600_000
        demand = demand_of((0, 10_000, 600_000), (1, 600_000, 10_000))
        planner = algorithm.planner(topology)
        outcome = within_deadline(lambda: planner.plan(demand, residual))
        assert isinstance(outcome, NoTree)

    def test_a1_many_trunks_that_all_fall_short_end(self, algorithm: Algorithm) -> None:
        """One elimination after the other comes to an end."""
        topology, residual = grid(6, 6, capacity=30)
        corners = ((0, 10, 40), (5, 40, 10), (30, 10, 40), (35, 40, 10), (14, 40, 40))
        planner = algorithm.planner(topology)
        outcome = within_deadline(lambda: planner.plan(demand_of(*corners), residual))
        verify(topology, demand_of(*corners), residual, outcome)

    def test_a1_long_delays_end(self, algorithm: Algorithm) -> None:
        """Large delays cost no time."""
        topology, residual = barabasi_albert(30, 2, seed=7, capacity=15)
        slow = Topology(
            30, topology.tails, topology.heads, [10**12 + edge for edge in range(len(topology.tails))], topology.names
        )
        planner = algorithm.planner(slow)
        demand = demand_of((3, 10, 5), (17, 5, 10), (29, 10, 10), (11, 5, 5))
        outcome = within_deadline(lambda: planner.plan(demand, residual))
        verify(slow, demand, residual, outcome)

    def _plan_constrained(self, algorithm: Algorithm, case: Instance, demand: Demand) -> Outcome:
        if not algorithm.constraints:
            pytest.skip("the algorithm does not claim to keep constraints")
        outcome = answer(algorithm.planner(case.topology), demand, case.residual)
        verify(case.topology, demand, case.residual, outcome)
        return outcome

    @pytest.mark.parametrize("seed", range(2))
    def test_a9_what_must_be_passed_is_passed(self, algorithm: Algorithm, seed: int) -> None:
        """Vertices and edges to pass lie on the tree, or there is none."""
        random = Random(seed)
        passed = 0
        for case in instances(seed, 150):
            vertices, edges = range(case.topology.vertices), range(len(case.topology.tails))
            vertex = frozenset(random.sample(vertices, 1)) if random.random() < 0.6 else frozenset()
            edge = (
                frozenset(random.sample(edges, 1)) if edges and (not vertex or random.random() < 0.4) else frozenset()
            )
            demand = evolve(case.demand, pass_vertices=vertex, pass_edges=edge)
            passed += isinstance(self._plan_constrained(algorithm, case, demand), Tree)
        assert passed, "an algorithm that claims to keep constraints finds some tree"

    def test_a9_a_way_round_is_taken_to_pass_what_must_be(self, algorithm: Algorithm) -> None:
        """The long way round is the only one by way of a vertex or an edge."""
        topology, residual = ring(5)
        for demand in (
            evolve(demand_of((0, 1, 1), (1, 1, 1)), pass_vertices=frozenset({3})),
            evolve(demand_of((0, 1, 1), (1, 1, 1)), pass_edges=frozenset({2})),
        ):
            outcome = self._plan_constrained(algorithm, Instance(topology, residual, demand), demand)
            assert isinstance(outcome, Tree)
            assert sorted(outcome.edges) == [1, 2, 3, 4]

    def test_a9_ends_are_near_enough(self, algorithm: Algorithm) -> None:
        """No two ends are farther apart than asked for, and what only was not found is not said to be proved."""
        topology, residual = ring(6, delay=10)
        for most in range(0, 60, 5):
            demand = evolve(demand_of((0, 1, 1), (2, 1, 1)), max_delay=most)
            outcome = self._plan_constrained(algorithm, Instance(topology, residual, demand), demand)
            assert isinstance(outcome, Tree) == (most >= 20)
            all_of_them = evolve(demand_of(*((vertex, 1, 1) for vertex in range(6))), max_delay=most)
            outcome = self._plan_constrained(algorithm, Instance(topology, residual, all_of_them), all_of_them)
            assert isinstance(outcome, Tree) == (most >= 50)

    @pytest.mark.parametrize("seed", range(2))
    def test_a9_what_is_said_to_be_proved_is_true(self, algorithm: Algorithm, seed: int) -> None:
        """Where a refusal is `proved`, all trees are tried, one after the other: none is an answer."""
        random = Random(seed)
        for case in tight_instances(seed, 100):
            if algorithm.constraints and random.random() < 0.4:
                vertex, most = random.randrange(case.topology.vertices), random.choice((2, 60, 2000, None))
                demand = evolve(case.demand, pass_vertices=frozenset({vertex}), max_delay=most)
                case = evolve(case, demand=demand)
            outcome = answer(algorithm.planner(case.topology), case.demand, case.residual)
            verify(case.topology, case.demand, case.residual, outcome)
            if isinstance(outcome, NoTree) and outcome.proved:
                tree = next(trees_that_fit(case), None)
                assert tree is None, f"A9: not proved, edges with their loads {tree} are an answer to {case}"

    def test_a2_arguments_are_left_as_they_are(self, algorithm: Algorithm) -> None:
        """Neither argument is changed."""
        for case in instances(11, 120):
            planner = algorithm.planner(case.topology)
            demand, residual = copy.deepcopy(case.demand), copy.deepcopy(case.residual)
            answer(planner, case.demand, case.residual)
            assert case.demand == demand
            assert case.residual == residual

    def test_a2_residuals_may_change_between_requests(self, algorithm: Algorithm) -> None:
        """Each request sees the residuals as they are then."""
        topology, residual = line(2, capacity=10)
        planner = algorithm.planner(topology)
        demand = demand_of((0, 10, 10), (1, 10, 10))
        assert isinstance(answer(planner, demand, residual), Tree)
        residual.upstream[0] = 9
        assert isinstance(answer(planner, demand, residual), NoTree)
        residual.upstream[0] = 10
        assert isinstance(answer(planner, demand, residual), Tree)

    def test_a5_the_same_requests_have_the_same_answers(self, algorithm: Algorithm) -> None:
        """A second planner repeats the first."""
        topology, cases = _sequence(3)
        first = _replay(algorithm.planner(topology), cases)
        assert _replay(algorithm.planner(topology), cases) == first

    def test_a5_also_in_another_process(self, algorithm: Algorithm) -> None:
        """Another process repeats it too."""
        topology, cases = _sequence(4)
        here = _replay(algorithm.planner(topology), cases)
        # Compared, never used as what it is.
        there: Any = within_deadline(lambda: _replay(algorithm.planner(topology), cases))  # type: ignore[arg-type,return-value]
        assert there == here

    def test_a8_several_planners_side_by_side(self, algorithm: Algorithm) -> None:
        """Planners do not disturb each other."""
        sequences = [_sequence(seed) for seed in (5, 6, 7)]
        alone = [_replay(algorithm.planner(topology), cases) for topology, cases in sequences]
        planners = [algorithm.planner(topology) for topology, _ in sequences]
        together: list[list[Outcome]] = [[] for _ in planners]
        for turn in range(len(sequences[0][1])):
            for planner, (_, cases), answers in zip(planners, sequences, together, strict=True):
                answers.append(answer(planner, cases[turn].demand, cases[turn].residual))
        assert together == alone

    def test_a10_warming_up_changes_no_answer(self, algorithm: Algorithm) -> None:
        """What was begun in the background makes no difference, whether it is called once or twice."""
        topology, cases = _sequence(8)
        before = _replay(algorithm.planner(topology), cases)
        algorithm.warm_up()
        assert _replay(algorithm.planner(topology), cases) == before
        algorithm.warm_up()
        assert _replay(algorithm.planner(topology), cases) == before

    def test_a11_a_long_search_gives_way(self, algorithm: Algorithm, monkeypatch: pytest.MonkeyPatch) -> None:
        """While something short waits, what computes for long stands aside, and still answers.

        The clause is about long computing, so this looks at CPU time: what answers within `LONG` is not asked for more.
        """
        topology, _ = barabasi_albert(128, 2, seed=1)
        random = Random(11)
        rates = [random.choice((10, 20, 30, 40, 60)) for _ in topology.tails]
        residual = Residual(rates, rates[::-1])
        planner = algorithm.planner(topology)
        monkeypatch.setattr(precedence, "SHORT", math.inf)  # what waits here waits for as long as it takes
        expect_step()
        try:
            for _ in range(5):
                places = random.sample(range(topology.vertices), 10)
                demand = demand_of(*((v, random.choice((5, 10, 11)), random.choice((5, 10, 12))) for v in places))
                before, paused = time.thread_time(), pauses()
                outcome = answer(planner, demand, residual)
                spent = time.thread_time() - before
                verify(topology, demand, residual, outcome)
                assert spent < LONG or pauses() > paused, f"A11: it computed for {spent:.1f} s, and never gave way"
        finally:
            step_over()

    def test_a7_an_unknown_setting_is_refused(self, algorithm: Algorithm) -> None:
        """A setting that does not exist is an error."""
        with pytest.raises((ConfigInvalid, TypeError)):
            type(algorithm)(**{"no_such_setting": 1})
