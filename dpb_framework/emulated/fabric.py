"""The reference fabric: an emulated device in the broker's own memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from dpb_framework.contracts import Bridge, Capability, Channel, Fabric, FabricEvent
from dpb_framework.emulated.device import Device
from dpb_framework.emulated.names import Names, Tagging
from dpb_framework.emulated.script import FaultKind
from dpb_framework.errors import ConfigInvalid, FabricRefused, Unreachable

T = TypeVar("T")

_devices: dict[str, Device] = {}
_devices_lock = threading.Lock()


def device(name: str) -> Device:
    """Return the shared device of that name in this process, made at the first call."""
    with _devices_lock:
        return _devices.setdefault(name, Device(name))


def forget_device(name: str) -> None:
    """Let the shared device of that name go: the next one is new. Fabrics that have it keep it."""
    with _devices_lock:
        _devices.pop(name, None)


def domain(names: Names, interface: str) -> str:
    """Return the name that interfaces share whose channels may overlap: the port's, or `phys`."""
    parsed = names.parse(interface)
    return "phys" if parsed.tagging is Tagging.NONE else parsed.port


def labels(names: Names, interface: str) -> tuple[int, int] | None:
    """Return the first and last label of an interface; None for any of 24 bits."""
    parsed = names.parse(interface)
    return None if parsed.tagging is Tagging.DOUBLE else (parsed.first, parsed.last)


def _count(name: str, value: int | None, least: int) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
        raise ConfigInvalid(name, f"expected a number of at least {least}, got {value!r}"[:200])
    return value


class EmulatedFabric(Fabric):
    """A fabric whose device exists in memory; nothing blocks unless a delay is scripted.

    Settings: *ports* (numbers 1 to *ports* exist; any name without it), *bridges* (how many fit), *device* (a name: all
    fabrics of this process with the same one share a device, which outlives them; empty: one of its own). `device`
    is the test's handle: faults, ports, contact, and where frames go.
    """

    capabilities = frozenset(Capability)
    inline = True

    def __init__(self, *, ports: int | None = None, bridges: int | None = None, device: str = "") -> None:
        _count("ports", ports, 1)
        _count("bridges", bridges, 0)
        if not isinstance(device, str):
            raise ConfigInvalid("device", f"expected a name, got {device!r}"[:200])
        self.device = _shared(device, ports, bridges) if device else Device(ports=ports, limit=bridges)
        self._started = False
        self._ends: list[Callable[[], None]] = []

    def start(self) -> None:
        """Begin. Without it every command is `Unreachable`."""
        self._started = True

    def stop(self) -> None:
        """End; listeners are told nothing more. The device lives on if it is a shared one."""
        self._started = False
        while self._ends:
            self._ends.pop()()

    def interface(self, text: str) -> str:
        """Return the canonical form: no blanks around it, no leading zeros."""
        return self.device.names.parse(text).name

    def labels(self, interface: str) -> tuple[int, int] | None:
        """Return the first and last label; None (any of 24 bits) for an interface of two tags."""
        return labels(self.device.names, interface)

    def domain(self, interface: str) -> str:
        """Return the port, or `phys`."""
        return domain(self.device.names, interface)

    def port(self, channel: Channel) -> str:
        """Return the port, also of a channel of `phys`."""
        return self.device.names.frame(channel)[0]

    def overlaps(self, one: Channel, other: Channel) -> bool:
        """Whether both match the same frames: `3x2:409620` and `3.100:20` do, `3:100` and `3x2:409620` do not."""
        return self.device.names.overlaps(one, other)

    def ensure(self, bridge: Bridge) -> None:
        """Make the bridge be there, changed in place. Refused: what overlaps or does not exist, no bridge left."""
        if self._started and self.device.quiet:
            self.device.ensure(bridge)
        else:
            self._faulty("ensure", bridge.key, lambda: self.device.ensure(bridge), None)

    def remove(self, key: str) -> None:
        """Make the bridge be gone."""
        if self._started and self.device.quiet:
            self.device.remove(key)
        else:
            self._faulty("remove", key, lambda: self.device.remove(key), None)

    def retain(self, keys: Collection[str], prefix: str) -> None:
        """Remove the bridges with *prefix* that are not among *keys*."""
        self._faulty("retain", prefix, lambda: self.device.retain(keys, prefix), None)

    def bridges(self) -> Sequence[Bridge]:
        """The bridges that fabrics made, oldest first."""
        return self._faulty("bridges", "", self.device.bridges, [])

    def capacity(self) -> Mapping[str, Any]:
        """`{"bridges": n}` and, where they are limited, `"bridges-left"`."""
        return self._faulty("capacity", "", self.device.capacity, {})

    def watch(self, listener: Callable[[FabricEvent, str], None]) -> Callable[[], None]:
        """Tell *listener* of the device and of its ports."""
        end = self.device.watch(listener)
        self._ends.append(end)
        return end

    def _faulty(self, command: str, key: str, act: Callable[[], T], nothing: T) -> T:
        where = self.device.where
        if not self._started:
            raise Unreachable(where, "the fabric is not started")
        if not self.device.reachable:
            raise Unreachable(where, "contact is lost")
        delay, fault = self.device.script.strike(command, key)
        kind = fault.kind if fault else None
        if kind in (None, FaultKind.CRASH_AFTER):
            result = act()
        else:
            result = nothing
            self.device.count(command)
        if delay:
            time.sleep(delay)
        if fault and kind is FaultKind.REFUSE:
            raise FabricRefused(where, str(fault.detail))
        if kind in (FaultKind.HANG, FaultKind.CRASH_BEFORE, FaultKind.CRASH_AFTER):
            raise Unreachable(where, "no answer came")
        return result


class BlockingFabric(EmulatedFabric):
    """The same, but the kernel calls it in a leaf's executor: for tests that script delays."""

    inline = False


def _shared(name: str, ports: int | None, bridges: int | None) -> Device:
    shared = device(name)
    shared.configure(
        ports=shared.names.ports if ports is None else ports, limit=shared.limit if bridges is None else bridges
    )
    return shared
