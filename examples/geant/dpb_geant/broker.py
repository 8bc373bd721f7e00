"""The broker as a child of the demonstration, and a client for what is asked of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

HOST = "127.0.0.1"
USUAL_PORT = 4753
_COMMAND = (sys.executable, "-P", "-c", "from dpb_framework.cli import main; main(prog_name='dpb')")


class Failed(Exception):
    """The demonstration cannot go on; the text says why, in one line."""


def free_port() -> int:
    """Return the broker's usual port, or any other that is free when somebody has that one."""
    for port in (USUAL_PORT, 0):
        with socket.socket() as probe:
            # As servers do: a port that only waits for its last connections to be forgotten is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise Failed(f"no port of {HOST} is free")


@contextmanager
def serving(folder: Path, port: int) -> Iterator[Client]:
    """Run `dpb serve` on the folder's dpb.toml until the block ends; its log is broker.log there."""
    log = folder / "broker.log"
    with log.open("ab") as out:
        # A session of its own: Ctrl-C is for the demonstration, which then ends the broker in an orderly way.
        child = subprocess.Popen(
            [*_COMMAND, "serve", "dpb.toml"], cwd=folder, stdout=out, stderr=out, start_new_session=True
        )
    try:
        client = Client(f"http://{HOST}:{port}")
        _await_answer(client, child, log)
        yield client
    finally:
        _end(child)


def _await_answer(client: Client, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if child.poll() is not None:
            lines = log.read_text("utf-8", "replace").strip().splitlines()
            raise Failed(f"the broker ended: {lines[-1] if lines else 'without a word'}")
        try:
            client.get("/health")
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise Failed(f"the broker does not answer at {client.url}; see {log}")


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def run_dpb(client: Client, log: Path, *arguments: str) -> str:
    """Run a `dpb` command on the broker and return the last line that it prints; all of it goes to *log*."""
    done = subprocess.run(
        [*_COMMAND, *arguments],
        env={**os.environ, "DPB_URL": client.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    log.write_text(done.stdout, "utf-8")
    last = (done.stdout.strip().splitlines() or ["without a word"])[-1]
    if done.returncode != 0:
        raise Failed(f"dpb {' '.join(arguments)} failed: {last}; see {log}")
    return last


class Client:
    """REST as the demonstration needs it: paths below /api/v1, JSON in and out."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # the broker is here: no proxy leads to it

    def get(self, path: str, **query: Any) -> Any:
        """Return the answer's JSON."""
        return self._asked("GET", path, params=query)

    def post(self, path: str, body: Any = None) -> Any:
        """Post JSON and return the answer's."""
        return self._asked("POST", path, json=body)

    def _asked(self, method: str, path: str, **rest: Any) -> Any:
        answer = self._session.request(method, f"{self.url}/api/v1{path}", timeout=60, **rest)
        if answer.ok:
            return answer.json()
        try:
            detail = answer.json()["detail"]
        except (ValueError, KeyError):
            detail = answer.text[:200]
        raise Failed(f"{method} {path}: {answer.status_code}: {detail}")
