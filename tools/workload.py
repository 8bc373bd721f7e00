"""Write a workload for `dpb bench replay`: a Barabasi-Albert network, and requests, as in the paper's evaluation.

Each trunk has as many Gbit/s as the lesser of its two nodes' degrees and 300 labels; each request joins 2 to 4
terminals with 10 Mbit/s.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from typing import Any

from dpb_pathcomp.bench.topologies import scale_free


def workload(nodes: int, requests: int, seed: int) -> dict[str, Any]:
    """Return the document: a topology, and requests in order."""
    rng = random.Random(seed)
    edges = scale_free(nodes, 2, rng)
    degrees = Counter(node for edge in edges for node in edge)
    return {
        "source": f"Barabasi-Albert, {nodes} nodes, m=2, seed {seed}",
        "topology": {
            "nodes": [{"id": f"v{node}", "degree": degrees[node]} for node in range(nodes)],
            "trunks": [
                {
                    "a": f"v{a}",
                    "b": f"v{b}",
                    "delay": round(rng.uniform(3, 9), 3),
                    "capacity": 1000.0 * min(degrees[a], degrees[b]),
                    "labels": 300,
                }
                for a, b in edges
            ],
        },
        "requests": [
            {"terminals": [f"a{node}" for node in rng.sample(range(nodes), rng.randint(2, 4))], "mbps": 10.0}
            for _ in range(requests)
        ],
    }


def main() -> None:
    """Print the workload that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=54)
    parser.add_argument("--requests", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    json.dump(workload(asked.nodes, asked.requests, asked.seed), sys.stdout, indent=1)


if __name__ == "__main__":
    main()
