"""Clients that ask for services, change them and give them up, and remember what they were told."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from .promises import GONE, NEW, Promise, State
from .rest import Lost, Plain, Rest, Unexpected
from .world import TOO_MUCH, resized, segment

MOST = 5
"""How many services a client has at a time."""
PATCH = 40
"""So many labels of every terminal belong to one client."""
AWHILE = 0.3
"""Seconds for which a client waits for a status before it goes on with another service."""


class Client:
    """One client, for many lives of the broker."""

    def __init__(self, number: int, seed: int) -> None:
        self.rng = random.Random(f"{seed}/{number}")
        self.number = number
        self.promises: list[Promise] = []
        self.released: set[int] = set()
        self.ids: set[int] = set()
        self.nameless = 0
        """How many services without a handle were asked for whose id never came."""
        self.refused = 0
        self._labels = list(range(1 + number * PATCH, 1 + (number + 1) * PATCH, 2))
        self._made = 0
        self._rest: Rest | None = None
        self._tell: Callable[[], None] = lambda: None

    # -- one life of the broker

    def work(self, url: str, over: threading.Event, answered: Callable[[], None]) -> None:
        """Give commands until *over* or the broker is lost; call *answered* after each answer."""
        self._tell = answered
        self._rest = Rest(url)
        try:
            while not over.is_set():
                self._step()
        except Lost:
            pass
        finally:
            self._rest.close()

    def settle(self, rest: Rest) -> None:
        """After a restart: see what became of what was never answered, and go on from there."""
        for promise in list(self.promises):
            if promise.id is None:
                self._look_for(promise, rest)
                continue
            status, seen = rest.call("GET", f"services/{promise.id}")
            if status not in (200, 404):
                raise Unexpected(f"service {promise.id}: {status} {seen}")
            before = set(promise.possible)
            promise.observe(seen if status == 200 else None)
            if status == 200 and seen["change"] in ("preparing", "prepared"):
                self._settle_change(promise, rest, before)
            promise.following = None
            if promise.possible == {GONE}:
                self.is_released(promise)

    def _look_for(self, promise: Promise, rest: Rest) -> None:
        found = rest.ok("GET", f"services?handle-prefix={promise.handle}")["services"]
        if len(found) > 1:
            raise Unexpected(f"handle {promise.handle} is there twice: {found}")
        promise.observe(found[0] if found else None)
        if not found:
            self.promises.remove(promise)
            self._labels.append(promise.label)
            return
        promise.id = found[0]["id"]
        self._issued(promise.id)
        # Asking for the same again is how a client finds out: it gets the same service.
        again = rest.ok("POST", "services", {"handle": promise.handle})
        if again["id"] != promise.id:
            raise Unexpected(f"handle {promise.handle} was {promise.id} and is now {again['id']}")

    def _settle_change(self, promise: Promise, rest: Rest, before: set[State]) -> None:
        if promise.following is None:
            raise Unexpected(f"a change that nobody asked for: {promise} after {before}")
        for _ in range(200):
            change = rest.ok("GET", f"services/{promise.id}")["change"]
            if change != "preparing":
                break
            rest.wait(promise.id or 0, ["RELEASED"], 0.05)
        if change == "prepared" and self.rng.random() < 0.5:
            rest.ok("POST", f"services/{promise.id}/commit")
            promise.possible = {state._replace(segment=promise.following) for state in promise.possible}
        else:
            rest.ok("POST", f"services/{promise.id}/abort")

    # -- a step

    def _step(self) -> None:
        rng = self.rng
        if not self.promises or (len(self.promises) < MOST and rng.random() < 0.3):
            self._make()
            return
        promise = rng.choice(self.promises)
        state = rng.choice(sorted(promise.possible, key=str))
        if state.desired == "RELEASED":
            if self._await(promise, "RELEASED") == "RELEASED":
                self.is_released(promise)
        elif state.desired == "DORMANT":
            self._from_dormant(promise)
        else:
            self._from_defined(promise, state)

    def _from_dormant(self, promise: Promise) -> None:
        if self.rng.random() < 0.15:
            self._command(promise, "release", GONE)
        elif self._await(promise, "DORMANT") != "DORMANT":
            return
        elif self.rng.random() < 0.2:
            self._command(promise, "activate", State("DORMANT", None, True))
        else:
            self._define(promise)

    def _from_defined(self, promise: Promise, state: State) -> None:
        chance = self.rng.random()
        if chance < 0.2:
            self._command(promise, "release", GONE)
        elif chance < 0.25:
            self._command(promise, "reset", NEW)
        elif chance < 0.45:
            self._change(promise, state)
        elif state.desired == "ACTIVE":
            if chance < 0.7:
                self._await(promise, "ACTIVE")
            else:
                self._command(promise, "deactivate", State("INACTIVE", state.segment))
        else:
            self._command(promise, "activate", State("ACTIVE", state.segment))

    def _make(self) -> None:
        if not self._labels:
            return
        label = self._labels.pop(0)
        if self.rng.random() < 0.3:
            self._make_without_a_name(label)
            return
        self._made += 1
        promise = Promise(f"client-{self.number}-{self._made}-", label)
        self.promises.append(promise)
        body: Plain = {"handle": promise.handle}
        after = NEW
        promise.possible |= {NEW}
        if self.rng.random() < 0.7:
            number = promise.add(segment(label, self.rng))
            body["segment"] = promise.segments[number]
            after = State("INACTIVE", number)
            promise.possible = {GONE, after}
            if self.rng.random() < 0.7:
                body["activate"] = True
                after = State("ACTIVE", number)
                promise.possible |= {after}
        status, answer = self._call("POST", "services", body)
        if self._is_refused(status, answer, promise):
            self.promises.remove(promise)
            self._labels.append(label)
            return
        if status != 201:
            raise Unexpected(f"create {body}: {status} {answer}")
        promise.id = answer["id"]
        self._issued(answer["id"])
        promise.possible = {after}

    def _make_without_a_name(self, label: int) -> None:
        self.nameless += 1
        try:
            status, answer = self._call("POST", "/network/wan/create-service")
        except Lost:
            self._labels.append(label)
            raise
        if status != 200:
            raise Unexpected(f"create-service: {status} {answer}")
        self.nameless -= 1
        self._issued(answer["service-id"])
        self.promises.append(Promise(None, label, answer["service-id"], possible={NEW}))

    def _define(self, promise: Promise) -> None:
        number = promise.add(segment(promise.label, self.rng))
        before = set(promise.possible)
        after = {State("ACTIVE" if state.remembered else "INACTIVE", number) for state in before}
        # A refusal forgets what was remembered.
        promise.possible = before | after | {NEW}
        status, answer = self._call("POST", f"services/{promise.id}/define", {"segment": promise.segments[number]})
        if self._is_refused(status, answer, promise):
            promise.possible = {NEW}
            return
        if status != 200:
            raise Unexpected(f"define {promise}: {status} {answer}")
        promise.possible = after

    def _change(self, promise: Promise, state: State) -> None:
        if state.segment is None or self._await(promise, state.desired) != state.desired:
            return
        number = promise.following = promise.add(resized(promise.segments[state.segment], self.rng))
        body = {"segment": promise.segments[number]}
        status, answer = self._call("POST", f"services/{promise.id}/prepare", body)
        if status == 409 and answer["code"] in ("no-capacity", "bandwidth-unavailable", "service-logic"):
            # No room; or the last change is still being carried out.
            self.refused += 1
            promise.following = None
            return
        if status != 200 or answer["change"] != "prepared":
            raise Unexpected(f"prepare {promise}: {status} {answer}")
        if self.rng.random() < 0.2:
            status, answer = self._call("POST", f"services/{promise.id}/abort")
        else:
            after = {state._replace(segment=number) for state in promise.possible}
            promise.possible |= after
            status, answer = self._call("POST", f"services/{promise.id}/commit")
            promise.possible = after
        if status != 200:
            raise Unexpected(f"change of {promise}: {status} {answer}")
        promise.following = None

    def _command(self, promise: Promise, name: str, after: State) -> None:
        promise.possible |= {after}
        status, answer = self._call("POST", f"services/{promise.id}/{name}")
        if status != 200:
            raise Unexpected(f"{name} of {promise}: {status} {answer}")
        promise.possible = {after}
        promise.following = None

    def _await(self, promise: Promise, status: str) -> str:
        path = f"/network/wan/service/{promise.id}/await-status"
        number, answer = self._call("POST", path, {"acceptable": [status], "timeout-millis": int(AWHILE * 1000)})
        if number != 200:
            raise Unexpected(f"await of {promise}: {number} {answer}")
        return str(answer["status"])

    # -- bookkeeping

    def _call(self, method: str, path: str, body: object = None) -> tuple[int, Plain]:
        assert self._rest is not None
        answer = self._rest.call(method, path, body)
        self._tell()
        return answer

    def _is_refused(self, status: int, answer: Plain, promise: Promise) -> bool:
        """Whether a define was refused for want of room, as it may be."""
        if status != 409 or answer["code"] != "no-capacity" or not promise.segments:
            return False
        asked = promise.segments[-1]
        if asked[0]["ingress"] != TOO_MUCH:
            self.refused += 1
        return True

    def _issued(self, id_: int) -> None:
        if id_ in self.ids:
            raise Unexpected(f"id {id_} was issued twice")
        self.ids.add(id_)

    def is_released(self, promise: Promise) -> None:
        """The broker said that a service is RELEASED: from now on it is for ever."""
        self.promises.remove(promise)
        if promise.id is not None:
            self.released.add(promise.id)
        self._labels.append(promise.label)
