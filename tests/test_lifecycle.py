"""Facts about the one table of a service's life."""

from __future__ import annotations

import pytest

from dpb_framework.model import REACHABLE, STABLE, TRANSITIONS, Desired, Status, Step, StepImpossible, diagram, step

COMMANDS = (Step.DEFINE, Step.ACTIVATE, Step.DEACTIVATE, Step.RESET, Step.RELEASE)


def closure(status: Status, steps: set[Step]) -> set[Status]:
    found, todo = {status}, [status]
    while todo:
        here = todo.pop()
        for (before, event), after in TRANSITIONS.items():
            if before is here and event in steps and after not in found:
                found.add(after)
                todo.append(after)
    return found


@pytest.mark.parametrize("status", Status)
def test_every_state_reaches_released(status: Status) -> None:
    assert Status.RELEASED in closure(status, {Step.RELEASE, Step.RELEASED})


def test_released_is_final() -> None:
    assert {after for (before, _), after in TRANSITIONS.items() if before is Status.RELEASED} == {Status.RELEASED}
    assert [event for before, event in TRANSITIONS if before is Status.RELEASED] == [Step.RELEASE]


def test_a_release_is_never_taken_back() -> None:
    assert closure(Status.RELEASING, set(Step)) == {Status.RELEASING, Status.RELEASED}


def test_every_state_but_those_of_the_end_can_be_reset() -> None:
    for status in Status:
        possible = (status, Step.RESET) in TRANSITIONS
        assert possible == (status not in (Status.RELEASING, Status.RELEASED))
        if possible:
            assert Status.DORMANT in closure(TRANSITIONS[status, Step.RESET], {Step.CLEARED})


def test_every_state_is_reached_from_the_first() -> None:
    assert closure(Status.DORMANT, set(Step)) == set(Status)


def test_a_service_is_defined_only_where_it_has_nothing() -> None:
    assert [before for before, event in TRANSITIONS if event is Step.DEFINE] == [Status.DORMANT]


def test_stable_states_are_left_by_commands_faults_and_what_heals_them() -> None:
    healing = {Step.FAIL, Step.ACTIVATED, Step.DEACTIVATED}
    for (before, event), after in TRANSITIONS.items():
        if before in STABLE and after is not before:
            assert event in COMMANDS or event in healing
            assert event in COMMANDS or Status.FAILED in (before, after)


def test_repeated_commands_are_moves_to_where_one_is() -> None:
    for status, command in (
        (Status.ACTIVE, Step.ACTIVATE),
        (Status.INACTIVE, Step.DEACTIVATE),
        (Status.DORMANT, Step.RESET),
        (Status.RELEASING, Step.RELEASE),
        (Status.RELEASED, Step.RELEASE),
    ):
        assert step(status, command) is status


def test_whatever_is_not_in_the_table_is_refused() -> None:
    for status in Status:
        for event in Step:
            if (status, event) in TRANSITIONS:
                assert step(status, event) is TRANSITIONS[status, event]
                continue
            with pytest.raises(StepImpossible) as caught:
                step(status, event)
            assert (caught.value.status, caught.value.step) == (status, event)
            assert caught.value.code == "service-logic"
            assert caught.value.facts == {"status": status.value, "step": event.value}
            assert status.value in str(caught.value)


def test_the_text_of_what_is_refused() -> None:
    assert str(StepImpossible(Status.ACTIVE, Step.DEFINE)) == (
        "a service that is ACTIVE cannot be defined; reset it first"
    )
    assert str(StepImpossible(Status.RELEASED, Step.ACTIVATE)) == "a service that is RELEASED cannot be activated"


# -- what can be reached without a command --------------------------------------------------------


def test_reachable_covers_everything_and_begins_where_one_is() -> None:
    assert set(REACHABLE) == {(status, desired) for status in Status for desired in Desired}
    for (status, _), reached in REACHABLE.items():
        assert status in reached


@pytest.mark.parametrize(
    ("status", "desired", "reached"),
    [
        (Status.DORMANT, Desired.DORMANT, {Status.DORMANT}),
        (Status.DORMANT, Desired.ACTIVE, {Status.DORMANT}),
        (Status.RELEASED, Desired.RELEASED, {Status.RELEASED}),
        (Status.RELEASING, Desired.RELEASED, {Status.RELEASING, Status.RELEASED}),
        (Status.DEACTIVATING, Desired.DORMANT, {Status.DEACTIVATING, Status.DORMANT}),
    ],
)
def test_what_is_reached_at_least(status: Status, desired: Desired, reached: set[Status]) -> None:
    assert reached <= REACHABLE[status, desired]


def test_a_define_ends_established_or_dormant() -> None:
    inactive = REACHABLE[Status.ESTABLISHING, Desired.INACTIVE]
    assert {Status.INACTIVE, Status.DORMANT} <= inactive
    assert not {Status.ACTIVE, Status.RELEASED} & inactive
    assert {Status.INACTIVE, Status.ACTIVE, Status.FAILED, Status.DORMANT} <= REACHABLE[
        Status.ESTABLISHING, Desired.ACTIVE
    ]


def test_what_is_there_and_wanted_goes_nowhere_else() -> None:
    assert Status.DORMANT not in REACHABLE[Status.ACTIVE, Desired.ACTIVE]
    assert Status.ACTIVE not in REACHABLE[Status.INACTIVE, Desired.INACTIVE]
    assert Status.RELEASED not in REACHABLE[Status.INACTIVE, Desired.INACTIVE]


@pytest.mark.parametrize(("desired", "to"), [(Desired.ACTIVE, Status.ACTIVE), (Desired.INACTIVE, Status.INACTIVE)])
def test_what_failed_may_come_back_by_itself(desired: Desired, to: Status) -> None:
    assert to in REACHABLE[Status.FAILED, desired]


def test_the_diagram_has_every_move_once() -> None:
    lines = diagram().splitlines()
    moves = {(b, e): a for (b, e), a in TRANSITIONS.items() if a is not b}
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> DORMANT"]
    assert lines[-1] == "    RELEASED --> [*]"
    assert sorted(lines[2:-1]) == sorted(f"    {b.value} --> {a.value}: {e.value}" for (b, e), a in moves.items())
