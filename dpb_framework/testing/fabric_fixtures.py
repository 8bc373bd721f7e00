"""The fixtures of the suite for fabrics, and its helpers."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import pytest
from hypothesis import strategies as st

from dpb_framework.contracts import Bridge, Capability, Channel, Fabric
from dpb_framework.errors import DpbError, Unreachable
from dpb_framework.model import MAX_LABEL, TrafficFlow

LOW = TrafficFlow(2_000, 3_000)
"""Whole Mbit/s, which is what some devices count in."""
HIGH = TrafficFlow(7_000, 5_000)
THREADS = 8

_FIRST_DOUBLE = (1 << 12) | 1


class FabricFixtures:
    """What a subclass of the suite gives, and what the suite makes of it."""

    # -- what a subclass gives ----------------------------------------------------------------------

    @pytest.fixture
    def fabric(self) -> Iterator[Fabric]:
        """A fabric that is started and reaches its device; stopped when the test is over."""
        raise NotImplementedError("override the fixture `fabric`: yield a started fabric")

    @pytest.fixture
    def interfaces(self) -> Sequence[str]:
        """At least four valid names of different interfaces; with labels enough for 16 channels without overlaps."""
        raise NotImplementedError("override the fixture `interfaces`: valid names, at least four")

    @pytest.fixture
    def interface_faults(self) -> Sequence[str]:
        """Names that the fabric does not understand, at least one."""
        raise NotImplementedError("override the fixture `interface_faults`: names that are not understood")

    @pytest.fixture
    def patience(self) -> float:
        """How long the suite waits for what the device shall do or tell, in seconds."""
        return 20.0

    @pytest.fixture
    def away(self) -> Callable[[], Fabric] | None:
        """Optional: makes a fabric, not started, whose device does not answer."""
        return None

    @pytest.fixture
    def lose_contact(self) -> Callable[[], None] | None:
        """Optional: ends the contact between the fabric and its device."""
        return None

    @pytest.fixture
    def regain_contact(self) -> Callable[[], None] | None:
        """Optional, together with `lose_contact`: lets the device be reached again."""
        return None

    @pytest.fixture
    def set_port(self) -> Callable[[str, bool], None] | None:
        """Optional: lets a port, as `Fabric.port` names it, come back (True) or die (False)."""
        return None

    @pytest.fixture
    def frames(self) -> Callable[[Channel], Collection[Channel]] | None:
        """Optional: sends a frame for everybody into a channel and tells the channels where it came out."""
        return None

    @pytest.fixture
    def stranger(self) -> Callable[[Collection[Channel]], Callable[[], bool]] | None:
        """Optional: makes a bridge as somebody else would; the answer tells whether it is still there, untouched."""
        return None

    # -- helpers ------------------------------------------------------------------------------------

    @pytest.fixture
    def prefix(self, fabric: Fabric) -> Iterator[str]:
        """A key prefix of the test's own; what it made is removed afterwards."""
        own = f"{uuid.uuid4()}/conformance/"
        yield own
        with contextlib.suppress(Unreachable):
            fabric.retain((), own)

    @pytest.fixture
    def channels(self, fabric: Fabric, interfaces: Sequence[str]) -> Sequence[Channel]:
        """Sixteen channels that do not overlap, neighbours on different interfaces."""
        found: list[Channel] = []
        names = [fabric.interface(text) for text in interfaces]
        for step in range(64):
            for name in names:
                low, high = fabric.labels(name) or (_FIRST_DOUBLE, MAX_LABEL)
                channel = Channel(name, low + step)
                if channel.label <= high and not any(fabric.overlaps(channel, other) for other in found):
                    found.append(channel)
                if len(found) == 2 * THREADS:
                    return found
        pytest.fail(f"the interfaces have only {len(found)} channels that do not overlap, {2 * THREADS} are needed")


def any_channel(fabric: Fabric, names: Sequence[str]) -> st.SearchStrategy[Channel]:
    """Channels of these interfaces: near each other, and anywhere in the range."""

    def of(name: str) -> st.SearchStrategy[Channel]:
        low, high = fabric.labels(name) or (0, MAX_LABEL)
        near = st.integers(low, min(low + 8, high))
        double = st.builds(lambda s, c: min(high, max(low, s << 12 | c)), st.integers(0, 200), st.integers(0, 40))
        return st.one_of(near, double, st.integers(low, high)).map(lambda label: Channel(name, label))

    return st.sampled_from(list(names)).flatmap(of)


Rates = Mapping[Channel, tuple[int | None, int | None]]


def as_enforced(fabric: Fabric, bridge: Bridge) -> Rates:
    """The bridge, with those rates only that the fabric claims to know."""
    ingress = Capability.METERING in fabric.capabilities
    egress = Capability.SHAPING in fabric.capabilities
    return {c: (f.ingress if ingress else None, f.egress if egress else None) for c, f in bridge.channels.items()}


def seen(fabric: Fabric, *bridges: Bridge) -> Mapping[str, Rates]:
    """How these bridges look to who asks a device that claims what *fabric* claims."""
    return {bridge.key: as_enforced(fabric, bridge) for bridge in bridges}


def there(fabric: Fabric, prefix: str) -> Mapping[str, Rates]:
    """What the device tells of this prefix; a key that it tells twice is an error."""
    found = [bridge for bridge in fabric.bridges() if bridge.key.startswith(prefix)]
    assert len({bridge.key for bridge in found}) == len(found), "a key is there twice"
    return seen(fabric, *found)


def needs(fabric: Fabric, capability: Capability) -> None:
    """Skip, visibly, unless the fabric claims *capability*."""
    if capability not in fabric.capabilities:
        pytest.skip(f"the fabric does not claim {capability.value}")


def eventually(condition: Callable[[], bool], patience: float, complaint: str) -> None:
    """Wait until *condition* holds; fail with *complaint* after *patience* seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"{complaint} within {patience:g} s"
        time.sleep(0.01)


def succeeds(command: Callable[[], object]) -> bool:
    """Whether *command* finds its device."""
    try:
        command()
    except Unreachable:
        return False
    return True


def at_once(work: Callable[[int], None]) -> None:
    """Run *work* in several threads that begin together; the first error is raised here."""
    errors: list[DpbError | AssertionError] = []
    together = threading.Barrier(THREADS)

    def run(number: int) -> None:
        together.wait()
        try:
            work(number)
        except (DpbError, AssertionError) as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def is_plain(value: object) -> bool:
    """Whether *value* is made of texts, numbers, lists and tables."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)
