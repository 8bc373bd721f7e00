"""Three levels of brokers, each a process of its own on SQLite: one above, below it some, below each of these some.

Each broker has an aggregator `net`. A leaf's stands on a line of emulated switches, and has the terminals `left` and
`user` at the first of them, `right` and `end` at the last. Above, the inferiors are joined in a row from `right` to
`left`; a broker in the middle has `left`, `right` and `end` of the row, and `user0`, `user1`, … in each inferior; the
one above has `t0`, `t1`, … for all users below, and `end`. A service from `t0` to `end` goes through every switch.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from attrs import define, field

from ..crash.rest import Lost, Plain, Rest
from ..crash.serving import Serving, until

LABELS = [{"start": 1000, "count": 1000}]
CAPACITY = 10_000
"""Of every trunk, Mbit/s."""


def free_port(rng: random.Random, given: set[int]) -> int:
    """A port that nobody has and that no client's connection takes: below those that the system gives out.

    None of those that were *given* to others, who may not listen yet; it becomes one of them.
    """
    while True:
        port = rng.randrange(12_000, 30_000)
        if port in given:
            continue
        given.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


@define(eq=False)
class Broker:
    """One broker through its lives."""

    name: str
    folder: Path
    port: int
    inferiors: Sequence[Broker] = ()
    switches: int = 0
    superior: Broker | None = None
    life: int = 0
    serving: Serving | None = None
    rest: Rest = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.rest = Rest(self.url, "net")
        for inferior in self.inferiors:
            inferior.superior = self
        (self.folder / "dpb.toml").write_text(self._config())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _config(self) -> str:
        text = f'[store]\nurl = "sqlite:///dpb.sqlite"\n[[nbi]]\nkind = "rest"\nport = {self.port}\n'
        names = []
        for i in range(self.switches):
            names.append(f"s{i}")
            text += f'[[network]]\nname = "s{i}"\nkind = "switch"\n'
        for i, inferior in enumerate(self.inferiors):
            names.append(f"r{i}")
            text += f'[[network]]\nname = "r{i}"\nkind = "remote"\nnetwork = "net"\nkeep-alive = 2\n'
            text += f'url = "{inferior.url}"\n'
        listed = ", ".join(f'"{name}"' for name in names)
        return text + f'[[network]]\nname = "net"\nkind = "aggregator"\ninferiors = [{listed}]\n'

    # -- life

    def start(self) -> None:
        """Begin a life, as far as it goes without answering."""
        self.life += 1
        self.serving = Serving(self.folder, self.folder / "dpb.toml", self.life).go()

    def kill(self) -> None:
        if self.serving is not None:
            self.serving.kill()
        self.rest.close()

    @property
    def said(self) -> str:
        return "" if self.serving is None else self.serving.said

    def ready(self) -> None:
        """Wait until it answers and has contact with all below it."""
        assert self.serving is not None
        self.serving.ready()
        until(self._in_contact, f"{self.name} has no contact with those below it")

    def _in_contact(self) -> bool:
        try:
            networks = self.rest.ok("GET", "/api/v1/health")["networks"].values()
        except Lost:  # the connection is of an earlier life
            return False
        return all(facts.get("contact", "up") == "up" for facts in networks)

    # -- what it is made of

    def furnish(self) -> None:
        """Make terminals and trunks; those below must have theirs."""
        if self.switches:
            for i in range(self.switches):
                for port, terminal in enumerate(("left", "right", "user"), 1):
                    self._put(f"s{i}/terminals/{terminal}", {"place": str(port)})
            last = self.switches - 1
            self._put("s0/terminals/in", {"place": "4"})
            self._put(f"s{last}/terminals/out", {"place": "5"})
            places = {"left": "s0:in", "right": f"s{last}:out", "user": "s0:user", "end": f"s{last}:user"}
            if last == 0:
                places["end"] = "s0:left"
            names = [f"s{i}" for i in range(self.switches)]
        else:
            last = len(self.inferiors) - 1
            names = [f"r{i}" for i in range(last + 1)]
            places = {"left": "r0:left", "right": f"r{last}:right", "end": f"r{last}:end"}
            if self.superior is None:
                users = [
                    (name, i)
                    for name, below in zip(names, self.inferiors, strict=True)
                    for i in range(len(below.inferiors))
                ]
                places = {f"t{i}": f"{name}:user{j}" for i, (name, j) in enumerate(users)}
                places["end"] = f"r{last}:end"
            else:
                places |= {f"user{i}": f"{name}:user" for i, name in enumerate(names)}
        for terminal, place in places.items():
            self._put(f"net/terminals/{terminal}", {"place": place})
        for one, other in pairwise(names):
            trunk = {
                "start": f"{one}:right",
                "end": f"{other}:left",
                "upstream": CAPACITY,
                "delay": 1,
                "labels": LABELS,
            }
            self._put(f"net/trunks/{one}-{other}", trunk)

    def _put(self, path: str, body: Plain) -> None:
        self.rest.ok("PUT", f"/api/v1/networks/{path}", body)

    # -- what it holds

    def services(self) -> list[Plain]:
        found: list[Plain] = self.rest.ok("GET", "services")["services"]
        return found

    def held(self) -> list[str]:
        """Services, and what trunks carry."""
        found = [f"{self.name}: service {s['id']} is {s['status']}" for s in self.services()]
        for trunk in self.rest.ok("GET", "trunks")["trunks"]:
            if trunk["upstream-left"] != CAPACITY or trunk["services"] or trunk["labels-left"] != LABELS[0]["count"]:
                found.append(f"{self.name}: trunk {trunk['name']} carries {trunk['services']}")
        return found


class Hierarchy:
    """All of them, started and furnished. A context manager."""

    def __init__(self, folder: Path, leaves: Sequence[Sequence[int]], rng: random.Random) -> None:
        """*leaves*: for each broker in the middle, of how many switches each of its leaves is made."""
        middle, self.leaves = [], []
        ports: set[int] = set()
        for i, sizes in enumerate(leaves):
            below = [
                Broker(f"leaf{i}{j}", folder / f"leaf{i}{j}", free_port(rng, ports), switches=size)
                for j, size in enumerate(sizes)
            ]
            self.leaves += below
            middle.append(Broker(f"mid{i}", folder / f"mid{i}", free_port(rng, ports), below))
        self.middle = middle
        self.top = Broker("top", folder / "top", free_port(rng, ports), middle)
        self.all = [*self.leaves, *self.middle, self.top]

    def __enter__(self) -> Hierarchy:
        try:
            for level in (self.leaves, self.middle, [self.top]):
                for broker in level:
                    broker.start()
                for broker in level:
                    broker.ready()
                    broker.furnish()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for broker in reversed(self.all):
            broker.kill()

    @property
    def switches(self) -> int:
        return sum(leaf.switches for leaf in self.leaves)

    def ready(self) -> None:
        for broker in self.all:
            broker.ready()

    def strangers(self) -> list[str]:
        """What a level holds and the level above does not know, by its handle: `store/network/service/attempt/part`."""
        found = []
        for broker in self.all:
            if broker.superior is None:
                continue
            name = f"r{broker.superior.inferiors.index(broker)}"
            above = {s["id"]: s for s in broker.superior.services() if s["status"] != "DORMANT"}
            seen: dict[int, str] = {}
            for service in broker.services():
                id_ = int(service["handle"].split("/")[2])
                if id_ not in above:
                    found.append(
                        f"{broker.name}: {service['handle']} is {service['status']}, unknown above as of {name}"
                    )
                elif id_ in seen:
                    found.append(f"{broker.name}: {service['handle']} is there beside {seen[id_]}")
                seen[id_] = service["handle"]
        return found

    def restless(self) -> list[str]:
        """The services of any level that are not at rest, or not sure."""
        stable = {"DORMANT", "INACTIVE", "ACTIVE"}
        return [
            f"{broker.name}: service {s['id']} is {s['status']}, wanted {s['desired']}, {s['error']} {s['conditions']}"
            for broker in self.all
            for s in broker.services()
            if s["status"] not in stable or s["conditions"] or s["change"] != "none" or s["desired"] != s["status"]
        ]

    def held(self) -> list[str]:
        return [what for broker in self.all for what in broker.held()]

    def said(self) -> str:
        return "\n".join(f"-- {broker.name}\n{broker.said}" for broker in self.all)
