"""What 2000 waiting calls and 200 event streams cost everybody else.

Other requests (lists of services, single services, whole cycles) are measured with them and without, in alternating
pairs; told are the ratios of the medians.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench_broker import Broker, Client, broker, configuration, cycle, ms, ring, segment, show

HOLDER = Path(__file__).with_name("waiting_clients.py")
SERVICES = 20
"""How many services there are while others come and go."""


@contextmanager
def waiting(url: str, service: int, waiters: int, streams: int) -> Iterator[None]:
    """Hold them open, in a process of their own."""
    command = [sys.executable, str(HOLDER), url, str(service), str(waiters), str(streams)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != b"open\n":
                raise SystemExit("the waiting clients could not be set up")
            yield
            if process.poll() is not None:
                raise SystemExit("the waiting clients did not last")
        finally:
            process.stdin.close()
            process.wait(60)


def mix(client: Client, body: object, service: int) -> dict[str, float]:
    """Do a mix of requests once; the seconds for each kind of it and for all."""
    begin = time.perf_counter()
    for _ in range(20):
        client.send("GET", "/api/v1/networks/wan/services")
    listed = time.perf_counter()
    for _ in range(40):
        client.send("GET", f"/api/v1/networks/wan/services/{service}")
    shown = time.perf_counter()
    for _ in range(5):
        cycle(client, body)
    end = time.perf_counter()
    return {
        "20 lists of services": listed - begin,
        "40 single services": shown - listed,
        "5 whole cycles": end - shown,
        "all": end - begin,
    }


def settle(serving: Broker) -> None:
    """Wait until the broker has done with connections that came or went: until it uses no CPU any more."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        before = serving.cpu
        time.sleep(0.3)
        if serving.cpu - before < 0.02:
            return


def measure(client: Client, body: object, service: int, serving: Broker, times: int) -> dict[str, float]:
    """The medians of several mixes."""
    settle(serving)
    cpu = serving.cpu
    found = [mix(client, body, service) for _ in range(times)]
    medians = {kind: statistics.median(each[kind] for each in found) for kind in found[0]}
    return {**medians, "CPU of the broker": (serving.cpu - cpu) / times}


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--waiters", type=int, default=2000)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--mixes", type=int, default=3, help="how many mixes each half of a pair consists of")
    parser.add_argument("--store", choices=["sqlite", "memory"], default="sqlite")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="where the database lies")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the broker inherits it
    switches = [f"s{number}" for number in range(6)]
    config = configuration({**dict.fromkeys(switches, ()), "wan": switches}, asked.store)
    without: list[dict[str, float]] = []
    beside: list[dict[str, float]] = []
    setup = []
    with broker(config, asked.folder) as serving:
        client = Client(serving.url)
        ring(client, switches)
        ends = [{"terminal": name, "ingress": 10, "egress": 10} for name in switches[:3]]
        for _ in range(SERVICES):
            made = client.ask("POST", "/api/v1/networks/wan/services", {"segment": ends, "activate": True})
        service = made["id"]
        client.send("GET", f"/api/v1/networks/wan/services/{service}/await?status=ACTIVE")
        body = segment(switches[::2], 4000)
        measure(client, body, service, serving, 2)
        for pair in range(asked.pairs):
            halves = [without, beside] if pair % 2 else [beside, without]
            for half in halves:
                if half is without:
                    half.append(measure(client, body, service, serving, asked.mixes))
                    continue
                begin = time.perf_counter()
                with waiting(serving.url, service, asked.waiters, asked.streams):
                    setup.append(time.perf_counter() - begin)
                    half.append(measure(client, body, service, serving, asked.mixes))
        client.close()
    medians = {
        kind: (statistics.median(m[kind] for m in without), statistics.median(m[kind] for m in beside))
        for kind in without[0]
    }
    show(
        "waiters",
        {
            "waiting calls": asked.waiters,
            "event streams": asked.streams,
            "store": asked.store,
            "pairs": asked.pairs,
            "median ms, without and with": {kind: [ms(a), ms(b)] for kind, (a, b) in medians.items()},
            "ratio of the medians": {kind: round(b / a, 3) for kind, (a, b) in medians.items()},
            "to set them up, median s": round(statistics.median(setup), 2),
        },
        asked.json,
    )


if __name__ == "__main__":
    main()
