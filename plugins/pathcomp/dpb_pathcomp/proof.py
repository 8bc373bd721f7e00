"""A refusal's certificate: why there is no tree, as plain data that a program can check (`check`).

Vertices and edges are told by their numbers in the topology. See the README for the format.
"""

from __future__ import annotations

from typing import Any

from dpb_pathcomp.branching import Branch
from dpb_pathcomp.closure import reachable, vertices_of
from dpb_pathcomp.loads import Loads
from dpb_pathcomp.problem import GaveUp, Problem, Work
from dpb_pathcomp.solving import Solved

ENTRIES = 4000
"""A certificate with more vertices than this is not written down."""


def certificate(solved: Solved, work: Work) -> dict[str, Any]:
    """Return the certificate of a refusal: `cut`, `sets`, `branches`; `search` for one that would be too long."""
    problem = solved.problem
    assert problem is not None
    if solved.near is not None:
        return {"kind": "cut", "near": solved.near}
    root = problem.loads.root
    if solved.reached is not None:
        reached = _written(problem.loads, solved.reached)
        if sum(len(entry["at"]) for entry in reached) <= ENTRIES:
            return {"kind": "sets", "root": root, "reached": reached}
    elif solved.root is not None:
        room = Work(ENTRIES)
        try:
            return {"kind": "branches", "root": root, "branch": _branch(problem, solved.root, work, room)}
        except GaveUp:
            pass
    return {"kind": "search", "root": root, "conflicts": solved.conflicts}


def _branch(problem: Problem, branch: Branch, work: Work, room: Work) -> dict[str, Any]:
    if branch.with_bit is None or branch.without_bit is None:
        reached = _written(problem.loads, reachable(problem, branch.rules, work))
        room.left -= sum(len(entry["at"]) for entry in reached)
        if room.left < 0:
            raise GaveUp
        return {"reached": reached}
    return {
        "vertex": branch.vertex,
        "of": _members(problem.loads, branch.bit),
        "passes": _branch(problem, branch.with_bit, work, room),
        "passes not": _branch(problem, branch.without_bit, work, room),
    }


def _written(loads: Loads, reached: list[int]) -> list[dict[str, Any]]:
    return [
        {**_members(loads, gathered), "at": vertices_of(vertices)}
        for gathered, vertices in enumerate(reached)
        if vertices
    ]


def _members(loads: Loads, gathered: int) -> dict[str, Any]:
    """Return the terminals (and vertices to pass) of a set by their vertices, and edges to pass where there are any."""
    members: dict[str, Any] = {"terminals": [home for n, home in enumerate(loads.homes) if gathered >> n & 1]}
    edges = [edge for edge, bit in loads.edge_bits.items() if gathered & bit]
    if edges:
        members["edges"] = edges
    return members
