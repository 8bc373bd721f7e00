"""The replay and its figures, on an arena without a broker."""

import pytest
from dpb_pathcomp.bast import Bast
from dpb_pathcomp.bench.figures import Figures, Quantiles, Samples
from dpb_pathcomp.bench.replay import replay, yardstick
from dpb_pathcomp.bench.stopwatch import Stopwatch, Timed
from dpb_pathcomp.bench.workload import Link, Request, Workload

from dpb_framework.contracts.algorithm import Tree
from dpb_framework.errors import NoCapacity
from dpb_framework.model import Segment
from dpb_framework.testing.instances import demand_of
from dpb_framework.testing.topologies import line

WORKLOAD = Workload(
    ("v0", "v1", "v2"),
    (Link(0, 1, 100, 1000, 5), Link(1, 0, 50, 1000, 5), Link(1, 2, 0, 1000, 5)),
    tuple(Request((0, 2), rate) for rate in (10, 20, 999, 30, 40)),
)


class FakeArena:
    """Refuses 999 kbit/s."""

    def __init__(self) -> None:
        self.planning = Stopwatch()
        self.active: list[object] = []

    def segment(self, request: Request) -> Segment:
        return Segment.of(*((f"v{node}", None, request.rate, request.rate) for node in request.nodes))

    def define(self, segment: Segment) -> object:
        rate = segment.ends[0].flow.ingress
        with self.planning:
            if rate == 999:
                raise NoCapacity("bench", "too much")
        return rate

    def activate(self, service: object) -> None:
        self.active.append(service)

    def reserved(self) -> int:
        return 1500


def run(**options: int | bool) -> tuple[Figures, FakeArena]:
    arena = FakeArena()
    return replay(WORKLOAD, arena, algorithm="bast", store="memory", **options), arena  # type: ignore[arg-type]


def test_it_stops_at_the_first_refusal() -> None:
    figures, arena = run()
    assert (figures.accepted, figures.refused) == (2, 1)
    assert arena.active == [10, 20]
    assert figures.first_refusal == "request 2: network 'bench' cannot carry the segment: too much"
    assert (len(figures.define.thread), len(figures.plan.wall), len(figures.dijkstra.process)) == (3, 3, 1)


def test_it_goes_past_refusals_when_told() -> None:
    figures, arena = run(past_refusals=True)
    assert (figures.accepted, figures.refused) == (4, 1)
    assert arena.active == [10, 20, 30, 40]


def test_it_replays_no_more_than_the_limit() -> None:
    figures, _ = run(limit=1)
    assert (figures.accepted, figures.refused, figures.first_refusal) == (1, 0, "")


def test_of_parallel_trunks_the_yardstick_has_the_quickest() -> None:
    graph = yardstick(WORKLOAD)
    assert sorted(graph.edges(data="weight")) == [(0, 1, 50), (1, 2, 0)]


def test_quantiles_lie_between_samples() -> None:
    assert Quantiles.of([]) == Quantiles(0, 0)
    assert Quantiles.of([5000]) == Quantiles(5, 5)
    assert Quantiles.of([4000, 1000, 2000, 3000]) == Quantiles(2.5, 3.85)
    assert Quantiles(10, 30).per(20) == {"median": 0.5, "p95": 1.5}
    assert Quantiles(10, 30).per(0) == {"median": 0, "p95": 0}


def samples(*microseconds: int) -> Samples:
    times = [time * 1000 for time in microseconds]
    return Samples(times, [2 * time for time in times], [3 * time for time in times])


FIGURES = Figures(
    "bast", "memory", 200, 1, 12_500, samples(20), samples(*[100] * 150, *[300] * 50), samples(40), "request 200: full"
)


def test_the_figures_as_data() -> None:
    data = FIGURES.plain()
    assert (data["accepted"], data["refused"], data["reserved_mbps"]) == (200, 1, 12.5)
    assert data["plan_cpu_us"] == {"median": 20, "p95": 20}
    assert data["plan_cpu_dijkstras"] == {"median": 0.5, "p95": 0.5}
    assert data["plan_wall_us"] == {"median": 60, "p95": 60}
    assert data["define_cpu_us"] == {"median": 100, "p95": 300}
    assert data["define_cpu_dijkstras"] == {"median": 2.5, "p95": 7.5}
    assert data["define_process_cpu_us"] == {"median": 200, "p95": 600}
    assert data["dijkstra_cpu_us"] == {"median": 40, "p95": 40}
    assert data["dijkstra_wall_us"] == {"median": 120, "p95": 120}
    assert (data["define_cpu_us_first_hundred"], data["define_cpu_us_last_hundred"]) == (100, 200)


def test_the_figures_for_people() -> None:
    text = FIGURES.table()
    assert text.startswith("algorithm bast, store memory: 200 accepted, 1 refused, 12.5 Mbit/s reserved\n")
    assert "define, CPU                    100.0       300.0        2.50    7.50" in text.splitlines()
    assert text.endswith("first refusal: request 200: full")


def test_a_timed_algorithm_answers_as_the_real_one() -> None:
    topology, residual = line(3)
    watch = Stopwatch()
    outcome = Timed(Bast(), watch).planner(topology).plan(demand_of((0, 1, 1), (2, 1, 1)), residual)
    assert isinstance(outcome, Tree)
    assert sorted(outcome.edges) == [0, 1]
    assert len(watch.samples.thread) == 1


def test_a_stopwatch_keeps_the_time_of_what_fails() -> None:
    watch = Stopwatch()
    with pytest.raises(NoCapacity), watch:
        raise NoCapacity("bench", "too much")
    assert len(watch.samples.wall) == len(watch.samples.process) == 1
