"""What the benchmarks share: a broker in a process of its own, a lean client, what the disk can do, tables."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SERVE = "import sys; from dpb_framework.cli import main; main(['serve', *sys.argv[1:]])"
PATIENCE = 60.0


class Client:
    """One connection, kept alive, that sends prepared octets and reads no more of an answer than it must."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self._socket = socket.create_connection((self.host, self.port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def send(self, method: str, path: str, body: object = None) -> bytes:
        """Send a request and return the body of its answer; an answer that is no success ends the benchmark."""
        content = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: b\r\nContent-Length: {len(content)}\r\n\r\n"
        self._socket.sendall(head.encode() + content)
        answer = self._socket.recv(65536)
        while (end := answer.find(b"\r\n\r\n")) < 0:
            answer += self._more()
        length = 0
        for line in answer[:end].split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(answer) < end + 4 + length:
            answer += self._more()
        if answer[9:10] != b"2":
            raise SystemExit(f"{method} {path}: {answer.decode(errors='replace')[:1000]}")
        return answer[end + 4 :]

    def _more(self) -> bytes:
        more = self._socket.recv(65536)
        if not more:
            raise SystemExit("the broker ended the connection")
        return more

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The same, for an answer in JSON."""
        text = self.send(method, path, body)
        return json.loads(text) if text else None


class Broker:
    """A running `dpb serve`."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, folder: Path) -> None:
        self.process, self.url, self.folder = process, url, folder

    @property
    def cpu(self) -> float:
        """Seconds of CPU time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def broker(config: str, folder: Path) -> Iterator[Broker]:
    """Run a broker on *config* (its store and interface are added by the caller), in a fresh folder below *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-") as name:
        here = Path(name).resolve()
        (here / "dpb.toml").write_text(config)
        where = here / "address"
        command = [sys.executable, "-c", SERVE, str(here / "dpb.toml"), "--port-file", str(where)]
        with open(here / "log", "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + PATIENCE
            while not where.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit((here / "log").read_text())
                time.sleep(0.02)
            yield Broker(process, where.read_text().split()[1], here)
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def configuration(networks: Mapping[str, Sequence[str]], store: str = "sqlite") -> str:
    """A configuration with *networks*: those without inferiors are switches, emulated in memory."""
    text = '[store]\nkind = "memory"\n' if store == "memory" else '[store]\nurl = "sqlite:///dpb.sqlite"\n'
    text += '[[nbi]]\nkind = "rest"\nport = 0\n'
    for name, inferiors in networks.items():
        text += f'[[network]]\nname = "{name}"\nkind = "{"aggregator" if inferiors else "switch"}"\n'
        if inferiors:
            text += f"inferiors = {json.dumps(list(inferiors))}\n"
    return text


def ring(client: Client, switches: Sequence[str], network: str = "wan") -> None:
    """Join *switches* to a ring of trunks of 100 Gbit/s, with a terminal of the aggregator at each, named like it."""
    for name in switches:
        for terminal, port in (("access", "1"), ("right", "2"), ("left", "3")):
            client.send("PUT", f"/api/v1/networks/{name}/terminals/{terminal}", {"place": port})
        client.send("PUT", f"/api/v1/networks/{network}/terminals/{name}", {"place": f"{name}:access"})
    for name, following in zip(switches, [*switches[1:], switches[0]], strict=True):
        trunk = {"start": f"{name}:right", "end": f"{following}:left", "upstream": 100_000, "delay": 5}
        trunk["labels"] = [{"start": 1, "count": 4000}]
        client.send("PUT", f"/api/v1/networks/{network}/trunks/{name}-{following}", trunk)


def segment(terminals: Sequence[str], label: int) -> dict[str, Any]:
    """The body of a define of the first interface: 10 Mbit/s both ways at each of *terminals*."""
    return {
        "segment": [{"terminal-name": t, "label": label, "ingress-bw": 10, "egress-bw": 10} for t in terminals],
    }


def cycle(client: Client, body: object, network: str = "wan") -> list[float]:
    """Create, define, activate, await ACTIVE, release, await RELEASED; the seconds that each took."""
    times = [time.perf_counter()]

    def send(path: str, content: object = None) -> bytes:
        answer = client.send("POST", f"/network/{network}/{path}", content)
        times.append(time.perf_counter())
        return answer

    service = f"service/{json.loads(send('create-service'))['service-id']}"
    send(f"{service}/define", body)
    send(f"{service}/activate")
    for wanted, command in (("ACTIVE", None), ("RELEASED", "release")):
        if command:
            send(f"{service}/{command}")
        wait = {"acceptable": [wanted], "timeout-millis": 30_000}
        if json.loads(send(f"{service}/await-status", wait))["status"] != wanted:
            raise SystemExit(f"{service} does not become {wanted}")
    return [after - before for before, after in pairwise(times)]


STEPS = ("create", "define", "activate", "await ACTIVE", "release", "await RELEASED")


def disk(folder: Path, times: int = 200) -> dict[str, float]:
    """What durability costs in *folder*, medians in ms: fdatasync after 4 KiB, a commit of SQLite as in the store."""
    synced = []
    file = folder / "sync"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    try:
        for _ in range(times):
            os.write(descriptor, b"x" * 4096)
            synced.append(_timed(lambda: os.fdatasync(descriptor)))
    finally:
        os.close(descriptor)
        file.unlink()
    with (
        tempfile.TemporaryDirectory(dir=folder) as name,
        closing(sqlite3.connect(f"{name}/x", isolation_level=None)) as c,
    ):
        c.execute("PRAGMA journal_mode=WAL")
        c.execute("PRAGMA synchronous=FULL")
        c.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT)")

        def commit() -> None:
            c.execute("BEGIN IMMEDIATE")
            c.execute("INSERT INTO t (x) VALUES (?)", ("x" * 500,))
            c.execute("COMMIT")

        commits = [_timed(commit) for _ in range(times)]
    return {"fdatasync-ms": ms(statistics.median(synced)), "sqlite-commit-ms": ms(statistics.median(commits))}


def _timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def ms(seconds: float) -> float:
    """Seconds as milliseconds with three decimals."""
    return round(seconds * 1000, 3)


def show(title: str, figures: Mapping[str, Any], as_json: bool) -> None:
    """Print the figures: JSON for programs, or a table, in which what is below a name is indented."""
    if as_json:
        print(json.dumps({"benchmark": title, **figures}, indent=1))
        return
    print(title)
    for name, value in figures.items():
        if isinstance(value, Mapping):
            print(f"  {name}")
            for key, inner in value.items():
                print(f"    {key:<30} {inner}")
        else:
            print(f"  {name:<32} {value}")
