"""What a refusal teaches: which label, trunk, chord or network the next plan must do without."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from dpb_framework.model import Circuit, Fault, Tunnel
from dpb_framework.networks.admission import Exclusions

if TYPE_CHECKING:
    from dpb_framework.networks.aggregator import Aggregator
    from dpb_framework.networks.part import Part

_LABEL = frozenset({"circuit-taken", "labels-unavailable", "labels-in-use", "label-taken"})
_ROOM = frozenset({"no-capacity", "bw-unavailable", "plan-invalid"})
_CONTACT = frozenset({"unreachable", "timed-out", "stopped", "commit-failed"})


def learn(
    out: Exclusions,
    part: Part,
    fault: Fault,
    network: Aggregator,
    tunnels: Collection[Tunnel],
    ends: Mapping[Circuit, Any],
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
            out.edges.update(part.chords)
            return True
        if not needed:
            out.inferiors.add(inferior)
            return True
        return False
    if fault.code in _CONTACT and not needed:
        out.inferiors.add(inferior)
        return True
    return False


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
