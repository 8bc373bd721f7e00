"""Complete and optimal path computation: never refuses what fits, and proves what it refuses.

Dynamic programming over sets of terminals with the hose model's loads, and branching where its answer is no tree. A
request ends in one of three ways, never one for another: the cheapest tree; the proof that no tree fits; given up,
because the bound on the work was met.
"""

from __future__ import annotations

from dpb_framework.contracts.algorithm import Algorithm, Demand, NoTree, Outcome, Planner, Residual, Topology, Tree
from dpb_framework.errors import ConfigInvalid
from dpb_framework.networks.tree import tree_loads
from dpb_framework.precedence import give_way
from dpb_pathcomp.compilation import COMPILATION
from dpb_pathcomp.explaining import explain, too_slow
from dpb_pathcomp.fast import FastSearches
from dpb_pathcomp.loads import Ends, Loads
from dpb_pathcomp.mirror import Mirror
from dpb_pathcomp.naming import places
from dpb_pathcomp.problem import GaveUp, Problem, Work
from dpb_pathcomp.searches import PLAIN, Searches
from dpb_pathcomp.shortness import Quickest, keeps
from dpb_pathcomp.solving import Solved, solve, too_large
from dpb_pathcomp.weights import COSTS

WORK = 600_000
"""Steps of search for one request: about 0.1 s of plain Python."""


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return *value* when it is one of *choices*; `ConfigInvalid` otherwise."""
    if not isinstance(value, str) or value not in choices:
        raise ConfigInvalid(name, f"expected one of {', '.join(choices)}; got {value!r}"[:200])
    return value


def check_work(value: object) -> int:
    """Return *value* when it can be a bound on work; `ConfigInvalid` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigInvalid("work", f"expected a whole number, got {value!r}"[:200])
    if value < 1:
        raise ConfigInvalid("work", f"expected 1 or more, got {value}")
    return value


class Exact(Algorithm):
    """The cheapest tree, or the proof that there is none.

    `cost` is what a trunk costs: `hops` 1; `delay` its microseconds; `load` about 1/residual times what the request
    takes of it; `exponential` likewise, exponential in its utilisation. `work` bounds a request, in steps of search.
    `engine`: `python`; `numba` or `auto`, which serve in plain Python until the searches are compiled (in the
    background) and wherever numba is missing. All engines give the same answers.
    """

    constraints = True

    def __init__(self, *, cost: str = "load", work: int = WORK, engine: str = "auto") -> None:
        self.cost = COSTS[check_choice("cost", cost, tuple(COSTS))]
        self.work = check_work(work)
        self.compile = check_choice("engine", engine, ("auto", "python", "numba")) != "python"

    def planner(self, topology: Topology) -> ExactPlanner:
        """Return a planner for this shape: O(vertices + edges). It begins to compile, if nobody did."""
        self.warm_up()
        return ExactPlanner(Mirror(topology, self.cost), self.work, self.compile)

    def warm_up(self) -> None:
        """Begin to compile, unless told otherwise."""
        if self.compile:
            COMPILATION.start()


class ExactPlanner(Planner):
    """Plans on one topology. An answer depends on the arguments only, not on what was asked before."""

    def __init__(self, mirror: Mirror, work: int, fast: bool = False) -> None:
        self._mirror = mirror
        self._work = work
        self._engine: Searches = PLAIN
        self._waiting = fast

    def plan(self, demand: Demand, residual: Residual) -> Outcome:
        """Return the cheapest tree; `NoTree`, `proved`, with a certificate; or `NoTree` that gives up.

        A tree that is not proved to be the cheapest says so in its note. With a bound on the delay, the cheapest tree
        of all is returned if it keeps it, or else the cheapest of those that were tried.
        """
        self._mirror.follow(residual)
        give_way()
        ends = Ends.of(demand)
        if not ends.bits:
            return Tree(())
        work = Work(self._work)
        if self._waiting and COMPILATION.compiled is not None:
            self._engine = FastSearches(self._mirror, COMPILATION.compiled)
            self._waiting = False
        solved = solve(self._engine, self._mirror, demand, ends, work)
        if solved.uses:
            tree = self._tree(solved)
            if demand.max_delay is None or keeps(self._mirror.topology, tree.edges, demand):
                return tree
            try:
                return self._within_delay(demand, residual, work)
            except GaveUp:
                return self._given_up(demand)
        if solved.proved:
            return self._refuse(demand, solved)
        return self._given_up(demand)

    def refuse_cut(self, demand: Demand, residual: Residual, near: list[int]) -> NoTree | None:
        """Explain what was proved elsewhere by the cut around the vertices *near*; None for too many ends."""
        if too_large(self._mirror, Ends.of(demand), self._work):
            return None
        self._mirror.follow(residual)
        problem = Problem.of(self._mirror, Loads(Ends.of(demand), self._mirror.cost.by_load), demand.prefer)
        return self._refuse(demand, Solved(problem, [], True, near=near))

    def _refuse(self, demand: Demand, solved: Solved) -> NoTree:
        return explain(demand, solved, lambda *extra: self._would(demand, *extra), Work(self._work // 4))

    def _tree(self, solved: Solved) -> Tree:
        assert solved.problem is not None
        loads, weights = solved.problem.loads, self._mirror.weights
        cost = sum([weights[arc >> 1] * loads.cost[gathered] for arc, gathered in solved.uses]) * loads.unit
        note = "" if solved.proved else "the bound on the work was met: there may be a cheaper tree"
        return Tree(tuple([arc >> 1 for arc, _ in solved.uses]), cost, note)

    def _would(self, demand: Demand, edge: int, upstream: int, downstream: int, work: Work) -> bool:
        with self._mirror.lent(edge, upstream, downstream):
            return bool(solve(self._engine, self._mirror, demand, Ends.of(demand), work).uses)

    def _within_delay(self, demand: Demand, residual: Residual, work: Work) -> Outcome:
        """Answer a request whose cheapest tree is too slow."""
        assert demand.max_delay is not None
        topology = self._mirror.topology
        quickest = Quickest(topology, demand, residual, work)
        apart = quickest.too_far(demand.max_delay)
        if apart is not None:
            return too_slow(topology, demand.max_delay, *apart)
        trees = [] if demand.pass_edges or demand.pass_vertices else quickest.trees()
        if not trees:
            return NoTree(f"given up: no tree joining {self._who(demand)} within {demand.max_delay} us was found")
        costs = {edges: tree_cost(self._mirror, edges, demand) for edges in trees}
        best = min(trees, key=lambda edges: (costs[edges], edges))
        return Tree(best, costs[best], "the bound on the delay ruled the cheapest tree out: there may be a cheaper one")

    def _given_up(self, demand: Demand) -> NoTree:
        return NoTree(
            f"given up: no tree joining {self._who(demand)} was found within the bound on the work, nor a proof of none"
        )

    def _who(self, demand: Demand) -> str:
        return places(self._mirror.topology, list(dict.fromkeys(demand.vertices)))


def tree_cost(mirror: Mirror, edges: tuple[int, ...], demand: Demand) -> int:
    """Return what a tree costs, in the unit of the mirror's cost."""
    weights, by_load = mirror.weights, mirror.cost.by_load
    loads = tree_loads(mirror.topology, edges, demand)
    return sum(weights[edge] * (max(1, up + down) if by_load else 1) for edge, up, down in loads)
