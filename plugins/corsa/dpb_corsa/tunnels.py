"""The translation between the kernel's bridges and a VFC's tunnels. Pure.

Ingress becomes the tunnel's meter (committed rate in kbit/s; nothing above it), egress its shaped rate (Mbit/s). The
shaped rate, the circuit and the OpenFlow port are for a tunnel's life; the meter and the description can be changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from dpb_corsa.names import Circuit, Interface, channel_of
from dpb_corsa.tags import Tag
from dpb_framework.contracts import Bridge
from dpb_framework.model import TrafficFlow
from dpb_framework.model.bandwidth import MAX_KBPS, mbps

BURST_MS = 50
"""How much of its rate a meter lets pass at once."""

_LEAST_BURST = 10
"""A jumbo frame, in kB."""


@frozen
class Wanted:
    """A tunnel that shall be there, whatever its OpenFlow port. Rates are kbit/s."""

    circuit: Circuit
    tag: Tag
    ingress: int
    egress: int

    def attachment(self, ofport: int) -> dict[str, Any]:
        """Return what attaches it."""
        names = zip(("vlan-id", "inner-vlan-id"), self.circuit.tags, strict=False)
        return {
            "ofport": ofport,
            "port": self.circuit.port,
            **dict(names),
            "is-shaped": True,
            "shaped-rate": mbps(self.egress),
            "ifdescr": str(self.tag),
        }

    def metering(self) -> list[dict[str, Any]]:
        """Return the patch that meters it. A rate and its burst go together."""
        burst = max(_LEAST_BURST, -(-self.ingress * BURST_MS // 8000)) if self.ingress else 0
        values = {"cir": self.ingress, "cbs": burst, "eir": 0, "ebs": 0}
        return [{"op": "replace", "path": f"/meter/{name}", "value": value} for name, value in values.items()]

    def description(self) -> list[dict[str, Any]]:
        """Return the patch that describes it."""
        return [{"op": "replace", "path": "/ifdescr", "value": str(self.tag)}]


@frozen
class Tunnel:
    """A tunnel that is there. `tag` is None for somebody else's; rates are kbit/s, None where there is no limit."""

    ofport: int
    circuit: Circuit
    tag: Tag | None
    ingress: int | None
    egress: int | None
    up: bool

    @classmethod
    def of(cls, plain: Any) -> Tunnel:
        """Read what the switch tells; `KeyError`, `TypeError` or `ValueError` when it is something else."""
        meter = plain.get("meter") or {}
        shaped = plain.get("shaped-rate") if plain.get("is-shaped", True) else None
        cir = meter.get("cir")
        tags = (_whole(plain.get(name)) for name in ("vlan-id", "inner-vlan-id"))
        return cls(
            ofport=int(plain["ofport"]),
            circuit=Circuit(str(plain["port"]), tuple(tag for tag in tags if tag)),
            tag=Tag.read(plain.get("ifdescr")),
            ingress=None if cir is None else int(cir) + int(meter.get("eir") or 0),
            egress=None if shaped is None else round(float(shaped) * 1000),
            up=plain.get("oper-state") != "down",
        )

    def restored(self) -> Wanted:
        """Return what brings it back, once it was detached."""
        assert self.tag is not None
        return Wanted(self.circuit, self.tag, _or_most(self.ingress), _or_most(self.egress))


@frozen
class Plan:
    """What leads from the tunnels that are there to those wanted, in this order; all of a line may be done at once.

    Whoever stops in between has tunnels that are tagged, so that they are found again.
    """

    attach: tuple[Wanted, ...]
    """To free OpenFlow ports."""
    reattach: tuple[tuple[Tunnel, Wanted], ...]
    """Detached and attached again at the same OpenFlow port: the shaped rate is another."""
    meter: tuple[tuple[Tunnel, Wanted], ...]
    """Another ingress rate, in place."""
    describe: tuple[tuple[Tunnel, Wanted], ...]
    """The same circuit by another name, in place."""
    keep: tuple[Tunnel, ...]
    detach: tuple[Tunnel, ...]
    """At last, when no rule leads to them any more."""

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.attach or self.reattach or self.meter or self.describe or self.detach)

    @property
    def stay(self) -> frozenset[int]:
        """The OpenFlow ports that are in use before and afterwards."""
        changed = (tunnel for tunnel, _ in (*self.reattach, *self.meter, *self.describe))
        return frozenset(tunnel.ofport for tunnel in (*self.keep, *changed))


def fault(bridge: Bridge, interfaces: Mapping[str, Interface]) -> str | None:
    """Return why no switch can have the bridge, or None."""
    if not bridge.channels:
        return "a service has channels"
    circuits: dict[Circuit, str] = {}
    for channel in bridge.channels:
        problem = interfaces[channel.interface].fault(channel.label)
        if problem:
            return problem
        circuit = interfaces[channel.interface].circuit(channel.label)
        if circuit in circuits:
            return f"{channel} and {circuits[circuit]} are the same circuit"
        circuits[circuit] = str(channel)
    return None


def wanted_of(bridge: Bridge, interfaces: Mapping[str, Interface]) -> tuple[Wanted, ...]:
    """Return the tunnels of a bridge."""
    found = []
    for channel, flow in bridge.channels.items():
        interface = interfaces[channel.interface]
        tag = Tag.of(bridge.key, interface.form)
        found.append(Wanted(interface.circuit(channel.label), tag, flow.ingress, flow.egress))
    return tuple(found)


def bridge_of(key: str, tunnels: Iterable[Tunnel]) -> Bridge:
    """Return the bridge that tunnels are; `ValueError` when one is described as what it is not."""
    channels = {}
    for tunnel in tunnels:
        assert tunnel.tag is not None
        channel = channel_of(tunnel.circuit, tunnel.tag.form)
        channels[channel] = TrafficFlow(_or_most(tunnel.ingress), _or_most(tunnel.egress))
    return Bridge(key, channels)


def difference(wanted: Sequence[Wanted], there: Sequence[Tunnel]) -> Plan:
    """Return what leads from one to the other."""
    left = {tunnel.circuit: tunnel for tunnel in there}
    used = set()
    attach, reattach, meter, describe, keep = [], [], [], [], []
    for one in wanted:
        tunnel = left.get(one.circuit)
        if tunnel is None:
            attach.append(one)
            continue
        used.add(tunnel.ofport)
        if tunnel.egress != one.egress:
            reattach.append((tunnel, one))
        else:
            same = tunnel.tag is not None and tunnel.tag.form is one.tag.form
            if tunnel.ingress != one.ingress:
                meter.append((tunnel, one))
            if not same:
                describe.append((tunnel, one))
            if same and tunnel.ingress == one.ingress:
                keep.append(tunnel)
    detach = tuple(tunnel for tunnel in there if tunnel.ofport not in used)
    return Plan(tuple(attach), tuple(reattach), tuple(meter), tuple(describe), tuple(keep), detach)


def overlapping(wanted: Collection[Wanted], there: Iterable[Tunnel]) -> str | None:
    """Return which wanted circuit overlaps one that is somebody else's, or None."""
    for tunnel in there:
        for one in wanted:
            if one.tag.key != (tunnel.tag.key if tunnel.tag else None) and one.circuit.overlaps(tunnel.circuit):
                return f"{text_of(one.circuit)} overlaps {text_of(tunnel.circuit)} at ofport {tunnel.ofport}"
    return None


def missing(wanted: Iterable[Wanted], there: Iterable[Tunnel]) -> str | None:
    """Return which tunnel is not there, or None."""
    found = {tunnel.circuit for tunnel in there}
    return next(
        (f"{text_of(one.circuit)} was attached and is gone" for one in wanted if one.circuit not in found), None
    )


def deviation(wanted: Iterable[Wanted], there: Iterable[Tunnel]) -> str | None:
    """Return what the switch keeps otherwise than it was told, or None. None of them is `missing`."""
    found = {tunnel.circuit: tunnel for tunnel in there}
    for one in wanted:
        tunnel = found[one.circuit]
        where = text_of(one.circuit)
        if tunnel.egress != one.egress:
            return f"{where}: {mbps(one.egress)} Mbit/s out of it are asked for, shaped is {_told(tunnel.egress)}"
        if tunnel.ingress != one.ingress:
            return f"{where}: {mbps(one.ingress)} Mbit/s into it are asked for, metered is {_told(tunnel.ingress)}"
        if tunnel.tag is None or str(tunnel.tag.key) != one.tag.key:
            return f"the description of {where} is not kept"
    return None


def text_of(circuit: Circuit) -> str:
    """Return a circuit for people: the port, then the VLAN ids."""
    return " ".join([f"port {circuit.port}", *(f"VLAN {tag}" for tag in circuit.tags)])


def _told(rate: int | None) -> str:
    return "nothing" if rate is None else f"{mbps(rate)} Mbit/s"


def _or_most(rate: int | None) -> int:
    return MAX_KBPS if rate is None else rate


def _whole(plain: Any) -> int | None:
    if plain is None or isinstance(plain, bool):
        return None
    return int(plain)
