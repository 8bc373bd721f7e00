"""Where frames go in a world of emulated switches, and what is held there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Protocol, cast

from dpb_framework.contracts import AggregatorManagement, Channel, Network, Store, SwitchManagement
from dpb_framework.emulated import Device
from dpb_framework.model import Trunk
from dpb_framework.testing.layout import Layout


class Carrier(Protocol):
    """What knows where a device's frames go."""

    def carries(self, channel: Channel) -> Collection[Channel]:
        """Where a frame that enters at *channel* comes out."""


class Traffic:
    """Follows frames through devices and over trunks, as the networks of a layout have them now."""

    def __init__(
        self, layout: Layout, manage: Callable[[str], SwitchManagement], device: Callable[[str], Carrier]
    ) -> None:
        self._layout = layout
        self._manage = manage
        self._device = device

    def _names(self, network: str) -> list[str]:
        return [terminal.name for terminal in self._manage(network).list_terminals()]

    def carries(self, network: str, terminal: str, label: int) -> set[tuple[str, int]]:
        """The circuits of *network* at which a frame comes out that enters at (terminal, label), over all trunks."""
        homes = {self.place(network, name): name for name in self._names(network)}
        found: set[tuple[str, int]] = set()
        first = (*self.place(network, terminal), label)
        seen, todo = {first}, [first]
        while todo:
            switch, interface, tag = todo.pop()
            for out in self._device(switch).carries(Channel(interface, tag)):
                if (switch, out.interface) in homes:
                    found.add((homes[switch, out.interface], out.label))
                over = self._over_trunk(switch, out)
                if over is not None and over not in seen:
                    seen.add(over)
                    todo.append(over)
        return found

    def place(self, network: str, terminal: str) -> tuple[str, str]:
        """The switch and the interface that a network's terminal leads to in the end."""
        while True:
            (found,) = (t for t in self._manage(network).list_terminals() if t.name == terminal)
            if self._layout.networks[network]["kind"] == "switch":
                return network, found.place
            network, terminal = found.subterminal

    def _over_trunk(self, switch: str, channel: Channel) -> tuple[str, str, int] | None:
        for _, trunk in self._trunks():
            start, end = self.place(*trunk.start), self.place(*trunk.end)
            for ranged in trunk.labels:
                for here, first, there, other in (
                    (start, ranged.start, end, ranged.end),
                    (end, ranged.end, start, ranged.start),
                ):
                    if here == (switch, channel.interface) and 0 <= channel.label - first < ranged.count:
                        return (*there, other + channel.label - first)
        return None

    def _trunks(self) -> Iterator[tuple[str, Trunk]]:
        for name, settings in self._layout.networks.items():
            if settings["kind"] != "switch":
                for use in cast(AggregatorManagement, self._manage(name)).trunks():
                    yield name, use.trunk


def leftovers(
    layout: Layout, network_of: Callable[[str], Network], device_of: Callable[[str], Device], store: Store
) -> list[str]:
    """What is held anywhere: services, circuits, trunks' capacity and labels, bridges, records. Empty: nothing."""
    found: list[str] = []
    for name, settings in layout.networks.items():
        network = network_of(name)
        found += [f"{name}: service {s.id} is {s.status.value}" for s in network.services()]
        book = getattr(network, "book", None)
        found += [f"{name}: circuit {c} is held by {s}" for c, s in (book.holders if book else {}).items()]
        if settings["kind"] != "switch":
            for use in cast(AggregatorManagement, network).trunks():
                trunk, labels = use.trunk, sum(r.count for r in use.trunk.labels)
                if (use.upstream_left, use.downstream_left) != (trunk.upstream, trunk.downstream):
                    found.append(f"{name}: trunk {trunk.name} has {use.upstream_left}/{use.downstream_left} left")
                if use.labels_left != labels or use.services:
                    found.append(f"{name}: trunk {trunk.name} has {use.labels_left} labels, {use.services}")
        elif settings.get("fabric", "emulated") == "emulated":
            found += [f"{name}: bridge {key}" for key in device_of(name).holds()]
    for table, records in store.load().tables.items():
        if table.__name__ in ("ServiceRecord", "SegmentRecord", "AttemptRecord"):
            found += [f"store: {table.__name__} {record.key}" for record in records]
    return found


__all__ = ["Carrier", "Traffic", "leftovers"]
