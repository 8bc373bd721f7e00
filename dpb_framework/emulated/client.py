"""A fabric whose device lives in another process (`dpb-emulated`)."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from dpb_framework.contracts import Bridge, Capability, Channel, Fabric, FabricEvent
from dpb_framework.emulated.device import make_bridge
from dpb_framework.emulated.fabric import domain, labels
from dpb_framework.emulated.lane import Garbled, Lane
from dpb_framework.emulated.names import Names
from dpb_framework.emulated.protocol import Address, parse_channels, plain_channels
from dpb_framework.errors import BadArgument, ConfigInvalid, FabricRefused, Unreachable
from dpb_framework.watchers import Watchers

_log = logging.getLogger(__name__)

_IDLE_LANES = 8
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class ProcessFabric(Fabric):
    """A fabric over one device of a device process.

    Settings: *address* (`unix:PATH` or `127.0.0.1:PORT`), *device* (its name in that process), *timeout*
    (seconds: how long a command waits for its answer, connecting included).
    """

    capabilities = frozenset(Capability)

    def __init__(self, *, address: str, device: str = "0", timeout: float = 5.0) -> None:
        try:
            self._address = Address.parse(address)
        except BadArgument as error:
            raise ConfigInvalid("address", error.problem) from None
        if not isinstance(device, str) or not 0 < len(device) <= 128:
            raise ConfigInvalid("device", f"expected a name of 1 to 128 characters, got {device!r}"[:200])
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= 3600:
            raise ConfigInvalid("timeout", f"expected seconds, more than 0 and at most 3600, got {timeout!r}"[:200])
        self._device = device
        self._timeout = float(timeout)
        self._where = f"device {device!r} at {self._address}"
        self._names = Names(self._where)
        self._watchers = Watchers(up=False)
        self._session = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._started = False
        self._idle: list[Lane] = []
        self._given_up: set[str] = set()
        self._lanes = 0
        self._listening: Lane | None = None
        self._thread = threading.Thread(target=self._keep_contact, name=f"contact with {self._where}", daemon=True)

    def start(self) -> None:
        """Begin to keep contact, in a thread of its own; the process may be away."""
        self._started = True
        self._thread.start()

    def stop(self) -> None:
        """End contact and the thread, and tell no listener anything more."""
        with self._lock:
            self._stopped.set()
            self._watchers.clear()
            idle, self._idle = self._idle, []
            if self._listening is not None:
                self._listening.interrupt()
        for lane in idle:
            lane.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def interface(self, text: str) -> str:
        """Return the canonical form: no blanks around it, no leading zeros."""
        return self._names.parse(text).name

    def labels(self, interface: str) -> tuple[int, int] | None:
        """Return the first and last label; None (any of 24 bits) for an interface of two tags."""
        return labels(self._names, interface)

    def domain(self, interface: str) -> str:
        """Return the port, or `phys`."""
        return domain(self._names, interface)

    def port(self, channel: Channel) -> str:
        """Return the port, also of a channel of `phys`."""
        return self._names.frame(channel)[0]

    def overlaps(self, one: Channel, other: Channel) -> bool:
        """Whether both match the same frames: `3x2:409620` and `3.100:20` do, `3:100` and `3x2:409620` do not."""
        return self._names.overlaps(one, other)

    def ensure(self, bridge: Bridge) -> None:
        """Make the bridge be there, changed in place. Refused: what overlaps or does not exist, no bridge left."""
        self._ask(op="ensure", key=bridge.key, channels=plain_channels(bridge))

    def remove(self, key: str) -> None:
        """Make the bridge be gone."""
        self._ask(op="remove", key=key)

    def retain(self, keys: Collection[str], prefix: str) -> None:
        """Remove the bridges with *prefix* that are not among *keys*."""
        self._ask(op="retain", keys=list(keys), prefix=prefix)

    def bridges(self) -> Sequence[Bridge]:
        """The bridges that fabrics made, oldest first."""
        answer = self._ask(op="bridges")
        try:
            return [make_bridge(plain["key"], parse_channels(plain["channels"])) for plain in answer["bridges"]]
        except (KeyError, TypeError, BadArgument) as error:
            raise Unreachable(self._where, f"what answers is no device process ({error})") from None

    def capacity(self) -> Mapping[str, Any]:
        """`{"bridges": n}` and, where they are limited, `"bridges-left"`."""
        answer = self._ask(op="capacity").get("capacity")
        return answer if isinstance(answer, dict) else {}

    def watch(self, listener: Callable[[FabricEvent, str], None]) -> Callable[[], None]:
        """Tell *listener* of the device and of its ports."""
        return self._watchers.add(listener)

    # -- commands -----------------------------------------------------------------------------------

    def _ask(self, **message: Any) -> dict[str, Any]:
        """Send a command and return its answer. A lane that fails is tried once more if it had only been idle."""
        if not self._started or self._stopped.is_set():
            raise Unreachable(self._where, "the fabric is stopped" if self._started else "the fabric is not started")
        deadline = time.monotonic() + self._timeout
        lane = self._idle_lane()
        if lane is not None:
            try:
                return self._exchange(lane, message, deadline)
            except TimeoutError:
                raise Unreachable(self._where, f"no answer within {self._timeout:g} s") from None
            except OSError:
                # The process may have ended and come back since this lane was used; every command is repeatable.
                _log.debug("%s: an idle connection was at its end", self._where)
        try:
            return self._exchange(self._open(deadline), message, deadline)
        except TimeoutError:
            raise Unreachable(self._where, f"no answer within {self._timeout:g} s") from None
        except OSError as error:
            raise Unreachable(self._where, error.strerror or str(error)) from None

    def _exchange(self, lane: Lane, message: dict[str, Any], deadline: float) -> dict[str, Any]:
        with self._lock:
            given_up = sorted(self._given_up)
        try:
            drop = {"drop": given_up} if given_up else {}
            answer = lane.ask({"device": self._device, **drop, **message}, deadline)
        except BaseException as error:
            with self._lock:
                if isinstance(error, TimeoutError):
                    # The process may still read the command, later: it must know that it was given up.
                    self._given_up.add(lane.name)
            lane.close()
            raise
        with self._lock:
            self._given_up.difference_update(given_up)
            reuse = not self._stopped.is_set() and len(self._idle) < _IDLE_LANES
            if reuse:
                self._idle.append(lane)
        if not reuse:
            lane.close()
        if "refused" in answer:
            raise FabricRefused(self._where, str(answer["refused"]))
        if answer.get("ok") is not True:
            raise FabricRefused(self._where, f"it does not understand: {answer.get('error', answer)}"[:300])
        return answer

    def _idle_lane(self) -> Lane | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _open(self, deadline: float) -> Lane:
        with self._lock:
            self._lanes += 1
            name = f"{self._session}/{self._lanes}"
        return Lane(self._address, name, deadline)

    # -- contact ------------------------------------------------------------------------------------

    def _keep_contact(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopped.is_set():
            try:
                self._listen()
            except OSError as error:
                _log.debug("%s: %s", self._where, error)
            except Exception:  # noqa: BLE001  # nobody else would tell of the device any more
                _log.exception("%s: contact is lost", self._where)
            if self._watchers.up:
                pause = _FIRST_PAUSE
                self._tell(FabricEvent.DOWN)
            self._stopped.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _listen(self) -> None:
        """Tell events until contact is lost, which is an `OSError`."""
        lane = self._open(time.monotonic() + self._timeout)
        try:
            with self._lock:
                if self._stopped.is_set():
                    return
                self._listening = lane
            # Every way to a broken connection ends here, also one on which nothing comes any more.
            lane.send({"op": "watch", "device": self._device}, time.monotonic() + self._timeout)
            asked = True
            while True:
                try:
                    message = lane.read(time.monotonic() + self._timeout)
                except TimeoutError:
                    if asked:
                        raise
                    lane.send({"op": "ping", "device": self._device}, time.monotonic() + self._timeout)
                    asked = True
                    continue
                asked = False
                self._hear(message)
        finally:
            with self._lock:
                self._listening = None
            lane.close()

    def _hear(self, message: dict[str, Any]) -> None:
        if "event" not in message:
            if message.get("ok") is not True:
                raise Garbled(f"it does not understand: {message.get('error', message)}"[:300])
            return
        try:
            event = FabricEvent(message["event"])
        except ValueError:
            raise Garbled(f"unknown event {message['event']!r}"[:200]) from None
        if event is FabricEvent.UP:
            # It is followed by the ports that are down.
            self._watchers.replace_dead(())
        self._tell(event, str(message.get("interface", "")))

    def _tell(self, event: FabricEvent, port: str = "") -> None:
        self._watchers.post(event, port)
        self._watchers.drain()
