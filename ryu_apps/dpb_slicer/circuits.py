"""Circuits and slices: what the interfaces tell, checked."""

from __future__ import annotations

from attrs import frozen

from dpb_slicer.errors import BadArgument

MAX_PORT = 0xFFFFFF00
MAX_RATE = 2**32 - 1
MAX_CIRCUITS = 2047

Circuit = tuple[int, ...]
"""`(ofport,)`, `(ofport, outer)` or `(ofport, outer, inner)`; a shorter one takes every frame of a longer one."""


@frozen
class End:
    """A circuit of a slice and its rates in kbit/s: None is no limit, 0 lets nothing pass.

    `ingress` is into the network (metered on entry), `egress` out of it (metered on exit).
    """

    circuit: Circuit
    ingress: int | None = None
    egress: int | None = None


@frozen
class Slice:
    """Circuits that are joined; `dhcp` false blocks DHCP between them."""

    ends: tuple[End, ...]
    dhcp: bool = True

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        """Its circuits, in the order told."""
        return tuple(end.circuit for end in self.ends)


def overlaps(one: Circuit, other: Circuit) -> bool:
    """Whether some frame belongs to both."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def prefixes(circuit: Circuit) -> tuple[Circuit, ...]:
    """The circuit itself and the shorter ones that would take its frames."""
    return tuple(circuit[:length] for length in range(1, len(circuit) + 1))


def whole(value: object, low: int, high: int, name: str) -> int:
    """Take *value* as an int from *low* to *high*, or raise `BadArgument`."""
    if type(value) is not int or not low <= value <= high:
        raise BadArgument(name, f"a whole number from {low} to {high} is wanted")
    return value


def circuit_of(value: object, name: str) -> Circuit:
    """Take a JSON array as a circuit."""
    if not isinstance(value, list) or not 1 <= len(value) <= 3:
        raise BadArgument(name, "an array of one to three numbers is wanted")
    port = whole(value[0], 1, MAX_PORT, f"{name}[0]")
    return (port, *(whole(tag, 1, 4094, f"{name}[{place}]") for place, tag in enumerate(value[1:], 1)))


def check_disjoint(circuits: tuple[Circuit, ...], name: str) -> None:
    """Refuse a circuit that is there twice, or whose frames another of the slice takes."""
    seen = set(circuits)
    if len(seen) != len(circuits):
        raise BadArgument(name, "a circuit is there twice")
    for circuit in circuits:
        for shorter in prefixes(circuit)[:-1]:
            if shorter in seen:
                raise BadArgument(name, f"{list(circuit)} and {list(shorter)} overlap")


def known(value: object, names: set[str], name: str) -> dict[str, object]:
    """Take an object that has no fields but *names*."""
    if not isinstance(value, dict):
        raise BadArgument(name, "an object is wanted")
    if unknown := sorted(set(value) - names):
        raise BadArgument(f"{name}.{unknown[0]}", f"unknown; known are {', '.join(sorted(names))}")
    return value


def _rate(value: object, name: str) -> int | None:
    return None if value is None else whole(value, 0, MAX_RATE, name)


def slice_of(value: object, name: str = "$") -> Slice:
    """Take the second interface's SLICE."""
    body = known(value, {"circuits", "dhcp"}, name)
    listed = body.get("circuits")
    if not isinstance(listed, list) or not 2 <= len(listed) <= MAX_CIRCUITS:
        raise BadArgument(f"{name}.circuits", f"an array of 2 to {MAX_CIRCUITS} circuits is wanted")
    dhcp = body.get("dhcp", True)
    if type(dhcp) is not bool:
        raise BadArgument(f"{name}.dhcp", "true or false is wanted")
    ends = []
    for place, item in enumerate(listed):
        where = f"{name}.circuits[{place}]"
        told = known(item, {"circuit", "ingress", "egress"}, where)
        ends.append(
            End(
                circuit_of(told.get("circuit"), f"{where}.circuit"),
                _rate(told.get("ingress"), f"{where}.ingress"),
                _rate(told.get("egress"), f"{where}.egress"),
            )
        )
    check_disjoint(tuple(end.circuit for end in ends), f"{name}.circuits")
    return Slice(tuple(ends), dhcp)


def slice_data(slice_: Slice) -> dict[str, object]:
    """Say a slice in the second interface's words."""
    ends = []
    for end in slice_.ends:
        told: dict[str, object] = {"circuit": list(end.circuit)}
        if end.ingress is not None:
            told["ingress"] = end.ingress
        if end.egress is not None:
            told["egress"] = end.egress
        ends.append(told)
    return {"circuits": ends, "dhcp": slice_.dhcp}
