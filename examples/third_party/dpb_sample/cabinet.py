"""A fabric whose device is a file: what is to be patched together, for people who do it by hand."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from dpb_framework.contracts import Bridge, Capability, Channel, Fabric, FabricEvent
from dpb_framework.errors import ConfigInvalid, FabricRefused, InterfaceInvalid, Unreachable
from dpb_framework.model import TrafficFlow

_PORT = re.compile(r"\s*(?:port)?\s*0*([1-9][0-9]{0,3})\s*", re.IGNORECASE | re.ASCII)


class Cabinet(Fabric):
    """A cabinet with *ports* ports, `port1` and so on.

    It enforces no rates, and says so by claiming neither METERING nor SHAPING.
    """

    capabilities = frozenset({Capability.IN_PLACE})

    def __init__(self, file: str, ports: int = 48) -> None:
        if ports < 1:
            raise ConfigInvalid("ports", f"a cabinet has at least one port, got {ports}")
        self._file = Path(file)
        self._ports = ports
        self._lock = threading.Lock()

    def start(self) -> None:
        """Nothing to keep contact with."""

    def stop(self) -> None:
        """Nothing to end."""

    def interface(self, text: str) -> str:
        """Return `portN` for `portN`, `Port 7`, or just a number."""
        match = _PORT.fullmatch(text)
        if not match:
            raise InterfaceInvalid("cabinet", text, "expected a port such as port7")
        return f"port{match[1]}"

    def labels(self, interface: str) -> tuple[int, int] | None:
        """Return the VLAN ids there are."""
        return 1, 4094

    def domain(self, interface: str) -> str:
        """Each port is by itself."""
        return interface

    def overlaps(self, one: Channel, other: Channel) -> bool:
        """Only equal channels do."""
        return one == other

    def ensure(self, bridge: Bridge) -> None:
        """Write the bridge down."""
        for channel in bridge.channels:
            if int(channel.interface.removeprefix("port")) > self._ports:
                raise FabricRefused(str(self._file), f"there is no {channel.interface}, only {self._ports} ports")
        wires = [[c.interface, c.label, flow.ingress, flow.egress] for c, flow in bridge.channels.items()]
        self._change(lambda held: {**self._apart(held, bridge), bridge.key: wires})

    def remove(self, key: str) -> None:
        """Strike the bridge out."""
        self._change(lambda held: {k: wires for k, wires in held.items() if k != key})

    def retain(self, keys: Collection[str], prefix: str) -> None:
        """Strike out what begins with *prefix* and is not among *keys*."""
        self._change(lambda held: {k: wires for k, wires in held.items() if k in keys or not k.startswith(prefix)})

    def bridges(self) -> Sequence[Bridge]:
        """Read what is written."""
        with self._lock:
            held = self._read()
        return [
            Bridge(key, {Channel(i, label): TrafficFlow(ingress, egress) for i, label, ingress, egress in wires})
            for key, wires in held.items()
        ]

    def capacity(self) -> Mapping[str, Any]:
        """Tell how many ports there are, and how many have no wire."""
        used = {channel.interface for bridge in self.bridges() for channel in bridge.channels}
        return {"ports": self._ports, "ports-free": self._ports - len(used)}

    def watch(self, listener: Callable[[FabricEvent, str], None]) -> Callable[[], None]:
        """Tell that the device is there; a file tells no more."""
        listener(FabricEvent.UP, "")
        return lambda: None

    def _apart(self, held: dict[str, Any], bridge: Bridge) -> dict[str, Any]:
        """Return *held* unless another bridge has one of the channels: no wire is taken from it."""
        for key, wires in held.items():
            for interface, label, *_ in wires if key != bridge.key else ():
                if Channel(interface, label) in bridge.channels:
                    raise FabricRefused(str(self._file), f"{interface}:{label} is wired to {key} already")
        return held

    def _change(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        with self._lock:
            before = self._read()
            after = change(before)
            if after == before:
                return
            try:
                scratch = self._file.with_suffix(".new")
                scratch.write_text(json.dumps(after, indent=1), "utf-8")
                os.replace(scratch, self._file)
            except OSError as error:
                raise Unreachable(str(self._file), str(error)) from error

    def _read(self) -> dict[str, Any]:
        try:
            held: dict[str, Any] = json.loads(self._file.read_text("utf-8"))
        except FileNotFoundError as error:
            if self._file.parent.is_dir():
                return {}
            raise Unreachable(str(self._file), "its folder is not there") from error
        except (OSError, ValueError) as error:
            raise Unreachable(str(self._file), str(error)) from error
        return held
