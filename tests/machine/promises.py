"""What clients were promised: the states in which each of their services may rightly be.

A command changes what is possible when its reply comes; one whose reply was lost in a crash makes both possible,
done and not done.
"""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field, frozen

from dpb_framework.contracts import Service
from dpb_framework.errors import CommitFailed, DpbError, ServiceGone, ServiceLogic
from dpb_framework.model import Change, Desired, Segment, Status, StepImpossible
from dpb_framework.reply import Reply

_LOGIC = (CommitFailed, ServiceLogic, StepImpossible, ServiceGone)
_DEFINED = (Desired.INACTIVE, Desired.ACTIVE)
_ESTABLISHED = (Status.INACTIVE, Status.ACTIVATING, Status.ACTIVE)


@frozen
class State:
    """Where a service may be: what is desired and asked for, whether an activate waits, whether a define failed."""

    desired: Desired = Desired.DORMANT
    asked: Segment | None = field(default=None, eq=lambda s: None if s is None else tuple(map(str, s.ends)))
    remembered: bool = False
    fell: bool = False

    def after(self, command: str, segment: Segment | None) -> State:
        """The state after a command that succeeded."""
        defined = self.desired in _DEFINED
        if self.desired is Desired.RELEASED or command == "release":
            return State(Desired.RELEASED)
        if command == "define" and not defined:
            return State(Desired.ACTIVE if self.remembered else Desired.INACTIVE, segment)
        if command == "activate":
            return evolve(self, desired=Desired.ACTIVE) if defined else evolve(self, remembered=True)
        if command == "deactivate":
            return evolve(self, desired=Desired.INACTIVE) if defined else evolve(self, remembered=False)
        if command == "reset":
            return State()
        return self

    def fits(self, service: Service) -> bool:
        """Whether the service is as this state says."""
        if service.desired is not self.desired:
            return False
        if self.desired in _DEFINED:
            return answers(self.asked, service.segment)
        return not self.fell or service.error is not None or service.desired is Desired.RELEASED


def answers(asked: Segment | None, chosen: Segment | None) -> bool:
    """Whether *chosen* is what was *asked* for, with the open labels filled in."""
    if asked is None or chosen is None or len(asked.ends) != len(chosen.ends):
        return asked is chosen
    left = list(chosen.ends)
    for end in sorted(asked.ends, key=lambda e: e.circuit.label is None):
        for other in left:
            same = end.circuit.terminal == other.circuit.terminal and end.flow == other.flow
            if same and end.circuit.label in (None, other.circuit.label):
                left.remove(other)
                break
        else:
            return False
    return True


@define
class Pending:
    """A command whose reply has not been looked at."""

    command: str
    segment: Segment | None
    reply: Reply[Any]
    sure: bool
    """Whether a change was surely prepared when it was given."""
    turn: int
    """How many commands that concern changes were given before."""


@define(eq=False)
class Client:
    """One service as its user knows it."""

    network: str
    handle: str | None
    id: int = 0
    defined: Segment | None = None
    """What its create defined, too."""
    possible: list[State] = field(factory=lambda: [State()])
    pending: list[Pending] = field(factory=list)
    prepared: Segment | None = None
    nexts: list[Segment] = field(factory=list)
    turn: int = 0

    @property
    def gone(self) -> bool:
        """Whether it was surely released."""
        return all(state.desired is Desired.RELEASED for state in self.possible)

    def told(self, command: str, segment: Segment | None, reply: Reply[Any]) -> None:
        """A command was given."""
        if command in ("abort", "reset", "release", "prepare"):
            self.prepared = None
        if command in ("abort", "reset", "release", "prepare", "commit"):
            self.turn += 1
        if command == "prepare" and segment is not None:
            self.nexts.append(segment)
        self.pending.append(Pending(command, segment, reply, self.prepared is not None, self.turn))

    def created_again(self, other: Client) -> None:
        """A create with this one's handle succeeded; it may have been overtaken by commands that came before."""
        if other.defined is not None:
            after = [state.after("define", other.defined) for state in self._fallen()]
            self.possible = list(dict.fromkeys([*self._fallen(), *after] if self.pending else after))

    def may_be_defined(self, other: Client) -> None:
        """A create with this one's handle failed, or its reply was lost."""
        if other.defined is not None:
            forgot = [evolve(s, remembered=False) for s in self.possible if s.desired not in _DEFINED]
            after = [state.after("define", other.defined) for state in self._fallen()]
            self.possible = list(dict.fromkeys([*self.possible, *forgot, *after]))

    def settle(self, service: Service | None) -> None:
        """Take up the replies that have come."""
        while self.pending:
            # Others may overtake a prepare, which settles only when all inferiors have answered.
            ready = next((p for p in self.pending if p.reply.settled), None)
            if ready is None or any(p.command != "prepare" for p in self.pending[: self.pending.index(ready)]):
                return
            self.pending.remove(ready)
            self._settled(ready, service)

    def _settled(self, done: Pending, service: Service | None) -> None:
        error = done.reply.error
        if error is not None:
            assert isinstance(error, DpbError), f"{done.command} of {self}: {error!r}"
            if done.command == "define" and not isinstance(error, _LOGIC):
                self.possible = [s if s.desired in _DEFINED else evolve(s, remembered=False) for s in self._fallen()]
            if done.command == "commit" and done.sure and self.prepared is not None:
                assert isinstance(error, CommitFailed), f"a prepared change of {self} cannot be committed: {error}"
            return
        if done.command == "prepare" and done.turn == self.turn:
            self.prepared = done.segment
        if done.command == "commit":
            self._committed(done.sure)
        else:
            self.possible = [state.after(done.command, done.segment) for state in self._fallen()]
        self._unique()

    def _committed(self, sure: bool) -> None:
        if sure and self.prepared is not None:
            self.possible = [evolve(s, asked=self.prepared) if s.desired in _DEFINED else s for s in self.possible]
        else:
            self._may_have_committed()
        self.prepared = None

    def _may_have_committed(self) -> None:
        self.possible += [evolve(s, asked=n) for s in self.possible for n in self.nexts if s.desired in _DEFINED]

    def _fallen(self) -> list[State]:
        """The states, and those after a define that failed meanwhile."""
        fallen = [State(fell=True) for s in self.possible if s.desired in _DEFINED]
        return [*self.possible, *fallen]

    def crashed(self) -> None:
        """The replies that had not come never will: each command may have been done or not."""
        for lost in self.pending:
            if lost.command == "commit":
                self._may_have_committed()
            else:
                self.possible = [
                    s for state in self._fallen() for s in (state, state.after(lost.command, lost.segment))
                ]
            if lost.command != "prepare":
                self.prepared = None
        self.pending.clear()
        self._unique()

    def _unique(self) -> None:
        self.possible = list(dict.fromkeys(self.possible))

    def check(self, service: Service | None) -> None:
        """The service is in one of the states that are possible; from now on only that is."""
        if self.pending:
            return
        if service is None:
            assert any(s.desired is Desired.RELEASED for s in self.possible), f"{self} is forgotten"
            self.possible = [State(Desired.RELEASED)]
            return
        fitting = [state for state in self._fallen() if state.fits(service)]
        assert fitting, f"{self} is not as promised: {service.view()}"
        self.possible = fitting
        self._unique()
        if service.status in _ESTABLISHED:
            self.possible = [state for state in fitting if state.desired in _DEFINED]
        if self.prepared is not None and not (len(fitting) == 1 and fitting[0].fell):
            assert service.change is Change.PREPARED, f"{self} forgot what was prepared: {service.view()}"
