"""The VFCs of one fabric: made in two steps, found by their description, and removed when they are half made.

A description is exactly the prefix and "partial", or the prefix and "complete"; whatever else is described, or not at
all, is somebody else's and is never touched.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from dpb_corsa.address import Options
from dpb_corsa.switch import Switch
from dpb_corsa.transport import Refusal, halfway
from dpb_framework.errors import DpbError, FabricRefused

_log = logging.getLogger("dpb.corsa")

MOST = 63
"""How many VFCs a switch has."""

_CONFLICT = 409


@frozen
class Vfc:
    """A virtual forwarding context of ours: the name that the switch has for it, and its datapath id."""

    name: str
    dpid: str


class Vfcs:
    """What is told and changed of them. Thread-safe; *where* begins errors."""

    def __init__(self, switch: Switch, options: Options) -> None:
        self._switch = switch
        self._options = options
        self._lock = threading.Condition()
        self._busy: Counter[str] = Counter()
        """Names that a command of ours works on: nobody takes them for left-overs."""
        self._doubted: set[str] = set()
        """Those of them that are perhaps removed: who wants to work on one, or to remove it, waits for the outcome."""
        self._expected: set[str] = set()

    def ours(self) -> list[Vfc]:
        """Those that are wholly made, in order; half-made ones that nobody works on are removed."""
        return self.among(self._switch.bridges())

    def among(self, bridges: list[dict[str, Any]]) -> list[Vfc]:
        """The same of a list of all VFCs."""
        for entry in bridges:
            if entry["bridge-descr"] == self._options.partial:
                self._sweep(entry["bridge"])
        return [Vfc(e["bridge"], e["dpid"]) for e in bridges if e["bridge-descr"] == self._options.complete]

    def _sweep(self, name: str) -> None:
        with self._alone(name) as alone:
            # Looked at again: whoever made it may be done meanwhile.
            entry = self._switch.bridge(name) if alone else None
            if entry is not None and entry["bridge-descr"] == self._options.partial:
                _log.info("%s: VFC %s was left half made, and is removed", self._switch.where, name)
                self._switch.destroy(name)

    def remove_if(self, vfc: Vfc, useless: Callable[[], bool]) -> None:
        """Remove one that is *useless*, unless a command of ours works on it."""
        with self._alone(vfc.name) as alone:
            if alone and useless():
                _log.info("%s: VFC %s serves nothing, and is removed", self._switch.where, vfc.name)
                with self._lock:
                    self._expected.discard(vfc.name)
                self._unmake(vfc)

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[bool]:
        """Keep commands of ours from a VFC, unless one works on it; tells whether. Others go on meanwhile."""
        with self._lock:
            self._decided(name)
            alone = not self._busy[name]
            if alone:
                self._busy[name] += 1
                self._doubted.add(name)
        try:
            yield alone
        finally:
            if alone:
                with self._lock:
                    self._busy[name] -= 1
                    self._doubted.discard(name)
                    self._lock.notify_all()

    @contextlib.contextmanager
    def busy(self, name: str) -> Iterator[None]:
        """While a command works on a VFC."""
        with self._lock:
            self._decided(name)
            self._busy[name] += 1
        try:
            yield
        finally:
            self._release(name)

    def _decided(self, name: str) -> None:
        """Wait, with the lock, until nobody is removing a VFC: what is done next counts on it to be there, or gone."""
        self._lock.wait_for(lambda: name not in self._doubted)

    def make(self, fill: Callable[[Vfc], None]) -> Vfc:
        """Make one, controlled and *fill*ed; when that fails nothing of it is left, or is removed at the next look."""
        with contextlib.ExitStack() as stack:
            name = self._create(stack)
            try:
                # One of our own choice: nothing that a controller remembers of an earlier VFC is about this one.
                vfc = Vfc(name, f"{secrets.randbits(63) | 1:016x}")
                self._switch.change(name, "dpid", f"0x{vfc.dpid}")
                self._switch.control(name, self._options)
                fill(vfc)
                self._switch.change(name, "bridge-descr", self._options.complete)
            except DpbError:
                self._discard(name)
                raise
            with self._lock:
                self._expected.add(name)
            return vfc

    def _create(self, stack: contextlib.ExitStack) -> str:
        taken = {entry["bridge"] for entry in self._switch.bridges()}
        for number in range(1, MOST + 1):
            name = f"br{number}"
            with self._lock:
                if name in taken or self._busy[name]:
                    continue
                self._busy[name] += 1
            try:
                self._switch.create(name, self._options)
            except Refusal as error:
                self._release(name)
                # Somebody else was quicker: the next name.
                if error.status != _CONFLICT:
                    raise
            except DpbError:
                self._discard(name)
                self._release(name)
                raise
            else:
                stack.callback(self._release, name)
                return name
        raise FabricRefused(self._switch.where, f"all {MOST} VFCs are in use")

    def _release(self, name: str) -> None:
        with self._lock:
            self._busy[name] -= 1

    def _discard(self, name: str) -> None:
        """Try to remove what was begun; what stays is removed at the next look."""
        try:
            entry = self._switch.bridge(name)
            if entry is None:
                return
            if entry["bridge-descr"] == self._options.complete:
                self._switch.change(name, "bridge-descr", self._options.partial)
            elif entry["bridge-descr"] != self._options.partial:
                return
            self._switch.destroy(name)
        except DpbError as error:
            _log.debug("VFC %s is left half made for now: %s", name, error)

    def unmake(self, vfc: Vfc) -> None:
        """Remove one, with all that is attached to it."""
        with self.busy(vfc.name):
            with self._lock:
                self._expected.discard(vfc.name)
            self._unmake(vfc)

    def _unmake(self, vfc: Vfc) -> None:
        # Whatever happens now, it is removed.
        with halfway(self._switch.where):
            self._switch.change(vfc.name, "bridge-descr", self._options.partial)
            self._switch.destroy(vfc.name)

    def expected(self) -> frozenset[str]:
        """The names of those that were made or seen, and not removed by us."""
        with self._lock:
            return frozenset(self._expected)

    def lost(self, before: frozenset[str], there: list[Vfc]) -> frozenset[str]:
        """Return which of those expected *before* a look are gone without us; those that are *there* are expected."""
        names = {vfc.name for vfc in there}
        with self._lock:
            gone = (before & self._expected) - names
            self._expected = (self._expected - gone) | {name for name in names if not self._busy[name]}
            return gone
