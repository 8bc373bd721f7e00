"""A part of an attempt: one subservice in one inferior network, brought where it is wanted.

Everything is decided from what the inferior's service is seen to be, so that doing it again after a crash, a lost
answer or a forgetful inferior is the same as doing it the first time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from dpb_framework.contracts import Network, Service, Subservice
from dpb_framework.errors import CommitFailed, ServiceGone, ServiceUnknown, Stopped, TimedOut, Unreachable
from dpb_framework.model import SYSTEM, Change, Desired, Fault, Status
from dpb_framework.reply import Reply
from dpb_framework.runtime import nothing

if TYPE_CHECKING:
    from dpb_framework.networks.attempts import AttemptingService

_logger = logging.getLogger("dpb.networks")

T = TypeVar("T")

RETRY = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before each further try to reach an inferior network, or to ask again for what it refused."""

_UNKNOWN = (Unreachable, TimedOut, Stopped, CommitFailed)
"""Errors after which it is not known, or not settled, what the inferior did: the command is repeated."""

_ESTABLISHED = frozenset({Status.INACTIVE, Status.ACTIVATING, Status.ACTIVE, Status.DEACTIVATING, Status.FAILED})


class Part:
    """One subservice. Its methods run on the strand of the aggregator."""

    __slots__ = (
        "_absent",
        "_again",
        "_cancel",
        "_let_go",
        "_mends",
        "_removing",
        "_tries",
        "_unwatch",
        "busy",
        "chords",
        "gone",
        "inferior",
        "lost",
        "owner",
        "prepared",
        "record",
        "refused",
        "service",
        "touched",
    )

    def __init__(
        self,
        owner: AttemptingService,
        inferior: Network,
        record: Subservice,
        chords: tuple[str, ...] = (),
        *,
        touched: bool = False,
    ) -> None:
        self.owner = owner
        self.inferior = inferior
        self.record = record
        self.chords = chords
        self.touched = touched
        """Whether the inferior may know of it: whether anything was ever asked."""
        self.service: Service | None = None
        self.busy = False
        self.gone = False
        self.prepared = False
        self.refused: Fault | None = None
        self.lost: Fault | None = None
        self._tries = 0
        self._again = True
        self._removing = False
        self._absent = not touched
        self._let_go = False
        self._mends = False
        self._cancel: Callable[[], None] = nothing
        self._unwatch: Callable[[], None] = nothing

    # -- what is seen

    @property
    def established(self) -> bool:
        """Whether the inferior holds what it needs for the part."""
        service = self.service
        if service is None or service.status not in _ESTABLISHED:
            return False
        return service.segment is self.record.segment or self._is_ours(service)

    def is_at(self, status: Status) -> bool:
        """Whether the inferior's service is there, with the right segment."""
        service = self.service
        return service is not None and service.status is status and self._is_ours(service)

    def _is_ours(self, service: Service) -> bool:
        """Whether the inferior's service has the part's segment: after one of the two was restored it may not."""
        return self.record.segment.same_as(service.segment)

    @property
    def changed(self) -> bool:
        """Whether the inferior's service is wholly what the part says, and no change is under way there."""
        service = self.service
        return service is not None and service.change is Change.NONE and self._is_ours(service)

    # -- asking

    def _ask(self, reply: Reply[T], then: Callable[[T], None]) -> None:
        self.busy = True
        network = self.owner.network
        reply.then(lambda came: network.strand.post(partial(self._answered, came, then)))

    def _answered(self, reply: Reply[T], then: Callable[[T], None]) -> None:
        self.busy = False
        error = reply.error
        if error is None:
            self._tries, self.lost = 0, None
            then(reply.value)
        elif isinstance(error, ServiceGone | ServiceUnknown):
            self._forgotten()
        elif isinstance(error, _UNKNOWN):
            self.lost = Fault.of(error)
            self._retry()
        else:
            self.refused = Fault.of(error)
        self.owner.poke()

    def _retry(self) -> None:
        self._again = False
        wait = RETRY[min(self._tries, len(RETRY) - 1)]
        self._tries += 1
        network = self.owner.network

        def again() -> None:
            self._again = True
            self.owner.poke()

        self._cancel = network.runtime.later(wait, lambda: network.strand.post(again))

    def retry_refused(self) -> None:
        """Ask again, after a while, for what was refused."""
        if self.refused is not None and not self.busy:
            self.refused = None
            self._retry()

    def at_once(self) -> None:
        """Do not wait any longer before the next try."""
        self._cancel()
        self._again = True

    def _take(self, service: Service) -> None:
        self._unwatch()
        self.service = service
        if not self._let_go:  # the answer may come after that
            self._unwatch = service.watch(self.owner.poked)

    def _forgotten(self) -> None:
        self._unwatch()
        self._unwatch, self.service, self.prepared, self._absent = nothing, None, False, False
        self._mends = False

    # -- bringing it where it is wanted

    def bring(self, *, active: bool, commits: bool = False, aborts: bool = True) -> None:
        """Do the next thing that makes the inferior hold the part, and carry its traffic if *active*.

        A change that the inferior has prepared is committed or aborted as told; else it is left alone.
        """
        if self.busy or not self._again or self.refused is not None:
            return
        service = self.service
        if service is None:
            self._find_or_create()
            return
        status = service.status
        if status is Status.RELEASED:
            self._forgotten()
            self.bring(active=active)
        elif service.desired is Desired.DORMANT:
            self._define_again(service, status)
        elif service.change is not Change.NONE and self._bring_over(
            service, commits or (aborts and self._mends), aborts
        ):
            return
        elif (commits or aborts) and not self._is_ours(service):
            self._mend(service, status, commits)
        elif active and service.desired is Desired.INACTIVE:  # also while a change waits for its decision
            self._ask(service.activate(SYSTEM), _nothing)
        elif not active and service.desired is Desired.ACTIVE:
            self._ask(service.deactivate(SYSTEM), _nothing)
        elif self.lost is not None:  # only the answer was lost: nothing else would tell that contact is back
            self._ask(self.inferior.find(self.record.handle), self._found_again)

    def _bring_over(self, service: Service, commits: bool, aborts: bool) -> bool:
        """See to a change of the inferior's service; whether nothing else is to be done meanwhile."""
        change = service.change
        if change is Change.PREPARED and commits:
            self._mends = False
            self._ask(service.commit(SYSTEM), _nothing)
        elif change in (Change.PREPARED, Change.PREPARING) and aborts and not commits:
            self._ask(service.abort(SYSTEM), _nothing)
        else:
            return change in (Change.COMMITTING, Change.ABORTING) or (change is Change.PREPARING and commits)
        return True

    def _mend(self, service: Service, status: Status, commits: bool) -> None:
        """Let the inferior's service have the part's segment: in a change of ours, or where it is astray.

        Astray it is where the inferior or we were restored from a backup, or where it does not do as it says.
        """
        if commits:
            if status in _ESTABLISHED:
                self._ask(service.prepare(self.record.segment, SYSTEM), _nothing)
        elif status in (Status.INACTIVE, Status.ACTIVE):
            _logger.warning(
                "%s: %s has another segment in %r than it should, and is changed",
                self.owner.network.name,
                self.record.handle,
                self.inferior.name,
            )
            self._ask(service.prepare(self.record.segment, SYSTEM), self._is_mended)
        elif status is Status.FAILED:  # which cannot be changed
            self._ask(service.reset(SYSTEM), _nothing)

    def _is_mended(self, _: object) -> None:
        self._mends = True  # what is prepared there is ours, and to be committed

    def _find_or_create(self) -> None:
        """Look first if the inferior may have it: there it may still have the segment from before a change."""
        if self._absent:
            self.touched, self._absent = True, False
            self._ask(self.inferior.create(SYSTEM, self.record.handle, self.record.segment), self._take)
        else:
            self._ask(self.inferior.find(self.record.handle), self._found_to_bring)

    def _found_to_bring(self, service: Service | None) -> None:
        if service is None:
            self._absent = True
        else:
            self._take(service)

    def _found_again(self, service: Service | None) -> None:
        if service is None:
            self._forgotten()
        else:
            self._take(service)

    def _define_again(self, service: Service, status: Status) -> None:
        if status is not Status.DORMANT:
            return
        if service.error is not None:
            self.refused = service.error
        else:
            self._ask(service.define(self.record.segment, SYSTEM), _nothing)

    def prepare(self) -> None:
        """Make the inferior ready to change to this part's segment (its service is another attempt's)."""
        if self.busy or not self._again or self.prepared or self.refused is not None:
            return
        service = self.service
        if service is None:
            self._ask(self.inferior.find(self.record.handle), self._found_to_prepare)
        else:
            self._ask(service.prepare(self.record.segment, SYSTEM), self._is_prepared)

    def _found_to_prepare(self, service: Service | None) -> None:
        if service is None:
            self.refused = Fault.of(Unreachable(f"inferior network {self.inferior.name!r}", "it lost the service"))
        else:
            self._take(service)

    def _is_prepared(self, _: object) -> None:
        self.prepared = True

    def remove(self) -> None:
        """Do the next thing that makes the inferior give the part back; `gone` when it has confirmed."""
        if self.gone or self.busy:
            return
        if not self._removing:  # what was refused before is of no interest any more
            self._removing, self.refused = True, None
        elif self.refused is not None:
            self.retry_refused()
            return
        service = self.service
        if service is None:
            if not self.touched:
                self.gone = True
            elif self._again:
                self._ask(self.inferior.find(self.record.handle), self._found_to_remove)
        elif service.status is Status.RELEASED:
            self._unwatch()
            self.gone = True
        elif service.desired is not Desired.RELEASED and self._again:
            self._ask(service.release(SYSTEM), _nothing)

    def _found_to_remove(self, service: Service | None) -> None:
        if service is None:
            self.gone = True
        else:
            self._take(service)

    def let_go(self) -> None:
        """Stop watching: another attempt takes the inferior's service over."""
        self._let_go = True
        self._cancel()
        self._unwatch()
        self._unwatch = nothing

    def take_back(self) -> None:
        """Watch again: `let_go` was part of a decision that was not kept."""
        self._let_go = False
        if self.service is not None and self._unwatch is nothing:
            self._unwatch = self.service.watch(self.owner.poked)
            self._again = True


def _nothing(_: object) -> None:
    """The answer needs no more than to have come."""
