"""Several emulated devices in one process, and what each message does to them; no sockets, no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen
from attrs.validators import ge, optional

from dpb_framework.contracts import Bridge, Channel
from dpb_framework.emulated.device import Device, make_bridge
from dpb_framework.emulated.protocol import Row, channels_of, parse_channels, plain_channels, rows_of, take
from dpb_framework.emulated.script import COMMANDS, FaultKind
from dpb_framework.errors import BadArgument, DpbError, FabricRefused
from dpb_framework.serialise import build, plain

Message = dict[str, Any]

_FAULT_WORDS = ("refuse", "delay", "hang", "forget", "crash", "on", "count", "key_prefix")


@frozen
class Outcome:
    """What becomes of a message: the answer, and the fault that struck it.

    `fault` is HANG (no answer), CRASH_BEFORE (end now), CRASH_AFTER (end when the change is kept), or None; `lost`
    means that the device has no contact, so that the connection ends. `delay` is in seconds.
    """

    answer: Message = field(factory=dict)
    changed: bool = False
    delay: float = 0.0
    fault: FaultKind | None = None
    lost: bool = False


@frozen
class Kept:
    """What is kept of a device: channels of bridges by key and of strangers by name, and how it is configured."""

    bridges: Mapping[str, tuple[Row, ...]]
    strangers: Mapping[str, tuple[Row, ...]]
    ports_down: tuple[str, ...]
    ports: int | None = field(validator=optional(ge(0)))
    limit: int | None = field(validator=optional(ge(0)))


class Rack:
    """The devices, by name; one that is not there yet is made when it is first named."""

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        self._commands: dict[str, Callable[[Device, Message], tuple[bool, Message]]] = {
            "ensure": self._ensure,
            "remove": lambda device, message: (device.remove(_text(message, "key")), {}),
            "retain": lambda device, message: (device.retain(_texts(message, "keys"), _text(message, "prefix")), {}),
            "bridges": lambda device, _: (False, {"bridges": [_plain(b) for b in device.bridges()]}),
            "capacity": lambda device, _: (False, {"capacity": device.capacity()}),
            "fault": self._fault,
            "clear-faults": self._clear_faults,
            "port": self._port,
            "contact": self._contact,
            "list": lambda device, _: (False, _listing(device)),
            "carries": self._carries,
            "counters": lambda device, _: (False, {"counters": device.calls}),
            "stranger": self._stranger,
            "configure": self._configure,
            "wipe": self._wipe,
            "ping": lambda device, _: (False, {}),
        }

    def device(self, name: object) -> Device:
        """Return the device of that name."""
        if not isinstance(name, str) or len(name) > 128:
            raise BadArgument("device", "expected a name of at most 128 characters")
        known = self._devices.get(name)
        if known is None:
            known = self._devices[name] = Device(name)
        return known

    def handle(self, message: Message) -> Outcome:
        """Do what a message says; what is wrong with it is in the answer."""
        try:
            op = message.get("op")
            command = self._commands.get(op) if isinstance(op, str) else None
            if command is None or not isinstance(op, str):
                raise BadArgument("op", f"expected one of {', '.join(self._commands)}, watch; got {op!r}"[:400])
            device = self.device(message.get("device", "0"))
            if op in COMMANDS:
                return _struck(device, op, message, command)
            changed, answer = command(device, message)
            return Outcome({"ok": True, **answer}, changed)
        except FabricRefused as error:
            return Outcome({"refused": error.reason})
        except DpbError as error:
            return Outcome({"error": str(error)})

    def snapshot(self) -> Message:
        """Return what is to be kept, as plain data."""
        return {
            name: plain(
                Kept(
                    {key: rows_of(bridge) for key, bridge in device.holds().items()},
                    {key: rows_of(bridge) for key, bridge in device.strangers.items()},
                    device.ports_down,
                    device.names.ports,
                    device.limit,
                )
            )
            for name, device in self._devices.items()
        }

    def restore(self, kept: Message) -> None:
        """Have what `snapshot` gave; any fault in it is an error."""
        for name, state in build(dict[str, Kept], kept, "$.devices").items():
            device = self._devices[name] = Device(name, ports=state.ports)
            for key, rows in state.strangers.items():
                device.stranger(key, channels_of(rows, key))
            for key, rows in state.bridges.items():
                device.ensure(make_bridge(key, channels_of(rows, key)))
            for port in state.ports_down:
                device.port_down(port)
            device.limit = state.limit
            device.forget_calls()

    def _ensure(self, device: Device, message: Message) -> tuple[bool, Message]:
        return device.ensure(make_bridge(_text(message, "key"), parse_channels(message.get("channels")))), {}

    def _fault(self, device: Device, message: Message) -> tuple[bool, Message]:
        device.fault(**{word: message[word] for word in _FAULT_WORDS if word in message})
        return False, {}

    def _clear_faults(self, device: Device, _: Message) -> tuple[bool, Message]:
        device.script.clear()
        return False, {}

    def _contact(self, device: Device, message: Message) -> tuple[bool, Message]:
        if _flag(message):
            device.up()
        else:
            device.down()
        return False, {}

    def _wipe(self, device: Device, _: Message) -> tuple[bool, Message]:
        device.wipe()
        return True, {}

    def _port(self, device: Device, message: Message) -> tuple[bool, Message]:
        interface = _text(message, "interface")
        if _flag(message):
            device.port_up(interface)
        else:
            device.port_down(interface)
        return True, {}

    def _carries(self, device: Device, message: Message) -> tuple[bool, Message]:
        interface, label = take(tuple[str, int], message.get("channel"), "channel")
        out = device.carries(Channel(interface, label))
        return False, {"out": [[other.interface, other.label] for other in sorted(out)]}

    def _stranger(self, device: Device, message: Message) -> tuple[bool, Message]:
        name = _text(message, "name")
        if message.get("channels") is None:
            device.remove_stranger(name)
        else:
            device.stranger(name, parse_channels(message["channels"]))
        return True, {}

    def _configure(self, device: Device, message: Message) -> tuple[bool, Message]:
        device.configure(ports=_number(message, "ports"), limit=_number(message, "bridges"))
        return True, {}


def _struck(
    device: Device, op: str, message: Message, command: Callable[[Device, Message], tuple[bool, Message]]
) -> Outcome:
    if not device.reachable:
        return Outcome(lost=True)
    key = message.get("key", message.get("prefix", ""))
    delay, fault = device.script.strike(op, key if isinstance(key, str) else "")
    kind = fault.kind if fault else None
    if fault is None or kind is FaultKind.CRASH_AFTER:
        try:
            changed, answer = command(device, message)
        except FabricRefused as error:
            return Outcome({"refused": error.reason}, delay=delay, fault=kind)
        return Outcome({"ok": True, **answer}, changed, delay, kind)
    device.count(op)
    if kind is FaultKind.REFUSE:
        return Outcome({"refused": str(fault.detail)}, delay=delay)
    if kind is FaultKind.FORGET:
        empty: dict[str, Message] = {"bridges": {"bridges": []}, "capacity": {"capacity": {}}}
        return Outcome({"ok": True, **empty.get(op, {})}, delay=delay)
    return Outcome(fault=kind)


def _plain(bridge: Bridge) -> Message:
    return {"key": bridge.key, "channels": plain_channels(bridge)}


def _listing(device: Device) -> Message:
    return {
        "bridges": [_plain(bridge) for bridge in device.holds().values()],
        "strangers": [_plain(bridge) for bridge in device.strangers.values()],
        "ports-down": list(device.ports_down),
        "contact": device.reachable,
    }


def _text(message: Message, word: str) -> str:
    return take(str, message.get(word), word)


def _texts(message: Message, word: str) -> tuple[str, ...]:
    return take(tuple[str, ...], message.get(word), word)


def _flag(message: Message) -> bool:
    return take(bool, message.get("up"), "up")


def _number(message: Message, word: str) -> int | None:
    value = message.get(word)
    if value is not None and take(int, value, word) < 0:
        raise BadArgument(word, f"expected a number of at least 0, or nothing, got {value}"[:200])
    return value
