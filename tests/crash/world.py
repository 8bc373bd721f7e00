"""The network under test: five switches in a ring with two chords, over devices in a process of their own."""

from __future__ import annotations

import random
from pathlib import Path

from .rest import Plain, Rest

SWITCHES = ("ams", "fra", "lon", "mil", "par")
LINKS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (0, 2), (1, 3))
CAPACITY = 400.0
"""Mbit/s of each trunk, each way."""
LABELS = 200
"""How many labels each trunk has."""
TOO_MUCH = 5000.0
"""A rate that no trunk has."""


def config(address: str = "", *, store: str = "sqlite:///dpb.sqlite", timeout: float = 0.5, audit: float = 1.0) -> str:
    """The configuration; without *address* the switches are emulated in the broker's memory."""
    text = f'[store]\nurl = "{store}"\n[[nbi]]\nkind = "rest"\nport = 0\n'
    for name in SWITCHES:
        text += f'[[network]]\nname = "{name}"\nkind = "switch"\n'
        if address:
            text += f'audit-interval = {audit}\nfabric = "emulated-process"\n[network.fabric-settings]\n'
            text += f'address = "{address}"\ndevice = "{name}"\ntimeout = {timeout}\n'
    return text + f'[[network]]\nname = "wan"\nkind = "aggregator"\ninferiors = {list(SWITCHES)}\n'


def build(rest: Rest) -> None:
    """Make the terminals and trunks: at each switch a terminal `x` for asked labels and `x-any` for chosen ones."""
    ports = {name: iter(range(10, 30)) for name in SWITCHES}
    for name in SWITCHES:
        for port, terminal in (("1", "access"), ("2", "any")):
            rest.ok("PUT", f"/api/v1/networks/{name}/terminals/{terminal}", {"place": port})
        rest.ok("PUT", f"terminals/{name}", {"place": f"{name}:access"})
        rest.ok("PUT", f"terminals/{name}-any", {"place": f"{name}:any"})
    for a, b in LINKS:
        start, end = SWITCHES[a], SWITCHES[b]
        for name, far in ((start, end), (end, start)):
            rest.ok("PUT", f"/api/v1/networks/{name}/terminals/to-{far}", {"place": str(next(ports[name]))})
        trunk = {"start": f"{start}:to-{end}", "end": f"{end}:to-{start}", "upstream": CAPACITY, "delay": 5 + a}
        labels = [{"start": 1, "count": LABELS, "end": 1001}]
        rest.ok("PUT", f"trunks/{start}-{end}", {**trunk, "labels": labels})


def end(terminal: str, label: int | None, ingress: float, egress: float) -> Plain:
    """One end of a segment, as REST has it."""
    return {"terminal": terminal, "label": label, "ingress": ingress, "egress": egress}


def segment(label: int, rng: random.Random) -> list[Plain]:
    """A segment of two to four ends; the asked labels are *label* and the one above it."""
    ends = []
    for name in rng.sample(SWITCHES, rng.randint(2, 4)):
        ends.append(end(name, label, _rate(rng), _rate(rng)))
    if rng.random() < 0.3:
        first = ends[0]
        ends.append(end(first["terminal"], label + 1, _rate(rng), _rate(rng)))
    if rng.random() < 0.3:
        ends.append(end(f"{rng.choice(SWITCHES)}-any", None, _rate(rng), _rate(rng)))
    if rng.random() < 0.05:
        for each in ends:
            each["ingress"] = each["egress"] = TOO_MUCH
    return ends


def _rate(rng: random.Random) -> float:
    return rng.randint(1, 12_000) / 1000


def resized(segment: list[Plain], rng: random.Random) -> list[Plain]:
    """The same circuits with other rates, and perhaps one end more or less."""
    ends = [{**each, "ingress": _rate(rng), "egress": _rate(rng)} for each in segment]
    if len(ends) > 2 and rng.random() < 0.3:
        ends.pop(rng.randrange(len(ends)))
    elif rng.random() < 0.3:
        label = next(each["label"] for each in ends if each["label"] is not None)
        free = [s for s in SWITCHES if all(each["terminal"] != s for each in ends)]
        if free:
            ends.append(end(free[0], label, _rate(rng), _rate(rng)))
    return ends


def alike(asked: list[Plain], seen: list[Plain] | None) -> bool:
    """Whether *seen* is what was asked, with a label chosen where none was."""
    rest = list(seen or ())
    for wanted in asked:
        fits = [s for s in rest if s == {**wanted, "label": s["label"] if wanted["label"] is None else wanted["label"]}]
        if not fits or fits[0]["label"] is None:
            return False
        rest.remove(fits[0])
    return not rest


def write(folder: Path, text: str) -> Path:
    """Write the configuration file and return its path."""
    file = folder / "dpb.toml"
    file.write_text(text)
    return file
