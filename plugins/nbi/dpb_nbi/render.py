"""Model -> plain data, as `docs/rest.md` describes it. Pure."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any, Final

from dpb_framework.contracts import AggregatorManagement, Network
from dpb_framework.model import Fault, NetworkModel, Segment, ServiceView, Terminal, TrunkUse, Tunnel, mbps

Plain = dict[str, Any]

_moments: Final = itertools.count(time.time_ns() // 1000)
"""Begins with the clock, so that moments go on growing after a restart."""


def moment() -> int:
    """Return a number that is greater than all before it."""
    return next(_moments)


def fault(found: Fault | None) -> Plain | None:
    """`{"code", "text", "facts"}`, or None."""
    return None if found is None else {"code": found.code, "text": found.text, "facts": dict(found.facts)}


def segment(found: Segment | None) -> list[Plain] | None:
    """SEGMENT, rates in Mbit/s."""
    if found is None:
        return None
    return [
        {
            "terminal": end.circuit.terminal,
            "label": end.circuit.label,
            "ingress": mbps(end.flow.ingress),
            "egress": mbps(end.flow.egress),
        }
        for end in found.ends
    ]


def constraints(found: Segment | None) -> Plain | None:
    """CONSTRAINTS of a segment, those that there are; None when there are none."""
    if found is None or not found.constraints:
        return None
    way = found.constraints
    named: Plain = {
        "avoid-trunks": list(way.avoid_trunks),
        "avoid-networks": list(way.avoid_networks),
        "pass-trunks": list(way.pass_trunks),
        "pass-networks": list(way.pass_networks),
        "max-delay": None
        if way.max_delay is None
        else mbps(way.max_delay),  # a thousandth of it, exactly, as for rates
    }
    return {name: value for name, value in named.items() if value or value == 0}


def service(view: ServiceView) -> Plain:
    """SERVICE without its tree."""
    return {
        "id": view.id,
        "network": view.network,
        "handle": view.handle,
        "owner": view.owner,
        # Python 3.11 calls a function for `value`, and this is what a broker writes most.
        "status": view.status._value_,
        "desired": view.desired._value_,
        "change": view.change._value_,
        "segment": segment(view.segment),
        "constraints": constraints(view.segment),
        "error": fault(view.error),
        "conditions": [{"kind": c.kind, "where": c.where, "text": c.text} for c in view.conditions],
    }


def told(plain: Plain) -> Plain:
    """SERVICE with the moment at which it is so, for a stream: of two copies the one with the greater is the newer."""
    return {"moment": moment(), **plain}


def gone(network: str, id_: int) -> Plain:
    """SERVICE of one that was there and is released: nothing but its end is known."""
    return {
        "id": id_,
        "network": network,
        "handle": None,
        "owner": "",
        "status": "RELEASED",
        "desired": "RELEASED",
        "change": "none",
        "segment": None,
        "constraints": None,
        "error": None,
        "conditions": [],
    }


def tree(tunnels: Sequence[Tunnel]) -> list[Plain]:
    """The trunks of a service with its share of each."""
    return [
        {"trunk": t.trunk, "label": t.label, "upstream": mbps(t.upstream), "downstream": mbps(t.downstream)}
        for t in tunnels
    ]


def terminal(found: Terminal) -> Plain:
    """TERMINAL."""
    return {
        "name": found.name,
        "place": found.place,
        "ingress-quota": None if found.ingress_quota is None else mbps(found.ingress_quota),
        "egress-quota": None if found.egress_quota is None else mbps(found.egress_quota),
        "labels": [list(pair) for pair in found.labels],
    }


def trunk(use: TrunkUse) -> Plain:
    """TRUNK with what is left of it; the delay in milliseconds."""
    found = use.trunk
    return {
        "name": found.name,
        "start": ":".join(found.start),
        "end": ":".join(found.end),
        "upstream": mbps(found.upstream),
        "downstream": mbps(found.downstream),
        "delay": mbps(found.delay),  # a thousandth of it, exactly, as for rates
        "labels": [{"start": r.start, "count": r.count, "end": r.end} for r in found.labels],
        "commissioned": found.commissioned,
        "upstream-left": mbps(use.upstream_left),
        "downstream-left": mbps(use.downstream_left),
        "labels-left": use.labels_left,
        "services": list(use.services),
    }


def network(found: Network) -> Plain:
    """NETWORK."""
    return {
        "name": found.name,
        "kind": found.kind,
        "terminals": list(found.terminals()),
        "inferiors": list(found.inferiors()) if isinstance(found, AggregatorManagement) else [],
        "services": len(found.services()),
        "last-event": found.last_event,
    }


def model(found: NetworkModel) -> Plain:
    """What a network shows to its superior."""
    return {
        "fragments": [
            {
                "terminals": list(fragment.terminals),
                "chords": None
                if fragment.chords is None
                else [
                    {
                        "a": c.a,
                        "b": c.b,
                        "upstream": mbps(c.upstream),
                        "downstream": mbps(c.downstream),
                        "delay": mbps(c.delay),
                    }
                    for c in fragment.chords
                ],
            }
            for fragment in found.fragments
        ]
    }
