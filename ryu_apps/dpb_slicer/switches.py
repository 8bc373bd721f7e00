"""All switches: connections come and go, each switch has a worker that repairs it, and messages find their switch."""

from __future__ import annotations

import logging
import random
import secrets
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from dpb_slicer import cookies, pipeline
from dpb_slicer.errors import SlicerError, UnknownSwitch
from dpb_slicer.happenings import Happenings
from dpb_slicer.learning import Limits
from dpb_slicer.link import DatapathLink, Link, Unsupported
from dpb_slicer.messages import match_of
from dpb_slicer.switch import Port, Switch
from dpb_slicer.timing import Timing

log = logging.getLogger(__name__)

DOWN = 1  # OFPPS_LINK_DOWN; OFPPC_PORT_DOWN has the same value in its own field
MAX_PORT = 0xFFFFFF00
WRONG_VERSION = "OpenFlow 1.3 is wanted, the switch speaks wire version {:#x} at most: let it speak OpenFlow13"


class Switches:
    """The switches seen since the start, by dpid. What the library calls is called in each connection's own thread."""

    def __init__(self, timing: Timing, limits: Limits) -> None:
        self.instance = secrets.token_hex(8)
        self.events = Happenings(self.instance)
        self.refused: deque[dict[str, str]] = deque(maxlen=32)
        self._timing = timing
        self._limits = limits
        self._switches: dict[str, Switch] = {}
        self._workers: dict[str, _Worker] = {}
        self._links: dict[int, tuple[Switch, DatapathLink]] = {}
        self._lock = threading.Lock()

    def get(self, dpid: str) -> Switch:
        """The switch, or `UnknownSwitch`."""
        switch = self._switches.get(dpid)
        if switch is None:
            raise UnknownSwitch(dpid)
        return switch

    def all(self) -> list[Switch]:
        """All of them, by dpid."""
        return [switch for _, switch in sorted(self._switches.items())]

    def stop(self) -> None:
        """End the workers and let waiting callers go."""
        self.events.close()
        for worker in list(self._workers.values()):
            worker.stop()

    # ---- called by the library ----

    def up(self, datapath: Any) -> None:
        """A handshake is complete."""
        dpid = f"{datapath.id:016x}"
        with self._lock:
            switch = self._switches.get(dpid)
            if switch is None:
                switch = self._switches[dpid] = Switch(dpid, self._timing, self._limits)
                self._workers[dpid] = _Worker(switch, self.events)
        version = datapath.ofproto.OFP_VERSION
        if version != 4:
            switch.refuse(WRONG_VERSION.format(version))
            log.warning("%s is refused: %s", dpid, switch.reason)
            datapath.close()
            return
        switch.ports = {number: _port(port) for number, port in datapath.ports.items() if 1 <= number <= MAX_PORT}
        link = DatapathLink(datapath, dpid)
        self._links[id(datapath)] = switch, link
        self._workers[dpid].connect(link)

    def down(self, datapath: Any) -> None:
        """A connection has ended."""
        switch, link = self._links.pop(id(datapath), (None, None))
        if switch is None or link is None:
            return
        link.lost()
        self._workers[switch.dpid].disconnect(link)

    def peer_refused(self, address: tuple[str, int], reason: str) -> None:
        """Somebody was sent away before he said who he is."""
        log.warning("%s:%d is refused: %s", *address[:2], reason)
        self.refused.append({"address": "{}:{}".format(*address[:2]), "reason": reason})

    def message(self, name: str, message: Any) -> None:
        """A message of a switch."""
        switch, link = self._links.get(id(message.datapath), (None, None))
        if switch is None or link is None:
            return
        match name:
            case "PacketIn":
                self._packet_in(switch, message)
            case "FlowRemoved":
                self._flow_removed(switch, message)
            case "PortStatus":
                self._port_status(switch, message)
            case _:
                link.received(name, message)

    @staticmethod
    def _packet_in(switch: Switch, message: Any) -> None:
        metadata = message.match.get("metadata", 0)
        if message.table_id == pipeline.SOURCE and len(message.data) >= 12 and metadata:
            address = ":".join(f"{byte:02x}" for byte in bytes(message.data[6:12]))
            switch.learning.seen(metadata >> 32, metadata >> 16 & 0xFFFF, address)

    @staticmethod
    def _flow_removed(switch: Switch, message: Any) -> None:
        if cookies.is_learned(message.cookie) and message.reason in (0, 1):  # idle or hard time-out
            address = match_of(message.match).eth_src
            if address is not None:
                switch.learning.silent(*cookies.learned_at(message.cookie), address)

    def _port_status(self, switch: Switch, message: Any) -> None:
        number = message.desc.port_no
        if not 1 <= number <= MAX_PORT:
            return
        was = switch.ports.get(number)
        if message.reason == message.datapath.ofproto.OFPPR_DELETE:
            switch.ports.pop(number, None)
            now_up = False
        else:
            port = switch.ports[number] = _port(message.desc)
            now_up = port.up
        if (was is not None and was.up) != now_up:
            self.events.add(switch.dpid, "port-up" if now_up else "port-down", ofport=number)


def _port(description: Any) -> Port:
    name = description.name
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
    return Port(text.rstrip("\0"), not (description.state & DOWN or description.config & DOWN))


class _Worker:
    """The thread of one switch: takes its connections into use, and audits it."""

    def __init__(self, switch: Switch, events: Happenings) -> None:
        self._switch = switch
        self._events = events
        self._wake = threading.Condition()
        self._pending: DatapathLink | None = None
        self._stopped = False
        threading.Thread(target=self._run, name=f"switch-{switch.dpid}", daemon=True).start()

    def connect(self, link: DatapathLink) -> None:
        """Take this connection into use."""
        with self._wake:
            self._pending = link
            self._wake.notify()

    def disconnect(self, link: DatapathLink) -> None:
        """This connection has ended."""
        was_ready = self._switch.connected
        if self._switch.left(link) and was_ready:
            self._events.add(self._switch.dpid, "down")
        with self._wake:
            if self._pending is link:
                self._pending = None

    def stop(self) -> None:
        """End the thread."""
        with self._wake:
            self._stopped = True
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._pending and not self._stopped:
                    self._wake.wait(self._switch.timing.quick * random.uniform(0.8, 1.2))
                if self._stopped:
                    return
                link, self._pending = self._pending, None
            self._guarded(self._take(link) if link is not None else self._switch.audit)

    def _take(self, link: DatapathLink) -> Callable[[], None]:
        def take() -> None:
            self._switch.arrived(link, link.features(self._switch.timing.command))
            if self._switch.connected:
                log.info("%s is connected", self._switch.dpid)
                self._events.add(self._switch.dpid, "up")

        return take

    def _guarded(self, work: Callable[[], None]) -> None:
        """An audit that fails is tried again; a connection that cannot be taken into use is ended, and comes again."""
        link: Link | None = None
        try:
            work()
        except (SlicerError, Unsupported) as error:
            if self._switch.connected:
                log.info("audit of %s: %s", self._switch.dpid, error)
            else:
                link = self._switch.abandon(str(error))
        except Exception as fault:
            log.exception("audit of %s", self._switch.dpid)
            link = self._switch.abandon(f"{type(fault).__name__}: {fault}") if not self._switch.connected else None
        if link is not None:
            link.close()
