"""Requests that change nothing, on every network."""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

from dpb_framework.contracts import AggregatorManagement, Network, SwitchManagement
from dpb_framework.model import MAX_KBPS, Fragment, NetworkModel, Terminal, mbps
from dpb_nbi import render
from dpb_nbi.problems import Problem
from dpb_nbi.ssh.asking import Ask
from dpb_nbi.values import rate, text

Plain = dict[str, Any]

MAX_EDGES: Final = 100_000
"""How many edges a model may have here: a mesh of n terminals has n (n - 1) / 2."""


async def get_terminals(ask: Ask) -> Plain:
    """The names of the terminals."""
    return {"terminal-names": list(ask.network.terminals())}


async def check_terminal(ask: Ask) -> Plain:
    """Whether there is such a terminal."""
    return {"exists": ask.text("terminal-name") in ask.network.terminals()}


async def get_services(ask: Ask) -> Plain:
    """The ids of the services."""
    return {"service-ids": [service.id for service in ask.network.services()]}


async def check_service(ask: Ask) -> Plain:
    """Whether there is such a service; one that is gone is not there."""
    return {"exists": ask.is_there()}


async def find_service(ask: Ask) -> Plain:
    """The service with that handle, if there is one."""
    handle = text(ask.get("handle"), "handle")
    found = await ask.asking.calls.command(lambda: ask.network.find(handle))
    return {} if found is None else {"service-id": found.id}


async def get_model(ask: Ask) -> Plain:
    """Edges between the terminals, with at least `min-bw` each way."""
    least = 0 if ask.content.get("min-bw") is None else rate(ask.content["min-bw"], "min-bw")
    return {"edges": await ask.asking.calls.work(lambda: _edges(ask.network, least))}


async def dump_status(ask: Ask) -> Plain:
    """What there is in the network, for people."""
    return {"output": await ask.asking.calls.work(lambda: _dump(ask.network))}


# -- the model ----------------------------------------------------------------------------------


def _edges(network: Network, least: int) -> list[Plain]:
    model = network.model()
    if _count(model) > MAX_EDGES:
        raise Problem(409, "bad-argument", f"the model of network {network.name!r} has more than {MAX_EDGES} edges")
    known: dict[str, Terminal] = {}
    if isinstance(network, SwitchManagement):
        known = {terminal.name: terminal for terminal in network.list_terminals()}
    return [
        edge
        for fragment in model.fragments
        for edge in (_mesh(fragment, known, least) if fragment.chords is None else _chords(fragment, least))
    ]


def _count(model: NetworkModel) -> int:
    return sum(
        len(f.terminals) * (len(f.terminals) - 1) // 2 if f.chords is None else len(f.chords) for f in model.fragments
    )


def _mesh(fragment: Fragment, known: dict[str, Terminal], least: int) -> list[Plain]:
    """Every pair of terminals: no delay, and what the quotas at both ends let through."""
    found = []
    for one, other in combinations(fragment.terminals, 2):
        upstream = _through(known.get(one), known.get(other))
        downstream = _through(known.get(other), known.get(one))
        if min(upstream, downstream) >= least:
            found.append(_edge(one, other, 0, upstream, downstream))
    return found


def _through(into: Terminal | None, out_of: Terminal | None) -> int:
    ingress = None if into is None else into.ingress_quota
    egress = None if out_of is None else out_of.egress_quota
    return min(MAX_KBPS if ingress is None else ingress, MAX_KBPS if egress is None else egress)


def _chords(fragment: Fragment, least: int) -> list[Plain]:
    return [
        _edge(c.a, c.b, c.delay, c.upstream, c.downstream)
        for c in fragment.chords or ()
        if min(c.upstream, c.downstream) >= least
    ]


def _edge(a: str, b: str, delay: int, upstream: int, downstream: int) -> Plain:
    # The weight is the delay in milliseconds, a thousandth of it, exactly, as for rates.
    return {"from": a, "to": b, "weight": mbps(delay), "upstream": mbps(upstream), "downstream": mbps(downstream)}


# -- for people ---------------------------------------------------------------------------------


def _dump(network: Network) -> str:
    lines = [f"network {network.name} ({network.kind})"]
    if isinstance(network, SwitchManagement):
        lines += [_terminal(terminal) for terminal in network.list_terminals()]
    else:
        lines += [f"  terminal {name}" for name in network.terminals()]
    if isinstance(network, AggregatorManagement):
        for use in network.trunks():
            plain = render.trunk(use)
            lines.append(
                f"  trunk {plain['name']}: {plain['start']} to {plain['end']},"
                f" {plain['upstream']}/{plain['downstream']} Mbit/s,"
                f" {plain['upstream-left']}/{plain['downstream-left']} left, delay {plain['delay']} ms,"
                f" {plain['labels-left']} labels left{'' if plain['commissioned'] else ', decommissioned'}"
            )
    for service in network.services():
        view = service.view()
        lines.append(f"  service {view.id}{f' ({view.handle})' if view.handle else ''}: {view.status.value}")
        for end in render.segment(view.segment) or ():
            lines.append(f"    {end['terminal']}:{end['label']} {end['ingress']}/{end['egress']} Mbit/s")
        if view.error is not None:
            lines.append(f"    {view.error.code}: {view.error.text}")
    return "\n".join(lines) + "\n"


def _terminal(terminal: Terminal) -> str:
    quotas = [
        f"{word} at most {mbps(quota)} Mbit/s"
        for word, quota in (("ingress", terminal.ingress_quota), ("egress", terminal.egress_quota))
        if quota is not None
    ]
    return f"  terminal {terminal.name}: {', '.join([terminal.place, *quotas])}"
