"""Constraints and what-if from the command line down to a real broker's planner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner, Result

from dpb_framework.broker import Broker
from dpb_framework.cli import main
from dpb_framework.config import parse


class Ring:
    """A broker over a ring of four switches with a terminal at each, and `dpb` on it."""

    def __init__(self, folder: Path) -> None:
        names = [f"s{i}" for i in range(1, 5)]
        switches = [{"name": name, "kind": "switch", "fabric": "emulated"} for name in names]
        top = {"name": "net", "kind": "aggregator", "inferiors": names}
        nbi = {"kind": "rest", "port": 0}
        self.broker = Broker(parse({"store": {"kind": "memory"}, "nbi": [nbi], "network": [*switches, top]}, folder))
        self.broker.start()
        self.url = self.broker.nbis[0][1].address
        for name in names:
            for place, terminal in (("1", "t"), ("2", "e"), ("3", "w")):
                self.put(f"{name}/terminals/{terminal}", {"place": place})
            self.put(f"net/terminals/{name}", {"place": f"{name}:t"})
        for i, name in enumerate(names):
            far = names[(i + 1) % 4]
            self.put(f"net/trunks/{name}-{far}", {"start": f"{name}:e", "end": f"{far}:w", "upstream": 100, "delay": 1})

    def put(self, path: str, body: Any) -> None:
        answer = requests.put(f"{self.url}/api/v1/networks/{path}", json=body, timeout=10)
        assert answer.ok, answer.text

    def dpb(self, *args: str) -> Result:
        return CliRunner(env={"DPB_URL": self.url, "DPB_NETWORK": "net"}).invoke(main, args)

    def ok(self, *args: str) -> Any:
        result = self.dpb(*args)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    ring = Ring(tmp_path)
    yield ring
    ring.broker.stop()


def tree(service: dict[str, Any]) -> list[str]:
    return sorted(share["trunk"] for share in service["tree"])


def test_a_service_is_planned_constrained_and_changed(ring: Ring) -> None:
    planned = ring.ok("plan", "--json", "s1:1", "s2:1", "--mbps", "60")["plans"][0]
    assert (planned["fits"], tree(planned)) == (True, ["s1-s2"])
    made = ring.ok("service", "connect", "--json", "s1:1", "s2:1", "--mbps", "60", "--avoid-trunk", "s1-s2")
    assert tree(made) == ["s2-s3", "s3-s4", "s4-s1"]
    assert made["constraints"] == {"avoid-trunks": ["s1-s2"]}
    service = str(made["id"])
    changed = ring.ok("service", "change", "--json", service, "s1:1", "s2:1", "--mbps", "50")
    assert changed["constraints"] == {"avoid-trunks": ["s1-s2"]}
    changed = ring.ok("service", "change", "--json", service, "s1:1", "s2:1", "--unconstrained")
    assert changed["constraints"] is None
    assert tree(changed) == ["s2-s3", "s3-s4", "s4-s1"], "what it uses already is preferred"
    shown = ring.dpb("service", "change", service, "s1:1", "s2:1", "--via-network", "s3", "--max-delay", "3.5")
    assert shown.exit_code == 0, shown.output
    assert "pass networks: s3; max delay: 3.5 ms" in shown.output


def test_what_does_not_fit_says_why_and_holds_nothing(ring: Ring) -> None:
    for command in (("plan",), ("service", "connect")):
        result = ring.dpb(*command, "s1:1", "s2:1", "--mbps", "60", "--max-delay", "0.5")
        assert result.exit_code == 1
        assert "0.5" in result.output or "500" in result.output
    answer = requests.get(f"{ring.url}/api/v1/networks/net/trunks", timeout=10).json()
    assert {trunk["upstream-left"] for trunk in answer["trunks"]} == {100}


def test_what_would_become_of_services_when_a_trunk_fails(ring: Ring, tmp_path: Path) -> None:
    ring.ok("service", "connect", "--json", "s1:1", "s2:1", "--mbps", "60")
    batch = tmp_path / "batch.json"
    end = {"label": 2, "ingress": 50, "egress": 50}
    segment = [{"terminal": "s3", **end}, {"terminal": "s4", **end}]
    batch.write_text(json.dumps({"segments": [{"segment": segment}]}))
    result = ring.dpb("plan", "--json", "--fail", "s1-s2", "--batch", str(batch))
    assert result.exit_code == 1
    moved, refused = json.loads(result.stdout)["plans"]
    assert (moved["service"], moved["fits"], tree(moved)) == (1, True, ["s2-s3", "s3-s4", "s4-s1"])
    assert (refused["service"], refused["fits"], refused["error"]["code"]) == (None, False, "no-capacity")
    told = ring.dpb("plan", "--drain", "s1-s2", "s1:9", "s2:9", "--mbps", "10")
    assert (told.exit_code, "fits" in told.output) == (0, True)
    assert ring.dpb("plan").exit_code == 0
    assert ring.dpb("plan", "--fail", "nothing").exit_code == 1
    batch.write_text("[1]")
    assert "expected an object" in ring.dpb("plan", "--batch", str(batch)).output
