"""Deadlines by the hundred on one timer: most are met, so most never need one of their own."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from dpb_framework.runtime import Runtime, Strand


class Deadlines:
    """Calls back for each key whose time is over. All keys have the same time; used on one strand."""

    def __init__(self, runtime: Runtime, strand: Strand, seconds: float) -> None:
        self._runtime = runtime
        self._strand = strand
        self._seconds = seconds
        self._due: dict[Hashable, tuple[float, Callable[[], None]]] = {}
        self._armed = False

    def begin(self, key: Hashable, over: Callable[[], None]) -> None:
        """Call *over* on the strand when the time is over, unless `end` or another `begin` of *key* comes before."""
        self._due.pop(key, None)  # a key that begins anew goes to the end: the first is always due first
        self._due[key] = (self._runtime.now() + self._seconds, over)
        if not self._armed:
            self._arm(self._seconds)

    def end(self, key: Hashable) -> None:
        """Forget *key*."""
        self._due.pop(key, None)

    def _arm(self, seconds: float) -> None:
        self._armed = True
        self._runtime.later(seconds, lambda: self._strand.post(self._tick))

    def _tick(self) -> None:
        self._armed = False
        now = self._runtime.now()
        late = []
        for key, (due, _) in self._due.items():
            if due > now:
                break
            late.append(key)
        callbacks = [self._due.pop(key)[1] for key in late]
        if self._due:
            self._arm(max(0.0, next(iter(self._due.values()))[0] - now))
        for callback in callbacks:
            self._strand.post(callback)  # each a task of its own: a fault of one is not the others'
