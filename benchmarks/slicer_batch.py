"""How fast the tuple slicer establishes slices, beside the same library sending the same messages raw.

54 switches (real Open vSwitch), 200 services each, handed over in one batch a switch, all at once: from the first
request until every switch has confirmed. Raw: the same meters, groups, flows and one barrier a switch, message by
message by the library's own send_msg, without REST, books or order. Both in turn, in one run.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "ryu_apps" / "tests"))

from slicer_lab import Ovs, Slicer, eventually, slice_of

PORTS = (1, 2, 3)


def services(count: int) -> dict[str, dict]:
    """Three in four are E-Lines, one in four an E-LAN of three; every circuit is metered both ways."""
    made = {}
    for number in range(count):
        ports = PORTS if number % 4 == 3 else PORTS[:2]
        rates = {"ingress": 1000 + number, "egress": 2000 + number}
        made[f"bench/{number}"] = slice_of(*({"circuit": [port, number + 1], **rates} for port in ports))
    return made


def raw(port_file: Path, switches: int, count: int) -> None:
    """The library alone, as a process of its own: prints the seconds from when all switches are there."""
    from dpb_slicer import compat, cookies
    from dpb_slicer.books import Books, Wish
    from dpb_slicer.circuits import slice_of as parsed
    from dpb_slicer.difference import Change
    from dpb_slicer.messages import Encoder
    from dpb_slicer.seating import Seating

    books = Books(Seating.of(100_000))
    wishes = {cookies.cookie_of(key): Wish(key, parsed(told)) for key, told in services(count).items()}
    books.put(books.plan(wishes).after)
    steps = [Change("add", entry) for entry in books.wanted().entries()]
    here: list = []
    done = threading.Semaphore(0)
    failed: list[str] = []

    def message(name: str, told: object) -> None:
        if name == "BarrierReply":
            done.release()
        elif name == "ErrorMsg":
            failed.append(compat.error_name(told))

    def send(datapath) -> None:
        encoder = Encoder(datapath)
        for step in steps:
            datapath.send_msg(encoder.step(step))
        datapath.send_barrier()

    listener = compat.Listener(("127.0.0.1", 0), compat.Handlers(here.append, lambda _: None, message, lambda *_: None))
    listener.start()
    port_file.write_text(str(listener.port))
    eventually(lambda: len(here) == switches, "all switches are there", 60)
    began = time.perf_counter()
    senders = [threading.Thread(target=send, args=(datapath,), daemon=True) for datapath in here]
    for sender in senders:
        sender.start()
    for _ in here:
        assert done.acquire(timeout=300)
    print(json.dumps({"seconds": time.perf_counter() - began, "steps": len(steps), "failed": failed[:3]}), flush=True)
    time.sleep(0.2)
    import os

    os._exit(0)


def wipe(ovs: Ovs, names: list[str]) -> None:
    """Empty every switch, and let it have no controller."""
    for name in names:
        ovs.vsctl("del-controller", name)
        for verb in ("del-flows", "del-groups", "del-meters"):
            ovs.ofctl(verb, name)


def target(ovs: Ovs, names: list[str], port: int) -> None:
    """Give every switch its controller."""
    for name in names:
        ovs.controller(name, f"tcp:127.0.0.1:{port}")


def run_raw(ovs: Ovs, names: list[str], folder: Path, count: int) -> dict:
    """One run of the library alone."""
    port_file = folder / "raw-port"
    port_file.unlink(missing_ok=True)
    words = [sys.executable, __file__, "--raw", str(port_file), "--switches", str(len(names)), "--slices", str(count)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        port = eventually(lambda: port_file.exists() and port_file.read_text(), "the library listens", 30)
        target(ovs, names, int(port))
        told = json.loads(process.stdout.readline())
    assert not told["failed"], told
    wipe(ovs, names)
    return told


def run_slicer(ovs: Ovs, names: list[str], folder: Path, count: int) -> float:
    """One run of the application: seconds."""
    slicer = Slicer(folder, "--timeout", "60")
    try:
        target(ovs, names, slicer.openflow)
        dpids = [f"{number + 1:016x}" for number in range(len(names))]
        for dpid in dpids:
            slicer.connected(dpid)
        body = json.dumps({"slices": services(count)})

        def hand_over(dpid: str) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", slicer.rest, timeout=300)
            connection.request("POST", f"/slicer/api/v2/{dpid}/slices", body)
            answer = connection.getresponse()
            told = json.loads(answer.read())
            assert answer.status == 200, told
            assert not any(told["slices"].values()), told
            connection.close()

        with ThreadPoolExecutor(len(dpids)) as pool:
            began = time.perf_counter()
            list(pool.map(hand_over, dpids))
            seconds = time.perf_counter() - began
    finally:
        slicer.stop()
    wipe(ovs, names)
    return seconds


def main() -> None:
    """Measure as the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--switches", type=int, default=54)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--raw", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.raw:
        raw(asked.raw, asked.switches, asked.slices)
    with tempfile.TemporaryDirectory(prefix="dpb-") as folder:
        ovs = Ovs(Path(folder) / "o")
        try:
            names = [f"b{number}" for number in range(asked.switches)]
            for number, name in enumerate(names):
                ovs.bridge(name, f"{number + 1:016x}", PORTS, wired=False)
            raws, ours = [], []
            for _ in range(asked.rounds):
                raws.append(run_raw(ovs, names, Path(folder), asked.slices))
                ours.append(run_slicer(ovs, names, Path(folder) / "s", asked.slices))
                print(f"library {raws[-1]['seconds']:.2f} s, slicer {ours[-1]:.2f} s", file=sys.stderr)
        finally:
            ovs.stop()
    alone = [told["seconds"] for told in raws]
    ratio = statistics.median(one / other for one, other in zip(alone, ours, strict=True))
    told = {
        "switches": asked.switches,
        "slices of each": asked.slices,
        "messages of each": raws[0]["steps"] + 1,
        "library alone, s": [round(seconds, 2) for seconds in alone],
        "slicer, s": [round(seconds, 2) for seconds in ours],
        "slicer's speed, of the library's": round(ratio, 2),
    }
    if asked.json:
        print(json.dumps(told))
    else:
        print("slicer_batch")
        for name, value in told.items():
            print(f"  {name}: {value}")


if __name__ == "__main__":
    main()
