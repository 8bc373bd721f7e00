"""One connection with a switch: what is sent is confirmed by a barrier, and errors come back to who caused them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from attrs import frozen

from dpb_slicer import messages
from dpb_slicer.compat import error_name
from dpb_slicer.difference import Step, phases
from dpb_slicer.errors import NotConnected, TimedOut
from dpb_slicer.model import FULL, Tables

CHUNK = 60_000


@frozen
class Features:
    """What a switch can hold. `max_meters` 0: it has none; `max_groups` None: it does not say."""

    max_meters: int
    max_groups: int | None


@frozen
class Failure:
    """A step that the switch refused, and its error by name."""

    step: Step
    error: str


class Link(Protocol):
    """What the rest of the application needs of a connection."""

    def transact(self, steps: Sequence[Step], timeout: float) -> list[Failure]:
        """Do the steps and wait for the barrier. Raises `NotConnected`, `TimedOut`."""

    def send(self, steps: Iterable[Step]) -> None:
        """Do the steps and wait for nothing."""

    def read(self, timeout: float) -> Tables:
        """Read flows, groups and meters."""

    def count(self, cookie: int, mask: int, timeout: float) -> int:
        """Count the flows whose cookie, under the mask, is this."""

    def features(self, timeout: float) -> Features:
        """Ask what the switch can hold."""

    def close(self) -> None:
        """End the connection."""


class _Waiter:
    """Somebody who waits for answers: to a barrier, or to multipart requests."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.errors: dict[int, str] = {}
        self.parts: list[Any] = []


class DatapathLink:
    """A link over a datapath of the library. Thread-safe."""

    def __init__(self, datapath: Any, dpid: str) -> None:
        self._datapath = datapath
        self._dpid = dpid
        self._encoder = messages.Encoder(datapath)
        self._sending = threading.Lock()
        self._xids = itertools.count(0x4000_0000)
        self._waiters: dict[int, _Waiter] = {}
        self._alive = True

    def transact(self, steps: Sequence[Step], timeout: float) -> list[Failure]:
        """See `Link`."""
        waiter = _Waiter()
        by_xid: dict[int, Step] = {}
        parser = self._datapath.ofproto_parser
        with self._sending:
            parts: list[bytes] = []
            for phase in phases(steps):
                if parts:
                    parts.append(self._message(parser.OFPBarrierRequest(self._datapath), None)[0])
                for step in phase:
                    data, xid = self._message(self._encoder.step(step), waiter)
                    by_xid[xid] = step
                    parts.append(data)
            data, barrier = self._message(parser.OFPBarrierRequest(self._datapath), waiter)
            self._write([*parts, data])
        try:
            self._wait(waiter, timeout)
        finally:
            for xid in (*by_xid, barrier):
                self._waiters.pop(xid, None)
        return [Failure(by_xid[xid], error) for xid, error in waiter.errors.items() if xid in by_xid]

    def send(self, steps: Iterable[Step]) -> None:
        """See `Link`."""
        with self._sending:
            self._write([self._message(self._encoder.step(step), None)[0] for step in steps])

    def _message(self, message: Any, waiter: _Waiter | None) -> tuple[bytes, int]:
        xid = next(self._xids) & 0xFFFF_FFFF
        message.set_xid(xid)
        message.serialize()
        if waiter is not None:
            self._waiters[xid] = waiter
        return bytes(message.buf), xid

    def _write(self, parts: list[bytes]) -> None:
        if not self._alive:
            raise NotConnected(self._dpid)
        data = b"".join(parts)
        for start in range(0, len(data), CHUNK):
            if not self._datapath.send(data[start : start + CHUNK]):
                raise NotConnected(self._dpid, "the connection has just ended")

    def _wait(self, waiter: _Waiter, timeout: float) -> None:
        if not self._alive:
            raise TimedOut(self._dpid, "the connection ended")
        if not waiter.done.wait(timeout):
            raise TimedOut(self._dpid, f"{timeout:g} s")
        if not self._alive:
            raise TimedOut(self._dpid, "the connection ended")

    def _ask(self, request: Any, timeout: float) -> list[Any]:
        waiter = _Waiter()
        with self._sending:
            data, xid = self._message(request, waiter)
            self._write([data])
        try:
            self._wait(waiter, timeout)
        finally:
            self._waiters.pop(xid, None)
        if waiter.errors:
            raise Unsupported(next(iter(waiter.errors.values())))
        return waiter.parts

    def read(self, timeout: float) -> Tables:
        """See `Link`."""
        datapath, parser, proto = self._datapath, self._datapath.ofproto_parser, self._datapath.ofproto
        tables = Tables()
        requests: list[tuple[Any, Callable[[Any], Any]]] = [
            (parser.OFPFlowStatsRequest(datapath, 0, proto.OFPTT_ALL), messages.flow_of),
            (parser.OFPGroupDescStatsRequest(datapath, 0), messages.group_of),
            (parser.OFPMeterConfigStatsRequest(datapath, 0, proto.OFPM_ALL), messages.meter_of),
        ]
        for request, translate in requests:
            try:
                answer = self._ask(request, timeout)
            except Unsupported:
                continue
            for item in answer:
                tables.put(translate(item))
        return tables

    def count(self, cookie: int, mask: int, timeout: float) -> int:
        """See `Link`."""
        datapath, parser, proto = self._datapath, self._datapath.ofproto_parser, self._datapath.ofproto
        request = parser.OFPAggregateStatsRequest(
            datapath, 0, proto.OFPTT_ALL, proto.OFPP_ANY, proto.OFPG_ANY, cookie & FULL, mask, parser.OFPMatch()
        )
        return int(self._ask(request, timeout)[0].flow_count)

    def features(self, timeout: float) -> Features:
        """See `Link`."""
        datapath, parser, proto = self._datapath, self._datapath.ofproto_parser, self._datapath.ofproto
        max_meters, max_groups = 0, None
        try:
            for item in self._ask(parser.OFPMeterFeaturesStatsRequest(datapath, 0), timeout):
                drops = item.band_types >> proto.OFPMBT_DROP & 1 and item.capabilities & proto.OFPMF_KBPS
                max_meters = item.max_meter if drops else 0
        except Unsupported:
            pass
        try:
            for item in self._ask(parser.OFPGroupFeaturesStatsRequest(datapath, 0), timeout):
                max_groups = item.max_groups[proto.OFPGT_ALL]
        except Unsupported:
            pass
        return Features(max_meters, max_groups)

    def close(self) -> None:
        """See `Link`."""
        self._datapath.abandon()

    # What follows is called in the connection's own thread.

    def received(self, name: str, message: Any) -> None:
        """Take an answer of the switch to whoever waits for it."""
        waiter = self._waiters.get(message.xid)
        if waiter is None:
            return
        if name == "ErrorMsg":
            waiter.errors[message.xid] = error_name(message)
            if self._is_question(message):
                waiter.done.set()
        elif name == "BarrierReply":
            waiter.done.set()
        else:
            body = message.body
            waiter.parts.extend(body if isinstance(body, list) else [body])
            if not message.flags & 1:
                waiter.done.set()

    def _is_question(self, message: Any) -> bool:
        """Whether an error is about a multipart request: nothing follows it, as a barrier's reply follows a step's."""
        return bytes(message.data[1:2]) == bytes([self._datapath.ofproto.OFPT_MULTIPART_REQUEST])

    def lost(self) -> None:
        """The connection has ended: nobody waits for it any longer."""
        self._alive = False
        for waiter in list(self._waiters.values()):
            waiter.done.set()


class Unsupported(Exception):
    """The switch does not know a request."""
