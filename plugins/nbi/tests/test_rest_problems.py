"""Which status and which field an error gets."""

from __future__ import annotations

import inspect
import json

import pytest
from dpb_nbi.codec import FIRST, V1
from dpb_nbi.problems import STATUSES, Problem, in_segment, in_terminal, in_trunk

from dpb_framework import errors
from dpb_framework.errors import DpbError
from dpb_framework.model import Fault, Segment, Status, Step, StepImpossible, Terminal, Trunk

SEGMENT = Segment.of(("a", 1, 1000, 1000), ("b", None, 1000, 1000), ("b", 2, 1000, 1000))
TRUNK = Trunk("t", ("left", "p"), ("right", "p"), 1000, 1000)


@pytest.mark.parametrize(
    ("error", "status", "first", "v1"),
    [
        (errors.SegmentInvalid("segment[1].ingress-bw", "x"), 422, "segment[1].ingress-bw", "segment[1].ingress"),
        (errors.BadArgument("segment[1].label", "x"), 422, "segment[1].label", "segment[1].label"),
        (errors.TerminalUnknown("n", "b"), 422, "segment[1].terminal-name", "segment[1].terminal"),
        (errors.TerminalUnknown("n", "z"), 422, None, None),
        (errors.CircuitTaken("n", "b", 2, 7), 409, "segment[2].label", "segment[2].label"),
        (errors.LabelsUnavailable("n", "b"), 409, "segment[1].label", "segment[1].label"),
        (errors.LabelsUnavailable("n", "b", 2, ((5, 9),)), 422, "segment[2].label", "segment[2].label"),
        (errors.LabelsUnavailable("n", "z"), 409, None, None),
        (errors.QuotaExceeded("n", "a", "egress", 5, 4), 409, "segment[0].egress-bw", "segment[0].egress"),
        (errors.NoCapacity("n", "x"), 409, None, None),
        (errors.Unreachable("n", "x"), 503, None, None),
    ],
)
def test_errors_of_a_segment_name_the_field_in_the_words_of_the_interface(error, status, first, v1):
    for names, field in ((FIRST, first), (V1, v1)):
        problem = in_segment(error, SEGMENT, names)
        assert (problem.status, problem.field) == (status, field)
        assert problem.code == error.code
        if isinstance(error, errors.SegmentInvalid):
            assert problem.detail == f"{field}: x"


@pytest.mark.parametrize(
    ("error", "status", "field"),
    [
        (errors.InterfaceInvalid("f", "i", "x"), 422, "place"),
        (errors.SubnetworkUnknown("n", "left"), 422, "place"),
        (errors.TerminalUnknown("left", "p"), 422, "place"),
        (errors.SubterminalBusy("n", "left", "p", "trunk t"), 409, "place"),
        (errors.QuotaExceeded("n", "a", "ingress", 5, 4), 409, "ingress-quota"),
        (errors.TerminalBusy("n", "a", "service 1"), 409, None),
    ],
)
def test_errors_of_a_terminal(error, status, field):
    problem = in_terminal(error, Terminal("a", "left:p"))
    assert (problem.status, problem.field) == (status, field)


@pytest.mark.parametrize(
    ("error", "status", "field"),
    [
        (errors.SubnetworkUnknown("n", "right"), 422, "end"),
        (errors.TerminalUnknown("right", "p"), 422, "end"),
        (errors.TerminalUnknown("other", "p"), 422, "start"),
        (errors.SubterminalBusy("n", "right", "p", "trunk u"), 409, "end"),
        (errors.BandwidthUnavailable("n", "t", "downstream", 1, 2), 409, "downstream"),
        (errors.LabelsInUse("n", "t", (1,)), 409, "labels"),
        (errors.BadArgument("labels[1].start-label", "x"), 422, "labels[1].start"),
        (errors.TrunkBusy("n", "t", (1,)), 409, None),
    ],
)
def test_errors_of_a_trunk(error, status, field):
    problem = in_trunk(error, TRUNK)
    assert (problem.status, problem.field) == (status, field)


def test_every_error_has_a_status_and_those_of_the_table_are_errors():
    known = {e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, DpbError) and e is not DpbError}
    assert {e for e in STATUSES if e.__module__ == errors.__name__} < known
    assert set(STATUSES.values()) == {400, 401, 403, 404, 422, 503}
    assert Problem.of(errors.ServiceLogic("n", 1, "define", "x")).status == 409


def test_a_fact_does_not_hide_what_every_problem_has():
    body = json.loads(Problem.of(StepImpossible(Status.FAILED, Step.DEFINE)).body())
    assert (body["status"], body["fact-status"], body["step"]) == (409, "FAILED", "define")
    fault = Fault("no-capacity", "none left", {"code": 1, "reason": "x", "odd": {1, 2}})
    body = json.loads(Problem.from_fault(fault).body())
    assert (body["code"], body["fact-code"], body["reason"]) == ("no-capacity", 1, "x")
