"""Brokers over brokers: establishment grows with the depth, not with the number of inferiors.

The broker above has a row of remote networks, which other brokers serve, several each; a service goes through the
first 2 or through all of them. Between the brokers are lines that take their time, as lines between sites do. Told are
the times from the request to INACTIVE for few and for all, their ratio, and how many requests all brokers below got for
a define and a release through all; then the times through stacks of brokers, one on the other. Before that the same row
is one broker's own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench_broker import PATIENCE, Broker, Client, broker, ms, show

LABELS = [{"start": 1, "count": 4000}]
_ASKED = re.compile(rb"^(?:GET|POST|DELETE) /api/v1/(?:orders|networks/[^/ ]+/services)\S* HTTP", re.MULTILINE)


class Lines:
    """Lines to brokers, each a port of ours: what goes through is late by so many seconds each way, and counted."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.asked = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def to(self, url: str) -> str:
        """Return the URL at which the broker at *url* is reached by a line; *url* itself where lines take no time.

        A line is work for the processor, and there would be nothing but work.
        """
        if not self._seconds:
            return url
        port = int(url.rpartition(":")[2])

        async def serve() -> int:
            server = await asyncio.start_server(lambda r, w: self._connect(r, w, port), "127.0.0.1", 0)
            found: int = server.sockets[0].getsockname()[1]
            return found

        return f"http://127.0.0.1:{asyncio.run_coroutine_threadsafe(serve(), self._loop).result(PATIENCE)}"

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(self._carry(reader, back_writer, True), self._carry(back_reader, writer, False))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counts: bool) -> None:
        while True:
            try:
                piece = await reader.read(1 << 16)
            except OSError:
                piece = b""
            if counts:
                self.asked += len(_ASKED.findall(piece))
            send = writer.write if piece else lambda _: writer.close()
            if self._seconds:
                self._loop.call_later(self._seconds, send, piece)
            else:
                send(piece)
            if not piece:
                return

    def close(self) -> None:
        """End all of them."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


def configuration(store: str, networks: Sequence[str], remotes: Sequence[tuple[str, str, str]] = ()) -> str:
    """Switches called *networks*, remote networks by (name, URL, name there), and the aggregator `net` over these."""
    text = '[store]\nkind = "memory"\n' if store == "memory" else '[store]\nurl = "sqlite:///dpb.sqlite"\n'
    text += '[[nbi]]\nkind = "rest"\nport = 0\n'
    for name in networks:
        text += f'[[network]]\nname = "{name}"\nkind = "switch"\n'
    for name, url, there in remotes:
        text += f'[[network]]\nname = "{name}"\nkind = "remote"\nurl = "{url}"\nnetwork = "{there}"\n'
    inferiors = [name for name, _, _ in remotes] or (networks if len(networks) == 2 else ())
    if inferiors:
        text += f'[[network]]\nname = "net"\nkind = "aggregator"\ninferiors = {json.dumps(list(inferiors))}\n'
    return text


def furnish_switches(client: Client, names: Sequence[str]) -> None:
    """Terminals `user`, `left` and `right` for each."""
    for name in names:
        for port, terminal in enumerate(("user", "left", "right"), 1):
            client.send("PUT", f"/api/v1/networks/{name}/terminals/{terminal}", {"place": str(port)})


def furnish_row(client: Client, names: Sequence[str]) -> None:
    """Join *names* in a row; a terminal of `net` at the `user` of each, named like it."""
    deadline = time.monotonic() + PATIENCE
    while any(n.get("contact", "up") != "up" for n in client.ask("GET", "/api/v1/health")["networks"].values()):
        if time.monotonic() > deadline:
            raise SystemExit("the brokers do not find each other")
        time.sleep(0.05)
    for name in names:
        client.send("PUT", f"/api/v1/networks/net/terminals/{name}", {"place": f"{name}:user"})
    for one, other in pairwise(names):
        trunk = {"start": f"{one}:right", "end": f"{other}:left", "upstream": 100_000, "delay": 1, "labels": LABELS}
        client.send("PUT", f"/api/v1/networks/net/trunks/{one}-{other}", trunk)


def define(client: Client, ends: Sequence[str], label: int) -> float:
    """Seconds from the request to INACTIVE, for a service that is released again afterwards."""
    segment = [{"terminal": end, "label": label, "ingress": 10, "egress": 10} for end in ends]
    begin = time.perf_counter()
    service = client.ask("POST", "/api/v1/networks/net/services", {"segment": segment})
    path = f"/api/v1/networks/net/services/{service['id']}"
    status = client.ask("GET", f"{path}/await?status=INACTIVE")["status"]
    span = time.perf_counter() - begin
    if status != "INACTIVE":
        raise SystemExit(f"a service of {len(ends)} ends becomes {status}: {client.ask('GET', path)['error']}")
    client.send("DELETE", path)
    client.send("GET", f"{path}/await?status=RELEASED")
    return span


@contextmanager
def wide(asked: argparse.Namespace, lines: Lines) -> Iterator[tuple[Client, list[str]]]:
    """A broker over as many remote switches as asked for, which a few others serve."""
    with ExitStack() as stack:
        remotes: list[tuple[str, str, str]] = []
        share = -(-asked.inferiors // asked.brokers)
        for i in range(0, asked.inferiors, share):
            names = [f"s{n}" for n in range(i, min(i + share, asked.inferiors))]
            serving = stack.enter_context(broker(configuration(asked.store, [*names, f"spare{i}"]), asked.folder))
            client = Client(serving.url)
            stack.callback(client.close)
            furnish_switches(client, names)
            url = lines.to(serving.url)
            remotes += [(f"r{name[1:]}", url, name) for name in names]
        top = stack.enter_context(broker(configuration(asked.store, [], remotes), asked.folder))
        client = Client(top.url)
        stack.callback(client.close)
        names = [name for name, _, _ in remotes]
        furnish_row(client, names)
        yield client, names


def breadth(asked: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Few inferiors against all, in turn."""
    lines = Lines(seconds)
    try:
        with wide(asked, lines) as (client, names):
            few, all_ = [names[0], names[1]], [names[0], names[-1]]
            times: dict[str, list[float]] = {"few": [], "all": []}
            for round_ in range(asked.rounds + 3):
                spans = {"few": define(client, few, 1)}
                before = lines.asked
                spans["all"] = define(client, all_, 2)
                asked_below = lines.asked - before
                if round_ >= 3:  # the first ones warm up
                    for which, span in spans.items():
                        times[which].append(span)
        told = _told(times, asked.inferiors)
        # Where there is no line there is nobody to count.
        return {**told, "requests below for define and release": asked_below} if seconds else told
    finally:
        lines.close()


def _told(times: dict[str, list[float]], inferiors: int) -> dict[str, Any]:
    medians = {which: statistics.median(found) for which, found in times.items()}
    return {
        "through 2 inferiors, median ms": ms(medians["few"]),
        f"through {inferiors} inferiors, median ms": ms(medians["all"]),
        "times as long": round(medians["all"] / medians["few"], 2),
    }


def inside(asked: argparse.Namespace) -> dict[str, Any]:
    """Few inferiors against all, in turn, where all are switches of one broker."""
    names = [f"s{number}" for number in range(asked.inferiors)]
    config = configuration(asked.store, names)
    if asked.inferiors != 2:  # then the aggregator is there
        config += f'[[network]]\nname = "net"\nkind = "aggregator"\ninferiors = {json.dumps(names)}\n'
    times: dict[str, list[float]] = {"few": [], "all": []}
    with broker(config, asked.folder) as serving:
        client = Client(serving.url)
        furnish_switches(client, names)
        furnish_row(client, names)
        for round_ in range(asked.rounds + 3):
            spans = {"few": define(client, names[:2], 1), "all": define(client, [names[0], names[-1]], 2)}
            if round_ >= 3:
                for which, span in spans.items():
                    times[which].append(span)
        client.close()
    return _told(times, asked.inferiors)


def depth(asked: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """One broker over two switches, one over that, and one over that."""
    found: dict[str, Any] = {}
    lines = Lines(seconds)
    try:
        with ExitStack() as stack:
            below: Broker | None = None
            for level in range(1, asked.levels + 1):
                if below is None:
                    config = configuration(asked.store, ["s0", "s1"])
                else:
                    config = configuration(asked.store, [], [("r0", lines.to(below.url), "net")])
                below = stack.enter_context(broker(config, asked.folder))
                client = Client(below.url)
                stack.callback(client.close)
                if level == 1:
                    furnish_switches(client, ["s0", "s1"])
                    furnish_row(client, ["s0", "s1"])
                else:
                    furnish_row(client, [])
                    for end in ("s0", "s1"):
                        client.send("PUT", f"/api/v1/networks/net/terminals/{end}", {"place": f"r0:{end}"})
                spans = [define(client, ["s0", "s1"], 1) for _ in range(asked.rounds + 3)][3:]
                found[f"{level} level{'s' if level > 1 else ''}, median ms"] = ms(statistics.median(spans))
    finally:
        lines.close()
    return found


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inferiors", type=int, default=32)
    parser.add_argument("--brokers", type=int, default=4, help="how many processes serve them")
    parser.add_argument("--levels", type=int, default=3)
    parser.add_argument("--line", type=float, action="append", help="what a line takes each way, in ms (25, 5, 2, 0)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--store", choices=["sqlite", "memory"], default="sqlite")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="where the databases lie")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    figures: dict[str, Any] = {"store": asked.store}
    figures["one broker"] = inside(asked)
    for line in asked.line or (25.0, 5.0, 2.0, 0.0):
        figures[f"lines of {line:g} ms each way"] = {**breadth(asked, line / 1000), **depth(asked, line / 1000)}
    show("hierarchy", figures, asked.json)


if __name__ == "__main__":
    main()
