"""The demonstration: three sites on three switches, services over two trunks, pings and rates; all gone again."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from types import FrameType

from attrs import frozen
from rich.console import Console

from dpb_lab import show
from dpb_lab.broker import End, Service, end
from dpb_lab.host import Host
from dpb_lab.inside.frames import BROADCAST, frame, payload
from dpb_lab.lab import Lab, missing
from dpb_lab.process import LabError, until
from dpb_lab.rates import Flow, measure
from dpb_lab.wan import KINDS, OPENFLOW, Wan

PORTS = {"opst": 1, "ofx": 2, "lab": 3}
"""What the ports of each site's switch are called: two for hosts behind tagging bridges, one for measuring devices."""


@frozen
class Place:
    """An end of a service with the host behind it: a site, a port, a label, and Mbit/s in and out."""

    site: str
    port: str
    label: int
    ingress: float
    egress: float

    @property
    def terminal(self) -> str:
        """The terminal's name."""
        return f"{self.site}-{self.port}"

    @property
    def end(self) -> End:
        """The end, as the broker is asked for it."""
        return end(self.terminal, self.label, self.ingress, self.egress)

    def __str__(self) -> str:
        return f"{self.terminal}:{self.label}"


SERVICES: Mapping[str, Sequence[Place]] = {
    # The services of the paper's second figure, the second of them across both trunks.
    "E-LAN": (
        Place("site1", "opst", 435, 20, 20),
        Place("site2", "ofx", 961, 20, 20),
        Place("site3", "ofx", 2010, 20, 20),
    ),
    "E-Line": (Place("site1", "opst", 91, 20, 20), Place("site3", "opst", 961, 20, 20)),
    # Those whose rates are measured; each is measured where its first end is.
    "E-Line, 50": (Place("site1", "lab", 50, 50, 50), Place("site3", "lab", 50, 200, 200)),
    "E-Line, 5 / 20": (Place("site1", "lab", 60, 5, 20), Place("site3", "lab", 60, 200, 200)),
    "E-LAN, 50 / 10": (
        Place("site1", "lab", 70, 50, 10),
        Place("site2", "lab", 70, 200, 200),
        Place("site3", "lab", 70, 200, 200),
    ),
}
PINGED = ("E-LAN", "E-Line")
MEASURED = tuple(name for name in SERVICES if name not in PINGED)


class Demonstration:
    """What is shown, step by step; `held` becomes False with the first promise that is not kept."""

    def __init__(self, lab: Lab, wan: Wan, console: Console) -> None:
        self._lab, self._wan, self._console = lab, wan, console
        self._hosts: dict[Place, Host] = {}
        self._took: dict[str, float] = {}
        self._services: dict[str, Service] = {}
        self.held = True

    def make_hosts(self) -> None:
        """Make the hosts: those that ping behind tagging bridges, one that tags itself at each site to measure with."""
        addresses = (f"10.0.0.{number}/24" for number in range(1, 255))
        meters: dict[str, Host] = {}
        for name, places in SERVICES.items():
            for place in places:
                if name in PINGED:
                    port, address = PORTS[place.port], next(addresses)
                    self._hosts[place] = self._wan.host(str(place), place.site, port, address=address, tag=place.label)
                else:
                    if place.site not in meters:
                        meters[place.site] = self._wan.host(place.terminal, place.site, PORTS[place.port])
                    self._hosts[place] = meters[place.site]

    def connect(self) -> None:
        """Broker the services, and ping the moment that each is ACTIVE."""
        first = []
        for name, places in SERVICES.items():
            begun = time.perf_counter()
            self._services[name] = self._wan.broker.connect(*(place.end for place in places), handle=name)
            self._took[name] = 1000 * (time.perf_counter() - begun)
            if name in PINGED:
                first.append(self._ping(f"{name}, as soon as ACTIVE", places[0], places[-1]))
        self._console.print(show.services({n: s.shown() for n, s in self._services.items()}, self._took))
        self._pinged(first)

    def ping(self) -> None:
        """Ping between all ends of each service, and across services, where nothing must be answered."""
        done = [self._ping(name, a, b) for name in PINGED for a, b in permutations(SERVICES[name], 2)]
        one, other = (SERVICES[name][-1] for name in PINGED)
        done.append(self._ping("from one to the other", one, other, wanted=False))
        self._pinged(done)

    def _ping(self, service: str, a: Place, b: Place, *, wanted: bool = True) -> show.Ping:
        seconds = self._hosts[a].ping(self._hosts[b], timeout=2.0 if wanted else 0.5)
        return show.Ping(service, str(a), str(b), None if seconds is None else 1000 * seconds, wanted)

    def _pinged(self, done: Sequence[show.Ping]) -> None:
        self._console.print(show.pings(done))
        self.held &= all(ping.held for ping in done)

    def measure(self) -> None:
        """Measure what comes of twice the rate, into the first end of each service and out of it."""
        done = []
        for name in MEASURED:
            first, last = SERVICES[name][0], SERVICES[name][-1]
            self._introduce(SERVICES[name])
            for source, to, promised, way in (
                (first, last, first.ingress, "into"),
                (last, first, first.egress, "out of"),
            ):
                self._console.print(f"measuring {name}, {way} {first} …", style="dim")
                flow = Flow(1, self._hosts[source], self._hosts[to], (source.label,), 2 * promised)
                windows = measure([flow]).rates(flow)
                done.append(show.Measurement(name, f"{way} {first}", flow.offered, promised, windows))
        self._console.print(show.rates(done))
        self.held &= all(each.held for each in done)

    def _introduce(self, places: Sequence[Place]) -> None:
        """Let every host be known to the switches, as hosts are by their first frames."""
        for stream, place in enumerate(places):
            others = [self._hosts[other].capture() for other in places if other != place]
            data = frame(self._hosts[place].mac, BROADCAST, payload(stream), tags=(place.label,))
            self._hosts[place].send(data)
            for capture in others:
                until(capture.frames, f"a broadcast from {place} does not come")
                capture.end()

    def release(self) -> None:
        """Release everything; nothing must stay on any switch."""
        for service in self._services.values():
            service.release()
        for service in self._services.values():
            service.becomes("RELEASED")
        switches = self._wan.switches.items()
        left = {site: [*self._wan.controller.slices(switch), *switch.left()] for site, switch in switches}
        self.held &= not any(left.values())
        told = "nothing is left on any switch" if not any(left.values()) else f"[red]NOT HELD[/]: left behind: {left}"
        self._console.print(f"all services are released: {told}")


def demonstrate(console: Console, folder: Path | None, kinds: Sequence[str]) -> bool:
    """Run all of it on switches of these *kinds* in turn; whether everything held."""
    begun = time.perf_counter()
    with Lab(folder) as lab, Wan(lab, kinds=kinds, ports=PORTS) as wan:
        names = ", ".join(map(str, wan.switches.values()))
        console.print(f"Open vSwitch, the controller application and the broker run: {names}")
        shown = Demonstration(lab, wan, console)
        shown.make_hosts()
        console.print(f"everything stands after {time.perf_counter() - begun:.1f} s\n")
        for step in (shown.connect, shown.ping, shown.measure, shown.release):
            step()
    console.print("all held" if shown.held else "[red]NOT ALL HELD[/]", style="bold")
    return shown.held


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dpb-lab", description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to keep logs and files (default: a new one that goes again)")
    parser.add_argument(
        "--kinds",
        type=_kinds,
        default=(OPENFLOW,),
        metavar="KIND,…",
        help=f"of the sites' switches, in turn: {', '.join(KINDS)} (default: {OPENFLOW})",
    )
    return parser.parse_args()


def _kinds(text: str) -> Sequence[str]:
    kinds = text.split(",")
    for kind in kinds:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"{kind!r} is none of {', '.join(KINDS)}")
    return kinds


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=110)


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run the demonstration; the answer is the process's exit status: 0 only if all held."""
    asked = _arguments()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _interrupted)
    reason = missing()
    if reason is not None:
        print(f"dpb-lab: {reason}", file=sys.stderr)
        return 1
    try:
        return 0 if demonstrate(_console(), asked.folder, asked.kinds) else 1
    except KeyboardInterrupt:
        print("dpb-lab: stopped; everything is torn down", file=sys.stderr)
        return 1
    except (LabError, OSError) as error:
        print(f"dpb-lab: {error}", file=sys.stderr)
        return 1
