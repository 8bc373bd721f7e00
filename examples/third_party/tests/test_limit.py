"""The listener, as the broker would call it."""

import pytest
from dpb_sample.limit import CircuitLimit

from dpb_framework.errors import Refused
from dpb_framework.model import Caller, Event, EventKind, Segment, Totals
from dpb_framework.plugins import Listeners

SEGMENT = Segment.of(("a", 1, 1000, 1000), ("b", 2, 1000, 1000))


@pytest.fixture
def listeners() -> Listeners:
    found = Listeners()
    found.register("circuit-limit", CircuitLimit(most=3))
    found.check_pending()
    return found


def ask(listeners: Listeners, totals: Totals) -> None:
    caller = Caller("ann")
    facts = {"network": "wan", "service": 7, "segment": SEGMENT, "caller": caller, "owner": "ann", "totals": totals}
    listeners.ask("ask_segment", **facts)


def test_what_is_within_the_limit_passes(listeners: Listeners) -> None:
    ask(listeners, Totals(circuits=1))


def test_what_is_beyond_it_is_refused_with_the_reason(listeners: Listeners) -> None:
    with pytest.raises(Refused, match=r"^refused by circuit-limit: ann would have 4 circuits, 3 are allowed$"):
        ask(listeners, Totals(circuits=2))


def test_statuses_are_counted() -> None:
    limit = CircuitLimit()
    limit.tell_event("wan", Event("wan", 1, EventKind.SERVICE, {"id": 7, "status": "ACTIVE"}))
    limit.tell_event("wan", Event("wan", 2, EventKind.TERMINAL, {"name": "a", "present": True}))
    assert limit.told == {"ACTIVE": 1}
