"""What distinguishes the applications: the words in which they say circuits and slices. All else is the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Any, ClassVar

from dpb_slicer import circuits
from dpb_slicer.circuits import MAX_CIRCUITS, MAX_PORT, Circuit, End, Slice, check_disjoint, circuit_of, known, whole
from dpb_slicer.errors import BadArgument


class Words(ABC):
    """How an application says circuits (both interfaces), ends (the first one) and slices (the second one)."""

    application: ClassVar[str]

    @abstractmethod
    def circuit_of(self, value: Any, name: str) -> Circuit:
        """Take a circuit; *name* is the field's, for `BadArgument`."""

    @abstractmethod
    def circuit_data(self, circuit: Circuit) -> Any:
        """Say a circuit."""

    @abstractmethod
    def end_of(self, value: Any, name: str) -> End:
        """Take what the first interface has in a set."""

    @abstractmethod
    def slice_of(self, value: Any, name: str = "$") -> Slice:
        """Take the second interface's SLICE."""

    @abstractmethod
    def slice_data(self, slice_: Slice) -> dict[str, Any]:
        """Say a slice in the second interface's words."""


class TupleWords(Words):
    """The tuple slicer's: a circuit is an array of a port and up to two tags, and has rates."""

    application = "tuple-slicer"

    def circuit_of(self, value: Any, name: str) -> Circuit:
        """Take `[6, 60]`."""
        return circuit_of(value, name)

    def circuit_data(self, circuit: Circuit) -> Any:
        """Say `[6, 60]`."""
        return list(circuit)

    def end_of(self, value: Any, name: str) -> End:
        """Take `[6, 60]`, or an object with `circuit`, `ingress-bw` and `egress-bw` (Mbit/s)."""
        told = {"circuit": value} if isinstance(value, list) else value
        if not isinstance(told, dict):
            raise BadArgument(name, "an object with a circuit is wanted")
        return End(
            circuit_of(told.get("circuit"), f"{name}.circuit"),
            _rate(told.get("ingress-bw"), f"{name}.ingress-bw"),
            _rate(told.get("egress-bw"), f"{name}.egress-bw"),
        )

    def slice_of(self, value: Any, name: str = "$") -> Slice:
        """Take `{"circuits": [{"circuit": [6, 60], "ingress": 5000}, …], "dhcp": true}`."""
        return circuits.slice_of(value, name)

    def slice_data(self, slice_: Slice) -> dict[str, Any]:
        """Say the same."""
        return circuits.slice_data(slice_)


class PortWords(Words):
    """The port slicer's: a circuit is a port, and has no rates: what is outside the switch takes care of them."""

    application = "port-slicer"

    def circuit_of(self, value: Any, name: str) -> Circuit:
        """Take `6`."""
        return (whole(value, 1, MAX_PORT, name),)

    def circuit_data(self, circuit: Circuit) -> Any:
        """Say `6`; what a tuple slicer left on the switch keeps its tags, so that it is not mistaken for a port."""
        return circuit[0] if len(circuit) == 1 else list(circuit)

    def end_of(self, value: Any, name: str) -> End:
        """Take `6`."""
        return End(self.circuit_of(value, name))

    def slice_of(self, value: Any, name: str = "$") -> Slice:
        """Take `{"ports": [6, 7], "dhcp": true}`."""
        body = known(value, {"ports", "dhcp"}, name)
        listed, dhcp = body.get("ports"), body.get("dhcp", True)
        if not isinstance(listed, list) or not 2 <= len(listed) <= MAX_CIRCUITS:
            raise BadArgument(f"{name}.ports", f"an array of 2 to {MAX_CIRCUITS} ports is wanted")
        if type(dhcp) is not bool:
            raise BadArgument(f"{name}.dhcp", "true or false is wanted")
        made = Slice(tuple(self.end_of(port, f"{name}.ports[{place}]") for place, port in enumerate(listed)), dhcp)
        check_disjoint(made.circuits, f"{name}.ports")
        return made

    def slice_data(self, slice_: Slice) -> dict[str, Any]:
        """Say the same."""
        return {"ports": [self.circuit_data(circuit) for circuit in slice_.circuits], "dhcp": slice_.dhcp}


APPLICATIONS: dict[str, Words] = {words.application: words for words in (TupleWords(), PortWords())}
"""The applications by name."""


def _rate(value: Any, name: str) -> int | None:
    """Mbit/s to kbit/s, rounded up."""
    if value is None:
        return None
    if type(value) not in (int, float) or not 0 <= value <= 4_000_000:
        raise BadArgument(name, "Mbit/s from 0 to 4000000 are wanted")
    return int((Decimal(str(value)) * 1000).to_integral_value("ROUND_CEILING"))
