"""Scripted faults: what a device shall do wrong, to which commands, how often."""

from __future__ import annotations

import threading
from enum import Enum

from attrs import define, field

from dpb_framework.errors import BadArgument

CHANGES = ("ensure", "remove", "retain")
"""The commands that `any` stands for."""

COMMANDS = (*CHANGES, "bridges", "capacity")
"""The commands that a fault may strike."""


class FaultKind(Enum):
    """What goes wrong."""

    REFUSE = "refuse"
    """The device says no."""
    DELAY = "delay"
    """The command is done at once and answered late."""
    HANG = "hang"
    """The command is not done and never answered."""
    FORGET = "forget"
    """The command is answered as done, and is not."""
    CRASH_BEFORE = "crash-before"
    """Contact ends without an answer, before the change is made."""
    CRASH_AFTER = "crash-after"
    """Contact ends without an answer, after the change was made and kept."""


@define
class ScriptedFault:
    """A fault that waits, `left` times (None: for ever); `detail` is a refusal's reason or a delay in seconds."""

    kind: FaultKind
    on: str = "any"
    left: int | None = 1
    key_prefix: str = ""
    detail: str | float = field(default="")

    def concerns(self, command: str, key: str) -> bool:
        """Whether it strikes this command on this key."""
        if self.on == "any" and command not in CHANGES:
            return False
        return self.on in ("any", command) and key.startswith(self.key_prefix)


def scripted(
    *,
    refuse: str | None = None,
    delay: float | None = None,
    hang: bool = False,
    forget: bool = False,
    crash: str | None = None,
    on: str = "any",
    count: int | None = 1,
    key_prefix: str = "",
) -> ScriptedFault:
    """Return the fault that these words describe; exactly one of the first five is given.

    `delay` is in seconds; `crash` is `before` or `after`; `on` is a command, or `any` for those that change something;
    `count` None means for ever. `BadArgument` tells what is wrong.
    """
    given = [refuse is not None, delay is not None, hang, forget, crash is not None]
    if sum(map(bool, given)) != 1:
        raise BadArgument("fault", "give exactly one of refuse, delay, hang, forget and crash")
    if on != "any" and on not in COMMANDS:
        raise BadArgument("on", f"expected any or one of {', '.join(COMMANDS)}, got {on!r}"[:200])
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise BadArgument("count", f"expected a number of at least 1, or none for ever, got {count!r}"[:200])
    if not isinstance(key_prefix, str):
        raise BadArgument("key_prefix", "expected text")
    detail: str | float = ""
    if refuse is not None:
        kind, detail = FaultKind.REFUSE, str(refuse)
    elif delay is not None:
        if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay <= 3600:
            raise BadArgument("delay", f"expected seconds between 0 and 3600, got {delay!r}"[:200])
        kind, detail = FaultKind.DELAY, float(delay)
    elif crash is not None:
        if crash not in ("before", "after"):
            raise BadArgument("crash", f"expected before or after, got {crash!r}"[:200])
        kind = FaultKind.CRASH_BEFORE if crash == "before" else FaultKind.CRASH_AFTER
    else:
        kind = FaultKind.HANG if hang else FaultKind.FORGET
    return ScriptedFault(kind, on, count, key_prefix, detail)


class Script:
    """The faults that wait for one device. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[ScriptedFault] = []

    @property
    def empty(self) -> bool:
        """Whether no fault waits."""
        return not self._faults

    def add(self, fault: ScriptedFault) -> None:
        """Let *fault* wait, behind those that wait already."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Forget all faults that wait."""
        with self._lock:
            self._faults.clear()

    def strike(self, command: str, key: str) -> tuple[float, ScriptedFault | None]:
        """Return what becomes of a command: the sum of the delays that fit (seconds) and the first other fault."""
        delay = 0.0
        struck: ScriptedFault | None = None
        with self._lock:
            for fault in list(self._faults):
                is_delay = fault.kind is FaultKind.DELAY
                if not fault.concerns(command, key) or (struck is not None and not is_delay):
                    continue
                if is_delay:
                    delay += float(fault.detail)
                else:
                    struck = fault
                if fault.left is not None:
                    fault.left -= 1
                    if not fault.left:
                        self._faults.remove(fault)
        return delay, struck
