"""What both interfaces do with services: find, define, command, await. They differ in what they say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from attrs import frozen

from dpb_framework.contracts import Network, Service
from dpb_framework.errors import DpbError, Stopped
from dpb_framework.model import Caller, Change, Segment, ServiceView, Status
from dpb_framework.reply import Reply
from dpb_nbi.access import Desk, Identity, orders
from dpb_nbi.access.orders import Kind, Order
from dpb_nbi.calls import Calls, Departing
from dpb_nbi.codec import Names
from dpb_nbi.firsts import Firsts
from dpb_nbi.problems import Problem, in_segment
from dpb_nbi.values import digits

T = TypeVar("T")

DEFINE_SECONDS: Final = 30.0
"""How long a define (or prepare) is awaited before its answer is given anyway."""

_firsts: Final = Firsts()
_UNDER_WAY: Final = frozenset({Change.PREPARING, Change.PREPARED})
_ESTABLISHED: Final = frozenset(Status) - {Status.ESTABLISHING}

COMMANDS: Final[Mapping[Kind, Callable[[Service, Caller], Reply[None]]]] = {
    orders.ACTIVATE: lambda service, caller: service.activate(caller),
    orders.DEACTIVATE: lambda service, caller: service.deactivate(caller),
    orders.RESET: lambda service, caller: service.reset(caller),
    orders.RELEASE: lambda service, caller: service.release(caller),
    orders.COMMIT: lambda service, caller: service.commit(caller),
    orders.ABORT: lambda service, caller: service.abort(caller),
}
"""The commands without an argument."""


@frozen
class Asking:
    """Who asks, of which network, and where."""

    desk: Desk
    calls: Calls
    who: Identity
    network: str

    def give(self, kind: Kind, call: Callable[[Caller], Reply[T]], service: int) -> Reply[T]:
        """Give an order of that kind about a service; see `Desk.give`."""
        return self.desk.give(self.who, Order(kind, self.network, service), call)


def number(network: Network, text: str) -> int:
    """Return the id that stands in a URL; `Problem` 404 when it cannot be one."""
    found = digits(text)
    if found is None:
        raise Problem(404, "service-unknown", f"network {network.name!r} has no service {text[:40]!r}")
    return found


def find(network: Network, text: str) -> Service:
    """Return the service that a URL names. `ServiceUnknown`, `ServiceGone`."""
    return network.service(number(network, text))


def creating(
    network: Network, handle: str | None = None, segment: Segment | None = None, owner: str | None = None
) -> Callable[[Caller], Reply[tuple[Service, bool]]]:
    """Return what makes a service, and with *segment* defines it; its reply has the service, and whether it is new.

    It belongs to whoever asks, or to *owner*, for whom it is made.
    """

    def make(caller: Caller) -> Reply[tuple[Service, bool]]:
        made: Reply[tuple[Service, bool]] = Reply()
        wanted = (id(network), handle)

        def begin(looked: Reply[Service | None]) -> None:
            try:
                there = looked.value is not None
                created = network.create(caller if owner is None else Caller(owner), handle, segment)
            except Exception as error:  # noqa: BLE001  # in a callback nobody else would tell whoever waits
                end(Reply.failed(error), there=False)
            else:
                created.then(lambda created: end(created, there=there))

        def end(created: Reply[Service], *, there: bool) -> None:
            unseen = None if there or created.error is not None else created.value.id
            new = handle is None or _firsts.end(wanted, unseen)
            if created.error is not None:
                made.fail(created.error)
            else:
                made.resolve((created.value, new))

        if handle is None:
            begin(Reply.of(None))
        else:
            _firsts.begin(wanted)
            network.find(handle).then(begin)
        return made

    return make


def name_of(made: tuple[Service, bool]) -> Mapping[str, Any]:
    """What is written down of a service that was made."""
    return {"service": made[0].id}


async def create(
    asking: Asking,
    network: Network,
    handle: str | None = None,
    segment: Segment | None = None,
    owner: str | None = None,
) -> tuple[Service, bool]:
    """Make a service, see `creating`, without waiting until it is established; and whether it is new."""
    order = Order(orders.CREATE, asking.network)
    make = creating(network, handle, segment, owner)
    return await asking.calls.reply(asking.desk.give(asking.who, order, make, name_of))


async def define(asking: Asking, service: Service, segment: Segment, names: Names, *, wait: bool = True) -> ServiceView:
    """Define *service* and wait until it is established, 30 s at most; `Problem` with the reason when it is not.

    Without *wait* it is enough that the wish is kept.
    """
    try:
        order = asking.give(orders.DEFINE, lambda caller: service.define(segment, caller), service.id)
        await asking.calls.reply(order)
    except DpbError as error:
        raise in_segment(error, segment, names) from error
    if not wait:
        return service.view()
    if service.status is Status.ESTABLISHING:
        # When the server stops, the wish is kept and carried out later: the answer is as when the time is over.
        with suppress(Stopped):
            await asking.calls.wait(service.wait(_ESTABLISHED, DEFINE_SECONDS), seconds=DEFINE_SECONDS)
    view = service.view()
    if view.status is Status.DORMANT and view.error is not None:
        raise Problem.from_fault(view.error)
    return view


def under_way(service: Service) -> Reply[None]:
    """Return a reply that settles when a change of *service* is under way; it is to `follow` the order's own."""
    begun: Reply[None] = Reply()

    def see(seen: Service) -> None:
        if seen.change in _UNDER_WAY:
            begun.resolve(None)

    cancel = service.watch(see)
    begun.then(lambda _: cancel())
    return begun


async def prepare(
    asking: Asking, service: Service, segment: Segment, names: Names, *, wait: bool = True
) -> ServiceView:
    """Prepare *service* to become *segment*; what is not prepared after 30 s is told as it is.

    Without *wait* it is enough that the change is under way.
    """
    begun = under_way(service)
    try:
        prepared = asking.give(orders.PREPARE, lambda caller: service.prepare(segment, caller), service.id)
        prepared.then(begun.follow)
        await asking.calls.wait(prepared if wait else begun, seconds=DEFINE_SECONDS)
    except DpbError as error:
        raise in_segment(error, segment, names) from error
    finally:
        begun.abandon()
    return service.view()


async def command(asking: Asking, service: Service, kind: Kind) -> None:
    """Give one of `COMMANDS`."""
    order = asking.give(kind, lambda caller: COMMANDS[kind](service, caller), service.id)
    await asking.calls.reply(order)


async def await_status(
    calls: Calls, service: Service, statuses: frozenset[Status], seconds: float, request: Departing
) -> Status:
    """Return the status when one of *statuses* is reached, or none can be any more, or the time is over."""
    status = service.status
    if status in statuses or not seconds:
        return status
    with calls.waits.one(request.who.name):
        arrived = await calls.wait(service.wait(statuses, seconds), request)
    return service.status if arrived is None else arrived
