"""Following an application's events: one thread for all fabrics of this process that use the application."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping

from attrs import field, frozen

from dpb_framework.contracts import FabricEvent
from dpb_framework.errors import DpbError, Unreachable
from dpb_framework.watchers import Watchers
from dpb_openflow.address import Address
from dpb_openflow.client import Client
from dpb_openflow.state import SwitchState

_log = logging.getLogger("dpb.openflow")

WAIT = 10
"""How long the application may hold back an answer that there is nothing to tell, in seconds."""

TIMEOUT = 10.0
"""How long any other answer may take, in seconds."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_LOOKS = 5


@frozen(eq=False)
class Station:
    """One fabric's place in a hub. `learn` is called with each state of the switch, before listeners are told UP."""

    dpid: str
    learn: Callable[[SwitchState], None]
    watchers: Watchers = field(factory=lambda: Watchers(up=False))

    def show(self, state: SwitchState | None) -> None:
        """Queue what a new look at the switch tells: UP and the ports that are dead, or DOWN."""
        if state is not None and state.connected:
            self.learn(state)
            self.watchers.replace_dead(state.dead)
            self.watchers.post(FabricEvent.UP)
        elif self.watchers.up:
            self.watchers.post(FabricEvent.DOWN)


class Hub:
    """Follows one application, from the first `join` to the last `leave`; get one by `hub_of`."""

    def __init__(self, address: Address) -> None:
        self._where = f"the OpenFlow application at {address.url}"
        self._client = Client(address, TIMEOUT, self._where)
        self._lock = threading.Lock()
        self._stations: list[Station] = []
        self._turns: Counter[str] = Counter()
        """How often something was told of each switch: a look that was overtaken does not count."""
        self._following = False
        self._again = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"events of {address.url}", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def end(self) -> None:
        """End the thread, whatever it waits for."""
        self._ended.set()
        self._client.end()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def add(self, station: Station) -> None:
        """Tell *station* from now on."""
        with self._lock:
            self._stations.append(station)

    def remove(self, station: Station) -> bool:
        """Tell *station* nothing more; whether it was the last one."""
        with self._lock:
            self._stations.remove(station)
            return not self._stations

    def welcome(self, station: Station) -> None:
        """Look at a new station's switch, if the application is followed already; else the thread will."""
        if not self._following:
            return
        try:
            self._look(station.dpid)
        except DpbError as error:
            _log.debug("%s", error)
            self._again = True

    # -- the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._ended.is_set():
            try:
                after, instance = self._look_at_all()
                pause = _FIRST_PAUSE
                self._follow(after, instance)
                # An application that forgets everything at once must not keep us busy.
                self._ended.wait(_FIRST_PAUSE)
            except Exception as error:  # noqa: BLE001  # nobody else would tell of the switches any more
                if isinstance(error, DpbError):
                    _log.debug("%s", error)
                else:
                    _log.exception("%s: contact is lost", self._where)
                self._show_all({}, following=False)
                self._ended.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _dpids(self) -> set[str]:
        with self._lock:
            return {station.dpid for station in self._stations}

    def _look_at_all(self) -> tuple[int, str]:
        self._again = False
        plain = self._client.call("GET", "")
        with self._client.understanding():
            found = {dpid: SwitchState.of(switch) for dpid, switch in plain["switches"].items()}
            after, instance = plain["last-event"], str(plain["instance"])
        self._show_all(found, following=True)
        return after, instance

    def _follow(self, after: int, instance: str) -> None:
        """Tell events, until some may have been missed."""
        while not self._ended.is_set() and not self._again:
            # What breaks off is not repeated: another instance may have the same numbers, and would let us wait.
            plain = self._client.call("GET", f"/events?after={after}&wait={WAIT}", wait=WAIT, again=False)
            with self._client.understanding():
                if plain["instance"] != instance or plain.get("resync"):
                    return
                events = [(str(e["dpid"]), e["event"], str(e.get("ofport", ""))) for e in plain["events"]]
                after = plain["last-event"]
            for dpid, event, port in events:
                self._tell(dpid, event, port)

    def _tell(self, dpid: str, event: str, port: str) -> None:
        if event == "up":
            if dpid in self._dpids():
                self._look(dpid)
        elif event == "down":
            self._show(dpid, None)
        elif event in ("port-up", "port-down"):
            self._post(dpid, FabricEvent(event), port)

    # -- telling ------------------------------------------------------------------------------------

    def _look(self, dpid: str) -> None:
        """Ask how the switch is, and show it; once more if an event came in between."""
        for _ in range(_LOOKS):
            before = self._turns[dpid]
            state: SwitchState | None = None
            try:
                plain = self._client.call("GET", f"/{dpid}")
                with self._client.understanding():
                    state = SwitchState.of(plain)
            except Unreachable as error:
                # There is no such switch yet, or something is wrong with the application: the thread finds out.
                _log.debug("%s", error)
                self._again = True
            if self._show(dpid, state, before):
                return
        self._again = True

    def _show_all(self, found: Mapping[str, SwitchState], *, following: bool) -> None:
        """Show every station its switch. Who joins from then on looks for itself, while *following*."""
        with self._lock:
            self._following = following
            stations = self._stations.copy()
            self._turns.update({station.dpid for station in stations})
            for station in stations:
                station.show(found.get(station.dpid))
        for station in stations:
            station.watchers.drain()

    def _show(self, dpid: str, state: SwitchState | None, turn: int | None = None) -> bool:
        """Show one switch to all that are here for it; not, if another *turn* came meanwhile."""
        with self._lock:
            if turn not in (None, self._turns[dpid]):
                return False
            self._turns[dpid] += 1
            stations = [station for station in self._stations if station.dpid == dpid]
            for station in stations:
                station.show(state)
        for station in stations:
            station.watchers.drain()
        return True

    def _post(self, dpid: str, event: FabricEvent, port: str) -> None:
        with self._lock:
            self._turns[dpid] += 1
            stations = [station for station in self._stations if station.dpid == dpid]
            for station in stations:
                station.watchers.post(event, port)
        for station in stations:
            station.watchers.drain()


_hubs: dict[Address, Hub] = {}
_hubs_lock = threading.Lock()


def join(address: Address, station: Station) -> Callable[[], None]:
    """Let *station* hear of its switch; the answer ends it. Blocks while the switch is looked at.

    The first to join an application begins to follow it, the last to leave ends that.
    """
    with _hubs_lock:
        hub = _hubs.get(address)
        if hub is None:
            hub = _hubs[address] = Hub(address)
            hub.start()
        hub.add(station)
    hub.welcome(station)

    def leave() -> None:
        with _hubs_lock:
            last = hub.remove(station)
            if last:
                del _hubs[address]
        if last:
            hub.end()

    return leave
