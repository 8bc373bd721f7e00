"""A fabric over one OpenFlow switch, through the controller application's REST interface."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from dpb_framework.contracts import Bridge, Capability, Channel, Fabric, FabricEvent
from dpb_framework.errors import ConfigInvalid, DpbError, FabricRefused, Unreachable
from dpb_openflow import hub
from dpb_openflow.address import Address, dpid_of, timeout_of
from dpb_openflow.client import Client
from dpb_openflow.names import Names, overlap
from dpb_openflow.slices import batches, circuit_of, fault, from_slice, to_slice
from dpb_openflow.state import SwitchState

_log = logging.getLogger("dpb.openflow")

_RATES = frozenset({Capability.METERING, Capability.SHAPING})


class OpenFlowFabric(Fabric):
    """One switch of an application.

    Settings: *url* (of the application, `http://HOST:PORT`), *dpid* (the switch's datapath id, up to 16 hex digits),
    *timeout* (seconds: how long a command waits for its answer), *dhcp* (false: DHCP does not pass through services),
    *ca* (PEM file: who may have signed the application's certificate), *token* (sent as bearer token).
    """

    capabilities = frozenset(Capability)
    gathers = True

    def __init__(
        self, *, url: str, dpid: str, timeout: float = 10.0, dhcp: bool = True, ca: str = "", token: str = ""
    ) -> None:
        self._address = Address.of(url, ca, token)
        self._dpid = dpid_of(dpid)
        if not isinstance(dhcp, bool):
            raise ConfigInvalid("dhcp", "expected true or false")
        self._dhcp = dhcp
        self._where = f"OpenFlow switch {self._dpid} at {self._address.url}"
        self._names = Names(self._where)
        self._client = Client(self._address, timeout_of(timeout), self._where)
        self._station = hub.Station(self._dpid, self._learn)
        self._leave: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self._known = False
        self._started = False

    # -- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to follow the application's events; it may be away."""
        self._started = True
        self._leave = hub.join(self._address, self._station)

    def stop(self) -> None:
        """End all connections; listeners are told nothing more."""
        self._started = False
        self._station.watchers.clear()
        with self._lock:
            leave, self._leave = self._leave, None
        if leave is not None:
            leave()
        self._client.end()

    def _learn(self, state: SwitchState) -> None:
        """Take up what the switch has, before anybody is told that it is there."""
        capabilities = frozenset(Capability) if state.meters else frozenset(Capability) - _RATES
        if self._known and capabilities == self.capabilities:
            return
        self._known = True
        self.capabilities = capabilities
        if state.meters:
            _log.info("%s: %d ports, meters: %s", self._where, state.ports, state.capacity.get("meters-left", "some"))
        else:
            _log.warning("%s has no meters: no rate is enforced on it, neither ingress nor egress", self._where)

    # -- names --------------------------------------------------------------------------------------

    def interface(self, text: str) -> str:
        """Return the canonical form: `3`, `3x2`, `3.100` or `phys`."""
        return self._names.parse(text).name

    def labels(self, interface: str) -> tuple[int, int] | None:
        """Return the first and last label. Of two tags, labels with a tag of 0 or 4095 are refused by `ensure`."""
        return self._names.parse(interface).labels

    def domain(self, interface: str) -> str:
        """Return the port's number; empty for `phys`."""
        return self._names.parse(interface).domain

    def port(self, channel: Channel) -> str:
        """Return the port's number."""
        return str(self._names.circuit(channel)[0])

    def overlaps(self, one: Channel, other: Channel) -> bool:
        """Whether one circuit is the other's beginning, as of `phys:3`, `3:100` and `3.100:20`."""
        return overlap(self._names.circuit(one), self._names.circuit(other))

    # -- commands -----------------------------------------------------------------------------------

    def ensure(self, bridge: Bridge) -> None:
        """Make the slice be there; answered after the switch's barrier reply."""
        self._call("PUT", f"/slices/{_segment(bridge.key)}", self._slice(bridge))

    def ensure_all(self, bridges: Sequence[Bridge]) -> Mapping[str, DpbError]:
        """Make the slices be there, many with one request and one barrier."""
        if len(bridges) == 1:
            return super().ensure_all(bridges)
        errors: dict[str, DpbError] = {}
        slices: dict[str, Any] = {}
        for bridge in bridges:
            try:
                slices[bridge.key] = self._slice(bridge)
            except FabricRefused as error:
                errors[bridge.key] = error
        for batch in batches(slices):
            plain = self._call("POST", "/slices", {"slices": batch})
            with self._client.understanding():
                problems = {key: plain["slices"][key] for key in batch}
                errors |= {key: self._client.problem(told) for key, told in problems.items() if told is not None}
        return errors

    def remove(self, key: str) -> None:
        """Make the slice be gone; answered after the switch's barrier reply."""
        self._call("DELETE", f"/slices/{_segment(key)}")

    def retain(self, keys: Collection[str], prefix: str) -> None:
        """Remove the slices with *prefix* that are not among *keys*; a restarted application learns the keys by it."""
        self._call("POST", "/retain", {"prefix": prefix, "keys": sorted(keys)})

    def bridges(self) -> Sequence[Bridge]:
        """The slices that are really on the switch and have a key.

        One that treats DHCP otherwise than the setting says is not told: it has to be made anew.
        """
        plain = self._call("GET", "/slices")
        with self._client.understanding():
            slices = plain["slices"]
            self._names.keep_only({circuit_of(e["circuit"]) for s in slices.values() for e in s["circuits"]})
            return [
                from_slice(key, plain, self._names)
                for key, plain in slices.items()
                if plain.get("dhcp", True) is self._dhcp
            ]

    def capacity(self) -> Mapping[str, Any]:
        """`{"ports", "flows", "meters-left", "groups-left"}`; without the last two where they are not limited."""
        plain = self._call("GET", "")
        with self._client.understanding():
            state = SwitchState.of(plain)
        if not state.connected:
            raise Unreachable(self._where, state.reason or "the switch is not connected to the application")
        return state.capacity

    def watch(self, listener: Callable[[FabricEvent, str], None]) -> Callable[[], None]:
        """Tell *listener* of the switch, of the application, and of ports by their numbers."""
        return self._station.watchers.add(listener)

    def _slice(self, bridge: Bridge) -> dict[str, Any]:
        metered = self.capabilities >= _RATES
        problem = fault(bridge, self._names, metered=metered)
        if problem:
            raise FabricRefused(self._where, problem)
        return to_slice(bridge, self._names, metered=metered, dhcp=self._dhcp)

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        if not self._started:
            raise Unreachable(self._where, "the fabric is not started")
        return self._client.call(method, f"/{self._dpid}{path}", body)


def _segment(key: str) -> str:
    """Return a key as one segment of a path."""
    return quote(key, safe="")
