"""Who holds which circuit, and how much of each terminal's quota is used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from dpb_framework.errors import (
    CircuitTaken,
    LabelsInUse,
    LabelsUnavailable,
    QuotaExceeded,
    TerminalBusy,
    TerminalUnknown,
)
from dpb_framework.model import Circuit, End, Segment, Terminal, Totals


class _Held(NamedTuple):
    segments: tuple[Segment, ...]
    shares: Mapping[str, tuple[int, int]]
    owner: str


_NOTHING = _Held((), {}, "")
_NONE = (0, 0, 0, 0)


class TerminalBook:
    """The terminals of one network. Its methods are called on the network's strand only.

    A service holds the circuits of all segments that it holds (its current one, and the one that is being
    prepared); of their rates at a terminal the larger counts against the quota.
    """

    def __init__(self, network: str) -> None:
        self._network = network
        self.terminals: dict[str, Terminal] = {}
        self._labels: dict[str, dict[int, int]] = {}
        self._used: dict[str, list[int]] = {}
        self._limited: set[str] = set()
        self._held: dict[int, _Held] = {}
        self._totals: dict[str, tuple[int, int, int, int]] = {}

    # -- terminals

    def put(self, terminal: Terminal) -> None:
        """Make or change a terminal; `check_change` was asked before."""
        self.terminals[terminal.name] = terminal
        if terminal.ingress_quota is None and terminal.egress_quota is None:
            self._limited.discard(terminal.name)
        else:
            self._limited.add(terminal.name)
        self._labels.setdefault(terminal.name, {})
        self._used.setdefault(terminal.name, [0, 0])

    def check_change(self, old: Terminal, new: Terminal) -> None:
        """Raise what forbids *old* to become *new*: labels or quota that services hold."""
        allowed = new.labels
        lost = [x for x in self._labels[old.name] if not any(first <= x <= last for first, last in allowed)]
        if lost:
            raise LabelsInUse(self._network, old.name, tuple(sorted(lost)))
        used = self._used[old.name]
        for name, quota, have in (("ingress", new.ingress_quota, used[0]), ("egress", new.egress_quota, used[1])):
            if quota is not None and quota < have:
                raise QuotaExceeded(self._network, old.name, name, have, quota)

    def remove(self, name: str) -> None:
        """Forget a terminal. `TerminalUnknown`, `TerminalBusy`."""
        if name not in self.terminals:
            raise TerminalUnknown(self._network, name)
        self.check_idle(name)
        del self.terminals[name], self._labels[name], self._used[name]
        self._limited.discard(name)

    def check_idle(self, name: str) -> None:
        """Raise `TerminalBusy` if a service has a circuit on the terminal."""
        for service in self._labels[name].values():
            raise TerminalBusy(self._network, name, f"service {service}")

    @property
    def holders(self) -> dict[Circuit, int]:
        """Each circuit that is held, with its service. May be asked by any thread."""
        held = [(name, labels.copy()) for name, labels in self._labels.copy().items()]
        return {Circuit(name, label): service for name, labels in held for label, service in labels.items()}

    def labels_held(self, name: str) -> Mapping[int, int]:
        """The labels of a terminal that are taken, each with its service."""
        return self._labels[name]

    def used(self, name: str) -> tuple[int, int]:
        """Ingress and egress (kbit/s) that services hold at a terminal."""
        ingress, egress = self._used[name]
        return ingress, egress

    # -- segments

    def resolve(
        self,
        service: int,
        segment: Segment,
        path: str = "segment",
        avoid: Collection[Circuit] = (),
        also: Callable[[Circuit], int | None] | None = None,
    ) -> Segment:
        """Check *segment* for *service* and return it with the labels chosen that it leaves open; nothing is taken.

        *also* tells the service, if any, that holds something which overlaps a circuit. Raises
        `SegmentInvalid`, `TerminalUnknown`, `LabelsUnavailable`, `CircuitTaken`, `QuotaExceeded`.
        """
        segment.check(path)
        open_ends = False
        terminals, labels = self.terminals, self._labels
        for i, end in enumerate(segment.ends):
            circuit = end.circuit
            terminal = terminals.get(circuit.terminal)
            if terminal is None:
                raise TerminalUnknown(self._network, circuit.terminal, f"{path}[{i}].terminal-name")
            label = circuit.label
            if label is None:
                open_ends = True
                continue
            for first, last in terminal.labels:
                if first <= label <= last:
                    break
            else:
                raise LabelsUnavailable(self._network, terminal.name, label, terminal.labels)
            holder = labels[circuit.terminal].get(label)
            if holder is None and also is not None:
                holder = also(circuit)
            if holder is not None and holder != service:
                raise CircuitTaken(self._network, circuit.terminal, label, holder)
        if open_ends:
            segment = self._choose(service, segment, avoid, also)
        if self._limited:
            self._check_quota(service, segment)
        return segment

    def _choose(
        self,
        service: int,
        segment: Segment,
        avoid: Collection[Circuit],
        also: Callable[[Circuit], int | None] | None,
    ) -> Segment:
        chosen = {end.circuit for end in segment.ends if end.circuit.label is not None}
        mine = [e.circuit for held in self._held.get(service, _NOTHING).segments for e in held.ends]
        # Each terminal's are looked through once, however many ends are there.
        candidates: dict[str, Iterator[Circuit]] = {}
        ends: list[End] = []
        for end in segment.ends:
            circuit = end.circuit
            if circuit.label is None:
                name = circuit.terminal
                if name not in candidates:
                    candidates[name] = self._candidates(name, mine, avoid, also)
                found = next((c for c in candidates[name] if c not in chosen), None)
                if found is None:
                    raise LabelsUnavailable(self._network, name)
                circuit = found
                chosen.add(circuit)
                end = End(circuit, end.flow)
            ends.append(end)
        return Segment(ends, segment.constraints)

    def _candidates(
        self,
        name: str,
        mine: Collection[Circuit],
        avoid: Collection[Circuit],
        also: Callable[[Circuit], int | None] | None,
    ) -> Iterator[Circuit]:
        """The circuits of a terminal that can be chosen: those that the service has there, then the free ones."""
        yield from (c for c in mine if c.terminal == name and c not in avoid)
        taken = self._labels[name]
        for first, last in self.terminals[name].labels:
            for label in range(first, last + 1):
                if label in taken:
                    continue
                circuit = Circuit(name, label)
                if circuit not in avoid and (also is None or also(circuit) is None):
                    yield circuit

    def _check_quota(self, service: int, segment: Segment) -> None:
        shares = _shares((*self._held.get(service, _NOTHING).segments, segment))
        before = self._held.get(service, _NOTHING).shares
        for name, (ingress, egress) in shares.items():
            if name not in self._limited:
                continue
            terminal = self.terminals[name]
            used = self._used[name]
            had = before.get(name, (0, 0))
            if terminal.ingress_quota is not None and ingress - had[0] > terminal.ingress_quota - used[0]:
                left = terminal.ingress_quota - used[0] + had[0]
                raise QuotaExceeded(self._network, name, "ingress", ingress, left)
            if terminal.egress_quota is not None and egress - had[1] > terminal.egress_quota - used[1]:
                left = terminal.egress_quota - used[1] + had[1]
                raise QuotaExceeded(self._network, name, "egress", egress, left)

    def hold(self, service: int, owner: str, segments: Iterable[Segment]) -> None:
        """Let *service* hold just *segments* (none: it holds nothing any more)."""
        segments = tuple(segments)
        labels = self._labels
        before = self._held.pop(service, None)
        if before is not None:
            for held in before.segments:
                for end in held.ends:
                    # The labels of what is held are chosen.
                    labels[end.circuit.terminal].pop(end.circuit.label, None)  # type: ignore[arg-type]
            self._count(before, -1)
        if not segments:
            return
        now = self._held[service] = _Held(segments, _shares(segments), owner)
        self._count(now, 1)
        for held in segments:
            for end in held.ends:
                circuit = end.circuit
                # The labels of what is held are chosen.
                labels[circuit.terminal][circuit.label] = service  # type: ignore[index]

    def _count(self, held: _Held, sign: int) -> None:
        ingress = egress = 0
        used = self._used
        for name, (share_in, share_out) in held.shares.items():
            ingress += share_in
            egress += share_out
            here = used[name]
            here[0] += sign * share_in
            here[1] += sign * share_out
        services, circuits, total_in, total_out = self._totals.get(held.owner, _NONE)
        if services + sign:
            self._totals[held.owner] = (
                services + sign,
                circuits + sign * _circuits(held.segments),
                total_in + sign * ingress,
                total_out + sign * egress,
            )
        else:
            del self._totals[held.owner]

    def totals(self, owner: str, without: int) -> Totals:
        """What *owner* holds, the service *without* left out."""
        services, circuits, ingress, egress = self._totals.get(owner, _NONE)
        held = self._held.get(without)
        if held is not None and held.owner == owner:
            shares = held.shares.values()
            services, circuits = services - 1, circuits - _circuits(held.segments)
            ingress, egress = ingress - sum(s[0] for s in shares), egress - sum(s[1] for s in shares)
        return Totals(services, circuits, ingress, egress)


def _circuits(segments: tuple[Segment, ...]) -> int:
    """How many different circuits the segments have."""
    if len(segments) == 1:
        return len(segments[0].ends)
    return len({end.circuit for segment in segments for end in segment.ends})


def _shares(segments: tuple[Segment, ...]) -> dict[str, tuple[int, int]]:
    """Ingress and egress at each terminal: the sum over a segment's circuits, the larger of several segments."""
    result: dict[str, tuple[int, int]] = {}
    for segment in segments:
        sums: dict[str, tuple[int, int]] = {}
        for end in segment.ends:
            name = end.circuit.terminal
            had = sums.get(name)
            flow = end.flow
            sums[name] = (flow.ingress, flow.egress) if had is None else (had[0] + flow.ingress, had[1] + flow.egress)
        if not result:
            result = sums
            continue
        for name, (ingress, egress) in sums.items():
            other = result.get(name, (0, 0))
            result[name] = (max(ingress, other[0]), max(egress, other[1]))
    return result
