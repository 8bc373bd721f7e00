"""The VPNs of one network: kept in the store, realised as services.

A VPN lives in the store from its first request on, and its service from the second access on, under a handle made
from the VPN's id. The network is asked first and the store is told afterwards: whatever breaks off in between, the
same request sent again finds the service as it asked for it, and deleting the VPN releases it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from attrs import evolve

from dpb_framework.contracts import Network, Service, SwitchManagement
from dpb_framework.errors import DpbError, NotOwner, Stopped
from dpb_framework.model import Caller, Change, Status
from dpb_framework.reply import Reply
from dpb_nbi import operations
from dpb_nbi.access import orders
from dpb_nbi.calls import Calls
from dpb_nbi.l2vpn.kept import Kept
from dpb_nbi.l2vpn.locks import Locks
from dpb_nbi.l2vpn.read import AccessAsked, Document, VpnAsked
from dpb_nbi.l2vpn.vpn import Access, Vpn
from dpb_nbi.operations import Asking
from dpb_nbi.problems import Problem

SECONDS: Final = 30.0
"""How long an access is awaited to be established before its answer is given anyway."""
_RELEASE_SECONDS: Final = 10.0
_ACTIVE_SECONDS: Final = 10.0
_SETTLED: Final = frozenset({Status.ACTIVE, Status.FAILED, Status.DORMANT, Status.RELEASED})
_REFUSED: Final = frozenset({Status.DORMANT, Status.FAILED})
"""Where a service is that was wanted active and did not even become so: by the network's word, or by a device's."""
_GIVEN_BACK: Final = frozenset({Status.DORMANT, Status.RELEASED})
_ENDING: Final = frozenset({Status.RELEASING, Status.RELEASED})
_MOVING: Final = frozenset({Status.ESTABLISHING, Status.ACTIVATING, Status.DEACTIVATING})


class Vpns:
    """The VPNs of a network. Its methods belong to the event loop."""

    def __init__(self, calls: Calls, network: Network) -> None:
        self._calls = calls
        self._network = network
        self._kept = Kept(calls, f"l2vpn/{network.name}")
        self._locks = Locks()

    # -- what there is

    async def all(self) -> list[Vpn]:
        """All of them, by id."""
        found = await self._kept.all()
        return [found[id] for id in sorted(found)]

    async def get(self, id: str) -> Vpn:
        """Return the VPN; `Problem` 404."""
        found = await self._kept.get(id)
        if found is None:
            raise Problem(404, "vpn-unknown", f"network {self._network.name!r} has no VPN {id!r}")
        return found

    async def status(self, vpn: Vpn) -> Status | None:
        """The status of its service; None while it has none."""
        service = await self._service(vpn)
        return None if service is None else service.status

    async def why(self, vpn: Vpn) -> str:
        """Why its service is not active, as far as is known."""
        service = await self._service(vpn)
        if service is None and len(vpn.accesses) < 2:
            return f"it joins at least two accesses, and has {len(vpn.accesses)}"
        if service is None:
            return "its service was released behind its back; a PUT of one of its accesses makes it anew"
        return service.error.text if service.error is not None else f"it is {service.status.value}"

    # -- what is asked

    async def create(self, asked: VpnAsked, asking: Asking) -> None:
        """Make a VPN without accesses; `Problem` 409 when it exists, or somebody's service has its handle."""
        async with self._locks.hold(asked.id):
            if await self._kept.get(asked.id) is not None:
                raise Problem(409, "vpn-exists", f"VPN {asked.id!r} is there already", field="vpn-id")
            vpn = Vpn(asked.id, asked.type, asked.customer, asking.who.name)
            there = await self._find(vpn)
            if there is not None and there.status not in _ENDING:
                raise _taken(vpn, there.id)
            await self._kept.put(vpn, asking)

    async def add(self, asked: Sequence[AccessAsked], asking: Asking) -> None:
        """Attach new accesses to their VPNs, and have the services follow."""
        for vpn, group in _by_vpn(asked):
            # Mypy knows no type of a default of a lambda.
            await self._change(vpn, asking, lambda before, group=group: self._added(before, group))  # type: ignore[misc]

    async def replace(self, asked: Sequence[AccessAsked], asking: Asking) -> None:
        """Change accesses that are there."""
        for vpn, group in _by_vpn(asked):
            # Mypy knows no type of a default of a lambda.
            await self._change(vpn, asking, lambda before, group=group: self._replaced(before, group))  # type: ignore[misc]

    async def remove_access(self, site: str, id: str, asking: Asking) -> None:
        """Take an access away: the asker's own, where others have one of that name at the site. `Problem` 404."""
        named = [(vpn, vpn.access(id)) for vpn in await self.all()]
        found = [vpn for vpn, access in named if access is not None and access.site == site]
        if not found:
            raise Problem(404, "access-unknown", f"site {site!r} has no network access {id!r}")
        vpn = next((vpn for vpn in found if vpn.owner == asking.who.name), found[0])
        await self._change(
            vpn.id, asking, lambda before: evolve(before, accesses=[a for a in before.accesses if a.id != id])
        )

    async def make(self, document: Document, asking: Asking) -> None:
        """Make all that a document asks for, or nothing of it."""
        made: list[str] = []
        try:
            for vpn in document.vpns:
                await self.create(vpn, asking)
                made.append(vpn.id)
            before = await self._kept.all()
            changed: list[str] = []
            try:
                for id, group in _by_vpn(document.accesses):
                    await self.add(group, asking)
                    changed.append(id)
            except BaseException:
                for id in changed:
                    if id not in made:
                        # Mypy knows no type of a default of a lambda.
                        await self._change(id, asking, lambda _, id=id: before[id])  # type: ignore[misc]
                raise
        except BaseException:
            for id in made:
                await self.delete(id, asking)
            raise

    async def delete(self, id: str, asking: Asking) -> None:
        """Release its service and forget it. `Problem` 404."""
        async with self._locks.hold(id):
            vpn = await self.get(id)
            _check_owner(vpn, asking)
            await self._release(vpn, asking)
            await self._kept.drop(vpn, asking)

    # -- accesses

    def _added(self, vpn: Vpn, asked: Iterable[AccessAsked]) -> Vpn:
        accesses = list(vpn.accesses)
        for one in asked:
            if any(access.id == one.access.id for access in accesses):
                raise Problem(409, "access-exists", f"access {one.access.id!r} is there already", field=one.path)
            accesses.append(one.access)
        most = vpn.type.most
        if most is not None and len(accesses) > most:
            raise Problem(409, "vpn-full", f"VPN {vpn.id!r} is a {vpn.type.value} and joins {most} accesses; take vpls")
        return evolve(vpn, accesses=accesses)

    def _replaced(self, vpn: Vpn, asked: Iterable[AccessAsked]) -> Vpn:
        by_id = {access.id: access for access in vpn.accesses}
        for one in asked:
            old = by_id.get(one.access.id)
            if old is None:
                raise Problem(400, "access-unknown", f"VPN {vpn.id!r} has no access {one.access.id!r}", field=one.path)
            (new,) = self._placed([one.access])
            if not one.rated:  # the stock client's edits name no rates, and mean no others by that
                new = evolve(new, ingress=old.ingress, egress=old.egress)
            same = (old.terminal, old.asked) == (new.terminal, new.asked)
            by_id[old.id] = evolve(new, label=old.label if same else None)
        return evolve(vpn, accesses=[by_id[access.id] for access in vpn.accesses])

    async def _change(self, id: str, asking: Asking, change: Callable[[Vpn], Vpn]) -> None:
        async with self._locks.hold(id):
            before = await self.get(id)
            _check_owner(before, asking)
            after = change(before)
            after = evolve(after, accesses=self._placed(after.accesses))
            await self._kept.put(await self._realise(after, asking), asking)

    def _placed(self, accesses: Iterable[Access]) -> list[Access]:
        """Return them at the terminals that are meant: the one of that name, or else the one at that place."""
        known = set(self._network.terminals())
        return [access if access.terminal in known else self._at_place(access) for access in accesses]

    def _at_place(self, access: Access) -> Access:
        """Return it at the terminal whose place it tells. `Problem` 400.

        TeraFlow tells no other bearers than `device:endpoint`, and no terminal's name is such.
        """
        bearer = access.terminal if access.bearer is None else access.bearer
        managed = self._network.list_terminals() if isinstance(self._network, SwitchManagement) else ()
        there = next((terminal.name for terminal in managed if terminal.place == bearer), None)
        if there is None:
            where = f"site {access.site!r}: the network has no terminal {bearer!r}, and none whose place it is"
            raise Problem(400, "site-unknown", where, field="bearer.bearer-reference")
        return evolve(access, terminal=there, bearer=bearer)

    # -- services

    async def _find(self, vpn: Vpn) -> Service | None:
        """Return the service that has its handle, whoever made it."""
        return await self._calls.command(lambda: self._network.find(vpn.handle))

    async def _service(self, vpn: Vpn) -> Service | None:
        """Return its service. What another made under its handle is none of it."""
        there = await self._find(vpn)
        # In another broker all services are those of the one user that this broker is there.
        if there is None or not isinstance(self._network, SwitchManagement):
            return there
        return there if Caller(vpn.owner).may_change(there.view().owner) else None

    async def _realise(self, vpn: Vpn, asking: Asking) -> Vpn:
        """Bring its service to what it asks for and return it with the labels that it has."""
        if len(vpn.accesses) < 2:
            await self._release(vpn, asking)
            return evolve(vpn, accesses=[evolve(access, label=None) for access in vpn.accesses])
        segment = vpn.segment()
        service = await self._service(vpn)
        if service is None or service.status is Status.DORMANT:
            made = service is None
            try:
                service, _ = await operations.create(asking, self._network, vpn.handle, segment, vpn.owner)
            except NotOwner as error:
                raise _taken(vpn, error.service) from error
            await operations.command(asking, service, orders.ACTIVATE)
            # Its clients ask at once whether it is active, and take no for an answer.
            await self._until(service, _SETTLED, _ACTIVE_SECONDS)
            if service.status in _REFUSED and service.error is not None:
                problem = Problem.from_fault(service.error)
                if made:
                    await self._release(vpn, asking)
                elif service.status is Status.FAILED:
                    await operations.command(asking, service, orders.RESET)
                    await self._until(service, _GIVEN_BACK, _RELEASE_SECONDS)
                raise problem
        elif not segment.same_as(service.segment):
            await self._until(service, frozenset(Status) - _MOVING)
            await self._unchanging(service)
            await self._follow(service, vpn, asking)
            await self._unchanging(service)
        return vpn.with_labels(service.segment or segment)

    async def _follow(self, service: Service, vpn: Vpn, asking: Asking) -> None:
        """Change the service without interruption; refused, it is as it was."""
        segment = vpn.segment()
        try:
            prepared = asking.give(orders.PREPARE, lambda caller: service.prepare(segment, caller), service.id)
            await self._calls.wait(prepared, seconds=SECONDS)
            if service.change is Change.PREPARING:
                raise Problem(503, "timed-out", "the network did not prepare the change in time; it was withdrawn")
        except BaseException:
            with suppress(DpbError):
                await operations.command(asking, service, orders.ABORT)
            raise
        await operations.command(asking, service, orders.COMMIT)

    async def _release(self, vpn: Vpn, asking: Asking) -> None:
        service = await self._service(vpn)
        if service is not None:
            await operations.command(asking, service, orders.RELEASE)
            await self._until(service, frozenset({Status.RELEASED}), _RELEASE_SECONDS)

    async def _until(self, service: Service, statuses: frozenset[Status], seconds: float = SECONDS) -> None:
        """Wait for one of *statuses*; when the server stops, the wish is kept and carried out later."""
        if service.status not in statuses:
            with suppress(Stopped):
                await self._calls.wait(service.wait(statuses, seconds), seconds=seconds)

    async def _unchanging(self, service: Service) -> None:
        """Wait until no change of it is under way any more."""
        over: Reply[None] = Reply()

        def look(seen: Service) -> None:
            if seen.change is Change.NONE or seen.status is Status.RELEASED:
                over.resolve(None)

        cancel = service.watch(look)
        over.then(lambda _: cancel())
        look(service)
        with suppress(Stopped):
            await self._calls.wait(over, seconds=SECONDS)


def _taken(vpn: Vpn, service: int) -> Problem:
    return Problem(409, "handle-taken", f"service {service} has the handle of VPN {vpn.id!r}, {vpn.handle!r}")


def _by_vpn(asked: Iterable[AccessAsked]) -> Iterable[tuple[str, list[AccessAsked]]]:
    groups: dict[str, list[AccessAsked]] = {}
    for one in asked:
        groups.setdefault(one.vpn, []).append(one)
    return groups.items()


def may_change(asking: Asking, vpn: Vpn) -> bool:
    """Whether whoever asks may change what somebody made."""
    return asking.who.caller(asking.network).may_change(vpn.owner)


def _check_owner(vpn: Vpn, asking: Asking) -> None:
    if not may_change(asking, vpn):
        raise Problem(
            403, "not-owner", f"VPN {vpn.id!r} belongs to {vpn.owner!r}: only its owner or a manager changes it"
        )
