"""The slices of one switch as the application wants them: who holds which circuit, and what a command would change.

No I/O and no locks: `Switch` calls it under its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from attrs import Factory, define, field, frozen

from dpb_slicer import cookies, pipeline
from dpb_slicer.circuits import Circuit, Slice, prefixes
from dpb_slicer.difference import Change, Forget, Step, additions_first, difference, ordered
from dpb_slicer.errors import Overlap, SlicerError
from dpb_slicer.model import Entry, Flow, Group, Meter, Tables
from dpb_slicer.pipeline import Place
from dpb_slicer.recovery import Found
from dpb_slicer.seating import Seating


@frozen
class Holding:
    """A slice on the switch. `key` is None while it is only known from the switch's own flows."""

    cookie: int
    key: str | None
    kind: str
    slice: Slice
    place: Place
    entries: tuple[Entry, ...] = field(repr=False)

    @property
    def learns(self) -> bool:
        """Whether it is a learning switch."""
        return len(self.slice.ends) > 2


@frozen
class Wish:
    """What a caller wants for a key: a slice, or None for no slice."""

    key: str | None
    slice: Slice | None
    kind: str = "v2"


@frozen
class Plan:
    """What a command would change: the holdings before and after, by cookie; and who was refused at once, and why."""

    before: dict[int, Holding | None]
    after: dict[int, Holding | None]
    refused: dict[int, SlicerError]


@define
class _Claims:
    """Which slice's circuit takes which frames."""

    _owners: dict[Circuit, int] = Factory(dict)
    _longer: dict[Circuit, dict[Circuit, int]] = Factory(dict)

    def add(self, circuit: Circuit, cookie: int) -> None:
        self._owners[circuit] = cookie
        for prefix in prefixes(circuit)[:-1]:
            self._longer.setdefault(prefix, {})[circuit] = cookie

    def remove(self, circuit: Circuit, cookie: int) -> None:
        if self._owners.get(circuit) != cookie:
            return
        del self._owners[circuit]
        for prefix in prefixes(circuit)[:-1]:
            longer = self._longer[prefix]
            del longer[circuit]
            if not longer:
                del self._longer[prefix]

    def overlapping(self, circuit: Circuit) -> Iterable[tuple[Circuit, int]]:
        for prefix in prefixes(circuit):
            if prefix in self._owners:
                yield prefix, self._owners[prefix]
        yield from self._longer.get(circuit, {}).items()


@define
class Books:
    """Holdings by cookie, and everything that follows from them."""

    seating: Seating
    holdings: dict[int, Holding] = Factory(dict)
    _claims: _Claims = Factory(_Claims)
    _shared: Counter[Flow] = Factory(Counter)

    def plan(self, wishes: Mapping[int, Wish]) -> Plan:
        """See what the wishes would change, each by itself. Holds numbers and meters for what is accepted."""
        refused = self._conflicts(wishes)
        plan = Plan({}, {}, refused)
        for cookie, wish in wishes.items():
            if cookie in refused:
                continue
            before = self.holdings.get(cookie)
            try:
                plan.after[cookie] = self._made(cookie, wish, before)
            except SlicerError as error:
                refused[cookie] = error
            else:
                plan.before[cookie] = before
        if refused:
            # A circuit that a refused change would have let go may be what another one takes.
            for cookie, clash in self._conflicts({c: w for c, w in wishes.items() if c not in refused}).items():
                refused[cookie] = clash
                self.seating.give_back_new(plan.before.pop(cookie), plan.after.pop(cookie))
        return plan

    def _made(self, cookie: int, wish: Wish, before: Holding | None) -> Holding | None:
        if wish.slice is None:
            return None
        place = self.seating.seat(wish.slice, before.place if before else None)
        return Holding(cookie, wish.key, wish.kind, wish.slice, place, pipeline.translate(wish.slice, place, cookie))

    def _conflicts(self, wishes: Mapping[int, Wish]) -> dict[int, SlicerError]:
        """Who wants a circuit that overlaps one of another slice, as things would be after all the others."""
        refused: dict[int, SlicerError] = {}
        again = True
        while again:
            again = False
            moving = wishes.keys() - refused.keys()
            wanted = _Claims()
            for cookie, wish in wishes.items():
                if cookie in refused or wish.slice is None:
                    continue
                for circuit in wish.slice.circuits:
                    clash = self._clash(circuit, cookie, moving, wanted)
                    if clash is not None:
                        refused[cookie] = Overlap(self._key(clash[1], wishes), circuit, clash[0])
                        again = cookie in self.holdings  # it keeps what it had: others may have counted on that
                        break
                else:
                    for circuit in wish.slice.circuits:
                        wanted.add(circuit, cookie)
                if again:
                    break
        return refused

    def _clash(
        self, circuit: Circuit, cookie: int, moving: Iterable[int], wanted: _Claims
    ) -> tuple[Circuit, int] | None:
        for taken, owner in self._claims.overlapping(circuit):
            if owner != cookie and owner not in moving:
                return taken, owner
        return next((each for each in wanted.overlapping(circuit) if each[1] != cookie), None)

    def _key(self, cookie: int, wishes: Mapping[int, Wish]) -> str | None:
        holding = self.holdings.get(cookie)
        if holding is not None:
            return holding.key
        return wishes[cookie].key if cookie in wishes else None

    def put(self, holdings: Mapping[int, Holding | None]) -> None:
        """Make these the holdings of their cookies; None is no holding."""
        for cookie in holdings:
            old = self.holdings.get(cookie)
            if old is not None:
                for circuit in old.slice.circuits:
                    self._claims.remove(circuit, cookie)
                self._shared.subtract(_shared(old))
        for cookie, holding in holdings.items():
            if holding is None:
                self.holdings.pop(cookie, None)
            else:
                self.holdings[cookie] = holding
                for circuit in holding.slice.circuits:
                    self._claims.add(circuit, cookie)
                self._shared.update(_shared(holding))
        self._shared += Counter()  # drops what nobody needs any longer

    def steps(self, plan: Plan) -> tuple[list[Step], list[Step]]:
        """What to send for a plan that was `put`: what only adds, and what follows once that is confirmed.

        All flows of what is wanted are sent, whether they should be there or not.
        """
        old, new = Tables(), Tables()
        for holding in plan.before.values():
            for entry in holding.entries if holding else ():
                old.put(entry)
        for holding in plan.after.values():
            for entry in holding.entries if holding else ():
                new.put(entry)
        gone = {
            key: flow
            for key, flow in old.flows.items()
            if key not in new.flows and (flow.cookie != cookies.BASE or flow not in self._shared)
        }
        steps = difference(Tables(gone, old.groups, old.meters), new)
        forgotten = [step for cookie, before in plan.before.items() for step in forget(before, plan.after[cookie])]
        return additions_first(ordered([*steps, *forgotten]), old)

    def adopt(self, found: Found, kind: str) -> None:
        """Take a slice that the switch reports."""
        self.seating.claim(found.place)
        entries = pipeline.translate(found.slice, found.place, found.cookie)
        self.put({found.cookie: Holding(found.cookie, None, kind, found.slice, found.place, entries)})

    def wanted(self) -> Tables:
        """All that the switch should hold for slices whose keys are known."""
        tables = Tables.of(pipeline.base())
        for holding in self.holdings.values():
            if not is_unnamed(holding):
                for entry in holding.entries:
                    tables.put(entry)
        return tables

    def let_be(self, there: Tables) -> Tables:
        """What of *there* is a matter of slices whose keys are not known yet."""
        unnamed = [holding for holding in self.holdings.values() if is_unnamed(holding)]
        own = {holding.cookie for holding in unnamed}
        shared = {flow.key for holding in unnamed for flow in _shared(holding)}
        groups = {entry.id for holding in unnamed for entry in holding.entries if isinstance(entry, Group)}
        meters = {entry.id for holding in unnamed for entry in holding.entries if isinstance(entry, Meter)}
        return Tables(
            {key: flow for key, flow in there.flows.items() if flow.cookie in own or key in shared},
            {number: group for number, group in there.groups.items() if number in groups},
            {number: meter for number, meter in there.meters.items() if number in meters},
        )


def is_unnamed(holding: Holding) -> bool:
    """Whether a slice's key is still to be told; the first interface has no keys, so its slices lack none."""
    return holding.key is None and holding.kind != "v1"


def _shared(holding: Holding) -> list[Flow]:
    return [entry for entry in holding.entries if isinstance(entry, Flow) and entry.cookie == cookies.BASE]


def forget(before: Holding | None, after: Holding | None) -> list[Forget]:
    """What was learned at circuits that a slice no longer has, or that it no longer learns at."""
    if before is None or not before.learns:
        return []
    number = before.place.number
    if after is None or not after.learns or after.place.number != number:
        return [Forget(cookies.learned(number, 0), cookies.LEARNED_SLICE_MASK)]
    gone = before.place.seats.keys() - after.place.seats.keys()
    return [
        Forget(cookies.learned(number, before.place.seats[circuit].index), cookies.LEARNED_CIRCUIT_MASK)
        for circuit in sorted(gone)
    ]


def owners(steps: Iterable[Step], holdings: Iterable[Holding]) -> set[int]:
    """The cookies of the slices that these steps were made for."""
    blamed = {name_of(step.entry) for step in steps if isinstance(step, Change)}
    return {holding.cookie for holding in holdings if any(name_of(entry) in blamed for entry in holding.entries)}


def name_of(entry: Entry) -> tuple[object, ...]:
    """What a switch holds at most one of: a flow by its key, a group or a meter by its id."""
    return ("flow", entry.key) if isinstance(entry, Flow) else (type(entry).__name__, entry.id)
