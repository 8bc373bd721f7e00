"""The contract Fabric: a switch adaptor's view of one device.

Clauses F1 to F13; `dpb_framework.testing.fabric` tests them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar

from attrs import field

from dpb_framework.errors import DpbError
from dpb_framework.model import TrafficFlow
from dpb_framework.model.value import value


class Capability(Enum):
    """What a fabric can do beyond carrying frames."""

    METERING = "metering"
    """Enforces the ingress rate of a channel."""
    SHAPING = "shaping"
    """Enforces the egress rate of a channel."""
    DOUBLE_TAGS = "double-tags"
    """Understands labels of two tags on some interface."""
    IN_PLACE = "in-place"
    """Changes a bridge without interrupting the channels that stay as they are."""
    EVENTS = "events"
    """Tells `watch` listeners of ports and of the device itself."""


@value(order=True)
class Channel:
    """A fabric's interface, in canonical form, and a label on it."""

    interface: str
    label: int

    def __str__(self) -> str:
        return f"{self.interface}:{self.label}"


def _channels(value: Mapping[Channel, TrafficFlow]) -> Mapping[Channel, TrafficFlow]:
    return dict(value)


@value
class Bridge:
    """What a fabric makes of a service: channels that form one broadcast domain, each with its rates (kbit/s).

    `key` is the kernel's: `{store uuid}/{network}/{service}`; stable for the service's life.
    """

    key: str
    channels: Mapping[Channel, TrafficFlow] = field(converter=_channels, hash=False)


class FabricEvent(Enum):
    """What a watched device tells."""

    UP = "up"
    """The device came (back); what it holds may have changed."""
    DOWN = "down"
    """Contact with the device is lost."""
    PORT_UP = "port-up"
    PORT_DOWN = "port-down"


class Fabric(ABC):
    """One device. Methods may block up to their own time-outs and may be called from several threads.

    F1. Made by its class with keyword settings from the configuration; bad settings raise `ConfigInvalid`. Making
        it does not contact the device; `start` begins to, and succeeds while the device is away.
    F2. A device that says no is `FabricRefused` with its reason: nothing of the command is left behind. Contact lost
        or a time-out is `Unreachable`: the outcome is unknown, and the command is repeated later.
    F3. What is done is confirmed by the device before a method returns.
    """

    capabilities: frozenset[Capability] = frozenset()
    """What it can do; an instance may narrow it once the device is known."""

    inline: ClassVar[bool] = False
    """Whether its methods never block (all in memory), so that the kernel calls them in its own threads."""

    gathers: ClassVar[bool] = False
    """Whether `ensure_all` takes less than `ensure` for each: the kernel then gathers what comes at the same time."""

    @abstractmethod
    def start(self) -> None:
        """Begin to keep contact with the device. Called once, before anything else but `interface`."""

    @abstractmethod
    def stop(self) -> None:
        """End contact; bridges stay as they are on the device. Repeatable."""

    @abstractmethod
    def interface(self, text: str) -> str:
        """Return the canonical form of an interface's name.

        F4. Canonical forms are fixed points. Pure, does not contact the device. `InterfaceInvalid` tells what is wrong.
        """

    def labels(self, interface: str) -> tuple[int, int] | None:
        """The first and last label that a channel of this interface may have; None for 0 to 24 bits. Pure."""
        return None

    def domain(self, interface: str) -> str:
        """A name that interfaces share whose channels may overlap, such as the port's. Pure.

        Empty for an interface whose channels may overlap those of any other. Channels of interfaces with different
        domains, none of them empty, never overlap; neither do two of one interface with different labels.
        """
        return ""

    def port(self, channel: Channel) -> str:
        """The name by which `watch` tells of the port that a channel is on. Pure."""
        return channel.interface

    @abstractmethod
    def overlaps(self, one: Channel, other: Channel) -> bool:
        """Whether some frame could belong to both. Pure.

        F5. Symmetric, and true of a channel with itself. The kernel never asks for overlapping channels in two
        bridges; a fabric that is asked all the same refuses, and never takes a channel from another bridge.
        """

    @abstractmethod
    def ensure(self, bridge: Bridge) -> None:
        """Make the bridge be there, just as given: make it, or change the one with this key.

        F6. Repeatable; in place where IN_PLACE is claimed. F7. Frames pass between all its channels, and to no others,
        when it returns.
        """

    def ensure_all(self, bridges: Sequence[Bridge]) -> Mapping[str, DpbError]:
        """Make all these bridges be there; the answer has the error of each that is not, by its key.

        F13. Each stands or falls alone, as if `ensure` were called for it. What is raised is told of all of them.
        """
        errors: dict[str, DpbError] = {}
        for bridge in bridges:
            try:
                self.ensure(bridge)
            except DpbError as error:
                errors[bridge.key] = error
        return errors

    @abstractmethod
    def remove(self, key: str) -> None:
        """Make the bridge with this key be gone; nothing to do when it is. F8. No frame passes when it returns."""

    @abstractmethod
    def retain(self, keys: Collection[str], prefix: str) -> None:
        """Remove every bridge whose key begins with *prefix* and is not among *keys*.

        F9. Touches nothing else: bridges of other prefixes, and what is not ours at all, stay.
        """

    @abstractmethod
    def bridges(self) -> Sequence[Bridge]:
        """What is really there of ours, as the device tells it.

        F10. What `ensure` made is there as it was given; what is not ours is not told.
        """

    @abstractmethod
    def capacity(self) -> Mapping[str, Any]:
        """What the device has left, for operators: plain data such as `{"bridges-left": 63}`. `Unreachable`."""

    @abstractmethod
    def watch(self, listener: Callable[[FabricEvent, str], None]) -> Callable[[], None]:
        """Call *listener* with events and the port (as `port` names it, empty for the device); the answer ends it.

        F11. Only with EVENTS; called in some thread, in order; it must not block. F12. Directly after the call, it is
        told UP if the device is reached; after each UP, PORT_DOWN of each port that is known to be dead: some devices
        know of those only that carry a channel. What the device holds may have changed unnoticed at each UP: it is told
        again whenever events may have been missed.
        """
