"""The listener `journal`: one line of the log for each change of a service."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from dpb_framework.hookspecs import hookimpl
from dpb_framework.model import Event, EventKind

_log = logging.getLogger("dpb.journal")


class Journal:
    """Logs what becomes of services, on the logger `dpb.journal` at level INFO.

    A line is `network=wan service=7 status=ACTIVE desired=ACTIVE change=none error=-`; handlers for programs find the
    same facts as attributes of the record, by the same names. `error` is a code, or `-`.
    """

    @hookimpl
    def tell_event(self, network: str, event: Event) -> None:
        """Log *event* if it tells of a service."""
        if event.kind is not EventKind.SERVICE or not _log.isEnabledFor(logging.INFO):
            return
        error = event.data.get("error")
        facts = {
            "network": network,
            "service": event.data.get("id"),
            "status": event.data.get("status"),
            "desired": event.data.get("desired"),
            "change": event.data.get("change", "none"),
            "error": (error.get("code") if isinstance(error, Mapping) else error) or "-",
        }
        _log.info("%s", " ".join(f"{name}={value}" for name, value in facts.items()), extra=facts)
