"""Brokers over brokers over brokers, as processes on SQLite: a service through all, and each of them killed meanwhile.

In `make soak` the whole: 13 processes, 40 switches, 200 set-ups; in `make test` a small form. DPB_CRASH_SEED chooses
the moments.
"""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from .crash.rest import Lost, Plain
from .crash.serving import until
from .hierarchy.brokers import Broker, Hierarchy

SOAK = os.environ.get("DPB_SOAK") == "1"
LEAVES = [[5, 4, 4], [5, 4, 4], [5, 5, 4]] if SOAK else [[2, 1], [1, 2]]
SETUPS = 200 if SOAK else 8
SEED = int(os.environ.get("DPB_CRASH_SEED", "1"))


def body(label: int, *ends: str) -> Plain:
    flow = {"ingress": 1, "egress": 1}
    segment = [{"terminal": end, "label": label, **flow} for end in ends]
    return {"handle": f"set-up {label}", "segment": segment, "activate": True}


def insist(broker: Broker, method: str, path: str, content: object = None) -> Plain:
    """Ask until an answer comes, whatever becomes of the broker meanwhile."""
    found: list[Plain] = []

    def asked() -> bool:
        try:
            status, answer = broker.rest.call(method, path, content)
        except Lost:
            return False
        assert status in (200, 201, 404, 503), answer
        found.append(answer)
        return status != 503

    until(asked, f"{method} {path} is not answered")
    return found[-1]


class Killer:
    """Kills brokers in turn, at moments of its own, and lets each begin its next life.

    In one thread that stays: a broker does not outlive the thread that started it.
    """

    def __init__(self, brokers: list[Broker], rng: random.Random, hand: ThreadPoolExecutor) -> None:
        self._hand = hand
        self.turn, self._rng, self.kills = list(brokers), rng, 0
        self._order = list(brokers)

    def strike(self) -> Future[None]:
        """Let the next one die soon."""
        if not self.turn:
            self.turn = list(self._order)
        victim, delay, away = self.turn.pop(0), self._rng.random() * 0.3, self._rng.random()
        self.kills += 1

        def die() -> None:
            time.sleep(delay)  # no waiting for something: the moment is what is varied
            if victim.serving is not None:
                victim.serving.kill()
            time.sleep(away)
            victim.start()

        return self._hand.submit(die)


@pytest.mark.xdist_group("hierarchy")
def test_each_process_is_killed_during_set_ups_and_no_level_holds_what_the_one_above_does_not_know(
    tmp_path: Path,
) -> None:
    rng = random.Random(SEED)
    # The hand stays until all brokers are gone.
    with ThreadPoolExecutor(1) as hand, Hierarchy(tmp_path, LEAVES, random.Random(time.time_ns())) as all_:
        if SOAK:
            assert (len(all_.all), all_.switches) == (13, 40)
        top = all_.top
        one = top.rest.ok("POST", "services", body(1, "t0", "end"))
        assert top.rest.wait(one["id"], ["ACTIVE"], 60) == "ACTIVE", all_.said()
        trunks = sum(len(b.rest.ok("GET", f"services/{s['id']}")["tree"]) for b in all_.all for s in b.services())
        joints = sum(max(b.switches, len(b.inferiors)) - 1 for b in all_.all)
        assert trunks == joints, "it goes through every switch"
        killer = Killer(rng.sample(all_.all, len(all_.all)), rng, hand)
        users = [f"t{i}" for i in range(len(all_.leaves))]
        made: list[int] = []
        for label in range(2, SETUPS + 2):
            ends = ["t0", "end"] if rng.random() < 0.5 else rng.sample(users, 2)
            dying = killer.strike()
            made.append(insist(top, "POST", "services", body(label, *ends))["id"])
            if rng.random() < 0.4:
                insist(top, "DELETE", f"services/{made.pop(rng.randrange(len(made)))}")
            dying.result()
        assert killer.kills >= len(all_.all)
        all_.ready()
        try:
            until(lambda: not all_.restless(), "not all is at rest", 120)
            until(lambda: not all_.strangers(), "some level holds what the one above does not know", 90)
            active = [s for s in top.services() if s["status"] == "ACTIVE"]
            assert {s["id"] for s in active} >= {one["id"]}, "what was established before stays"
            for service in top.services():
                insist(top, "DELETE", f"services/{service['id']}")
            until(lambda: not all_.held(), "something stays", 90)
        except AssertionError as error:
            told = [*all_.restless(), *all_.strangers(), *all_.held()]
            raise AssertionError(f"{error}: {told}\n{all_.said()}") from error
        faults = [line for line in all_.said().splitlines() if "Traceback" in line or " ERROR " in line]
        assert faults == [], all_.said()
