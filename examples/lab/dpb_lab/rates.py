"""Rates, measured as a customer would: UDP is offered at more than the rate, what comes is counted at the receiver."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from attrs import frozen

from dpb_lab.host import Found, Host, Sent
from dpb_lab.inside.frames import IPV4, Tags, frame, payload, udp
from dpb_lab.process import LabError

WINDOWS, SECONDS = 3, 1.6
"""How many windows are measured, and the length of each."""

BURST = 0.5
"""Seconds after the first frame that are not measured: what was saved up before is let through then."""

SIZE = 1400
"""Bytes of each datagram's payload."""

FRAME = SIZE + 42
"""Bytes of each frame, without tags and checksum: what a meter counts."""

LATE = 0.2
"""Seconds: a sender at twice the rate that is late by less still offers more than the rate in each window."""

_ATTEMPTS = 5


@frozen
class Flow:
    """Traffic from one host to another: a number of its own, the sender's tags, and the Mbit/s that are offered."""

    stream: int
    sender: Host
    receiver: Host
    tags: Tags
    offered: float

    @property
    def frame(self) -> bytes:
        """The frame that is sent again and again."""
        body = udp("10.255.0.1", "10.255.0.2", payload(self.stream, size=SIZE))
        return frame(self.sender.mac, self.receiver.mac, body, tags=self.tags, kind=IPV4)


@frozen
class Measured:
    """What came of flows, and what was sent of each."""

    found: Mapping[Host, Found]
    sent: Mapping[int, Sent]

    def rates(self, *flows: Flow) -> list[float]:
        """Mbit/s of flows together at the receiver that they have in common, in each window."""
        streams = [flow.stream for flow in flows]
        return self.found[flows[0].receiver].rates(*streams, samples=WINDOWS, seconds=SECONDS, skip=BURST)

    def rate(self, *flows: Flow) -> float:
        """The median of `rates`."""
        return statistics.median(self.rates(*flows))

    def lost(self, flow: Flow) -> int:
        """How many frames of a flow did not come."""
        received = sum(size for _, size in self.found[flow.receiver].bins.get(flow.stream, ()))
        return self.sent[flow.stream].sent - received // FRAME


def measure(flows: Sequence[Flow], *, late: float = LATE) -> Measured:
    """Let all flows run at once, for as long as the windows take, and tell what came.

    Only a sender may spoil a measurement, where the machine does not let it send as fast as it should: when one was
    more than *late* seconds behind, then, and only then, it is repeated; `LabError` when that does not help.
    """
    for _ in range(_ATTEMPTS):
        done = _measured(flows)
        behind = max(sent.behind for sent in done.sent.values())
        if behind <= late:
            return done
    raise LabError(f"this machine does not let senders keep their rates: {behind:.3f} s behind in the last attempt")


def _measured(flows: Sequence[Flow]) -> Measured:
    captures = {host: host.measure() for host in dict.fromkeys(flow.receiver for flow in flows)}
    streams = {}
    for flow in flows:
        rate = flow.offered * 1e6 / 8 / FRAME
        count = round(rate * (WINDOWS * SECONDS + BURST + 0.2))
        streams[flow.stream] = flow.sender.stream(flow.frame, rate=rate, count=count)
    sent = {number: stream.result() for number, stream in streams.items()}
    return Measured({host: capture.end() for host, capture in captures.items()}, sent)
