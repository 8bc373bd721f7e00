"""What the switch holds, as frozen values."""

from __future__ import annotations

from attrs import field, frozen


class Refused(Exception):
    """The call is answered with an error status and one line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@frozen
class Limits:
    """What the switch can hold, and what it has."""

    bridges: int = 63
    max_ofport: int = 4095
    ports: int = 32
    lags: int = 16
    netns: tuple[str, ...] = ()
    """The network namespaces that there are; empty: any name is taken for one."""
    subtypes: tuple[str, ...] = ("openflow", "ls-vpn")


@frozen
class Controller:
    """Where a bridge finds its controller."""

    ip: str
    port: int
    tls: bool = False


@frozen
class Meter:
    """Rates in kbit/s, bursts in kB; None where that pair was never set."""

    cir: int | None = None
    cbs: int | None = None
    eir: int | None = None
    ebs: int | None = None


@frozen
class Tunnel:
    """An attachment of a physical port, or a VLAN of it, to an OpenFlow port of a bridge.

    `vlan` None takes all frames of the port, 0 the untagged ones. `shaped` is in Mbit/s.
    """

    port: str
    vlan: int | None = None
    inner: int | None = None
    traffic_class: int = 0
    shaped: int | float | None = None
    queue_profile: str = "default"
    descr: str = ""
    meter: Meter = Meter()

    @property
    def kind(self) -> str:
        """The type that the switch tells."""
        if self.vlan is None:
            return "passthrough"
        if self.vlan == 0:
            return "untagged"
        return "ctag" if self.inner is None else "stag-ctag"

    def collides(self, other: Tunnel) -> bool:
        """Whether some frame of the port would belong to both."""
        if self.port != other.port:
            return False
        if self.vlan is None or other.vlan is None:
            return True
        if self.vlan != other.vlan:
            return False
        return self.inner is None or other.inner is None or self.inner == other.inner


@frozen
class Bridge:
    """A VFC. `dpid` is 16 hex digits; `tunnels` are by ofport."""

    dpid: str
    subtype: str
    resources: int
    traffic_class: int = 0
    netns: str = "default"
    descr: str = ""
    controllers: dict[str, Controller] = field(factory=dict)
    tunnels: dict[int, Tunnel] = field(factory=dict)


@frozen
class State:
    """All bridges by name. Values are never changed in place."""

    bridges: dict[str, Bridge] = field(factory=dict)


def number_of(name: str) -> int:
    """The N of brN."""
    return int(name.removeprefix("br"))
