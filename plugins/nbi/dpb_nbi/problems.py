"""Errors as `application/problem+json`: one table of statuses, one shape of body, fields by name. No falcon here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from attrs import evolve

from dpb_framework import errors
from dpb_framework.errors import DpbError
from dpb_framework.model import Circuit, Fault, Segment, Terminal, Trunk
from dpb_nbi.access.faults import Busy, KeyUnknown, RoleMissing, TokenUnknown, Unauthenticated, UserUnknown
from dpb_nbi.codec import Names, translate
from dpb_nbi.jsontext import JsonInvalid, write

CONTENT_TYPE: Final = "application/problem+json"

STATUSES: Final[Mapping[type[DpbError], int]] = {
    JsonInvalid: 400,
    Unauthenticated: 401,
    RoleMissing: 403,
    errors.NotOwner: 403,
    errors.NetworkUnknown: 404,
    errors.ServiceUnknown: 404,
    errors.ServiceGone: 404,
    errors.TerminalUnknown: 404,
    errors.TrunkUnknown: 404,
    UserUnknown: 404,
    TokenUnknown: 404,
    KeyUnknown: 404,
    errors.BadArgument: 422,
    errors.SegmentInvalid: 422,
    errors.InterfaceInvalid: 422,
    errors.SubnetworkUnknown: 422,
    Busy: 503,
    errors.Unreachable: 503,
    errors.TimedOut: 503,
    errors.CommitFailed: 503,
    errors.StoreLocked: 503,
    errors.StoreInvalid: 503,
    errors.Stopped: 503,
}
"""The status of each class of errors; every other `DpbError` is 409: the state of the network refuses."""

_HEADERS: Final[Mapping[type[DpbError], Mapping[str, str]]] = {
    Unauthenticated: {"WWW-Authenticate": 'Basic realm="dpb", charset="UTF-8", Bearer realm="dpb"'},
    Busy: {"Retry-After": "1"},
}
_OURS: Final = frozenset({"type", "title", "status", "code", "detail", "field"})


class Problem(Exception):
    """An answer that is an error: what its body says, and its status."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        facts: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.field = field
        self.facts = dict(facts or {})
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, error: DpbError, *, status: int | None = None, field: str | None = None) -> Problem:
        """Describe *error*; its status is the table's unless given, its field its own path unless given."""
        facts = error.facts
        path = facts.pop("path", None)
        if field is None and isinstance(error, errors.BadArgument | errors.SegmentInvalid):
            field = path
        if status is None:
            status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 409)
        return cls(status, error.code, str(error), field=field, facts=facts, headers=_HEADERS.get(type(error)))

    @classmethod
    def from_fault(cls, fault: Fault) -> Problem:
        """Describe why a service could not be established."""
        return cls(409, fault.code, fault.text, facts=fault.facts)

    def body(self) -> bytes:
        """The body; a fact whose name the shape itself uses is called `fact-...`."""
        plain: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.field is not None:
            plain["field"] = self.field
        for name, value in self.facts.items():
            plain[f"fact-{name}" if name in _OURS else name] = value
        return write(plain)


def internal() -> Problem:
    """What a client is told of a fault that nobody foresaw; the log has the rest."""
    return Problem(500, "internal", "internal fault; the broker's log tells more: please report it")


def in_segment(error: DpbError, segment: Segment, names: Names) -> Problem:
    """Describe what a command refused for the sake of *segment*, naming the field in the words of the interface."""
    if isinstance(error, errors.BadArgument | errors.SegmentInvalid):
        return Problem.of(evolve(error, path=translate(error.path, names)))
    if isinstance(error, errors.TerminalUnknown):
        at = _end(segment, lambda c: c.terminal == error.terminal)
        return Problem.of(error, status=422, field=at and f"{at}.{names.terminal}")
    if isinstance(error, errors.CircuitTaken | errors.LabelsUnavailable):
        at = _end(segment, lambda c: c.terminal == error.terminal and c.label == error.label)
        # A label that the terminal never offers is a wrong field, whatever the state of the network.
        never = isinstance(error, errors.LabelsUnavailable) and error.label is not None
        return Problem.of(error, status=422 if never else None, field=at and f"{at}.{names.label}")
    if isinstance(error, errors.QuotaExceeded):
        at = _end(segment, lambda c: c.terminal == error.terminal)
        word = {"ingress": names.ingress, "egress": names.egress}.get(error.direction)
        return Problem.of(error, field=f"{at}.{word}" if at and word else at)
    return Problem.of(error)


def _end(segment: Segment, fits: Callable[[Circuit], bool]) -> str | None:
    return next((f"segment[{i}]" for i, end in enumerate(segment.ends) if fits(end.circuit)), None)


def in_terminal(error: DpbError, terminal: Terminal) -> Problem:
    """Describe why *terminal* could not be made or changed."""
    if isinstance(error, errors.InterfaceInvalid | errors.SubnetworkUnknown | errors.TerminalUnknown):
        return Problem.of(error, status=422, field="place")
    if isinstance(error, errors.SubterminalBusy):
        return Problem.of(error, field="place")
    if isinstance(error, errors.QuotaExceeded) and error.direction in {"ingress", "egress"}:
        return Problem.of(error, field=f"{error.direction}-quota")
    return Problem.of(error)


def in_trunk(error: DpbError, trunk: Trunk) -> Problem:
    """Describe why *trunk* could not be made or changed."""
    sides = (("start", trunk.start), ("end", trunk.end))
    if isinstance(error, errors.SubnetworkUnknown):
        return Problem.of(error, field=next((side for side, at in sides if at[0] == error.subnetwork), None))
    if isinstance(error, errors.TerminalUnknown):
        field = next((side for side, at in sides if at[1] == error.terminal and at[0] == error.network), None)
        return Problem.of(
            error, status=422, field=field or next((s for s, at in sides if at[1] == error.terminal), None)
        )
    if isinstance(error, errors.SubterminalBusy):
        at = (error.subnetwork, error.subterminal)
        return Problem.of(error, field=next((side for side, place in sides if place == at), None))
    if isinstance(error, errors.BandwidthUnavailable):
        return Problem.of(error, field=error.direction if error.direction in {"upstream", "downstream"} else None)
    if isinstance(error, errors.LabelsInUse):
        return Problem.of(error, field="labels")
    if isinstance(error, errors.BadArgument):
        words = {".label-count": ".count", ".start-label": ".start", ".end-label": ".end"}
        path = error.path
        for theirs, ours in words.items():
            path = path.removesuffix(theirs) + ours if path.endswith(theirs) else path
        return Problem.of(evolve(error, path=path))
    return Problem.of(error)
