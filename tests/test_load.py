"""32 clients at once, each with whole cycles of services: not one error, and nothing is left of them."""

from __future__ import annotations

import os
import queue
import random
import threading
from pathlib import Path

from .crash import world
from .crash.inspection import inspect
from .crash.rest import PATIENCE, Plain, Rest
from .crash.serving import Serving

CYCLES = 3000 if os.environ.get("DPB_SOAK") == "1" else 300
CLIENTS = 32


def cycle(rest: Rest, label: int | None, rng: random.Random) -> None:
    """Create, define, activate, wait, release and wait, by the first interface; every answer must be the right one."""
    id_ = rest.ok("POST", "/network/wan/create-service")["service-id"]
    service = f"/network/wan/service/{id_}"
    names = rng.sample(world.SWITCHES, 3)
    ends: list[Plain] = [
        {"terminal-name": name if label else f"{name}-any", "label": label, "ingress-bw": 1.5, "egress-bw": 0.5 + i}
        for i, name in enumerate(names)
    ]
    rest.ok("PUT", f"{service}/define", {"segment": ends})
    rest.ok("POST", f"{service}/activate")
    for wanted, command in (("ACTIVE", None), ("RELEASED", "release")):
        if command:
            rest.ok("POST", f"{service}/{command}")
        wait = {"acceptable": [wanted], "timeout-millis": int(PATIENCE * 1000)}
        assert rest.ok("POST", f"{service}/await-status", wait) == {"status": wanted}


def test_many_clients_at_once_see_no_error_and_leave_nothing_behind(tmp_path: Path) -> None:
    with Serving(tmp_path, world.write(tmp_path, world.config())).go() as broker:
        url = broker.ready()
        rest = Rest(url)
        world.build(rest)
        # Half of the clients say which labels they want, each its own; the others let the broker choose.
        labels = [number + 1 if number % 2 else None for number in range(CLIENTS)]
        todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(CYCLES):
            todo.put(number)
        faults: list[BaseException] = []

        def work(label: int | None) -> None:
            mine, rng = Rest(url), random.Random(label)
            try:
                while not faults:
                    todo.get_nowait()
                    cycle(mine, label, rng)
            except queue.Empty:
                pass
            except BaseException as fault:  # noqa: BLE001  # told below
                faults.append(fault)
            finally:
                mine.close()

        threads = [threading.Thread(target=work, args=(label,)) for label in labels]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            rest.close()
            raise faults[0]

        inspect(rest, (), tmp_path / "dpb.sqlite", lambda _: {})
        assert rest.ok("GET", "/network/wan/services") == {"service-ids": []}
        for name in world.SWITCHES:
            assert rest.ok("GET", f"/network/{name}/services") == {"service-ids": []}
        # No id was used twice, and none was skipped: nobody was refused.
        assert rest.ok("POST", "/network/wan/create-service") == {"service-id": CYCLES + 1}
        rest.close()
        assert broker.terminate() == 0
        assert "Traceback" not in broker.said
