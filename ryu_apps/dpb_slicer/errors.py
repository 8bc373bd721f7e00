"""What can go wrong: facts as attributes, one line of text derived from them."""

from __future__ import annotations

from typing import Any, ClassVar

from attrs import asdict, frozen


class SlicerError(Exception):
    """The base of all errors that a caller is told."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def facts(self) -> dict[str, Any]:
        """The facts, for a program."""
        return asdict(self)  # type: ignore[arg-type]  # every subclass is an attrs class


@frozen
class BadArgument(SlicerError):
    """A field of the request is wrong."""

    status: ClassVar[int] = 422
    code: ClassVar[str] = "bad-argument"
    field: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.field}: {self.wanted}"


@frozen
class BadJson(SlicerError):
    """The body is not JSON."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad-json"
    fault: str

    def __str__(self) -> str:
        return f"the body is not JSON: {self.fault}"


@frozen
class UnknownSwitch(SlicerError):
    """No switch of this datapath id was seen since the start."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "switch-unknown"
    dpid: str

    def __str__(self) -> str:
        return f"no switch {self.dpid} has connected since the start; is it told to use this controller?"


@frozen
class UnknownSlice(SlicerError):
    """The switch has no such slice."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "slice-unknown"
    key: str

    def __str__(self) -> str:
        return f"no slice {self.key!r} on this switch"


@frozen
class Overlap(SlicerError):
    """A circuit overlaps one of another slice; `key` is None where that slice's key is not known."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "overlap"
    key: str | None
    circuit: tuple[int, ...]
    taken: tuple[int, ...]

    def __str__(self) -> str:
        owner = "a slice whose key is not known" if self.key is None else f"slice {self.key!r}"
        return f"circuit {list(self.circuit)} overlaps {list(self.taken)} of {owner}"


@frozen
class GivenUp(SlicerError):
    """Whoever asked has gone: nothing was done, as a later command of his may already be."""

    status: ClassVar[int] = 503
    code: ClassVar[str] = "given-up"

    def __str__(self) -> str:
        return "the caller has closed the connection before the command began"


@frozen
class Refused(SlicerError):
    """The switch refused, or cannot hold what is asked."""

    status: ClassVar[int] = 422
    code: ClassVar[str] = "refused"
    error: str

    def __str__(self) -> str:
        return f"the switch refused: {self.error}; nothing of the command is left on it"


@frozen
class NotConnected(SlicerError):
    """The switch is known and away, or cannot be used."""

    status: ClassVar[int] = 503
    code: ClassVar[str] = "not-connected"
    dpid: str
    reason: str | None = None

    def __str__(self) -> str:
        return f"switch {self.dpid} is not connected" + (f": {self.reason}" if self.reason else "")


@frozen
class TimedOut(SlicerError):
    """The switch did not confirm in time, or went away meanwhile: the outcome is unknown."""

    status: ClassVar[int] = 504
    code: ClassVar[str] = "timed-out"
    dpid: str
    waited: str

    def __str__(self) -> str:
        return f"switch {self.dpid} did not confirm ({self.waited}): whether it took the command is unknown"
