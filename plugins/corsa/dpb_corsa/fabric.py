"""What both fabrics over a Corsa switch have in common."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from dpb_corsa.address import options_of, seconds_of
from dpb_corsa.application import Application, Slices
from dpb_corsa.change import Changer
from dpb_corsa.contact import Contact, Look
from dpb_corsa.names import Circuit, Interface, parse
from dpb_corsa.switch import Switch
from dpb_corsa.tags import digest_of_key, digest_of_prefix
from dpb_corsa.threads import Crew, KeyLocks
from dpb_corsa.tunnels import Tunnel, Wanted, bridge_of, fault, overlapping, wanted_of
from dpb_corsa.vfcs import MOST, Vfc, Vfcs
from dpb_framework.contracts import Bridge, Capability, Channel, Fabric, FabricEvent
from dpb_framework.errors import FabricRefused, Unreachable


class CorsaFabric(Fabric):
    """One logical switch on a Corsa switch.

    Settings: *url* (of the management API, `https://HOST`), *certificate* (PEM file: exactly that one is accepted),
    *token_file* (its lines are joined), *application* (`http://HOST:PORT` of the controller application), *controller*
    (`IP:PORT` where that takes switches), *prefix* (with which descriptions of this network's VFCs begin; nobody else's
    may), *resources* (percent of the switch for each VFC), *traffic_class* and *netns* (of VFCs; left to the switch
    when not given), *controller_tls*, *dhcp* (false: DHCP does not pass through services), *timeout* (seconds for each
    call, and for a VFC to connect to its controller), *poll* (seconds between looks at the switch).
    """

    capabilities = frozenset(Capability)

    resources_each = 1
    """How much of the switch a VFC takes, in percent, unless told."""

    def __init__(
        self,
        *,
        url: str,
        certificate: str,
        token_file: str,
        application: str,
        controller: str,
        prefix: str,
        resources: int | None = None,
        traffic_class: int | None = None,
        netns: str = "",
        controller_tls: bool = False,
        dhcp: bool = True,
        timeout: float = 10.0,
        poll: float = 5.0,
    ) -> None:
        share = self.resources_each if resources is None else resources
        self._options = options_of(prefix, controller, controller_tls, share, traffic_class, netns)
        self._timeout = seconds_of("timeout", timeout)
        self._switch = Switch(url, certificate, token_file, self._timeout)
        self._where = self._switch.where
        self._application = Application(application, self._timeout, dhcp=dhcp)
        self._vfcs = Vfcs(self._switch, self._options)
        self._crew = Crew()
        self._changer = Changer(self._switch, self._application, self._crew, self._controlled)
        self._contact = Contact(self._look, seconds_of("poll", poll), self._where)
        self._locks = KeyLocks()
        self._making = threading.Lock()
        self._interfaces: dict[str, Interface] = {}
        self._keys: dict[str, str] = {}
        """Keys by what stands for them on the switch."""

    # -- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look at the switch every few seconds; it may be away. The first look removes half-made VFCs."""
        self._crew.start()
        self._contact.start()

    def stop(self) -> None:
        """End all calls, after those under way; listeners are told nothing more."""
        self._switch.end()
        self._application.end()
        self._contact.end()
        self._crew.stop()

    def watch(self, listener: Callable[[FabricEvent, str], None]) -> Callable[[], None]:
        """Tell *listener* of the switch and its application, and of ports that have tunnels, a few seconds late."""
        return self._contact.watchers.add(listener)

    def _look(self) -> Look:
        before = self._vfcs.expected()
        vfcs = self._vfcs.ours()
        lost = self._vfcs.lost(before, vfcs)
        dead = frozenset(t.circuit.port for tunnels in self._tunnels(vfcs) for t in tunnels if not t.up)
        status = self._application.status()
        if lost or not self._contact.watchers.up:
            self._suspect()
        return Look(status.instance, dead, bool(lost))

    def _suspect(self) -> None:
        """Take nothing for known that the switch may have lost."""

    # -- names --------------------------------------------------------------------------------------

    def interface(self, text: str) -> str:
        """Return the canonical form, such as `3`, `lag4`, `3x2`, `3.100`, `phys` or `lag`."""
        return self._interface(text).name

    def labels(self, interface: str) -> tuple[int, int] | None:
        """Return the first and last label. Of two tags, labels with a tag of 0 or 4095 are refused by `ensure`."""
        return self._interface(interface).labels

    def domain(self, interface: str) -> str:
        """Return the port or LAG; empty for `phys` and `lag`."""
        return self._interface(interface).domain

    def port(self, channel: Channel) -> str:
        """Return the port or LAG."""
        return self._circuit(channel).port

    def overlaps(self, one: Channel, other: Channel) -> bool:
        """Whether one circuit is the other's beginning, as of `phys:3`, `3:100` and `3.100:20`."""
        return self._circuit(one).overlaps(self._circuit(other))

    def _interface(self, text: str) -> Interface:
        known = self._interfaces.get(text)
        if known is None:
            parsed = parse(text, self._where)
            known = self._interfaces.setdefault(parsed.name, parsed)
        return known

    def _circuit(self, channel: Channel) -> Circuit:
        return self._interface(channel.interface).circuit(channel.label)

    # -- what both do alike -------------------------------------------------------------------------

    def ensure(self, bridge: Bridge) -> None:
        """Make the bridge be there; its tunnels are read back before frames pass."""
        interfaces = {channel.interface: self._interface(channel.interface) for channel in bridge.channels}
        problem = fault(bridge, interfaces)
        if problem:
            raise FabricRefused(self._where, problem)
        self._know((bridge.key,))
        with self._locks.hold(bridge.key), self._alert():
            self._ensure(bridge.key, wanted_of(bridge, interfaces))

    def remove(self, key: str) -> None:
        """Make the bridge be gone."""
        with self._locks.hold(key), self._alert():
            self._remove(key)
        self._keys.pop(digest_of_key(key), None)

    def capacity(self) -> Mapping[str, Any]:
        """`{"bridges", "connected", "bridges-left", "resources-left", "tunnels"}`; resources are percent.

        These are the VFCs of ours, how many of them the application has, and how many more the switch can have.
        """
        bridges = self._switch.bridges()
        ours = self._vfcs.among(bridges)
        connected = self._application.status().connected
        return {
            "bridges": len(ours),
            "connected": sum(vfc.dpid in connected for vfc in ours),
            "bridges-left": max(0, MOST - len(bridges)),
            "resources-left": max(0, 100 - sum(entry["resources"] for entry in bridges)),
            "tunnels": sum(map(len, self._tunnels(ours))),
        }

    @abstractmethod
    def _ensure(self, key: str, wanted: Sequence[Wanted]) -> None: ...

    @abstractmethod
    def _remove(self, key: str) -> None: ...

    def _alert(self) -> _Alert:
        return _Alert(self)

    def _controlled(self, vfc: Vfc) -> None:
        """See to it that our application controls a VFC."""
        self._switch.control(vfc.name, self._options)
        self._application.await_switch(vfc.dpid, self._timeout)

    def _tunnels(self, vfcs: Iterable[Vfc]) -> list[list[Tunnel]]:
        return self._crew.each(lambda vfc: self._switch.tunnels(vfc.name), vfcs, self._where)

    def _refuse_overlap(self, wanted: Sequence[Wanted], there: Iterable[Tunnel]) -> None:
        problem = overlapping(wanted, there)
        if problem:
            raise FabricRefused(self._where, problem)

    def _know(self, keys: Collection[str]) -> None:
        self._keys.update({digest_of_key(key): key for key in keys})

    def _is_left_over(self, digest: str, tunnels: Sequence[Tunnel], keys: Collection[str], prefix: str) -> bool:
        """Whether `retain` of *keys* removes these tunnels of one service."""
        key = self._keys.get(digest)
        if key is not None:
            return key.startswith(prefix) and key not in keys
        namespace = digest_of_prefix(prefix)
        return any(tunnel.tag is not None and tunnel.tag.namespace == namespace for tunnel in tunnels)

    def _told(self, tunnels: Iterable[Tunnel], slices: Slices) -> list[Bridge]:
        """Return the bridges that tunnels of a VFC are, as far as their ports are joined and nothing else is."""
        self._know(slices.named)
        found = []
        for digest, mine in by_service(tunnels).items():
            key = self._keys.get(digest)
            if key is None or slices.named.get(key) != frozenset(tunnel.ofport for tunnel in mine):
                continue
            try:
                found.append(bridge_of(key, mine))
            except ValueError:
                continue  # described as what it is not: it is made anew
        return found


def by_service(tunnels: Iterable[Tunnel]) -> dict[str, list[Tunnel]]:
    """Return tunnels by what stands for their service's key; those of others are left out."""
    found: dict[str, list[Tunnel]] = {}
    for tunnel in tunnels:
        if tunnel.tag is not None:
            found.setdefault(tunnel.tag.key, []).append(tunnel)
    return found


class _Alert:
    """While a command runs: when its outcome is not known, what is known is doubted, and the switch is looked at."""

    def __init__(self, fabric: CorsaFabric) -> None:
        self._fabric = fabric

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if isinstance(error, Unreachable):
            self._fabric._suspect()
            self._fabric._contact.soon()
