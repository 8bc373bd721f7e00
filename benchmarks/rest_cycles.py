"""Whole cycles a second of one client: create, define, activate, await, release, await, each promise on the disk.

The service has three terminals, on a ring of emulated switches. Beside it: what the disk takes for a commit, and who
used the CPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from bench_broker import STEPS, Client, broker, configuration, cycle, disk, ms, ring, segment, show

BLOCKS = 5


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=500)
    parser.add_argument("--switches", type=int, default=6)
    parser.add_argument("--store", choices=["sqlite", "memory"], default="sqlite")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="where the database lies")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    switches = [f"s{number}" for number in range(asked.switches)]
    config = configuration({**dict.fromkeys(switches, ()), "wan": switches}, asked.store)
    with broker(config, asked.folder) as serving:
        before = disk(serving.folder)
        client = Client(serving.url)
        ring(client, switches)
        body = segment([switches[0], switches[asked.switches // 3], switches[2 * asked.switches // 3]], 100)
        for _ in range(30):
            cycle(client, body)
        rates, steps = [], []
        server, ours, begin = serving.cpu, time.process_time(), time.perf_counter()
        for _ in range(BLOCKS):
            started = time.perf_counter()
            steps += [cycle(client, body) for _ in range(asked.cycles // BLOCKS)]
            rates.append(asked.cycles // BLOCKS / (time.perf_counter() - started))
        elapsed = time.perf_counter() - begin
        count = asked.cycles // BLOCKS * BLOCKS
        server, ours = (serving.cpu - server) / count, (time.process_time() - ours) / count
        after = disk(serving.folder)
        client.close()
    show(
        "rest_cycles",
        {
            "cycles": count,
            "store": asked.store,
            "cycles-per-second": round(statistics.median(rates), 1),
            "of each block": [round(rate, 1) for rate in rates],
            "a cycle, ms": {
                "elapsed": ms(elapsed / count),
                "CPU of the broker": ms(server),
                "CPU of the client": ms(ours),
            },
            "each request, median ms": {
                name: ms(statistics.median(times)) for name, times in zip(STEPS, zip(*steps, strict=True), strict=True)
            },
            "the disk, before": before,
            "the disk, after": after,
        },
        asked.json,
    )


if __name__ == "__main__":
    main()
