"""Every hook there is: how a listener takes part without being chosen.

Two verbs. *ask* comes before a change and may refuse it; *tell* comes after the change is stored. A listener is an
object whose methods carry these names under `hookimpl`; distributions offer its class in the entry point group
`dpb.listeners`.
"""

from __future__ import annotations

import pluggy

from dpb_framework.model import Caller, Event, Segment, Terminal, Totals, Trunk

PROJECT = "dpb"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def ask_segment(network: str, service: int, segment: Segment, caller: Caller, owner: str, totals: Totals) -> None:
    """Before a segment is defined or prepared. Raise `Refused` to refuse it; the first refusal counts.

    Nothing is taken or stored yet; the admission of this network waits meanwhile. Do not block: no device, no HTTP,
    no store. `totals` are what the service's owner holds in this network without this service.
    """


@hookspec
def ask_topology(network: str, change: Terminal | Trunk, caller: Caller) -> None:
    """Before a terminal or trunk is made or changed. Raise `Refused` to refuse it. Do not block."""


@hookspec
def tell_event(network: str, event: Event) -> None:
    """After an event is stored, in the order of its network's numbers. May not refuse; an exception is only logged.

    Called in a worker thread: a listener that talks to others hands the event to a thread of its own.
    """
