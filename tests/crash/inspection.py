"""Whether everything is as it must be once the broker has come to rest: promises, books, store, devices."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from dpb_framework.contracts import Bridge, Channel
from dpb_framework.model import TrafficFlow

from .load import Client
from .promises import GONE
from .rest import Plain, Rest, Unexpected
from .serving import until
from .world import SWITCHES, alike

Holds = Callable[[str], dict[str, Bridge]]


def inspect(rest: Rest, clients: Iterable[Client], database: Path, holds: Holds) -> None:
    """Wait until nothing moves any more, then check all there is. *holds* tells the bridges of a device."""
    clients = list(clients)
    issued = [id_ for client in clients for id_ in client.ids]
    if len(issued) != len(set(issued)):
        raise Unexpected(f"an id was issued twice: {sorted(issued)}")
    _sell_nothing_twice(rest)
    _adopt_nameless(rest, clients)
    services = _rest_is_reached(rest)
    _promises_are_kept(rest, clients, services)
    _trunks_are_exact(rest, services)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        uuid = store.execute("SELECT value FROM meta WHERE name = 'uuid'").fetchone()[0]
        _store_is_exact(store, uuid, services)
        wanted = {name: _bridges(store, uuid, name) for name in SWITCHES}
    for name in SWITCHES:
        until(
            lambda name=name: holds(name) == wanted[name],  # type: ignore[misc]
            f"device {name} does not come to hold what the store says: {wanted[name]}",
        )


def _sell_nothing_twice(rest: Rest) -> None:
    for trunk in rest.ok("GET", "trunks")["trunks"]:
        if min(trunk["upstream-left"], trunk["downstream-left"], trunk["labels-left"]) < 0:
            raise Unexpected(f"oversold: {trunk}")


def _adopt_nameless(rest: Rest, clients: list[Client]) -> None:
    """Release what was made for clients that never got the answer: there may not be more of it than such clients."""
    known = {promise.id for client in clients for promise in client.promises}
    everything = rest.ok("GET", "services")["services"]
    # One that was released may still be giving back what it held.
    unknown = [s for s in everything if s["id"] not in known and s["desired"] != "RELEASED"]
    if any(s["handle"] is not None for s in unknown) or len(unknown) > sum(c.nameless for c in clients):
        raise Unexpected(f"services that nobody asked for: {unknown}")
    for service in unknown:
        rest.ok("DELETE", f"services/{service['id']}")
    for client in clients:
        client.nameless = 0


def _rest_is_reached(rest: Rest) -> dict[int, Plain]:
    """Return all services, once each is where it is wanted."""
    found: list[Plain] = []

    def still() -> bool:
        found[:] = rest.ok("GET", "services")["services"]
        return all(
            s["status"] == s["desired"] and s["change"] == "none" and not s["conditions"] and s["desired"] != "RELEASED"
            for s in found
        )

    try:
        until(still, "services do not come to where they are wanted")
    except AssertionError as error:
        moving = [s for s in found if s["status"] != s["desired"] or s["change"] != "none" or s["conditions"]]
        raise Unexpected(f"{error}: {moving}") from None
    return {s["id"]: rest.ok("GET", f"services/{s['id']}") for s in found}


def _promises_are_kept(rest: Rest, clients: list[Client], services: dict[int, Plain]) -> None:
    promises = [promise for client in clients for promise in client.promises if promise.possible != {GONE}]
    if sorted(services) != sorted(promise.id or 0 for promise in promises):
        raise Unexpected(f"there are {sorted(services)}, promised were {sorted(p.id or 0 for p in promises)}")
    for promise in promises:
        promise.observe(services[promise.id or 0])
        seen = services[promise.id or 0]
        if promise.state.segment is None and seen["segment"] is not None:
            raise Unexpected(f"a service without a segment has one: {seen}")
    for client in clients:
        for promise in [p for p in client.promises if p.possible == {GONE}]:
            client.is_released(promise)
        for id_ in sorted(client.released):
            if rest.wait(id_, ["ACTIVE"], 5) != "RELEASED" or rest.call("GET", f"services/{id_}")[0] != 404:
                raise Unexpected(f"service {id_} was released and is there")
            rest.ok("POST", f"/network/wan/service/{id_}/release")
        client.released.clear()


def _trunks_are_exact(rest: Rest, services: dict[int, Plain]) -> None:
    """What is left of each trunk and what the trees use make its capacity; no label is used twice."""
    used: dict[str, list[tuple[int, Plain]]] = {}
    for id_, service in services.items():
        for tunnel in service["tree"]:
            used.setdefault(tunnel["trunk"], []).append((id_, tunnel))
    for trunk in rest.ok("GET", "trunks")["trunks"]:
        tunnels = [tunnel for _, tunnel in used.get(trunk["name"], [])]
        sums = {way: sum(_kbps(t[way]) for t in tunnels) for way in ("upstream", "downstream")}
        exact = (
            all(_kbps(trunk[f"{way}-left"]) + sums[way] == _kbps(trunk[way]) for way in sums)
            and trunk["labels-left"] + len(tunnels) == sum(range_["count"] for range_ in trunk["labels"])
            and len({t["label"] for t in tunnels}) == len(tunnels)
            and trunk["services"] == sorted(id_ for id_, _ in used.get(trunk["name"], []))
        )
        if not exact:
            raise Unexpected(f"leaked or lost: {trunk}, used by {used.get(trunk['name'])}")


def _kbps(mbps: float) -> int:
    return round(mbps * 1000)


def _store_is_exact(store: sqlite3.Connection, uuid: str, services: dict[int, Plain]) -> None:
    """One attempt for each service with a segment, and in the switches exactly its parts."""
    attempts = store.execute("SELECT service, role FROM attempt WHERE network = 'wan' ORDER BY service").fetchall()
    defined = sorted(id_ for id_, service in services.items() if service["segment"] is not None)
    if attempts != [(id_, "current") for id_ in defined]:
        raise Unexpected(f"attempts {attempts} for services {defined}")
    parts = store.execute("SELECT inferior, handle, service FROM subservice WHERE network = 'wan'").fetchall()
    if any(not handle.startswith(f"{uuid}/wan/{service}/") for _, handle, service in parts):
        raise Unexpected(f"handles of others among {parts}")
    theirs = store.execute("SELECT network, handle FROM service WHERE network <> 'wan'").fetchall()
    if sorted(theirs) != sorted((inferior, handle) for inferior, handle, _ in parts):
        raise Unexpected(f"the switches have {sorted(theirs)}, the attempts' parts are {sorted(parts)}")
    for name, last, count in store.execute("SELECT network, max(number), count(*) FROM event GROUP BY network"):
        first = store.execute("SELECT min(number) FROM event WHERE network = ?", (name,)).fetchone()[0]
        if last - first + 1 != count:
            raise Unexpected(f"the events of {name} have gaps: {first} to {last} are {count}")
    for id_ in defined:
        rows = store.execute(
            "SELECT terminal, label, ingress, egress FROM circuit WHERE network = 'wan' AND service = ?", (id_,)
        ).fetchall()
        kept: list[dict[str, Any]] = [
            {"terminal": t, "label": label, "ingress": i / 1000, "egress": e / 1000} for t, label, i, e in rows
        ]
        if not alike(kept, services[id_]["segment"]):
            raise Unexpected(f"service {id_} is {services[id_]}, the store says {json.dumps(kept)}")


def _bridges(store: sqlite3.Connection, uuid: str, switch: str) -> dict[str, Bridge]:
    """The bridges that the store's ACTIVE services of a switch want."""
    rows = store.execute(
        "SELECT c.service, t.place, c.label, c.ingress, c.egress FROM circuit c JOIN terminal t"
        " ON t.network = c.network AND t.name = c.terminal JOIN service s ON s.network = c.network AND s.id = c.service"
        " WHERE c.network = ? AND c.role = 'current' AND s.desired = 'ACTIVE'",
        (switch,),
    )
    found: dict[str, dict[Channel, TrafficFlow]] = {}
    for service, place, label, ingress, egress in rows:
        found.setdefault(f"{uuid}/{switch}/{service}", {})[Channel(place, label)] = TrafficFlow(ingress, egress)
    return {key: Bridge(key, channels) for key, channels in found.items()}
