"""One switch: its commands one after the other, each confirmed by a barrier."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import define

from dpb_slicer import cookies, recovery
from dpb_slicer.audits import Audits
from dpb_slicer.books import Books, Holding, Plan, Wish, forget, is_unnamed, owners
from dpb_slicer.circuits import Slice
from dpb_slicer.difference import Change, Step, additions_first
from dpb_slicer.errors import GivenUp, NotConnected, Refused, SlicerError, TimedOut
from dpb_slicer.learning import Learning, Limits
from dpb_slicer.link import Failure, Features, Link
from dpb_slicer.model import Flow, Tables
from dpb_slicer.seating import Seating
from dpb_slicer.timing import Timing

log = logging.getLogger(__name__)


@define
class Port:
    """A port of the switch."""

    name: str
    up: bool


def always() -> bool:
    """Yes."""
    return True


class Switch:
    """What the application knows and wants of one switch. Commands block; any thread may repeat them."""

    def __init__(self, dpid: str, timing: Timing, limits: Limits) -> None:
        self.dpid = dpid
        self.reason: str | None = None
        self.ports: dict[int, Port] = {}
        self.features = Features(0, None)
        self.books = Books(Seating.of(0))
        self.timing = timing
        self.learning = Learning(limits, self._send_unconfirmed)
        self.audits = Audits(dpid, timing, self.books, self.learning)
        self._link: Link | None = None
        self._ready = False
        self._known = False
        self._promptest, self._late = math.inf, 0.0
        self._commands = threading.Lock()

    # ---- the connection ----

    @property
    def connected(self) -> bool:
        """Whether commands can be given."""
        return self._ready

    def arrived(self, link: Link, features: Features) -> None:
        """A connection is there: learn what the switch holds, and repair what differs. Raises what `Link` raises."""
        with self._serial():
            self._link = link
            self._ready = False
            asked, there = self.learning.now(), link.read(self.timing.command * 4)
            if features != self.features:
                self._resize(features)
            if not self._known:
                self._recover(there)
                self._known = True
            self.audits.repair(link, there, asked)
            self.reason = None
            self._ready = self._link is link

    def left(self, link: Link) -> bool:
        """A connection ended; tells whether it was the one in use. Needs no lock: a command may be waiting on it."""
        if self._link is not link:
            return False
        self._link = None
        self._ready = False
        return True

    def abandon(self, reason: str) -> Link | None:
        """A connection that cannot be used is given up; tells which."""
        link, self._link = self._link, None
        self.reason = reason
        return link

    def refuse(self, reason: str) -> None:
        """The switch is there and cannot be used."""
        self.reason = reason

    def _resize(self, features: Features) -> None:
        fresh = Seating.of(features.max_meters)
        for holding in self.books.holdings.values():
            fresh.claim(holding.place)
        self.features, self.books.seating = features, fresh

    def _recover(self, there: Tables) -> None:
        for found in recovery.find(there).values():
            kind = "v1" if cookies.in_namespace(found.cookie, "", "v1") else "v2"
            self.books.adopt(found, kind)
            if len(found.slice.ends) > 2:
                self.learning.teach(found.place.number, found.place)

    @contextmanager
    def _serial(self) -> Iterator[None]:
        if not self._commands.acquire(timeout=self.timing.command * 6):
            raise TimedOut(self.dpid, "other commands of this switch are not done")
        try:
            yield
        finally:
            self._commands.release()

    def _using(self) -> Link:
        link = self._link
        if link is None or not self._ready:
            raise NotConnected(self.dpid, self.reason)
        return link

    def _send_unconfirmed(self, steps: Iterable[Step]) -> None:
        link = self._link
        if link is not None:
            try:
                link.send(steps)
            except NotConnected:
                log.debug("%s went away while it was told an address", self.dpid)

    def holdings(self) -> list[Holding]:
        """What is held at this moment, of every cookie. Any thread may ask while commands change it."""
        return list(self.books.holdings.copy().values())

    # ---- commands ----

    def change(self, wishes: Mapping[int, Wish], wanted: Callable[[], bool] = always) -> dict[int, SlicerError | None]:
        """Do what is wished, by cookie: all in one go, each stands or falls alone. Tells each one's refusal, or None.

        Raises `NotConnected` before anything is changed, `TimedOut` when the outcome is unknown: it is then wanted on.
        *wanted* tells, once it is this command's turn, whether the caller still waits.
        """
        return self.revise(lambda: wishes, wanted)

    def revise(
        self, wishes_now: Callable[[], Mapping[int, Wish]], wanted: Callable[[], bool] = always
    ) -> dict[int, SlicerError | None]:
        """The same of wishes that follow from what is held: *wishes_now* is asked while no other command may change it.

        What it raises is raised, and nothing is changed.
        """
        with self._serial():
            if not wanted():
                raise GivenUp()
            outcome = self._change(wishes_now())
        self._let_settle()
        return outcome

    def _let_settle(self) -> None:
        """Give the switch the moment that its caches need: a frame sent after the answer must not meet the past.

        A switch that answers later than it can is short of time for its caches, too.
        """
        timing = self.timing
        time.sleep(max(timing.settle, min(timing.sluggish * self._late, timing.settle_most)))

    def _change(self, wishes: Mapping[int, Wish]) -> dict[int, SlicerError | None]:
        link = self._using()
        outcome: dict[int, SlicerError | None] = dict.fromkeys(wishes)
        outcome |= self._without_ports({c: w for c, w in wishes.items() if w.slice is not None})
        plan = self.books.plan({cookie: wish for cookie, wish in wishes.items() if outcome[cookie] is None})
        outcome |= plan.refused
        self._put(plan.before, plan.after)
        steps = self.books.steps(plan)
        try:
            failures = self._transact(link, steps)
            if failures:
                log.warning("%s refused: %s", self.dpid, "; ".join(sorted({failure.error for failure in failures})))
                outcome |= self._settle(link, plan)
        except NotConnected:
            self._undo(plan, plan.after)
            raise
        except TimedOut:
            self.audits.suspect = True
            raise
        self._finish(plan, {cookie for cookie in plan.after if outcome[cookie] is None})
        return outcome

    def _transact(self, link: Link, steps: tuple[list[Step], list[Step]]) -> list[Failure]:
        """Do the first steps, and the others only when none of these was refused."""
        first, second = steps
        failures = self._transact_both(link, first, second)
        if not failures and any(isinstance(s, Change) and isinstance(s.entry, Flow) for s in (*first, *second)):
            # Open vSwitch begins to revise the decisions that it has cached in the round of its main loop after the one
            # that answered the barrier.
            asked = time.monotonic()
            link.transact([], self.timing.command)
            took = time.monotonic() - asked
            self._promptest = min(self._promptest, took)
            self._late = took - self._promptest
        return failures

    def _transact_both(self, link: Link, first: list[Step], second: list[Step]) -> list[Failure]:
        failures = link.transact(first, self.timing.command) if first or not second else []
        return failures or (link.transact(second, self.timing.command) if second else [])

    def _without_ports(self, wishes: Mapping[int, Wish]) -> dict[int, SlicerError | None]:
        """Refuse new circuits on ports that are not there: Open vSwitch would take them without a word."""
        refused: dict[int, SlicerError | None] = {}
        for cookie, wish in wishes.items():
            held = self.books.holdings.get(cookie)
            had = set(held.slice.circuits) if held else set()
            for circuit in wish.slice.circuits if wish.slice else ():
                if circuit not in had and circuit[0] not in self.ports:
                    refused[cookie] = Refused(f"OFPET_BAD_ACTION OFPBAC_BAD_OUT_PORT: port {circuit[0]} is not there")
                    break
        return refused

    def _put(self, before: Mapping[int, Holding | None], after: Mapping[int, Holding | None]) -> None:
        self.books.put(after)
        self.audits.changed(before, after)
        for cookie, holding in after.items():
            had = before[cookie]
            if had is not None and had.learns and (holding is None or not holding.learns):
                self.learning.teach(had.place.number, None)
            if holding is not None and holding.learns:
                self.learning.teach(holding.place.number, holding.place)

    def _undo(self, plan: Plan, cookies_: Iterable[int]) -> None:
        undone = list(cookies_)
        self._put({c: plan.after[c] for c in undone}, {c: plan.before[c] for c in undone})
        for cookie in undone:
            self.books.seating.give_back_new(plan.before[cookie], plan.after[cookie])

    def _finish(self, plan: Plan, done: Iterable[int]) -> None:
        for cookie in done:
            before, after = plan.before[cookie], plan.after[cookie]
            self.books.seating.give_back(before.place if before else None, after.place if after else None)

    def _settle(self, link: Link, plan: Plan) -> dict[int, SlicerError | None]:
        """After a refusal: read what is there, try what is missing once more, undo what is refused again."""
        refused: dict[int, SlicerError | None] = {}
        for _ in range(len(plan.after) + 2):
            asked, there = self.learning.now(), link.read(self.timing.command)
            first, second = additions_first(self.audits.mending(there, asked), there)
            failures = self._transact(link, (first, []))
            errors = _blamed(failures, plan, refused)
            if not errors:  # what others are refused keeps nobody from being done wholly
                failures = [*failures, *self._transact(link, ([], second))]
                errors = _blamed(failures, plan, refused)
            if not errors:
                if failures:
                    log.error("%s keeps refusing: %s", self.dpid, failures[0].error)
                    self.audits.suspect = True
                return refused
            refused |= {cookie: Refused(error) for cookie, error in errors.items()}
            self._undo(plan, errors)
            link.transact(
                [step for cookie in errors for step in forget(plan.after[cookie], plan.before[cookie])],
                self.timing.command,
            )
        return refused

    def remove_others(self, prefix: str, keys: Iterable[str], wanted_still: Callable[[], bool] = always) -> int:
        """Remove each slice whose key begins with *prefix* and is not among *keys*; tells how many.

        Names what was unnamed. From now on what belongs to no slice is removed, too.
        """
        with self._serial():
            if not wanted_still():
                raise GivenUp()
            link = self._using()
            wanted = {cookies.cookie_of(key): key for key in keys}
            for cookie, key in wanted.items():
                held = self.books.holdings.get(cookie)
                if held is not None and is_unnamed(held):
                    self.books.put({cookie: held_as(held, key)})
            gone = {
                cookie: Wish(held.key, None, held.kind)
                for cookie, held in self.books.holdings.items()
                if cookie not in wanted and held.kind == "v2" and _begins(held, prefix)
            }
            outcome = self._change(gone)
            self.audits.trust()
            self.audits.run(link)
            for error in outcome.values():
                if error is not None:
                    raise error
        if gone:
            self._let_settle()
        return len(gone)

    def really(self) -> dict[int, Slice]:
        """The slices that are on the switch, read from it, by cookie."""
        with self._serial():
            tables = self._using().read(self.timing.command)
        return {cookie: found.slice for cookie, found in recovery.find(tables).items()}

    # ---- audits ----

    def audit(self) -> None:
        """Compare and repair: quickly by a count, wholly now and then. Raises what `Link` raises."""
        with self._serial():
            if self._ready:
                self.audits.run(self._using())


def _blamed(failures: Iterable[Failure], plan: Plan, refused: Container[int]) -> dict[int, str]:
    """Who of a plan, but for those that were *refused* already, caused failures; and the first error of each."""
    errors: dict[int, str] = {}
    for failure in failures:
        for cookie in owners([failure.step], [h for h in plan.after.values() if h is not None]):
            if cookie not in refused:
                errors.setdefault(cookie, failure.error)
    return errors


def held_as(holding: Holding, key: str) -> Holding:
    """The same holding, with its key."""
    return Holding(holding.cookie, key, holding.kind, holding.slice, holding.place, holding.entries)


def _begins(holding: Holding, prefix: str) -> bool:
    if holding.key is not None:
        return holding.key.startswith(prefix)
    return cookies.in_namespace(holding.cookie, prefix)


def describe(switch: Switch) -> dict[str, Any]:
    """The second interface's SWITCH."""
    features = switch.features
    groups = sum(type(entry).__name__ == "Group" for h in switch.holdings() for entry in h.entries)
    return {
        "dpid": switch.dpid,
        "connected": switch.connected,
        "reason": None if switch.connected else switch.reason,
        "meters": features.max_meters > 0,
        "max-meters": features.max_meters,
        "meters-used": len(switch.books.seating.meters),
        "max-groups": features.max_groups,
        "groups-used": groups,
        "flows": switch.audits.flows,
        "ports": {str(n): {"name": port.name, "up": port.up} for n, port in sorted(switch.ports.items())},
    }
