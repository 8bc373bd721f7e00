"""The demonstration: start a broker, bring in the topology, ask for two services, show what became of them."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import requests
from attrs import field, frozen
from rich.console import Console

from dpb_geant import show
from dpb_geant.broker import HOST, USUAL_PORT, Client, Failed, free_port, run_dpb, serving
from dpb_geant.network import AGGREGATOR, configuration, geant, topology

SERVICES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    # The edge site sends requests and gets content; the two sites with caches do the opposite.
    "cdn-content": (
        {"terminal": "GR", "label": 435, "ingress": 50, "egress": 400},
        {"terminal": "DE", "label": 961, "ingress": 200, "egress": 50},
        {"terminal": "UK", "label": 2010, "ingress": 200, "egress": 50},
    ),
    "cdn-fill": (
        {"terminal": "DE", "label": 91, "ingress": 100, "egress": 100},
        {"terminal": "UK", "label": 961, "ingress": 100, "egress": 100},
    ),
}
"""The services by handle: a multipoint one of three ends and a point-to-point one. Rates are Mbit/s."""


@frozen
class Outcome:
    """A service as it is in the end, and the states that it went through with the milliseconds that each took."""

    service: Mapping[str, Any]
    was_there: bool
    steps: Sequence[tuple[str, float]] = field(factory=list)


def establish(client: Client, handle: str, segment: Sequence[Mapping[str, Any]]) -> Outcome:
    """Bring the service with this handle to ACTIVE, from wherever an earlier run left it."""
    base = f"/networks/{AGGREGATOR}/services"
    started = time.perf_counter()
    steps: list[tuple[str, float]] = []

    def reached(service: Mapping[str, Any]) -> None:
        nonlocal started
        now = time.perf_counter()
        steps.append((service["status"], 1000 * (now - started)))
        started = now

    # A handle is what makes this repeatable: asking twice gives the same service.
    service = client.post(base, {"handle": handle})
    path = f"{base}/{service['id']}"
    was_there = service["desired"] == "ACTIVE"
    reached(service)
    if not was_there:
        reached(client.post(f"{path}/define", {"segment": list(segment)}))
        client.post(f"{path}/activate")
    service = client.get(f"{path}/await", status="ACTIVE", **{"timeout-millis": 30_000})
    if steps[-1][0] != service["status"]:
        reached(service)
    if service["status"] != "ACTIVE":
        raise Failed(
            f"service {handle} is {service['status']}: {(service['error'] or {}).get('text', 'no reason given')}"
        )
    return Outcome(client.get(path), was_there, steps)


def trunks(client: Client) -> dict[str, Mapping[str, Any]]:
    """Return the aggregator's trunks by name, with what is left of each."""
    return {trunk["name"]: trunk for trunk in client.get(f"/networks/{AGGREGATOR}/trunks")["trunks"]}


def demonstrate(client: Client, folder: Path, console: Console) -> None:
    """Apply the topology, make the services, and show everything."""
    started = time.perf_counter()
    told = run_dpb(client, folder / "apply.log", "apply", str(folder / "topology.toml"))
    console.print(f"dpb apply {folder}/topology.toml: {told} ({time.perf_counter() - started:.1f} s)\n")
    before = trunks(client)
    outcomes = {handle: establish(client, handle, segment) for handle, segment in SERVICES.items()}
    after = trunks(client)
    for handle, outcome in outcomes.items():
        console.print(show.service(handle, outcome.service, after))
    console.print(show.use(before, after))
    if all(outcome.was_there for outcome in outcomes.values()):
        statuses = sorted({outcome.service["status"] for outcome in outcomes.values()})
        console.print(f"still there: {len(outcomes)} services, {', '.join(statuses)}")
    else:
        console.print(show.times({handle: outcome.steps for handle, outcome in outcomes.items()}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dpb-geant", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".run"), help="where its files are kept (default .run)")
    parser.add_argument("--once", action="store_true", help="end once everything was shown")
    return parser.parse_args()


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Run the demonstration; the answer is the process's exit status."""
    asked = _arguments()
    for ending in (signal.SIGINT, signal.SIGTERM):  # also where a shell's background job was told to ignore them
        signal.signal(ending, _interrupted)
    console = Console(highlight=False)
    try:
        return _run(asked.folder, asked.once, console)
    except KeyboardInterrupt:
        console.print("\nstopped; the services are kept, and are there again at the next run")
        return 0
    except (Failed, OSError, requests.RequestException) as error:
        print(f"dpb-geant: {error}", file=sys.stderr)
        return 1


def _run(folder: Path, once: bool, console: Console) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    graph = geant()
    port = free_port()
    if port != USUAL_PORT:
        console.print(f"Port {USUAL_PORT} is taken; this broker uses {port}.")
    (folder / "dpb.toml").write_text(configuration(graph, HOST, port), "utf-8")
    (folder / "topology.toml").write_text(topology(graph), "utf-8")
    console.print(f"GEANT: {len(graph.nodes)} switches, {len(graph.links)} trunks; files are in {folder}/")
    with serving(folder, port) as client:
        console.print(f"The broker answers at {client.url}\n")
        demonstrate(client, folder, console)
        if not once:
            console.print(f"\nServing at {client.url} until Ctrl-C. In another terminal, for example:")
            console.print(f"    DPB_URL={client.url} .venv/bin/dpb service list", soft_wrap=True)
            threading.Event().wait()
    return 0
