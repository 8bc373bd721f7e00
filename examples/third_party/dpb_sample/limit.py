"""A listener with both verbs: a policy that may refuse, and a log of what became of services."""

from __future__ import annotations

import logging
from collections import Counter

from dpb_framework.errors import Refused
from dpb_framework.hookspecs import hookimpl
from dpb_framework.model import Event, EventKind, Segment, Totals

_log = logging.getLogger("dpb_sample.limit")


class CircuitLimit:
    """Refuses a segment that would give its owner more than *most* circuits in one network."""

    def __init__(self, most: int = 100) -> None:
        self._most = most
        self.told: Counter[str] = Counter()
        """How often each status of a service was told."""

    @hookimpl
    def ask_segment(self, segment: Segment, owner: str, totals: Totals) -> None:
        """Before the change: arguments that are not needed are left out."""
        wanted = totals.circuits + len(segment.ends)
        if wanted > self._most:
            raise Refused(f"{owner} would have {wanted} circuits, {self._most} are allowed")

    @hookimpl
    def tell_event(self, network: str, event: Event) -> None:
        """After the change: quick, and without a say in it."""
        if event.kind is EventKind.SERVICE:
            self.told[event.data["status"]] += 1
            _log.info("service %s of %s is %s", event.data["id"], network, event.data["status"])
