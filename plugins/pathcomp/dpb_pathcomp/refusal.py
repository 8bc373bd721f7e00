"""What to tell of a request that has no tree: who is cut off, by which trunks, and the scarcest of them.

Runs only for refusals, once each: O(vertices + edges).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dpb_framework.contracts.algorithm import Demand, NoTree, Residual, Topology
from dpb_pathcomp.naming import place, places, trunk, trunks


def cut_off(
    topology: Topology,
    demand: Demand,
    residual: Residual,
    reached: Sequence[bool],
    closed: Sequence[bool],
    need: tuple[int, int],
    left_out: Mapping[int, int],
) -> NoTree:
    """Tell that a search which could go no further has not met all terminals.

    *need* is what a trunk had to have left (kbit/s), away from where the search began and back. *closed* vertices
    lead to no terminal. *left_out* has for each trunk that fell short of its load by how much, kbit/s. The scarcest
    trunk is the one between both sides that lacks most; trunks that are out count only when there is no other. The
    facts are `cut_off`, `joined`, `trunks` (names), `scarcest` (a name, or None), `lacks` (kbit/s) and `left_out`.
    """
    lacks: dict[int, int] = {}
    out: dict[int, int] = {}
    for edge, (tail, head) in enumerate(zip(topology.tails, topology.heads, strict=True)):
        if reached[tail] == reached[head] or closed[tail] or closed[head]:
            continue
        up, down = residual.upstream[edge], residual.downstream[edge]
        away, back = (up, down) if reached[tail] else (down, up)
        side = lacks if up or down else out
        side[edge] = left_out.get(edge, max(need[0] - away, need[1] - back))
    cut = sorted([*lacks, *out])
    scarcest = _most(lacks) if lacks else _most(out)
    joined = [vertex for vertex in dict.fromkeys(demand.vertices) if reached[vertex]]
    missing = [vertex for vertex in dict.fromkeys(demand.vertices) if not reached[vertex]]
    who = f"{places(topology, missing)} cannot be joined with {places(topology, joined)}"
    if scarcest is None:
        why = "no trunk leads from one to the other"
    elif not lacks:
        why = f"no trunk between them has anything left ({trunks(topology, out)})"
    else:
        one = f"{trunk(topology, scarcest)} lacks {max(1, lacks[scarcest])} kbit/s"
        why = f"the only trunk between them, {one}" if len(cut) == 1 else f"of {len(cut)} trunks between them {one}"
    return NoTree(
        f"{who}: {why}",
        # One trunk that fell short and parts the terminals alone carries the same in every tree.
        proved=len(left_out) < 2,
        facts=_facts(topology, missing, joined, cut, scarcest, lacks | out, left_out),
    )


def tired(topology: Topology, demand: Demand, left_out: Mapping[int, int]) -> NoTree:
    """Tell that the bound on the work was met; what was *left_out* by then (edge to lack in kbit/s) is not empty."""
    scarcest = _most(left_out)
    assert scarcest is not None
    everyone = list(dict.fromkeys(demand.vertices))
    return NoTree(
        f"no tree joining {places(topology, everyone)} was found within the bound on the work:"
        f" {len(left_out)} trunks were left out, of them {trunk(topology, scarcest)} lacks"
        f" {left_out[scarcest]} kbit/s",
        proved=False,
        facts=_facts(topology, everyone, [], [], scarcest, left_out, left_out),
    )


def _facts(
    topology: Topology,
    missing: Collection[int],
    joined: Collection[int],
    cut: Collection[int],
    scarcest: int | None,
    lacks: Mapping[int, int],
    left_out: Collection[int],
) -> dict[str, Any]:
    return {
        "cut_off": [place(topology, vertex) for vertex in missing],
        "joined": [place(topology, vertex) for vertex in joined],
        "trunks": [trunk(topology, edge) for edge in cut],
        "scarcest": None if scarcest is None else trunk(topology, scarcest),
        "lacks": 0 if scarcest is None else lacks[scarcest],
        "left_out": [trunk(topology, edge) for edge in left_out],
    }


def _most(lacks: Mapping[int, int]) -> int | None:
    return max(lacks, key=lambda edge: (lacks[edge], -edge), default=None)
