"""The audits of one switch: what differs from what is wanted, and its repair.

What belongs to no slice is removed once all keys are known. Before that it may be of a slice whose key is still to be
told, and only what this application answers for is removed: what its commands had to do with, confirmed or not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Set
from typing import TypeGuard

from attrs import Factory, define

from dpb_slicer import cookies, pipeline, recovery
from dpb_slicer.books import Books, Holding, is_unnamed, name_of
from dpb_slicer.difference import Change, Step, difference
from dpb_slicer.learning import Learning
from dpb_slicer.link import Link
from dpb_slicer.model import Entry, Flow, Tables
from dpb_slicer.timing import Timing

log = logging.getLogger(__name__)


@define
class Audits:
    """Compares a switch with its books. No locks: `Switch` calls it under its own."""

    _dpid: str
    _timing: Timing
    _books: Books
    _learning: Learning
    flows: int = 0
    """How many the switch had when it was asked last."""
    suspect: bool = False
    """Whether the next audit is a full one, whatever the count says."""
    _trusted: bool = False
    _next_full: float = 0.0
    _expected: int | None = None  # how many flows are wanted, until something changes
    _touched: set[tuple[object, ...]] = Factory(set)  # what commands had to do with since all was right, by name
    _told: set[int] = Factory(set)  # the cookies of these commands

    def changed(self, before: Mapping[int, Holding | None], after: Mapping[int, Holding | None]) -> None:
        """The books are others than they were: these are the holdings that a command changes, by cookie."""
        self._expected = None
        if not self._trusted:
            self._told.update(after)
            holdings = (holding for each in (before, after) for holding in each.values() if holding is not None)
            self._touched.update(name_of(entry) for holding in holdings for entry in holding.entries)

    def trust(self) -> None:
        """All keys are known: from now on what belongs to no slice is removed."""
        self._trusted = True
        self.suspect = True
        self._expected = None

    def run(self, link: Link) -> None:
        """Compare and repair: quickly by a count, wholly now and then. Raises what `Link` raises."""
        now = time.monotonic()
        if not self.suspect and now < self._next_full and self._counts_are_right(link):
            return
        asked = self._learning.now()
        self.repair(link, link.read(self._timing.command * 4), asked)
        self.suspect = False
        self._next_full = time.monotonic() + max(self._timing.full, 40 * (time.monotonic() - now))

    def _counts_are_right(self, link: Link) -> bool:
        total, static, learned = (
            link.count(cookie, mask, self._timing.command)
            for cookie, mask in (
                (0, 0),
                (cookies.BASE, cookies.MAGIC_MASK),
                (cookies.LEARNED << 56, cookies.MAGIC_MASK),
            )
        )
        self.flows = total
        if not self._trusted or any(is_unnamed(holding) for holding in self._books.holdings.values()):
            return True  # strays are let be, so a count says nothing
        if self._expected is None:
            self._expected = len(self._books.wanted().flows)
        return static == self._expected and total == static + learned

    def repair(self, link: Link, there: Tables, asked: float) -> None:
        """Send the steps from what is *there* to what is wanted; what stays there keeps its numbers from others.

        *asked* is when the reading of what is there began, by the clock of what is learned.
        """
        steps = self.mending(there, asked)
        self.flows = len(there.flows)
        failures = []
        if steps:
            log.info("%s differs from what is wanted: %d steps", self._dpid, len(steps))
            failures = link.transact(steps, self._timing.command * 4)
        for failure in failures:
            log.error("%s refuses a repair: %s: %s", self._dpid, failure.error, failure.step)
        left = there.entries()
        if not failures:
            gone = {name_of(step.entry) for step in steps if _deletes(step)}
            left = [] if self._trusted else [entry for entry in left if name_of(entry) not in gone]
            self._touched.clear()
            self._told.clear()
        places = [holding.place for holding in self._books.holdings.values()]
        self._books.seating.hold_only(places, *recovery.taken(left))

    def mending(self, there: Tables, asked: float) -> list[Step]:
        """The steps from what is *there*, read since *asked*, to what is wanted."""
        learned = {key: flow for key, flow in there.flows.items() if cookies.is_learned(flow.cookie)}
        known = recovery.learned_addresses(learned.values())
        let_be = self._books.let_be(there)
        wanted = self._books.wanted()
        rest = Tables(
            {k: f for k, f in there.flows.items() if k not in learned and k not in let_be.flows},
            {n: g for n, g in there.groups.items() if n not in let_be.groups},
            {n: m for n, m in there.meters.items() if n not in let_be.meters},
        )
        steps = difference(rest, wanted)
        if not self._trusted:
            own = self._told.union(h.cookie for h in self._books.holdings.values() if not is_unnamed(h))
            steps = [step for step in steps if not _deletes(step) or self._answers_for(step.entry, own)]
        learning = {h.place.number: h for h in self._books.holdings.values() if h.learns}
        self._learning.recall(known, asked)
        steps += [Change("delete", flow) for flow in learned.values() if not _sound(flow, learning, known)]
        return steps

    def _answers_for(self, entry: Entry, own: Set[int]) -> bool:
        return name_of(entry) in self._touched or (isinstance(entry, Flow) and entry.cookie in own)


def _deletes(step: Step) -> TypeGuard[Change]:
    return isinstance(step, Change) and step.verb == "delete"


def _sound(flow: Flow, learning: Mapping[int, Holding], known: Mapping[int, Mapping[str, int]]) -> bool:
    """Whether a learned flow is of a circuit that is there, and has the other flow of its address."""
    number, index = cookies.learned_at(flow.cookie)
    holding = learning.get(number)
    if holding is None or all(seat.index != index for seat in holding.place.seats.values()):
        return False
    address = flow.match.eth_dst or flow.match.eth_src
    if address is None:
        return flow == pipeline.quiet(number, index, flow.hard)
    return known.get(number, {}).get(address) == index
