"""What one aggregator's planning costs the services of another: one is flooded with the dearest requests.

A broker with two aggregators: a ring of six switches, and a Barabasi-Albert network whose trunks are thin. Clients ask
the second about services of many terminals with unequal rates, one after the other without a pause: what would become
of them (nothing but planning), or with `--flood services` for the services themselves, whose requests are also read,
written and committed. Meanwhile services are made, defined and released on the ring. Told is how long their defines
take with the flood and without, in alternating blocks. What the flood needs is one thread; so half of a processor, or
another one, is the ring's share: twice the time at the most. The flood has its share too: told is how much fewer of
its requests are answered while the ring is busy.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random

from bench_broker import Broker, Client, broker, configuration, ms, ring, segment, show

from dpb_framework.testing.topologies import barabasi_albert

SMALL = [f"r{number}" for number in range(6)]
LABELS = [{"start": 1, "count": 300}]


def settings(switches: Sequence[str], store: str, engine: str) -> str:
    """The configuration: both aggregators plan with `adaptive`, in the engine asked for; `bast` for itself."""
    text = configuration({name: [] for name in (*SMALL, *switches)} | {"wan": SMALL, "big": switches}, store)
    chosen = 'algorithm = "bast"\n'
    if engine != "bast":
        chosen = f'algorithm = "adaptive"\nalgorithm-settings = {{ engine = "{engine}" }}\n'
    return text.replace("inferiors = ", f"{chosen}inferiors = ")


def build(client: Client, switches: Sequence[str], seed: int) -> None:
    """Make the ring, and the large network with trunks of 10 to 60 Mbit/s and a terminal at each switch."""
    ring(client, SMALL)
    random = Random(seed)
    topology, _ = barabasi_albert(len(switches), 2, seed=seed)
    for name in switches:
        client.send("PUT", f"/api/v1/networks/{name}/terminals/access", {"place": "access"})
        client.send("PUT", f"/api/v1/networks/big/terminals/{name}", {"place": f"{name}:access"})
    for edge, ends in enumerate(zip(topology.tails, topology.heads, strict=True)):
        for end in ends:
            client.send("PUT", f"/api/v1/networks/{switches[end]}/terminals/t{edge}", {"place": f"t{edge}"})
        start, end = (f"{switches[vertex]}:t{edge}" for vertex in ends)
        trunk = {"start": start, "end": end, "delay": 5, "labels": LABELS}
        trunk |= {way: random.choice((10, 20, 30, 40, 60)) for way in ("upstream", "downstream")}
        client.send("PUT", f"/api/v1/networks/big/trunks/t{edge}", trunk)


class Flood:
    """Clients that ask the large network without a pause: what if; or for services, given up at once."""

    def __init__(self, serving: Broker, switches: Sequence[str], clients: int, seed: int, plans: bool) -> None:
        self._serving = serving
        self._switches = switches
        self._plans = plans
        self._over = threading.Event()
        self.took: list[float] = []
        self._threads = [threading.Thread(target=self._ask, args=(Random(seed + n), n)) for n in range(clients)]

    def __enter__(self) -> Flood:
        for thread in self._threads:
            thread.start()
        while not self.took:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, random: Random, label: int) -> None:
        address = self._serving.url.removeprefix("http://")
        with closing(http.client.HTTPConnection(address)) as connection:

            def send(path: str, body: object = None) -> bytes:
                connection.request("POST", path, json.dumps(body or {}))
                return connection.getresponse().read()

            while not self._over.is_set():
                if self._plans:
                    begin = time.perf_counter()
                    send("/api/v1/networks/big/plans", {"segment": self._ends(random, label, "terminal", "")})
                    self.took.append(time.perf_counter() - begin)
                    continue
                service = f"/network/big/service/{json.loads(send('/network/big/create-service'))['service-id']}"
                segment = self._ends(random, label, "terminal-name", "-bw")
                begin = time.perf_counter()
                send(f"{service}/define", {"segment": segment})
                self.took.append(time.perf_counter() - begin)
                send(f"{service}/release")

    def _ends(self, random: Random, label: int, terminal: str, rate: str) -> object:
        """Ends in the words of either interface."""
        return [
            {
                terminal: name,
                "label": label + 1,
                f"ingress{rate}": random.choice((5, 10, 11)),
                f"egress{rate}": random.choice((5, 10, 12)),
            }
            for name in random.sample(self._switches, random.choice((8, 9, 10, 11, 12)))
        ]


def defines(client: Client, seconds: float) -> list[float]:
    """Make, define and release services on the ring for so long; the seconds of each define."""
    took = []
    body = segment(SMALL[:3], 1)
    over = time.perf_counter() + seconds
    while time.perf_counter() < over:
        id_ = client.ask("POST", "/network/wan/create-service")["service-id"]
        begin = time.perf_counter()
        client.send("POST", f"/network/wan/service/{id_}/define", body)
        took.append(time.perf_counter() - begin)
        client.send("POST", f"/network/wan/service/{id_}/release")
        client.send("GET", f"/network/wan/service/{id_}/await-status?acceptable=RELEASED&timeout-millis=30000")
    return took


def measure(engine: str, asked: argparse.Namespace) -> dict[str, object]:
    """Alternate blocks with the flood and without."""
    switches = [f"s{number}" for number in range(asked.switches)]
    with (
        broker(settings(switches, asked.store, engine), asked.folder) as serving,
        closing(Client(serving.url)) as client,
    ):
        build(client, switches, asked.seed)
        defines(client, 1)
        flood = partial(Flood, serving, switches, asked.clients, plans=asked.flood == "plans")
        if engine == "auto":
            with flood(asked.seed):
                time.sleep(asked.compiling)  # machine code may have to be made first
        alone: list[float] = []
        beside: list[float] = []
        flooding: list[float] = []
        undisturbed: list[float] = []
        for block in range(asked.blocks):
            alone += defines(client, asked.seconds)
            with flood(asked.seed + 100 * block) as flooded:
                beside += defines(client, asked.seconds)
            flooding += flooded.took
            with flood(asked.seed + 100 * block) as flooded:
                time.sleep(asked.seconds)
            undisturbed += flooded.took

    def tail(found: list[float]) -> float:
        return statistics.quantiles(found, n=20)[-1]

    return {
        "define without the flood, median / p95, ms": f"{ms(statistics.median(alone))} / {ms(tail(alone))}",
        "define beside the flood, median / p95, ms": f"{ms(statistics.median(beside))} / {ms(tail(beside))}",
        "times as long (p95)": f"{statistics.median(beside) / statistics.median(alone):.2f}"
        f" ({tail(beside) / tail(alone):.2f})",
        "defines beside the flood, of those without": f"{len(beside) / len(alone):.2f}",
        "the flood's own requests, median / most, ms": f"{ms(statistics.median(flooding))} / {ms(max(flooding))}",
        "the flood's requests beside the defines, of those without": f"{len(flooding) / len(undisturbed):.2f}",
    }


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--switches", type=int, default=128, help="of the flooded network")
    parser.add_argument("--flood", choices=["plans", "services"], default="plans", help="what it asks for")
    parser.add_argument("--clients", type=int, default=4, help="that flood it")
    parser.add_argument("--blocks", type=int, default=4, help="with the flood, and as many without")
    parser.add_argument("--seconds", type=float, default=4, help="that each block takes")
    parser.add_argument("--compiling", type=float, default=20, help="seconds before the blocks where numba is used")
    parser.add_argument("--engine", action="append", choices=["bast", "python", "auto"])
    parser.add_argument("--store", choices=["sqlite", "memory"], default="sqlite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build"), help="where the database lies")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    names = {"bast": "bast", "python": "adaptive, plain Python", "auto": "adaptive, numba"}
    figures = {names[engine]: measure(engine, asked) for engine in asked.engine or names}
    show("planning_share", {"store": asked.store, "flood": asked.flood, **figures}, asked.json)


if __name__ == "__main__":
    main()
