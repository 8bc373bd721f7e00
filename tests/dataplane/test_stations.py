"""A station that moves from one end of an E-LAN to another is followed."""

from __future__ import annotations

import statistics

import pytest
from dpb_lab.host import Host
from dpb_lab.inside.frames import BROADCAST, Seen, frame, payload
from dpb_lab.process import until
from dpb_lab.testing import ALONE, marks

from .sites import At, Sites

pytestmark = [*marks(), ALONE]

STATION = "02:bb:00:00:00:01"
TAG = 70
ENDS = (At("site1", 4, TAG), At("site1", 5, TAG), At("site2", 4, TAG), At("site3", 4, TAG))
ASKING = 2
JOURNEY = (0, 1, 3, 0, 3, 1, 0)
"""Within a switch and across trunks, there and back."""
EVERY = 0.01
"""Seconds between the frames that are sent to the station."""


@pytest.mark.parametrize("by", ["a broadcast", "a frame to one"])
def test_a_frame_follows_a_station_a_tenth_of_a_second_after_it_has_moved(sites: Sites, by: str) -> None:
    probes = [sites.probe(end.site, end.port) for end in ENDS]
    sites.connect(*ENDS)
    asking = probes[ASKING]
    asking.send(frame(asking.mac, BROADCAST, payload(1), tags=(TAG,)))
    destination = BROADCAST if by == "a broadcast" else asking.mac
    delays = [followed(probes, here, step, destination) for step, here in enumerate(JOURNEY)]
    print(f"after {by}, followed within (s): {', '.join(f'{delay:.3f}' for delay in delays)}")
    # Of many moves one may fall into a moment when this machine did not let the controller run.
    assert statistics.median(delays) <= 0.1


def followed(probes: list[Host], here: int, step: int, destination: str) -> float:
    """Let the station send one frame from an end; return after how many seconds all that is sent to it comes there."""
    captures = {place: probe.capture() for place, probe in enumerate(probes)}
    asking, stream = probes[ASKING], 100 + step
    probes[here].send(frame(STATION, destination, payload(step), tags=(TAG,)))
    sending = asking.stream(frame(asking.mac, STATION, payload(stream), tags=(TAG,)), rate=1 / EVERY)
    until(lambda: _numbers(captures[ASKING].frames(), step), f"step {step}: the station is not heard", 10.0)
    until(lambda: _numbers(captures[here].frames(), stream), f"step {step}: nothing follows the station", 10.0)
    until(
        lambda: len(_numbers(captures[here].frames(), stream)) >= 5, f"step {step}: nothing follows it any more", 10.0
    )
    sent = sending.end().sent
    until(lambda: sent - 1 in _numbers(captures[here].frames(), stream), f"step {step}: the last does not follow", 10.0)
    found = {place: capture.end().numbers(stream) for place, capture in captures.items()}
    first = found[here][0]
    assert found[here] == list(range(first, sent)), "some of what was sent to the station did not follow it"
    for place, numbers in found.items():
        # Until the switches know, its old place gets them; afterwards nobody else does.
        assert place == here or max(numbers, default=-1) <= first + 1, f"step {step}: still seen at {ENDS[place]}"
    return first * EVERY


def _numbers(frames: list[Seen], stream: int) -> list[int]:
    return [seen.number for seen in frames if seen.stream == stream]
