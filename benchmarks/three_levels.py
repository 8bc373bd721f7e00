"""Twelve defines at once through three levels of aggregators, beside one alone.

Eight emulated switches below four aggregators, below two, below one; each service goes through all of them. Told are
the time from the first request to the last answer, and that of one define alone.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from bench_broker import Client, broker, configuration, ms, show

LABELS = [{"start": 1, "count": 2000}]


def hierarchy() -> dict[str, list[str]]:
    """All networks with their inferiors."""
    networks: dict[str, list[str]] = {f"s{i}": [] for i in range(8)}
    networks |= {f"low{i}": [f"s{2 * i}", f"s{2 * i + 1}"] for i in range(4)}
    networks |= {f"mid{i}": [f"low{2 * i}", f"low{2 * i + 1}"] for i in range(2)}
    return networks | {"top": ["mid0", "mid1"]}


def build(client: Client) -> None:
    """Each aggregator joins its two inferiors at their `b` by a trunk, and shows the `a` of both as `a` and `b`."""
    for i in range(8):
        for port, terminal in enumerate(("a", "b", "c"), 1):
            client.send("PUT", f"/api/v1/networks/s{i}/terminals/{terminal}", {"place": str(port)})
    for name, inferiors in hierarchy().items():
        if not inferiors:
            continue
        for terminal, inferior in zip("ab", inferiors, strict=True):
            client.send("PUT", f"/api/v1/networks/{name}/terminals/{terminal}", {"place": f"{inferior}:a"})
        first, second = inferiors
        trunk = {"start": f"{first}:b", "end": f"{second}:b", "upstream": 100_000, "delay": 5, "labels": LABELS}
        client.send("PUT", f"/api/v1/networks/{name}/trunks/middle", trunk)


def define(client: Client, label: int) -> tuple[int, float]:
    """Make and define one service; its id, and the seconds that define took."""
    id_ = client.ask("POST", "/network/top/create-service")["service-id"]
    ends = [{"terminal-name": t, "label": label, "ingress-bw": 10, "egress-bw": 10} for t in "ab"]
    begin = time.perf_counter()
    client.send("POST", f"/network/top/service/{id_}/define", {"segment": ends})
    return id_, time.perf_counter() - begin


def release(client: Client, id_: int) -> None:
    """Give it up, and wait until it is gone."""
    client.send("POST", f"/network/top/service/{id_}/release")
    client.send("GET", f"/network/top/service/{id_}/await-status?acceptable=RELEASED&timeout-millis=30000")


def at_once(clients: Sequence[Client]) -> tuple[float, list[tuple[int, float]]]:
    """Let all *clients* define a service at the same time; the seconds until the last has it, and what each got."""
    found: list[tuple[int, float]] = []
    barrier = threading.Barrier(len(clients) + 1)

    def work(client: Client, label: int) -> None:
        barrier.wait()
        found.append(define(client, label))

    threads = [threading.Thread(target=work, args=(client, i)) for i, client in enumerate(clients, 1)]
    for thread in threads:
        thread.start()
    barrier.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    span = time.perf_counter() - begin
    if len(found) != len(clients):
        raise SystemExit("a define did not return")
    return span, found


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at-once", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--store", choices=["sqlite", "memory"], default="sqlite")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="where the database lies")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with broker(configuration(hierarchy(), asked.store), asked.folder) as serving:
        clients = [Client(serving.url) for _ in range(asked.at_once)]
        build(clients[0])
        alone, spans, each = [], [], []
        for round_ in range(asked.rounds + 2):
            id_, seconds = define(clients[0], 1)
            release(clients[0], id_)
            span, found = at_once(clients)
            for id_, _ in found:
                release(clients[0], id_)
            if round_ >= 2:  # the first ones warm up
                alone.append(seconds)
                spans.append(span)
                each += [taken for _, taken in found]
        for client in clients:
            client.close()
    show(
        "three_levels",
        {
            "store": asked.store,
            "one define alone, median ms": ms(statistics.median(alone)),
            f"{asked.at_once} creates and defines at once, median ms": ms(statistics.median(spans)),
            "one of these defines, median ms": ms(statistics.median(each)),
            "defines a second": round(asked.at_once / statistics.median(spans), 1),
        },
        asked.json,
    )


if __name__ == "__main__":
    main()
