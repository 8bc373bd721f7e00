"""What both interfaces do with services: find, define, command, await. They differ in what they say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from dpb_framework.contracts import BrokerApi, Network, Service
from dpb_framework.errors import DpbError, Stopped
from dpb_framework.model import Caller, Change, Segment, ServiceView, Status
from dpb_framework.reply import Reply
from dpb_nbi.calls import Calls
from dpb_nbi.codec import Names
from dpb_nbi.problems import Problem, in_segment
from dpb_nbi.values import digits
from dpb_nbi.wire import Request

DEFINE_SECONDS: Final = 30.0
"""How long a define (or prepare) is awaited before its answer is given anyway."""

_UNDER_WAY: Final = frozenset({Change.PREPARING, Change.PREPARED})
_ESTABLISHED: Final = frozenset(Status) - {Status.ESTABLISHING}

COMMANDS: Final[Mapping[str, Callable[[Service, Caller], Reply[None]]]] = {
    "activate": lambda service, caller: service.activate(caller),
    "deactivate": lambda service, caller: service.deactivate(caller),
    "reset": lambda service, caller: service.reset(caller),
    "release": lambda service, caller: service.release(caller),
    "commit": lambda service, caller: service.commit(caller),
    "abort": lambda service, caller: service.abort(caller),
}
"""The commands without an argument."""


def number(network: Network, text: str) -> int:
    """Return the id that stands in a URL; `Problem` 404 when it cannot be one."""
    found = digits(text)
    if found is None:
        raise Problem(404, "service-unknown", f"network {network.name!r} has no service {text[:40]!r}")
    return found


def find(broker: BrokerApi, network: str, text: str) -> Service:
    """Return the service that a URL names. `NetworkUnknown`, `ServiceUnknown`, `ServiceGone`."""
    found = broker.network(network)
    return found.service(number(found, text))


async def define(
    calls: Calls, service: Service, segment: Segment, names: Names, caller: Caller, *, wait: bool = True
) -> ServiceView:
    """Define *service* and wait until it is established, 30 s at most; `Problem` with the reason when it is not.

    Without *wait* it is enough that the wish is kept.
    """
    try:
        await calls.command(lambda: service.define(segment, caller))
    except DpbError as error:
        raise in_segment(error, segment, names) from error
    if not wait:
        return service.view()
    if service.status is Status.ESTABLISHING:
        # When the server stops, the wish is kept and carried out later: the answer is as when the time is over.
        with suppress(Stopped):
            await calls.wait(service.wait(_ESTABLISHED, DEFINE_SECONDS), seconds=DEFINE_SECONDS)
    view = service.view()
    if view.status is Status.DORMANT and view.error is not None:
        raise Problem.from_fault(view.error)
    return view


async def prepare(
    calls: Calls, service: Service, segment: Segment, names: Names, caller: Caller, *, wait: bool = True
) -> ServiceView:
    """Prepare *service* to become *segment*; what is not prepared after 30 s is told as it is.

    Without *wait* it is enough that the change is under way.
    """
    begun: Reply[Service] = Reply()

    def see(seen: Service) -> None:
        if seen.change in _UNDER_WAY:
            begun.resolve(seen)

    cancel = service.watch(see)
    try:
        prepared = await calls.reply(calls.broker.work(lambda: service.prepare(segment, caller)))
        if wait:
            await calls.wait(prepared, seconds=DEFINE_SECONDS)
        else:
            prepared.then(lambda _: begun.resolve(service))
            await calls.wait(begun, seconds=DEFINE_SECONDS)
            if prepared.settled:
                await calls.reply(prepared)
    except DpbError as error:
        raise in_segment(error, segment, names) from error
    finally:
        cancel()
    return service.view()


async def command(calls: Calls, service: Service, name: str, caller: Caller) -> None:
    """Give one of `COMMANDS`."""
    await calls.command(lambda: COMMANDS[name](service, caller))


async def await_status(
    calls: Calls, service: Service, statuses: frozenset[Status], seconds: float, request: Request
) -> Status:
    """Return the status when one of *statuses* is reached, or none can be any more, or the time is over."""
    status = service.status
    if status in statuses or not seconds:
        return status
    arrived = await calls.wait(service.wait(statuses, seconds), request)
    return service.status if arrived is None else arrived
