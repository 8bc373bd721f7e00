"""What is told of a service beside its status: faults, conditions, changes, who gave a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Factory, field

from dpb_framework.errors import DpbError
from dpb_framework.model.circuit import Segment
from dpb_framework.model.lifecycle import Desired, Status
from dpb_framework.model.value import value
from dpb_framework.model.word import Word


@value
class Caller:
    """Who gives a command. `system` callers are the broker itself; they own what they make.

    A `manager` may change what others own; whoever knows the caller says so, for the network that is commanded.
    """

    name: str
    system: bool = False
    manager: bool = False

    def may_change(self, owner: str) -> bool:
        """Whether it may change what *owner* made."""
        return self.system or self.manager or self.name == owner


SYSTEM = Caller("dpb", system=True)
"""The broker itself: superiors, drivers, recovery."""

ANYBODY = Caller("anonymous", manager=True)
"""A caller whom no access control named: where there is none, anybody may do anything."""


@value
class Fault:
    """Why a service is where it is: an error as data, so that it can be stored and sent.

    `code` is the error's, `text` the line for people, `facts` its attributes as plain data.
    """

    code: str
    text: str
    facts: Mapping[str, Any] = field(factory=dict)

    @classmethod
    def of(cls, error: BaseException) -> Fault:
        """Describe *error*; one that is no `DpbError` is told as an internal fault with its type."""
        if isinstance(error, DpbError):
            return cls(error.code, str(error), error.facts)
        return cls("internal", f"internal fault, please report it: {type(error).__name__}: {error}")


@value(order=True)
class Condition:
    """Something that holds beside the status.

    Kinds: `unconfirmed` (contact with `where` is lost, the state there is not known), `port-down` (an interface
    is dead), `unenforced` (a rate that `where` cannot enforce).
    """

    kind: str
    where: str
    text: str = ""


class Change(Word):
    """Where a change without interruption is."""

    NONE = "none"
    PREPARING = "preparing"
    PREPARED = "prepared"
    COMMITTING = "committing"
    ABORTING = "aborting"


@value
class Totals:
    """What an owner holds in one network, the request in question not counted. Rates are kbit/s."""

    services: int = 0
    circuits: int = 0
    ingress: int = 0
    egress: int = 0


class EventKind(Word):
    """What an event tells of."""

    SERVICE = "service"
    TERMINAL = "terminal"
    TRUNK = "trunk"
    MODEL = "model"


@value
class Event:
    """Something that happened in a network.

    `number` grows by one from event to event of a network. A MODEL event is only a hint that what superiors see
    has changed: it is not stored and has number 0. `data` is plain: for a service `{"id", "status", "desired",
    "change", "error"}`, for a terminal or trunk `{"name", "present"}`.
    """

    network: str
    number: int
    kind: EventKind
    data: Mapping[str, Any] = Factory(dict)


@value
class ServiceView:
    """A service as it is at one moment, for whoever shows or stores it."""

    network: str
    id: int
    handle: str | None
    owner: str
    status: Status
    desired: Desired
    change: Change
    segment: Segment | None
    error: Fault | None
    conditions: tuple[Condition, ...]
