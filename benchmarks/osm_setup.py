"""How long OSM waits for the WAN: the paper's content delivery network over three sites, through OSM's connector.

One multipoint service (three sites) and one point-to-point service are created, each until it carries traffic, over
real Open vSwitch; told beside the paper's figure (Table II: 10 s). Needs root, like `make lab`.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from dpb_lab.broker import PORT
from dpb_lab.lab import Lab, missing
from dpb_lab.wan import Wan
from dpb_osm import DpbConnector

ROUNDS = 11
PAPER_SECONDS = 10.0
SITES = ("site1", "site2", "site3")


def main() -> int:
    """Measure and print; exit status 1 where there can be no lab."""
    reason = missing()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 1
    with Lab() as lab, Wan(lab) as wan:
        for site in SITES:
            wan.host(f"{site}-4", site, 4)
        with lab.inside():
            mapping = [
                {"service_endpoint_id": s, "service_mapping_info": {"terminal": f"{s}-4", "bandwidth": 10}}
                for s in SITES
            ]
            wim = {"wim_url": f"http://127.0.0.1:{PORT}", "user": None, "password": None}
            connector = DpbConnector(wim, wim, {"network": "wan", "wim_port_mapping": mapping})
            connector.check_credentials()
            took = [round_of(connector) for _ in range(ROUNDS)]
    median = statistics.median(took)
    if "--json" in sys.argv:
        print(json.dumps({"seconds": took, "median": median}))
    else:
        print(f"WAN set-up of the CDN through OSM's connector: median {median * 1000:.0f} ms of {ROUNDS} rounds")
        print(
            f"(min {min(took) * 1000:.0f}, max {max(took) * 1000:.0f} ms; the paper's Table II: {PAPER_SECONDS:.0f} s)"
        )
    return 0


def round_of(connector: DpbConnector) -> float:
    """Create both services, delete them again, and return how many seconds the creation took."""
    point = {"service_endpoint_encapsulation_type": "dot1q"}
    points = [
        [
            {**point, "service_endpoint_id": site, "service_endpoint_encapsulation_info": {"vlan": vlan}}
            for site in sites
        ]
        for vlan, sites in ((100, SITES), (200, SITES[:2]))
    ]
    begun = time.perf_counter()
    services = [
        connector.create_connectivity_service(kind, p) for kind, p in zip(("ELAN", "ELINE"), points, strict=True)
    ]
    took = time.perf_counter() - begun
    for uuid, info in services:
        assert connector.get_connectivity_service_status(uuid, info)["sdn_status"] == "ACTIVE"
        connector.delete_connectivity_service(uuid, info)
    return took


if __name__ == "__main__":
    sys.exit(main())
