"""What a small world is made of: switches, aggregators over them, trunks between them; and some usual shapes.

Terminals of switches get the interfaces 1, 2, 3, ... of their device, in the order in which they are named. A place is
written as `network:terminal`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from attrs import evolve

from dpb_framework.model import LabelRange, Terminal, Trunk

GIGABIT = 1_000_000
"""The capacity of a trunk that says nothing else, kbit/s each way."""


class Layout:
    """A description of networks, inferiors first. Each method adds something and returns the layout itself."""

    def __init__(self) -> None:
        self.networks: dict[str, dict[str, Any]] = {}
        """Settings of each network as in a configuration file, without its name."""
        self.terminals: list[tuple[str, Terminal]] = []
        """(network, terminal)"""
        self.trunks: list[tuple[str, Trunk]] = []
        """(aggregator, trunk)"""
        self._ports: dict[str, int] = {}

    def switch(self, name: str, *terminals: str | Terminal, **settings: Any) -> Layout:
        """Add a switch with *terminals*; *settings* are those of its configuration (`on_port_down="fail"`)."""
        self.networks[name] = {"kind": "switch", **_settings(settings)}
        for terminal in terminals:
            self._add(name, terminal)
        return self

    def _add(self, switch: str, terminal: str | Terminal) -> None:
        number = self._ports[switch] = self._ports.get(switch, 0) + 1
        made = Terminal(terminal, str(number)) if isinstance(terminal, str) else terminal
        self.terminals.append((switch, made if made.place else evolve(made, place=str(number))))

    def aggregator(
        self, name: str, inferiors: Iterable[str], terminals: Mapping[str, str | Terminal], **settings: Any
    ) -> Layout:
        """Add an aggregator. *terminals* maps each of its terminals to a place, or to a whole `Terminal`."""
        self.networks[name] = {"kind": "aggregator", "inferiors": list(inferiors), **_settings(settings)}
        for terminal, place in terminals.items():
            self.terminals.append((name, Terminal(terminal, place) if isinstance(place, str) else place))
        return self

    def trunk(
        self,
        aggregator: str,
        start: str,
        end: str,
        up: int = GIGABIT,
        down: int | None = None,
        *,
        name: str | None = None,
        delay: int = 1000,
        labels: Sequence[tuple[int, int, int]] = ((1, 4094, 1),),
    ) -> Layout:
        """Add a trunk between two places; a switch's terminal is made if it is not there.

        Capacities are kbit/s, *down* as *up* unless given; *labels* are (start, count, end) ranges, the delay
        microseconds.
        """
        there = {(network, terminal.name) for network, terminal in self.terminals}
        ends = []
        for place in (start, end):
            network, _, terminal = place.partition(":")
            if (network, terminal) not in there and self.networks[network]["kind"] == "switch":
                self._add(network, terminal)
            ends.append((network, terminal))
        first, last = ends
        ranges = tuple(LabelRange(*one) for one in labels)
        called = name or Trunk.default_name(first, last)
        self.trunks.append((aggregator, Trunk(called, first, last, up, up if down is None else down, delay, ranges)))
        return self


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("_", "-"): value for key, value in settings.items()}


def one_switch(**settings: Any) -> Layout:
    """Return the switch `s1` with the terminals a, b, c and d."""
    return Layout().switch("s1", "a", "b", "c", "d", **settings)


def line(switches: int, name: str = "net", prefix: str = "s", capacity: int = GIGABIT, **settings: Any) -> Layout:
    """Return the aggregator *name* over `s1`, `s2`, ... in a row.

    Its terminals `t1`, `t2`, ... lead to terminal `t` of each switch, `u1`, `u2`, ... to terminal `u`; the trunks are
    called `s1-s2`, `s2-s3`, ...
    """
    names = [f"{prefix}{number}" for number in range(1, switches + 1)]
    layout = Layout()
    for switch in names:
        layout.switch(switch, "t", "u", **settings)
    terminals = {f"{at}{i}": f"{switch}:{at}" for at in "tu" for i, switch in enumerate(names, 1)}
    layout.aggregator(name, names, terminals)
    for one, other in pairwise(names):
        layout.trunk(name, f"{one}:to-{other}", f"{other}:to-{one}", capacity, name=f"{one}-{other}")
    return layout


def ring(switches: int, name: str = "net", capacity: int = GIGABIT, **settings: Any) -> Layout:
    """Return a line whose last switch is joined to the first, by the trunk `s3-s1` where there are three."""
    last = f"s{switches}"
    return line(switches, name, capacity=capacity, **settings).trunk(
        name, f"{last}:to-s1", f"s1:to-{last}", capacity, name=f"{last}-s1"
    )


def triangle(capacity: int = GIGABIT, **settings: Any) -> Layout:
    """Return a ring of three."""
    return ring(3, capacity=capacity, **settings)


def two_levels(capacity: int = GIGABIT, **settings: Any) -> Layout:
    """Return `top` over `east`, `west` and `mid`, each over a line of two switches (`e1`, `e2`, `w1`, ...).

    The terminals `a`, `b` of `top` lie in `east`, `c`, `d` in `west`, at the first and second switch there. Trunks of
    `top`: `direct` from east to west (1 ms), `up` and `down` by way of `mid` (2 ms each).
    """
    layout = Layout()
    for region, letter in (("east", "e"), ("west", "w"), ("mid", "m")):
        _region(layout, region, letter, capacity, settings)
    layout.aggregator("top", ("east", "west", "mid"), {"a": "east:a", "b": "east:b", "c": "west:a", "d": "west:b"})
    layout.trunk("top", "east:x", "west:x", capacity, name="direct")
    layout.trunk("top", "east:y", "mid:x", capacity, name="up", delay=2000)
    layout.trunk("top", "mid:y", "west:y", capacity, name="down", delay=2000)
    return layout


def three_levels(capacity: int = GIGABIT, **settings: Any) -> Layout:
    """Return `all` over `top` (as in `two_levels`) and `far`, a line of two switches; the trunk `long` joins them.

    Its terminals are `a`, `b`, `c`, `d` of `top`, and `e`, `f` of `far`.
    """
    layout = two_levels(capacity, **settings)
    _region(layout, "far", "f", capacity, settings)
    layout.terminals.append(("top", Terminal("x", "west:z")))
    terminals = {name: f"top:{name}" for name in "abcd"} | {"e": "far:a", "f": "far:b"}
    layout.aggregator("all", ("top", "far"), terminals)
    return layout.trunk("all", "top:x", "far:x", capacity, name="long")


def _region(layout: Layout, region: str, letter: str, capacity: int, settings: Mapping[str, Any]) -> None:
    """Add an aggregator over two switches: a, x and z at the first of them, b and y at the second."""
    one, two = f"{letter}1", f"{letter}2"
    layout.switch(one, "a", "x", "z", **settings).switch(two, "b", "y", **settings)
    places = {"a": one, "x": one, "z": one, "b": two, "y": two}
    layout.aggregator(region, (one, two), {name: f"{switch}:{name}" for name, switch in places.items()})
    layout.trunk(region, f"{one}:to-{two}", f"{two}:to-{one}", capacity, name=f"{one}-{two}")


__all__ = ["GIGABIT", "Layout", "line", "one_switch", "ring", "three_levels", "triangle", "two_levels"]
