"""Define and activate a service of three sites over three real switches, beside the round trips that it needs.

Needed are the requests to the broker, each as long as one that does nothing, and one PUT to the controller application
for each switch, all at once, each answered after the switch's barrier reply. Open vSwitch, the application and the
broker are started here and ended again. Both are measured in turns, in one run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench_broker import Client, broker, cycle, disk, ms, segment, show
from dpb_lab.dummy import RealApplication, running
from dpb_lab.process import until

SWITCHES = ("s1", "s2", "s3")
REQUESTS = 3  # define, activate, await ACTIVE
TRUNK = {"upstream": 100_000, "delay": 5, "labels": [{"start": 1, "count": 4000}]}


def configuration(application: RealApplication, store: str) -> str:
    """The broker's configuration: three switches, and an aggregator over them."""
    text = '[store]\nkind = "memory"\n' if store == "memory" else '[store]\nurl = "sqlite:///dpb.sqlite"\n'
    text += '[[nbi]]\nkind = "rest"\nport = 0\n'
    for number, name in enumerate(SWITCHES, 1):
        text += f'[[network]]\nname = "{name}"\nkind = "switch"\nfabric = "openflow"\n'
        text += f'fabric-settings = {{ url = "{application.url}", dpid = "{number}" }}\n'
    return text + '[[network]]\nname = "wan"\nkind = "aggregator"\ninferiors = ["s1", "s2", "s3"]\n'


def furnish(client: Client) -> None:
    """Join the switches to a row, with a terminal of the aggregator at each, named like it."""
    for name in SWITCHES:
        for terminal, port in (("access", "1"), ("right", "2"), ("left", "3")):
            client.send("PUT", f"/api/v1/networks/{name}/terminals/{terminal}", {"place": port})
        client.send("PUT", f"/api/v1/networks/wan/terminals/{name}", {"place": f"{name}:access"})
    for one, other in pairwise(SWITCHES):
        trunk = {"start": f"{one}:right", "end": f"{other}:left", **TRUNK}
        client.send("PUT", f"/api/v1/networks/wan/trunks/{one}-{other}", trunk)


class Needed:
    """The least that such a service takes: each switch's slice, put by a thread and a connection of its own."""

    def __init__(self, url: str) -> None:
        self._clients = [Client(url) for _ in SWITCHES]
        self._begin, self._end = threading.Barrier(len(SWITCHES) + 1), threading.Barrier(len(SWITCHES) + 1)
        self._over = False
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(len(SWITCHES))]
        for thread in self._threads:
            thread.start()

    def _work(self, number: int) -> None:
        while True:
            self._begin.wait()
            if self._over:
                return
            self.put(number)
            self._end.wait()

    def put(self, number: int) -> float:
        """Make the slice of one switch; the seconds that it took."""
        ports = ((1, 2), (1, 2, 3), (1, 3))[number]
        circuits = [{"circuit": [port, 4001], "ingress": 10_000, "egress": 10_000} for port in ports]
        begin = time.perf_counter()
        self._clients[number].send("PUT", self._path(number), {"circuits": circuits, "dhcp": True})
        return time.perf_counter() - begin

    def _path(self, number: int) -> str:
        return f"/slicer/api/v2/{number + 1:016x}/slices/bench%2F1"

    def at_once(self) -> float:
        """All slices at once; the seconds until the last is there."""
        begin = time.perf_counter()
        self._begin.wait()
        self._end.wait()
        return time.perf_counter() - begin

    def in_turn(self) -> float:
        """One after the other."""
        return sum(self.put(number) for number in range(len(SWITCHES)))

    def clear(self) -> None:
        """Remove them again."""
        for number, client in enumerate(self._clients):
            client.send("DELETE", self._path(number))

    def close(self) -> None:
        """End the threads."""
        self._over = True
        self._begin.wait()
        for thread in self._threads:
            thread.join()
        for client in self._clients:
            client.close()


@contextmanager
def switches() -> Iterator[RealApplication]:
    """Three bridges of an Open vSwitch, connected to the application."""
    with tempfile.TemporaryDirectory(prefix="dpb-of-") as name, running(Path(name)) as (real, application):
        for number, bridge in enumerate(SWITCHES, 1):
            real.bridge(bridge, f"{number:016x}", (1, 2, 3))
            real.controller(bridge, application.openflow)
        client = Client(application.url)

        def connected() -> bool:
            found: dict[str, Any] = client.ask("GET", "/slicer/api/v2")["switches"]
            return len(found) == len(SWITCHES) and all(switch["connected"] for switch in found.values())

        until(connected, "all switches are connected")
        client.close()
        yield application


def median(times: Sequence[float]) -> float:
    """Their median, in ms."""
    return ms(statistics.median(times))


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--store", choices=["sqlite", "memory"], default="sqlite")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="where the database lies")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with (
        switches() as application,
        broker(configuration(application, asked.store), asked.folder) as serving,
    ):
        client, needed = Client(serving.url), Needed(application.url)
        furnish(client)
        body = segment(SWITCHES, 100)
        steps, at_once, in_turn, requests = [], [], [], []
        for turn in range(-10, asked.rounds):
            taken = cycle(client, body)
            put = needed.at_once()
            needed.clear()
            one_by_one = needed.in_turn()
            needed.clear()
            begin = time.perf_counter()
            client.send("GET", "/api/v1/networks/wan/terminals/s1")
            request = time.perf_counter() - begin
            if turn >= 0:
                steps.append(taken)
                at_once.append(put)
                in_turn.append(one_by_one)
                requests.append(request)
        commits = disk(serving.folder)
        needed.close()
        client.close()
    service = [sum(taken[1:4]) for taken in steps]
    least = [put + REQUESTS * request for put, request in zip(at_once, requests, strict=True)]
    show(
        "openflow_service",
        {
            "rounds": asked.rounds,
            "store": asked.store,
            "ratio": round(statistics.median(service) / statistics.median(least), 2),
            "the service, median ms": {
                "define, activate, await ACTIVE": median(service),
                "from define to ACTIVE: each": [median([taken[i] for taken in steps]) for i in (1, 2, 3)],
                "await ACTIVE / PUTs in turn": round(
                    statistics.median([taken[3] for taken in steps]) / statistics.median(in_turn), 2
                ),
            },
            "what it needs, median ms": {
                "all of it": median(least),
                "a request that does nothing": median(requests),
                "three PUTs at once": median(at_once),
                "three PUTs in turn": median(in_turn),
            },
            "the disk": commits,
        },
        asked.json,
    )


if __name__ == "__main__":
    main()
