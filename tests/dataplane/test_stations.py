"""A station that moves from one end of an E-LAN to another is followed."""

from __future__ import annotations

import time

import pytest
from dpb_lab.host import Host
from dpb_lab.inside.frames import BROADCAST, frame, payload
from dpb_lab.process import until
from dpb_lab.testing import MARKS

from .sites import At, Sites

pytestmark = MARKS

STATION = "02:bb:00:00:00:01"
ENDS = (At("site1", 4, 70), At("site1", 5, 70), At("site2", 4, 70), At("site3", 4, 70))


def told(sender: Host, destination: str, tag: int, stream: int, source: str | None = None) -> None:
    sender.send(frame(source or sender.mac, destination, payload(stream), tags=(tag,)))


@pytest.mark.parametrize("by", ["a broadcast", "a frame to one"])
def test_a_frame_follows_a_station_a_tenth_of_a_second_after_it_has_moved(sites: Sites, by: str) -> None:
    probes = [sites.probe(end.site, end.port) for end in ENDS]
    sites.connect(*ENDS)
    asking = probes[2]
    told(asking, BROADCAST, 70, 1)
    journey = [0, 1, 3, 0, 3, 1]  # within a switch and across trunks, there and back
    for step, here in enumerate(journey):
        captures = [probe.capture() for probe in probes]
        told(probes[here], BROADCAST if by == "a broadcast" else asking.mac, 70, 10 + step, STATION)
        until(lambda: 10 + step in [f.stream for f in captures[2].frames()], "the station is not heard")  # noqa: B023
        time.sleep(0.1)  # what the station's first frame from there is given
        told(asking, STATION, 70, 100 + step)
        until(lambda: captures[here].frames(), f"nothing follows the station on step {step}")  # noqa: B023
        found = [capture.end().numbers(100 + step) for capture in captures]
        assert found[here] == [0], f"step {step}: nothing came to {ENDS[here]}, where the station is"
