"""kill -9 at any moment under load: nothing promised is lost, nothing leaks, devices come to what the store says.

The broker is `dpb serve` on SQLite with REST, over switches whose devices are in a process of their own. Moments are
chosen by a seed (DPB_CRASH_SEED), counted in answers rather than in time where the moment allows it.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dpb_framework.contracts import Channel
from dpb_framework.model import TrafficFlow
from dpb_framework.testing.emulated import EmulatedProcess

from .crash import world
from .crash.inspection import inspect
from .crash.load import Client
from .crash.rest import Rest
from .crash.serving import PATIENCE, Serving

SOAK = os.environ.get("DPB_SOAK") == "1"
KILLS = 500 if SOAK else 20
CLIENTS = 4
MOST_ANSWERS = 150
"""A life ends after so many answers at most."""
LONGEST = 2.0
"""Seconds after which a life ends even if faults keep the answers from coming."""

KINDS = (
    *["broker"] * 7,  # kill -9 of the broker
    *["recovering"] * 3,  # and again while it starts, recovers or has just begun to answer
    *["devices"] * 2,  # kill -9 of the devices first, then, some answers later, of the broker
    *["both"] * 2,  # of both, and the devices come back only after the broker
    *["refuse", "hang", "forget", "crash-before", "crash-after"],  # devices that fail as scripted
    "paused",  # devices that stand still, also while the broker comes back
)
"""What may happen to a life; each as often as here in as many rounds."""


class World:
    """A broker through its lives, its devices, its clients."""

    def __init__(self, folder: Path, devices: EmulatedProcess, seed: int) -> None:
        self.folder, self.devices = folder, devices
        self.rng = random.Random(seed)
        self.clients = [Client(number, seed) for number in range(CLIENTS)]
        self.config = world.write(folder, world.config(devices.address))
        self.kills = 0
        self._lives = 0
        self._next = self._stand_by()
        self.broker = self.begin()

    def _stand_by(self) -> Serving:
        self._lives += 1
        return Serving(self.folder, self.config, self._lives)

    def begin(self) -> Serving:
        """Begin the next life; returns before it answers."""
        self.broker = self._next.go()
        self._next = self._stand_by()
        return self.broker

    def close(self) -> None:
        self.broker.kill()
        self._next.kill()

    def kill(self) -> None:
        self.kills += 1
        self.broker.kill()

    @property
    def said(self) -> str:
        """What the lives logged that was loud."""
        logs = [self.folder / f"log-{life}" for life in range(1, self._lives + 1)]
        loud = ("ERROR", "CRITICAL", "Traceback")
        return "\n".join(text for log in logs if any(word in (text := log.read_text()) for word in loud))

    def check(self) -> None:
        """Wait until the broker answers and has come to rest; check everything."""
        rest = Rest(self.broker.ready())
        try:
            for client in self.clients:
                client.settle(rest)
            inspect(rest, self.clients, self.folder / "dpb.sqlite", self.devices.holds)
        finally:
            rest.close()

    @contextmanager
    def load(self) -> Iterator[Load]:
        """Let all clients work until the broker is lost, or the block ends."""
        load = Load(self.clients, self.broker.ready())
        try:
            yield load
        finally:
            load.end()
        for fault in load.faults:
            raise fault

    def some(self) -> int:
        """How many answers something happens after."""
        return self.rng.randint(1, MOST_ANSWERS)


class Load:
    """The clients at work on one life of the broker."""

    def __init__(self, clients: list[Client], url: str) -> None:
        self.faults: list[BaseException] = []
        self._answers = 0
        self._change = threading.Condition()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(client, url)) for client in clients]
        for thread in self._threads:
            thread.start()

    def _work(self, client: Client, url: str) -> None:
        try:
            client.work(url, self._over, self._answered)
        except BaseException as fault:  # noqa: BLE001  # told in the test's own thread
            self.faults.append(fault)
            self._answered()

    def _answered(self) -> None:
        with self._change:
            self._answers += 1
            self._change.notify_all()

    def answers(self, number: int) -> None:
        """Wait for so many more answers (or a while, where faults keep them from coming)."""
        with self._change:
            wanted = self._answers + number
            self._change.wait_for(lambda: self._answers >= wanted or bool(self.faults), LONGEST)

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a request does not return"


def play(kind: str, world: World) -> None:
    """One life under load, and its end."""
    rng, devices = world.rng, world.devices
    late = kind in ("both", "paused") and rng.random() < 0.5
    with world.load() as load:
        load.answers(world.some())
        if kind == "devices":
            devices.kill()
            load.answers(world.some() // 4)
            if rng.random() < 0.5:
                devices.start()
                load.answers(world.some() // 4)
        elif kind == "paused":
            devices.pause()
            load.answers(world.some() // 4)
        elif kind not in ("broker", "recovering", "both"):
            _script(kind, world)
            load.answers(world.some())
        time.sleep(rng.random() * 0.01)  # in the midst of something, not always right after an answer
        world.kill()
        if kind == "both":
            devices.kill()
    if kind.startswith("crash"):
        devices.kill()  # whether or not it has ended by itself
    if kind == "paused" and not late:
        devices.resume()
    if devices.pid is None and not late:
        devices.start()
    world.begin()
    if kind == "recovering":
        if rng.random() < 0.5:
            time.sleep(rng.random() * 0.3)
        else:
            world.broker.ready()
        world.kill()
        world.begin()
    if late:
        world.broker.ready()
        if devices.pid is None:
            devices.start()
        else:
            devices.resume()
    for name in _devices():
        devices.clear_faults(name)


def _devices() -> tuple[str, ...]:
    return world.SWITCHES


def _script(kind: str, world: World) -> None:
    rng, devices = world.rng, world.devices
    for name in rng.sample(_devices(), 1 if kind.startswith("crash") else 3):
        if kind == "refuse":
            devices.fault(name, refuse="no meters left", count=rng.randint(1, 3), on=rng.choice(["any", "ensure"]))
        elif kind == "hang":
            devices.fault(name, hang=True, count=rng.randint(1, 2))
        elif kind == "forget":
            devices.fault(name, forget=True, count=rng.randint(1, 3), on=rng.choice(["ensure", "remove"]))
        else:
            with suppress(OSError):  # it may strike before it is acknowledged
                devices.fault(name, crash=kind.removeprefix("crash-"))


@pytest.fixture
def seed() -> int:
    given = os.environ.get("DPB_CRASH_SEED")
    seed = int(given) if given else random.randrange(10**6) if SOAK else 4753
    print(f"DPB_CRASH_SEED={seed}")
    return seed


@pytest.fixture
def lives(tmp_path: Path, seed: int) -> Iterator[World]:
    with EmulatedProcess() as devices:
        for name in world.SWITCHES:
            devices.stranger(
                "somebody else's", {Channel("9", 9): TrafficFlow(1, 1), Channel("8", 9): TrafficFlow(1, 1)}, name
            )
        lives = World(tmp_path, devices, seed)
        try:
            rest = Rest(lives.broker.ready())
            world.build(rest)
            rest.close()
            yield lives
        finally:
            lives.close()


def test_kill_9_at_any_moment_loses_nothing_and_leaks_nothing(lives: World) -> None:
    deck: list[str] = []
    while lives.kills < KILLS:
        if not deck:
            deck = lives.rng.sample(KINDS, len(KINDS))
        kind = deck.pop()
        print(f"kill {lives.kills + 1}: {kind}")
        play(kind, lives)
        lives.check()
    assert sum(len(client.ids) for client in lives.clients) > KILLS
    assert lives.said == ""

    # Everything given back, nothing is left of it anywhere, and what is somebody else's is as it was.
    rest = Rest(lives.broker.ready())
    for client in lives.clients:
        for promise in list(client.promises):
            rest.ok("DELETE", f"services/{promise.id}")
            assert rest.wait(promise.id or 0, ["RELEASED"], PATIENCE) == "RELEASED"
            client.is_released(promise)
    rest.close()
    lives.check()
    for name in _devices():
        listing = lives.devices.listing(name)
        assert (listing["bridges"], len(listing["strangers"])) == ([], 1)
    assert lives.broker.terminate() == 0


def test_sigterm_under_load_is_a_kill_without_surprises(lives: World) -> None:
    for _ in range(10 if SOAK else 2):
        with lives.load() as load:
            load.answers(lives.some())
            assert lives.broker.terminate() == 0
        lives.begin()
        lives.check()
    assert lives.said == ""
