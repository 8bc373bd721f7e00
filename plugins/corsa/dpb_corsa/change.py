"""Bringing one service's tunnels and slice to what is wanted; taken back when the switch refuses a part of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from dpb_corsa.application import Absent, Application, Slices
from dpb_corsa.switch import Switch
from dpb_corsa.threads import Crew, Ofports
from dpb_corsa.transport import Refusal, halfway
from dpb_corsa.tunnels import Plan, Tunnel, Wanted, deviation, difference, missing
from dpb_corsa.vfcs import Vfc
from dpb_framework.errors import DpbError, FabricRefused, Unreachable

_CONFLICT = 409
_TRIES = 4
"""How often another OpenFlow port is tried: somebody else may have taken one since they were listed."""


class Changer:
    """Changes services of one fabric."""

    def __init__(self, switch: Switch, application: Application, crew: Crew, controlled: Callable[[Vfc], None]) -> None:
        self._switch = switch
        self._application = application
        self._crew = crew
        self._controlled = controlled
        self._ofports = Ofports()

    def settled(self, vfc: Vfc, call: Callable[[], None]) -> None:
        """Make a call of the application; when it does not have the VFC, see to it that it gets it first."""
        try:
            call()
        except Absent:
            self._controlled(vfc)
            call()

    def slices(self, vfc: Vfc) -> Slices:
        """What joins the VFC's ports."""
        found: list[Slices] = []
        self.settled(vfc, lambda: found.append(self._application.slices(vfc.dpid)))
        return found[0]

    def ensure(self, vfc: Vfc, key: str, wanted: Sequence[Wanted], there: Sequence[Tunnel], slices: Slices) -> None:
        """Make the service be there as *wanted*. *there*: all tunnels of the VFC; *slices*: what joins its ports."""
        mine = [tunnel for tunnel in there if tunnel.tag is not None and tunnel.tag.key == wanted[0].tag.key]
        joined = slices.named.get(key, frozenset())
        if any(tunnel.ofport in slices.used - joined for tunnel in mine):
            # Known by number only, since the application's restart: the kernel tells it the names first.
            raise Unreachable(self._application.where, "it was restarted, and is not told its services yet")
        plan = difference(wanted, mine)
        attached: dict[int, Wanted] = {}
        left_over = {tunnel.ofport for tunnel in mine if tunnel.ofport not in joined}
        taken = {tunnel.ofport for tunnel in there} | slices.used
        owner = wanted[0].tag.key
        self._ofports.assign(vfc.dpid, owner, {tunnel.ofport for tunnel in mine})
        try:
            self._prepare(vfc, plan, lambda: self._ofports.take(vfc.dpid, owner, taken), attached)
            self._confirm(vfc, wanted)
            ofports = plan.stay | attached.keys()
            self.settled(vfc, lambda: self._application.join(vfc.dpid, key, ofports))
        except FabricRefused as error:
            undone = attached.keys() | left_over
            self._take_back(vfc, plan, undone, error)
            self._ofports.assign(vfc.dpid, owner, {tunnel.ofport for tunnel in mine} - undone)
            raise
        with halfway(self._switch.where):
            self._each(lambda tunnel: self._switch.detach(vfc.name, tunnel.ofport), plan.detach)
        self._ofports.assign(vfc.dpid, owner, ofports)

    def _prepare(self, vfc: Vfc, plan: Plan, take: Callable[[], int], attached: dict[int, Wanted]) -> None:
        """Do all that interrupts nothing that stays as it is."""
        name = vfc.name

        def attach(wanted: Wanted) -> None:
            for left in reversed(range(_TRIES)):
                ofport = take()
                # Noted before: of a call that broke off nobody knows whether it was done.
                attached[ofport] = wanted
                try:
                    self._switch.attach(name, ofport, wanted)
                except Refusal as error:
                    del attached[ofport]
                    if error.status != _CONFLICT or not left:
                        raise
                else:
                    self._switch.patch(name, ofport, wanted.metering())
                    return

        def reattach(pair: tuple[Tunnel, Wanted]) -> None:
            tunnel, wanted = pair
            self._switch.detach(name, tunnel.ofport)
            self._switch.attach(name, tunnel.ofport, wanted)
            self._switch.patch(name, tunnel.ofport, wanted.metering())

        self._each(attach, plan.attach)
        self._each(reattach, plan.reattach)
        self._each(lambda pair: self._switch.patch(name, pair[0].ofport, pair[1].metering()), plan.meter)
        self._each(lambda pair: self._switch.patch(name, pair[0].ofport, pair[1].description()), plan.describe)

    def _confirm(self, vfc: Vfc, wanted: Sequence[Wanted]) -> None:
        """See whether the switch has the tunnels as they were ordered."""
        there = self._switch.tunnels(vfc.name)
        gone = missing(wanted, there)
        if gone:
            raise Unreachable(self._switch.where, gone)
        problem = deviation(wanted, there)
        if problem:
            raise FabricRefused(self._switch.where, problem)

    def _take_back(self, vfc: Vfc, plan: Plan, ofports: set[int], refusal: FabricRefused) -> None:
        """Restore what was there before; `Unreachable` when that does not work."""
        name = vfc.name

        def restore(tunnel: Tunnel) -> None:
            before = tunnel.restored()
            self._switch.detach(name, tunnel.ofport)
            self._switch.attach(name, tunnel.ofport, before)
            self._switch.patch(name, tunnel.ofport, before.metering())

        def correct(tunnel: Tunnel) -> None:
            before = tunnel.restored()
            self._switch.patch(name, tunnel.ofport, [*before.metering(), *before.description()])

        try:
            self._each(lambda ofport: self._switch.detach(name, ofport), ofports)
            self._each(restore, [tunnel for tunnel, _ in plan.reattach if tunnel.ofport not in ofports])
            changed = {tunnel.ofport: tunnel for tunnel, _ in (*plan.meter, *plan.describe)}
            self._each(correct, [tunnel for ofport, tunnel in changed.items() if ofport not in ofports])
        except DpbError as error:
            problem = f"it refused ({refusal.reason}), and what was before could not be restored: {error}"
            raise Unreachable(self._switch.where, problem) from None

    def part(self, vfc: Vfc, key: str) -> None:
        """Let no frame of the service pass."""
        self.settled(vfc, lambda: self._application.part(vfc.dpid, key))

    def detach(self, vfc: Vfc, owner: str, tunnels: Sequence[Tunnel]) -> None:
        """Detach all tunnels of a service whose slice is gone; *owner* stands for its key."""
        with halfway(self._switch.where):
            self._each(lambda tunnel: self._switch.detach(vfc.name, tunnel.ofport), tunnels)
        self._ofports.assign(vfc.dpid, owner, ())

    def forget(self, vfc: Vfc, owner: str, key: str | None) -> None:
        """Tell the application that a slice is not wanted any more, if it listens: its VFC goes anyway."""
        if key is not None:
            with contextlib.suppress(DpbError):
                self._application.part(vfc.dpid, key)
        self._ofports.assign(vfc.dpid, owner, ())

    # Any work on items of its own kind.
    def _each(self, work: Callable, items: Sequence | set) -> None:  # type: ignore[type-arg]
        self._crew.each(work, items, self._switch.where)
