"""A switch that exists in memory only: what it holds, and where frames go in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

from dpb_framework.contracts import Bridge, Channel, FabricEvent
from dpb_framework.emulated.names import Frame, Names
from dpb_framework.emulated.script import Script, scripted
from dpb_framework.errors import FabricRefused, InterfaceInvalid
from dpb_framework.model import TrafficFlow
from dpb_framework.watchers import Listener, Watchers


def make_bridge(key: str, channels: Mapping[Channel, TrafficFlow]) -> Bridge:
    """Return the bridge; here because type checkers see no mapping in what a converter takes."""
    return Bridge(key, cast(Any, channels))


class Device:
    """One emulated device. Thread-safe; no method blocks.

    *ports* is how many numbered ports there are (None: any name is a port), *limit* how many bridges fit, those of
    strangers included (None: any number). Scripted faults only wait in `script`: who drives the device obeys them.
    """

    def __init__(self, name: str = "", *, ports: int | None = None, limit: int | None = None) -> None:
        self.name = name
        self.where = f"emulated device {name!r}" if name else "the emulated device"
        self.names = Names(self.where, ports)
        self.limit = limit
        self.script = Script()
        self.watchers = Watchers(up=True)
        self._lock = threading.Lock()
        self._bridges: dict[str, Bridge] = {}
        self._strangers: dict[str, Bridge] = {}
        self._frames: dict[str, dict[Frame, Channel]] = {}
        self._owner: dict[Frame, Bridge] = {}
        self._calls: dict[str, int] = {}

    # -- what a fabric asks for ---------------------------------------------------------------------

    def ensure(self, bridge: Bridge) -> bool:
        """Make the bridge be there, as given; tell whether anything changed. `FabricRefused` leaves all as it was."""
        key = bridge.key
        with self._lock:
            self._count("ensure")
            old = self._bridges.get(key)
            if old is not None and old == bridge:
                return False
            frames = self._checked(bridge, old)
            if old is None:
                if self.limit is not None and len(self._bridges) + len(self._strangers) >= self.limit:
                    raise FabricRefused(self.where, f"all {self.limit} bridges are in use")
            else:
                for frame in self._frames[key]:
                    del self._owner[frame]
            self._frames[key] = frames
            self._bridges[key] = bridge
            for frame in frames:
                self._owner[frame] = bridge
        return True

    def remove(self, key: str) -> bool:
        """Make the bridge be gone; tell whether anything changed."""
        with self._lock:
            self._count("remove")
            return self._drop(key)

    def retain(self, keys: Collection[str], prefix: str) -> bool:
        """Remove the bridges with *prefix* that are not among *keys*; tell whether anything changed."""
        kept = frozenset(keys)
        with self._lock:
            self._count("retain")
            gone = [key for key in self._bridges if key.startswith(prefix) and key not in kept]
            for key in gone:
                self._drop(key)
        return bool(gone)

    def bridges(self) -> list[Bridge]:
        """Return the bridges that fabrics made, oldest first; those of strangers are not among them."""
        with self._lock:
            self._count("bridges")
            return list(self._bridges.values())

    def capacity(self) -> dict[str, Any]:
        """Return how many bridges there are and, where they are limited, how many more fit."""
        with self._lock:
            self._count("capacity")
            used = len(self._bridges) + len(self._strangers)
            left = {} if self.limit is None else {"bridges-left": max(0, self.limit - used)}
            return {"bridges": used, **left}

    def watch(self, listener: Listener) -> Callable[[], None]:
        """Tell *listener* of events, beginning with UP if there is contact; the answer ends it."""
        return self.watchers.add(listener)

    # -- what tests ask and do ----------------------------------------------------------------------

    @property
    def quiet(self) -> bool:
        """Whether there is contact and no fault waits."""
        return self.watchers.up and self.script.empty

    @property
    def reachable(self) -> bool:
        """Whether there is contact."""
        return self.watchers.up

    @property
    def calls(self) -> dict[str, int]:
        """How often each command came, answered or not."""
        with self._lock:
            return dict(self._calls)

    @property
    def strangers(self) -> dict[str, Bridge]:
        """The bridges of strangers, by name."""
        with self._lock:
            return dict(self._strangers)

    @property
    def ports_down(self) -> tuple[str, ...]:
        """The ports that are down."""
        return self.watchers.dead

    def holds(self) -> dict[str, Bridge]:
        """Return the bridges by key, without counting as a call and without contact."""
        with self._lock:
            return dict(self._bridges)

    def carries(self, channel: Channel) -> frozenset[Channel]:
        """Where a frame that enters at *channel* comes out: nowhere if no bridge takes it, or its port is down.

        Named as the bridge names its channels. Loss of contact changes nothing: a switch without its controller
        forwards. Rates are left aside; `delivers` tells them.
        """
        frame = self.names.frame(channel)
        dead = self.ports_down
        with self._lock:
            bridge = self._owner.get(frame)
            if bridge is None or frame[0] in dead:
                return frozenset()
            frames = self._frames.get(bridge.key, {}) if self._bridges.get(bridge.key) is bridge else {}
            frames = frames or {self.names.frame(other): other for other in bridge.channels}
            return frozenset(other for out, other in frames.items() if out != frame and out[0] not in dead)

    def delivers(self, channel: Channel, offered: int) -> dict[Channel, int]:
        """How much of *offered* (kbit/s) at *channel* comes out where: at most its ingress, and the egress there."""
        out = self.carries(channel)
        frame = self.names.frame(channel)
        with self._lock:
            bridge = self._owner.get(frame)
            if bridge is None:
                return {}
            entry = min(offered, *(f.ingress for c, f in bridge.channels.items() if self.names.frame(c) == frame))
            return {other: min(entry, bridge.channels[other].egress) for other in out if other in bridge.channels}

    def fault(self, **words: Any) -> None:
        """Let a fault wait; the words are those of `dpb_framework.emulated.script.scripted`."""
        self.script.add(scripted(**words))

    def port_down(self, interface: str) -> None:
        """Let the port of this interface go down."""
        self._post(FabricEvent.PORT_DOWN, self._port(interface))

    def port_up(self, interface: str) -> None:
        """Let the port of this interface come up."""
        self._post(FabricEvent.PORT_UP, self._port(interface))

    def down(self) -> None:
        """Lose contact with the device, which goes on carrying frames."""
        self._post(FabricEvent.DOWN)

    def up(self) -> None:
        """Have contact again."""
        self._post(FabricEvent.UP)

    def wipe(self) -> None:
        """Forget all bridges, as after a loss of power. The bridges of strangers are gone, too."""
        with self._lock:
            for held in (self._bridges, self._strangers, self._frames, self._owner):
                held.clear()
        if self.reachable:
            self._post(FabricEvent.UP)

    def stranger(self, name: str, channels: Mapping[Channel, TrafficFlow]) -> None:
        """Let somebody else make a bridge: fabrics do not see it, and must not take its channels."""
        bridge = make_bridge(name, channels)
        with self._lock:
            self._drop_stranger(name)
            frames = self._checked(bridge, None)
            self._strangers[name] = bridge
            for frame in frames:
                self._owner[frame] = bridge

    def remove_stranger(self, name: str) -> None:
        """Let somebody else remove a bridge of theirs; nothing to do when it is gone."""
        with self._lock:
            self._drop_stranger(name)

    def configure(self, *, ports: int | None, limit: int | None) -> None:
        """Have other limits from now on; what is there stays."""
        with self._lock:
            self.limit = limit
            if ports != self.names.ports:
                self.names = Names(self.where, ports)

    def count(self, command: str) -> None:
        """Count a command that a fault kept from the device."""
        with self._lock:
            self._count(command)

    def forget_calls(self) -> None:
        """Begin to count again."""
        with self._lock:
            self._calls.clear()

    # -- inside -------------------------------------------------------------------------------------

    def _count(self, command: str) -> None:
        self._calls[command] = self._calls.get(command, 0) + 1

    def _checked(self, bridge: Bridge, old: Bridge | None) -> dict[Frame, Channel]:
        frames: dict[Frame, Channel] = {}
        for channel in bridge.channels:
            try:
                interface = self.names.parse(channel.interface)
            except InterfaceInvalid as error:
                raise FabricRefused(self.where, f"interface {error.interface!r}: {error.problem}") from None
            label = channel.label
            if not interface.first <= label <= interface.last:
                raise FabricRefused(
                    self.where,
                    f"label {label} of interface {interface.name!r} lies outside {interface.first} to {interface.last}",
                )
            frame = interface.frame(label)
            if frame in frames:
                raise FabricRefused(self.where, f"channels {frames[frame]} and {channel} of one bridge overlap")
            other = self._owner.get(frame)
            if other is not None and other is not old:
                raise FabricRefused(self.where, f"channel {channel} is in use by bridge {other.key!r}")
            frames[frame] = channel
        return frames

    def _drop(self, key: str) -> bool:
        if self._bridges.pop(key, None) is None:
            return False
        for frame in self._frames.pop(key):
            del self._owner[frame]
        return True

    def _drop_stranger(self, name: str) -> None:
        old = self._strangers.pop(name, None)
        if old is not None:
            self._owner = {frame: bridge for frame, bridge in self._owner.items() if bridge is not old}

    def _port(self, interface: str) -> str:
        parsed = self.names.parse(interface)
        if not parsed.port:
            raise InterfaceInvalid(self.where, interface, "name one port, such as 3")
        return parsed.port

    def _post(self, event: FabricEvent, port: str = "") -> None:
        self.watchers.post(event, port)
        self.watchers.drain()
