"""What a refusal teaches: which label, trunk, chord or network the next plan must do without."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from dpb_framework.errors import InferiorFailed, NoCapacity
from dpb_framework.model import Circuit, End, Fault, Tunnel
from dpb_framework.networks.admission import Exclusions

if TYPE_CHECKING:
    from dpb_framework.networks.aggregator import Aggregator
    from dpb_framework.networks.part import Part

_LABEL = frozenset({"circuit-taken", "labels-unavailable", "labels-in-use", "label-taken"})
_ROOM = frozenset({"no-capacity", "bw-unavailable", "plan-invalid"})
CONTACT = frozenset({"unreachable", "timed-out", "stopped", "commit-failed"})


def learn(
    out: Exclusions,
    part: Part,
    fault: Fault,
    network: Aggregator,
    tunnels: Collection[Tunnel],
    ends: Mapping[Circuit, End],
    open_ends: Collection[Circuit],
    needed: bool,
) -> bool:
    """Add to *out* what *fault* of *part* rules out; False when no other plan can help.

    *ends* are the service's circuits as `inferior:terminal` and label; *open_ends* the aggregator's terminals at
    which it chooses the label itself; *needed* whether an end of the service lies in the part's inferior.
    """
    inferior = part.inferior.name
    terminal, label = fault.facts.get("terminal"), fault.facts.get("label")
    if fault.code in _LABEL or fault.code == "quota":
        tunnel = _tunnel_at(network, tunnels, inferior, terminal, label)
        if tunnel is not None:
            if fault.code == "quota":
                out.edges.add(tunnel.trunk)
            else:
                out.labels.setdefault(tunnel.trunk, set()).add(tunnel.label)
            return True
        end = ends.get(Circuit(f"{inferior}:{terminal}", label)) if isinstance(label, int) else None
        if end is not None and Circuit(end.circuit.terminal, None) in open_ends and fault.code in _LABEL:
            out.circuits.add(end.circuit)
            return True
        return False
    if fault.code in _ROOM:
        if part.chords:
            out.edges.update(_cut_off(part, network, tunnels) or part.chords)
            return True
        if not needed:
            out.inferiors.add(inferior)
            return True
        return False
    if fault.code in CONTACT and not needed:
        out.inferiors.add(inferior)
        return True
    return False


def as_told(part: Part, fault: Fault, network: str, ends: Mapping[Circuit, End]) -> Fault:
    """A fault of *part* as *network* tells it to its own users, a superior among them.

    What is wrong with one of its *ends* (as in `learn`) is told with its own terminal; what is wrong with a trunk's
    circuit means nothing to them but that there is no way.
    """
    inferior = part.inferior.name
    text = str(InferiorFailed(inferior, fault.text))
    if fault.code not in _LABEL and fault.code != "quota":
        return evolve(fault, text=text)
    terminal, label = fault.facts.get("terminal"), fault.facts.get("label")
    for place, end in ends.items():
        if place.terminal == f"{inferior}:{terminal}" and (not isinstance(label, int) or label == place.label):
            facts = {key: value for key, value in fault.facts.items() if key not in ("service", "offers")}
            named = {"network": network, "terminal": end.circuit.terminal}
            return Fault(fault.code, text, facts | named | ({} if label is None else {"label": label}))
    return Fault(NoCapacity.code, text, {"network": network, "reason": text})


def _cut_off(part: Part, network: Aggregator, tunnels: Collection[Tunnel]) -> list[str]:
    """All chords at the terminal of a trunk that the part joins worst with the others.

    The chord alone would not do: by way of a third terminal the same segment would be asked for again.
    """
    inferior = part.inferior.name
    room: dict[str, int] = {}
    for tunnel in tunnels:
        trunk = network.trunkbook.accounts[tunnel.trunk].trunk
        for place in (trunk.start, trunk.end):
            if place[0] == inferior:
                rates = [
                    min(c.upstream, c.downstream) for n, c in network.chords_at(*place).items() if n in part.chords
                ]
                if rates:
                    room[place[1]] = min(rates)
    return list(network.chords_at(inferior, min(room, key=room.__getitem__))) if room else []


def _tunnel_at(
    network: Aggregator, tunnels: Collection[Tunnel], inferior: str, terminal: object, label: object
) -> Tunnel | None:
    """The tunnel that ends at a terminal of an inferior (with a label, if it is known)."""
    for tunnel in tunnels:
        account = network.trunkbook.accounts[tunnel.trunk]
        trunk = account.trunk
        for place, at in ((trunk.start, tunnel.label), (trunk.end, account.labels.end_label(tunnel.label))):
            if place == (inferior, terminal) and (label is None or label == at):
                return tunnel
    return None
