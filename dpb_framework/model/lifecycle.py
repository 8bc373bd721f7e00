"""The life of a service: one transition table and one pure `step`.

Stable states are where a service rests; from a transient one its driver moves it on. Losing contact with a
device is no state but a condition (`dpb_framework.model.service.Condition`): a switch without its controller
still forwards.
"""

from __future__ import annotations

from dpb_framework.errors import DpbError
from dpb_framework.model.word import Word


class Status(Word):
    """Where a service is."""

    DORMANT = "DORMANT"
    ESTABLISHING = "ESTABLISHING"
    INACTIVE = "INACTIVE"
    ACTIVATING = "ACTIVATING"
    ACTIVE = "ACTIVE"
    DEACTIVATING = "DEACTIVATING"
    FAILED = "FAILED"
    RELEASING = "RELEASING"
    RELEASED = "RELEASED"


STABLE = frozenset({Status.DORMANT, Status.INACTIVE, Status.ACTIVE, Status.FAILED, Status.RELEASED})
"""The states in which a service rests."""


class Desired(Word):
    """Where its user wants a service to be; what is stored and survives."""

    DORMANT = "DORMANT"
    INACTIVE = "INACTIVE"
    ACTIVE = "ACTIVE"
    RELEASED = "RELEASED"


LEAVING = frozenset({Desired.DORMANT, Desired.RELEASED})
"""Where a service that is to hold nothing is wanted."""


class Step(Word):
    """What moves a service: a command of its user (verbs), or what became of it (participles)."""

    DEFINE = "define"
    ESTABLISHED = "established"
    REFUSED = "refused"
    ACTIVATE = "activate"
    ACTIVATED = "activated"
    DEACTIVATE = "deactivate"
    DEACTIVATED = "deactivated"
    FAIL = "failed"
    RESET = "reset"
    CLEARED = "cleared"
    RELEASE = "release"
    RELEASED = "released"


_S, _T = Status, Step

TRANSITIONS: dict[tuple[Status, Step], Status] = {
    (_S.DORMANT, _T.DEFINE): _S.ESTABLISHING,
    (_S.DORMANT, _T.ACTIVATE): _S.DORMANT,
    (_S.DORMANT, _T.DEACTIVATE): _S.DORMANT,
    (_S.DORMANT, _T.RESET): _S.DORMANT,
    (_S.DORMANT, _T.RELEASE): _S.RELEASING,
    (_S.ESTABLISHING, _T.ESTABLISHED): _S.INACTIVE,
    (_S.ESTABLISHING, _T.REFUSED): _S.DORMANT,
    (_S.ESTABLISHING, _T.ACTIVATE): _S.ESTABLISHING,
    (_S.ESTABLISHING, _T.DEACTIVATE): _S.ESTABLISHING,
    (_S.ESTABLISHING, _T.RESET): _S.DEACTIVATING,
    (_S.ESTABLISHING, _T.RELEASE): _S.RELEASING,
    (_S.INACTIVE, _T.ACTIVATE): _S.ACTIVATING,
    (_S.INACTIVE, _T.DEACTIVATE): _S.INACTIVE,
    (_S.INACTIVE, _T.FAIL): _S.FAILED,
    (_S.INACTIVE, _T.RESET): _S.DEACTIVATING,
    (_S.INACTIVE, _T.RELEASE): _S.RELEASING,
    (_S.ACTIVATING, _T.ACTIVATED): _S.ACTIVE,
    (_S.ACTIVATING, _T.ACTIVATE): _S.ACTIVATING,
    (_S.ACTIVATING, _T.DEACTIVATE): _S.DEACTIVATING,
    (_S.ACTIVATING, _T.FAIL): _S.FAILED,
    (_S.ACTIVATING, _T.RESET): _S.DEACTIVATING,
    (_S.ACTIVATING, _T.RELEASE): _S.RELEASING,
    (_S.ACTIVE, _T.ACTIVATE): _S.ACTIVE,
    (_S.ACTIVE, _T.DEACTIVATE): _S.DEACTIVATING,
    (_S.ACTIVE, _T.FAIL): _S.FAILED,
    (_S.ACTIVE, _T.RESET): _S.DEACTIVATING,
    (_S.ACTIVE, _T.RELEASE): _S.RELEASING,
    (_S.DEACTIVATING, _T.DEACTIVATED): _S.INACTIVE,
    (_S.DEACTIVATING, _T.CLEARED): _S.DORMANT,
    (_S.DEACTIVATING, _T.ACTIVATE): _S.ACTIVATING,
    (_S.DEACTIVATING, _T.DEACTIVATE): _S.DEACTIVATING,
    (_S.DEACTIVATING, _T.FAIL): _S.FAILED,
    (_S.DEACTIVATING, _T.RESET): _S.DEACTIVATING,
    (_S.DEACTIVATING, _T.RELEASE): _S.RELEASING,
    (_S.FAILED, _T.ACTIVATE): _S.ACTIVATING,
    (_S.FAILED, _T.DEACTIVATE): _S.DEACTIVATING,
    (_S.FAILED, _T.ACTIVATED): _S.ACTIVE,
    (_S.FAILED, _T.DEACTIVATED): _S.INACTIVE,
    (_S.FAILED, _T.FAIL): _S.FAILED,
    (_S.FAILED, _T.RESET): _S.DEACTIVATING,
    (_S.FAILED, _T.RELEASE): _S.RELEASING,
    (_S.RELEASING, _T.RELEASE): _S.RELEASING,
    (_S.RELEASING, _T.RELEASED): _S.RELEASED,
    (_S.RELEASED, _T.RELEASE): _S.RELEASED,
}
"""Every move there is. Whatever is not here is refused."""


class StepImpossible(DpbError):
    """The table has no move for this step from this status."""

    code = "service-logic"

    def __init__(self, status: Status, step: Step) -> None:
        super().__init__(status, step)
        self.status = status
        self.step = step

    @property
    def facts(self) -> dict[str, str]:
        """The status and the step."""
        return {"status": self.status.value, "step": self.step.value}

    def __str__(self) -> str:
        return f"a service that is {self.status.value} cannot be {_PAST.get(self.step, self.step.value)}"


_PAST = {
    Step.DEFINE: "defined; reset it first",
    Step.ACTIVATE: "activated",
    Step.DEACTIVATE: "deactivated",
    Step.RESET: "reset",
    Step.RELEASE: "released",
}


def step(status: Status, event: Step) -> Status:
    """Return the status after *event*. Pure: nothing is stored, sent or logged. `StepImpossible` if none."""
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise StepImpossible(status, event) from None


_BY_ITSELF: dict[Desired, frozenset[Step]] = {
    Desired.DORMANT: frozenset({_T.CLEARED, _T.REFUSED}),
    Desired.INACTIVE: frozenset({_T.ESTABLISHED, _T.REFUSED, _T.DEACTIVATED, _T.FAIL}),
    Desired.ACTIVE: frozenset({_T.ESTABLISHED, _T.REFUSED, _T.ACTIVATE, _T.ACTIVATED, _T.FAIL}),
    Desired.RELEASED: frozenset({_T.RELEASED}),
}


def _closure(status: Status, desired: Desired) -> frozenset[Status]:
    found = {status}
    todo = [status]
    while todo:
        here = todo.pop()
        if here is Status.DORMANT or (here is Status.INACTIVE and desired is Desired.INACTIVE):
            continue  # at rest, and nothing of it is on a device that could fail
        for event in _BY_ITSELF[desired]:
            there = TRANSITIONS.get((here, event))
            if there is not None and there not in found:
                found.add(there)
                todo.append(there)
    return frozenset(found)


REACHABLE: dict[tuple[Status, Desired], frozenset[Status]] = {
    (status, desired): _closure(status, desired) for status in Status for desired in Desired
}
"""Which states a service can come to without a new command, from a status with what is desired."""


def diagram() -> str:
    """Return the table as a Mermaid state diagram; the documentation's picture is this text."""
    lines = ["stateDiagram-v2", "    [*] --> DORMANT"]
    lines += [
        f"    {before.value} --> {after.value}: {event.value}"
        for (before, event), after in TRANSITIONS.items()
        if before is not after
    ]
    return "\n".join([*lines, "    RELEASED --> [*]"])
